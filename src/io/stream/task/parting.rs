//! How a connection ends: what its streams are told, and how the peer gets to read the last words.
//!
//! A socket that is closed with bytes in it that nobody has read resets its peer, and the reset drops what we
//! have written and the system has not delivered: a cancel, say. So we close our side first, and read what
//! still comes, within bounds, until the peer closes as well.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{FAIR_READS, Out, Side, Stop, Task};
use crate::base::log::Level;
use crate::base::{Code, Error, panic};
use crate::io::clock;
use crate::io::stream::link;
use crate::proto::stream::{Counters, End, Recv, StreamKey};

/// How long the peer may take to close its side after we have closed ours.
const PARTING_TIME: Duration = Duration::from_millis(250);

/// Bytes that it may still send meanwhile: what two sockets may hold.
const PARTING_BYTES: usize = 16 << 20;

/// Room for one read of what nobody wants.
const READ_BYTES: usize = 16 << 10;

/// What is left of a connection whose streams are gone.
#[derive(Clone, Copy)]
pub(super) struct Parting {
    until: Option<Instant>,
    bytes: usize,
}

impl<R: Side> Task<R> {
    /// Writing has failed, but what the peer said before may still be there to read: why, for one.
    pub(super) fn read_rest(&mut self, cx: &mut Context<'_>) {
        for _ in 0..FAIR_READS {
            if !self.conn.wants_bytes() || !matches!(self.read(cx), Ok(true)) {
                return;
            }
            if self.conn.receive(&mut self.input, clock::now()).is_err() {
                return;
            }
        }
    }

    /// Ends what is left.
    pub(super) fn stop(&mut self, stop: &Stop) {
        let now = clock::now();
        let reason = match stop {
            Stop::Lost(reason) => reason.as_ref(),
            Stop::Done | Stop::With(_) | Stop::Panicked(_) => None,
        };
        let error = self.conn.lost(&self.input, reason, now);
        self.report(stop, &error);
        self.tally(self.conn.counters());
        self.tell_ready(now);
        for key in self.entries.iter().flatten().map(|entry| entry.key).collect::<Vec<_>>() {
            self.leave(key);
        }
    }

    /// The connection goes, what has arrived stays with the host.
    fn leave(&mut self, key: StreamKey) {
        let Some(entry) = self.entries.get_mut(key.index()).and_then(Option::take) else { return };
        let end = loop {
            match self.conn.fetch(key) {
                Recv::Message(message) => self.fetched.push_back(message),
                Recv::Eof => break Some(End::Eof),
                Recv::Failed(error) if link::can_retry(&error) => {}
                Recv::Failed(error) => break Some(End::Failed(error)),
                Recv::Pending => break None,
            }
        };
        let (_, due) = entry.link.arrived(&mut self.fetched, end, self.conn.stats(key), false);
        if let Some(due) = due {
            due.tell();
        }
        let lost = || Error::new(Code::ConnectionLost, "the connection has ended");
        for done in entry.flushes.into_iter().chain(entry.backlog.into_iter().filter_map(|out| match out {
            Out::Flush(done) => Some(done),
            _ => None,
        })) {
            done(Err(lost()));
        }
    }

    /// Closes our side of a socket that works, and waits for the peer's.
    pub(super) fn start_parting(&mut self, stop: &Stop, cx: &mut Context<'_>) -> Poll<()> {
        match stop {
            Stop::Lost(_) | Stop::Panicked(_) => return Poll::Ready(()),
            Stop::Done | Stop::With(_) => {}
        }
        if !matches!(self.transport.poll_end_write(cx), Poll::Ready(Ok(()))) {
            return Poll::Ready(());
        }
        (self.input, self.output) = Default::default();
        self.part(cx, Parting { until: clock::now().checked_add(PARTING_TIME), bytes: PARTING_BYTES })
    }

    pub(super) fn part(&mut self, cx: &mut Context<'_>, mut parting: Parting) -> Poll<()> {
        for _ in 0..FAIR_READS {
            self.parting = Some(parting);
            if parting.until.is_none_or(|until| self.timer.wake_at(until, cx)) {
                return Poll::Ready(());
            }
            self.input.clear();
            self.input.reserve(READ_BYTES);
            match ready!(self.transport.poll_read(cx, &mut self.input, R::HELD_AS)) {
                Ok(count) if count > 0 && count < parting.bytes => parting.bytes -= count,
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the end that has the connection what it has seen since the last time.
    pub(super) fn tally(&mut self, seen: Counters) {
        self.tally.add(&seen.since(&self.tallied));
        self.tallied = seen;
    }

    fn report(&self, stop: &Stop, error: &Error) {
        let peer = self.mailbox.peer();
        match stop {
            Stop::Done => {}
            Stop::Lost(_) => {
                self.log.write(Level::Debug, R::TARGET, format_args!("{peer}: {error}"));
            }
            Stop::With(error) => {
                let level = if error.code() == Code::IdleTimeout { Level::Debug } else { Level::Warn };
                self.log.write(level, R::TARGET, format_args!("{peer}: closed: {error}"));
            }
            Stop::Panicked(error) => panic::report(&self.log, R::TARGET, error),
        }
    }
}
