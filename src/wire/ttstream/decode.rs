//! Cuts frames out of a growing buffer (ttstream.md §1.1, §1.2, §1.6).

use bytes::{Buf, Bytes, BytesMut};

use super::{Frame, FrameType};
use crate::base::{Code, Error, Limits, Result};
use crate::wire::keys::{flags, int};
use crate::wire::ttheader::preamble::too_large;
use crate::wire::ttheader::{self, Entry, Header, Preamble, Transforms};

/// What stood at the front of the buffer.
#[derive(Clone, Debug)]
pub enum Decoded {
    /// A frame.
    Frame(Frame),
    /// A frame of this stream that breaks the protocol or a limit. Where it ends is certain, so the
    /// frames behind it are sound: only its stream suffers (ttstream.md §12 row 8).
    Refused {
        /// The stream.
        id: i32,
        /// What is wrong.
        error: Error,
    },
}

/// Decodes the frames of one connection. After an error the bytes are out of step: close it.
#[derive(Debug)]
pub struct Decoder {
    /// The protocol's own limit; what is above it is not a frame at all.
    hard: Limits,
    frame_bytes: usize,
    header_bytes: usize,
    /// The header of the frame at the front, once it is whole and valid.
    lead: Option<Lead>,
    /// Bytes of a refused frame that are still to be thrown away.
    skip: usize,
    /// Bytes the buffer must hold before the next step can be made.
    need: usize,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug)]
struct Lead {
    preamble: Preamble,
    kind: FrameType,
    protocol_id: u8,
    /// Where the info blocks start in the frame.
    info_at: usize,
}

impl Decoder {
    /// Most that is reserved ahead of what has arrived.
    const RESERVE_BYTES: usize = 1 << 20;

    /// Smallest reservation, so that small frames come many in one read.
    const RESERVE_LEAST: usize = 16 << 10;

    /// A decoder at the start of a connection. `frame_bytes` of the limits bounds a frame,
    /// `header_bytes` its metadata.
    pub fn new(limits: Limits, header_bytes: usize) -> Decoder {
        Decoder {
            hard: Limits { frame_bytes: Limits::MAX_FRAME_BYTES, ..limits },
            frame_bytes: limits.frame_bytes.min(Limits::MAX_FRAME_BYTES),
            header_bytes,
            lead: None,
            skip: 0,
            need: Preamble::BYTES,
        }
    }

    /// Takes the next frame off the front of the buffer; `None` when it is not all there yet. Call
    /// again with more bytes at the end of the same buffer. Makes room for what is missing, but never
    /// for much more than has arrived already.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Decoded>> {
        if self.skip > 0 && !self.throw_away(buf) {
            return Ok(None);
        }
        let lead = match self.lead {
            Some(lead) => lead,
            None => match self.lead(buf)? {
                None => return Ok(self.wait(buf)),
                Some(Err((preamble, error))) => {
                    self.skip = preamble.frame_len();
                    self.throw_away(buf);
                    return Ok(Some(Decoded::Refused { id: preamble.seq, error }));
                }
                Some(Ok(lead)) => lead,
            },
        };
        let len = lead.preamble.frame_len();
        if buf.len() < len {
            self.lead = Some(lead);
            self.need = len;
            return Ok(self.wait(buf));
        }
        self.lead = None;
        self.need = Preamble::BYTES;
        Ok(Some(Decoded::Frame(lead.cut(buf.split_to(len).freeze()))))
    }

    /// Whether a frame has begun that is not all there: an end of the connection is then an error.
    pub fn is_mid_frame(&self, buf: &BytesMut) -> bool {
        !buf.is_empty() || self.skip > 0
    }

    /// How many bytes to read next, at least 1: what the current frame still lacks, as far as that is
    /// known, and no more than is prudent to reserve on a peer's word.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        let prudent = buf.len().clamp(Decoder::RESERVE_LEAST, Decoder::RESERVE_BYTES);
        self.need.saturating_sub(buf.len()).clamp(1, prudent)
    }

    /// Reads a header: `None` when it is not all there, and the inner error when only this frame is bad.
    #[allow(clippy::type_complexity)]
    fn lead(&mut self, bytes: &[u8]) -> Result<Option<Result<Lead, (Preamble, Error)>>> {
        let Some(preamble) = Preamble::read(bytes, &self.hard)? else {
            self.need = Preamble::BYTES;
            return Ok(None);
        };
        if preamble.flags & flags::STREAMING == 0 {
            // A ping-pong message on a stream's connection: nothing that follows can be ours (§2).
            let text = format!("unexpected header flags: {}", preamble.flags);
            return Err(Error::new(Code::BadHeader, text));
        }
        let header_len = preamble.header_len();
        if let Some(error) = self.over_limit(&preamble) {
            return Ok(Some(Err((preamble, error))));
        }
        let Some(area) = bytes.get(Preamble::BYTES..header_len) else {
            self.need = header_len;
            return Ok(None);
        };
        Ok(Some(read_area(&preamble, area).map_err(|error| (preamble, error))))
    }

    fn over_limit(&self, preamble: &Preamble) -> Option<Error> {
        let header = preamble.header_len() - Preamble::BYTES;
        if header > self.header_bytes {
            let text = format!("header of {header} bytes, larger than the limit({})", self.header_bytes);
            return Some(Error::new(Code::FrameTooLarge, text));
        }
        let len = preamble.frame_len() - 4;
        (len > self.frame_bytes).then(|| too_large(len, self.frame_bytes))
    }

    /// Drops what has arrived of a refused frame; whether all of it is gone.
    fn throw_away(&mut self, buf: &mut BytesMut) -> bool {
        let now = self.skip.min(buf.len());
        buf.advance(now);
        self.skip -= now;
        self.need = if self.skip > 0 { self.skip } else { Preamble::BYTES };
        self.skip == 0
    }

    fn wait(&self, buf: &mut BytesMut) -> Option<Decoded> {
        if !buf.is_empty() {
            buf.reserve(self.missing(buf));
        }
        None
    }
}

impl Lead {
    /// Splits a whole frame. What a frame keeps of its header is copied out, so that it does not hold
    /// on to everything that was read from the socket with it.
    fn cut(self, mut bytes: Bytes) -> Frame {
        let header_len = self.preamble.header_len();
        let info = match self.kind {
            FrameType::Data => Bytes::new(),
            _ => Bytes::copy_from_slice(bytes.get(self.info_at..header_len).unwrap_or_default()),
        };
        bytes.advance(header_len);
        Frame {
            id: self.preamble.seq,
            kind: self.kind,
            header: Header::of_info(&self.preamble, self.protocol_id, info),
            payload: bytes,
        }
    }
}

/// Checks the info blocks and finds the frame's type in them; later values win.
fn read_area(preamble: &Preamble, area: &[u8]) -> Result<Lead> {
    let mut digit: &[u8] = b"";
    let checked = ttheader::check_each(area, Transforms::Skip, |entry| {
        if let Entry::Int(int::FRAME_TYPE, value) = entry {
            digit = value;
        }
    })?;
    let Some(kind) = FrameType::from_digit(digit) else { return Err(unknown_type(digit)) };
    let info_at = Preamble::BYTES + checked.info_at;
    Ok(Lead { preamble: *preamble, kind, protocol_id: checked.protocol_id, info_at })
}

#[cold]
fn unknown_type(digit: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(digit.get(..16).unwrap_or(digit));
    Error::new(Code::BadHeader, format!("unexpected frame type: {shown}"))
}
