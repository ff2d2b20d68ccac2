//! The edge of the ABI: panics stop here, errors become a status and an owned `krpc_error`.

use crate::base::{Error, Result, log, panic};
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
fn caught<T, F: FnOnce() -> T>(body: F) -> Result<T> {
    let _here = within::enter::<F>();
    panic::caught(body).inspect_err(|error| panic::report(&log::global(), "capi", error))
}

/// Which function of the ABI runs on this thread, for the notes of debug builds.
#[cfg(debug_assertions)]
mod within {
    use std::cell::Cell;

    thread_local! {
        static FUNCTION: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// The function's name, or what it means that there is none.
    pub(in crate::capi) fn current_function() -> &'static str {
        FUNCTION.get().unwrap_or("a thread of the library")
    }

    /// Ends with the function.
    pub(super) struct Here(Option<&'static str>);

    /// The type of a body tells the function that it stands in, if that is one of the ABI.
    pub(super) fn enter<F>() -> Here {
        let mut names =
            std::any::type_name::<F>().split("::{{closure}}").map(|path| path.rsplit("::").next());
        let name = names.find_map(|name| name.filter(|name| name.starts_with("krpc_")));
        Here(FUNCTION.replace(name.or(FUNCTION.get())))
    }

    impl Drop for Here {
        fn drop(&mut self) {
            FUNCTION.set(self.0);
        }
    }
}

#[cfg(debug_assertions)]
pub(super) use within::current_function;

#[cfg(not(debug_assertions))]
mod within {
    pub(super) fn enter<F>() {}
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
