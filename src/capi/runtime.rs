//! `krpc_runtime`: the threads that serve. Clients with blocking calls need none.

use std::sync::Arc;

use crate::base::{Error, log};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, read_sized};
use crate::observe::handles::Kind;
use crate::rpc::{Runtime, RuntimeOptions};

/// Threads that drive sockets ("krpc-io-N") and run handlers ("krpc-work-N"). They are made by
/// `krpc_runtime_new` and by work that comes, never at load, and are gone after `krpc_runtime_shutdown`
/// or `krpc_runtime_free`. All signals are blocked in them but those that report their own faults;
/// processes that a handler starts inherit that mask.
///
/// Most programs need none: servers use a shared one that is made on first use and ends with its last
/// server. Free it with `krpc_runtime_free`; servers that still use it keep it alive.
pub struct krpc_runtime {
    _opaque: [u8; 0],
}

impl Opaque for krpc_runtime {
    type Inner = Arc<Runtime>;
    const KIND: Kind = Kind::Runtime;
}

/// How a runtime is made. Sized struct: start from `KRPC_RUNTIME_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_runtime_options {
    /// `sizeof(krpc_runtime_options)` as the caller was compiled.
    pub struct_size: usize,
    /// Threads that drive sockets, at most 1024. 0: the default, 1.
    pub io_threads: u32,
    /// Most threads that run handlers, started when needed. 0: the default, 64.
    pub worker_threads: u32,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_runtime_options {}

/// Starts a runtime.
///
/// `options`: NULL for the defaults; copied. Returns an owned runtime, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_runtime_new(
    options: *const krpc_runtime_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_runtime {
    guard_new(error, || {
        // SAFETY: the host vouches for a struct of the size that it says.
        let given = unsafe { read_sized(options, "options")? };
        if given.io_threads > 1024 {
            return Err(Error::invalid_argument("options.io_threads", "at most 1024"));
        }
        let mut options = RuntimeOptions { log: log::global(), ..RuntimeOptions::default() };
        if given.io_threads > 0 {
            options.io_threads = given.io_threads as usize;
        }
        if given.worker_threads > 0 {
            options.worker_threads = given.worker_threads as usize;
        }
        Runtime::start(&options).map(handle::give)
    })
}

/// Ends the runtime's threads and with them all its connections; servers on it answer no more. Waits
/// until running handlers have returned. Calling it again does nothing.
///
/// Thread: any thread of the host; never from a callback (WOULD_DEADLOCK).
/// Errors: INVALID_ARGUMENT, WOULD_DEADLOCK. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_runtime_shutdown(
    runtime: *mut krpc_runtime,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(runtime, "runtime")? }.shutdown()
    })
}

/// Frees a runtime. NULL is fine. Its threads end now, or with the last server that uses it. Handlers
/// that run are not waited for: their threads end with them. To wait, use `krpc_runtime_shutdown`.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_runtime_free(runtime: *mut krpc_runtime) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(runtime) });
}
