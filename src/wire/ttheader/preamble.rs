//! The fixed first 14 bytes of a TTHeader frame (ttheader.md §1.1).

use super::bad_header;
use crate::base::{Code, Error, Limits, Result};
use crate::wire::be;

/// LENGTH, FLAGS, SEQ and HEADER SIZE of a frame whose lengths have been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preamble {
    /// Flags (ttheader.md §1.2).
    pub flags: u16,
    /// Sequence id.
    pub seq: i32,
    /// LENGTH: bytes of the frame after this field.
    length: usize,
    /// HEADER SIZE in bytes.
    area_len: usize,
}

impl Preamble {
    /// Size of the fixed part.
    pub const BYTES: usize = 14;

    /// Value of the MAGIC field.
    pub const MAGIC: u16 = 0x1000;

    /// Reads the front of `bytes`; `None` when more are needed. Refuses a LENGTH that cannot hold
    /// the header (Kitex accepts it and then waits for payload by other means), and one over the
    /// limit before anything is reserved for it.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Option<Preamble>> {
        if let (Some(first), Some(second)) = (be::u32_at(bytes, 0), be::u32_at(bytes, 4))
            && be::u16_at(bytes, 4) != Some(Preamble::MAGIC)
        {
            let text =
                format!("not TTHeader protocol (first4Bytes={first:#010x}, second4Bytes={second:#010x})");
            return Err(bad_header(text));
        }
        let Some(&[a, b, c, d, _, _, f, g, h, i, j, k, l, m]) = bytes.first_chunk() else { return Ok(None) };
        let (flags, seq) = (u16::from_be_bytes([f, g]), i32::from_be_bytes([h, i, j, k]));
        let length = be::length(u32::from_be_bytes([a, b, c, d]));
        let area_len = usize::from(u16::from_be_bytes([l, m])) * 4;
        if area_len == 0 {
            return Err(bad_header("invalid header length[0]".into()));
        }
        if length < area_len + 10 {
            return Err(bad_header(format!("LENGTH {length} cannot hold a header of {area_len} bytes")));
        }
        if length > limits.frame_bytes {
            return Err(too_large(length, limits.frame_bytes));
        }
        Ok(Some(Preamble { flags, seq, length, area_len }))
    }

    /// Bytes before the payload.
    pub fn header_len(&self) -> usize {
        Preamble::BYTES + self.area_len
    }

    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.frame_len() - self.header_len()
    }

    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> usize {
        self.length + 4
    }
}

/// A frame, or a message without a length, is over the limit (ttheader.md §1.7).
#[cold]
pub(crate) fn too_large(size: usize, limit: usize) -> Error {
    Error::new(
        Code::FrameTooLarge,
        format!("invalid data: payload size({size}) larger than the limit({limit})"),
    )
}
