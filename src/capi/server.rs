//! `krpc_server`: listens and hands requests to handlers.

use std::time::Duration;

use crate::base::Result;
use crate::capi::client_options::duration;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::server_options::krpc_server_options;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::observe::handles::Kind;
use crate::rpc::server::Server;

/// Listens and hands requests to handlers. All transports are served on every address.
///
/// Made by `krpc_server_build`. Stop it with `krpc_server_stop`, free it with `krpc_server_free`.
pub struct krpc_server {
    _opaque: [u8; 0],
}

impl Opaque for krpc_server {
    type Inner = Serving;
    const KIND: Kind = Kind::Server;
}

/// The core's server, with its addresses as C borrows them.
pub(super) struct Serving {
    pub(super) server: Server,
    addresses: Vec<String>,
}

/// What a stop left behind. Sized struct: start from `KRPC_STOPPED_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_stopped {
    /// `sizeof(krpc_stopped)` as the caller was compiled.
    pub struct_size: usize,
    /// Connections that ended by themselves within the grace.
    pub finished: u64,
    /// Connections that were cut off.
    pub cut_off: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_stopped {}

/// Starts a server: when this returns, it listens.
///
/// `options`: always consumed, also on failure. Returns an owned server, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED if the runtime was shut down, RESOLVE_FAILED,
/// LISTEN_FAILED, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_build(
    options: *mut krpc_server_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_server {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let server = Server::start(unsafe { handle::take(options, "options")? })?;
        let addresses = server.addresses().iter().map(ToString::to_string).collect();
        Ok(handle::give(Serving { server, addresses }))
    })
}

/// An address that the server listens on, in the order they were added, with the port that the system
/// chose for port 0. Borrowed from `server`; empty if there is no such address.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_address(server: *const krpc_server, index: usize) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        let serving = unsafe { handle::get(server, "server") };
        let address = serving.ok().and_then(|serving| serving.addresses.get(index));
        address.map_or(krpc_str::EMPTY, |address| krpc_str::of(address.as_bytes()))
    })
}

/// Requests being handled now.
///
/// Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_in_flight(server: *const krpc_server) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(server, "server") }.map_or(0, |serving| serving.server.in_flight()))
}

/// What a server has done so far. Sized struct: start from `KRPC_SERVER_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_server_stats {
    /// `sizeof(krpc_server_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because too many were open (`krpc_server_options_set_max_connections`).
    pub refused: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests being handled now.
    pub in_flight: u64,
    /// Requests on multiplexed connections that could not be read, because of a wrong checksum or otherwise. As
    /// with Kitex they get no answer, and their connection goes on; the first one of a connection is logged.
    pub passed_over: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_server_stats {}

/// Reads a server's counters.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_read_stats(
    server: *const krpc_server,
    stats: *mut krpc_server_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let read = unsafe { handle::get(server, "server")? }.server.stats();
        let filled = krpc_server_stats {
            struct_size: 0,
            accepted: read.accepted,
            refused: read.refused,
            open: read.open,
            in_flight: read.in_flight,
            passed_over: read.passed_over,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}

/// Stops gracefully: accepts no more connections, lets requests that have arrived be answered, tells
/// TTHeader clients to go elsewhere, and cuts off what is left after `grace_ms`. Blocks until then.
/// Calling it again does nothing. A handler that calls it waits for its own request too, until the grace ends.
///
/// `grace_ms`: milliseconds, 0 cuts off at once, `KRPC_FOREVER` waits as long as it takes. `stopped`
/// (optional): receives counts; its `struct_size` must be set.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, WOULD_DEADLOCK. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_stop(
    server: *const krpc_server,
    grace_ms: i64,
    stopped: *mut krpc_stopped,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        let serving = unsafe { handle::get(server, "server")? };
        let counts = serving.server.stop(grace(grace_ms)?)?;
        if stopped.is_null() {
            return Ok(());
        }
        let filled =
            krpc_stopped { struct_size: 0, finished: counts.finished as u64, cut_off: counts.cut_off as u64 };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stopped, "stopped", filled) }
    })
}

/// Frees a server. NULL is fine. What was not stopped is cut off: handlers that run may go on, their
/// answers are GONE. Destroy functions run once their handlers have returned.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_free(server: *mut krpc_server) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(server) });
}

fn grace(milliseconds: i64) -> Result<Duration> {
    match milliseconds {
        0 => Ok(Duration::ZERO),
        i64::MAX => Ok(Duration::MAX),
        _ => duration(milliseconds, "grace_ms"),
    }
}
