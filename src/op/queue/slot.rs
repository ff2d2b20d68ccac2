//! Room in a queue that is kept for an event to come.

use std::sync::{Arc, Weak};

use crate::op::operation::Cancel;
use crate::op::queue::watches::Key;
use crate::op::queue::{Queue, QueueError};

/// Room for one event. Filled it becomes the event, dropped it goes back to the queue; either way its watch
/// ends.
pub struct Slot<E> {
    /// `None` once filled.
    queue: Option<Arc<Queue<E>>>,
    watch: Option<Key>,
}

impl<E> Slot<E> {
    pub(super) fn new(queue: Arc<Queue<E>>) -> Slot<E> {
        Slot { queue: Some(queue), watch: None }
    }

    /// Puts the event in. Never blocks on anything but the queue's own short lock, and never allocates.
    pub fn fill(mut self, event: E)
    where
        E: 'static,
    {
        if let Some(queue) = self.queue.take() {
            queue.push(event, self.watch.take());
        }
    }

    /// Names what will fill this slot, so that [`Queue::cancel_tag`] and [`Queue::close`] can ask it to end;
    /// at once if the queue is already closed. Takes the place of an earlier one.
    pub fn watch(&mut self, tag: u64, cancel: Weak<dyn Cancel>) {
        if let Some(queue) = &self.queue {
            self.watch = queue.watch(tag, cancel, self.watch.take());
        }
    }
}

impl<E> Drop for Slot<E> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give_back(1, self.watch.take());
        }
    }
}

/// Room for many events, reserved at once: a credit. Each [`Slot`] is taken out with `next`; what is left
/// goes back to the queue on drop.
pub struct Slots<E> {
    queue: Arc<Queue<E>>,
    left: usize,
}

impl<E> Slots<E> {
    pub(super) fn new(queue: Arc<Queue<E>>, left: usize) -> Slots<E> {
        Slots { queue, left }
    }

    /// Renews the credit: all of `count` or nothing.
    pub fn reserve_more(&mut self, count: usize) -> Result<(), QueueError> {
        self.queue.claim(count)?;
        self.left += count;
        Ok(())
    }
}

impl<E> Iterator for Slots<E> {
    type Item = Slot<E>;

    fn next(&mut self) -> Option<Slot<E>> {
        self.left = self.left.checked_sub(1)?;
        Some(Slot::new(self.queue.clone()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<E> ExactSizeIterator for Slots<E> {}

impl<E> Drop for Slots<E> {
    fn drop(&mut self) {
        if self.left > 0 {
            self.queue.give_back(self.left, None);
        }
    }
}
