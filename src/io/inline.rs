//! Foreign code on an I/O thread: when it may run there, and what is said if it stays too long.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::base::log::{Level, Log};
use crate::io::clock;
use crate::io::thread::{self, Role};

/// What takes the thread from all its connections for longer is reported. Taken by the clock that costs least, so
/// that a few milliseconds more or less are not seen: a host that blocks blocks for longer.
const LIMIT: Duration = Duration::from_millis(10);

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether foreign code may run here and now: on an I/O thread, but not inside other foreign code, whose
/// locks it would meet and whose stack it would grow without end.
pub fn may_run() -> bool {
    thread::role() == Some(Role::Io) && !RUNNING.get()
}

/// Runs foreign code, and reports it under `target` if it took the thread for too long. `what` names it.
pub fn run<W: fmt::Display>(log: &Log, target: &'static str, what: impl FnOnce() -> W, code: impl FnOnce()) {
    let _running = Running(RUNNING.replace(true));
    if !log.enabled(Level::Warn) {
        return code();
    }
    let what = what();
    let begun = clock::coarse();
    code();
    let took = clock::coarse().saturating_sub(begun);
    if took > LIMIT {
        log.write(Level::Warn, target, format_args!("{what} took {took:?}; it must not block"));
    }
}

/// Puts back what was, also after a panic.
struct Running(bool);

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}
