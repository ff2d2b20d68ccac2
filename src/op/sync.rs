//! Locks and waits: std's, or loom's where the models of `loom_tests.rs` run.
//!
//! `Arc` and `Weak` are std's everywhere: loom's know neither `dyn` nor weak references, and nothing here
//! depends on the order of their counts.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::base::fault::clock;

#[cfg(krpc_loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(not(krpc_loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};

/// Locks. A poisoned lock is as good as new: nothing that can panic runs while one of ours is held.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much longer somebody is willing to sleep.
///
/// A caller may wake up and sleep again any number of times within the one limit. The clock is read only
/// when there is something to sleep for, so a caller who finds his work done never asks for the time.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Not started yet; zero is a poll.
    For(Duration),
    /// Started.
    Until(Instant),
    /// No limit.
    Forever,
}

impl Patience {
    /// `None` is for ever, zero a poll.
    pub fn new(timeout: Option<Duration>) -> Patience {
        timeout.map_or(Patience::Forever, Patience::For)
    }

    /// Sleeps until the condition variable wakes us, for whatever reason, and returns true; or returns
    /// false because the time is up.
    pub fn sleep<'a, T>(&mut self, condvar: &Condvar, guard: MutexGuard<'a, T>) -> (MutexGuard<'a, T>, bool) {
        let left = match self.start() {
            Patience::For(left) => left,
            Patience::Until(end) => end.saturating_duration_since(now()),
            Patience::Forever => return (wait(condvar, guard), true),
        };
        if left.is_zero() {
            return (guard, false);
        }
        (wait_timeout(condvar, guard, left), true)
    }

    /// Fixes the end when the first sleep begins; an end beyond the clock is no end.
    fn start(&mut self) -> Patience {
        if let Patience::For(time) = *self
            && !time.is_zero()
        {
            *self = now().checked_add(time).map_or(Patience::Forever, Patience::Until);
        }
        *self
    }
}

fn now() -> Instant {
    clock::now(Instant::now())
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
    let wait = |time| condvar.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0;
    clock::sleeping(Some(time), |slice| wait(slice.unwrap_or(time)))
}
