//! Sending on a `krpc_stream`. A send ends when its message is within the stream's budget.

use crate::base::{Message, Result};
use crate::capi::completion::krpc_completion;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, put};
use crate::capi::handle;
use crate::capi::message::krpc_message;
use crate::capi::op::krpc_op;
use crate::capi::status::krpc_status;
use crate::capi::stream::{blocking, get, krpc_stream, start, start_with};
use crate::rpc::stream::Stream;

/// Sends a message, and waits until the stream's budget has room for it: at once, unless the peer reads slowly.
/// That it was sent does not mean that it has arrived.
///
/// `message`: a bare struct, borrowed for the call; its bytes are shared.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT; INVALID_STATE while another send waits, and after `krpc_stream_close_send` or
/// `krpc_stream_finish`; FRAME_TOO_LARGE; WOULD_DEADLOCK; once the stream has failed what it failed with.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_send(
    stream: *const krpc_stream,
    message: *const krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handles.
    unsafe { blocking(stream, error, |stream| stream.send(message_of(message)?)) }
}

/// Sends messages in their order, waiting for room as often as it takes. On an error an unknown number of them
/// was sent.
///
/// `messages`: `count` of them, borrowed for the call.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: as of `krpc_stream_send`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_send_many(
    stream: *const krpc_stream,
    messages: *const *const krpc_message,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and array.
    unsafe { blocking(stream, error, |stream| stream.send_many(messages_of::<Vec<_>>(messages, count)?)) }
}

/// Sends as many of the messages as there is room for now, in their order, without waiting.
///
/// `messages`: `count` of them, borrowed for the call. `sent` (optional): receives how many were sent, from the
/// first; 0 on an error.
///
/// Thread: any thread. Errors: as of `krpc_stream_send`, but not WOULD_DEADLOCK. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_try_send_many(
    stream: *const krpc_stream,
    messages: *const *const krpc_message,
    count: usize,
    sent: *mut usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(sent, 0);
    guard(error, || {
        // SAFETY: the host vouches for handle and array.
        let (stream, mut left) =
            unsafe { (get(stream)?, messages_of::<std::collections::VecDeque<_>>(messages, count)?) };
        stream.try_send_many(&mut left)?;
        put(sent, count - left.len());
        Ok(())
    })
}

/// Starts a send, which ends when the message is within the stream's budget. Cancelled before that, nothing of
/// it leaves.
///
/// `message`: as in `krpc_stream_send`; retained. `completion`: as in `krpc_client_start`; in a queue its end is a
/// `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation. The reply has no message; its errors
/// are those of `krpc_stream_send`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_send(
    stream: *const krpc_stream,
    message: *const krpc_message,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handles and struct.
    unsafe {
        start_with(
            stream,
            completion,
            op,
            error,
            || message_of(message),
            |stream, message, completer| stream.start_send(message, completer),
        )
    }
}

/// Client: nothing more will be sent; receiving goes on. Does nothing the second time, or once the stream is
/// over. A server ends with `krpc_stream_finish` instead.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE while a send waits, and at a server. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_close_send(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(error, || unsafe { get(stream)? }.close_send())
}

/// Waits until everything sent so far is with the socket.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; once the stream has failed what it failed with. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_flush(
    stream: *const krpc_stream,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { blocking(stream, error, |stream| stream.flush()) }
}

/// Starts the same.
///
/// `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_flush(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    unsafe { start(stream, completion, op, error, Stream::start_flush) }
}

unsafe fn message_of(message: *const krpc_message) -> Result<Message> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(message, "message") }.cloned()
}

unsafe fn messages_of<C: FromIterator<Message>>(
    messages: *const *const krpc_message,
    count: usize,
) -> Result<C> {
    // SAFETY: the host vouches for `count` handles.
    let messages = unsafe { handle::slice(messages, count, "messages")? };
    // SAFETY: as above.
    messages.iter().map(|message| unsafe { handle::get(*message, "messages") }.cloned()).collect()
}
