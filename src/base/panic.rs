//! Panics of the core: they end what was under way with an error, and are never printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::log::{Level, Log};
use crate::base::{Code, Error, Result};

/// Runs a body; a panic becomes INTERNAL, with place and text. Whoever calls this tells the log
/// ([`report`]) when it holds no lock.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    caught_in("the library", body)
}

/// The same for a body that is `somewhere` else.
pub fn caught_in<T>(somewhere: &str, body: impl FnOnce() -> T) -> Result<T> {
    keep_quiet();
    let inside = Inside::enter();
    let outcome = catch_unwind(AssertUnwindSafe(body));
    drop(inside);
    outcome.map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown");
        let place = PLACE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        Error::new(Code::Internal, format!("panic in {somewhere}{place}: {text}"))
    })
}

/// The same, told to a log at once.
pub fn logged<T>(log: &Log, room: &'static str, body: impl FnOnce() -> T) -> Result<T> {
    caught(body).inspect_err(|error| report(log, room, error))
}

/// Writes the line of a panic that was caught.
#[cold]
pub fn report(log: &Log, room: &'static str, error: &Error) {
    log.write(Level::Error, room, format_args!("{}", error.text()));
}

thread_local! {
    /// Where this thread's last panic was: only the hook is told. Gone at the thread's very end, as in
    /// functions that run at exit.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
    /// How many bodies this thread is in, one within the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, a panic of this thread is ours to tell.
struct Inside;

/// The C library has a Rust runtime of its own, so all panics in it are ours, and nobody has to count: that would
/// cost most of what a small function of the ABI takes. Set by `abi/build.sh`.
const ALL_OURS: bool = cfg!(krpc_c_library);

impl Inside {
    #[inline(always)]
    fn enter() -> Inside {
        if ALL_OURS {
            return Inside;
        }
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        Inside
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        if ALL_OURS {
            return;
        }
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() - 1));
    }
}

/// A library never prints. In the C library the hook belongs to its own copy of the Rust runtime; a Rust
/// host shares it, so what panics outside of our bodies still goes where the host wants it. (Our own unit
/// tests always say why they fail.)
///
/// Nobody waits for whoever sets it: in a child of fork that may be nobody.
#[inline(always)]
fn keep_quiet() {
    static QUIET: AtomicBool = AtomicBool::new(false);
    if !QUIET.load(Ordering::Relaxed) && !QUIET.swap(true, Ordering::Relaxed) {
        set_hook();
    }
}

#[cold]
fn set_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        let _ = PLACE.try_with(|last| last.set(place));
        let ours = ALL_OURS || DEPTH.try_with(Cell::get).unwrap_or(1) > 0;
        if cfg!(test) || !ours {
            previous(panic);
        }
    }));
}
