//! The bytes of a message to send.

use bytes::BufMut;

use super::{Layout, Payload};
use crate::base::{Code, Error, Limits, Message, Result};
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
    if ttheader {
        let mut header = HeaderWriter::begin(tail, frame.flags, frame.seq);
        fill_header(&mut header);
        header.finish(if framed { frame_len + 4 } else { frame_len })?;
    }
    // From here on nothing fails: the name is shorter than the frame, whose length is checked.
    if framed {
        tail.put_u32(wire_frame_len);
    }
    let version = match payload {
        Payload::ThriftBinary => Envelope::VERSION,
        Payload::KitexProtobuf => kitex_protobuf::VERSION,
    };
    message::write(tail, version, frame.kind, frame.name, frame.seq)?;
    out.put_message(frame.body);
    Ok(())
}

#[cold]
fn failed(text: String) -> Error {
    Error::new(Code::EncodeFailed, text)
}
