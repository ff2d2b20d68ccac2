//! Connections that a blocking caller drives on its own thread: no hand-over, no other thread.
//!
//! Their sockets are not registered with a shard. A [`Pool`] keeps one address's idle connections;
//! a call takes one, drives it to its reply and puts it back.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::LocalKey;
use std::time::Instant;

use crate::base::{Code, Error, Phase, Result};
use crate::io::backoff::{Gate, Permit, Resort};
use crate::io::clock;
use crate::io::seats::{Found, Seat, Seats};
use crate::io::sys::Bell;
use crate::op::operation::{Cancel, Cause};

mod conn;
mod pool;
mod spin;
mod sweep;
mod warm;

pub use conn::{Conn, Interrupt, Sent};
pub use pool::{Lease, Pool, PoolOptions, Stats};
pub use warm::{summary, warm_up};

/// The current thread's bell for calls that may be cancelled, made with the first of them. `None` if the
/// system refuses one: such a call then ends by its deadline only.
pub fn call_bell() -> Option<Arc<Bell>> {
    thread_local! {
        static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    }
    thread_bell(&BELL)
}

fn thread_bell(place: &'static LocalKey<RefCell<Option<Arc<Bell>>>>) -> Option<Arc<Bell>> {
    let new = || Bell::new().ok().map(Arc::new);
    let kept = place.try_with(|kept| {
        let mut bell = kept.borrow_mut();
        if !bell.as_ref().is_some_and(|bell| bell.is_ours()) {
            *bell = new();
        }
        bell.clone()
    });
    // At the thread's very end, as in functions that run at exit, nothing can be kept.
    kept.unwrap_or_else(|_| new())
}

/// The current thread's bell for its turn at a connection, made with the first call that has to wait.
fn turn_bell() -> Option<Arc<Bell>> {
    thread_local! {
        static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    }
    thread_bell(&BELL)
}

/// Waits until the call may use a connection; the error names the limit if that takes until `deadline`.
pub fn wait_for_seat(
    seats: &Arc<Seats>,
    deadline: Option<Instant>,
    interrupt: &Interrupt<'_>,
) -> Result<Option<Seat>> {
    let mut own = None;
    let bell = || {
        own = turn_bell();
        own.clone()
    };
    let mut queued = match seats.find_for_thread(bell)? {
        Found::Unlimited => return Ok(None),
        Found::Seat(seat) => return Ok(Some(seat)),
        Found::Queue(queued) => queued,
    };
    let Some(bell) = own else { return Ok(None) };
    loop {
        // It may ring late, for a call before: what counts is whether there is a seat.
        bell.silence();
        if let Some(seat) = queued.seat() {
            return Ok(Some(seat));
        }
        let left = deadline.map(|at| at.saturating_duration_since(clock::now()));
        match interrupt.wait_for(&bell, left)? {
            true => {}
            false => return Err(queued.seats().refuse()),
        }
    }
}

/// Waits until a call that began at `begun`, and has no other address, may dial this one.
pub fn wait_to_dial(
    gate: &Arc<Gate>,
    begun: Instant,
    deadline: Option<Instant>,
    interrupt: &Interrupt<'_>,
) -> Result<Permit> {
    let no_bell = || Error::new(Code::OutOfResources, "no descriptor to wait with").at(Phase::Connect);
    let bell = turn_bell().ok_or_else(no_bell)?;
    let waker = Waker::from(Arc::new(Ringing(Arc::clone(&bell))));
    loop {
        bell.silence();
        let now = clock::now();
        match gate.resort(begun, now, &waker) {
            Resort::Dial(permit) => return Ok(permit),
            Resort::Failed(error) => return Err(error),
            Resort::Wait => {}
        }
        if deadline.is_some_and(|at| at <= now) {
            return Err(gate.too_late(now));
        }
        interrupt.wait_for(&bell, deadline.map(|at| at.saturating_duration_since(now)))?;
    }
}

/// Rings instead of waking.
struct Ringing(Arc<Bell>);

impl Wake for Ringing {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }
}

/// Ringing is all it takes; whoever waits finds out why.
impl Cancel for Bell {
    fn cancel(&self, _: Cause) {
        self.ring();
    }
}
