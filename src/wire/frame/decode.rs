//! Cuts messages out of a growing buffer (ttheader.md §3.2, §3.3, §4.6).

use bytes::{Buf, Bytes, BytesMut};

use super::{Inbound, Layout, Payload};
use crate::base::{Code, Error, Limits, Result};
use crate::wire::thrift::message::Head;
use crate::wire::thrift::{Envelope, MessageType, Skipper};
use crate::wire::ttheader::preamble::too_large;
use crate::wire::ttheader::{self, Header, Preamble};
use crate::wire::{be, checksum, keys, kitex_protobuf, mesh};

/// Bytes needed to tell the forms of a message apart.
const SNIFF_BYTES: usize = 8;

/// Decodes the messages of one connection, each in whichever form it comes. Remembers how far it
/// has got in the message at the front of the buffer, so that no byte is parsed again while the
/// rest trickles in. After an error the stream is out of step: close the connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The header of the message at the front of the buffer, once it is whole and valid.
    lead: Option<Lead>,
    /// The form of its payload, once sniffed.
    plan: Option<Plan>,
    /// The envelope of a message without a length; its body is being walked.
    walked: Option<Head>,
    skipper: Skipper,
    /// Bytes the buffer must hold before the next step can be made.
    need: usize,
}

/// What stands before the payload.
#[derive(Clone, Copy, Debug)]
enum Lead {
    None,
    TtHeader { preamble: Preamble, checked: ttheader::Checked },
    Mesh { len: usize },
}

/// Form and place of the payload.
#[derive(Clone, Copy, Debug)]
struct Plan {
    framed: bool,
    payload: Payload,
    /// Where the envelope starts.
    envelope_at: usize,
    /// Where the message ends, if a length says so.
    end: Option<usize>,
}

impl Decoder {
    /// Most that is reserved ahead of what has arrived.
    const RESERVE_BYTES: usize = 1 << 20;

    /// Smallest reservation, so that small messages come in one read.
    const RESERVE_LEAST: usize = 16 << 10;

    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Decoder {
        let frame_bytes = limits.frame_bytes.min(Limits::MAX_FRAME_BYTES);
        Decoder {
            limits: Limits { frame_bytes, ..limits },
            lead: None,
            plan: None,
            walked: None,
            skipper: Skipper::new(limits.depth),
            need: SNIFF_BYTES,
        }
    }

    /// Takes the next message off the front of the buffer; `None` when it is not all there yet. Call
    /// again with more bytes at the end of the same buffer. Makes room for what is missing, but
    /// never for much more than has arrived already.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Inbound>> {
        match self.find(buf)? {
            Some(found) => {
                self.reset();
                let message = buf.split_to(found.end.min(buf.len()));
                Ok(Some(found.cut(message.freeze())))
            }
            None => {
                if !buf.is_empty() {
                    buf.reserve(self.missing(buf));
                }
                Ok(None)
            }
        }
    }

    /// Decodes a frame that is all there, and nothing else, with the preamble that has been read from it. An
    /// error concerns this frame only.
    pub(crate) fn decode_frame(&mut self, preamble: Preamble, frame: BytesMut) -> Result<Inbound> {
        self.reset();
        let area = frame.get(Preamble::BYTES..preamble.header_len()).unwrap_or_default();
        self.lead = Some(Lead::TtHeader { preamble, checked: ttheader::check(area)? });
        match self.find(&frame)? {
            Some(found) if found.end == frame.len() => Ok(found.cut(frame.freeze())),
            _ => Err(Error::new(Code::BadPayload, "the frame's length and its message disagree")),
        }
    }

    /// What it reads by.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A message begins.
    fn reset(&mut self) {
        (self.lead, self.plan, self.walked, self.need) = (None, None, None, SNIFF_BYTES);
    }

    /// Whether a message has begun that is not all there: the read timeout runs, and an end of the
    /// stream is an error.
    pub fn is_mid_message(&self, buf: &BytesMut) -> bool {
        !buf.is_empty()
    }

    /// How many bytes to read next, at least 1: what the current message still lacks, as far as that
    /// is known, and no more than is prudent to reserve on a peer's word.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        let prudent = buf.len().clamp(Decoder::RESERVE_LEAST, Decoder::RESERVE_BYTES);
        self.need.saturating_sub(buf.len()).clamp(1, prudent)
    }

    /// Finds the message at the front of `bytes`, or notes in `need` what it takes to go on.
    fn find(&mut self, bytes: &[u8]) -> Result<Option<Found>> {
        let Some(lead) = self.lead(bytes)? else { return Ok(None) };
        let Some(plan) = self.plan(bytes, lead)? else { return Ok(None) };
        let Some(end) = plan.end else { return self.walk(bytes, lead, plan) };
        let Some(payload) = bytes.get(plan.envelope_at..end) else { return self.wait(end) };
        if self.limits.checksum {
            check_payload(bytes, lead, end)?;
        }
        let envelope = match plan.payload {
            Payload::KitexProtobuf => kitex_protobuf::peek(payload)?,
            Payload::ThriftBinary => Head::peek(payload, &self.limits)?
                .ok_or_else(|| Error::new(Code::BadMessage, "ReadMessageBegin: buf too small"))?,
        };
        check_name(&envelope)?;
        Ok(Some(Found { lead, plan, envelope, end }))
    }

    /// Reads what stands before the payload, once.
    fn lead(&mut self, bytes: &[u8]) -> Result<Option<Lead>> {
        if let Some(lead) = self.lead {
            return Ok(Some(lead));
        }
        let (Some(first), Some(second)) = (be::u16_at(bytes, 0), be::u32_at(bytes, 4)) else {
            return self.wait(SNIFF_BYTES);
        };
        let lead = if second >> 16 == u32::from(Preamble::MAGIC) {
            let Some(preamble) = Preamble::read(bytes, &self.limits)? else {
                return self.wait(Preamble::BYTES);
            };
            let len = preamble.header_len();
            let Some(area) = bytes.get(Preamble::BYTES..len) else { return self.wait(len) };
            Lead::TtHeader { preamble, checked: ttheader::check(area)? }
        } else if first == mesh::MAGIC {
            match mesh::peek(bytes)? {
                Some(len) => Lead::Mesh { len },
                None => return self.wait(4 + be::u16_at(bytes, 2).map_or(0, usize::from)),
            }
        } else {
            Lead::None
        };
        self.lead = Some(lead);
        Ok(Some(lead))
    }

    /// Sniffs the payload's first 8 bytes, once (ttheader.md §3.3).
    fn plan(&mut self, bytes: &[u8], lead: Lead) -> Result<Option<Plan>> {
        if let Some(plan) = self.plan {
            return Ok(Some(plan));
        }
        let at = lead.len();
        let payload_len = match lead {
            Lead::TtHeader { preamble, .. } => Some(preamble.payload_len()),
            _ => None,
        };
        if let Some(len) = payload_len.filter(|len| *len < SNIFF_BYTES) {
            // The frame is over, so waiting for its 8 bytes, as Kitex does, could only time out.
            let text = format!("invalid payload, {len} bytes after the TTHeader");
            return Err(Error::new(Code::BadPayload, text));
        }
        let (Some(a), Some(b)) = (be::u32_at(bytes, at), be::u32_at(bytes, at + 4)) else {
            return self.wait(at + SNIFF_BYTES);
        };
        let (framed, payload) = self.sniff(a, b)?;
        let plan = if framed {
            let frame_len = be::length(a);
            if payload_len.is_some_and(|len| len - 4 != frame_len) {
                return Err(frames_disagree(frame_len, payload_len.unwrap_or_default()));
            }
            if frame_len > self.limits.frame_bytes {
                return Err(too_large(frame_len, self.limits.frame_bytes));
            }
            Plan { framed, payload, envelope_at: at + 4, end: Some(at + 4 + frame_len) }
        } else {
            Plan { framed, payload, envelope_at: at, end: payload_len.map(|len| at + len) }
        };
        self.plan = Some(plan);
        Ok(Some(plan))
    }

    /// Whether the payload is framed, and what it is. Refuses message types early, while only their
    /// word has arrived.
    fn sniff(&self, a: u32, b: u32) -> Result<(bool, Payload)> {
        let (version, kind) = (|word: u32| word >> 16, |word: u32| word & 0xFFFF);
        let (framed, payload, kind) = if version(a) == u32::from(Envelope::VERSION) {
            (false, Payload::ThriftBinary, kind(a))
        } else if version(b) == u32::from(Envelope::VERSION) {
            (true, Payload::ThriftBinary, kind(b))
        } else if version(b) == u32::from(kitex_protobuf::VERSION) {
            (true, Payload::KitexProtobuf, kind(b))
        } else if self.limits.allow_old_style
            && let Some(framed) = self.sniff_old_style(a, b)
        {
            return Ok((framed, Payload::ThriftBinary));
        } else {
            let text = format!("invalid payload (first4Bytes={a:#x}, second4Bytes={b:#x})");
            return Err(Error::new(Code::BadPayload, text));
        };
        MessageType::from_number(u16::try_from(kind).unwrap_or(u16::MAX))?;
        Ok((framed, payload))
    }

    /// Whether an old-style message, which has no magic, is framed: then its second word is the
    /// length of the method name. Unframed, the name itself stands there, and the first letter of a
    /// name makes too large a length.
    fn sniff_old_style(&self, a: u32, b: u32) -> Option<bool> {
        let (a, b) = (be::length(a), be::length(b));
        if a == 0 || a > self.limits.frame_bytes {
            return None;
        }
        // Name length, type and sequence id take 9 bytes of the frame.
        if b > 0 && b.saturating_add(9) <= a {
            return Some(true);
        }
        (b > 0x00FF_FFFF).then_some(false)
    }

    /// Follows a message without a length to its end (ttheader.md §4.6).
    fn walk(&mut self, bytes: &[u8], lead: Lead, plan: Plan) -> Result<Option<Found>> {
        let rest = bytes.get(plan.envelope_at..).unwrap_or_default();
        let envelope = match self.walked {
            Some(envelope) => envelope,
            None => {
                let Some(envelope) = Head::peek(rest, &self.limits)? else {
                    return self.wait_within_limit(plan.envelope_at + known_envelope_len(rest));
                };
                check_name(&envelope)?;
                self.skipper.reset();
                self.walked = Some(envelope);
                envelope
            }
        };
        let body_at = plan.envelope_at + envelope.len;
        match self.skipper.advance(bytes.get(body_at..).unwrap_or_default())? {
            Some(len) if body_at + len <= self.limits.frame_bytes => {
                Ok(Some(Found { lead, plan, envelope, end: body_at + len }))
            }
            Some(len) => Err(too_large(body_at + len, self.limits.frame_bytes)),
            None => self.wait_within_limit(body_at.saturating_add(self.skipper.needed())),
        }
    }

    fn wait<T>(&mut self, need: usize) -> Result<Option<T>> {
        self.need = need;
        Ok(None)
    }

    fn wait_within_limit<T>(&mut self, need: usize) -> Result<Option<T>> {
        if need > self.limits.frame_bytes {
            return Err(too_large(need, self.limits.frame_bytes));
        }
        self.wait(need)
    }
}

impl Lead {
    fn len(self) -> usize {
        match self {
            Lead::None => 0,
            Lead::TtHeader { preamble, .. } => preamble.header_len(),
            Lead::Mesh { len } => len,
        }
    }
}

/// A whole message at the front of the buffer.
struct Found {
    lead: Lead,
    plan: Plan,
    envelope: Head,
    end: usize,
}

impl Found {
    /// Takes it apart. Header, name and body share the message's memory.
    fn cut(self, mut bytes: Bytes) -> Inbound {
        let Found { lead, plan, envelope, .. } = self;
        let header = match lead {
            Lead::None => None,
            Lead::TtHeader { preamble, checked } => Some(Header::new(&preamble, checked, &bytes)),
            Lead::Mesh { len } => Some(mesh::header(&bytes, len)),
        };
        let name = envelope.name(&bytes, plan.envelope_at);
        bytes.advance(plan.envelope_at + envelope.len);
        Inbound {
            layout: Layout {
                ttheader: matches!(lead, Lead::TtHeader { .. }),
                framed: plan.framed,
                payload: plan.payload,
            },
            header,
            kind: envelope.kind,
            name,
            seq: envelope.seq,
            body: bytes,
        }
    }
}

/// A payload that brings a checksum has to match it; it is not parsed before (ttheader.md §9).
fn check_payload(bytes: &[u8], lead: Lead, end: usize) -> Result<()> {
    let Lead::TtHeader { preamble, .. } = lead else { return Ok(()) };
    let at = preamble.header_len();
    let info = bytes.get(Preamble::BYTES + 2..at).unwrap_or_default();
    let payload = bytes.get(at..end).unwrap_or_default();
    match ttheader::find_string(info, keys::CRC32C) {
        Some(expected) => checksum::check(expected, payload),
        None => Ok(()),
    }
}

/// A request has to name its method; a proxy's exception need not (ttheader.md §4.4).
fn check_name(envelope: &Head) -> Result<()> {
    if envelope.name_len == 0 && envelope.kind.is_request() {
        return Err(Error::new(Code::BadMessage, "method name that receive is empty"));
    }
    Ok(())
}

/// What an envelope that is not all there takes at least.
fn known_envelope_len(bytes: &[u8]) -> usize {
    let strict = be::u16_at(bytes, 0) == Some(Envelope::VERSION);
    let (at, fixed) = if strict { (4, Envelope::FIXED_BYTES) } else { (0, 9) };
    fixed.saturating_add(be::u32_at(bytes, at).map_or(0, be::length))
}

#[cold]
fn frames_disagree(frame_len: usize, payload_len: usize) -> Error {
    // Kitex believes the inner length and reads what is left over as the next message.
    let text = format!("frame length {frame_len} in a TTHeader payload of {payload_len} bytes");
    Error::new(Code::BadPayload, text)
}
