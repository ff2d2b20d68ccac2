//! `krpc_server_options`: the builder of a server.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::capi::client_options::{duration, frame_bytes, set_keepalive, unless_forever};
use crate::capi::decision::krpc_decision;
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::queue::krpc_queue;
use crate::capi::runtime::krpc_runtime;
use crate::capi::service::{HostHandler, krpc_handler_fn, krpc_service};
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::Address;
use crate::rpc::server::{Acl, AclQuestion, ServerOptions, Verdict};

/// Builder of a server. Consumed by `krpc_server_build`, also on failure; else free it with
/// `krpc_server_options_free`.
pub struct krpc_server_options {
    _opaque: [u8; 0],
}

impl Opaque for krpc_server_options {
    type Inner = ServerOptions;
    const KIND: Kind = Kind::ServerOptions;
}

/// An empty builder for a server, owned by the caller.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_server_options_new() -> *mut krpc_server_options {
    guard_or(std::ptr::null_mut(), || handle::give(ServerOptions::default()))
}

/// Adds an address to listen on.
///
/// `address`: "127.0.0.1:8888", "[::]:8888", "host:8888" or "unix:/path"; port 0 lets the system
/// choose (see `krpc_server_address`); UTF-8, copied. A unix path that nobody listens on is replaced.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_add_address(
    options: *mut krpc_server_options,
    address: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the view.
        options.addresses.push(Address::parse(unsafe { address.text("address")? })?);
        Ok(())
    })
}

/// Adds a service. `service`: always consumed, also on failure.
///
/// Calls that name no service go to the fallback service, or to the first that has the method; two
/// services with a common method need a fallback that has it (checked by `krpc_server_build`).
/// `fallback`: whether this is the fallback service; there can be one.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_add_service(
    options: *mut krpc_server_options,
    service: *mut krpc_service,
    fallback: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handle, which is consumed even if the options are invalid.
    let service = guard_or(None, || Some(unsafe { handle::take(service, "service") }));
    change(options, error, |options| {
        let Some(service) = service else { return Ok(()) };
        let mut service = service?;
        if fallback {
            service.set_fallback();
        }
        options.services.push(service);
        Ok(())
    })
}

/// Sets the handler of calls that no service takes: unknown services and unknown methods. Without it
/// they are answered as such. Such calls are oneway if their message says so.
///
/// Parameters as of `krpc_service_add_method`.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_catch_all(
    options: *mut krpc_server_options,
    handler: krpc_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    change(options, error, |options| {
        options.catch_all = Some(HostHandler::new(handler, user_data)?);
        Ok(())
    })
}

/// Answers an access check at once: true allows the request; false refuses it with the reason that was set
/// by `krpc_decision_reject`, or without one. `decision` is borrowed for the call. Runs on the I/O thread
/// and must not block.
pub type krpc_acl_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, decision: *const krpc_decision) -> bool>;

/// Asks a function before each request is handled.
///
/// `check`: called with `user_data` and a question; it says yes, or no. `destroy` (optional): called once
/// with `user_data` when the server is gone, also if this function fails.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_acl(
    options: *mut krpc_server_options,
    check: krpc_acl_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    change(options, error, |options| {
        let check = check.ok_or_else(|| Error::invalid_argument("check", "is NULL"))?;
        options.acl = Some(Acl::Inline(Arc::new(move |question| ask_host(check, &user_data, question))));
        Ok(())
    })
}

/// Asks through a queue before each request is handled, as `KRPC_EVENT_KIND_DECISION`.
///
/// `queue`: kept alive by the server. `tag`: the host's word for the questions. `timeout_ms`: how long the
/// host has for an answer, at least 1. `allow_by_default`: what counts without an answer in time, and
/// without room in the queue.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_acl_queue(
    options: *mut krpc_server_options,
    queue: *const krpc_queue,
    tag: u64,
    timeout_ms: i64,
    allow_by_default: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the handle.
        let queue = Arc::clone(unsafe { handle::get(queue, "queue")? }.queue());
        let timeout = duration(timeout_ms, "timeout_ms")?;
        let default = match allow_by_default {
            true => Verdict::Allow,
            false => Verdict::Reject(Bytes::from_static(b"no answer in time")),
        };
        options.acl = Some(Acl::Queued { queue, tag, timeout, default });
        Ok(())
    })
}

/// Makes the timeout that a caller tells the deadline of its request's context, so that calls made for it
/// end in time. Default false, as in Kitex.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_follow_caller_timeout(
    options: *mut krpc_server_options,
    follow: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.follow_caller_timeout = follow;
        Ok(())
    })
}

/// Serves only calls that name their service exactly, as Kitex's refuse option does. Default false.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_require_service_name(
    options: *mut krpc_server_options,
    required: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.require_service_name = required;
        Ok(())
    })
}

/// Chooses the runtime to run on, which is kept alive by the server. Default: the shared one.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_runtime(
    options: *mut krpc_server_options,
    runtime: *const krpc_runtime,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the handle.
        options.runtime = Some(Arc::clone(unsafe { handle::get(runtime, "runtime")? }));
        Ok(())
    })
}

/// Sets how many requests may be handled at once; more are answered "request over limit". Default
/// 10,000.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_max_in_flight(
    options: *mut krpc_server_options,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.max_in_flight = count;
        Ok(())
    })
}

/// Sets how many connections may be open at once; more are closed at accept. Default 100,000.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_max_connections(
    options: *mut krpc_server_options,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.max_connections = count;
        Ok(())
    })
}

/// Sets the largest request or message of a stream in bytes, 1 to 0x3FFFFFFF. Default 64 MiB. Larger ones end their connection
/// before memory is reserved.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_max_frame_bytes(
    options: *mut krpc_server_options,
    bytes: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.limits.frame_bytes = frame_bytes(bytes)?;
        options.streams.limits.frame_bytes = options.limits.frame_bytes;
        Ok(())
    })
}

/// Accepts Thrift messages without the strict version word, as very old Apache clients send them.
/// Default false.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_allow_old_style(
    options: *mut krpc_server_options,
    allow: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.limits.allow_old_style = allow;
        Ok(())
    })
}

/// Chooses whether replies are sent with a CRC-32C of their payload, and requests that bring one are checked
/// against it before they are read (TTHeader only; Kitex's `WithCodec` with `CRC32Check`). A request that does
/// not match is not answered: its connection ends or, if that is multiplexed, its caller waits in vain.
/// Default false: the callers' checksums are ignored.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_checksum(
    options: *mut krpc_server_options,
    checksum: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.limits.checksum = checksum;
        Ok(())
    })
}

/// Sets when a peer that has vanished without a word is looked for: its host died, or a device between lost
/// the connection. TCP only. Default: 30,000, 10,000 and 3.
///
/// `time_ms`: silence before the first probe, at least 1; rounded up to seconds; `KRPC_FOREVER`: no probes.
/// `interval_ms`: between probes, at least 1; rounded up to seconds. `count`: probes without an answer, 1 to
/// 127; counts only without a user timeout (`krpc_server_options_set_tcp_user_timeout_ms`).
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_tcp_keepalive(
    options: *mut krpc_server_options,
    time_ms: i64,
    interval_ms: i64,
    count: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| set_keepalive(&mut options.keepalive, time_ms, interval_ms, count))
}

/// Sets for how long bytes may stay unacknowledged, or find no room at the peer, before the connection counts
/// as lost, in milliseconds, at least 1. `KRPC_FOREVER`: the system's, about 15 minutes. TCP only. Default
/// 60,000. Keep it above the time and the interval of the probes, or one lost probe ends the connection.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_tcp_user_timeout_ms(
    options: *mut krpc_server_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.keepalive.user_timeout = unless_forever(timeout_ms, "timeout_ms")?;
        Ok(())
    })
}

/// Sets for how long a started request may arrive, in milliseconds, at least 1. Default 5000.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_read_timeout_ms(
    options: *mut krpc_server_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    set_time(options, timeout_ms, error, |options| &mut options.timeouts.read)
}

/// Sets for how long a client may take no byte of its reply, in milliseconds, at least 1. Default 5000.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_write_timeout_ms(
    options: *mut krpc_server_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    set_time(options, timeout_ms, error, |options| &mut options.timeouts.write)
}

/// Sets for how long a connection may be idle, in milliseconds, at least 1. Default 600,000.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_idle_timeout_ms(
    options: *mut krpc_server_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.timeouts.idle = duration(timeout_ms, "timeout_ms")?;
        options.streams.idle = Some(options.timeouts.idle);
        Ok(())
    })
}

/// Frees a builder that was not consumed. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_free(options: *mut krpc_server_options) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(options) });
}

pub(super) fn change(
    options: *mut krpc_server_options,
    error: *mut *mut krpc_error,
    apply: impl FnOnce(&mut ServerOptions) -> Result<()>,
) -> krpc_status {
    // SAFETY: the host vouches for the handle and uses it from one thread at a time.
    guard(error, || apply(unsafe { handle::get_mut(options, "options")? }))
}

fn ask_host(
    check: unsafe extern "C" fn(*mut c_void, *const krpc_decision) -> bool,
    user_data: &UserData,
    question: &AclQuestion,
) -> Verdict {
    krpc_decision::ask_inline(question, |decision| {
        // SAFETY: the host's function, with what it gave beside it and a question that outlives the call.
        unsafe { check(user_data.pointer(), decision) }
    })
}

fn set_time(
    options: *mut krpc_server_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
    field: impl FnOnce(&mut ServerOptions) -> &mut Duration,
) -> krpc_status {
    change(options, error, |options| {
        *field(options) = duration(timeout_ms, "timeout_ms")?;
        Ok(())
    })
}
