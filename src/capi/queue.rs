//! `krpc_queue`: a bounded queue of completions, requests, streams and questions.

use std::any::Any;

use crate::base::{Code, Error, Result};
use crate::capi::decision::krpc_decision;
use crate::capi::ending::Ending;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::message::krpc_message;
use crate::capi::op::wait_time;
use crate::capi::reply::{Ended, krpc_reply, leave};
use crate::capi::request::krpc_request;
use crate::capi::status::krpc_status;
use crate::capi::stream::krpc_stream;
use crate::capi::stream_event::krpc_stream_record;
use crate::capi::types::{SizedItem, SizedStruct, check_item_size, item_at, write_item, write_sized};
use crate::observe::handles::Kind;
use crate::op::operation::Finished;
use crate::op::queue::QueueError;
use crate::op::spent::Spent;
use crate::rpc::event::{Event, StreamFinished, WatchedQueue};
use crate::rpc::may_block;
use crate::rpc::stream::{Delivered, Observed};

/// A bounded queue of events: ends of calls, requests and streams of servers, messages of streams, what was observed of streams, questions. Any number of threads may take
/// from it; an event loop watches its descriptor.
///
/// Shut it down with `krpc_queue_shutdown`, free it with `krpc_queue_free`.
pub struct krpc_queue {
    _opaque: [u8; 0],
}

impl Opaque for krpc_queue {
    type Inner = WatchedQueue;
    const KIND: Kind = Kind::Queue;
}

/// What an event is about.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_event_kind {
    /// The queue was shut down, and nothing will come any more. Carries nothing.
    KRPC_EVENT_KIND_QUEUE_END = 0,
    /// A call has ended: `reply`, or NULL if the operation's handle took it.
    KRPC_EVENT_KIND_CALL = 1,
    /// A server has a request: `request`.
    KRPC_EVENT_KIND_REQUEST = 2,
    /// A server asks something: `decision`.
    KRPC_EVENT_KIND_DECISION = 3,
    /// A server has a stream: `stream`.
    KRPC_EVENT_KIND_STREAM = 4,
    /// An operation of a stream has ended, or the opening of one: `reply`, or NULL if the operation's handle
    /// took it.
    KRPC_EVENT_KIND_STREAM_CALL = 5,
    /// A stream that delivers has a message: `message`. It is NULL where only a receive timeout has passed, and
    /// `error` says so.
    KRPC_EVENT_KIND_STREAM_MESSAGE = 6,
    /// A stream that delivers has come to its end: status OK when the peer has said everything, else `error`.
    KRPC_EVENT_KIND_STREAM_END = 7,
    /// An observer of streams has seen something: `record`.
    KRPC_EVENT_KIND_STREAM_RECORD = 8,
}

/// One event. It owns what it carries until `krpc_event_release`; set a pointer to NULL to keep what is
/// behind it. New fields are only appended: pass `sizeof(krpc_event)` where asked for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_event {
    /// A `krpc_event_kind`.
    pub kind: i32,
    /// How the operation or the stream ended, what a record says; OK for other kinds.
    pub status: i32,
    /// The host's word for what it belongs to.
    pub tag: u64,
    /// The reply of a call, or NULL.
    pub reply: *mut krpc_reply,
    /// The request of a server, or NULL.
    pub request: *mut krpc_request,
    /// The question of a server, or NULL.
    pub decision: *mut krpc_decision,
    /// The stream of a server, or NULL.
    pub stream: *mut krpc_stream,
    /// The message of a stream, or NULL.
    pub message: *mut krpc_message,
    /// Why a stream ended, or NULL.
    pub error: *mut krpc_error,
    /// Of a stream that delivers or is observed: 0 for its first event, one more for each. 0 for other kinds.
    pub sequence: u64,
    /// What an observer has seen of a stream, or NULL. Only where `kind` says so.
    pub record: *mut krpc_stream_record,
}

// SAFETY: repr(C); integers and pointers that are checked before use.
unsafe impl SizedItem for krpc_event {
    const FIRST: usize = 72;
}

impl krpc_event {
    const END: krpc_event = krpc_event {
        kind: krpc_event_kind::KRPC_EVENT_KIND_QUEUE_END as i32,
        status: 0,
        tag: 0,
        reply: std::ptr::null_mut(),
        request: std::ptr::null_mut(),
        decision: std::ptr::null_mut(),
        stream: std::ptr::null_mut(),
        message: std::ptr::null_mut(),
        error: std::ptr::null_mut(),
        sequence: 0,
        record: std::ptr::null_mut(),
    };

    fn of(kind: krpc_event_kind, tag: u64) -> krpc_event {
        krpc_event { kind: kind as i32, tag, ..krpc_event::END }
    }
}

impl From<Event> for krpc_event {
    fn from(event: Event) -> krpc_event {
        match event {
            Event::Ready { tag, of_stream, failure, ending } => ready(tag, of_stream, failure, ending),
            Event::Call { tag, finished } => ended(krpc_event_kind::KRPC_EVENT_KIND_CALL, tag, finished),
            Event::Request { tag, request } => krpc_event {
                request: handle::give((*request).into()),
                ..krpc_event::of(krpc_event_kind::KRPC_EVENT_KIND_REQUEST, tag)
            },
            Event::Acl { tag, decision } => krpc_event {
                decision: handle::give(decision.into()),
                ..krpc_event::of(krpc_event_kind::KRPC_EVENT_KIND_DECISION, tag)
            },
            Event::Stream { tag, stream } => krpc_event {
                stream: handle::give((*stream).into()),
                ..krpc_event::of(krpc_event_kind::KRPC_EVENT_KIND_STREAM, tag)
            },
            Event::StreamCall { tag, finished } => stream_call(tag, finished),
            Event::StreamMessage { tag, delivered } => stream_message(tag, delivered),
            Event::StreamObserved { tag, observed } => stream_record(tag, *observed),
        }
    }
}

fn ended<T: Ending>(kind: krpc_event_kind, tag: u64, finished: Finished<T>) -> krpc_event {
    let status = finished.failure().map_or(0, |code| code as i32);
    let reply = finished.take().map_or(std::ptr::null_mut(), |ended| handle::give(ended.into()));
    krpc_event { status, reply, ..krpc_event::of(kind, tag) }
}

fn ready(tag: u64, of_stream: bool, failure: Option<Code>, ending: Box<dyn Any + Send>) -> krpc_event {
    let kind = match of_stream {
        true => krpc_event_kind::KRPC_EVENT_KIND_STREAM_CALL,
        false => krpc_event_kind::KRPC_EVENT_KIND_CALL,
    };
    let reply = ending.downcast::<Slot<Ended>>().map_or(std::ptr::null_mut(), handle::give_ready);
    krpc_event { status: failure.map_or(0, |code| code as i32), reply, ..krpc_event::of(kind, tag) }
}

fn stream_call(tag: u64, finished: StreamFinished) -> krpc_event {
    let kind = krpc_event_kind::KRPC_EVENT_KIND_STREAM_CALL;
    match finished {
        StreamFinished::Open(finished) => ended(kind, tag, finished),
        StreamFinished::Done(finished) => ended(kind, tag, finished),
        StreamFinished::Recv(finished) => ended(kind, tag, finished),
        StreamFinished::Pairs(finished) => ended(kind, tag, finished),
        StreamFinished::RecvMany(finished) => ended(kind, tag, finished),
    }
}

fn stream_message(tag: u64, delivered: Delivered) -> krpc_event {
    let kind = match delivered.is_end() {
        true => krpc_event_kind::KRPC_EVENT_KIND_STREAM_END,
        false => krpc_event_kind::KRPC_EVENT_KIND_STREAM_MESSAGE,
    };
    let mut taken = krpc_event { sequence: delivered.sequence, ..krpc_event::of(kind, tag) };
    match delivered.result {
        Ok(message) => taken.message = message.map_or(std::ptr::null_mut(), handle::give),
        Err(error) => {
            taken.status = error.code() as i32;
            taken.error = handle::give(error.into());
        }
    }
    taken
}

fn stream_record(tag: u64, observed: Observed) -> krpc_event {
    let event = observed.into_event();
    krpc_event {
        status: event.failure().map_or(0, |code| code as i32),
        sequence: event.sequence,
        record: handle::give(event.into()),
        ..krpc_event::of(krpc_event_kind::KRPC_EVENT_KIND_STREAM_RECORD, tag)
    }
}

/// A queue.
///
/// `capacity`: events that can be reserved and waiting together, 1 to 1,048,576. A call reserves its place
/// when it starts, so that its completion never waits for room.
/// Returns an owned queue, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_new(capacity: usize, error: *mut *mut krpc_error) -> *mut krpc_queue {
    guard_new(error, || match capacity {
        1..=crate::op::queue::MAX_CAPACITY => Ok(handle::give(WatchedQueue::new(capacity))),
        _ => Err(Error::invalid_argument("capacity", format_args!("{capacity} is not within 1 and 1048576"))),
    })
}

/// A descriptor that is readable while there is something to take, for poll, epoll, asyncio, libuv: level-
/// or edge-triggered. It belongs to the queue: do not read, write or close it. A take that empties the queue
/// makes it silent; it stays readable while events are left, and rings once for a burst. So a host that
/// watches it edge-triggered takes until fewer events come than it had room for.
///
/// `fd`: receives the descriptor, -1 on an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, OUT_OF_RESOURCES. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_fd(
    queue: *const krpc_queue,
    fd: *mut i32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(fd, -1);
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        put(fd, unsafe { handle::get(queue, "queue")? }.descriptor()?);
        Ok(())
    })
}

/// Takes events, in the order in which they came.
///
/// `events`: receives up to `capacity` events of `event_size` bytes each, `sizeof(krpc_event)`.
/// `timeout_ms`: how long to wait for the first; 0 looks without waiting, `KRPC_FOREVER` waits as long as
/// it takes. `count`: receives how many came, 0 if the time was up.
/// After a shutdown, when everything was taken, the last event is `KRPC_EVENT_KIND_QUEUE_END`; every
/// further take gives it again, at once.
///
/// Thread: any thread; with a timeout, any that may block. Errors: INVALID_ARGUMENT, WOULD_DEADLOCK.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_take(
    queue: *const krpc_queue,
    events: *mut krpc_event,
    event_size: usize,
    capacity: usize,
    timeout_ms: i64,
    count: *mut usize,
) -> krpc_status {
    put(count, 0);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let fed = unsafe { handle::get(queue, "queue")? };
        check_events(events, event_size, capacity)?;
        if timeout_ms != 0 {
            may_block()?;
        }
        let mut taken = Vec::new();
        let end = fed.queue().take(&mut taken, capacity, wait_time(timeout_ms)?).end;
        let all = taken.into_iter().map(krpc_event::from).chain(end.then_some(krpc_event::END));
        // SAFETY: checked above, and the host vouches for `capacity` events of `event_size` bytes.
        let written = all.enumerate().map(|(index, event)| unsafe {
            write_item(item_at(events, event_size, index), event_size, fitting(event, event_size))
        });
        put(count, written.count());
        Ok(())
    })
}

/// Releases what an event carries and sets its pointers to NULL. NULL is fine. A request, question
/// or stream that was not answered is answered by that.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_event_release(event: *mut krpc_event) {
    guard_or((), || {
        if !event.is_null() {
            // SAFETY: not NULL; the host vouches for an event that it took or cleared.
            drop(unsafe { release(event) });
        }
    });
}

/// Releases many events with one call.
///
/// `events`: `count` events of `event_size` bytes each.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_event_release_many(events: *mut krpc_event, event_size: usize, count: usize) {
    guard_or((), || {
        if check_events(events, event_size, count).is_ok() {
            let mut spent = Spent::with_capacity(count);
            // SAFETY: checked above, and the host vouches for `count` events of `event_size` bytes.
            let replies =
                (0..count).filter_map(|index| unsafe { release(item_at(events, event_size, index)) });
            replies.for_each(|reply| leave(reply, &mut spent));
        }
    });
}

/// Asks the operations with this tag to end: they are delivered as CANCELLED, or with their real result if
/// that came first. Returns how many were asked.
///
/// Thread: any thread. Errors: none; 0 if `queue` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_cancel(queue: *const krpc_queue, tag: u64) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(queue, "queue") }.map_or(0, |fed| fed.queue().cancel_tag(tag)))
}

/// Ends a queue: nothing new is accepted, operations under way end as CLOSED or with their real result,
/// what is there can still be taken, and then comes `KRPC_EVENT_KIND_QUEUE_END`. Calling it again does
/// nothing.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_shutdown(queue: *const krpc_queue) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        unsafe { handle::get(queue, "queue")? }.queue().close();
        Ok(())
    })
}

/// What a queue has seen until now. Sized struct: start from `KRPC_QUEUE_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_queue_stats {
    /// `sizeof(krpc_queue_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Places promised to operations under way.
    pub reserved: u64,
    /// Events waiting to be taken.
    pub queued: u64,
    /// Most events that ever waited at once.
    pub max_depth: u64,
    /// Times that something found no room.
    pub full: u64,
    /// Events dropped because their operation was freed.
    pub stale: u64,
    /// Times that the descriptor was made readable.
    pub wakes: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_queue_stats {}

/// Reads the counters of a queue.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_read_stats(
    queue: *const krpc_queue,
    stats: *mut krpc_queue_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let seen = unsafe { handle::get(queue, "queue")? }.queue().stats();
        let filled = krpc_queue_stats {
            struct_size: 0,
            reserved: seen.reserved as u64,
            queued: seen.queued as u64,
            max_depth: seen.max_depth as u64,
            full: seen.full,
            stale: seen.stale,
            wakes: seen.rings,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}

/// Frees a queue. NULL is fine. What was not taken is released; operations under way end as CLOSED, unseen.
///
/// Thread: any thread, once; not while another thread takes from it. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_queue_free(queue: *mut krpc_queue) {
    guard_or((), || {
        // SAFETY: the host vouches for the handle.
        if let Ok(fed) = unsafe { handle::get(queue, "queue") } {
            fed.abandon();
        }
        // SAFETY: as above.
        unsafe { handle::free(queue) };
    });
}

pub(super) fn queue_error(error: QueueError) -> Error {
    match error {
        QueueError::Full => Error::new(Code::QueueFull, error.to_string()),
        QueueError::Closed => Error::new(Code::Closed, error.to_string()),
    }
}

/// Releases what an event carries but for the reply, which is for the caller to drop or leave. What came later than
/// the first version is only looked at where the kind says that it is there: an older host has no room for it.
unsafe fn release(event: *mut krpc_event) -> Option<Box<Slot<Ended>>> {
    // SAFETY: the caller vouches for the pointers, of which NULL is fine.
    unsafe {
        let kind = (*event).kind;
        if kind > krpc_event_kind::KRPC_EVENT_KIND_CALL as i32 {
            handle::free((&raw mut (*event).request).replace(std::ptr::null_mut()));
            handle::free((&raw mut (*event).decision).replace(std::ptr::null_mut()));
            handle::free((&raw mut (*event).stream).replace(std::ptr::null_mut()));
            handle::free((&raw mut (*event).message).replace(std::ptr::null_mut()));
            handle::free((&raw mut (*event).error).replace(std::ptr::null_mut()));
        }
        if kind == krpc_event_kind::KRPC_EVENT_KIND_STREAM_RECORD as i32 {
            handle::free((&raw mut (*event).record).replace(std::ptr::null_mut()));
        }
        handle::take_back((&raw mut (*event).reply).replace(std::ptr::null_mut()))
    }
}

/// An event as a host with so much room gets it. One that is older than records gets what it knows, and can release:
/// the end of an operation whose reply is gone.
fn fitting(event: krpc_event, event_size: usize) -> krpc_event {
    if event_size >= size_of::<krpc_event>() || event.record.is_null() {
        return event;
    }
    // SAFETY: made a moment ago, and nobody has seen it.
    unsafe { handle::free(event.record) };
    krpc_event {
        kind: krpc_event_kind::KRPC_EVENT_KIND_STREAM_CALL as i32,
        record: std::ptr::null_mut(),
        ..event
    }
}

fn check_events(events: *mut krpc_event, event_size: usize, count: usize) -> Result<()> {
    check_item_size::<krpc_event>(event_size, "event_size")?;
    match (events.is_null(), count) {
        (_, 0) => Err(Error::invalid_argument("capacity", "is 0")),
        (true, _) => Err(Error::invalid_argument("events", "is NULL")),
        _ => Ok(()),
    }
}
