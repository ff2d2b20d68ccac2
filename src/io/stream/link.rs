//! Where the host and the task of the connection meet for one stream.
//!
//! Each direction has its own state, [`Outgoing`] and [`Incoming`]; what becomes known once is in [`Facts`].
//! One lock guards all of it, so that the order of a host's calls is the order in which the task sees them.
//! Nothing foreign runs under the lock: what must be called is taken out first.

mod facts;
mod incoming;
#[cfg(all(test, krpc_loom))]
mod loom_tests;
mod outgoing;
#[cfg(all(test, not(krpc_loom)))]
mod tests;
#[cfg(all(any(test, fuzzing), not(krpc_loom)))]
pub mod world;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Code, Error, Message, Result, StreamLimits};
use crate::io::stream::mailbox::Mailbox;
use crate::op::operation::{Cause, Completer, Outcome, Withdraw};
use crate::op::sync::{Mutex, MutexGuard, lock};
use crate::proto::stream::{Cancel, End, StreamKey, StreamTimeouts};
use crate::wire::ttheader::Header;
use facts::Facts;
use incoming::Incoming;
pub use incoming::Received;
pub(super) use incoming::can_retry;
pub(super) use outgoing::Out;
use outgoing::Outgoing;
pub use outgoing::Sent;

/// Hears how a call on a stream ended: on an I/O thread, or on the thread that called if it ended at once.
/// Must not block.
pub type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Hears that something is there to look at.
pub type Hook = Box<dyn FnOnce() + Send>;

/// Hears of META frames: pairs and content.
pub type MetaHook = Arc<dyn Fn(&Header, &Bytes) + Send + Sync>;

/// Hears what was received. A closure will do.
pub trait Take: Send {
    /// Once, without a lock.
    fn take(self: Box<Self>, received: Received);
}

impl<F: FnOnce(Received) + Send> Take for F {
    fn take(self: Box<Self>, received: Received) {
        self(received);
    }
}

/// The same for somebody who hears of one receive after the other.
pub trait TakeAll: Send + Sync {
    /// Once for each, without a lock.
    fn take(self: Arc<Self>, received: Received);
}

/// Whoever hears what was received. What ends most receives needs no memory of its own.
pub enum Taken {
    /// Somebody who waits for this one.
    Once(Box<dyn Take>),
    /// Somebody who hears of all.
    All(Arc<dyn TakeAll>),
    /// An operation, for one message.
    One(Completer<Result<Option<Message>>>),
}

impl Taken {
    /// That of a closure.
    pub fn by(take: impl FnOnce(Received) + Send + 'static) -> Taken {
        Taken::Once(Box::new(take))
    }

    /// Tells it, without a lock.
    pub fn take(self, received: Received) {
        match self {
            Taken::Once(one) => one.take(received),
            Taken::All(all) => all.take(received),
            Taken::One(completer) => completer.complete(received.one().unwrap_or_else(Outcome::abandoned)),
        }
    }
}

/// One stream, for its host and for the task of its connection.
pub struct Link {
    mailbox: Arc<Mailbox>,
    key: StreamKey,
    id: i32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The task has been told to look.
    dirty: bool,
    /// Names pending calls, so that a withdrawal never meets a later one.
    next_id: u64,
    outgoing: Outgoing,
    incoming: Incoming,
    /// What else the host leaves for the task.
    asks: Asks,
    facts: Facts,
}

/// What the task finds at its next look, beside what is to be sent.
#[derive(Default)]
pub(super) struct Asks {
    pub(super) cancel: Option<Cancel>,
    pub(super) timeouts: Option<StreamTimeouts>,
    pub(super) recv_starts: bool,
    pub(super) recv_withdrawn: bool,
    pub(super) released: bool,
}

impl State {
    fn ask(&mut self, out: Out) {
        self.outgoing.ask(out);
        self.dirty = true;
    }
}

pub(super) fn weight(message: &Message) -> usize {
    message.len() + StreamLimits::PER_MESSAGE
}

// ---- the host's side ---------------------------------------------------------------------------

impl Link {
    pub(super) fn new(mailbox: Arc<Mailbox>, key: StreamKey, id: i32, timed: bool) -> Arc<Link> {
        let state = Mutex::new(State { incoming: Incoming::new(timed), ..State::default() });
        Arc::new(Link { mailbox, key, id, state })
    }

    /// The peer's address.
    pub fn peer(&self) -> &Arc<str> {
        self.mailbox.peer()
    }

    /// The stream's number on the wire.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// A name for a call that may have to be withdrawn.
    pub fn next_id(&self) -> u64 {
        let mut state = self.lock();
        state.next_id += 1;
        state.next_id
    }

    /// Hears when what was sent so far is with the socket.
    pub fn flush(&self, done: Done) {
        let mut done = Some(done);
        let end = self.tell(|state| {
            if let Some(End::Failed(error)) = &state.facts.end {
                return Err(error.clone());
            }
            if state.facts.end.is_none()
                && let Some(done) = done.take()
            {
                state.ask(Out::Flush(done));
            }
            Ok(())
        });
        if let Some(done) = done {
            done(end);
        }
    }

    /// Ends the stream in both directions.
    pub fn cancel(&self, cancel: Cancel) {
        self.tell(|state| {
            if state.facts.end.is_none() {
                state.asks.cancel.get_or_insert(cancel);
                state.dirty = true;
            }
        });
    }

    /// Changes the clocks.
    pub fn set_timeouts(&self, timeouts: StreamTimeouts) {
        self.tell(|state| {
            state.incoming.timed = timeouts.recv.is_some();
            state.asks.timeouts = Some(timeouts);
            state.dirty = true;
        });
    }

    /// The host will not use the stream any more. Once, at the end. What waits is told so.
    pub fn release(&self) {
        // Before the task hears of it: it then counts the connection as one without streams.
        self.mailbox.unload();
        let (hooks, send, (dropped, recv)) = self.tell(|state| {
            state.asks.released = true;
            state.dirty = true;
            // Not the hooks on its end: what was opened in the stream's work must still hear of that.
            let hooks = std::mem::take(&mut state.facts.on_header);
            (hooks, state.outgoing.withdraw_any(), state.incoming.abandon())
        });
        if let Some(done) = send {
            done(Err(given_back()));
        }
        if let Some(taken) = recv {
            taken.take(Received::Failed(given_back()));
        }
        hooks.into_iter().for_each(|hook| hook());
        drop(dropped);
    }

    /// Changes the state, then tells the task if it must look.
    fn tell<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let was_dirty = state.dirty;
        let result = change(&mut state);
        let post = state.dirty && !was_dirty;
        drop(state);
        if post {
            self.mailbox.post(self.key);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Withdraw for Link {
    fn withdraw(&self, id: u64, cause: Cause) {
        if let Some(taken) = self.withdraw_recv(id) {
            taken.take(Received::Failed(cause.error()));
        }
        if let Some(done) = self.withdraw_send(id) {
            done(Err(cause.error()));
        }
    }
}

/// How a call ends whose stream is given back meanwhile.
#[cold]
pub fn given_back() -> Error {
    Error::new(Code::Closed, "the stream was freed")
}

/// How a call ends that another one of its kind stands in the way of.
#[cold]
pub fn already(what: &str) -> Error {
    Error::new(Code::InvalidState, format!("another {what} is pending on the stream"))
}

// ---- the task's side ---------------------------------------------------------------------------

impl Link {
    /// What the host has left since the last look, appended to what the task still has to do.
    pub(super) fn take_asks(&self, backlog: &mut VecDeque<Out>) -> Asks {
        let mut state = self.lock();
        state.dirty = false;
        state.outgoing.take(backlog);
        std::mem::take(&mut state.asks)
    }
}
