//! `krpc_stream_counters`: messages and bytes of streams, by method.

use std::sync::Arc;

use crate::base::{Error, Result};
use crate::capi::client::krpc_client;
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle;
use crate::capi::server::krpc_server;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::rpc::stream::StreamObserver;

/// The streams of one method, as their observer has counted them until now. Payloads only. Sized struct: start
/// from `KRPC_STREAM_COUNTERS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_stream_counters {
    /// `sizeof(krpc_stream_counters)` as the caller was compiled.
    pub struct_size: usize,
    /// The service's name; at a client as in its method, which may be empty. Borrowed from the handle.
    pub service: krpc_str,
    /// The method's name. Borrowed from the handle. Empty for all methods beyond the first 1024 together.
    pub method: krpc_str,
    /// Streams that have begun.
    pub started: u64,
    /// Openings that have failed.
    pub refused: u64,
    /// Streams that are over.
    pub ended: u64,
    /// Of these, those that ended with an error; a business status is none.
    pub failed: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Sends that have failed.
    pub send_errors: u64,
    /// Receives that have failed.
    pub recv_errors: u64,
}

impl Default for krpc_stream_counters {
    fn default() -> krpc_stream_counters {
        krpc_stream_counters {
            struct_size: 0,
            service: krpc_str::EMPTY,
            method: krpc_str::EMPTY,
            started: 0,
            refused: 0,
            ended: 0,
            failed: 0,
            messages_sent: 0,
            bytes_sent: 0,
            messages_received: 0,
            bytes_received: 0,
            send_errors: 0,
            recv_errors: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and views.
unsafe impl SizedStruct for krpc_stream_counters {}

/// Methods whose streams were counted. 0 without an observer (`krpc_client_options_set_stream_observer`). It only
/// grows.
///
/// Thread: any thread. Errors: none; 0 if `client` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_stream_method_count(client: *const krpc_client) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { of_client(client) }.map_or(0, |seen| seen.method_count()))
}

/// Reads the counters of a method, 0 ≤ `index` < `krpc_client_stream_method_count`, in the order in which the
/// methods were met.
///
/// `counters`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_stream_counters(
    client: *const krpc_client,
    index: usize,
    counters: *mut krpc_stream_counters,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    guard(std::ptr::null_mut(), || unsafe { read(of_client(client)?, index, counters) })
}

/// Events that found no room in their observer's queue. 0 without an observer.
///
/// Thread: any thread. Errors: none; 0 if `client` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_dropped_stream_events(client: *const krpc_client) -> u64 {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { of_client(client) }.map_or(0, |seen| seen.dropped()))
}

/// Methods whose streams were counted, as `krpc_client_stream_method_count`.
///
/// Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_stream_method_count(server: *const krpc_server) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { of_server(server) }.map_or(0, |seen| seen.method_count()))
}

/// Reads the counters of a method, as `krpc_client_stream_counters`.
///
/// `counters`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_stream_counters(
    server: *const krpc_server,
    index: usize,
    counters: *mut krpc_stream_counters,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    guard(std::ptr::null_mut(), || unsafe { read(of_server(server)?, index, counters) })
}

/// Events that found no room in their observer's queue. 0 without an observer.
///
/// Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_dropped_stream_events(server: *const krpc_server) -> u64 {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { of_server(server) }.map_or(0, |seen| seen.dropped()))
}

unsafe fn of_client<'a>(client: *const krpc_client) -> Result<&'a Arc<StreamObserver>> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(client, "client")? }.stream_observer().ok_or_else(nothing)
}

unsafe fn of_server<'a>(server: *const krpc_server) -> Result<&'a Arc<StreamObserver>> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(server, "server")? }.server.stream_observer().ok_or_else(nothing)
}

fn nothing() -> Error {
    Error::invalid_argument("index", "nothing is counted: no observer was set")
}

unsafe fn read(seen: &StreamObserver, index: usize, counters: *mut krpc_stream_counters) -> Result<()> {
    let found = seen.method_at(index);
    let method =
        found.ok_or_else(|| Error::invalid_argument("index", format_args!("there is no method {index}")))?;
    let counted = method.read();
    let filled = krpc_stream_counters {
        struct_size: 0,
        // They stay as long as the observer, which keeps its methods.
        service: krpc_str::of(method.service()),
        method: krpc_str::of(method.method()),
        started: counted.started,
        refused: counted.refused,
        ended: counted.ended,
        failed: counted.failed,
        messages_sent: counted.messages.messages_sent,
        bytes_sent: counted.messages.bytes_sent,
        messages_received: counted.messages.messages_received,
        bytes_received: counted.messages.bytes_received,
        send_errors: counted.send_errors,
        recv_errors: counted.recv_errors,
    };
    // SAFETY: the host vouches for a struct of the size that it says.
    unsafe { write_sized(counters, "counters", filled) }
}
