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
    /// Segments that lie one behind the other.
    Joined(Bytes, Cuts),
    Many(Arc<[Bytes]>),
}

/// Where a few segments of joined bytes end. Kept in place: a field header, a value and a stop are all that most
/// messages of several segments are made of.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    ends: [u32; Cuts::MOST],
    count: u32,
}

impl Cuts {
    const MOST: usize = 3;

    /// `None` for one segment, which needs no cuts, and for what does not fit.
    fn of(segments: &[&[u8]]) -> Option<Cuts> {
        if segments.len() == 1 || segments.len() > Cuts::MOST {
            return None;
        }
        let mut cuts = Cuts { ends: [0; Cuts::MOST], count: 0 };
        let mut at = 0u32;
        for (end, segment) in cuts.ends.iter_mut().zip(segments) {
            at = at.checked_add(u32::try_from(segment.len()).ok()?)?;
            *end = at;
            cuts.count += 1;
        }
        Some(cuts)
    }

    fn segment<'a>(&self, bytes: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let end = self.ends.get(..self.count as usize)?.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        bytes.get(start as usize..*end as usize)
    }
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

    /// A message of copies of these segments, all in one piece of memory.
    pub fn copy_segments(encoding: Encoding, segments: &[&[u8]]) -> Message {
        let mut joined = Vec::with_capacity(segments.iter().map(|segment| segment.len()).sum());
        segments.iter().for_each(|segment| joined.extend_from_slice(segment));
        let bytes = Bytes::from(joined);
        if let Some(cuts) = Cuts::of(segments) {
            return Message { encoding, body: Body::Joined(bytes, cuts) };
        }
        let mut rest = bytes;
        Message::from_segments(
            encoding,
            segments.iter().map(|segment| rest.split_to(segment.len())).collect(),
        )
    }

    /// A Thrift struct without fields: the arguments of a method that has none, the result of `void`.
    pub fn empty_struct() -> Message {
        Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(&[0]))
    }

    /// How the bytes are encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// All bytes in order as they lie in memory, without copying: no more pieces than there are segments.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.body {
            Body::One(bytes) | Body::Joined(bytes, _) => std::slice::from_ref(bytes),
            Body::Many(segments) => segments,
        }
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        match &self.body {
            Body::One(_) => 1,
            Body::Joined(_, cuts) => cuts.count as usize,
            Body::Many(segments) => segments.len(),
        }
    }

    /// A segment, as whoever made the message cut it; 0 ≤ `index` < [`Message::segment_count`].
    pub fn segment(&self, index: usize) -> Option<&[u8]> {
        match &self.body {
            Body::One(bytes) => (index == 0).then_some(bytes),
            Body::Joined(bytes, cuts) => cuts.segment(bytes, index),
            Body::Many(segments) => segments.get(index).map(|segment| &segment[..]),
        }
    }

    /// Size in bytes over all segments.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece; copies only if there are several.
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            Body::One(bytes) | Body::Joined(bytes, _) => bytes.clone(),
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
        assert_eq!((many.len(), many.pieces().len()), (3, 3));
        assert_eq!(many, Message::new(Encoding::RAW, Bytes::from_static(b"abc")));
        assert_ne!(many, Message::new(Encoding::JSON, Bytes::from_static(b"abc")));
        assert!(Message::from_segments(Encoding::RAW, vec![]).is_empty());
    }

    #[test]
    fn copies_lie_together_and_are_still_cut_as_they_were() {
        let given: [&[u8]; 5] = [b"", b"ab", b"c", b"", b"defg"];
        for count in 0..=given.len() {
            for from in 0..=given.len() - count {
                let segments = &given[from..from + count];
                let message = Message::copy_segments(Encoding::RAW, segments);
                let all: Vec<&[u8]> =
                    (0..message.segment_count()).map(|at| message.segment(at).unwrap()).collect();
                assert_eq!(all, segments);
                assert_eq!(message.segment(count), None);
                assert_eq!(message.bytes(), segments.concat());
                assert_eq!(message.len(), segments.concat().len());
                assert!(message.pieces().len() == 1 || count > Cuts::MOST);
            }
        }
    }
}
