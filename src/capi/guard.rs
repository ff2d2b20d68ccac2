//! The edge of the ABI: panics stop here, errors become a status and an owned `krpc_error`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::base::log::{self, Level};
use crate::base::{Code, Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::handle;
use crate::capi::status::krpc_status;

/// Runs a body that reports through status and `error_out` (which may be NULL).
pub(super) fn guard(error_out: *mut *mut krpc_error, body: impl FnOnce() -> Result<()>) -> krpc_status {
    clear(error_out);
    match caught(body).and_then(|result| result) {
        Ok(()) => krpc_status::KRPC_OK,
        Err(error) => fail(error_out, error),
    }
}

/// Runs a body that makes a handle; NULL and an error if it can't.
pub(super) fn guard_new<T>(error_out: *mut *mut krpc_error, body: impl FnOnce() -> Result<*mut T>) -> *mut T {
    clear(error_out);
    match caught(body).and_then(|result| result) {
        Ok(made) => made,
        Err(error) => {
            fail(error_out, error);
            std::ptr::null_mut()
        }
    }
}

/// Runs a body that has no way to report: getters and frees. A panic gives the fallback.
pub(super) fn guard_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    caught(body).unwrap_or(fallback)
}

/// Sets an output if the host gave one.
pub(super) fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: outputs are NULL or valid for writes, as each function's documentation demands.
        unsafe { out.write(value) }
    }
}

/// Runs a body; a panic becomes an error and a log line, written when every lock of the body is gone.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(keep_panics_quiet);
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown");
        let place = PANIC_PLACE.take().unwrap_or_default();
        let error = Error::new(Code::Internal, format!("panic in the library{place}: {text}"));
        log::global().write(Level::Error, "capi", format_args!("{}", error.text()));
        error
    })
}

thread_local! {
    /// Where this thread's last panic was: only the hook is told.
    static PANIC_PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// A library never prints. The hook belongs to this library's own copy of the Rust runtime, so
/// nothing of the host changes. (Its own unit tests still say why they fail.)
fn keep_panics_quiet() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANIC_PLACE.set(panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())));
        if cfg!(test) {
            previous(panic);
        }
    }));
}

fn clear(error_out: *mut *mut krpc_error) {
    put(error_out, std::ptr::null_mut());
}

fn fail(error_out: *mut *mut krpc_error, error: Error) -> krpc_status {
    let status = krpc_status::from(error.code());
    if !error_out.is_null() {
        put(error_out, handle::give::<krpc_error>(error.into()));
    }
    status
}
