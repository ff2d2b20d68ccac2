//! The server's end: it is given streams, and each ends when its handler does (ttstream.md §3.3).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::cancel::Cancel;
use super::client::rst_frame;
use super::connection::{Connection, Role, sealed};
use super::ends::{self, End};
use super::id::StreamKey;
use super::options::Options;
use super::outbox::Outgoing;
use super::ready::Ready;
use super::state::{Pairs, Stream};
use crate::base::{
    Biz, Code, Encoding, Error, Metainfo, Phase, Result, StreamClass, StreamReason, StreamSide,
};
use crate::wire::keys::{self, int, protocol_id};
use crate::wire::thrift::ApplicationException;
use crate::wire::ttheader::{Header, HeaderWriter};
use crate::wire::ttstream::{self, Frame, FrameType, Head};
use crate::wire::{biz, metainfo};

/// The server's role.
#[derive(Debug)]
pub struct Server(());

/// A server's connection.
pub type ServerConn = Connection<Server>;

impl Role for Server {
    const SIDE: StreamSide = StreamSide::Server;
}

/// What a client asks for when it opens a stream.
#[derive(Clone, Debug)]
pub struct Opening {
    /// IDL name of the service; may be empty.
    pub service: Bytes,
    /// Method name; may be empty.
    pub method: Bytes,
    /// Pairs of the stream's context; what was transient has arrived.
    pub metainfo: Metainfo,
    /// Encoding of the messages.
    pub encoding: Encoding,
    /// When the client gives up, if it says so and is to be believed.
    pub deadline: Option<Instant>,
    /// Everything that the HEADER holds.
    pub header: Header,
}

/// How a handler ends.
#[derive(Clone, PartialEq, Debug)]
pub enum Finish {
    /// Well: the client receives the end of messages.
    Ok,
    /// With a business status.
    Biz(Biz),
    /// With an exception: the client receives its type and text.
    Exception {
        /// TApplicationException type id, e.g. 20 for an unknown service, or the host's own.
        type_id: i32,
        /// Text for the caller.
        text: Bytes,
    },
}

impl Finish {
    /// The handler failed with these words: type 6, in the reference's form.
    pub fn failed(text: impl std::fmt::Display) -> Finish {
        Finish::internal(format!("biz error: {text}"))
    }

    /// As an interceptor's error is, which is no handler's: a status as a status, a peer's exception and a
    /// stream's number as they are (§3.3).
    pub fn of(error: &Error) -> Finish {
        if let Some(status) = error.biz_status() {
            return Finish::Biz(status.clone());
        }
        if let Some(remote) = error.remote_exception() {
            return Finish::Exception { type_id: remote.type_id, text: remote.text.clone() };
        }
        match error.stream_reason() {
            Some(reason) => Finish::Exception { type_id: reason.code, text: reason.to_string().into() },
            None => Finish::internal(error.to_string()),
        }
    }

    /// The handler panicked: type 6, in the reference's form.
    pub fn panicked(service: &str, method: &str, what: impl std::fmt::Display) -> Finish {
        Finish::internal(format!(
            "panic: [happened in biz handler, method={service}.{method}, please check the panic at the server \
             side] {what}"
        ))
    }

    /// The server does not have the service.
    pub fn unknown_service(service: &str) -> Finish {
        let text = format!("unknown service {service}").into();
        Finish::Exception { type_id: ApplicationException::UNKNOWN_SERVICE, text }
    }

    /// The service does not have the method.
    pub fn unknown_method(method: &str) -> Finish {
        let text = format!("unknown method {method}").into();
        Finish::Exception { type_id: ApplicationException::UNKNOWN_METHOD, text }
    }

    /// The method takes calls: type 6, as the reference answers what was opened by hand.
    pub fn not_streaming(method: &str) -> Finish {
        Finish::internal(format!("not a streaming method: {method}"))
    }

    fn internal(text: String) -> Finish {
        Finish::Exception { type_id: ApplicationException::INTERNAL_ERROR, text: text.into() }
    }
}

impl Connection<Server> {
    /// A connection that was accepted at `now`, and whose first bytes are those of a stream
    /// ([`wire::detect`](crate::wire::detect)).
    pub fn new(options: Options, now: Instant) -> ServerConn {
        Connection::with_role(Server(()), options, now)
    }

    /// What the client of a stream asks for.
    pub fn opening(&self, key: StreamKey) -> Option<Opening> {
        let stream = self.table.get(key)?;
        let header = stream.header.clone()?;
        let service = header.string(keys::IDL_SERVICE_NAME).map(|name| header.slice(name));
        Some(Opening {
            service: service.unwrap_or_default(),
            method: stream.method.clone(),
            metainfo: metainfo::read_request(&header),
            encoding: stream.encoding,
            deadline: stream.timeouts.deadline,
            header,
        })
    }

    /// Adds pairs to the HEADER, which leaves before the first message or the end. A key that is there
    /// already gets the new value. On an error nothing has changed.
    pub fn set_header(&mut self, key: StreamKey, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        still_open(stream, stream.wire.header_queued, "stream header already sent")?;
        let merged = merge(&stream.reply_header, pairs);
        encode_pairs(stream.head(FrameType::Header), &merged, None, b"")?;
        stream.reply_header = merged;
        Ok(())
    }

    /// Sends the HEADER now, with these pairs too.
    pub fn send_header(&mut self, key: StreamKey, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        self.set_header(key, pairs)?;
        self.queue_header(key);
        Ok(())
    }

    /// Adds pairs to the TRAILER, which leaves when the handler ends. On an error nothing has changed.
    pub fn set_trailer(&mut self, key: StreamKey, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        still_open(stream, stream.wire.closed, "stream trailer already sent")?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| is_reserved(name)) {
            let why = format!("{} belongs to business statuses", String::from_utf8_lossy(name));
            return Err(Error::invalid_argument("trailer", why));
        }
        let merged = merge(&stream.reply_trailer, pairs);
        encode_pairs(stream.head(FrameType::Trailer), &merged, None, b"")?;
        stream.reply_trailer = merged;
        Ok(())
    }

    /// The handler has ended. HEADER, if it has not left, and TRAILER follow what was sent; the stream may
    /// not be used any more, and every use says so. Exactly once for each stream; where the stream was
    /// over before, it only gives it up.
    pub fn finish(&mut self, key: StreamKey, finish: &Finish, now: Instant) -> Result<()> {
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        if std::mem::replace(&mut stream.finished, true) {
            return Err(Error::new(Code::InvalidState, "the stream has been finished already"));
        }
        self.say_goodbye(key, finish);
        self.end_late_use(key, now);
        self.forget_if_done(key);
        Ok(())
    }

    /// HEADER and TRAILER, unless the connection is lost, we have reset the stream, or its id means
    /// another one by now. A client that has reset it is sent them all the same (§3.3).
    fn say_goodbye(&mut self, key: StreamKey, finish: &Finish) {
        let Some(stream) = self.table.get(key).filter(|stream| !stream.wire.closed) else { return };
        if self.table.by_id(stream.id).is_none_or(|linked| linked == key) {
            // What waited was dropped when the stream was reset: whoever did that, its client must not take
            // what it has for everything.
            let trailer = match (finish, &stream.end) {
                (Finish::Ok, Some(End::Failed(error))) => trailer_frame(stream, &Finish::failed(error)),
                _ => trailer_frame(stream, finish),
            };
            if !stream.wire.header_queued {
                self.queue_header(key);
            }
            self.queue(key, Outgoing::Trailer(trailer));
        }
        self.close_wire(key);
    }

    /// From now on every use is 12012 (§3.3).
    fn end_late_use(&mut self, key: StreamKey, now: Instant) {
        let error = Cancel::handler_returned().error(StreamSide::Server);
        let Some(stream) = self.table.get_mut(key) else { return };
        self.inflow.dropped(stream, &self.options.streams);
        self.life.touch(now);
        if let Some(End::Failed(first)) = &stream.end {
            // It stays, also where the client had said everything before: what it had said was dropped here.
            stream.recv_end = Some(End::Failed(first.clone()));
            return;
        }
        let mut ready = stream.end_both(End::Failed(error.clone()));
        stream.recv_end = Some(End::Failed(error));
        ready |= stream.wake_recv();
        self.timers.disarm(key, &mut self.table);
        self.table.unlink(key);
        self.notify(key, ready);
    }

    fn queue_header(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get_mut(key) else { return };
        let frame = take_header(stream);
        self.queue(key, Outgoing::Header(frame));
    }

    fn accept(&mut self, frame: Frame, now: Instant) {
        let method = frame.method();
        if let Some(why) = self.refusal(&frame, now) {
            self.counters.refused += 1;
            return self.refuse(frame.id, &method, &why);
        }
        let encoding = match frame.header.protocol_id() {
            protocol_id::PROTOBUF_STRUCT => Encoding::PROTOBUF,
            _ => Encoding::THRIFT_BINARY,
        };
        let Ok(mut stream) = Stream::new(frame.id, StreamSide::Server, method, encoding, now) else { return };
        if self.options.honour_timeout {
            stream.timeouts.deadline = told_timeout(&frame.header).and_then(|left| now.checked_add(left));
        }
        let weight = frame.header.wire_len();
        stream.header = Some(frame.header);
        let key = self.table.insert(stream);
        self.open += 1;
        self.counters.opened += 1;
        if let Some(stream) = self.table.get_mut(key) {
            self.inflow.keeps_header(stream, weight, &self.options.streams);
            self.timers.arm(key, stream);
        }
        self.notify(key, Ready::OPENED);
        if self.life.is_draining() {
            self.tell_stopping(key);
        }
    }

    fn refusal(&self, frame: &Frame, now: Instant) -> Option<String> {
        let limits = &self.options.streams;
        if !self.life.takes_streams(now) {
            return Some("the server is stopping".to_owned());
        }
        if self.table.len() >= limits.streams {
            return Some(format!("too many streams on the connection, limit {}", limits.streams));
        }
        let fits = self.inflow.header_fits(frame.header.wire_len(), limits);
        (!fits).then(|| "too many headers on the connection".to_owned())
    }

    /// Answers a HEADER without a stream: a TRAILER, which peers of every version understand.
    fn refuse(&mut self, id: i32, method: &[u8], text: &str) {
        let exception = ApplicationException::new(ApplicationException::INTERNAL_ERROR, text.to_owned());
        let payload = ttstream::exception::write(id, method, &exception).unwrap_or_default();
        let head =
            Head { id, kind: FrameType::Trailer, method, encoding: Encoding::THRIFT_BINARY, ints: &[] };
        // The method came in a header, so it fits into one.
        let _ = ttstream::encode(self.outflow.loose(), head, |_| {}, &payload);
    }
}

impl sealed::Sealed for Server {
    fn on_header(conn: &mut ServerConn, key: Option<StreamKey>, frame: Frame, now: Instant) {
        let Some(key) = key else { return conn.accept(frame, now) };
        conn.counters.illegal += 1;
        let cause = Error::new(Code::StreamProtocol, format!("stream[{}] already set header", frame.id));
        conn.break_stream(key, StreamReason::UNEXPECTED_HEADER, &cause, now);
    }

    fn on_trailer(conn: &mut ServerConn, key: StreamKey, frame: Frame, _: Instant) {
        let end = ends::of_trailer(Server::SIDE, &frame.header, &frame.payload, &conn.options.limits);
        let Some(stream) = conn.table.get_mut(key) else { return };
        if stream.recv_end.is_some() {
            conn.counters.late += 1;
            return;
        }
        if conn.inflow.keeps_header(stream, frame.header.wire_len(), &conn.options.streams) {
            stream.trailer = Some(frame.header);
        }
        conn.end_recv(key, end);
    }

    fn on_meta(conn: &mut ServerConn, key: StreamKey, _: Frame, now: Instant) {
        // Meant for clients (§1.3).
        conn.counters.metas_dropped += 1;
        conn.count_empty(key, now);
    }

    /// It may have been an opening HEADER, whose client waits.
    fn on_stray(conn: &mut ServerConn, id: i32, error: &Error) {
        if !conn.options.peer_knows_rst {
            return conn.refuse(id, b"", error.text());
        }
        let cancel = Cancel::protocol(StreamReason::ILLEGAL_FRAME, error.text().to_owned());
        let head =
            Head { id, kind: FrameType::Rst, method: b"", encoding: Encoding::THRIFT_BINARY, ints: &[] };
        let frame = rst_frame(head, &cancel, &conn.options.name);
        conn.counters.resets_sent += 1;
        conn.outflow.loose().extend_from_slice(&frame);
    }

    fn before_send(stream: &mut Stream) -> Result<()> {
        if !stream.wire.header_queued {
            let frame = take_header(stream);
            stream.outbox.push_frame(Outgoing::Header(frame));
        }
        Ok(())
    }

    /// A reset is the server's last word. Without one the handler has it.
    fn part(conn: &mut ServerConn, key: StreamKey, reset: Option<&Cancel>) {
        let Some(cancel) = reset else { return };
        if conn.options.peer_knows_rst {
            conn.queue_rst(key, cancel);
            conn.close_wire(key);
        } else {
            let (type_id, text) = cancel.exception();
            conn.say_goodbye(key, &Finish::Exception { type_id, text });
        }
    }

    fn lost(cause: &Error) -> Error {
        ends::lost_at_server(cause)
    }

    /// What was sent before is still the client's, then an exception, which peers of every version
    /// understand; the handler learns that there is no connection any more.
    fn stop(conn: &mut ServerConn, key: StreamKey, now: Instant) {
        let text = "the server has stopped before the stream ended";
        conn.say_goodbye(key, &Finish::internal(text.to_owned()));
        let code = StreamReason::CONNECTION_CLOSED;
        let reason = StreamReason::new(code, StreamClass::Canceled, StreamSide::Server, text);
        let error = Error::stream(Code::Closed, reason).at(Phase::Handler);
        let Some(stream) = conn.table.get_mut(key) else { return };
        conn.inflow.closes(stream);
        let ready = stream.end_both(End::Failed(error));
        conn.timers.disarm(key, &mut conn.table);
        conn.table.unlink(key);
        conn.life.touch(now);
        conn.notify(key, ready);
        conn.forget_if_done(key);
    }

    fn abandon(conn: &mut ServerConn, key: StreamKey, now: Instant) {
        // An error means that it was finished.
        let _ = conn.finish(key, &Finish::internal("handler gave no answer".to_owned()), now);
    }
}

/// The bytes of the HEADER; its pairs were tried when they were set.
fn take_header(stream: &mut Stream) -> Bytes {
    let pairs = std::mem::take(&mut stream.reply_header);
    stream.wire.header_queued = true;
    let head = stream.head(FrameType::Header);
    encode_pairs(head, &pairs, None, b"").or_else(|_| encode_pairs(head, &[], None, b"")).unwrap_or_default()
}

/// The bytes of the TRAILER. A status that does not fit becomes an exception that says so (§12 row 9).
fn trailer_frame(stream: &Stream, finish: &Finish) -> Bytes {
    let head = stream.head(FrameType::Trailer);
    let payload = |type_id: i32, text: Bytes| {
        ttstream::exception::write(stream.id, &stream.method, &ApplicationException::new(type_id, text))
            .unwrap_or_default()
    };
    let pairs = &stream.reply_trailer[..];
    let frame = match finish {
        Finish::Ok => encode_pairs(head, pairs, None, b""),
        Finish::Biz(status) => encode_pairs(head, pairs, Some(status), b""),
        Finish::Exception { type_id, text } => {
            encode_pairs(head, pairs, None, &payload(*type_id, text.clone()))
        }
    };
    frame
        .or_else(|error| {
            let text = match finish {
                Finish::Biz(status) => format!("biz error {}: {}", status.code, error.text()),
                _ => error.text().to_owned(),
            };
            encode_pairs(head, &[], None, &payload(ApplicationException::INTERNAL_ERROR, text.into()))
        })
        .unwrap_or_default()
}

fn encode_pairs(
    head: Head<'_>,
    pairs: &[(Bytes, Bytes)],
    status: Option<&Biz>,
    payload: &[u8],
) -> Result<Bytes> {
    let mut frame = BytesMut::new();
    let strings = |header: &mut HeaderWriter<'_>| {
        pairs.iter().for_each(|(key, value)| _ = header.string(b"", key, value));
        if let Some(status) = status {
            biz::write(status, header);
        }
    };
    ttstream::encode(&mut frame, head, strings, payload)?;
    Ok(frame.freeze())
}

/// Whether a HEADER or TRAILER can still be changed.
fn still_open(stream: &Stream, sent: bool, text: &'static str) -> Result<()> {
    match &stream.end {
        Some(End::Failed(error)) => Err(error.clone()),
        _ if sent => Err(Error::new(Code::InvalidState, text)),
        _ => Ok(()),
    }
}

fn merge(there: &[(Bytes, Bytes)], more: &[(Bytes, Bytes)]) -> Pairs {
    crate::base::last_wins(there.iter().chain(more).cloned())
}

fn is_reserved(name: &[u8]) -> bool {
    [keys::BIZ_STATUS, keys::BIZ_MESSAGE, keys::BIZ_EXTRA].contains(&name)
}

/// The timeout that a client tells: milliseconds in decimal, more than 0 (§5).
fn told_timeout(header: &Header) -> Option<Duration> {
    let millis: u64 = std::str::from_utf8(header.int(int::RPC_TIMEOUT)?).ok()?.parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}
