//! Frames of a multiplexed connection: TTHeader only, cut by their length.

use bytes::BytesMut;

use crate::base::{Limits, Message, Phase, Result};
use crate::wire::frame::{self, Decoder, Inbound, Layout, Outbound};
use crate::wire::keys;
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::MessageType;
use crate::wire::ttheader::Preamble;

/// Most room made ahead of what has arrived.
const RESERVE_BYTES: usize = 16 << 10;

/// Cuts frames off a growing buffer.
#[derive(Debug)]
pub struct Frames {
    decoder: Decoder,
    /// Bytes that the frame at the front of the buffer takes, as far as that is known.
    need: usize,
}

impl Frames {
    /// At the start of a frame.
    pub fn new(limits: Limits) -> Frames {
        Frames { decoder: Decoder::new(limits), need: Preamble::BYTES }
    }

    /// Takes the next frame off the front of `buf`, once it is all there: the sequence id of its header, and
    /// its message. Where a frame ends is certain, so a message that makes no sense leaves the ones behind
    /// it alone; an error of this function ends the connection.
    pub fn cut(&mut self, buf: &mut BytesMut) -> Result<Option<(i32, Result<Inbound>)>> {
        let preamble = Preamble::read(buf, self.decoder.limits()).map_err(|error| error.at(Phase::Decode))?;
        self.need = preamble.map_or(Preamble::BYTES, |preamble| preamble.frame_len());
        let Some(preamble) = preamble.filter(|_| buf.len() >= self.need) else { return Ok(None) };
        let frame = buf.split_to(self.need);
        self.need = Preamble::BYTES;
        Ok(Some((preamble.seq, self.decoder.decode_frame(preamble, frame))))
    }

    /// How many bytes are worth reading at least, at least 1; no more than is prudent on a peer's word.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.need.saturating_sub(buf.len()).clamp(1, buf.len().max(RESERVE_BYTES))
    }
}

/// Appends the control frame that asks the client for no more calls (example L).
pub fn write_notice(out: &mut OutBuf) -> Result<()> {
    let notice = Outbound {
        layout: Layout::TTHEADER,
        flags: 0,
        seq: 0,
        kind: MessageType::Reply,
        name: b"none",
        body: &Message::empty_struct(),
    };
    frame::encode(out, &notice, |header| {
        header.string(b"", keys::CONNECTION_RESET, b"1");
    })
}
