//! The server's side of a connection: requests are answered one at a time, in order.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::base::{Biz, Code, Error, Limits, Message, Metainfo, Phase, Result};
use crate::wire::detect::{self, Protocol};
use crate::wire::frame::{self, Decoder, Inbound, Layout, Outbound, Payload};
use crate::wire::keys::{self, int};
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::{ApplicationException, MessageType};
use crate::wire::ttheader::HeaderWriter;
use crate::wire::{biz, kitex_protobuf, metainfo};

/// How long a peer may keep a server waiting.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a started packet to arrive whole. Default 5 s.
    pub read: Duration,
    /// For a reply to be taken by the peer. Default 5 s.
    pub write: Duration,
    /// Between requests. Default 10 min.
    pub idle: Duration,
    /// Between the start of a graceful stop and the end of a connection that has nothing to answer, so
    /// that requests on their way are still served. Default 100 ms (§10).
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            read: Duration::from_secs(5),
            write: Duration::from_secs(5),
            idle: Duration::from_secs(600),
            drain: Duration::from_millis(100),
        }
    }
}

/// An application exception on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// TApplicationException type id (§4.5).
    pub type_id: i32,
    /// Text for the caller.
    pub text: Bytes,
    /// Whether the connection ends after it (X-CLOSE).
    pub close: bool,
}

/// How a request is answered.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// The *result* struct: a return value or a declared exception.
    Message(Message),
    /// A business status; carried by TTHeader only (§6).
    Biz(Biz),
    /// An application exception.
    Exception(Exception),
    /// Nothing is sent: the method is oneway.
    Oneway,
}

/// An answer and the pairs that go back with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// What to say.
    pub answer: Answer,
    /// Pairs of kind [`crate::base::MetainfoKind::Backward`]; others are ignored.
    pub metainfo: Metainfo,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply { answer, metainfo: Metainfo::new() }
    }
}

/// A server's connection without its socket.
///
/// Feed [`ServerConn::receive`]; each request it returns takes exactly one [`ServerConn::reply`]
/// before it returns the next. [`ServerConn::wake_at`] may change after every call.
#[derive(Debug)]
pub struct ServerConn {
    decoder: Decoder,
    timeouts: Timeouts,
    state: State,
    detected: bool,
    /// While the server stops: when the connection ends, or later, as soon as nothing is to be answered.
    drain_until: Option<Instant>,
    /// Since when the peer owes us the rest of a packet, or has been idle.
    waiting_since: Instant,
    mid_message: bool,
    /// Since when bytes have been waiting for the peer to take them.
    writing_since: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Between requests, or inside one that has not arrived whole.
    Reading,
    /// A handler works on this request.
    Handling(Pending),
    /// The last bytes are on their way out.
    Closing,
}

/// What a reply mirrors of its request (§3.4, §4.4).
#[derive(Debug)]
struct Pending {
    layout: Layout,
    seq: i32,
    method: Bytes,
}

impl ServerConn {
    /// A connection that was accepted at `now`.
    pub fn new(limits: Limits, timeouts: Timeouts, now: Instant) -> ServerConn {
        ServerConn {
            decoder: Decoder::new(limits),
            timeouts,
            state: State::Reading,
            detected: false,
            drain_until: None,
            waiting_since: now,
            mid_message: false,
            writing_since: None,
        }
    }

    /// Takes the next request out of `buf`, if it is complete and the one before it is answered.
    /// An error means: close without a reply (§1.6, §3.3, §4.1).
    pub fn receive(&mut self, buf: &mut BytesMut, now: Instant) -> Result<Option<Inbound>> {
        if !matches!(self.state, State::Reading) || buf.is_empty() {
            return Ok(None);
        }
        if !self.detected && !self.detect(buf)? {
            self.note_partial(true, now);
            return Ok(None);
        }
        let decoded = self.decoder.decode(buf).map_err(|error| error.at(Phase::Decode))?;
        let Some(inbound) = decoded else {
            self.note_partial(self.decoder.is_mid_message(buf), now);
            return Ok(None);
        };
        check_request(&inbound)?;
        self.mid_message = false;
        self.state = State::Handling(Pending {
            layout: inbound.layout,
            seq: inbound.seq,
            method: inbound.name.clone(),
        });
        Ok(Some(inbound))
    }

    /// Only the first bytes of a connection choose its protocol (§3.1).
    fn detect(&mut self, buf: &BytesMut) -> Result<bool> {
        match detect::detect(buf) {
            None => return Ok(false),
            Some(Protocol::Default) => self.detected = true,
            Some(protocol) => {
                let text = format!("{} is not served by this version", protocol.name());
                return Err(Error::new(Code::Unsupported, text).at(Phase::Decode));
            }
        }
        Ok(true)
    }

    fn note_partial(&mut self, mid_message: bool, now: Instant) {
        if mid_message && !self.mid_message {
            self.waiting_since = now;
        }
        self.mid_message = mid_message;
    }

    /// Appends the answer to the request under way. An error means: close without a reply.
    pub fn reply(&mut self, out: &mut OutBuf, reply: &Reply, now: Instant) -> Result<()> {
        let State::Handling(pending) = std::mem::replace(&mut self.state, State::Closing) else {
            return Err(Error::new(Code::InvalidState, "no request waits for an answer"));
        };
        let close = matches!(&reply.answer, Answer::Exception(exception) if exception.close);
        if reply.answer != Answer::Oneway {
            let crrst = close || self.drain_until.is_some();
            write_reply(out, &pending, reply, crrst).map_err(|error| error.at(Phase::Send))?;
            self.writing_since.get_or_insert(now);
        }
        if !close {
            self.state = State::Reading;
            self.waiting_since = now;
        }
        Ok(())
    }

    /// Tells how many bytes still wait to be written after a write that moved some.
    pub fn written(&mut self, left: usize, now: Instant) {
        self.writing_since = (left > 0).then_some(now);
    }

    /// Starts the graceful stop: what has arrived is served and replies carry `crrst`. After the drain
    /// timeout the connection ends as soon as it has nothing to answer: a client that is busy and can't
    /// be told, for want of a header, would keep it for ever (§10).
    pub fn drain(&mut self, now: Instant) {
        self.drain_until.get_or_insert(now + self.timeouts.drain);
    }

    /// When [`ServerConn::expired`] wants to be asked.
    pub fn wake_at(&self) -> Option<Instant> {
        let writing = self.writing_since.map(|since| since + self.timeouts.write);
        let reading = match (&self.state, self.mid_message) {
            (State::Reading, true) => Some(self.waiting_since + self.timeouts.read),
            // Who still takes a reply is not idle.
            (State::Reading, false) if writing.is_none() => {
                let idle = self.waiting_since + self.timeouts.idle;
                Some(self.drain_until.map_or(idle, |at| at.min(idle)))
            }
            (State::Reading | State::Handling(_) | State::Closing, _) => None,
        };
        [writing, reading].into_iter().flatten().min()
    }

    /// Why the connection must end now, if it must.
    pub fn expired(&self, now: Instant) -> Option<Error> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        let writing = self.writing_since.is_some_and(|since| since + self.timeouts.write <= now);
        Some(match (writing, self.mid_message) {
            (true, _) => Error::new(
                Code::WriteTimeout,
                format!("the peer took no bytes for {:?}", self.timeouts.write),
            )
            .at(Phase::Send),
            (_, true) => Error::new(
                Code::ReadTimeout,
                format!("a packet did not arrive whole within {:?}", self.timeouts.read),
            )
            .at(Phase::Wait),
            _ if self.drain_until.is_some() => {
                Error::new(Code::IdleTimeout, "nothing to answer while the server stops").at(Phase::Wait)
            }
            _ => Error::new(Code::IdleTimeout, format!("idle for {:?}", self.timeouts.idle)).at(Phase::Wait),
        })
    }

    /// Whether the connection ends once everything is written.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// Whether a handler works on a request.
    pub fn is_handling(&self) -> bool {
        matches!(self.state, State::Handling(_))
    }

    /// How many bytes are worth reading at least, at least 1.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.decoder.missing(buf)
    }
}

/// Only calls reach a server, and they have a method (§4.1).
fn check_request(inbound: &Inbound) -> Result<()> {
    let text = match inbound.kind {
        MessageType::Call | MessageType::Oneway if !inbound.name.is_empty() => return Ok(()),
        MessageType::Call | MessageType::Oneway => "the method name is empty".to_owned(),
        kind => format!("server side, invalid message type {}", kind as u8),
    };
    Err(Error::new(Code::BadMessage, text).at(Phase::Decode))
}

/// Mirrors the request's format (§3.4); the payload's sequence id goes into both places (§4.4).
fn write_reply(out: &mut OutBuf, pending: &Pending, reply: &Reply, crrst: bool) -> Result<()> {
    let exception_body;
    let biz_body;
    let (kind, body) = match &reply.answer {
        Answer::Message(message) => (MessageType::Reply, message),
        Answer::Exception(exception) => {
            exception_body = encode_exception(pending.layout.payload, exception)?;
            (MessageType::Exception, &exception_body)
        }
        Answer::Biz(_) | Answer::Oneway => {
            biz_body = empty_result(pending.layout.payload);
            (MessageType::Reply, &biz_body)
        }
    };
    let outbound =
        Outbound { layout: pending.layout, flags: 0, seq: pending.seq, kind, name: &pending.method, body };
    frame::encode(out, &outbound, |header| write_header(header, reply, kind, crrst))
}

/// The keys that Kitex's server meta handler writes (§2.1, §2.2, §6).
fn write_header(header: &mut HeaderWriter<'_>, reply: &Reply, kind: MessageType, crrst: bool) {
    if let Answer::Biz(status) = &reply.answer {
        biz::write(status, header);
    }
    metainfo::write_backward(&reply.metainfo, header);
    if crrst {
        header.string(b"", keys::CONNECTION_RESET, b"1");
    }
    header.int(int::MSG_TYPE, if kind == MessageType::Exception { b"3" } else { b"2" });
}

fn encode_exception(payload: Payload, exception: &Exception) -> Result<Message> {
    let exception = ApplicationException::new(exception.type_id, exception.text.clone());
    let mut body = BytesMut::new();
    match payload {
        Payload::ThriftBinary => exception.write(&mut body)?,
        Payload::KitexProtobuf => kitex_protobuf::write_exception(&exception, &mut body),
    }
    Ok(Message::new(payload.encoding(), body.freeze()))
}

fn empty_result(payload: Payload) -> Message {
    match payload {
        Payload::ThriftBinary => Message::empty_struct(),
        Payload::KitexProtobuf => Message::new(payload.encoding(), Bytes::new()),
    }
}
