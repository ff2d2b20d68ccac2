//! What both ends of a connection do for the host.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::cancel::Cancel;
use super::counters::Counters;
use super::ends::{self, End};
use super::id::StreamKey;
use super::inflow::Inflow;
use super::life::Life;
use super::options::{Options, RecvTimeout, StreamTimeouts};
use super::outflow::Outflow;
use super::ready::Ready;
use super::state::{Stream, StreamStats};
use super::table::Table;
use super::timers::Timers;
use crate::base::{Error, Message, Result, StreamSide};
use crate::wire::ttheader::Header;
use crate::wire::ttstream::{Decoder, Frame};

/// One end of a connection that carries streams.
#[derive(Debug)]
pub struct Connection<R> {
    pub(super) role: R,
    pub(super) options: Options,
    pub(super) decoder: Decoder,
    pub(super) table: Table,
    pub(super) inflow: Inflow,
    pub(super) outflow: Outflow,
    pub(super) timers: Timers,
    pub(super) ready: VecDeque<StreamKey>,
    pub(super) life: Life,
    /// Streams for which we may still have to write something.
    pub(super) open: usize,
    pub(super) counters: Counters,
}

/// What differs between the ends. [`Client`](super::Client) and [`Server`](super::Server) are all there are.
pub trait Role: Sized + sealed::Sealed {
    /// Which end it is.
    const SIDE: StreamSide;
}

pub(super) mod sealed {
    use std::time::Instant;

    use super::{Cancel, Connection, Stream, StreamKey};
    use crate::base::{Error, Result};
    use crate::wire::ttstream::Frame;

    /// Reactions that only this crate defines.
    pub trait Sealed: Sized {
        fn on_header(conn: &mut Connection<Self>, key: Option<StreamKey>, frame: Frame, now: Instant);
        fn on_trailer(conn: &mut Connection<Self>, key: StreamKey, frame: Frame, now: Instant);
        fn on_meta(conn: &mut Connection<Self>, key: StreamKey, frame: Frame, now: Instant);
        /// A bad frame of a stream that is not there.
        fn on_stray(conn: &mut Connection<Self>, id: i32, error: &Error);
        /// Queues what must come before the first message.
        fn before_send(stream: &mut Stream) -> Result<()>;
        /// Queues the frames with which this end parts from a stream that is over.
        fn part(conn: &mut Connection<Self>, key: StreamKey, reset: Option<&Cancel>);
        /// What a lost connection means to a stream.
        fn lost(cause: &Error) -> Error;
        /// Ends a stream that has outlived a graceful stop.
        fn stop(conn: &mut Connection<Self>, key: StreamKey, now: Instant);
        /// The host gives a stream back that it has not brought to its end.
        fn abandon(conn: &mut Connection<Self>, key: StreamKey, now: Instant);
    }
}

/// What became of a message to send.
#[derive(Debug)]
#[must_use]
pub enum Sent {
    /// It will be sent.
    Accepted,
    /// A budget is full: here it is again. [`Ready::WRITABLE`] says when to try once more.
    Full(Message),
}

/// What recv found.
#[derive(Debug)]
#[must_use]
pub enum Recv {
    /// The next message.
    Message(Message),
    /// Nothing yet: [`Ready::READABLE`] says when to look again. The receive timeout runs from here.
    Pending,
    /// The peer has said everything. Stays.
    Eof,
    /// The stream has failed, which stays; or, where [`StreamReason::can_retry`] says so, only this recv.
    ///
    /// [`StreamReason::can_retry`]: crate::base::StreamReason::can_retry
    Failed(Error),
}

impl<R: Role> Connection<R> {
    pub(super) fn with_role(role: R, options: Options, now: Instant) -> Connection<R> {
        Connection {
            role,
            decoder: Decoder::new(options.limits, options.streams.header_bytes),
            table: Table::new(options.seed),
            options,
            inflow: Inflow::default(),
            outflow: Outflow::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            life: Life::new(now),
            open: 0,
            counters: Counters::default(),
        }
    }

    /// The next stream on which something has become possible, and what. Changes with every other
    /// method; each fact is told once.
    pub fn poll_ready(&mut self) -> Option<(StreamKey, Ready)> {
        while let Some(key) = self.ready.pop_front() {
            let Some(stream) = self.table.get_mut(key) else { continue };
            let ready = std::mem::take(&mut stream.ready);
            if !ready.is_empty() {
                return Some((key, ready));
            }
        }
        None
    }

    /// Leaves a message to be sent. On an error, or when there is no room, nothing has changed.
    pub fn send(&mut self, key: StreamKey, message: Message, now: Instant) -> Result<Sent> {
        let limits = &self.options.streams;
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        if let Some(end) = &stream.send_end {
            return Err(end.clone());
        }
        stream.data.check(message.len())?;
        let room = self.outflow.has_room(limits);
        if !room || !stream.outbox.has_room(limits) {
            stream.send_waits = true;
            if !room {
                self.outflow.wait_for_room(key, stream);
            }
            return Ok(Sent::Full(message));
        }
        R::before_send(stream)?;
        stream.active_at = now;
        stream.stats.messages_sent += 1;
        stream.stats.bytes_sent += u64::try_from(message.len()).unwrap_or(u64::MAX);
        let weight = stream.outbox.push_data(message);
        self.outflow.add(key, stream, weight);
        Ok(Sent::Accepted)
    }

    /// Asks for [`Ready::FLUSHED`] when everything sent so far is with the socket.
    pub fn flush(&mut self, key: StreamKey) -> Result<()> {
        let stream = self.table.get_mut(key).ok_or_else(ends::no_stream)?;
        if stream.outbox.is_empty() {
            self.outflow.flush_at_end(key);
        } else {
            stream.turn.flush = true;
        }
        self.tell_flushed();
        Ok(())
    }

    /// Takes the next message, or says how receiving ended. At most one recv waits at a time.
    pub fn recv(&mut self, key: StreamKey, now: Instant) -> Recv {
        let found = self.fetch(key);
        if let (Recv::Pending, Some(stream)) = (&found, self.table.get_mut(key))
            && let (None, Some(RecvTimeout { timeout, .. })) = (stream.recv_until, stream.timeouts.recv)
        {
            stream.recv_until = now.checked_add(timeout);
            self.timers.arm(key, stream);
        }
        found
    }

    /// As [`Connection::recv`], but no receive timeout starts: for whoever fetches ahead of a host that
    /// does not wait yet.
    pub fn fetch(&mut self, key: StreamKey) -> Recv {
        let Some(stream) = self.table.get_mut(key) else { return Recv::Failed(ends::no_stream()) };
        if let Some((bytes, weight)) = stream.inbox.pop() {
            stream.stats.messages_received += 1;
            stream.stats.bytes_received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let message = Message::new(stream.encoding, bytes);
            self.inflow.took(stream, weight, &self.options.streams);
            return Recv::Message(message);
        }
        if let Some(missed) = stream.recv_missed.take() {
            return Recv::Failed(missed);
        }
        match &stream.recv_end {
            Some(End::Eof) => Recv::Eof,
            Some(End::Failed(error)) => Recv::Failed(error.clone()),
            None => {
                stream.recv_waits = true;
                Recv::Pending
            }
        }
    }

    /// Withdraws a recv that waits. Its message, when it comes, is for the next one.
    pub fn cancel_recv(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.recv_waits = false;
            (stream.recv_until, stream.recv_missed) = (None, None);
        }
    }

    /// Ends the stream now, in both directions: the peer is told why, what waits to be sent is dropped,
    /// what has arrived can still be taken. Nothing happens if it is over.
    pub fn cancel(&mut self, key: StreamKey, cancel: &Cancel, now: Instant) {
        let error = cancel.error(R::SIDE);
        self.end_stream(key, End::Failed(error), Some(cancel), now);
    }

    /// Gives the key back. A client's stream that is not over is cancelled; a server's that has not been
    /// finished ends with an exception.
    pub fn release(&mut self, key: StreamKey, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.released = true;
        stream.ready = Ready::NONE;
        self.inflow.dropped(stream, &self.options.streams);
        R::abandon(self, key, now);
        self.forget_if_done(key);
    }

    /// How the stream ended, once it is over in both directions.
    pub fn end(&self, key: StreamKey) -> Option<&End> {
        self.table.get(key)?.end.as_ref()
    }

    /// Why nothing can be sent any more, once that is so.
    pub fn send_end(&self, key: StreamKey) -> Option<&Error> {
        self.table.get(key)?.send_end.as_ref()
    }

    /// The peer's HEADER. `None`: not there, and it may still come (client, see [`Ready::HEADER`]) unless
    /// the stream is over. Does not change once it is there.
    pub fn header(&self, key: StreamKey) -> Option<&Header> {
        self.table.get(key)?.header.as_ref()
    }

    /// The peer's TRAILER, `biz-*` included. A stream that ended without one has none.
    pub fn trailer(&self, key: StreamKey) -> Option<&Header> {
        self.table.get(key)?.trailer.as_ref()
    }

    /// The next META frame, which a proxy has put in (§1.3).
    pub fn take_meta(&mut self, key: StreamKey) -> Option<Frame> {
        self.table.get_mut(key)?.metas.pop_front()
    }

    /// Changes the clocks of a stream; a recv that waits keeps its own.
    pub fn set_timeouts(&mut self, key: StreamKey, timeouts: StreamTimeouts) {
        if let Some(stream) = self.table.get_mut(key) {
            stream.timeouts = timeouts;
            self.timers.arm(key, stream);
        }
    }

    /// The stream's number on the wire, for logs.
    pub fn id(&self, key: StreamKey) -> Option<i32> {
        self.table.get(key).map(|stream| stream.id)
    }

    /// The stream's method.
    pub fn method(&self, key: StreamKey) -> Option<&Bytes> {
        self.table.get(key).map(|stream| &stream.method)
    }

    /// Messages and bytes of a stream so far.
    pub fn stats(&self, key: StreamKey) -> StreamStats {
        self.table.get(key).map(|stream| stream.stats).unwrap_or_default()
    }

    /// Messages that have arrived on a stream and wait.
    pub fn waiting(&self, key: StreamKey) -> usize {
        self.table.get(key).map_or(0, |stream| stream.inbox.len())
    }

    /// What the connection has seen.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Streams for which frames may still arrive.
    pub fn live_streams(&self) -> usize {
        self.table.live()
    }

    /// Streams whose keys have not been given back, or whose last frames have not left.
    pub fn kept_streams(&self) -> usize {
        self.table.len()
    }

    /// Weight of the messages that wait, as in the budgets: to be taken by the host, and to be written.
    pub fn waiting_bytes(&self) -> (usize, usize) {
        (self.inflow.weight(), self.outflow.weight())
    }

    /// Remembers to tell the host.
    pub(super) fn notify(&mut self, key: StreamKey, ready: Ready) {
        let Some(stream) = self.table.get_mut(key) else { return };
        if ready.is_empty() || stream.released {
            return;
        }
        if stream.ready.is_empty() {
            self.ready.push_back(key);
        }
        stream.ready |= ready;
    }

    /// Ends a stream in both directions and parts from the peer.
    pub(super) fn end_stream(&mut self, key: StreamKey, end: End, reset: Option<&Cancel>, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        if stream.end.is_some() {
            return;
        }
        self.inflow.closes(stream);
        let ready = stream.end_both(end);
        self.drop_unsent(key);
        self.timers.disarm(key, &mut self.table);
        R::part(self, key, reset);
        self.table.unlink(key);
        self.life.touch(now);
        self.notify(key, ready);
        self.forget_if_done(key);
    }

    /// Ends receiving only.
    pub(super) fn end_recv(&mut self, key: StreamKey, end: End) {
        let Some(stream) = self.table.get_mut(key) else { return };
        self.inflow.closes(stream);
        let ready = stream.end_recv(end);
        self.notify(key, ready);
    }

    /// We have nothing more to write on it, but for what is queued.
    pub(super) fn close_wire(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key)
            && !std::mem::replace(&mut stream.wire.closed, true)
        {
            self.open = self.open.saturating_sub(1);
        }
    }

    pub(super) fn forget_if_done(&mut self, key: StreamKey) {
        if self.table.get(key).is_some_and(|stream| stream.is_done() && stream.wire.closed) {
            self.timers.disarm(key, &mut self.table);
            if let Some(stream) = self.table.remove(key) {
                self.inflow.forgot(&stream);
            }
        }
    }
}
