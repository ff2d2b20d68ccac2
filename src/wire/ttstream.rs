//! Frames of TTHeader streaming: many streams on one connection, each frame a TTHeader that names its
//! stream, its type and its method (ttstream.md §1).
//!
//! [`Decoder`] cuts frames out of a growing buffer; [`encode()`] writes any frame, and [`DataHeader`]
//! writes the header of the frequent one without building it anew. The header itself is that of
//! [`ttheader`](crate::wire::ttheader).

pub mod decode;
pub mod encode;
pub mod exception;

pub use decode::{Decoded, Decoder};
pub use encode::{DataHeader, Head, encode};

use bytes::Bytes;

use crate::wire::keys::int;
use crate::wire::ttheader::Header;

/// What a frame does, by the digit under int key 27 (ttstream.md §1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FrameType {
    /// Facts about the connection from a proxy; clients only.
    Meta = 1,
    /// Opens a stream; the server's first frame on it.
    Header = 2,
    /// One message.
    Data = 3,
    /// The last frame of a side.
    Trailer = 4,
    /// Ends the stream at once.
    Rst = 5,
}

impl FrameType {
    /// The type with this digit.
    pub fn from_digit(digit: &[u8]) -> Option<FrameType> {
        match digit {
            b"1" => Some(FrameType::Meta),
            b"2" => Some(FrameType::Header),
            b"3" => Some(FrameType::Data),
            b"4" => Some(FrameType::Trailer),
            b"5" => Some(FrameType::Rst),
            _ => None,
        }
    }

    /// Its digit on the wire.
    pub const fn digit(self) -> &'static [u8; 1] {
        match self {
            FrameType::Meta => b"1",
            FrameType::Header => b"2",
            FrameType::Data => b"3",
            FrameType::Trailer => b"4",
            FrameType::Rst => b"5",
        }
    }
}

/// A frame that has arrived.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Stream id: any number.
    pub id: i32,
    /// What it does.
    pub kind: FrameType,
    /// Its metadata, in memory of its own; empty for DATA, whose pairs mean nothing.
    pub header: Header,
    /// DATA: one message. TRAILER, RST: an exception or nothing. META: opaque. Shares the memory that
    /// was read from the socket.
    pub payload: Bytes,
}

impl Frame {
    /// The method under int key 9; only that of an opening HEADER means something.
    pub fn method(&self) -> Bytes {
        self.header.int(int::TO_METHOD).map(|name| self.header.slice(name)).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests;
