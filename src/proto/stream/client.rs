//! The client's end: it opens streams (ttstream.md §3.2).

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::cancel::Cancel;
use super::connection::{Connection, Role, sealed};
use super::ends::{self, End};
use super::id::{Ids, StreamKey};
use super::options::{Open, Options};
use super::outbox::Outgoing;
use super::ready::Ready;
use super::state::Stream;
use crate::base::{Code, Encoding, Error, Phase, Result, StreamReason, StreamSide};
use crate::wire::keys::{self, int};
use crate::wire::metainfo;
use crate::wire::thrift::ApplicationException;
use crate::wire::ttheader::{Header, HeaderWriter};
use crate::wire::ttstream::{self, Frame, FrameType, Head};

/// The client's role.
#[derive(Debug)]
pub struct Client {
    ids: Ids,
}

/// A client's connection.
pub type ClientConn = Connection<Client>;

impl Role for Client {
    const SIDE: StreamSide = StreamSide::Client;
}

impl Connection<Client> {
    /// A connection that was made at `now`.
    pub fn new(options: Options, now: Instant) -> ClientConn {
        let ids = Ids::starting_at(options.first_id);
        Connection::with_role(Client { ids }, options, now)
    }

    /// Whether [`ClientConn::open`] may succeed: the connection is neither ending nor saturated.
    pub fn can_open(&self, now: Instant) -> bool {
        self.life.takes_streams(now) && !self.life.is_draining() && self.has_slot()
    }

    /// Opens a stream; its HEADER leaves with the next transmit. On an error nothing has changed.
    pub fn open(&mut self, open: &Open<'_>, now: Instant) -> Result<StreamKey> {
        if self.life.is_closed() || self.life.is_draining() {
            return Err(Error::new(Code::Closed, "the connection is being closed").at(Phase::Connect));
        }
        if !self.has_slot() {
            let text = format!("too many streams on the connection, limit {}", self.options.streams.streams);
            return Err(Error::new(Code::Overload, text).at(Phase::Connect));
        }
        if ![Encoding::THRIFT_BINARY, Encoding::PROTOBUF].contains(&open.encoding) {
            return Err(Error::invalid_argument("encoding", "a stream carries Thrift Binary or protobuf"));
        }
        let left = open.timeouts.deadline.map(|at| at.saturating_duration_since(now));
        if left == Some(Duration::ZERO) {
            return Err(Error::new(
                Code::Timeout,
                "rpc timeout: the deadline has passed before the stream was \
                                                  opened",
            )
            .at(Phase::Connect));
        }
        let table = &self.table;
        let id = self.role.ids.next(|id| table.by_id(id).is_some());
        let frame = opening_frame(id, open, left).map_err(|error| error.at(Phase::Send))?;
        let mut stream = Stream::new(id, StreamSide::Client, open.method.clone(), open.encoding, now)?;
        stream.timeouts = open.timeouts;
        let key = self.table.insert(stream);
        self.open += 1;
        self.counters.opened += 1;
        self.inflow.shared_from(now);
        self.queue(key, Outgoing::Header(frame));
        if let Some(stream) = self.table.get_mut(key) {
            self.timers.arm(key, stream);
        }
        Ok(key)
    }

    /// Nothing more will be sent; receiving goes on. Does nothing the second time, or when the stream is
    /// over.
    pub fn close_send(&mut self, key: StreamKey) -> Result<()> {
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        if stream.send_end.is_some() {
            return Ok(());
        }
        stream.send_end = Some(ends::closed_send(StreamSide::Client));
        if std::mem::take(&mut stream.send_waits) {
            self.notify(key, Ready::WRITABLE);
        }
        self.queue_trailer(key);
        Ok(())
    }

    /// The server's HEADER: `None` while it may still come. It is missing where a server had none to send
    /// (`Ok(None)`), and an error where the stream failed before it. The same answer every time.
    pub fn header_result(&self, key: StreamKey) -> Option<Result<Option<&Header>, &Error>> {
        let stream = self.table.get(key)?;
        match (&stream.header, &stream.trailer, &stream.end) {
            (Some(header), ..) => Some(Ok(Some(header))),
            (None, Some(_), Some(_)) => Some(Ok(None)),
            (None, _, Some(End::Failed(error))) => Some(Err(error)),
            (None, _, Some(End::Eof)) => Some(Ok(None)),
            (None, _, None) => None,
        }
    }

    /// The server's TRAILER: `None` while it may still come, an error where the stream failed without one.
    /// The same answer every time.
    pub fn trailer_result(&self, key: StreamKey) -> Option<Result<&Header, &Error>> {
        let stream = self.table.get(key)?;
        match (&stream.trailer, &stream.end) {
            (Some(trailer), Some(_)) => Some(Ok(trailer)),
            (None, Some(End::Failed(error))) => Some(Err(error)),
            _ => None,
        }
    }

    fn has_slot(&self) -> bool {
        self.table.len() < self.options.streams.streams
    }

    /// Always empty (§1.3).
    fn queue_trailer(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get(key) else { return };
        let mut frame = BytesMut::new();
        // The same header as DATA has, which was encoded when the stream was made.
        if ttstream::encode(&mut frame, stream.head(FrameType::Trailer), |_| {}, b"").is_ok() {
            self.queue(key, Outgoing::Trailer(frame.freeze()));
        }
    }
}

impl sealed::Sealed for Client {
    fn on_header(conn: &mut ClientConn, key: Option<StreamKey>, frame: Frame, now: Instant) {
        let Some(key) = key else {
            conn.counters.unknown += 1;
            return;
        };
        let Some(stream) = conn.table.get_mut(key) else { return };
        if stream.header.is_some() {
            conn.counters.illegal += 1;
            let text = format!("stream[{}] already set header", frame.id);
            let cause = Error::new(Code::StreamProtocol, text);
            return conn.break_stream(key, StreamReason::UNEXPECTED_HEADER, &cause, now);
        }
        if !conn.inflow.keeps_header(stream, frame.header.wire_len(), &conn.options.streams) {
            let text = "no memory for its header on this connection";
            return conn.cancel(key, &Cancel::limit(Code::Overload, text), now);
        }
        stream.active_at = now;
        stream.header = Some(frame.header);
        conn.notify(key, Ready::HEADER);
    }

    fn on_trailer(conn: &mut ClientConn, key: StreamKey, frame: Frame, now: Instant) {
        let mut end = ends::of_trailer(Client::SIDE, &frame.header, &frame.payload, &conn.options.limits);
        let Some(stream) = conn.table.get_mut(key) else { return };
        if conn.inflow.keeps_header(stream, frame.header.wire_len(), &conn.options.streams) {
            stream.trailer = Some(frame.header);
        } else {
            let text = "no memory for its trailer on this connection";
            end = End::Failed(Cancel::limit(Code::Overload, text).error(Client::SIDE));
        }
        conn.end_stream(key, end, None, now);
    }

    fn on_meta(conn: &mut ClientConn, key: StreamKey, frame: Frame, now: Instant) {
        conn.keep_meta(key, frame, now);
    }

    fn on_stray(_: &mut ClientConn, _: i32, _: &Error) {}

    fn before_send(_: &mut Stream) -> Result<()> {
        Ok(())
    }

    /// RST where it is a cancel, and the one TRAILER that old servers wait for (§3.2 KEEP). A stream whose
    /// HEADER has not left is unknown to the peer.
    fn part(conn: &mut ClientConn, key: StreamKey, reset: Option<&Cancel>) {
        let Some(wire) = conn.table.get(key).map(|stream| stream.wire) else { return };
        if wire.header_written {
            if let Some(cancel) = reset.filter(|_| conn.options.peer_knows_rst) {
                conn.queue_rst(key, cancel);
            }
            if !wire.trailer_written {
                conn.queue_trailer(key);
            }
        }
        conn.close_wire(key);
    }

    fn lost(cause: &Error) -> Error {
        ends::lost_at_client(cause)
    }

    fn stop(conn: &mut ClientConn, key: StreamKey, now: Instant) {
        conn.cancel(key, &Cancel::closed("the client was closed"), now);
    }

    fn abandon(conn: &mut ClientConn, key: StreamKey, now: Instant) {
        conn.cancel(key, &Cancel::by_host("the stream was given up by its owner"), now);
    }
}

impl<R: Role> Connection<R> {
    /// An RST with its exception and path; without what does not fit.
    pub(super) fn queue_rst(&mut self, key: StreamKey, cancel: &Cancel) {
        let Some(stream) = self.table.get(key) else { return };
        let frame = rst_frame(stream.head(FrameType::Rst), cancel, &self.options.name);
        self.queue(key, Outgoing::Rst(frame));
    }
}

/// The bytes of an RST.
pub(super) fn rst_frame(head: Head<'_>, cancel: &Cancel, name: &[u8]) -> Bytes {
    let (code, text) = cancel.exception();
    let exception = ApplicationException::new(code, text);
    let payload = ttstream::exception::write(head.id, head.method, &exception).unwrap_or_default();
    let path = cancel.path_through(name);
    let add_path = |header: &mut HeaderWriter<'_>| {
        if !path.is_empty() {
            header.string(b"", keys::CANCEL_PATH, &path);
        }
    };
    let mut frame = BytesMut::new();
    if ttstream::encode(&mut frame, head, add_path, &payload).is_err() {
        // A path of 64 KiB: the cancel matters more.
        let _ = ttstream::encode(&mut frame, head, |_| {}, &payload);
    }
    frame.freeze()
}

/// The bytes of an opening HEADER (§1.3, §7).
fn opening_frame(id: i32, open: &Open<'_>, left: Option<Duration>) -> Result<Bytes> {
    let mut ints = open.ints.to_vec();
    if let Some(left) = left.filter(|_| open.tell_timeout) {
        let millis = left.as_millis().max(1).to_string();
        ints.push((int::RPC_TIMEOUT, millis.into()));
    }
    ints.sort_by_key(|(key, _)| *key);
    let head =
        Head { id, kind: FrameType::Header, method: open.method, encoding: open.encoding, ints: &ints };
    let mut frame = BytesMut::new();
    let strings = |header: &mut HeaderWriter<'_>| {
        metainfo::write_acl(open.metainfo, header);
        if !open.service.is_empty() {
            header.string(b"", keys::IDL_SERVICE_NAME, open.service);
        }
        metainfo::write_after_acl(open.metainfo, header);
        open.strings.iter().for_each(|(key, value)| _ = header.string(b"", key, value));
    };
    ttstream::encode(&mut frame, head, strings, b"")?;
    Ok(frame.freeze())
}
