//! `krpc_client`: calls one destination.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Error, Message, Metainfo, Result};
use crate::capi::client_options::{call_timeout, duration, krpc_client_options};
use crate::capi::context::{Framed, krpc_context};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque};
use crate::capi::message::krpc_message;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::method::krpc_method;
use crate::capi::reply::krpc_reply;
use crate::capi::retry::krpc_retry;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, read_sized, write_sized};
use crate::observe::handles::Kind;
use crate::rpc::call::retry::CallPolicy;
use crate::rpc::call::{CallOptions, Client, Method, Reply};

/// Calls one destination. Any number of threads may call at once; each call in flight has a connection
/// of its own, taken from a pool. Blocking calls run on the calling thread and start no other.
///
/// Made by `krpc_client_build`. Free it with `krpc_client_free`.
pub struct krpc_client {
    _opaque: [u8; 0],
}

impl Opaque for krpc_client {
    type Inner = Arc<Client>;
    const KIND: Kind = Kind::Client;
}

/// What one call does differently. Sized struct: start from `KRPC_CALL_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_call_options {
    /// `sizeof(krpc_call_options)` as the caller was compiled.
    pub struct_size: usize,
    /// For the whole call, connecting included, in milliseconds. 0: the client's; `KRPC_FOREVER`: none.
    pub timeout_ms: i64,
    /// Pairs that travel with the call, or NULL. Borrowed for the call. Carried by TTHeader only.
    pub metainfo: *const krpc_metainfo,
    /// The work that the call is part of, or NULL: its end, deadline and pairs are the call's as well.
    /// Borrowed for the call.
    pub parent: *const krpc_context,
    /// The call's own retry policy, which comes before its method's, or NULL. Copied.
    pub retry: *const krpc_retry,
}

impl Default for krpc_call_options {
    fn default() -> krpc_call_options {
        krpc_call_options {
            struct_size: 0,
            timeout_ms: 0,
            metainfo: std::ptr::null(),
            parent: std::ptr::null(),
            retry: std::ptr::null(),
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and pointers that are checked before use.
unsafe impl SizedStruct for krpc_call_options {}

/// Makes a client.
///
/// `options`: always consumed, also on failure. Nothing is connected yet.
/// Returns an owned client, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, NO_ADDRESS, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_build(
    options: *mut krpc_client_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_client {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let options = unsafe { handle::take(options, "options")? };
        Ok(handle::give(Client::new(options)?))
    })
}

/// Calls a method and waits for the end of the call.
///
/// `method`: from `krpc_client_method` or `krpc_client_method_from_idl`. `request`: the *args* struct, borrowed; NULL is an empty one.
/// `options`: NULL for the client's defaults. `reply` (optional): receives an owned reply on any
/// outcome, NULL only if an argument is invalid. Returns how the call ended, as `krpc_reply_status`.
///
/// A message of encoding `KRPC_ENCODING_PROTOBUF` is sent as Kitex sends protobuf: over framed transports only,
/// its bytes as they are, and so is the reply's.
///
/// The call takes an idle connection or makes one; addresses that can't be reached are passed over. A
/// request that the peer may have seen is never sent twice. A timeout tells the peer nothing: its
/// handler runs on.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: any of 1xx to 6xx. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_call(
    client: *const krpc_client,
    method: *const krpc_method,
    request: *const krpc_message,
    options: *const krpc_call_options,
    reply: *mut *mut krpc_reply,
) -> krpc_status {
    put(reply, std::ptr::null_mut());
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for handles and struct.
        let ended = unsafe { call(client, &handle::get(method, "method")?.method, request, options)? };
        finish(ended, reply)
    })
}

/// The same for a method that is called once: `name` as in `krpc_client_method`, two-way. `reply` (optional):
/// receives an owned reply.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: any of 1xx to 6xx. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_call_by_name(
    client: *const krpc_client,
    name: krpc_str,
    request: *const krpc_message,
    options: *const krpc_call_options,
    reply: *mut *mut krpc_reply,
) -> krpc_status {
    put(reply, std::ptr::null_mut());
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the view.
        let method = Method::parse(unsafe { name.text("name")? })?;
        // SAFETY: the host vouches for handles and struct.
        let ended = unsafe { call(client, &method, request, options)? };
        finish(ended, reply)
    })
}

/// Makes connections to each address, all at once, and leaves them idle for the first calls, blocking or
/// started.
///
/// `connections_per_address`: at least 1, and no more than are kept idle, or than calls share if they are
/// multiplexed. `timeout_ms`: for all together, at
/// least 1. The error names each address that could not be given all of its connections, and why; its status
/// is that of the first. What could be made stays. An address that could not be reached just before is not
/// dialled again until its pause is over (`krpc_client_options_set_backoff_ms`).
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, CLOSED; RESOLVE_FAILED,
/// CONNECT_FAILED, CONNECT_TIMEOUT, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_warm_up(
    client: *const krpc_client,
    connections_per_address: usize,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle; the clone keeps the client for the whole call.
        let client = Arc::clone(unsafe { handle::get(client, "client")? });
        client.warm_up(connections_per_address, duration(timeout_ms, "timeout_ms")?)
    })
}

/// Refuses new calls (CLOSED) and closes idle connections. Calls under way end by themselves or, if
/// `cut_off`, at once as CLOSED. Calling it again does nothing more.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_close(client: *const krpc_client, cut_off: bool) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(client, "client")? }.close(cut_off);
        Ok(())
    })
}

/// What a client's connection pools have done so far. Sized struct: start from
/// `KRPC_CLIENT_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_client_stats {
    /// `sizeof(krpc_client_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Connections established.
    pub dialled: u64,
    /// Calls that used an idle connection.
    pub reused: u64,
    /// Idle connections that turned out to be dead or too old.
    pub found_dead: u64,
    /// Connections idle now.
    pub idle: u64,
    /// Connections in use now, or being made; multiplexed ones always.
    pub busy: u64,
    /// Calls that had to wait for a connection (`krpc_client_options_set_max_connections`).
    pub waited: u64,
    /// Calls that ended as OVERLOAD because they found no connection in time.
    pub refused: u64,
    /// Replies on multiplexed connections that came after their calls had ended.
    pub dropped_replies: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// How often a call or a warm-up went without a dial of its own, as another one had just failed
    /// (`krpc_client_options_set_backoff_ms`).
    pub held_back: u64,
    /// Idle connections that were closed because nobody asked for them within the idle timeout.
    pub expired: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_client_stats {}

/// Reads the counters of a client's connection pools, over all addresses.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_read_stats(
    client: *const krpc_client,
    stats: *mut krpc_client_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let pool = unsafe { handle::get(client, "client")? }.stats();
        let filled = krpc_client_stats {
            struct_size: 0,
            dialled: pool.dialled,
            reused: pool.reused,
            found_dead: pool.found_dead,
            idle: pool.idle,
            busy: pool.busy,
            waited: pool.waited,
            refused: pool.refused,
            dropped_replies: pool.dropped,
            dials_failed: pool.dials_failed,
            held_back: pool.held_back,
            expired: pool.expired,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}

/// Frees a client. NULL is fine. Calls under way on other threads end by themselves.
///
/// Thread: any thread, once; not while a call on another thread is about to start. Errors: none.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_free(client: *mut krpc_client) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(client) });
}

unsafe fn call(
    client: *const krpc_client,
    method: &Method,
    request: *const krpc_message,
    options: *const krpc_call_options,
) -> Result<Reply> {
    // SAFETY: the host vouches for the handles; the clone keeps the client for the whole call.
    let client = Arc::clone(unsafe { handle::get(client, "client")? });
    // SAFETY: as above.
    let (message, options) = unsafe { (request_of(request)?, options_of(&client, options)?) };
    Ok(client.call(method, &message, &options.as_call_options()))
}

/// The message behind a request; NULL is an empty struct.
pub(super) unsafe fn request_of(request: *const krpc_message) -> Result<Message> {
    // SAFETY: the host vouches for the handle.
    let message = unsafe { handle::optional(request, "request")? };
    Ok(message.cloned().unwrap_or_else(Message::empty_struct))
}

/// Call options as read and checked; borrows what the host lent.
pub(super) struct Options<'a> {
    timeout: Option<Duration>,
    metainfo: Option<&'a Metainfo>,
    parent: Option<&'a Framed>,
    retry: Option<CallPolicy>,
}

impl Options<'_> {
    pub(super) fn as_call_options(&self) -> CallOptions<'_> {
        let parent = self.parent.map(|parent| &parent.context);
        CallOptions { timeout: self.timeout, metainfo: self.metainfo, retry: self.retry.as_ref(), parent }
    }
}

pub(super) unsafe fn options_of<'a>(
    client: &Client,
    options: *const krpc_call_options,
) -> Result<Options<'a>> {
    // SAFETY: the host vouches for a struct of the size that it says, and for the handles in it.
    unsafe {
        let given = read_sized(options, "options")?;
        let retry = handle::optional(given.retry, "options.retry")?;
        Ok(Options {
            retry: retry.map(|policy| client.call_policy(policy.clone())),
            timeout: call_timeout(given.timeout_ms, "options.timeout_ms")?,
            metainfo: handle::optional(given.metainfo, "options.metainfo")?,
            parent: handle::optional(given.parent, "options.parent")?,
        })
    }
}

/// Gives the reply to the host, and its error to the status.
fn finish(ended: Reply, out: *mut *mut krpc_reply) -> Result<()> {
    let error: Option<Error> = ended.error().cloned();
    if !out.is_null() {
        put(out, handle::give(ended.into()));
    }
    error.map_or(Ok(()), Err)
}
