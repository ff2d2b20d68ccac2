//! What has arrived for the host: messages up to a mark, or one receive that waits for them.

use std::collections::VecDeque;

use super::{Link, Taken, already, weight};
use crate::base::{Error, Message, Result, StreamReason};
use crate::proto::stream::{End, StreamStats};

/// Weight of received messages that wait here, ahead of the host's asking; the rest stays within the
/// connection's budgets.
pub(super) const FETCH_MARK: usize = 256 << 10;

/// What was there to receive.
#[derive(Debug)]
#[must_use]
pub enum Received {
    /// The next message, where no more than one was asked for.
    Message(Message),
    /// The next messages, at least one.
    Messages(VecDeque<Message>),
    /// Nothing yet.
    Nothing,
    /// The peer has said everything. Stays.
    Eof,
    /// The stream has failed, which stays; or this recv, where the reason says that it may be tried again.
    Failed(Error),
}

impl Received {
    /// The next message, `None` in it at the end; nothing if nothing was there.
    pub fn one(self) -> Option<Result<Option<Message>>> {
        match self {
            Received::Message(message) => Some(Ok(Some(message))),
            Received::Messages(mut messages) => Some(Ok(messages.pop_front())),
            Received::Nothing => None,
            Received::Eof => Some(Ok(None)),
            Received::Failed(error) => Some(Err(error)),
        }
    }
}

/// The direction from the peer to the host.
#[derive(Default)]
pub(super) struct Incoming {
    inbox: VecDeque<Message>,
    weight: usize,
    /// The task has stopped fetching because enough was here.
    starved: bool,
    end: Option<End>,
    pending: Option<PendingRecv>,
    /// Whether the task must know that somebody waits: a receive timeout runs then.
    pub(super) timed: bool,
}

struct PendingRecv {
    id: u64,
    most: usize,
    taken: Taken,
}

/// A pending receive whose end has come, to be told without the lock.
pub(in crate::io::stream) struct Due(Taken, Received);

impl Due {
    pub(in crate::io::stream) fn tell(self) {
        self.0.take(self.1);
    }
}

impl Incoming {
    pub(super) fn new(timed: bool) -> Incoming {
        Incoming { timed, ..Incoming::default() }
    }

    /// Takes what is there. `wanted` is set if that makes room that the task waits for.
    fn take(&mut self, most: usize, wanted: &mut bool) -> Received {
        let (received, taken) = match self.inbox.len() {
            0 => return self.ended(),
            // Its list stays here, with its memory.
            _ if most == 1
                && let Some(message) = self.inbox.pop_front() =>
            {
                let taken = weight(&message);
                (Received::Message(message), taken)
            }
            there => {
                let all = there <= most;
                let messages: VecDeque<_> =
                    if all { std::mem::take(&mut self.inbox) } else { self.inbox.drain(..most).collect() };
                let taken = messages.iter().map(weight).sum();
                (Received::Messages(messages), taken)
            }
        };
        self.weight -= taken;
        if self.starved && self.weight < FETCH_MARK / 2 {
            self.starved = false;
            *wanted = true;
        }
        received
    }

    fn ended(&self) -> Received {
        match &self.end {
            None => Received::Nothing,
            Some(End::Eof) => Received::Eof,
            Some(End::Failed(error)) => Received::Failed(error.clone()),
        }
    }

    /// Puts what was fetched before the host, who may wait for it. True if there is room for more.
    fn put(&mut self, messages: &mut VecDeque<Message>, end: Option<End>, full: bool) -> (bool, Option<Due>) {
        self.weight += messages.iter().map(weight).sum::<usize>();
        match self.inbox.is_empty() {
            true => std::mem::swap(&mut self.inbox, messages),
            false => self.inbox.append(messages),
        }
        if end.is_some() {
            self.end = end;
        }
        let due = self.due();
        let room = self.weight < FETCH_MARK / 2;
        self.starved = full && !room;
        (full && room, due)
    }

    /// A pending receive that can end now.
    fn due(&mut self) -> Option<Due> {
        if self.inbox.is_empty() && self.end.is_none() {
            return None;
        }
        let PendingRecv { most, taken, .. } = self.pending.take()?;
        // The task is here: it sees for itself whether there is room again.
        Some(Due(taken, self.take(most, &mut false)))
    }

    /// The host takes nothing more: what waits, and who waits.
    pub(super) fn abandon(&mut self) -> (VecDeque<Message>, Option<Taken>) {
        (std::mem::take(&mut self.inbox), self.pending.take().map(|pending| pending.taken))
    }
}

// ---- the host's side ---------------------------------------------------------------------------

impl Link {
    /// Takes up to `most` messages that are there, or the end.
    pub fn try_recv(&self, most: usize) -> Result<Received> {
        self.tell(|state| match state.incoming.pending {
            Some(_) => Err(already("recv")),
            None => Ok(state.incoming.take(most, &mut state.dirty)),
        })
    }

    /// Takes up to `most` messages when there is one, which may be at once.
    pub fn recv_when_there(&self, id: u64, most: usize, taken: Taken) {
        let mut taken = Some(taken);
        let found = self.tell(|state| {
            if state.incoming.pending.is_some() {
                return Received::Failed(already("recv"));
            }
            let found = state.incoming.take(most, &mut state.dirty);
            if matches!(found, Received::Nothing) {
                state.incoming.pending = taken.take().map(|taken| PendingRecv { id, most, taken });
                if state.incoming.timed && most > 0 {
                    (state.asks.recv_starts, state.asks.recv_withdrawn) = (true, false);
                    state.dirty = true;
                }
            }
            found
        });
        if let Some(taken) = taken {
            taken.take(found);
        }
    }

    /// Takes back a receive that waits: its message, when it comes, is for the next one.
    pub fn withdraw_recv(&self, id: u64) -> Option<Taken> {
        self.tell(|state| {
            let pending = state.incoming.pending.take_if(|pending| pending.id == id)?;
            if state.incoming.timed {
                (state.asks.recv_starts, state.asks.recv_withdrawn) = (false, true);
                state.dirty = true;
            }
            Some(pending.taken)
        })
    }
}

// ---- the task's side ---------------------------------------------------------------------------

impl Link {
    /// Weight of messages that the task may fetch now.
    pub(in crate::io::stream) fn fetch_room(&self) -> usize {
        FETCH_MARK.saturating_sub(self.lock().incoming.weight)
    }

    /// Puts what was fetched before the host. True if there is still room, so that the task may go on.
    pub(in crate::io::stream) fn arrived(
        &self,
        messages: &mut VecDeque<Message>,
        end: Option<End>,
        stats: StreamStats,
        stopped_full: bool,
    ) -> (bool, Option<Due>) {
        let mut state = self.lock();
        state.facts.stats = stats;
        state.incoming.put(messages, end, stopped_full)
    }

    /// A receive timeout that leaves the stream as it is: only for the receive that waits.
    pub(in crate::io::stream) fn recv_missed(&self, error: Error) -> Option<Due> {
        let pending = self.lock().incoming.pending.take()?;
        Some(Due(pending.taken, Received::Failed(error)))
    }

    /// Whether a receive waits.
    pub(in crate::io::stream) fn is_receiving(&self) -> bool {
        self.lock().incoming.pending.is_some()
    }
}

/// Whether a failed receive may be tried again.
pub(in crate::io::stream) fn can_retry(error: &Error) -> bool {
    error.stream_reason().is_some_and(|reason: &StreamReason| reason.can_retry)
}
