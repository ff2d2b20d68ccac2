//! How a server ends a `krpc_stream`: once, after which nothing can be sent.

use crate::base::{Biz, Error, Result};
use crate::capi::completion::krpc_completion;
use crate::capi::error::krpc_error;
use crate::capi::guard::guard;
use crate::capi::handle;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::op::krpc_op;
use crate::capi::status::krpc_status;
use crate::capi::stream::{get, krpc_stream, start};
use crate::capi::types::krpc_str;
use crate::rpc::stream::{Finish, Stream};

/// Server: ends the stream well. What was sent before still reaches the client, then the trailer and the end.
/// The stream's context ends; the handle stays to be freed.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE if it was finished before, and at a client.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_finish(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
) -> krpc_status {
    finish(stream, error, || Ok(Finish::Ok))
}

/// Server: ends the stream with a business status: the RPC worked, the business said no. The client receives
/// what was sent before, then `KRPC_STATUS_BIZ_STATUS`.
///
/// `code`: not 0. `message`: text for people, may be empty, copied. `extra`: NULL, or pairs to go with it; those
/// of kind BACKWARD are taken, and copied.
///
/// Thread: any thread. Errors: as of `krpc_stream_finish`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_finish_biz(
    stream: *const krpc_stream,
    code: i32,
    message: krpc_str,
    extra: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> krpc_status {
    finish(stream, error, || {
        if code == 0 {
            return Err(Error::invalid_argument("code", "0 is success, not a business error"));
        }
        // SAFETY: the host vouches for view and handle.
        let (message, extra) = unsafe { (message.copy("message")?, handle::optional(extra, "extra")?) };
        let extra = extra.map(|extra| extra.backward()).unwrap_or_default();
        Ok(Finish::Biz(Biz { code, message, extra }))
    })
}

/// Server: ends the stream with an application exception. The client receives what was sent before, then
/// `KRPC_STATUS_REMOTE_EXCEPTION` with this type and text, unchanged.
///
/// `type_id`: 6 for an internal error, or a number of your own above 21. `text`: for the client, copied; a Kitex
/// handler's begins with "biz error: ".
///
/// Thread: any thread. Errors: as of `krpc_stream_finish`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_fail(
    stream: *const krpc_stream,
    type_id: i32,
    text: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    finish(stream, error, || {
        // SAFETY: the host vouches for the view.
        Ok(Finish::Exception { type_id, text: unsafe { text.copy("text")? } })
    })
}

/// Server: starts to wait for the server's stop, so that a handler need not ask `krpc_context_is_stopping`. It ends
/// with status OK when the server is being stopped: the handler should come to its end, and may still send and
/// finish within the grace. It ends as CLOSED if the stream is over before, or freed.
///
/// `completion`: as in `krpc_client_start`; in a queue its end is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional):
/// receives an owned operation. Cancelling it changes nothing else. The reply's errors: CLOSED; CANCELLED;
/// INVALID_STATE while another such wait is pending, and at a client.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_stopping(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    unsafe { start(stream, completion, op, error, Stream::start_stopping) }
}

fn finish(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
    how: impl FnOnce() -> Result<Finish>,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        let stream = unsafe { get(stream)? };
        stream.finish(how()?)
    })
}
