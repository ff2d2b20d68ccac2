//! `krpc_stream`: messages in one or both directions under one method, the same handle at both ends.

use std::sync::Arc;

use crate::base::{Message, Metainfo, Result};
use crate::capi::client::krpc_client;
use crate::capi::completion::{Style, give_op, krpc_completion};
use crate::capi::context::krpc_context;
use crate::capi::ending::Ending;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::message::krpc_message;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::method::krpc_method;
use crate::capi::op::krpc_op;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::stream_options::{krpc_stream_options, stream_options_of, streaming_method};
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::codec::Shape;
use crate::observe::handles::Kind;
use crate::op::operation::Completer;
use crate::rpc::stream::Stream;

/// A stream of one method, at the client that opened it or in the hands of a server's handler. One thread may
/// send while another receives; at most one send and one recv wait at a time, another is INVALID_STATE.
///
/// A client's is from `krpc_client_open_stream`, a server's from a handler or an event. Free it with
/// `krpc_stream_free`.
pub struct krpc_stream {
    _opaque: [u8; 0],
}

impl Opaque for krpc_stream {
    type Inner = Streaming;
    const KIND: Kind = Kind::Stream;
}

/// The core's stream, with the parts that C borrows as handles.
pub(super) struct Streaming {
    pub(super) stream: Stream,
    metainfo: Slot<Metainfo>,
    request: Option<Slot<Message>>,
    pub(super) to_send: Option<Slot<Shape>>,
    pub(super) to_recv: Option<Slot<Shape>>,
}

impl From<Stream> for Streaming {
    fn from(stream: Stream) -> Streaming {
        let metainfo = Slot::borrowed::<krpc_metainfo>(stream.metainfo().clone());
        let request = stream.request().cloned().map(Slot::borrowed::<krpc_message>);
        let slot = |shape: Option<Shape>| shape.map(Slot::borrowed::<krpc_shape>);
        let (to_send, to_recv) = (slot(stream.shape_to_send()), slot(stream.shape_to_recv()));
        Streaming { stream, metainfo, request, to_send, to_recv }
    }
}

/// The host wants nothing of it any more, also where the core still has a hand on it.
impl Drop for Streaming {
    fn drop(&mut self) {
        self.stream.end_delivery();
    }
}

/// Opens a stream and waits until a connection has it. That the server knows the method shows only with its
/// first answer; the mode, which both ends must know, is not on the wire.
///
/// `method`: from `krpc_client_method`, two-way. `options`: NULL for the defaults; what is needed of them is
/// copied. `stream`: receives an owned stream, NULL on a failure. It may outlive client and method.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, CLOSED, TIMEOUT, CANCELLED, any of 2xx and 3xx, WOULD_DEADLOCK. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_open_stream(
    client: *const krpc_client,
    method: *const krpc_method,
    options: *const krpc_stream_options,
    stream: *mut *mut krpc_stream,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(stream, std::ptr::null_mut());
    guard(error, || {
        // SAFETY: the host vouches for handles and struct; the clone keeps the client for the whole call.
        let client = Arc::clone(unsafe { handle::get(client, "client")? });
        // SAFETY: as above.
        let (method, options) = unsafe { (streaming_method(method)?, stream_options_of(options)?) };
        let opened = client.open_stream(method, &options)?;
        if !stream.is_null() {
            put(stream, handle::give(opened.into()));
        }
        Ok(())
    })
}

/// Starts the same. The reply has the stream, for `krpc_reply_take_stream`.
///
/// `method`, `options`: as in `krpc_client_open_stream`. `completion`: as in `krpc_client_start`; in a queue its end
/// is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_start_open_stream(
    client: *const krpc_client,
    method: *const krpc_method,
    options: *const krpc_stream_options,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(op, std::ptr::null_mut());
    // SAFETY: the host vouches for a struct of the size that it says; `destroy` runs on every way out.
    let style = unsafe { Style::read(completion) };
    guard(error, || {
        // SAFETY: the host vouches for handles and struct.
        let (client, method, options) = unsafe {
            (handle::get(client, "client")?, streaming_method(method)?, stream_options_of(options)?)
        };
        let callbacks = client.prepare_stream()?;
        let (operation, completer) = style?.begin(|| Ok(callbacks))?;
        client.start_open_stream(method, &options, completer);
        give_op(op, operation);
        Ok(())
    })
}

/// Ends the stream in both directions: the peer is told the reason, what waits to be sent is dropped, what has
/// arrived can still be received. Sends and receives that wait end at once, as does the stream's context. Does
/// nothing once the stream is over.
///
/// `reason`: for the peer, copied; may be empty.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_cancel(stream: *const krpc_stream, reason: krpc_str) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for handle and view.
        unsafe { get(stream)?.cancel(reason.copy("reason")?) };
        Ok(())
    })
}

/// The same with a number of the host's own in place of 12007; see `krpc_error_stream_reason`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_cancel_with_code(
    stream: *const krpc_stream,
    code: i32,
    reason: krpc_str,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for handle and view.
        unsafe { get(stream)?.cancel_with_code(code, reason.copy("reason")?) };
        Ok(())
    })
}

/// Whether the stream is over in both directions. What has arrived can still be received.
///
/// Thread: any thread. Errors: none; false if `stream` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_is_over(stream: *const krpc_stream) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { get(stream) }.is_ok_and(|stream| stream.end().is_some()))
}

/// How the stream ended: OK if the peer has said everything, and while it is not over.
///
/// Thread: any thread. Errors: none; INVALID_ARGUMENT if `stream` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_status(stream: *const krpc_stream) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(std::ptr::null_mut(), || unsafe { get(stream)? }.end().unwrap_or(Ok(())))
}

/// Why the stream ended, owned by the caller; NULL if the peer has said everything, and while it is not over.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_error(stream: *const krpc_stream) -> *mut krpc_error {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { get(stream) }.ok().and_then(Stream::end) {
        Some(Err(error)) => handle::give(error.into()),
        _ => std::ptr::null_mut(),
    })
}

/// Whether it is a server's end.
///
/// Thread: any thread. Errors: none; false if `stream` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_is_server(stream: *const krpc_stream) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { get(stream) }.is_ok_and(Stream::is_server))
}

/// The method's name. Borrowed from `stream`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_method(stream: *const krpc_stream) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(stream, Stream::method) })
}

/// The service's name: at a server of the one that took the stream, at a client as in its method, which may be
/// empty. Borrowed from `stream`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_service(stream: *const krpc_stream) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(stream, Stream::service) })
}

/// The peer's address, e.g. "127.0.0.1:8888". Borrowed from `stream`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_peer(stream: *const krpc_stream) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(stream, |stream| stream.peer().as_bytes()) })
}

/// The stream's context, owned by the caller; NULL if `stream` is. It ends with the stream, and says so to the
/// calls and streams that were made in it, with cause and path. At a client its end cancels the stream. A
/// server's has the pairs that came with the opening, and knows when the server is being stopped
/// (`krpc_context_is_stopping`). It may outlive the stream.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_context(stream: *const krpc_stream) -> *mut krpc_context {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { get(stream) } {
        Ok(stream) => handle::give(stream.context().clone().into()),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Server: the pairs that came with the opening, of kinds UPSTREAM and PERSISTENT; a client's are empty. NULL
/// only if `stream` is. Borrowed from `stream`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_metainfo(stream: *const krpc_stream) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(stream, "stream") } {
        Ok(streaming) => streaming.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// Server: the one message of a client whose method streams only the answers
/// (`KRPC_STREAMING_SERVER`); NULL for other methods, and at a client. Borrowed from `stream`; keep it longer
/// with `krpc_message_retain`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_request(stream: *const krpc_stream) -> *const krpc_message {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(stream, "stream") } {
        Ok(Streaming { request: Some(request), .. }) => request.as_handle(),
        _ => std::ptr::null(),
    })
}

/// Messages and bytes of a stream so far, as its connection has handled them; payloads only. Sized struct: start
/// from `KRPC_STREAM_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_stream_stats {
    /// `sizeof(krpc_stream_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Messages sent.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_stream_stats {}

/// Reads the counters of a stream.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_read_stats(
    stream: *const krpc_stream,
    stats: *mut krpc_stream_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let seen = unsafe { get(stream)? }.stats();
        let filled = krpc_stream_stats {
            struct_size: 0,
            messages_sent: seen.messages_sent,
            bytes_sent: seen.bytes_sent,
            messages_received: seen.messages_received,
            bytes_received: seen.bytes_received,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}

/// Frees a stream. NULL is fine. A client's that is not over is cancelled; a server's that was not finished
/// tells the client "handler gave no answer". Operations on it that are under way end as CLOSED, and what it
/// has delivered into a queue is skipped there. A blocking function that another thread is in goes on: cancel
/// first.
///
/// Thread: any thread, once; not while a function on another thread is about to start. Errors: none.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_free(stream: *mut krpc_stream) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(stream) });
}

/// The core's stream.
pub(super) unsafe fn get<'a>(stream: *const krpc_stream) -> Result<&'a Stream> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(stream, "stream") }.map(|streaming| &streaming.stream)
}

unsafe fn text<'a>(stream: *const krpc_stream, field: impl FnOnce(&'a Stream) -> &'a [u8]) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    unsafe { get(stream) }.map_or(krpc_str::EMPTY, |stream| krpc_str::of(field(stream)))
}

/// Runs a function that may wait, on a stream that stays for so long.
pub(super) unsafe fn blocking(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
    body: impl FnOnce(&Stream) -> Result<()>,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(error, || body(&unsafe { get(stream)? }.clone()))
}

/// The same for one that makes a handle.
pub(super) unsafe fn blocking_new<O: Opaque>(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
    body: impl FnOnce(&Stream) -> Result<O::Inner>,
) -> *mut O {
    // SAFETY: the host vouches for the handle.
    guard_new(error, || Ok(handle::give(body(&unsafe { get(stream)? }.clone())?)))
}

/// Starts an operation of a stream.
pub(super) unsafe fn start<T: Ending>(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
    run: impl FnOnce(&Stream, Completer<T>),
) -> krpc_status {
    let run = |stream: &Stream, (), completer| run(stream, completer);
    // SAFETY: the caller vouches for handle and struct.
    unsafe { start_with(stream, completion, op, error, || Ok(()), run) }
}

/// The same with what `input` finds.
pub(super) unsafe fn start_with<T: Ending, I>(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
    input: impl FnOnce() -> Result<I>,
    run: impl FnOnce(&Stream, I, Completer<T>),
) -> krpc_status {
    put(op, std::ptr::null_mut());
    // SAFETY: the host vouches for a struct of the size that it says; `destroy` runs on every way out.
    let style = unsafe { Style::read(completion) };
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        let stream = unsafe { get(stream)? };
        let input = input()?;
        let (operation, completer) = style?.begin(|| stream.callbacks())?;
        run(stream, input, completer);
        give_op(op, operation);
        Ok(())
    })
}
