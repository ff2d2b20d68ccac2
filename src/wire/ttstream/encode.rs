//! Writes frames (ttstream.md §1).

use bytes::{BufMut, Bytes, BytesMut};

use super::FrameType;
use crate::base::{Code, Encoding, Error, Limits, Result};
use crate::wire::keys::{flags, int, protocol_id};
use crate::wire::ttheader::HeaderWriter;

/// What every frame of a stream says.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Stream id.
    pub id: i32,
    /// What the frame does.
    pub kind: FrameType,
    /// Method of the stream.
    pub method: &'a [u8],
    /// Encoding of the stream's messages; Kitex knows Thrift Binary only (§1.5).
    pub encoding: Encoding,
    /// Further int pairs, ascending; only an opening HEADER has any.
    pub ints: &'a [(u16, Bytes)],
}

/// Appends a frame. `strings` adds the ACL token and string pairs. If a limit is broken, nothing has
/// been appended.
pub fn encode(
    out: &mut BytesMut,
    head: Head<'_>,
    strings: impl FnOnce(&mut HeaderWriter<'_>),
    payload: &[u8],
) -> Result<()> {
    let mut writer = HeaderWriter::begin(out, flags::STREAMING, head.id);
    writer.protocol_id(match head.encoding {
        Encoding::PROTOBUF => protocol_id::PROTOBUF_STRUCT,
        _ => protocol_id::THRIFT_STRUCT,
    });
    strings(&mut writer);
    write_ints(&mut writer, &head);
    writer.finish(payload.len())?;
    out.put_slice(payload);
    Ok(())
}

/// Int pairs, ascending; the frame's own two keys win over those of the caller.
fn write_ints(writer: &mut HeaderWriter<'_>, head: &Head<'_>) {
    let (own, mut method) = ([int::TO_METHOD, int::FRAME_TYPE], Some(head.method));
    for (key, value) in head.ints.iter().filter(|(key, _)| !own.contains(key)) {
        if *key > int::TO_METHOD
            && let Some(name) = method.take()
        {
            writer.int(int::TO_METHOD, name);
        }
        writer.int(*key, value);
    }
    if let Some(name) = method {
        writer.int(int::TO_METHOD, name);
    }
    writer.int(int::FRAME_TYPE, head.kind.digit());
}

/// The header that all DATA frames of a stream share but for LENGTH: made once, copied for each.
#[derive(Clone, Debug)]
pub struct DataHeader(Bytes);

impl DataHeader {
    /// The header of a stream's messages.
    pub fn new(id: i32, method: &[u8], encoding: Encoding) -> Result<DataHeader> {
        let mut out = BytesMut::new();
        encode(&mut out, Head { id, kind: FrameType::Data, method, encoding, ints: &[] }, |_| {}, b"")?;
        Ok(DataHeader(out.freeze()))
    }

    /// Its size on the wire.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a header has at least its type.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a message of this size fits into a frame.
    pub fn check(&self, payload_len: usize) -> Result<()> {
        match payload_len.checked_add(self.len()) {
            Some(total) if total - 4 <= Limits::MAX_FRAME_BYTES => Ok(()),
            _ => Err(too_long(payload_len)),
        }
    }

    /// Appends the header of a message that [`DataHeader::check`] has passed; the message follows.
    pub fn write(&self, out: &mut BytesMut, payload_len: usize) {
        // Nothing is lost: MAX_FRAME_BYTES is below 2^32.
        let length = u32::try_from(self.len() + payload_len - 4).unwrap_or(u32::MAX);
        out.put_u32(length);
        out.put_slice(self.0.get(4..).unwrap_or_default());
    }
}

#[cold]
fn too_long(payload_len: usize) -> Error {
    let text = format!("message of {payload_len} bytes, a frame ends at {}", Limits::MAX_FRAME_BYTES);
    Error::new(Code::EncodeFailed, text)
}
