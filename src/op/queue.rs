//! The completion queue: events of many operations, taken in batches by any number of threads.
//!
//! Whoever will have an event to deliver reserves a [`Slot`] first, where "full" can still be said to the
//! host. Filling it then always succeeds, at once and without memory. Reserved and queued together never
//! exceed the capacity.
//!
//! # Two ways to wait
//!
//! A take sleeps on the condition variable. A host with an event loop of its own waits for the
//! [`Doorbell`], a file descriptor that says only "look". Between them stands this protocol:
//!
//! - A fill rings only if the bell is *armed*, and disarms it: a burst rings once.
//! - A take that empties the queue clears the bell, then arms it *and looks again*: a fill between the two
//!   found the bell not armed, so its ring is made up for. One that leaves events leaves the bell ringing.
//!
//! Clear comes before arm, or it could silence a ring that the arming allowed. Arming and looking again
//! are one step under the lock that fills also take; that makes the fence which lock-free ones would need.
//! A ring may come late, after its event was taken: then somebody looks in vain, once.
//!
//! When the queue is closed and nothing is reserved or queued, it is over: the bell rings for good and
//! every take says so.

mod signal;
mod slot;
mod watches;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{error, fmt, mem};

use crate::base::fault::{self, Point};
use crate::op::operation::{Cancel, Cause};
use crate::op::sync::{Condvar, Mutex, Patience, lock};
use crate::op::turn::{self, Wakes};
use signal::Wake;
use watches::{Key, Watches};

pub(super) use signal::Signal;
pub use slot::{Slot, Slots};

/// Events that a queue can hold at most.
pub const MAX_CAPACITY: usize = 1 << 20;

/// What goes through a queue. Asked on the taker's thread, without a lock.
pub trait Event {
    /// Whether its handle was freed: takes skip and drop it.
    fn is_stale(&self) -> bool;
    /// The host's word for what it belongs to.
    fn tag(&self) -> u64;
}

/// Tells an event loop to look into the queue: an eventfd, for instance. It is never called with a lock
/// held, so calls may overlap.
pub trait Doorbell: Send + Sync {
    /// Makes it ring, if it does not yet.
    fn ring(&self);
    /// Makes it silent.
    fn clear(&self);
}

/// Why no slot could be reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// Everything is reserved or queued; after some takes it may succeed.
    Full,
    /// The queue is closed.
    Closed,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueueError::Full => "the completion queue is full",
            QueueError::Closed => "the completion queue is closed",
        })
    }
}

impl error::Error for QueueError {}

/// What a take came back with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Events appended; 0 when the time was up or the queue is over.
    pub count: usize,
    /// Nothing will ever come behind these. Said only when there was room for one more, so that an end can
    /// be shown as an event of its own.
    pub end: bool,
}

/// What a queue has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Slots promised and not yet filled or returned.
    pub reserved: usize,
    /// Events waiting to be taken.
    pub queued: usize,
    /// Most events that ever waited at once.
    pub max_depth: usize,
    /// Reservations refused because the queue was full.
    pub full: u64,
    /// Events dropped because their handle had been freed.
    pub stale: u64,
    /// Times the doorbell was rung.
    pub rings: u64,
}

/// A bounded queue of events, many threads on either side.
pub struct Queue<E> {
    capacity: usize,
    inner: Mutex<Inner<E>>,
    /// Wakes takes that sleep. One wake for an empty queue that becomes filled; a take that leaves events
    /// passes it on.
    filled: Condvar,
    stale: AtomicU64,
    rings: AtomicU64,
}

struct Inner<E> {
    events: VecDeque<E>,
    reserved: usize,
    is_closed: bool,
    /// Nobody will take any more: what comes is dropped.
    is_abandoned: bool,
    /// Takes asleep on `filled`, so that a fill without any makes no system call.
    sleepers: usize,
    doorbell: Option<Arc<dyn Doorbell>>,
    /// The next fill must ring. Implies that the queue is empty and not over.
    armed: bool,
    watches: Watches,
    max_depth: usize,
    full: u64,
}

impl<E> Queue<E> {
    /// A queue for `capacity` events (at most [`MAX_CAPACITY`]), with all the memory it will ever need.
    pub fn new(capacity: usize, doorbell: Option<Arc<dyn Doorbell>>) -> Arc<Queue<E>> {
        let capacity = capacity.min(MAX_CAPACITY);
        let inner = Inner {
            events: VecDeque::with_capacity(capacity),
            reserved: 0,
            is_closed: false,
            is_abandoned: false,
            sleepers: 0,
            armed: doorbell.is_some(),
            doorbell,
            watches: Watches::with_capacity(capacity as u32),
            max_depth: 0,
            full: 0,
        };
        Arc::new(Queue {
            capacity,
            inner: Mutex::new(inner),
            filled: Condvar::new(),
            stale: AtomicU64::new(0),
            rings: AtomicU64::new(0),
        })
    }

    /// Gives the queue its doorbell, for hosts that ask for one later: silent ones cost nothing. The first
    /// stays; returns the one that counts.
    pub fn attach(&self, doorbell: Arc<dyn Doorbell>) -> Arc<dyn Doorbell> {
        let mut inner = lock(&self.inner);
        if let Some(earlier) = &inner.doorbell {
            let earlier = earlier.clone();
            drop(inner);
            return earlier;
        }
        inner.doorbell = Some(doorbell.clone());
        let signal = inner.arm();
        drop(inner);
        self.wake(signal);
        doorbell
    }

    /// Keeps room for one event.
    pub fn reserve(self: &Arc<Self>) -> Result<Slot<E>, QueueError> {
        self.claim(1)?;
        Ok(Slot::new(self.clone()))
    }

    /// Keeps room for `count` events: all or nothing.
    pub fn reserve_many(self: &Arc<Self>, count: usize) -> Result<Slots<E>, QueueError> {
        self.claim(count)?;
        Ok(Slots::new(self.clone(), count))
    }

    /// Asks what watches under this tag to end, because the host said so. Returns how many were asked.
    pub fn cancel_tag(&self, tag: u64) -> usize {
        let watches = lock(&self.inner).watches.with_tag(tag);
        ask_all(watches, Cause::ByHost)
    }

    /// Ends reservations and asks everything that watches to end. What is reserved is still delivered; after
    /// that the queue is over. Twice is once.
    pub fn close(&self) {
        let mut inner = lock(&self.inner);
        if mem::replace(&mut inner.is_closed, true) {
            return;
        }
        let watches = inner.watches.all();
        let signal = inner.end_if_over();
        drop(inner);
        self.wake(signal);
        ask_all(watches, Cause::Closed);
    }

    /// Closes the queue for a host that takes nothing more: what waits is dropped now, what was reserved when
    /// it comes. The doorbell goes too.
    pub fn abandon(&self) {
        self.close();
        let mut inner = lock(&self.inner);
        inner.is_abandoned = true;
        let unseen = mem::take(&mut inner.events);
        let doorbell = inner.doorbell.take();
        drop(inner);
        // Without the lock: the end of an event may be an answer.
        drop((unseen, doorbell));
    }

    /// What the queue has seen until now.
    pub fn stats(&self) -> Stats {
        let inner = lock(&self.inner);
        Stats {
            reserved: inner.reserved,
            queued: inner.events.len(),
            max_depth: inner.max_depth,
            full: inner.full,
            stale: self.stale.load(Ordering::Relaxed),
            rings: self.rings.load(Ordering::Relaxed),
        }
    }

    /// Most events that can be reserved and queued together.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

// ---- takes ------------------------------------------------------------------------------------

impl<E: Event> Queue<E> {
    /// Appends up to `max` events to `out`, in the order in which they were filled in. Sleeps only while
    /// there is none: `None` is for ever, zero a poll. Stale events are dropped on the way, and a take that
    /// met nothing else goes on within its time.
    pub fn take(&self, out: &mut Vec<E>, max: usize, timeout: Option<Duration>) -> Taken {
        let from = out.len();
        if max == 0 {
            return Taken::default();
        }
        let mut patience = Patience::new(timeout);
        loop {
            let popped = self.pop(out, max, &mut patience);
            self.drop_stale(out, from);
            let count = out.len() - from;
            if count > 0 || popped.nothing || popped.over {
                if let Some(doorbell) = popped.silence {
                    self.silence(&doorbell);
                }
                return Taken { count, end: popped.over && count < max };
            }
        }
    }

    fn drop_stale(&self, out: &mut Vec<E>, from: usize) {
        let stale = out.extract_if(from.., |event| event.is_stale()).count();
        if stale > 0 {
            self.stale.fetch_add(stale as u64, Ordering::Relaxed);
        }
    }
}

/// What one look into the queue found.
struct Popped {
    /// The time was up, or the queue is over.
    nothing: bool,
    over: bool,
    /// The queue is now empty: what to silence.
    silence: Option<Arc<dyn Doorbell>>,
}

impl<E> Queue<E> {
    fn pop(&self, out: &mut Vec<E>, max: usize, patience: &mut Patience) -> Popped {
        let mut inner = lock(&self.inner);
        while inner.events.is_empty() && !inner.is_over() {
            inner.sleepers += 1;
            let (guard, has_slept) = patience.sleep(&self.filled, inner);
            inner = guard;
            inner.sleepers -= 1;
            if !has_slept {
                break;
            }
        }
        let count = inner.events.len().min(max);
        out.extend(inner.events.drain(..count));
        let signal = if count > 0 { inner.after_pop() } else { Signal::default() };
        let over = inner.is_over();
        let silence = inner.doorbell.clone().filter(|_| inner.events.is_empty() && !over);
        drop(inner);
        self.wake(signal);
        Popped { nothing: count == 0, over, silence }
    }

    /// Clears the bell of a queue that was found empty, then arms it, unless it is no longer so.
    fn silence(&self, doorbell: &Arc<dyn Doorbell>) {
        doorbell.clear();
        let signal = lock(&self.inner).arm();
        self.wake(signal);
    }
}

// ---- what slots do ----------------------------------------------------------------------------

impl<E> Queue<E> {
    fn claim(&self, count: usize) -> Result<(), QueueError> {
        let mut inner = lock(&self.inner);
        if inner.is_closed {
            return Err(QueueError::Closed);
        }
        let room = self.capacity - inner.reserved - inner.events.len();
        if count > room || fault::fails(Point::QueueSlot) {
            inner.full += 1;
            return Err(QueueError::Full);
        }
        inner.reserved += count;
        Ok(())
    }

    fn push(self: Arc<Self>, event: E, watch: Option<Key>)
    where
        E: 'static,
    {
        let mut inner = lock(&self.inner);
        let watched = inner.release(1, watch);
        if inner.is_abandoned {
            drop(inner);
            return drop((event, watched));
        }
        inner.events.push_back(event);
        let signal = inner.after_push();
        drop(inner);
        drop(watched);
        turn::ended(self, signal);
    }

    fn give_back(&self, count: usize, watch: Option<Key>) {
        let mut inner = lock(&self.inner);
        let watched = inner.release(count, watch);
        let signal = inner.end_if_over();
        drop(inner);
        drop(watched);
        self.wake(signal);
    }

    fn watch(&self, tag: u64, cancel: Weak<dyn Cancel>, earlier: Option<Key>) -> Option<Key> {
        let mut inner = lock(&self.inner);
        let earlier = earlier.and_then(|key| inner.watches.remove(key));
        let key = (!inner.is_closed).then(|| inner.watches.add(tag, cancel.clone()));
        drop(inner);
        drop(earlier);
        if key.is_none() {
            ask_all(vec![cancel], Cause::Closed);
        }
        key
    }
}

impl<E> Wakes for Queue<E> {
    fn wake(&self, signal: Signal) {
        match signal.sleepers {
            Wake::Nobody => {}
            Wake::One => self.filled.notify_one(),
            Wake::All => self.filled.notify_all(),
        }
        if let Some(doorbell) = signal.doorbell {
            self.rings.fetch_add(1, Ordering::Relaxed);
            doorbell.ring();
        }
    }
}

/// Returns how many of them were still there to ask.
fn ask_all(watches: Vec<Weak<dyn Cancel>>, cause: Cause) -> usize {
    let mut asked = 0;
    for cancel in watches.iter().filter_map(Weak::upgrade) {
        cancel.cancel(cause);
        asked += 1;
    }
    asked
}

// ---- under the lock ---------------------------------------------------------------------------

impl<E> Inner<E> {
    fn is_over(&self) -> bool {
        self.is_closed && self.reserved == 0 && self.events.is_empty()
    }

    fn release(&mut self, count: usize, watch: Option<Key>) -> Option<Weak<dyn Cancel>> {
        self.reserved -= count;
        watch.and_then(|key| self.watches.remove(key))
    }

    fn after_push(&mut self) -> Signal {
        self.max_depth = self.max_depth.max(self.events.len());
        let is_first = self.events.len() == 1;
        let doorbell = if mem::take(&mut self.armed) { self.doorbell.clone() } else { None };
        Signal { sleepers: self.wake_one_if(is_first), doorbell }
    }

    /// After events were taken: the rest is for the next who sleeps.
    fn after_pop(&mut self) -> Signal {
        if self.events.is_empty() {
            return self.end_if_over();
        }
        Signal { sleepers: self.wake_one_if(true), doorbell: None }
    }

    fn end_if_over(&mut self) -> Signal {
        if !self.is_over() {
            return Signal::default();
        }
        self.armed = false;
        Signal { sleepers: Wake::All, doorbell: self.doorbell.clone() }
    }

    /// The bell was cleared: lets the next fill ring it, or rings it if there is something to look at.
    fn arm(&mut self) -> Signal {
        self.armed = self.events.is_empty() && !self.is_over();
        let doorbell = if self.armed { None } else { self.doorbell.clone() };
        Signal { sleepers: Wake::Nobody, doorbell }
    }

    fn wake_one_if(&self, condition: bool) -> Wake {
        if condition && self.sleepers > 0 { Wake::One } else { Wake::Nobody }
    }
}

#[cfg(all(test, not(krpc_loom)))]
mod tests;
