//! The connection as a whole: clocks, graceful stop, and its end (ttstream.md §6.4, §6.5, §12 rows 13, 17).

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::cancel::Cancel;
use super::connection::{Connection, Role};
use super::ends::End;
use super::id::StreamKey;
use super::ready::Ready;
use crate::base::{Code, Error, Phase, Result, StreamReason, StreamSide};

/// Where the connection is in its life.
#[derive(Debug)]
pub(super) struct Life {
    state: State,
    /// Since when nothing has happened, if nothing is open.
    idle_since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    Draining {
        /// New streams are refused from then on, and an idle connection ends.
        refuse_at: Instant,
        /// `refuse_at` has come, and needs no waking any more.
        refusing: bool,
        /// What has not ended by then is ended.
        ends_at: Option<Instant>,
    },
    Closed,
}

impl Life {
    pub(super) fn new(now: Instant) -> Life {
        Life { state: State::Open, idle_since: now }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// Whether new streams are taken.
    pub(super) fn takes_streams(&self, now: Instant) -> bool {
        match self.state {
            State::Open => true,
            State::Draining { refuse_at, .. } => now < refuse_at,
            State::Closed => false,
        }
    }

    pub(super) fn touch(&mut self, now: Instant) {
        self.idle_since = now;
    }
}

impl<R: Role> Connection<R> {
    /// When [`Connection::tick`] wants to be called. Changes with every other method; may be earlier than
    /// necessary.
    pub fn wake_at(&self) -> Option<Instant> {
        let ends = match self.life.state {
            State::Closed => return None,
            State::Open => None,
            State::Draining { refuse_at, refusing: false, .. } if self.open == 0 => Some(refuse_at),
            State::Draining { ends_at, .. } => ends_at,
        };
        let clocks = [ends, self.timers.next(), self.write_until(), self.idle_until(), self.slow_reader_at()];
        clocks.into_iter().flatten().min()
    }

    /// Does what is due. An error ends the connection.
    pub fn tick(&mut self, now: Instant) -> Result<()> {
        if let Some(error) = self.overdue(now) {
            self.fail(&error, now);
            return Err(error);
        }
        self.go_on_draining(now);
        if self.slow_reader_at().is_some_and(|at| at <= now) {
            self.reset_slow_reader(now);
        }
        while let Some(key) = self.timers.pop_due(now, &mut self.table) {
            self.stream_due(key, now);
        }
        Ok(())
    }

    /// Starts a graceful stop. No new streams are taken, at a server after [`Options::drain`]; those under
    /// way are told [`Ready::STOPPING`] and have `window` to end before they are ended. `None`: all the time
    /// they want. Calling again changes the window.
    ///
    /// [`Options::drain`]: super::Options::drain
    pub fn drain(&mut self, window: Option<Duration>, now: Instant) {
        let ends_at = window.and_then(|window| now.checked_add(window));
        match self.life.state {
            State::Closed => {}
            State::Draining { refuse_at, refusing, .. } => {
                self.life.state = State::Draining { refuse_at, refusing, ends_at };
            }
            State::Open => {
                // Only a server waits for what may be on its way.
                let wait = if R::SIDE == StreamSide::Server { self.options.drain } else { Duration::ZERO };
                let refuse_at = now.checked_add(wait).unwrap_or(now);
                self.life.state = State::Draining { refuse_at, refusing: false, ends_at };
                self.all_keys().into_iter().for_each(|key| self.tell_stopping(key));
            }
        }
    }

    /// Ends all streams now, telling the peer; the connection is finished when that is written.
    pub fn close(&mut self, now: Instant) {
        if !self.life.is_closed() {
            self.life.state = State::Draining { refuse_at: now, refusing: true, ends_at: None };
            self.all_keys().into_iter().for_each(|key| R::stop(self, key, now));
        }
    }

    /// The socket has ended: by the peer, or for a reason. Returns what that means for the connection; to
    /// its streams it is an error in any case, never an end of messages.
    pub fn lost(&mut self, buf: &BytesMut, reason: Option<&io::Error>, now: Instant) -> Error {
        let text = match reason {
            Some(reason) => format!("connection failed: {reason}"),
            None if self.decoder.is_mid_frame(buf) => {
                format!("connection closed by peer within a frame, after {} bytes", buf.len())
            }
            None => "connection closed by peer".to_owned(),
        };
        let error = Error::new(Code::ConnectionLost, text).at(Phase::Wait);
        self.fail(&error, now);
        self.all_keys().into_iter().for_each(|key| self.drop_unsent(key));
        self.outflow.clear();
        self.tell_flushed();
        self.all_keys().into_iter().for_each(|key| self.forget_if_done(key));
        error
    }

    /// Whether the connection has nothing left to do and should be closed.
    pub fn is_finished(&self, now: Instant) -> bool {
        match self.life.state {
            State::Open => false,
            State::Draining { refuse_at, .. } => {
                refuse_at <= now && self.open == 0 && self.outflow.is_empty()
            }
            State::Closed => self.outflow.is_empty(),
        }
    }

    /// Whether nothing is under way: another user may have the connection.
    pub fn is_idle(&self) -> bool {
        self.open == 0 && self.outflow.is_empty() && !self.life.is_closed()
    }

    /// Whether the connection is being stopped.
    pub fn is_draining(&self) -> bool {
        self.life.is_draining()
    }

    /// The connection ends with all its streams. What was finished before may still be written.
    pub(super) fn fail(&mut self, error: &Error, now: Instant) {
        if self.life.is_closed() {
            return;
        }
        self.life.state = State::Closed;
        for key in self.all_keys() {
            self.end_stream(key, End::Failed(R::lost(error)), None, now);
            self.close_wire(key);
            self.forget_if_done(key);
        }
    }

    pub(super) fn all_keys(&self) -> Vec<StreamKey> {
        self.table.iter().map(|(key, _)| key).collect()
    }

    pub(super) fn tell_stopping(&mut self, key: StreamKey) {
        if R::SIDE == StreamSide::Server && self.end(key).is_none() {
            self.notify(key, Ready::STOPPING);
        }
    }

    /// The steps of a graceful stop, as their times come.
    fn go_on_draining(&mut self, now: Instant) {
        let State::Draining { refuse_at, refusing, ends_at } = self.life.state else { return };
        let over = ends_at.is_some_and(|at| at <= now);
        self.life.state = State::Draining {
            refuse_at: if over { refuse_at.min(now) } else { refuse_at },
            refusing: refusing || over || refuse_at <= now,
            ends_at: ends_at.filter(|_| !over),
        };
        if over {
            self.all_keys().into_iter().for_each(|key| R::stop(self, key, now));
        }
    }

    fn write_until(&self) -> Option<Instant> {
        self.outflow.writing_since()?.checked_add(self.options.write?)
    }

    fn idle_until(&self) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        self.life.idle_since.checked_add(self.options.idle?)
    }

    fn overdue(&self, now: Instant) -> Option<Error> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.write_until()) {
            let text = format!("the peer took no bytes for {:?}", self.options.write.unwrap_or_default());
            return Some(Error::new(Code::WriteTimeout, text).at(Phase::Send));
        }
        is_due(self.idle_until()).then(|| {
            let text = format!("no streams for {:?}", self.options.idle.unwrap_or_default());
            Error::new(Code::IdleTimeout, text).at(Phase::Wait)
        })
    }

    /// A clock of a stream may have run out.
    fn stream_due(&mut self, key: StreamKey, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let Some(stream) = self.table.get_mut(key) else { return };
        let (timeouts, opened_at) = (stream.timeouts, stream.opened_at);
        let idle_at = timeouts.idle.and_then(|idle| stream.active_at.checked_add(idle));
        if stream.end.is_some() {
            return;
        }
        if is_due(timeouts.deadline) {
            let timeout = timeouts.deadline.map(|at| at.saturating_duration_since(opened_at));
            self.run_out(key, &Cancel::deadline(timeout), now);
        } else if is_due(stream.recv_until) {
            self.recv_timed_out(key, now);
        } else if is_due(idle_at) {
            self.cancel(key, &Cancel::idle(timeouts.idle.unwrap_or_default()), now);
        }
        if let Some(stream) = self.table.get_mut(key) {
            self.timers.arm(key, stream);
        }
    }

    /// The deadline. A server leaves the last word to its handler: the client's clock has run out as well.
    fn run_out(&mut self, key: StreamKey, cancel: &Cancel, now: Instant) {
        let error = End::Failed(cancel.error(R::SIDE));
        let reset = (R::SIDE == StreamSide::Client).then_some(cancel);
        self.end_stream(key, error, reset, now);
    }

    fn recv_timed_out(&mut self, key: StreamKey, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.recv_until = None;
        let Some(config) = stream.timeouts.recv else { return };
        let cancel = Cancel::recv_timeout(config.timeout, config.keep_stream);
        if !config.keep_stream {
            return self.cancel(key, &cancel, now);
        }
        let error = cancel.error(R::SIDE);
        let reason = error.stream_reason().cloned().unwrap_or_default();
        let again = StreamReason { can_retry: true, ..reason };
        stream.recv_missed = Some(Error::stream(error.code(), again));
        let ready = stream.wake_recv();
        self.notify(key, ready);
    }
}
