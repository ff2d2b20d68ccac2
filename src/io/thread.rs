//! Threads of the core: named, with the host's signals blocked, and recognisable from inside.

use std::cell::Cell;
use std::thread::{Builder, JoinHandle};

use crate::base::fault::{self, Point};
use crate::base::{Code, Error, Result, fork};
use crate::io::sys;

/// What a thread of the core does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Drives sockets; must never block.
    Io,
    /// Runs handlers; may block.
    Work,
}

thread_local! {
    /// With the process it was given in: a child's only thread is none of ours, whatever it was before.
    static ROLE: Cell<Option<(Role, u32)>> = const { Cell::new(None) };
}

/// Starts a thread `name` with all signals blocked that are not about the thread itself, so that
/// SIGPIPE and the host's signals never land here.
pub fn spawn(name: String, role: Role, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    // Blocked by whoever starts it, for the new thread begins with the same mask: no signal finds a gap.
    let _blocked = sys::block_host_signals();
    let thread = Builder::new().name(name);
    let started = fault::check(Point::Spawn).and_then(|()| {
        thread.spawn(move || {
            ROLE.set(Some((role, fork::epoch())));
            body();
        })
    });
    started.map_err(|reason| Error::new(Code::OutOfResources, format!("thread not started: {reason}")))
}

/// What the current thread does for the core; `None` on threads of the host.
pub fn role() -> Option<Role> {
    ROLE.get().filter(|(_, epoch)| *epoch == fork::epoch()).map(|(role, _)| role)
}

/// Refuses to block a thread that drives I/O for others.
pub fn may_block() -> Result<()> {
    match role() {
        Some(Role::Io) => {
            let text = "a blocking function was called on an I/O thread; use a handler that is not inline";
            Err(Error::new(Code::WouldDeadlock, text))
        }
        _ => Ok(()),
    }
}

/// Refuses to wait on a thread of the core for the core's threads to end.
pub fn on_host_thread() -> Result<()> {
    match role() {
        Some(_) => {
            Err(Error::new(Code::WouldDeadlock, "called on a thread of the library, which it would wait for"))
        }
        None => Ok(()),
    }
}
