//! `krpc_context`: what travels down from a call to the calls that are made for it.

use crate::base::Metainfo;
use crate::capi::client_options::call_timeout;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::request::{asked, krpc_request};
use crate::capi::status::krpc_status;
use crate::capi::types::KRPC_FOREVER;
use crate::observe::handles::Kind;
use crate::op::operation::Cause;
use crate::rpc::{Context, ContextOptions};

/// The frame of a piece of work: deadline, cancel and metainfo of the calls made in it, given to them as
/// `parent` in their options. Shared by reference: each handle is freed by its owner, the work ends when
/// it is cancelled or its deadline passes.
///
/// From a request (`krpc_request_context`), where it ends when the caller is seen to leave, or made by
/// `krpc_context_new`. Free it with `krpc_context_free`.
pub struct krpc_context {
    _opaque: [u8; 0],
}

impl Opaque for krpc_context {
    type Inner = Framed;
    const KIND: Kind = Kind::Context;
}

/// The core's context, with its metainfo as C borrows it.
pub(super) struct Framed {
    pub(super) context: Context,
    metainfo: Slot<Metainfo>,
}

impl From<Context> for Framed {
    fn from(context: Context) -> Framed {
        Framed { metainfo: Slot::borrowed::<krpc_metainfo>(context.metainfo().clone()), context }
    }
}

/// Why something is to end.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_cause {
    /// It is not.
    KRPC_CAUSE_NONE = 0,
    /// The host cancelled it.
    KRPC_CAUSE_BY_HOST = 1,
    /// Its deadline has passed.
    KRPC_CAUSE_DEADLINE = 2,
    /// Its client or queue was closed.
    KRPC_CAUSE_CLOSED = 3,
    /// Who waited for it has left.
    KRPC_CAUSE_CALLER_GONE = 4,
    /// Its runtime was shut down.
    KRPC_CAUSE_SHUTDOWN = 5,
}

/// A context of its own, or below another, whose end, deadline and pairs it inherits.
///
/// `parent` (optional): borrowed for the call. `timeout_ms`: from now, in milliseconds; 0 or
/// `KRPC_FOREVER`: no deadline but the parent's. `metainfo` (optional): pairs for the calls made in it,
/// which win over the parent's; copied. Returns an owned context, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_new(
    parent: *const krpc_context,
    timeout_ms: i64,
    metainfo: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> *mut krpc_context {
    guard_new(error, || {
        // SAFETY: the host vouches for the handles.
        let parent = unsafe { handle::optional(parent, "parent")? };
        // SAFETY: as above.
        let metainfo = unsafe { handle::optional(metainfo, "metainfo")? };
        let timeout = call_timeout(timeout_ms, "timeout_ms")?.filter(|_| timeout_ms != KRPC_FOREVER);
        let options = ContextOptions { timeout, metainfo: metainfo.cloned().unwrap_or_default() };
        Ok(handle::give(Context::new(parent.map(|parent| &parent.context), options).into()))
    })
}

/// The context of a request: it ends when the caller is seen to leave, has the request's metainfo, and the
/// caller's timeout as deadline if the server follows it. May outlive the request. Returns an owned
/// context, or NULL if `request` is.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_context(request: *const krpc_request) -> *mut krpc_context {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { asked(request) } {
        Ok(asked) => handle::give(asked.request().context().clone().into()),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Another reference to the same context, owned by the caller. NULL if `context` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_retain(context: *const krpc_context) -> *mut krpc_context {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { handle::get(context, "context") } {
        Ok(framed) => handle::give(framed.context.clone().into()),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Ends the work: calls made in it and in contexts below end as CANCELLED, or with their real result if
/// that came first. Does nothing if it has ended.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_cancel(context: *const krpc_context) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(context, "context")? }.context.cancel(Cause::ByHost);
        Ok(())
    })
}

/// Why the work is to end; `KRPC_CAUSE_NONE` if it is not. Long handlers ask this from time to time.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_cause(context: *const krpc_context) -> krpc_cause {
    guard_or(krpc_cause::KRPC_CAUSE_NONE, || {
        // SAFETY: the host vouches for the handle.
        let cause = unsafe { handle::get(context, "context") }.ok().and_then(|framed| framed.context.cause());
        match cause {
            None => krpc_cause::KRPC_CAUSE_NONE,
            Some(Cause::ByHost) => krpc_cause::KRPC_CAUSE_BY_HOST,
            Some(Cause::Deadline) => krpc_cause::KRPC_CAUSE_DEADLINE,
            Some(Cause::Closed) => krpc_cause::KRPC_CAUSE_CLOSED,
            Some(Cause::CallerGone) => krpc_cause::KRPC_CAUSE_CALLER_GONE,
            Some(Cause::Shutdown) => krpc_cause::KRPC_CAUSE_SHUTDOWN,
        }
    })
}

/// Whether the server that the work is for is being stopped: what is under way should come to its end, and may
/// still say a last word.
///
/// Thread: any thread. Errors: none; false if `context` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_is_stopping(context: *const krpc_context) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(context, "context") }.is_ok_and(|framed| framed.context.is_stopping())
    })
}

/// How long is left for the work, in milliseconds, rounded up; `KRPC_FOREVER` without a deadline.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_time_left_ms(context: *const krpc_context) -> i64 {
    guard_or(KRPC_FOREVER, || {
        // SAFETY: the host vouches for the handle.
        let left =
            unsafe { handle::get(context, "context") }.ok().and_then(|framed| framed.context.time_left());
        left.map_or(KRPC_FOREVER, |left| left.as_micros().div_ceil(1000).min(i64::MAX as u128) as i64)
    })
}

/// The pairs that calls made in the context take along; NULL only if `context` is. Borrowed from it.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_metainfo(context: *const krpc_context) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(context, "context") } {
        Ok(framed) => framed.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// Frees a reference to a context. NULL is fine. The work goes on as long as others refer to it.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_context_free(context: *mut krpc_context) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(context) });
}
