//! What the host leaves to be sent: messages up to a mark, then one send that waits for room.

use std::collections::VecDeque;

use super::{Done, Link, already, weight};
use crate::base::{Code, Error, Limits, Message, Result};
use crate::proto::stream::{Finish, Pairs};

/// Weight of messages that may wait here to be sent, before those that the connection holds: enough to
/// keep the task busy, little beside its budgets.
pub(super) const SEND_MARK: usize = 256 << 10;

/// What a method's name may add to a frame.
const HEADROOM: usize = 128 << 10;

/// What became of a message to send.
#[derive(Debug)]
#[must_use]
pub enum Sent {
    /// It will be sent, in its turn.
    Accepted,
    /// There is no room: here it is again.
    Full(Message),
}

/// What the host asks for, in its order.
pub(in crate::io::stream) enum Out {
    Message(Message),
    Flush(Done),
    CloseSend,
    Header(Pairs),
    Finish(Finish, Pairs),
}

/// The direction from the host to the peer.
#[derive(Default)]
pub(super) struct Outgoing {
    /// What the task has not looked at yet.
    asks: VecDeque<Out>,
    /// Weight of what waits to be sent here and with the task.
    unsent: usize,
    /// Why nothing can be sent any more.
    end: Option<Error>,
    pending: Option<PendingSend>,
}

struct PendingSend {
    id: u64,
    message: Message,
    done: Done,
}

impl Outgoing {
    pub(super) fn ask(&mut self, out: Out) {
        self.asks.push_back(out);
    }

    /// What it says, appended to what the task still has to do.
    pub(super) fn take(&mut self, backlog: &mut VecDeque<Out>) {
        match backlog.is_empty() {
            // The empty list stays here, with its memory.
            true => std::mem::swap(backlog, &mut self.asks),
            false => backlog.append(&mut self.asks),
        }
    }

    /// The connection has taken messages of this weight. A send that waits for room may follow: its
    /// message goes to the backlog, its end is to be told.
    fn sent(&mut self, weight_of_sent: usize, backlog: &mut VecDeque<Out>) -> Option<Done> {
        self.unsent = self.unsent.saturating_sub(weight_of_sent);
        if self.unsent > SEND_MARK / 2 {
            return None;
        }
        let PendingSend { message, done, .. } = self.pending.take()?;
        self.unsent += weight(&message);
        // What was accepted before it, and the task has not looked at yet, stays before it.
        backlog.append(&mut self.asks);
        backlog.push_back(Out::Message(message));
        Some(done)
    }

    /// Nothing can be sent any more, for this reason. A send that waited is to be told.
    pub(super) fn ended(&mut self, end: Error) -> Option<Done> {
        self.end = Some(end);
        self.withdraw_any()
    }

    /// Whoever waits is not served.
    pub(super) fn withdraw_any(&mut self) -> Option<Done> {
        self.pending.take().map(|pending| pending.done)
    }

    /// Weight of what waits to be sent.
    #[cfg(all(test, krpc_loom))]
    pub(super) fn weight(&self) -> usize {
        self.unsent
    }

    fn may_send(&self) -> Result<()> {
        match (&self.end, &self.pending) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(_)) => Err(already("send")),
            (None, None) => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.unsent >= SEND_MARK
    }

    fn push(&mut self, message: Message) {
        self.unsent += weight(&message);
        self.ask(Out::Message(message));
    }
}

// ---- the host's side ---------------------------------------------------------------------------

impl Link {
    /// Leaves a message to be sent, if there is room for it.
    pub fn try_send(&self, message: Message) -> Result<Sent> {
        check_size(&message)?;
        self.tell(|state| {
            state.outgoing.may_send()?;
            if state.outgoing.is_full() {
                return Ok(Sent::Full(message));
            }
            state.outgoing.push(message);
            state.dirty = true;
            Ok(Sent::Accepted)
        })
    }

    /// Whether a send would be accepted now. Without another sender it stays so.
    pub fn has_room(&self) -> Result<bool> {
        let state = self.lock();
        state.outgoing.may_send()?;
        Ok(!state.outgoing.is_full())
    }

    /// Leaves messages to be sent, as many as there is room for; what is left over stays in the list.
    pub fn try_send_many(&self, messages: &mut VecDeque<Message>) -> Result<()> {
        messages.iter().try_for_each(check_size)?;
        self.tell(|state| {
            state.outgoing.may_send()?;
            while !state.outgoing.is_full()
                && let Some(message) = messages.pop_front()
            {
                state.outgoing.push(message);
                state.dirty = true;
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
            match checked.and_then(|()| state.outgoing.may_send()) {
                Ok(()) if state.outgoing.is_full() => {
                    state.outgoing.pending = Some(PendingSend { id, message, done });
                }
                Ok(()) => {
                    state.outgoing.push(message);
                    state.dirty = true;
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
        let pending = self.lock().outgoing.pending.take_if(|pending| pending.id == id)?;
        Some(pending.done)
    }

    /// Client: nothing more will be sent. Does nothing the second time, or when the stream is over.
    pub fn close_send(&self, closed: Error) -> Result<()> {
        self.tell(|state| {
            if state.outgoing.pending.is_some() {
                return Err(already("send"));
            }
            if state.outgoing.end.is_none() {
                state.outgoing.end = Some(closed);
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
            state.outgoing.end.get_or_insert(closed);
            state.ask(Out::Finish(finish, trailer));
            state.outgoing.pending.take().zip(state.outgoing.end.clone())
        });
        if let Some((pending, error)) = pending {
            (pending.done)(Err(error));
        }
    }
}

fn check_size(message: &Message) -> Result<()> {
    if message.len() <= Limits::MAX_FRAME_BYTES - HEADROOM {
        return Ok(());
    }
    Err(Error::new(Code::FrameTooLarge, format!("a message of {} bytes fits into no frame", message.len())))
}

// ---- the task's side ---------------------------------------------------------------------------

impl Link {
    /// The connection has taken messages of this weight. A send that waits for room may follow: its
    /// message goes to the backlog, its end is to be told.
    pub(in crate::io::stream) fn sent(
        &self,
        weight_of_sent: usize,
        backlog: &mut VecDeque<Out>,
    ) -> Option<Done> {
        self.lock().outgoing.sent(weight_of_sent, backlog)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::Encoding;

    #[test]
    fn a_send_that_waited_follows_what_was_accepted_before_it() {
        let message = |text: &'static str| Message::new(Encoding::THRIFT_BINARY, text.into());
        let mut outgoing = Outgoing::default();
        outgoing.push(message("accepted"));
        outgoing.unsent += SEND_MARK;
        let (message, done) = (message("waited"), Box::new(|_| ()));
        outgoing.pending = Some(PendingSend { id: 1, message, done });
        let mut backlog = VecDeque::new();
        assert!(outgoing.sent(1, &mut backlog).is_none());
        assert!(outgoing.sent(SEND_MARK, &mut backlog).is_some());
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
