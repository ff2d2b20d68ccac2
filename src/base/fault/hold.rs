//! Connections that a test holds: what comes is not read and what is to leave is not written, until it lets
//! them go. Only with the feature `test-hooks`; without it nothing is ever held.

/// Whose connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Side {
    /// Those of clients.
    Client = 1,
    /// Those of servers.
    Server = 2,
}

#[cfg(not(feature = "test-hooks"))]
mod free {
    use std::task::Waker;

    use super::Side;

    /// Whether a connection is held.
    #[inline(always)]
    pub fn is_held(_: Side) -> bool {
        false
    }

    /// The same for a task, which is woken when it is let go.
    #[inline(always)]
    pub fn holds(_: Side, _: &Waker) -> bool {
        false
    }
}

#[cfg(feature = "test-hooks")]
mod held {
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::task::Waker;

    use super::Side;
    use crate::base::fork::PerProcess;
    use crate::base::lock::Mutex;

    static SIDES: AtomicI32 = AtomicI32::new(0);
    static WAITING: PerProcess<Mutex<Vec<Waker>>> = PerProcess::new();

    /// Holds the connections of these sides, and lets go of the others. `None` if there is no such side.
    pub fn hold(sides: i32) -> Option<()> {
        let known = Side::Client as i32 | Side::Server as i32;
        if sides & !known != 0 {
            return None;
        }
        SIDES.store(sides, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *WAITING.get().lock());
        waiting.into_iter().for_each(Waker::wake);
        Some(())
    }

    /// Whether anything is held.
    pub fn is_any() -> bool {
        SIDES.load(Ordering::SeqCst) != 0
    }

    /// Whether a connection is held.
    pub fn is_held(side: Side) -> bool {
        SIDES.load(Ordering::SeqCst) & side as i32 != 0
    }

    /// The same for a task, which is woken when it is let go.
    pub fn holds(side: Side, waker: &Waker) -> bool {
        if !is_held(side) {
            return false;
        }
        let mut waiting = WAITING.get().lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        drop(waiting);
        // Looked at again: who let go meanwhile has not seen this waker.
        is_held(side)
    }
}

#[cfg(not(feature = "test-hooks"))]
pub use free::*;
#[cfg(feature = "test-hooks")]
pub use held::*;
