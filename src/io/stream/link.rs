//! Where the host and the task of the connection meet for one stream.
//!
//! Nothing foreign runs under the lock: what must be called is taken out first.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Limits, Message, Result, StreamLimits, StreamReason};
use crate::io::stream::mailbox::Mailbox;
use crate::proto::stream::{Cancel, End, Finish, Pairs, StreamKey, StreamStats, StreamTimeouts};
use crate::wire::ttheader::Header;

/// Weight of messages that may wait here to be sent, before those that the connection holds: enough to
/// keep the task busy, little beside its budgets.
const SEND_MARK: usize = 256 << 10;

/// Weight of received messages that wait here, ahead of the host's asking; the rest stays within the
/// connection's budgets.
pub(super) const FETCH_MARK: usize = 256 << 10;

/// What a method's name may add to a frame.
const HEADROOM: usize = 128 << 10;

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

/// Whoever hears what was received.
pub type Taken = Box<dyn Take>;

/// What became of a message to send.
#[derive(Debug)]
#[must_use]
pub enum Sent {
    /// It will be sent, in its turn.
    Accepted,
    /// There is no room: here it is again.
    Full(Message),
}

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

/// What the host asks for, in its order.
pub(super) enum Out {
    Message(Message),
    Flush(Done),
    CloseSend,
    Header(Pairs),
    Finish(Finish, Pairs),
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
    /// What the host leaves for the task.
    asks: Asks,
    /// Weight of what waits to be sent here and with the task.
    unsent: usize,
    /// Why nothing can be sent any more.
    send_end: Option<Error>,
    pending_send: Option<PendingSend>,

    inbox: VecDeque<Message>,
    inbox_weight: usize,
    /// The task has stopped fetching because enough was here.
    starved: bool,
    recv_end: Option<End>,
    pending_recv: Option<PendingRecv>,
    /// Whether the task must know that somebody waits: a receive timeout runs then.
    timed: bool,

    header: Option<Result<Option<Header>>>,
    trailer: Option<Result<Option<Header>>>,
    end: Option<End>,
    stats: StreamStats,
    stopping: bool,
    /// Who waits for the HEADER, for the end, and for a stop.
    on_header: Vec<Hook>,
    on_end: Vec<Hook>,
    on_stopping: Vec<Hook>,
    on_meta: Option<MetaHook>,
}

/// What the task finds at its next look.
#[derive(Default)]
pub(super) struct Asks {
    pub(super) outgoing: VecDeque<Out>,
    pub(super) cancel: Option<Cancel>,
    pub(super) timeouts: Option<StreamTimeouts>,
    pub(super) recv_starts: bool,
    pub(super) recv_withdrawn: bool,
    pub(super) released: bool,
}

struct PendingSend {
    id: u64,
    message: Message,
    done: Done,
}

struct PendingRecv {
    id: u64,
    most: usize,
    taken: Taken,
}

/// A pending receive whose end has come, to be told without the lock.
pub(super) struct Due(Taken, Received);

impl Due {
    pub(super) fn tell(self) {
        self.0.take(self.1);
    }
}

pub(super) fn weight(message: &Message) -> usize {
    message.len() + StreamLimits::PER_MESSAGE
}

// ---- the host's side ---------------------------------------------------------------------------

impl Link {
    pub(super) fn new(mailbox: Arc<Mailbox>, key: StreamKey, id: i32, timed: bool) -> Arc<Link> {
        let state = Mutex::new(State { timed, ..State::default() });
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
        let mut state = self.state.lock();
        state.next_id += 1;
        state.next_id
    }

    /// Leaves a message to be sent, if there is room for it.
    pub fn try_send(&self, message: Message) -> Result<Sent> {
        check_size(&message)?;
        self.tell(|state| {
            state.may_send()?;
            if state.unsent >= SEND_MARK {
                return Ok(Sent::Full(message));
            }
            state.push(message);
            Ok(Sent::Accepted)
        })
    }

    /// Whether a send would be accepted now. Without another sender it stays so.
    pub fn has_room(&self) -> Result<bool> {
        let state = self.state.lock();
        state.may_send()?;
        Ok(state.unsent < SEND_MARK)
    }

    /// Leaves messages to be sent, as many as there is room for; what is left over stays in the list.
    pub fn try_send_many(&self, messages: &mut VecDeque<Message>) -> Result<()> {
        messages.iter().try_for_each(check_size)?;
        self.tell(|state| {
            state.may_send()?;
            while state.unsent < SEND_MARK
                && let Some(message) = messages.pop_front()
            {
                state.push(message);
            }
            Ok(())
        })
    }

    /// Sends when there is room, which may be at once; `done` hears when the message is accepted.
    pub fn send_when_room(&self, id: u64, message: Message, done: Done) {
        let mut end = Some((Ok(()), done));
        let checked = check_size(&message);
        self.tell(|state| {
            let Some((_, done)) = end.take() else { return };
            match checked.and_then(|()| state.may_send()) {
                Ok(()) if state.unsent >= SEND_MARK => {
                    state.pending_send = Some(PendingSend { id, message, done });
                }
                Ok(()) => {
                    state.push(message);
                    end = Some((Ok(()), done));
                }
                Err(error) => end = Some((Err(error), done)),
            }
        });
        if let Some((result, done)) = end {
            done(result);
        }
    }

    /// Takes back a send that waits for room: nothing of it leaves.
    pub fn withdraw_send(&self, id: u64) -> Option<Done> {
        let pending = self.state.lock().pending_send.take_if(|pending| pending.id == id)?;
        Some(pending.done)
    }

    /// Takes up to `most` messages that are there, or the end.
    pub fn try_recv(&self, most: usize) -> Result<Received> {
        self.tell(|state| match state.pending_recv {
            Some(_) => Err(already("recv")),
            None => Ok(state.take(most)),
        })
    }

    /// Takes up to `most` messages when there is one, which may be at once.
    pub fn recv_when_there(&self, id: u64, most: usize, taken: Taken) {
        let mut taken = Some(taken);
        let found = self.tell(|state| {
            if state.pending_recv.is_some() {
                return Received::Failed(already("recv"));
            }
            let found = state.take(most);
            if matches!(found, Received::Nothing) {
                state.pending_recv = taken.take().map(|taken| PendingRecv { id, most, taken });
                if state.timed && most > 0 {
                    (state.asks.recv_starts, state.asks.recv_withdrawn) = (true, false);
                    state.dirty_now();
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
            let pending = state.pending_recv.take_if(|pending| pending.id == id)?;
            if state.timed {
                (state.asks.recv_starts, state.asks.recv_withdrawn) = (false, true);
                state.dirty_now();
            }
            Some(pending.taken)
        })
    }

    /// Hears when what was sent so far is with the socket.
    pub fn flush(&self, done: Done) {
        let mut done = Some(done);
        let end = self.tell(|state| {
            if let Some(End::Failed(error)) = &state.end {
                return Err(error.clone());
            }
            if state.end.is_none() {
                state.asks.outgoing.extend(done.take().map(Out::Flush));
                state.dirty_now();
            }
            Ok(())
        });
        if let Some(done) = done {
            done(end);
        }
    }

    /// Client: nothing more will be sent. Does nothing the second time, or when the stream is over.
    pub fn close_send(&self, closed: Error) -> Result<()> {
        self.tell(|state| {
            if state.pending_send.is_some() {
                return Err(already("send"));
            }
            if state.send_end.is_none() {
                state.send_end = Some(closed);
                state.ask(Out::CloseSend);
            }
            Ok(())
        })
    }

    /// Server: pairs for the HEADER, which leaves now.
    pub fn send_header(&self, pairs: Pairs) {
        self.tell(|state| state.ask(Out::Header(pairs)));
    }

    /// Server: the handler has ended. Sending is over; what was sent before still leaves.
    pub fn finish(&self, finish: Finish, trailer: Pairs, closed: Error) {
        let pending = self.tell(|state| {
            state.send_end.get_or_insert(closed);
            state.ask(Out::Finish(finish, trailer));
            state.pending_send.take().zip(state.send_end.clone())
        });
        if let Some((pending, error)) = pending {
            (pending.done)(Err(error));
        }
    }

    /// Ends the stream in both directions.
    pub fn cancel(&self, cancel: Cancel) {
        self.tell(|state| {
            if state.end.is_none() {
                state.asks.cancel.get_or_insert(cancel);
                state.dirty_now();
            }
        });
    }

    /// Changes the clocks.
    pub fn set_timeouts(&self, timeouts: StreamTimeouts) {
        self.tell(|state| {
            state.timed = timeouts.recv.is_some();
            state.asks.timeouts = Some(timeouts);
            state.dirty_now();
        });
    }

    /// The host will not use the stream any more. Once, at the end. What waits is told so.
    pub fn release(&self) {
        // Before the task hears of it: it then counts the connection as one without streams.
        self.mailbox.unload();
        let (hooks, send, recv, dropped) = self.tell(|state| {
            state.asks.released = true;
            state.dirty_now();
            // Not the hooks on its end: what was opened in the stream's work must still hear of that.
            let hooks = std::mem::take(&mut state.on_header);
            let dropped = std::mem::take(&mut state.inbox);
            (hooks, state.pending_send.take(), state.pending_recv.take(), dropped)
        });
        if let Some(pending) = send {
            (pending.done)(Err(given_back()));
        }
        if let Some(pending) = recv {
            pending.taken.take(Received::Failed(given_back()));
        }
        hooks.into_iter().for_each(|hook| hook());
        drop(dropped);
    }

    /// The peer's HEADER: `None` while it may still come; it is missing where a server had none to send.
    pub fn header(&self) -> Option<Result<Option<Header>>> {
        self.state.lock().header.clone()
    }

    /// The peer's TRAILER: `None` while it may still come.
    pub fn trailer(&self) -> Option<Result<Option<Header>>> {
        self.state.lock().trailer.clone()
    }

    /// How the stream ended, once it is over in both directions.
    pub fn end(&self) -> Option<End> {
        self.state.lock().end.clone()
    }

    /// Messages and bytes, as the connection counts them.
    pub fn stats(&self) -> StreamStats {
        self.state.lock().stats
    }

    /// Whether the server is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Hears when [`Link::header`] has an answer.
    pub fn on_header(&self, hook: Hook) {
        self.hook(hook, |state| match state.header {
            Some(_) => None,
            None => Some(&mut state.on_header),
        });
    }

    /// Hears when the stream is over in both directions; the trailer is known then.
    pub fn on_end(&self, hook: Hook) {
        self.hook(hook, |state| match state.end {
            Some(_) => None,
            None => Some(&mut state.on_end),
        });
    }

    /// Hears when the server is being stopped.
    pub fn on_stopping(&self, hook: Hook) {
        self.hook(hook, |state| match state.stopping {
            true => None,
            false => Some(&mut state.on_stopping),
        });
    }

    /// Hears of META frames from now on. Until then they are dropped.
    pub fn on_meta(&self, hook: MetaHook) {
        self.state.lock().on_meta = Some(hook);
    }

    fn hook(&self, hook: Hook, waiting: impl FnOnce(&mut State) -> Option<&mut Vec<Hook>>) {
        let mut state = self.state.lock();
        match waiting(&mut state) {
            Some(hooks) => hooks.push(hook),
            None => {
                drop(state);
                hook();
            }
        }
    }

    /// Changes the state, then tells the task if it must look.
    fn tell<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let was_dirty = state.dirty;
        let result = change(&mut state);
        let post = state.dirty && !was_dirty;
        drop(state);
        if post {
            self.mailbox.post(self.key);
        }
        result
    }
}

fn check_size(message: &Message) -> Result<()> {
    if message.len() <= Limits::MAX_FRAME_BYTES - HEADROOM {
        return Ok(());
    }
    Err(Error::new(Code::FrameTooLarge, format!("a message of {} bytes fits into no frame", message.len())))
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

impl State {
    fn dirty_now(&mut self) {
        self.dirty = true;
    }

    fn ask(&mut self, out: Out) {
        self.asks.outgoing.push_back(out);
        self.dirty_now();
    }

    fn may_send(&self) -> Result<()> {
        match (&self.send_end, &self.pending_send) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(_)) => Err(already("send")),
            (None, None) => Ok(()),
        }
    }

    fn push(&mut self, message: Message) {
        self.unsent += weight(&message);
        self.ask(Out::Message(message));
    }

    fn sent(&mut self, weight_of_sent: usize, backlog: &mut VecDeque<Out>) -> Option<Done> {
        self.unsent = self.unsent.saturating_sub(weight_of_sent);
        if self.unsent > SEND_MARK / 2 {
            return None;
        }
        let PendingSend { message, done, .. } = self.pending_send.take()?;
        self.unsent += weight(&message);
        // What was accepted before it, and the task has not looked at yet, stays before it.
        backlog.append(&mut self.asks.outgoing);
        backlog.push_back(Out::Message(message));
        Some(done)
    }

    /// Takes what is there; if that makes room that the task waits for, it must look.
    fn take(&mut self, most: usize) -> Received {
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
        self.inbox_weight -= taken;
        if self.starved && self.inbox_weight < FETCH_MARK / 2 {
            self.starved = false;
            self.dirty_now();
        }
        received
    }

    fn ended(&self) -> Received {
        match &self.recv_end {
            None => Received::Nothing,
            Some(End::Eof) => Received::Eof,
            Some(End::Failed(error)) => Received::Failed(error.clone()),
        }
    }

    /// A pending receive that can end now.
    fn due(&mut self) -> Option<Due> {
        if self.inbox.is_empty() && self.recv_end.is_none() {
            return None;
        }
        let PendingRecv { most, taken, .. } = self.pending_recv.take()?;
        Some(Due(taken, self.take(most)))
    }
}

// ---- the task's side ---------------------------------------------------------------------------

impl Link {
    /// What the host has left since the last look, appended to what the task still has to do.
    pub(super) fn take_asks(&self, backlog: &mut VecDeque<Out>) -> Asks {
        let mut state = self.state.lock();
        state.dirty = false;
        let mut asks = std::mem::take(&mut state.asks);
        if backlog.is_empty() {
            std::mem::swap(backlog, &mut asks.outgoing);
            // The empty list goes back, with its memory.
            std::mem::swap(&mut state.asks.outgoing, &mut asks.outgoing);
        } else {
            backlog.append(&mut asks.outgoing);
        }
        asks
    }

    /// The connection has taken messages of this weight. A send that waits for room may follow: its
    /// message goes to the backlog, its end is to be told.
    pub(super) fn sent(&self, weight_of_sent: usize, backlog: &mut VecDeque<Out>) -> Option<Done> {
        self.state.lock().sent(weight_of_sent, backlog)
    }

    /// Weight of messages that the task may fetch now.
    pub(super) fn fetch_room(&self) -> usize {
        FETCH_MARK.saturating_sub(self.state.lock().inbox_weight)
    }

    /// Puts what was fetched before the host. True if there is still room, so that the task may go on.
    pub(super) fn arrived(
        &self,
        messages: &mut VecDeque<Message>,
        end: Option<End>,
        stats: StreamStats,
        stopped_full: bool,
    ) -> (bool, Option<Due>) {
        let mut state = self.state.lock();
        state.inbox_weight += messages.iter().map(weight).sum::<usize>();
        match state.inbox.is_empty() {
            true => std::mem::swap(&mut state.inbox, messages),
            false => state.inbox.append(messages),
        }
        state.stats = stats;
        if end.is_some() {
            state.recv_end = end;
        }
        let due = state.due();
        let room = state.inbox_weight < FETCH_MARK / 2;
        state.starved = stopped_full && !room;
        (stopped_full && room, due)
    }

    /// A receive timeout that leaves the stream as it is: only for the receive that waits.
    pub(super) fn recv_missed(&self, error: Error) -> Option<Due> {
        let pending = self.state.lock().pending_recv.take()?;
        Some(Due(pending.taken, Received::Failed(error)))
    }

    /// Whether a receive waits.
    pub(super) fn is_receiving(&self) -> bool {
        self.state.lock().pending_recv.is_some()
    }

    pub(super) fn set_header(&self, header: Result<Option<Header>>) -> Vec<Hook> {
        let mut state = self.state.lock();
        state.header.get_or_insert(header);
        std::mem::take(&mut state.on_header)
    }

    pub(super) fn meta_hook(&self) -> Option<MetaHook> {
        self.state.lock().on_meta.clone()
    }

    pub(super) fn set_stopping(&self) -> Vec<Hook> {
        let mut state = self.state.lock();
        state.stopping = true;
        std::mem::take(&mut state.on_stopping)
    }

    /// The host has given the stream back. Returns who has not heard of the end.
    pub(super) fn given_back(&self, end: End) -> Vec<Hook> {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        let mut hooks = std::mem::take(&mut state.on_header);
        hooks.append(&mut state.on_end);
        // Nobody will be stopped any more.
        let unheard = std::mem::take(&mut state.on_stopping);
        drop(state);
        drop(unheard);
        hooks
    }

    /// The stream is over in both directions. Returns what must be told: the hooks, and a send that waited.
    pub(super) fn ended(
        &self,
        end: End,
        send_end: Error,
        trailer: Result<Option<Header>>,
        stats: StreamStats,
    ) -> (Vec<Hook>, Option<Done>) {
        let mut state = self.state.lock();
        state.send_end = Some(send_end);
        state.end = Some(end);
        state.trailer = Some(trailer);
        state.stats = stats;
        let mut hooks = std::mem::take(&mut state.on_header);
        hooks.append(&mut state.on_end);
        (hooks, state.pending_send.take().map(|pending| pending.done))
    }
}

/// Whether a failed receive may be tried again.
pub(super) fn can_retry(error: &Error) -> bool {
    error.stream_reason().is_some_and(|reason: &StreamReason| reason.can_retry)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::Encoding;

    #[test]
    fn a_send_that_waited_follows_what_was_accepted_before_it() {
        let message = |text: &'static str| Message::new(Encoding::THRIFT_BINARY, text.into());
        let mut state = State::default();
        state.push(message("accepted"));
        state.unsent += SEND_MARK;
        let (message, done) = (message("waited"), Box::new(|_| ()));
        state.pending_send = Some(PendingSend { id: 1, message, done });
        let mut backlog = VecDeque::new();
        assert!(state.sent(1, &mut backlog).is_none());
        assert!(state.sent(SEND_MARK, &mut backlog).is_some());
        let texts: Vec<_> = backlog
            .iter()
            .map(|out| match out {
                Out::Message(message) => message.bytes(),
                _ => Bytes::new(),
            })
            .collect();
        assert_eq!(texts, ["accepted", "waited"]);
    }
}
