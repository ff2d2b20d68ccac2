//! Header and trailer of a `krpc_stream`: pairs before the first message and at the end.

use crate::base::Result;
use crate::capi::completion::krpc_completion;
use crate::capi::ending::metainfo_of;
use crate::capi::error::krpc_error;
use crate::capi::guard::guard;
use crate::capi::handle;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::op::krpc_op;
use crate::capi::status::krpc_status;
use crate::capi::stream::{blocking_new, get, krpc_stream, start};
use crate::rpc::stream::{Pairs, Stream};

/// The pairs of the peer's header. A client waits for it; it comes before the first message, or with the end if
/// the server sent none. A server has that of the opening. The same every time.
///
/// Returns pairs owned by the caller, all of kind `KRPC_METAINFO_KIND_BACKWARD`, none where the server sent no header; or NULL
/// and an error.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; what the stream failed with before the header came. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_header(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
) -> *mut krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    unsafe { blocking_new(stream, error, |stream| stream.header().map(metainfo_of)) }
}

/// Waits for the end of the stream, and gives the pairs of the peer's trailer. The same every time.
///
/// Returns pairs owned by the caller, all of kind `KRPC_METAINFO_KIND_BACKWARD`, those of a business status included; or NULL
/// and an error.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; what the stream ended with if there was no trailer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_trailer(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
) -> *mut krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    unsafe { blocking_new(stream, error, |stream| stream.trailer().map(metainfo_of)) }
}

/// Starts to wait for the header. The reply has its pairs, see `krpc_reply_metainfo`.
///
/// `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_header(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    unsafe { start(stream, completion, op, error, Stream::start_header) }
}

/// Starts to wait for the trailer. The reply has its pairs, see `krpc_reply_metainfo`.
///
/// `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_trailer(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    unsafe { start(stream, completion, op, error, Stream::start_trailer) }
}

/// Server: adds pairs to the header, which leaves before the first message or the end. A key that is there
/// already gets the new value.
///
/// `pairs`: those of kind BACKWARD are taken, and copied.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, also for more than a frame holds; INVALID_STATE once the header
/// has left, and at a client. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_set_header(
    stream: *const krpc_stream,
    pairs: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handles.
    guard(error, || unsafe { get(stream)?.set_header(&pairs_of(pairs)?) })
}

/// Server: sends the header now, with these pairs too.
///
/// `pairs`: NULL, or as in `krpc_stream_set_header`.
///
/// Thread: any thread. Errors: as of `krpc_stream_set_header`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_send_header(
    stream: *const krpc_stream,
    pairs: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handles.
        let (stream, pairs) = unsafe { (get(stream)?, handle::optional(pairs, "pairs")?) };
        stream.send_header(&pairs.map(|pairs| pairs.backward()).unwrap_or_default())
    })
}

/// Server: adds pairs to the trailer, which leaves at the end. A key that is there already gets the new value.
///
/// `pairs`: those of kind BACKWARD are taken, and copied.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, also for keys of business statuses ("biz-...") and for more
/// than a frame holds; INVALID_STATE once the stream was finished, and at a client. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_set_trailer(
    stream: *const krpc_stream,
    pairs: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handles.
    guard(error, || unsafe { get(stream)?.set_trailer(&pairs_of(pairs)?) })
}

unsafe fn pairs_of(pairs: *const krpc_metainfo) -> Result<Pairs> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(pairs, "pairs") }.map(|pairs| pairs.backward())
}
