//! Calls on a stream that may have to wait, in each way that a host waits.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::base::{Error, Message, Result};
use crate::io::stream::{Done, Link, Received, Sent, Taken, already, given_back};
use crate::io::thread;
use crate::op::operation::{self, Cancel, Completer, Outcome, Withdraw};
use crate::proto::stream::Pairs;
use crate::rpc::stream::handle::Stream;
use crate::wire::ttheader::Header;

impl Stream {
    /// Sends a message and waits until it is in the stream's budget, which is at once while there is room.
    /// An error is the stream's end, as [`Stream::recv`] gives it, or INVALID_STATE after
    /// [`Stream::close_send`].
    pub fn send(&self, message: Message) -> Result<()> {
        thread::may_block()?;
        if self.tap().is_some() {
            return self.send_tapped(message);
        }
        self.before_send();
        match self.link().try_send(message)? {
            Sent::Accepted => Ok(()),
            Sent::Full(message) => self.send_here(message),
        }
    }

    #[inline(never)]
    fn send_tapped(&self, message: Message) -> Result<()> {
        self.before_send();
        let message = self.outgoing(message)?;
        let bytes = message.len();
        let result = match self.link().try_send(message) {
            Ok(Sent::Accepted) => Ok(()),
            Ok(Sent::Full(message)) => self.send_here(message),
            Err(error) => Err(error),
        };
        self.sent(bytes, result.as_ref().err());
        result
    }

    /// Starts a send; it ends when the message is accepted. Cancelled before that, nothing of it leaves.
    pub fn start_send(&self, message: Message, completer: Completer<Result<()>>) {
        if self.tap().is_some() {
            return self.start_send_tapped(message, completer);
        }
        self.before_send();
        match self.link().try_send(message) {
            Ok(Sent::Accepted) => completer.complete(Ok(())),
            Ok(Sent::Full(message)) => self.wait_to_send(message, completer),
            Err(error) => completer.complete(Err(error)),
        }
    }

    #[inline(never)]
    fn start_send_tapped(&self, message: Message, completer: Completer<Result<()>>) {
        self.before_send();
        let message = match self.outgoing(message) {
            Ok(message) => message,
            Err(error) => return completer.complete(Err(error)),
        };
        let bytes = message.len();
        match self.link().try_send(message) {
            Ok(Sent::Accepted) => {
                self.sent(bytes, None);
                completer.complete(Ok(()));
            }
            Ok(Sent::Full(message)) => self.wait_to_send(message, completer),
            Err(error) => {
                self.sent(bytes, Some(&error));
                completer.complete(Err(error));
            }
        }
    }

    /// Sends messages in their order, waiting for room as often as it takes. On an error an unknown number
    /// of them has been accepted.
    pub fn send_many(&self, messages: impl IntoIterator<Item = Message>) -> Result<()> {
        thread::may_block()?;
        if self.tap().is_some() {
            return messages.into_iter().try_for_each(|message| self.send(message));
        }
        self.before_send();
        let mut left: VecDeque<_> = messages.into_iter().collect();
        loop {
            self.link().try_send_many(&mut left)?;
            match left.pop_front() {
                None => return Ok(()),
                Some(next) => self.send_here(next)?,
            }
        }
    }

    /// Takes as many of the messages as there is room for now; what is left over stays in the list.
    pub fn try_send_many(&self, messages: &mut VecDeque<Message>) -> Result<()> {
        self.before_send();
        match self.tap() {
            None => self.link().try_send_many(messages),
            Some(_) => self.try_send_each(messages),
        }
    }

    /// The same where each passes a tap: none that might find no room.
    fn try_send_each(&self, messages: &mut VecDeque<Message>) -> Result<()> {
        while self.link().has_room()?
            && let Some(message) = messages.pop_front()
        {
            let message = self.outgoing(message)?;
            let bytes = message.len();
            match self.link().try_send(message) {
                Ok(Sent::Accepted) => self.sent(bytes, None),
                // Somebody else has sent meanwhile.
                Ok(Sent::Full(_)) => return Err(already("send")),
                Err(error) => {
                    self.sent(bytes, Some(&error));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn wait_to_send(&self, message: Message, completer: Completer<Result<()>>) {
        let link = self.link();
        let id = link.next_id();
        let wish = watch(&completer, link, id);
        let done: Done = match self.passage() {
            None => Box::new(move |result| completer.complete(result)),
            Some(passage) => {
                let bytes = message.len();
                Box::new(move |result| {
                    passage.sent(bytes, result.as_ref().err());
                    completer.complete(result);
                })
            }
        };
        link.send_when_room(id, message, done);
        look_again(&wish, link, id);
    }

    /// The next message; `None` when the peer has said everything. What has arrived comes before the end,
    /// and the end stays.
    pub fn recv(&self) -> Result<Option<Message>> {
        thread::may_block()?;
        match self.incoming(self.link().try_recv(1)?).one() {
            Some(result) => result,
            None => self.incoming(self.recv_here(1)).one().unwrap_or_else(Outcome::abandoned),
        }
    }

    /// The next message or the end if it is there; the outer `None` means that nothing is.
    pub fn try_recv(&self) -> Result<Option<Option<Message>>> {
        self.incoming(self.link().try_recv(1)?).one().transpose()
    }

    /// Starts a recv. Cancelled, it leaves its message to the next one, and the stream as it is.
    pub fn start_recv(&self, completer: Completer<Result<Option<Message>>>) {
        match self.link().try_recv(1).map(|received| self.incoming(received).one()) {
            Ok(Some(result)) => completer.complete(result),
            Ok(None) => self.wait_to_recv(completer),
            Err(error) => completer.complete(Err(error)),
        }
    }

    /// Waits for a message, then takes all that are there, up to `most` (at least 1). Empty when the peer
    /// has said everything.
    pub fn recv_many(&self, most: usize) -> Result<Vec<Message>> {
        thread::may_block()?;
        match many(self.incoming(self.link().try_recv(most.max(1))?)) {
            Some(result) => result,
            None => many(self.incoming(self.recv_here(most.max(1)))).unwrap_or_else(Outcome::abandoned),
        }
    }

    /// Starts the same.
    pub fn start_recv_many(&self, most: usize, completer: Completer<Result<Vec<Message>>>) {
        match self.link().try_recv(most.max(1)).map(|received| many(self.incoming(received))) {
            Ok(Some(result)) => completer.complete(result),
            Ok(None) => self.wait_to_recv_many(most.max(1), completer),
            Err(error) => completer.complete(Err(error)),
        }
    }

    fn wait_to_recv(&self, completer: Completer<Result<Option<Message>>>) {
        let (link, passage) = (self.link(), self.passage());
        let id = link.next_id();
        let wish = watch(&completer, link, id);
        let taken = match passage {
            None => Taken::One(completer),
            Some(passage) => {
                Taken::by(move |received| Taken::One(completer).take(passage.incoming(received)))
            }
        };
        link.recv_when_there(id, 1, taken);
        look_again(&wish, link, id);
    }

    fn wait_to_recv_many(&self, most: usize, completer: Completer<Result<Vec<Message>>>) {
        let (link, passage) = (self.link(), self.passage());
        let id = link.next_id();
        let wish = watch(&completer, link, id);
        let give = move |received| completer.complete(many(received).unwrap_or_else(Outcome::abandoned));
        let taken = match passage {
            None => Taken::by(give),
            Some(passage) => Taken::by(move |received| give(passage.incoming(received))),
        };
        link.recv_when_there(id, most, taken);
        look_again(&wish, link, id);
    }

    /// Waits until everything sent so far is with the socket.
    pub fn flush(&self) -> Result<()> {
        thread::may_block()?;
        blocking(|completer| self.start_flush(completer))
    }

    /// Starts the same.
    pub fn start_flush(&self, completer: Completer<Result<()>>) {
        self.link().flush(Box::new(move |result| completer.complete(result)));
    }

    /// The peer's HEADER: at a client waits for it; at a server it is that of the opening. The same every
    /// time; empty where a server sent none. Fails if the stream failed before it came.
    pub fn header(&self) -> Result<Pairs> {
        thread::may_block()?;
        blocking(|completer| self.start_header(completer))
    }

    /// Starts the same.
    pub fn start_header(&self, completer: Completer<Result<Pairs>>) {
        if let Some(opening) = self.opening_header() {
            return completer.complete(Ok(pairs(Some(opening))));
        }
        let link = Arc::clone(self.link());
        self.link().on_header(Box::new(move || {
            let header = link.header().or_else(|| link.trailer().map(|trailer| trailer.map(|_| None)));
            completer.complete(told(header));
        }));
    }

    /// The peer's TRAILER, `biz-*` included: waits for the end of the stream. The same every time. Fails if
    /// the stream ended without one.
    pub fn trailer(&self) -> Result<Pairs> {
        thread::may_block()?;
        blocking(|completer| self.start_trailer(completer))
    }

    /// Starts the same.
    pub fn start_trailer(&self, completer: Completer<Result<Pairs>>) {
        let link = Arc::clone(self.link());
        self.link().on_end(Box::new(move || completer.complete(told(link.trailer()))));
    }
}

fn told(found: Option<Result<Option<Header>>>) -> Result<Pairs> {
    match found {
        Some(result) => result.map(|header| pairs(header.as_ref())),
        None => Err(given_back()),
    }
}

fn pairs(header: Option<&Header>) -> Pairs {
    let all = header.into_iter().flat_map(|header| header.strings().map(move |pair| (header, pair)));
    all.map(|(header, (key, value))| (header.slice(key), header.slice(value))).collect()
}

fn many(received: Received) -> Option<Result<Vec<Message>>> {
    match received {
        Received::Message(message) => Some(Ok(vec![message])),
        Received::Messages(messages) => Some(Ok(messages.into())),
        Received::Nothing => None,
        Received::Eof => Some(Ok(Vec::new())),
        Received::Failed(error) => Some(Err(error)),
    }
}

/// Waits here for the end of an operation.
pub(super) fn blocking<T: Send + 'static>(start: impl FnOnce(Completer<Result<T, Error>>)) -> Result<T> {
    let (operation, completer) = operation::new(None);
    start(completer);
    operation.wait(None);
    operation.take().unwrap_or_else(Outcome::abandoned)
}

/// Takes a pending call back when its operation is asked to end. If that happens just before the call becomes
/// pending, nobody is there to be taken back: see [`look_again`].
fn watch<T: Outcome + Send + 'static>(
    completer: &Completer<T>,
    link: &Arc<Link>,
    id: u64,
) -> Weak<dyn Cancel> {
    let link: Weak<Link> = Arc::downgrade(link);
    completer.withdraws(link, id);
    completer.canceller()
}

fn look_again(wish: &Weak<dyn Cancel>, link: &Link, id: u64) {
    if let Some(cause) = wish.upgrade().and_then(|operation| operation.asked()) {
        link.withdraw(id, cause);
    }
}
