//! `krpc_completion`: how the host hears that an operation has ended, and calls that end that way.

use std::ffi::c_void;
use std::sync::Arc;

use crate::base::{Code, Error, Message, Result};
use crate::capi::client::{krpc_call_options, krpc_client, options_of, request_of};
use crate::capi::ending::{Ending, event_of};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::{guard, put};
use crate::capi::handle;
use crate::capi::message::krpc_message;
use crate::capi::method::krpc_method;
use crate::capi::op::krpc_op;
use crate::capi::queue::{krpc_queue, queue_error};
use crate::capi::reply::krpc_reply;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedItem, SizedStruct, read_known, read_many};
use crate::op::operation::{self, Completer, Finished, Operation};
use crate::op::queue::{QueueError, Slot};
use crate::op::queued;
use crate::rpc::Callbacks;
use crate::rpc::call::{Client, Method, Start};
use crate::rpc::event::{Event, Queue};

/// Bit of `krpc_completion.flags`: the callback runs on the I/O thread, right where the call ends, with no
/// other thread on the way. It must not block: it keeps all connections of that thread waiting; one that
/// takes more than 10 ms is reported in the log, and blocking functions are WOULD_DEADLOCK. Starting the
/// next call there is fine. Where a call ends elsewhere, or inside another inline callback or handler, the
/// callback runs as without the bit.
pub const KRPC_COMPLETION_FLAG_INLINE: u32 = 1;

/// Hears that an operation has ended. Owns `reply`: free it; it is NULL if `krpc_op_take_reply` took it first. Runs
/// on a thread of the runtime, one of a pool that only runs callbacks, where it may block (but see
/// `KRPC_COMPLETION_FLAG_INLINE`); never twice, never at once for one operation.
pub type krpc_completion_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, reply: *mut krpc_reply)>;

/// How the host hears that an operation has ended: by `callback`, by an event in a `queue`, or only by asking
/// its handle (neither). Sized struct: start from `KRPC_COMPLETION_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_completion {
    /// `sizeof(krpc_completion)` as the caller was compiled.
    pub struct_size: usize,
    /// Called with `user_data` and the reply; NULL for the other styles.
    pub callback: krpc_completion_fn,
    /// Given to `callback` and `destroy`.
    pub user_data: *mut c_void,
    /// Called once with `user_data` when nothing will use it any more; also if the start fails. Optional.
    pub destroy: krpc_destroy_fn,
    /// Receives an event; a place for it is reserved at the start. NULL for the other styles.
    pub queue: *mut krpc_queue,
    /// The host's word for the operation, in its event and for `krpc_queue_cancel`.
    pub tag: u64,
    /// 0 or `KRPC_COMPLETION_FLAG_INLINE`, which is for a `callback`.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

impl Default for krpc_completion {
    fn default() -> krpc_completion {
        krpc_completion {
            struct_size: 0,
            callback: None,
            user_data: std::ptr::null_mut(),
            destroy: None,
            queue: std::ptr::null_mut(),
            tag: 0,
            flags: 0,
            reserved: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and pointers that are checked before use.
unsafe impl SizedStruct for krpc_completion {}

/// One of many calls started together.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_call {
    /// From `krpc_client_method`.
    pub method: *const krpc_method,
    /// The *args* struct, borrowed; NULL is an empty one.
    pub request: *const krpc_message,
    /// The host's word for the call, in its event and for `krpc_queue_cancel`.
    pub tag: u64,
}

// SAFETY: repr(C); integers and pointers that are checked before use.
unsafe impl SizedItem for krpc_call {
    const FIRST: usize = 24;
}

/// Starts a call and returns at once.
///
/// `method`, `request`, `options`: as in `krpc_client_call`; what is needed of them is retained or copied.
/// `completion`: NULL to hear of the end by `op` only. `op` (optional): receives an owned operation; with
/// NULL the call can be cancelled by queue and tag only.
/// Returns OK if the call was started: then its completion is delivered exactly once, with whatever came of
/// it. On an error nothing was started, nothing will be delivered, and `destroy` has run.
///
/// The call runs on the client's runtime (`krpc_client_options_set_runtime`), by default the shared one.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_start(
    client: *const krpc_client,
    method: *const krpc_method,
    request: *const krpc_message,
    options: *const krpc_call_options,
    completion: *const krpc_completion,
    op: *mut *mut krpc_op,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(op, std::ptr::null_mut());
    // SAFETY: the host vouches for a struct of the size that it says; `destroy` runs on every way out.
    let style = unsafe { Style::read(completion) };
    guard(error, || {
        // SAFETY: the host vouches for handles and struct.
        let (client, method) =
            unsafe { (handle::get(client, "client")?, &handle::get(method, "method")?.method) };
        // SAFETY: as above.
        let (message, options) = unsafe { (request_of(request)?, options_of(client, options)?) };
        client.prepare()?;
        let (operation, completer) = style?.begin(|| client.callbacks())?;
        let options = options.as_call_options();
        client.start([Start { method, message: &message, options, completer }]);
        give_op(op, operation);
        Ok(())
    })
}

/// Starts many calls that end as events of one queue, with one wake-up of the core for all.
///
/// `calls`: `count` calls of `call_size` bytes each, `sizeof(krpc_call)`. `options`: for all of them, as in `krpc_client_call`. `queue`: receives an event
/// for each. `started` (optional): receives how many were started, from the first: all, or as many as the
/// queue had room for, or 0. Returns OK if all were started; QUEUE_FULL if only some, or CLOSED if the
/// queue was shut down: those that were started end as usual, the others were not touched.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_start_many(
    client: *const krpc_client,
    calls: *const krpc_call,
    call_size: usize,
    count: usize,
    options: *const krpc_call_options,
    queue: *mut krpc_queue,
    started: *mut usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(started, 0);
    guard(error, || {
        // SAFETY: the host vouches for handles, struct and `count` calls.
        let (client, queue, calls) = unsafe {
            (
                handle::get(client, "client")?,
                handle::get(queue, "queue")?,
                read_many(calls, call_size, count, "calls")?,
            )
        };
        // SAFETY: as above.
        let options = unsafe { options_of(client, options)? };
        client.prepare()?;
        // SAFETY: as above.
        let calls = calls.iter().map(|call| unsafe { prepare(call) }).collect::<Result<Vec<_>>>()?;
        let (ran, refused) = start_queued(client, queue.queue(), &calls, options.as_call_options());
        put(started, ran);
        match refused {
            None => Ok(()),
            Some(QueueError::Closed) => Err(queue_error(QueueError::Closed)),
            Some(QueueError::Full) => {
                Err(Error::new(Code::QueueFull, format!("room for {ran} of {count} calls")))
            }
        }
    })
}

unsafe fn prepare<'a>(call: &krpc_call) -> Result<(&'a Method, Message, u64)> {
    // SAFETY: the host vouches for the handles.
    let (method, message) = unsafe { (handle::get(call.method, "calls.method")?, request_of(call.request)?) };
    Ok((&method.method, message, call.tag))
}

/// Starts calls up to the first that the queue refuses; returns how many, and why not all.
fn start_queued(
    client: &Arc<Client>,
    queue: &Arc<Queue>,
    calls: &[(&Method, Message, u64)],
    options: crate::rpc::call::CallOptions<'_>,
) -> (usize, Option<QueueError>) {
    let (mut started, mut refused) = (0, None);
    client.start(calls.iter().map_while(|(method, message, tag)| {
        let slot = queue.reserve().map_err(|why| refused = Some(why)).ok()?;
        let (operation, completer) = begin_queued(slot, *tag);
        operation.forget_handle();
        started += 1;
        Some(Start { method, message, options, completer })
    }));
    (started, refused)
}

fn begin_queued<T: Ending>(slot: Slot<Event>, tag: u64) -> (Operation<T>, Completer<T>) {
    queued(slot, tag, move |finished| event_of(tag, finished))
}

/// Gives the host a handle for what was started, if it wants one.
pub(super) fn give_op<T: Ending>(op: *mut *mut krpc_op, operation: Operation<T>) {
    match op.is_null() {
        true => operation.forget_handle(),
        false => put(op, handle::give(T::pending(operation))),
    }
}

/// A completion that was read and checked; owns the host's `user_data`.
pub(super) enum Style {
    Handle(#[allow(dead_code)] UserData),
    Callback(unsafe extern "C" fn(*mut c_void, *mut krpc_reply), UserData),
    Inline(unsafe extern "C" fn(*mut c_void, *mut krpc_reply), UserData),
    Queue(Arc<Queue>, u64, #[allow(dead_code)] UserData),
}

impl Style {
    pub(super) unsafe fn read(completion: *const krpc_completion) -> Result<Style> {
        // SAFETY: the host vouches for a struct of the size that it says.
        let (given, rest) = unsafe { read_known(completion, "completion")? };
        // Before all else that may fail.
        let user_data = UserData::new(given.user_data, given.destroy);
        rest?;
        match (given.callback, given.queue.is_null()) {
            (Some(callback), true) if is_inline(&given)? => Ok(Style::Inline(callback, user_data)),
            (Some(callback), true) => Ok(Style::Callback(callback, user_data)),
            _ if is_inline(&given)? => {
                Err(Error::invalid_argument("completion.flags", "INLINE is for a callback"))
            }
            (None, true) => Ok(Style::Handle(user_data)),
            (None, false) => {
                // SAFETY: the host vouches for the handle.
                let queue = unsafe { handle::get(given.queue, "completion.queue")? };
                Ok(Style::Queue(Arc::clone(queue.queue()), given.tag, user_data))
            }
            (Some(_), false) => {
                Err(Error::invalid_argument("completion", "has both a callback and a queue; choose one"))
            }
        }
    }

    /// Makes the operation; with a queue it reserves the event's place.
    pub(super) fn begin<T: Ending>(
        self,
        callbacks: impl FnOnce() -> Result<Callbacks>,
    ) -> Result<(Operation<T>, Completer<T>)> {
        match self {
            Style::Handle(_) => Ok(operation::new(None)),
            Style::Queue(queue, tag, _) => {
                let slot = queue.reserve().map_err(queue_error)?;
                Ok(begin_queued(slot, tag))
            }
            Style::Callback(callback, user_data) => {
                let callbacks = callbacks()?;
                Ok(operation::new(Some(Box::new(move |finished: Finished<T>| {
                    callbacks.run(Box::new(move || call_back(callback, &user_data, finished)));
                }))))
            }
            Style::Inline(callback, user_data) => {
                let callbacks = callbacks()?;
                Ok(operation::new(Some(Box::new(move |finished: Finished<T>| {
                    callbacks.run_inline(move || call_back(callback, &user_data, finished));
                }))))
            }
        }
    }
}

fn is_inline(completion: &krpc_completion) -> Result<bool> {
    match (completion.flags, completion.reserved) {
        (0, 0) => Ok(false),
        (KRPC_COMPLETION_FLAG_INLINE, 0) => Ok(true),
        (flags, 0) => {
            Err(Error::invalid_argument("completion.flags", format_args!("{flags} has unknown bits")))
        }
        _ => Err(Error::invalid_argument("completion.reserved", "is not 0")),
    }
}

/// Runs the host's callback, unless the operation was freed a moment ago.
fn call_back<T: Ending>(
    callback: unsafe extern "C" fn(*mut c_void, *mut krpc_reply),
    user_data: &UserData,
    finished: Finished<T>,
) {
    if finished.is_stale() {
        return;
    }
    let reply = finished.take().map_or(std::ptr::null_mut(), |ended| handle::give(ended.into()));
    // SAFETY: the host's function, called once, with what it gave beside it and a reply it now owns.
    unsafe { callback(user_data.pointer(), reply) }
}
