//! The envelope around every Thrift message: type, method name, sequence id (ttheader.md §4.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::{Code, Error, Limits, Result};
use crate::wire::be;

/// What a message is; the same numbers in Thrift and in Kitex-protobuf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// A request.
    Call = 1,
    /// The answer to a request; declared exceptions too.
    Reply = 2,
    /// An application exception instead of an answer.
    Exception = 3,
    /// A request that is never answered.
    Oneway = 4,
}

impl MessageType {
    /// The type with this number. Type 5, Kitex's internal stream type, is refused like the others.
    pub fn from_number(number: u16) -> Result<MessageType> {
        Ok(match number {
            1 => MessageType::Call,
            2 => MessageType::Reply,
            3 => MessageType::Exception,
            4 => MessageType::Oneway,
            _ => return Err(bad_type(number)),
        })
    }

    /// Whether it is sent by a client.
    pub const fn is_request(self) -> bool {
        matches!(self, MessageType::Call | MessageType::Oneway)
    }
}

/// Type, method name and sequence id of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// What the message is.
    pub kind: MessageType,
    /// Method name; not necessarily UTF-8, may be empty on an EXCEPTION.
    pub name: Bytes,
    /// Sequence id.
    pub seq: i32,
}

impl Envelope {
    /// High half of the first word of a strict message.
    pub const VERSION: u16 = 0x8001;

    /// Size without the method name.
    pub const FIXED_BYTES: usize = 12;

    /// Splits an envelope off the front; `None` when more bytes are needed. Messages without the
    /// version word are read only with [`Limits::allow_old_style`].
    pub fn read(buf: &mut BytesMut, limits: &Limits) -> Result<Option<Envelope>> {
        let Some(head) = Head::peek(buf, limits)? else { return Ok(None) };
        let bytes = buf.split_to(head.len.min(buf.len())).freeze();
        Ok(Some(Envelope { kind: head.kind, name: head.name(&bytes, 0), seq: head.seq }))
    }

    /// Appends a strict envelope.
    pub fn write(&self, out: &mut BytesMut) -> Result<()> {
        write(out, Envelope::VERSION, self.kind, &self.name, self.seq)
    }
}

/// Where an envelope's parts are, relative to its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) kind: MessageType,
    pub(crate) seq: i32,
    pub(crate) name_at: usize,
    pub(crate) name_len: usize,
    /// Size of the envelope; the body follows.
    pub(crate) len: usize,
}

impl Head {
    /// Looks at the front of `bytes` without taking anything; `None` when more are needed.
    pub(crate) fn peek(bytes: &[u8], limits: &Limits) -> Result<Option<Head>> {
        let Some(word) = be::u32_at(bytes, 0) else { return Ok(None) };
        let [a, b, c, d] = word.to_be_bytes();
        if u16::from_be_bytes([a, b]) == Envelope::VERSION {
            let kind = MessageType::from_number(u16::from_be_bytes([c, d]))?;
            let Some(name_len) = be::i32_at(bytes, 4) else { return Ok(None) };
            Head::after_name(bytes, limits, Some(kind), 8, name_len)
        } else if limits.allow_old_style && a < 0x80 {
            Head::after_name(bytes, limits, None, 4, i32::from_be_bytes([a, b, c, d]))
        } else {
            Err(Error::new(Code::BadMessage, "ReadMessageBegin: bad version"))
        }
    }

    /// The method name: a slice of the buffer whose envelope starts at `at`.
    pub(crate) fn name(&self, bytes: &Bytes, at: usize) -> Bytes {
        let start = at + self.name_at;
        if self.name_len == 0 { Bytes::new() } else { bytes.slice(start..start + self.name_len) }
    }

    /// What comes behind the name length; without a strict first word, the type stands there too.
    fn after_name(
        bytes: &[u8],
        limits: &Limits,
        kind: Option<MessageType>,
        name_at: usize,
        name_len: i32,
    ) -> Result<Option<Head>> {
        let name_len = usize::try_from(name_len)
            .ok()
            .filter(|n| *n <= limits.frame_bytes)
            .ok_or_else(|| Error::new(Code::BadMessage, format!("invalid method name length {name_len}")))?;
        let mut at = name_at.saturating_add(name_len);
        let kind = match kind {
            Some(kind) => kind,
            None => {
                let Some(byte) = bytes.get(at) else { return Ok(None) };
                at += 1;
                MessageType::from_number(u16::from(*byte))?
            }
        };
        let seq = be::i32_at(bytes, at);
        Ok(seq.map(|seq| Head { kind, seq, name_at, name_len, len: at + 4 }))
    }
}

/// Appends an envelope under the given version word; Thrift and Kitex-protobuf share the layout.
pub(crate) fn write(
    out: &mut BytesMut,
    version: u16,
    kind: MessageType,
    name: &[u8],
    seq: i32,
) -> Result<()> {
    let name_len = i32::try_from(name.len()).map_err(|_| {
        Error::new(Code::EncodeFailed, format!("method name of {} bytes is too long", name.len()))
    })?;
    let ([a, b], [c, d, e, f]) = (version.to_be_bytes(), name_len.to_be_bytes());
    out.put_slice(&[a, b, 0, kind as u8, c, d, e, f]);
    out.put_slice(name);
    out.put_i32(seq);
    Ok(())
}

#[cold]
fn bad_type(number: u16) -> Error {
    Error::new(Code::BadMessage, format!("invalid message type {number}"))
}
