//! Connections that a blocking caller drives on its own thread: no hand-over, no other thread.
//!
//! Their sockets are not registered with a shard. A [`Pool`] keeps one address's idle connections;
//! a call takes one, drives it to its reply and puts it back.

use std::cell::RefCell;
use std::sync::Arc;

use crate::io::sys::Bell;
use crate::op::operation::{Cancel, Cause};

mod conn;
mod pool;

pub use conn::{Conn, Interrupt, Sent};
pub use pool::{Pool, PoolOptions, Stats};

/// The current thread's bell for calls that may be cancelled, made with the first of them. `None` if the
/// system refuses one: such a call then ends by its deadline only.
pub fn call_bell() -> Option<Arc<Bell>> {
    thread_local! {
        static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    }
    BELL.with_borrow_mut(|bell| {
        if !bell.as_ref().is_some_and(|bell| bell.is_ours()) {
            *bell = Bell::new().ok().map(Arc::new);
        }
        bell.clone()
    })
}

/// Ringing is all it takes; whoever waits finds out why.
impl Cancel for Bell {
    fn cancel(&self, _: Cause) {
        self.ring();
    }
}
