//! `krpc_op`: something under way that ends exactly once.

use std::time::Duration;

use crate::base::{Code, Error, Message, Result};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::reply::{Ended, krpc_reply};
use crate::capi::status::krpc_status;
use crate::capi::types::KRPC_FOREVER;
use crate::observe::handles::Kind;
use crate::op::operation::{Cause, Operation};
use crate::rpc::call::Reply;
use crate::rpc::stream::{Pairs, Stream};

/// Something under way: a call started by `krpc_client_start`, or what a function like
/// `krpc_stream_start_recv` started. It ends exactly once: with its result, by cancel, by deadline, by close of
/// its client, stream or queue, or with its runtime.
///
/// Free it with `krpc_op_free`, at any time.
pub struct krpc_op {
    _opaque: [u8; 0],
}

impl Opaque for krpc_op {
    type Inner = Pending;
    const KIND: Kind = Kind::Op;
}

/// The core's operation, by what it ends with.
pub(super) enum Pending {
    Call(Operation<Reply>),
    Open(Operation<Result<Stream>>),
    Done(Operation<Result<()>>),
    Recv(Operation<Result<Option<Message>>>),
    RecvMany(Operation<Result<Vec<Message>>>),
    Pairs(Operation<Result<Pairs>>),
}

impl Pending {
    fn cancel(&self) {
        match self {
            Pending::Call(operation) => operation.cancel(Cause::ByHost),
            Pending::Open(operation) => operation.cancel(Cause::ByHost),
            Pending::Done(operation) => operation.cancel(Cause::ByHost),
            Pending::Recv(operation) => operation.cancel(Cause::ByHost),
            Pending::RecvMany(operation) => operation.cancel(Cause::ByHost),
            Pending::Pairs(operation) => operation.cancel(Cause::ByHost),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Pending::Call(operation) => operation.is_done(),
            Pending::Open(operation) => operation.is_done(),
            Pending::Done(operation) => operation.is_done(),
            Pending::Recv(operation) => operation.is_done(),
            Pending::RecvMany(operation) => operation.is_done(),
            Pending::Pairs(operation) => operation.is_done(),
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        match self {
            Pending::Call(operation) => operation.wait(timeout),
            Pending::Open(operation) => operation.wait(timeout),
            Pending::Done(operation) => operation.wait(timeout),
            Pending::Recv(operation) => operation.wait(timeout),
            Pending::RecvMany(operation) => operation.wait(timeout),
            Pending::Pairs(operation) => operation.wait(timeout),
        }
    }

    fn take(&self) -> Option<Ended> {
        match self {
            Pending::Call(operation) => operation.take().map(Ended::from),
            Pending::Open(operation) => operation.take().map(Ended::from),
            Pending::Done(operation) => operation.take().map(Ended::from),
            Pending::Recv(operation) => operation.take().map(Ended::from),
            Pending::RecvMany(operation) => operation.take().map(Ended::from),
            Pending::Pairs(operation) => operation.take().map(Ended::from),
        }
    }
}

/// Asks for the end. The operation then ends as CANCELLED or with its real result, whichever comes first;
/// its completion is delivered as usual. Does nothing once it has ended.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_op_cancel(op: *const krpc_op) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(op, "op")? }.cancel();
        Ok(())
    })
}

/// Whether the operation has ended.
///
/// Thread: any thread. Errors: none; false if `op` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_op_is_done(op: *const krpc_op) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { handle::get(op, "op") }.is_ok_and(Pending::is_done))
}

/// Waits for the end, whatever style of completion was chosen, and consumes nothing of it.
///
/// `timeout_ms`: milliseconds; 0 looks without waiting, `KRPC_FOREVER` waits as long as it takes.
/// Returns OK once the operation has ended, however it ended, and TIMEOUT if it has not.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: INVALID_ARGUMENT, TIMEOUT, WOULD_DEADLOCK. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_op_wait(op: *const krpc_op, timeout_ms: i64) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let op = unsafe { handle::get(op, "op")? };
        let timeout = wait_time(timeout_ms)?;
        if timeout != Some(Duration::ZERO) && !op.is_done() {
            crate::rpc::may_block()?;
        }
        match op.wait(timeout) {
            true => Ok(()),
            false => Err(Error::new(Code::Timeout, "the operation has not ended yet")),
        }
    })
}

/// The reply of an operation that has ended, owned by the caller: for the first who asks, be it here or by
/// taking the event. NULL before the end and afterwards.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_op_take_reply(op: *const krpc_op) -> *mut krpc_reply {
    guard_or(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let reply = unsafe { handle::get(op, "op") }.ok().and_then(Pending::take);
        reply.map_or(std::ptr::null_mut(), handle::give)
    })
}

/// Frees an operation. NULL is fine. One that is under way is cancelled and its completion dropped: no
/// callback starts any more, its event is never taken, its place in the queue is returned, `destroy` runs.
/// A callback or take that is already running may still finish. Never blocks.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_op_free(op: *mut krpc_op) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(op) });
}

/// 0 polls, `KRPC_FOREVER` waits for ever.
pub(super) fn wait_time(timeout_ms: i64) -> Result<Option<Duration>> {
    match (timeout_ms, u64::try_from(timeout_ms)) {
        (KRPC_FOREVER, _) => Ok(None),
        (_, Ok(milliseconds)) => Ok(Some(Duration::from_millis(milliseconds))),
        _ => Err(Error::invalid_argument("timeout_ms", format_args!("{timeout_ms} is negative"))),
    }
}
