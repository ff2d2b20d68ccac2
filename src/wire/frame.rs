//! Whole messages: any of the forms that Kitex takes in, and the bytes of a message to send
//! (ttheader.md §3.2–§3.4).

pub mod decode;
pub mod encode;

pub use decode::Decoder;
pub use encode::{Outbound, encode};

use bytes::Bytes;

use crate::base::Encoding;
use crate::wire::thrift::{Envelope, MessageType};
use crate::wire::ttheader::Header;

/// How the body of a message is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Payload {
    /// A Thrift Binary struct.
    ThriftBinary,
    /// A protobuf message in Kitex's envelope.
    KitexProtobuf,
}

impl Payload {
    /// The encoding of such a body.
    pub const fn encoding(self) -> Encoding {
        match self {
            Payload::ThriftBinary => Encoding::THRIFT_BINARY,
            Payload::KitexProtobuf => Encoding::PROTOBUF,
        }
    }
}

/// The form of a message. A reply has the form of its request (ttheader.md §3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Layout {
    /// A TTHeader before the payload.
    pub ttheader: bool,
    /// A 4-byte length before the envelope.
    pub framed: bool,
    /// Encoding of the body.
    pub payload: Payload,
}

impl Layout {
    /// Thrift Binary without any length.
    pub const BUFFERED: Layout = Layout { ttheader: false, framed: false, payload: Payload::ThriftBinary };
    /// Thrift Binary after a 4-byte length.
    pub const FRAMED: Layout = Layout { framed: true, ..Layout::BUFFERED };
    /// Thrift Binary after a TTHeader.
    pub const TTHEADER: Layout = Layout { ttheader: true, ..Layout::BUFFERED };
    /// Thrift Binary after a TTHeader and a 4-byte length: what Kitex clients call TTHeader.
    pub const TTHEADER_FRAMED: Layout = Layout { ttheader: true, ..Layout::FRAMED };
}

/// A message that has arrived.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The form in which it came.
    pub layout: Layout,
    /// Its TTHeader or mesh header.
    pub header: Option<Header>,
    /// Message type.
    pub kind: MessageType,
    /// Method name; empty only on a reply or an exception.
    pub name: Bytes,
    /// Sequence id of the payload, the one to answer with (ttheader.md §4.4).
    pub seq: i32,
    /// The body, still encoded, and whatever stands behind it in the frame.
    pub body: Bytes,
}

impl Inbound {
    /// Bytes on the wire. An old-style envelope is counted as a strict one, 3 bytes longer.
    pub fn size(&self) -> usize {
        let header = self.header.as_ref().map_or(0, Header::wire_len);
        let frame = if self.layout.framed { 4 } else { 0 };
        header + frame + Envelope::FIXED_BYTES + self.name.len() + self.body.len()
    }
}

#[cfg(test)]
mod tests;
