//! Locks of the core: std's, which keep all their state in themselves.
//!
//! Locks that park their waiters in a table of the process (`parking_lot`) won't do: a fork in another
//! thread may copy that table with a part of it locked, and then any lock of the child may hang.

pub use std::sync::MutexGuard;
use std::sync::{self, PoisonError};
use std::time::Duration;

use crate::base::fault::clock;

/// A mutex that a panic does not poison: whoever may panic with a lock held keeps what it guards whole.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An open lock.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    /// Locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where threads wait for a change behind a [`Mutex`]. Waits may end without a reason.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// Nobody waits yet.
    pub const fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    /// Waits, with the lock open meanwhile.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, at most for `time`.
    pub fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
        let wait = |time| self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0;
        clock::sleeping(Some(time), |slice| wait(slice.unwrap_or(time)))
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
