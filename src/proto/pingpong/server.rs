//! The server's side of a connection: requests are answered one at a time, in order, unless the client has
//! asked for answers in any order (ttheader.md §7.3).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::base::{Biz, Code, Error, Limits, Message, Metainfo, Phase, Result};
use crate::proto::mux::{self, Frames, OUT_OF_ORDER};
use crate::wire::detect::{self, Protocol};
use crate::wire::frame::{self, Decoder, Inbound, Layout, Outbound, Payload};
use crate::wire::keys::{self, int};
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::{ApplicationException, MessageType};
use crate::wire::ttheader::HeaderWriter;
use crate::wire::{biz, kitex_protobuf, metainfo};

/// Requests of one multiplexed connection that are handled at once; more stay in the socket.
const MAX_CONCURRENT: usize = 1024;

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
/// Feed [`ServerConn::receive`]; each request it returns takes exactly one [`ServerConn::reply`] with its
/// ticket. [`ServerConn::wake_at`] may change after every call.
#[derive(Debug)]
pub struct ServerConn {
    decoder: Decoder,
    frames: Frames,
    timeouts: Timeouts,
    /// Replies are sent with a checksum.
    checksum: bool,
    /// The requests that handlers work on, by ticket.
    pending: Pendings,
    detected: bool,
    /// The client takes answers in any order: requests don't wait for each other.
    multiplexed: bool,
    /// The client of a multiplexed connection can be told to send no more, and has not been.
    owes_notice: bool,
    /// The last bytes are on their way out.
    closing: bool,
    /// While the server stops: when the connection ends, or later, as soon as nothing is to be answered.
    drain_until: Option<Instant>,
    /// Since when the peer owes us the rest of a packet, or has been idle.
    waiting_since: Instant,
    mid_message: bool,
    /// Since when bytes have been waiting for the peer to take them.
    writing_since: Option<Instant>,
    /// Frames of a multiplexed connection that made no sense.
    passed_over: u64,
    /// Why the first of them made none, until somebody asks.
    first_fault: Option<Error>,
}

/// What a reply mirrors of its request (§3.4, §4.4).
#[derive(Debug)]
struct Pending {
    layout: Layout,
    seq: i32,
    method: Bytes,
}

/// Names a request of a connection until it is answered; then another request may have it.
pub type Ticket = u32;

/// A ticket for each request that is not answered.
#[derive(Debug, Default)]
struct Pendings {
    places: Vec<Option<Pending>>,
    free: Vec<Ticket>,
    count: usize,
}

impl Pendings {
    fn add(&mut self, pending: Pending) -> Ticket {
        self.count += 1;
        let ticket = self.free.pop();
        match ticket.and_then(|ticket| self.places.get_mut(ticket as usize)) {
            Some(place) => *place = Some(pending),
            None => self.places.push(Some(pending)),
        }
        // There are never more than MAX_CONCURRENT places.
        ticket.unwrap_or_else(|| Ticket::try_from(self.places.len() - 1).unwrap_or(Ticket::MAX))
    }

    fn take(&mut self, ticket: Ticket) -> Option<Pending> {
        let pending = self.places.get_mut(ticket as usize)?.take()?;
        self.count -= 1;
        self.free.push(ticket);
        Some(pending)
    }
}

impl ServerConn {
    /// A connection that was accepted at `now`.
    pub fn new(limits: Limits, timeouts: Timeouts, now: Instant) -> ServerConn {
        ServerConn {
            decoder: Decoder::new(limits),
            frames: Frames::new(limits),
            timeouts,
            checksum: limits.checksum,
            pending: Pendings::default(),
            detected: false,
            multiplexed: false,
            owes_notice: false,
            closing: false,
            drain_until: None,
            waiting_since: now,
            mid_message: false,
            writing_since: None,
            passed_over: 0,
            first_fault: None,
        }
    }

    /// Takes the next request out of `buf`, if it is complete and may be handled now.
    /// An error means: close without a reply (§1.6, §3.3, §4.1).
    pub fn receive(&mut self, buf: &mut BytesMut, now: Instant) -> Result<Option<(Ticket, Inbound)>> {
        if !self.can_receive() || buf.is_empty() {
            return Ok(None);
        }
        if !self.detected && !self.detect(buf)? {
            self.note_partial(true, now);
            return Ok(None);
        }
        let decoded = match self.multiplexed {
            true => self.cut(buf)?,
            false => self.decoder.decode(buf).map_err(|error| error.at(Phase::Decode))?,
        };
        let Some(inbound) = decoded else {
            self.note_partial(self.decoder.is_mid_message(buf), now);
            return Ok(None);
        };
        check_request(&inbound)?;
        self.mid_message = false;
        if !self.multiplexed
            && let Some(header) = inbound.header.as_ref().filter(|header| header.flags() & OUT_OF_ORDER != 0)
        {
            self.multiplexed = true;
            self.owes_notice = header.string(keys::TAKES_NOTICE).is_some();
        }
        let pending = Pending { layout: inbound.layout, seq: inbound.seq, method: inbound.name.clone() };
        Ok(Some((self.pending.add(pending), inbound)))
    }

    /// The next frame whose message makes sense; others are passed over, as Kitex does: their callers time
    /// out, all others live.
    fn cut(&mut self, buf: &mut BytesMut) -> Result<Option<Inbound>> {
        while let Some((_, message)) = self.frames.cut(buf)? {
            match message.and_then(|inbound| check_request(&inbound).map(|()| inbound)) {
                Ok(inbound) => return Ok(Some(inbound)),
                Err(error) => {
                    if self.passed_over == 0 {
                        self.first_fault = Some(error);
                    }
                    self.passed_over += 1;
                }
            }
        }
        Ok(None)
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

    /// Appends the answer to a request under way. An error means: close without a reply.
    pub fn reply(&mut self, out: &mut OutBuf, ticket: Ticket, reply: &Reply, now: Instant) -> Result<()> {
        let Some(pending) = self.pending.take(ticket) else {
            return Err(Error::new(Code::InvalidState, "no request waits for an answer"));
        };
        let close = matches!(&reply.answer, Answer::Exception(exception) if exception.close);
        let close = close && !self.multiplexed;
        if reply.answer != Answer::Oneway {
            let crrst = close || self.drain_until.is_some() && !self.multiplexed;
            write_reply(out, &pending, reply, crrst, self.checksum).map_err(|error| error.at(Phase::Send))?;
            self.writing_since.get_or_insert(now);
        }
        self.closing |= close;
        if self.pending.count == 0 && !self.mid_message {
            self.waiting_since = now;
        }
        Ok(())
    }

    /// Tells how many bytes still wait to be written after a write that moved some.
    pub fn written(&mut self, left: usize, now: Instant) {
        self.writing_since = (left > 0).then_some(now);
    }

    /// Starts the graceful stop: what has arrived is served, replies carry `crrst`, and the client of a
    /// multiplexed connection gets its notice, if it takes one. After the drain timeout the connection ends as soon as it
    /// has nothing to answer: a client that is busy and can't be told, for want of a header, would keep it
    /// for ever (§10).
    pub fn drain(&mut self, out: &mut OutBuf, now: Instant) -> Result<()> {
        self.drain_until.get_or_insert(now + self.timeouts.drain);
        if std::mem::take(&mut self.owes_notice) {
            // A client whose first request came late hears late: its calls on the way have the same time.
            self.drain_until = Some(now + self.timeouts.drain);
            mux::write_notice(out)?;
            self.writing_since.get_or_insert(now);
        }
        Ok(())
    }

    /// When [`ServerConn::expired`] wants to be asked.
    pub fn wake_at(&self) -> Option<Instant> {
        let writing = self.writing_since.map(|since| since + self.timeouts.write);
        let reading = match (self.can_receive(), self.mid_message) {
            (true, true) => Some(self.waiting_since + self.timeouts.read),
            // Who still takes a reply, or waits for one, is not idle.
            (true, false) if writing.is_none() && !self.is_handling() => {
                let idle = self.waiting_since + self.timeouts.idle;
                Some(self.drain_until.map_or(idle, |at| at.min(idle)))
            }
            _ => None,
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
        self.closing
    }

    /// Whether handlers work on requests.
    pub fn is_handling(&self) -> bool {
        self.pending.count > 0
    }

    /// Whether the next request may be handled: the ones before it are answered, or need not be.
    pub fn can_receive(&self) -> bool {
        let most = if self.multiplexed { MAX_CONCURRENT } else { 1 };
        !self.closing && self.pending.count < most
    }

    /// Frames that were passed over because they made no sense.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// What was wrong with the first of them, once.
    pub fn first_fault(&mut self) -> Option<Error> {
        self.first_fault.take()
    }

    /// How many bytes are worth reading at least, at least 1.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        if self.multiplexed { self.frames.missing(buf) } else { self.decoder.missing(buf) }
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
fn write_reply(
    out: &mut OutBuf,
    pending: &Pending,
    reply: &Reply,
    crrst: bool,
    checksum: bool,
) -> Result<()> {
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
    frame::encode(out, &outbound, |header| {
        write_header(header, reply, crrst);
        // Behind the handler's pairs: of two values of a key the last one counts.
        if checksum {
            header.checksum();
        }
        header.int(int::MSG_TYPE, if kind == MessageType::Exception { b"3" } else { b"2" });
    })
}

/// The string keys that Kitex's server meta handler writes (§2.2, §6).
fn write_header(header: &mut HeaderWriter<'_>, reply: &Reply, crrst: bool) {
    if let Answer::Biz(status) = &reply.answer {
        biz::write(status, header);
    }
    metainfo::write_backward(&reply.metainfo, header);
    if crrst {
        header.string(b"", keys::CONNECTION_RESET, b"1");
    }
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
