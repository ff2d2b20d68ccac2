//! The requests of a server that are being handled: their number, its limit, and waiting for none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::fault::{self, Point};
use crate::base::lock::{Condvar, Mutex};
use crate::io::clock;

/// How many requests are being handled.
pub(super) struct InFlight {
    count: AtomicUsize,
    max: usize,
    /// Threads in [`InFlight::wait_none`], so that an end without any makes no system call.
    waiters: AtomicUsize,
    lock: Mutex<()>,
    ended: Condvar,
}

/// A place among the requests in flight, until it is dropped.
pub(super) struct Permit(Arc<InFlight>);

impl InFlight {
    pub(super) fn new(max: usize) -> Arc<InFlight> {
        Arc::new(InFlight {
            count: AtomicUsize::new(0),
            max,
            waiters: AtomicUsize::new(0),
            lock: Mutex::new(()),
            ended: Condvar::new(),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// A place, unless all are taken.
    pub(super) fn admit(self: &Arc<InFlight>) -> Option<Permit> {
        if self.count.fetch_add(1, Ordering::SeqCst) >= self.max || fault::fails(Point::RequestSlot) {
            self.leave();
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }

    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 && self.waiters.load(Ordering::SeqCst) > 0 {
            // Under the lock, so that it falls between no waiter's look and its sleep.
            let _guard = self.lock.lock();
            self.ended.notify_all();
        }
    }

    /// Waits until nothing is in flight, or for that long.
    pub(super) fn wait_none(&self, patience: Duration) {
        let deadline = clock::now().checked_add(patience);
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.lock.lock();
        while self.count() > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            guard = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.ended.wait_for(guard, left),
                None => self.ended.wait(guard),
            };
        }
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let all = InFlight::new(2);
        let (one, two) = (all.admit().unwrap(), all.admit().unwrap());
        assert!(all.admit().is_none());
        drop(one);
        assert_eq!(all.count(), 1);
        let three = all.admit();
        assert!(three.is_some());
        drop((two, three));
        assert_eq!(all.count(), 0);
    }

    #[test]
    fn waiting_ends_with_the_last_or_with_patience() {
        let all = InFlight::new(2);
        all.wait_none(Duration::ZERO);
        let permit = all.admit().unwrap();
        all.wait_none(Duration::from_millis(1));
        assert_eq!(all.count(), 1);
        std::thread::scope(|scope| {
            scope.spawn(|| all.wait_none(Duration::MAX));
            drop(permit);
        });
        assert_eq!(all.count(), 0);
    }
}
