//! A thread that waits for its own recv or send. Nobody can withdraw that, so it needs no operation; and the
//! thread keeps what it waits with, so that a recv that waits allocates nothing.

use std::cell::Cell;
use std::sync::Arc;

use crate::base::lock::{Condvar, Mutex};
use crate::base::{Message, Result};
use crate::io::stream::{Received, Take, Taken, given_back};
use crate::rpc::stream::handle::Stream;

thread_local! {
    static RECV: Cell<Option<Box<Answerer<Received>>>> = const { Cell::new(None) };
    static SEND: Cell<Option<Box<Answerer<Result<()>>>>> = const { Cell::new(None) };
}

/// Where one thread waits for one answer.
struct Seat<T> {
    answer: Mutex<Option<Answer<T>>>,
    there: Condvar,
}

/// An answer, with whoever gave it: the thread takes both, and needs no other the next time.
type Answer<T> = (T, Option<Box<Answerer<T>>>);

/// Gives the answer; dropped without one, it says that the stream is gone.
struct Answerer<T> {
    seat: Arc<Seat<T>>,
    /// The answer if it is dropped while one is waited for.
    otherwise: Option<fn() -> T>,
}

impl<T> Seat<T> {
    fn give(&self, answer: Answer<T>) {
        *self.answer.lock() = Some(answer);
        self.there.notify_all();
    }

    fn wait(&self) -> Answer<T> {
        let mut answer = self.answer.lock();
        loop {
            match answer.take() {
                Some(answer) => return answer,
                None => answer = self.there.wait(answer),
            }
        }
    }
}

impl<T> Answerer<T> {
    fn new() -> Box<Answerer<T>> {
        let seat = Seat { answer: Mutex::new(None), there: Condvar::new() };
        Box::new(Answerer { seat: Arc::new(seat), otherwise: None })
    }

    /// Has somebody answer, and waits for it.
    fn ask(mut self: Box<Self>, otherwise: fn() -> T, ask: impl FnOnce(Box<Self>)) -> Answer<T> {
        self.otherwise = Some(otherwise);
        let seat = Arc::clone(&self.seat);
        ask(self);
        seat.wait()
    }

    fn answer(mut self: Box<Self>, answer: T) {
        self.otherwise = None;
        let seat = Arc::clone(&self.seat);
        seat.give((answer, Some(self)));
    }
}

impl<T> Drop for Answerer<T> {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            self.seat.give((otherwise(), None));
        }
    }
}

impl Take for Answerer<Received> {
    fn take(self: Box<Self>, received: Received) {
        self.answer(received);
    }
}

impl Stream {
    /// Waits here for up to `most` messages, or the end.
    pub(super) fn recv_here(&self, most: usize) -> Received {
        let link = self.link();
        let (received, back) = RECV.take().unwrap_or_else(Answerer::new).ask(
            || Received::Failed(given_back()),
            |answerer| link.recv_when_there(link.next_id(), most, Taken::Once(answerer)),
        );
        RECV.set(back);
        received
    }

    /// Waits here until there is room for the message.
    pub(super) fn send_here(&self, message: Message) -> Result<()> {
        let link = self.link();
        let (result, back) = SEND.take().unwrap_or_else(Answerer::new).ask(
            || Err(given_back()),
            |answerer| {
                link.send_when_room(link.next_id(), message, Box::new(|result| answerer.answer(result)));
            },
        );
        SEND.set(back);
        result
    }
}
