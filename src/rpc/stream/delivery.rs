//! Messages that go to a host's queue by themselves, as many as it has given credit for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Message, Result};
use crate::io::stream::{Link, Received, TakeAll, Taken};
use crate::op::queue::{QueueError, Slot, Slots};
use crate::rpc::event::{Event, Queue};
use crate::rpc::stream::handle::Stream;
use crate::rpc::stream::passage::Passage;

/// What a stream has put into a queue.
pub struct Delivered {
    /// 0 for the first, one more for each; the end has the last.
    pub sequence: u64,
    /// The message; `None` for the end of messages; an error for any other end.
    pub result: Result<Option<Message>>,
    released: Arc<AtomicBool>,
}

impl Delivered {
    /// Whether nothing follows: the peer has said everything, or the stream has failed.
    pub fn is_end(&self) -> bool {
        match &self.result {
            Ok(message) => message.is_none(),
            Err(error) => !goes_on(error),
        }
    }

    /// Whether the host has freed the stream.
    pub fn is_stale(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

/// One stream's way into one queue.
pub(super) struct Delivery {
    tag: u64,
    queue: Arc<Queue>,
    link: Weak<Link>,
    released: Arc<AtomicBool>,
    /// What messages pass, if anybody looks.
    passage: Option<Passage>,
    state: Mutex<State>,
}

struct State {
    credit: Slots<Event>,
    /// Kept for the end; gone when it was told.
    end: Option<Slot<Event>>,
    sequence: u64,
    /// Somebody is at it, or a recv waits: who comes adds to the credit and leaves.
    running: bool,
}

impl Stream {
    /// Lets the next `credit` messages go into a queue as they come, and the end besides; calling it again
    /// adds credit. Their events carry `tag`, in order and numbered. Until the end no other recv is
    /// possible. QUEUE_FULL if the queue has no room for so many; nothing has happened then.
    pub fn deliver(&self, queue: &Arc<Queue>, tag: u64, credit: usize) -> Result<()> {
        let delivery = {
            let mut place = self.delivery().lock();
            match &*place {
                Some(delivery) => {
                    delivery.add(queue, tag, credit)?;
                    Arc::clone(delivery)
                }
                None => {
                    let delivery = Delivery::new(queue, tag, credit, self)?;
                    Arc::clone(place.insert(delivery))
                }
            }
        };
        delivery.start(self.link());
        Ok(())
    }
}

impl Delivery {
    fn new(queue: &Arc<Queue>, tag: u64, credit: usize, stream: &Stream) -> Result<Arc<Delivery>> {
        let slots = credit.checked_add(1).ok_or_else(|| no_room(QueueError::Full))?;
        let mut slots = queue.reserve_many(slots).map_err(no_room)?;
        let state = State { end: slots.next(), credit: slots, sequence: 0, running: false };
        Ok(Arc::new(Delivery {
            tag,
            queue: Arc::clone(queue),
            link: Arc::downgrade(stream.link()),
            released: Arc::default(),
            passage: stream.passage(),
            state: Mutex::new(state),
        }))
    }

    fn add(&self, queue: &Arc<Queue>, tag: u64, credit: usize) -> Result<()> {
        if !Arc::ptr_eq(queue, &self.queue) || tag != self.tag {
            let text = "the stream delivers to another queue or tag already";
            return Err(Error::new(Code::InvalidState, text));
        }
        self.state.lock().credit.reserve_more(credit).map_err(no_room)
    }

    /// The host has freed the stream: what is queued is stale, what was reserved goes back.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::Release);
        let mut state = self.state.lock();
        let (slots, end) = (state.credit.by_ref().collect::<Vec<_>>(), state.end.take());
        drop(state);
        drop((slots, end));
    }

    fn start(self: &Arc<Self>, link: &Arc<Link>) {
        if !std::mem::replace(&mut self.state.lock().running, true) {
            self.run(link);
        }
    }

    fn run(self: &Arc<Self>, link: &Arc<Link>) {
        loop {
            let credit = self.state.lock().credit.len();
            match link.try_recv(credit) {
                Ok(Received::Nothing) => return self.wait(link, credit),
                // Nothing can be put anywhere; without credit only the end is of interest.
                Ok(Received::Message(_) | Received::Messages(_)) if credit == 0 => {
                    let mut state = self.state.lock();
                    state.running = state.credit.len() > 0;
                    if !state.running {
                        return;
                    }
                }
                Ok(received) => {
                    if !self.receive(received) {
                        return;
                    }
                }
                Err(error) => return self.end(Err(error)),
            }
        }
    }

    fn wait(self: &Arc<Self>, link: &Arc<Link>, credit: usize) {
        let this: Arc<Delivery> = Arc::clone(self);
        link.recv_when_there(link.next_id(), credit, Taken::All(this));
    }

    /// Puts what came into the queue. False at the end.
    fn receive(&self, received: Received) -> bool {
        let received = match &self.passage {
            None => received,
            Some(passage) => passage.incoming(received),
        };
        match received {
            Received::Message(message) => {
                self.put(Ok(Some(message)));
                return true;
            }
            Received::Messages(messages) => {
                messages.into_iter().for_each(|message| self.put(Ok(Some(message))));
                return true;
            }
            Received::Nothing => return true,
            // The stream goes on, and so does its delivery.
            Received::Failed(error) if goes_on(&error) => {
                self.put(Err(error));
                return true;
            }
            Received::Eof => self.end(Ok(None)),
            Received::Failed(error) => self.end(Err(error)),
        }
        false
    }

    fn put(&self, result: Result<Option<Message>>) {
        let (slot, sequence) = {
            let mut state = self.state.lock();
            state.sequence += 1;
            (state.credit.next(), state.sequence - 1)
        };
        if let Some(slot) = slot {
            slot.fill(self.event(sequence, result));
        }
    }

    fn end(&self, result: Result<Option<Message>>) {
        let (slot, sequence, rest) = {
            let mut state = self.state.lock();
            let rest: Vec<_> = state.credit.by_ref().collect();
            (state.end.take(), state.sequence, rest)
        };
        if let Some(slot) = slot {
            slot.fill(self.event(sequence, result));
        }
        drop(rest);
    }

    fn event(&self, sequence: u64, result: Result<Option<Message>>) -> Event {
        let delivered = Delivered { sequence, result, released: Arc::clone(&self.released) };
        Event::StreamMessage { tag: self.tag, delivered }
    }
}

impl TakeAll for Delivery {
    fn take(self: Arc<Self>, received: Received) {
        if self.receive(received)
            && let Some(link) = self.link.upgrade()
        {
            self.run(&link);
        }
    }
}

/// Whether only one recv has failed.
fn goes_on(error: &Error) -> bool {
    error.stream_reason().is_some_and(|reason| reason.can_retry)
}

fn no_room(why: QueueError) -> Error {
    match why {
        QueueError::Full => Error::new(Code::QueueFull, "the queue has no room for so many messages"),
        QueueError::Closed => Error::new(Code::Closed, "the queue is closed"),
    }
}
