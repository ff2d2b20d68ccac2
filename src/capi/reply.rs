//! `krpc_reply`: how an operation ended, whatever the outcome. Views live as long as the reply.

use std::sync::Arc;

use crate::base::{Code, Error, Message, Metainfo};
use crate::capi::error::{Failure, krpc_error};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::message::krpc_message;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::status::krpc_status;
use crate::capi::stream::krpc_stream;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::observe::handles::Kind;
use crate::op::spent::Spent;
use crate::rpc::call::retry::AttemptEnd;
use crate::rpc::call::{AttemptFact, Facts, Reply, ReplyParts};
use crate::rpc::stream::Stream;

/// The end of a call: message, pairs sent back, facts, and an error unless all went well. Immutable. Operations
/// on streams end with one too.
///
/// Borrowed parts live as long as the reply. Free it with `krpc_reply_free`.
pub struct krpc_reply {
    _opaque: [u8; 0],
}

impl Opaque for krpc_reply {
    type Inner = Ended;
    const KIND: Kind = Kind::Reply;
}

/// The core's reply, with the parts that C borrows as handles.
#[repr(C)]
pub(super) struct Ended {
    /// Whether it may lie on a shelf. First, beside the slot's tag: who releases it reads nothing else.
    is_small: bool,
    status: krpc_status,
    message: Option<Slot<Message>>,
    /// Of a recv of many, those after the first.
    more: Box<[Slot<Message>]>,
    metainfo: Slot<Metainfo>,
    error: Option<Slot<Failure>>,
    peer: Option<Arc<str>>,
    facts: Facts,
    stream: Option<Stream>,
    attempts: Option<Box<[AttemptFact]>>,
}

impl Ended {
    pub(super) fn failed(error: Error) -> Ended {
        let status = error.code().into();
        Ended {
            is_small: false,
            status,
            error: Some(Slot::borrowed::<krpc_error>(error.into())),
            ..Ended::with_message(None)
        }
    }

    pub(super) fn with_message(message: Option<Message>) -> Ended {
        Ended {
            is_small: is_small(message.as_ref()),
            message: message.map(Slot::borrowed::<krpc_message>),
            ..Ended::with_metainfo(Metainfo::new())
        }
    }

    pub(super) fn with_messages(messages: Vec<Message>) -> Ended {
        let mut messages = messages.into_iter();
        let first = Ended::with_message(messages.next());
        Ended { more: messages.map(Slot::borrowed::<krpc_message>).collect(), ..first }
    }

    pub(super) fn with_stream(stream: Stream) -> Ended {
        let peer = Some(stream.peer().into());
        Ended { is_small: false, peer, stream: Some(stream), ..Ended::with_message(None) }
    }

    pub(super) fn with_metainfo(metainfo: Metainfo) -> Ended {
        Ended {
            is_small: metainfo.is_empty(),
            status: krpc_status::KRPC_OK,
            message: None,
            more: Box::default(),
            metainfo: Slot::borrowed::<krpc_metainfo>(metainfo),
            error: None,
            peer: None,
            facts: Facts::default(),
            stream: None,
            attempts: None,
        }
    }
}

/// Bytes of a reply that may wait on a shelf before its memory is free ([`Spent`]).
const SMALL_REPLY: usize = 4096;

fn is_small(message: Option<&Message>) -> bool {
    message.is_none_or(|message| message.len() <= SMALL_REPLY)
}

/// Leaves a reply that the host has finished with to a thread on turns, or drops a large one.
pub(super) fn leave(reply: Box<Slot<Ended>>, spent: &mut Spent) {
    let ended = reply.value();
    if ended.is_small {
        ended.message.iter().for_each(Slot::bury);
        ended.metainfo.bury();
        spent.push(reply);
    }
}

impl From<Reply> for Ended {
    fn from(reply: Reply) -> Ended {
        // Moved, not cloned: this is on the way of every call.
        let ReplyParts { message, metainfo, error, peer, facts, attempts } = reply.into_parts();
        Ended {
            is_small: error.is_none() && facts.reply_bytes <= SMALL_REPLY && is_small(message.as_ref()),
            status: error.as_ref().map_or(krpc_status::KRPC_OK, |error| error.code().into()),
            message: message.map(Slot::borrowed::<krpc_message>),
            more: Box::default(),
            metainfo: Slot::borrowed::<krpc_metainfo>(metainfo),
            error: error.map(|error| Slot::borrowed::<krpc_error>(error.into())),
            peer,
            facts,
            stream: None,
            attempts,
        }
    }
}

/// Facts about a call that has ended. Sized struct: set `struct_size` (or use `KRPC_FACTS_INIT`) before
/// passing it to `krpc_reply_facts`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_facts {
    /// `sizeof(krpc_facts)` as the caller was compiled.
    pub struct_size: usize,
    /// Bytes of the request on the wire, 0 if nothing was sent.
    pub request_bytes: u64,
    /// Bytes of the reply on the wire, 0 if none came.
    pub reply_bytes: u64,
    /// From the start of the call to its end, in microseconds.
    pub elapsed_us: u64,
    /// Connections tried, including addresses that could not be reached.
    pub attempts: u32,
    /// 1 if the call used a connection that an earlier call had left, else 0.
    pub reused_connection: u32,
}

/// How the operation ended. `KRPC_OK` if it went well; INVALID_ARGUMENT if `reply` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_status(reply: *const krpc_reply) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_status::KRPC_STATUS_INVALID_ARGUMENT, || match unsafe { handle::get(reply, "reply") } {
        Ok(ended) => ended.status,
        Err(error) => krpc_status::from(error.code()),
    })
}

/// The *result* struct of a call, or NULL if none came; a business error may come with one. Of a recv the
/// message, and NULL with status OK when the peer has said everything. Borrowed from `reply`; keep it longer with `krpc_message_retain`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_message(reply: *const krpc_reply) -> *const krpc_message {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(reply, "reply") } {
        Ok(Ended { message: Some(message), .. }) => message.as_handle(),
        _ => std::ptr::null(),
    })
}

/// How many messages the operation ended with: those of a recv of many; else 1, or 0 if there is none.
///
/// Thread: any thread. Errors: none; 0 if `reply` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_message_count(reply: *const krpc_reply) -> usize {
    guard_or(0, || {
        // SAFETY: the host vouches for the handle.
        let ended = unsafe { handle::get(reply, "reply") };
        ended.map_or(0, |ended| usize::from(ended.message.is_some()) + ended.more.len())
    })
}

/// A message, 0 ≤ `index` < `krpc_reply_message_count`, in the order in which they came; NULL beyond. The first is
/// that of `krpc_reply_message`. Borrowed from `reply`; keep it longer with `krpc_message_retain`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_message_at(
    reply: *const krpc_reply,
    index: usize,
) -> *const krpc_message {
    guard_or(std::ptr::null(), || {
        // SAFETY: the host vouches for the handle.
        let ended = unsafe { handle::get(reply, "reply") }.ok();
        let mut all = ended.into_iter().flat_map(|ended| ended.message.iter().chain(&ended.more));
        all.nth(index).map_or(std::ptr::null(), Slot::as_handle)
    })
}

/// The pairs that the handler sent back, those of a header or trailer that was waited for, of kind
/// `KRPC_METAINFO_KIND_BACKWARD`; NULL only if `reply` is.
/// Borrowed from `reply`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_metainfo(reply: *const krpc_reply) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(reply, "reply") } {
        Ok(ended) => ended.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// Why the call failed, or NULL if it went well. Borrowed from `reply`: do not free it.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_error(reply: *const krpc_reply) -> *const krpc_error {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(reply, "reply") } {
        Ok(Ended { error: Some(error), .. }) => error.as_handle(),
        _ => std::ptr::null(),
    })
}

/// The last address that was tried, e.g. "127.0.0.1:8888"; empty if none was. Borrowed from `reply`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_peer(reply: *const krpc_reply) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        let peer = unsafe { handle::get(reply, "reply") }.ok().and_then(|ended| ended.peer.as_deref());
        peer.map_or(krpc_str::EMPTY, |peer| krpc_str::of(peer.as_bytes()))
    })
}

/// The stream that `krpc_client_start_open_stream` opened, owned by the caller: for the first who asks. NULL
/// afterwards, after a failure and from replies of anything else. A stream that nobody takes is cancelled with
/// its reply.
///
/// Thread: one at a time. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_take_stream(reply: *mut krpc_reply) -> *mut krpc_stream {
    guard_or(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle and uses it from one thread at a time.
        let stream = unsafe { handle::get_mut(reply, "reply") }.ok().and_then(|ended| ended.stream.take());
        stream.map_or(std::ptr::null_mut(), |stream| handle::give(stream.into()))
    })
}

/// Sizes, times and attempts of a call; zeros of anything else.
///
/// `facts`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_facts(reply: *const krpc_reply, facts: *mut krpc_facts) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let known = unsafe { handle::get(reply, "reply")? }.facts;
        let filled = krpc_facts {
            struct_size: 0,
            request_bytes: known.request_bytes as u64,
            reply_bytes: known.reply_bytes as u64,
            elapsed_us: known.elapsed.as_micros() as u64,
            attempts: known.attempts,
            reused_connection: u32::from(known.reused_connection),
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(facts, "facts", filled) }
    })
}

/// One attempt of a call with a retry policy. Sized struct: start from `KRPC_ATTEMPT_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_attempt {
    /// `sizeof(krpc_attempt)` as the caller was compiled.
    pub struct_size: usize,
    /// Where it went; empty if it found no address. Borrowed from the reply.
    pub peer: krpc_str,
    /// From the start of the call to its own, in microseconds.
    pub begun_us: u64,
    /// How long it took, in microseconds; 0 of one that was under way when the call ended.
    pub took_us: u64,
    /// How it ended, a `krpc_status`: OK also for an answer that is a business error, CANCELLED if it was given up.
    pub status: i32,
    /// 1 if it was under way when the call ended, else 0.
    pub running: u32,
}

impl Default for krpc_attempt {
    fn default() -> krpc_attempt {
        krpc_attempt { struct_size: 0, peer: krpc_str::EMPTY, begun_us: 0, took_us: 0, status: 0, running: 0 }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and a view that is only written.
unsafe impl SizedStruct for krpc_attempt {}

/// How many attempts are known one by one: 0 for a call that took one, else their number.
///
/// Thread: any thread. Errors: none; 0 if `reply` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_attempt_count(reply: *const krpc_reply) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(reply, "reply") }.map_or(0, |ended| ended.attempts().len()))
}

/// One attempt, in the order of their starts.
///
/// `index`: below `krpc_reply_attempt_count`. `attempt`: its `struct_size` must be set; the fields that it has
/// room for are filled in, views are borrowed from `reply`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_attempt(
    reply: *const krpc_reply,
    index: usize,
    attempt: *mut krpc_attempt,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let attempts = unsafe { handle::get(reply, "reply")? }.attempts();
        let known = attempts.get(index).ok_or_else(|| {
            Error::invalid_argument("index", format_args!("{index} of {} attempts", attempts.len()))
        })?;
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(attempt, "attempt", krpc_attempt::of(known)) }
    })
}

impl Ended {
    fn attempts(&self) -> &[AttemptFact] {
        self.attempts.as_deref().unwrap_or_default()
    }
}

impl krpc_attempt {
    fn of(fact: &AttemptFact) -> krpc_attempt {
        krpc_attempt {
            struct_size: 0,
            peer: fact.peer.as_ref().map_or(krpc_str::EMPTY, |peer| krpc_str::of(peer.as_bytes())),
            begun_us: fact.begun.as_micros() as u64,
            took_us: fact.took.as_micros() as u64,
            status: match fact.end {
                None | Some(AttemptEnd::Ok | AttemptEnd::Biz | AttemptEnd::Declared) => 0,
                Some(AttemptEnd::TimedOut) => Code::Timeout as i32,
                Some(AttemptEnd::Failed(code)) => code as i32,
                Some(AttemptEnd::Dropped) => Code::Cancelled as i32,
            },
            running: u32::from(fact.end.is_none()),
        }
    }
}

/// Frees a reply and all that is borrowed from it. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reply_free(reply: *mut krpc_reply) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(reply) });
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_facts {}
