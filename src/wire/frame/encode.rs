//! The bytes of a message to send.

use bytes::{BufMut, BytesMut};

use super::{Layout, Payload};
use crate::base::{Code, Error, Limits, Message, Result};
use crate::wire::checksum::Checksum;
use crate::wire::kitex_protobuf;
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::message;
use crate::wire::thrift::{Envelope, MessageType};
use crate::wire::ttheader::HeaderWriter;

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Its form; a reply takes its request's.
    pub layout: Layout,
    /// Flags of the TTHeader, 0 on replies (ttheader.md §1.2).
    pub flags: u16,
    /// Sequence id, the same in TTHeader and payload.
    pub seq: i32,
    /// Message type.
    pub kind: MessageType,
    /// Method name.
    pub name: &'a [u8],
    /// The body, encoded as the layout says. Large segments are linked, not copied.
    pub body: &'a Message,
}

/// Appends a message. `fill_header` adds the metadata and is called only if the layout has a
/// TTHeader. If a limit is broken, nothing has been appended.
pub fn encode(
    out: &mut OutBuf,
    frame: &Outbound<'_>,
    fill_header: impl FnOnce(&mut HeaderWriter<'_>),
) -> Result<()> {
    let Layout { ttheader, framed, payload } = frame.layout;
    if payload == Payload::KitexProtobuf && !framed {
        return Err(failed("protobuf just support 'framed' trans proto".into()));
    }
    if payload == Payload::KitexProtobuf && frame.name.is_empty() {
        return Err(failed("protobuf needs a method name".into()));
    }
    let body_len = frame.body.len();
    let frame_len = Envelope::FIXED_BYTES.saturating_add(frame.name.len()).saturating_add(body_len);
    let wire_frame_len = u32::try_from(frame_len).ok().filter(|_| frame_len <= Limits::MAX_FRAME_BYTES);
    let Some(wire_frame_len) = wire_frame_len else {
        let limit = Limits::MAX_FRAME_BYTES;
        return Err(failed(format!("message of {frame_len} bytes, a frame ends at {limit}")));
    };

    let tail = out.tail();
    let mut checksum_at = None;
    if ttheader {
        let mut header = HeaderWriter::begin(tail, frame.flags, frame.seq);
        fill_header(&mut header);
        checksum_at = header.checksum_at();
        header.finish(if framed { frame_len + 4 } else { frame_len })?;
    }
    let payload_at = tail.len();
    // From here on nothing fails: the name is shorter than the frame, whose length is checked.
    if framed {
        tail.put_u32(wire_frame_len);
    }
    let version = match payload {
        Payload::ThriftBinary => Envelope::VERSION,
        Payload::KitexProtobuf => kitex_protobuf::VERSION,
    };
    message::write(tail, version, frame.kind, frame.name, frame.seq)?;
    if let Some(at) = checksum_at {
        fill_checksum(tail, at, payload_at, frame.body);
    }
    out.put_message(frame.body);
    Ok(())
}

/// The payload's first bytes are in the tail already; its segments are read where they are.
fn fill_checksum(tail: &mut BytesMut, at: usize, payload_at: usize, body: &Message) {
    let start = tail.get(payload_at..).unwrap_or_default();
    let checksum = body.pieces().iter().fold(Checksum::of(start), |sum, segment| sum.and(segment));
    if let Some(place) = tail.get_mut(at..at + Checksum::BYTES) {
        place.copy_from_slice(&checksum.text());
    }
}

#[cold]
fn failed(text: String) -> Error {
    Error::new(Code::EncodeFailed, text)
}
