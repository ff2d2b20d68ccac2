//! Receiving on a `krpc_stream`: one by one, many at once, or by credit into a queue.

use crate::base::{Error, Result};
use crate::capi::completion::krpc_completion;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, put};
use crate::capi::handle;
use crate::capi::message::krpc_message;
use crate::capi::op::krpc_op;
use crate::capi::queue::krpc_queue;
use crate::capi::status::krpc_status;
use crate::capi::stream::{blocking, get, krpc_stream, start, start_with};
use crate::capi::stream_options::{KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT, limit};
use crate::rpc::stream::{RecvTimeout, Stream};

/// Waits for the next message. What has arrived comes before the end, and the end stays: every later recv gives
/// it again.
///
/// `message`: receives an owned message, a bare struct; NULL with status OK when the peer has said everything.
/// Nothing else looks like that: a cancel, a timeout, a lost connection or a failed handler are errors.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT; INVALID_STATE while another recv waits or the stream delivers into a queue;
/// WOULD_DEADLOCK; RECV_TIMEOUT; any of 2xx to 6xx, which is the end of the stream. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_recv(
    stream: *const krpc_stream,
    message: *mut *mut krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(message, std::ptr::null_mut());
    let body = |stream: &Stream| {
        if message.is_null() {
            return Err(Error::invalid_argument("message", "is NULL"));
        }
        put(message, stream.recv()?.map_or(std::ptr::null_mut(), handle::give));
        Ok(())
    };
    // SAFETY: the host vouches for the handle.
    unsafe { blocking(stream, error, body) }
}

/// Waits for a message, then takes all that are there.
///
/// `messages`: receives up to `capacity` owned messages, at least 1. `count`: receives how many came; 0 with
/// status OK when the peer has said everything.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: as of `krpc_stream_recv`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_recv_many(
    stream: *const krpc_stream,
    messages: *mut *mut krpc_message,
    capacity: usize,
    count: *mut usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(count, 0);
    let body = |stream: &Stream| {
        match (messages.is_null(), count.is_null(), capacity) {
            (true, _, _) => return Err(Error::invalid_argument("messages", "is NULL")),
            (_, true, _) => return Err(Error::invalid_argument("count", "is NULL")),
            (_, _, 0) => return Err(Error::invalid_argument("capacity", "is 0")),
            _ => {}
        }
        let received = stream.recv_many(capacity)?;
        put(count, received.len());
        for (index, message) in received.into_iter().enumerate() {
            // SAFETY: the host vouches for `capacity` places, and no more were asked for.
            put(unsafe { messages.add(index) }, handle::give(message));
        }
        Ok(())
    };
    // SAFETY: the host vouches for the handle.
    unsafe { blocking(stream, error, body) }
}

/// Starts a recv. Cancelled (`krpc_op_cancel`, `krpc_op_free`), it leaves its message to the next one and the
/// stream as it is.
///
/// `completion`: as in `krpc_client_start`; in a queue its end is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional):
/// receives an owned operation. The reply's message is NULL with status OK when the peer has said everything; its
/// errors are those of `krpc_stream_recv`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_recv(
    stream: *const krpc_stream,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and struct.
    unsafe { start(stream, completion, op, error, Stream::start_recv) }
}

/// Starts a recv of many: waits for a message, then takes all that are there, for one completion. Cancelled
/// (`krpc_op_cancel`, `krpc_op_free`), it leaves its messages to the next one and the stream as it is.
///
/// `capacity`: messages at most, at least 1. `completion`: as in `krpc_client_start`; in a queue its end is a
/// `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation. The reply has the messages, see
/// `krpc_reply_message_count`: none with status OK when the peer has said everything. Its errors are those of
/// `krpc_stream_recv`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_start_recv_many(
    stream: *const krpc_stream,
    capacity: usize,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let input = || match capacity {
        0 => Err(Error::invalid_argument("capacity", "is 0")),
        _ => Ok(capacity),
    };
    // SAFETY: the host vouches for handle and struct.
    unsafe { start_with(stream, completion, op, error, input, Stream::start_recv_many) }
}

/// Limits how long each recv waits while nothing has arrived, from now on, at either end; also the recv of a stream
/// that delivers. A recv that waits keeps its own limit. A server's stream has none at first, a client's that of its
/// options.
///
/// `timeout_ms`: milliseconds; 0 or `KRPC_FOREVER`: none. `flags`: 0 or `KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT`,
/// which leaves the stream as it is; without it a timeout ends the stream, and the peer is told (12014).
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_set_recv_timeout_ms(
    stream: *const krpc_stream,
    timeout_ms: i64,
    flags: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        let stream = unsafe { get(stream)? };
        stream.set_recv_timeout(recv_timeout(timeout_ms, flags)?);
        Ok(())
    })
}

fn recv_timeout(timeout_ms: i64, flags: u32) -> Result<Option<RecvTimeout>> {
    if flags & !KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT != 0 {
        return Err(Error::invalid_argument("flags", format_args!("{flags} has unknown bits")));
    }
    let keep_stream = flags != 0;
    Ok(limit(timeout_ms, "timeout_ms")?.map(|timeout| RecvTimeout { timeout, keep_stream }))
}

/// Lets the next `credit` messages go into a queue by themselves, as `KRPC_EVENT_KIND_STREAM_MESSAGE`, in order
/// and numbered, and after them the end, as `KRPC_EVENT_KIND_STREAM_END`. Calling it again with the same queue
/// and tag adds credit; while there is none, messages wait in the stream's budget and hold the peer back. No
/// other recv is possible.
///
/// `queue`: kept alive by the stream; places for `credit` messages and, the first time, for the end are reserved.
/// `tag`: the host's word for the stream, in its events. `credit`: may be 0, for the end only.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE if it delivers elsewhere; QUEUE_FULL and CLOSED
/// of the queue, and then nothing has happened. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_deliver(
    stream: *const krpc_stream,
    queue: *const krpc_queue,
    tag: u64,
    credit: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handles.
        let (stream, queue) = unsafe { (get(stream)?, handle::get(queue, "queue")?.queue()) };
        stream.deliver(queue, tag, credit)
    })
}
