//! `krpc_stream_event`: what has happened on a stream, for whoever watches.

use std::ffi::c_void;
use std::sync::Arc;

use crate::base::{Error, Metainfo, Result, StreamSide};
use crate::capi::client_options::{self, krpc_client_options};
use crate::capi::error::{Failure, krpc_error};
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::queue::krpc_queue;
use crate::capi::server_options::{self, krpc_server_options};
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, read_known, write_sized};
use crate::observe::handles::Kind;
use crate::rpc::monotonic_ns;
use crate::rpc::stream::{StreamEvent, StreamEventKind, StreamEvents, StreamObserver};

/// What has happened on a stream (ttstream.md §9.5).
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_stream_event_kind {
    /// A client's stream has a connection, a server's is about to be handled.
    KRPC_STREAM_EVENT_KIND_START = 1,
    /// A message was sent: it is within the stream's budget. Or it could not be.
    KRPC_STREAM_EVENT_KIND_SEND = 2,
    /// A message was received, or a recv has failed. The end of messages is no such event.
    KRPC_STREAM_EVENT_KIND_RECV = 3,
    /// The stream is over. Messages that had arrived may still be received, and are events, afterwards. Of an
    /// opening that failed it is the only event.
    KRPC_STREAM_EVENT_KIND_END = 4,
    /// Client: the server's header has come.
    KRPC_STREAM_EVENT_KIND_HEADER = 5,
    /// Client: a META frame has come, from a proxy on the way.
    KRPC_STREAM_EVENT_KIND_META = 6,
}

/// Something that has happened on a stream. No latency: a send ends in a budget, a recv waits for the peer. Sized
/// struct: start from `KRPC_STREAM_EVENT_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_stream_event {
    /// `sizeof(krpc_stream_event)` as the caller was compiled; in a callback the library's.
    pub struct_size: usize,
    /// A `krpc_stream_event_kind`.
    pub kind: i32,
    /// `KRPC_OK`, or why a send, a recv or the stream has failed. OK also at the end with a business status,
    /// which is no failure of the RPC; `error` has it.
    pub status: i32,
    /// Which stream: a number that no other of this process has.
    pub stream: u64,
    /// How many events the stream had before, of all kinds: where one is missing, the observer did not want it or
    /// its queue was full.
    pub sequence: u64,
    /// SEND and RECV: how many messages went that way before.
    pub message: u64,
    /// SEND, RECV and META: bytes of the payload.
    pub bytes: u64,
    /// When, in nanoseconds of the system's monotonic clock (CLOCK_MONOTONIC).
    pub time_ns: i64,
    /// Messages that the stream has sent so far.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that it has received so far.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// The service's name; at a client as in its method, which may be empty.
    pub service: krpc_str,
    /// The method's name.
    pub method: krpc_str,
    /// The peer's address; empty if the stream never had one.
    pub peer: krpc_str,
    /// Why not, or NULL. Borrowed like the texts.
    pub error: *const krpc_error,
    /// HEADER, META, a client's END: the pairs of the frame, of kind BACKWARD; else empty.
    pub metainfo: *const krpc_metainfo,
    /// 1 at a server, 0 at a client.
    pub is_server: u32,
    /// 0.
    pub reserved: u32,
}

impl Default for krpc_stream_event {
    fn default() -> krpc_stream_event {
        krpc_stream_event {
            struct_size: 0,
            kind: 0,
            status: 0,
            stream: 0,
            sequence: 0,
            message: 0,
            bytes: 0,
            time_ns: 0,
            messages_sent: 0,
            bytes_sent: 0,
            messages_received: 0,
            bytes_received: 0,
            service: krpc_str::EMPTY,
            method: krpc_str::EMPTY,
            peer: krpc_str::EMPTY,
            error: std::ptr::null(),
            metainfo: std::ptr::null(),
            is_server: 0,
            reserved: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers, views and pointers.
unsafe impl SizedStruct for krpc_stream_event {}

/// Hears of an event. `event` and all that it shows are borrowed for the call.
///
/// Runs where it happens, often on an I/O thread, and must not block: one that takes more than 10 ms there is
/// reported in the log. Several calls may run at once, for one stream too where it sends while it receives. No
/// lock of the library is held; functions that don't block may be called. It must not throw or longjmp.
pub type krpc_stream_event_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const krpc_stream_event)>;

/// Who watches streams: a `callback`, a `queue`, or neither, where only the counters are wanted. Sized struct:
/// start from `KRPC_STREAM_OBSERVER_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_stream_observer {
    /// `sizeof(krpc_stream_observer)` as the caller was compiled.
    pub struct_size: usize,
    /// Called with `user_data` and an event; NULL for the other styles.
    pub callback: krpc_stream_event_fn,
    /// Given to `callback` and `destroy`.
    pub user_data: *mut c_void,
    /// Called once with `user_data` when nothing will use it any more; also if the function fails. Optional.
    pub destroy: krpc_destroy_fn,
    /// Receives records, see `KRPC_EVENT_KIND_STREAM_RECORD`; kept alive. They take half of its places at most;
    /// what finds none is dropped and counted. NULL for the other styles.
    pub queue: *mut krpc_queue,
    /// The host's word for them, in its events.
    pub tag: u64,
    /// 0 for all kinds, or a sum of `1 << krpc_stream_event_kind`.
    pub kinds: u32,
    /// Must be 0.
    pub reserved: u32,
}

impl Default for krpc_stream_observer {
    fn default() -> krpc_stream_observer {
        krpc_stream_observer {
            struct_size: 0,
            callback: None,
            user_data: std::ptr::null_mut(),
            destroy: None,
            queue: std::ptr::null_mut(),
            tag: 0,
            kinds: 0,
            reserved: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and pointers that are checked before use.
unsafe impl SizedStruct for krpc_stream_observer {}

/// An event of a stream on its way through a queue. Read it with `krpc_stream_record_read`, free it with
/// `krpc_stream_record_free`, or with its event.
pub struct krpc_stream_record {
    _opaque: [u8; 0],
}

impl Opaque for krpc_stream_record {
    type Inner = Shown;
    const KIND: Kind = Kind::StreamRecord;
}

/// An event, with the parts that C borrows as handles.
pub(super) struct Shown {
    event: StreamEvent,
    error: Option<Slot<Failure>>,
    metainfo: Slot<Metainfo>,
}

impl From<StreamEvent> for Shown {
    fn from(event: StreamEvent) -> Shown {
        let error = event.error.clone().map(|error| Slot::borrowed::<krpc_error>(error.into()));
        Shown { metainfo: Slot::borrowed::<krpc_metainfo>(event.pairs.clone()), error, event }
    }
}

impl Shown {
    /// What C sees, for as long as this stays where it is.
    fn view(&self) -> krpc_stream_event {
        let StreamEvent { kind, at, stream, sequence, message, bytes, totals, .. } = &self.event;
        krpc_stream_event {
            struct_size: size_of::<krpc_stream_event>(),
            kind: *kind as i32,
            status: self.event.failure().map_or(0, |code| code as i32),
            stream: stream.number,
            sequence: *sequence,
            message: *message,
            bytes: *bytes,
            time_ns: monotonic_ns(*at),
            messages_sent: totals.messages_sent,
            bytes_sent: totals.bytes_sent,
            messages_received: totals.messages_received,
            bytes_received: totals.bytes_received,
            service: krpc_str::of(&stream.service),
            method: krpc_str::of(&stream.method),
            peer: krpc_str::of(stream.peer.as_bytes()),
            error: self.error.as_ref().map_or(std::ptr::null(), Slot::as_handle),
            metainfo: self.metainfo.as_handle(),
            is_server: u32::from(stream.side == StreamSide::Server),
            reserved: 0,
        }
    }
}

/// Watches the client's streams: events, and counters for each method, see `krpc_client_stream_counters`. Replaces
/// the one set before.
///
/// `observer`: copied; its queue is kept alive.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_stream_observer(
    options: *mut krpc_client_options,
    observer: *const krpc_stream_observer,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for a struct of the size that it says; `destroy` runs on every way out.
    let observer = unsafe { observer_of(observer) };
    client_options::change(options, error, |options| {
        options.stream_hooks.observer = Some(observer?);
        Ok(())
    })
}

/// Watches the server's streams, as `krpc_client_options_set_stream_observer`. Streams that it refuses, because it
/// does not have their method or takes no more, are no events.
///
/// `observer`: copied; its queue is kept alive.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_stream_observer(
    options: *mut krpc_server_options,
    observer: *const krpc_stream_observer,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: as above.
    let observer = unsafe { observer_of(observer) };
    server_options::change(options, error, |options| {
        options.stream_hooks.observer = Some(observer?);
        Ok(())
    })
}

/// Reads a record.
///
/// `event`: its `struct_size` must be set; the fields that it has room for are filled in. Its texts and pointers are
/// borrowed from `record`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_record_read(
    record: *const krpc_stream_record,
    event: *mut krpc_stream_event,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let shown = unsafe { handle::get(record, "record")? };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(event, "event", shown.view()) }
    })
}

/// Frees a record. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_record_free(record: *mut krpc_stream_record) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(record) });
}

unsafe fn observer_of(observer: *const krpc_stream_observer) -> Result<Arc<StreamObserver>> {
    if observer.is_null() {
        return Err(Error::invalid_argument("observer", "is NULL"));
    }
    // SAFETY: the host vouches for a struct of the size that it says.
    let (given, rest) = unsafe { read_known(observer, "observer")? };
    // Before all else that may fail.
    let user_data = UserData::new(given.user_data, given.destroy);
    rest?;
    let all = StreamEventKind::ALL.iter().fold(0, |all, kind| all | kind.bit());
    match (given.kinds & !all, given.reserved) {
        (0, 0) => {}
        (0, _) => return Err(Error::invalid_argument("observer.reserved", "is not 0")),
        (_, _) => {
            let why = format_args!("{} has unknown bits", given.kinds);
            return Err(Error::invalid_argument("observer.kinds", why));
        }
    }
    let kinds = if given.kinds == 0 { all } else { given.kinds };
    // SAFETY: the host vouches for the handle.
    Ok(StreamObserver::new(kinds, unsafe { events_of(given, user_data)? }))
}

unsafe fn events_of(given: krpc_stream_observer, user_data: UserData) -> Result<StreamEvents> {
    match (given.callback, given.queue.is_null()) {
        (Some(_), false) => {
            Err(Error::invalid_argument("observer", "has both a callback and a queue; choose one"))
        }
        (Some(callback), true) => Ok(StreamEvents::Function(Box::new(move |event| {
            let shown = Shown::from(event.clone());
            let view = shown.view();
            // SAFETY: the host's function, with what it gave beside it and an event that outlives the call.
            unsafe { callback(user_data.pointer(), &raw const view) }
        }))),
        (None, false) => {
            // SAFETY: the host vouches for the handle.
            let queue = Arc::clone(unsafe { handle::get(given.queue, "observer.queue")? }.queue());
            Ok(StreamEvents::Queue { queue, tag: given.tag })
        }
        (None, true) => Ok(StreamEvents::Nowhere),
    }
}
