//! A message: immutable, reference-counted bytes and their encoding.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// How a message's bytes are encoded. An open number: unknown values pass through unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Encoding(pub i32);

impl Encoding {
    /// Bytes of no declared form.
    pub const RAW: Encoding = Encoding(0);
    /// A struct in Thrift Binary.
    pub const THRIFT_BINARY: Encoding = Encoding(1);
    /// A struct in Thrift Compact.
    pub const THRIFT_COMPACT: Encoding = Encoding(2);
    /// A protobuf message.
    pub const PROTOBUF: Encoding = Encoding(3);
    /// JSON text.
    pub const JSON: Encoding = Encoding(4);
}

/// Immutable bytes in one or more segments. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Message {
    encoding: Encoding,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    One(Bytes),
    Many(Arc<[Bytes]>),
}

impl Message {
    /// A message of one segment.
    pub fn new(encoding: Encoding, bytes: Bytes) -> Message {
        Message { encoding, body: Body::One(bytes) }
    }

    /// A message of several segments, sent one after the other without being joined.
    pub fn from_segments(encoding: Encoding, segments: Vec<Bytes>) -> Message {
        match <[Bytes; 1]>::try_from(segments) {
            Ok([one]) => Message::new(encoding, one),
            Err(many) => Message { encoding, body: Body::Many(many.into()) },
        }
    }

    /// A Thrift struct without fields: the arguments of a method that has none, the result of `void`.
    pub fn empty_struct() -> Message {
        Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(&[0]))
    }

    /// How the bytes are encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// All segments in order, without copying.
    pub fn segments(&self) -> &[Bytes] {
        match &self.body {
            Body::One(bytes) => std::slice::from_ref(bytes),
            Body::Many(segments) => segments,
        }
    }

    /// Size in bytes over all segments.
    pub fn len(&self) -> usize {
        self.segments().iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece; copies only if there are several segments.
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            Body::One(bytes) => bytes.clone(),
            Body::Many(segments) => {
                let mut joined = BytesMut::with_capacity(self.len());
                segments.iter().for_each(|segment| joined.extend_from_slice(segment));
                joined.freeze()
            }
        }
    }
}

/// Equal if encoding and bytes are, however they are cut into segments.
impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.encoding == other.encoding && self.len() == other.len() && self.bytes() == other.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_join_once_and_compare_by_content() {
        let parts = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")];
        let many = Message::from_segments(Encoding::RAW, parts);
        assert_eq!((many.len(), many.segments().len()), (3, 3));
        assert_eq!(many, Message::new(Encoding::RAW, Bytes::from_static(b"abc")));
        assert_ne!(many, Message::new(Encoding::JSON, Bytes::from_static(b"abc")));
        assert!(Message::from_segments(Encoding::RAW, vec![]).is_empty());
    }
}
