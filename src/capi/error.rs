//! `krpc_error`: a failure with all that is known about it. Views live as long as the error.

use crate::base::{Code, Error, Message, Phase};
use crate::capi::guard::{guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::json::{give_json, json_options, krpc_json_options};
use crate::capi::message::krpc_message;
use crate::capi::method::krpc_method;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;

/// A failure: status, text, phase, peer, method, and what the peer said. Immutable.
///
/// Owned by whoever received it through an `error` output; borrowed when it comes from a reply or from
/// another error. Free an owned one with `krpc_error_free`.
pub struct krpc_error {
    _opaque: [u8; 0],
}

impl Opaque for krpc_error {
    type Inner = Failure;
    const KIND: Kind = Kind::Error;
}

/// Where in a call's life it failed.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_phase {
    /// Not tied to a phase of a call.
    KRPC_PHASE_NONE = 0,
    /// Finding an address.
    KRPC_PHASE_RESOLVE = 1,
    /// Getting a connection.
    KRPC_PHASE_CONNECT = 2,
    /// Encoding or writing the request.
    KRPC_PHASE_SEND = 3,
    /// Waiting for the reply.
    KRPC_PHASE_WAIT = 4,
    /// Decoding what arrived.
    KRPC_PHASE_DECODE = 5,
    /// In a handler.
    KRPC_PHASE_HANDLER = 6,
}

/// The core's error, with the parts that C borrows as handles.
pub(super) struct Failure {
    error: Error,
    description: String,
    exception: Option<(i16, Slot<Message>)>,
    cause: Option<Box<Slot<Failure>>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exception = error
            .declared_exception()
            .map(|(field, message)| (field, Slot::borrowed::<krpc_message>(message.clone())));
        let cause =
            error.cause().map(|cause| Box::new(Slot::borrowed::<krpc_error>(Failure::from(cause.clone()))));
        Failure { description: error.to_string(), exception, cause, error }
    }
}

/// The status. `KRPC_OK` if `error` is NULL; FORKED if it is from before a fork.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_status(error: *const krpc_error) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_status::KRPC_STATUS_INTERNAL, || match unsafe { handle::get(error, "error") } {
        Ok(failure) => krpc_status::from(failure.error.code()),
        Err(forked) if forked.code() == Code::Forked => krpc_status::KRPC_STATUS_FORKED,
        Err(_) => krpc_status::KRPC_OK,
    })
}

/// One line with everything: status name, text, method, peer, phase, and the causes. For logs.
/// Borrowed from `error`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_describe(error: *const krpc_error) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(error, |failure| Some(&failure.description)) })
}

/// What failed, without context. Borrowed from `error`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_text(error: *const krpc_error) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(error, |failure| Some(failure.error.text())) })
}

/// Where in the call's life it failed.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_phase(error: *const krpc_error) -> krpc_phase {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_phase::KRPC_PHASE_NONE, || match unsafe { failure(error) }.map(|f| f.error.phase()) {
        None | Some(Phase::None) => krpc_phase::KRPC_PHASE_NONE,
        Some(Phase::Resolve) => krpc_phase::KRPC_PHASE_RESOLVE,
        Some(Phase::Connect) => krpc_phase::KRPC_PHASE_CONNECT,
        Some(Phase::Send) => krpc_phase::KRPC_PHASE_SEND,
        Some(Phase::Wait) => krpc_phase::KRPC_PHASE_WAIT,
        Some(Phase::Decode) => krpc_phase::KRPC_PHASE_DECODE,
        Some(Phase::Handler) => krpc_phase::KRPC_PHASE_HANDLER,
    })
}

/// The peer's address, e.g. "127.0.0.1:8888". Borrowed from `error`; empty if no peer was involved.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_peer(error: *const krpc_error) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(error, |failure| failure.error.peer()) })
}

/// The call's method, e.g. "Chat/Say". Borrowed from `error`; empty if no call was involved.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_method(error: *const krpc_error) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(error, |failure| failure.error.method()) })
}

/// Whether the same call may be sent again without risk of running twice.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_retryable(error: *const krpc_error) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { failure(error) }.is_some_and(|failure| failure.error.retryable()))
}

/// The application exception that the peer sent, if that is what failed the call.
///
/// `type_id` (optional): TApplicationException type, e.g. 1 unknown method, 6 internal error, 20
/// unknown service. `text` (optional): the peer's words, unchanged; borrowed from `error`.
/// Returns false, and sets 0 and empty, if there is none.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_remote_exception(
    error: *const krpc_error,
    type_id: *mut i32,
    text: *mut krpc_str,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let remote = unsafe { failure(error) }.and_then(|failure| failure.error.remote_exception());
        put(type_id, remote.map_or(0, |remote| remote.type_id));
        put(text, remote.map_or(krpc_str::EMPTY, |remote| krpc_str::of(&remote.text)));
        remote.is_some()
    })
}

/// The business status that the peer sent, if that is what failed the call.
///
/// `code` (optional): the status, never 0. `message` (optional): borrowed from `error`, may be empty.
/// Returns false, and sets 0 and empty, if there is none.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_biz_status(
    error: *const krpc_error,
    code: *mut i32,
    message: *mut krpc_str,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let biz = unsafe { failure(error) }.and_then(|failure| failure.error.biz_status());
        put(code, biz.map_or(0, |biz| biz.code));
        put(message, biz.map_or(krpc_str::EMPTY, |biz| krpc_str::of(&biz.message)));
        biz.is_some()
    })
}

/// Why a stream ended, in the numbers that peers exchange, if that is what failed.
///
/// `code` (optional): e.g. 12001 the handler failed, 12006 the connection was lost, 12007 cancelled, 12014 no
/// message came in time, 12015 the stream did not end in time; peers may have numbers of their own. `text`
/// (optional): the words of whoever ended it, unchanged. `path` (optional): the services that a cancel has come
/// through, joined by commas, empty at its first hop. Both are borrowed from `error`.
/// Returns false, and sets 0 and empty, if there is none.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_stream_reason(
    error: *const krpc_error,
    code: *mut i32,
    text: *mut krpc_str,
    path: *mut krpc_str,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let reason = unsafe { failure(error) }.and_then(|failure| failure.error.stream_reason());
        put(code, reason.map_or(0, |reason| reason.code));
        put(text, reason.map_or(krpc_str::EMPTY, |reason| krpc_str::of(&reason.text)));
        put(path, reason.map_or(krpc_str::EMPTY, |reason| krpc_str::of(&reason.path)));
        reason.is_some()
    })
}

/// Number of extra pairs beside a business status.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_biz_extra_count(error: *const krpc_error) -> usize {
    guard_or(0, || {
        // SAFETY: the host vouches for the handle.
        let biz = unsafe { failure(error) }.and_then(|failure| failure.error.biz_status());
        biz.map_or(0, |biz| biz.extra.len())
    })
}

/// One extra pair beside a business status, 0 ≤ `index` < `krpc_error_biz_extra_count`.
///
/// `key` and `value` (both optional): borrowed from `error`. Returns false, and sets both empty, if
/// there is no such pair.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_biz_extra_at(
    error: *const krpc_error,
    index: usize,
    key: *mut krpc_str,
    value: *mut krpc_str,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let biz = unsafe { failure(error) }.and_then(|failure| failure.error.biz_status());
        let pair = biz.and_then(|biz| biz.extra.get(index));
        put(key, pair.map_or(krpc_str::EMPTY, |(key, _)| krpc_str::of(key)));
        put(value, pair.map_or(krpc_str::EMPTY, |(_, value)| krpc_str::of(value)));
        pair.is_some()
    })
}

/// The exception declared in the IDL that the peer threw, if that is what failed the call.
///
/// `field_id` (optional): its field in the result struct. `exception` (optional): its own struct,
/// borrowed from `error`. Returns false, and sets 0 and NULL, if there is none.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_declared_exception(
    error: *const krpc_error,
    field_id: *mut i16,
    exception: *mut *const krpc_message,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let declared = unsafe { failure(error) }.and_then(|failure| failure.exception.as_ref());
        put(field_id, declared.map_or(0, |(field, _)| *field));
        put(exception, declared.map_or(std::ptr::null(), |(_, message)| message.as_handle()));
        declared.is_some()
    })
}

/// The exception declared in the IDL that the peer threw, as JSON.
///
/// `method`: what was called, made from an IDL. `options`: NULL for the defaults. `name` (optional): its
/// name in the method's `throws`, borrowed from `method`; empty on failure. `failure`: as in any function.
/// Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and a failure.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, also if `error` is no declared exception; INVALID_STATE if
/// `method` was not made from an IDL; UNKNOWN_FIELD if it does not throw this; MALFORMED, TYPE_MISMATCH,
/// MISSING_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_exception_to_json(
    error: *const krpc_error,
    method: *const krpc_method,
    options: *const krpc_json_options,
    name: *mut krpc_str,
    failure: *mut *mut krpc_error,
) -> *mut krpc_message {
    put(name, krpc_str::EMPTY);
    guard_new(failure, || {
        // SAFETY: the host vouches for handles and struct.
        let (error, method, options) =
            unsafe { (handle::get(error, "error")?, handle::get(method, "method")?, json_options(options)?) };
        let declared = error.error.declared_exception();
        let (field, exception) =
            declared.ok_or_else(|| Error::invalid_argument("error", "is not a declared exception"))?;
        let (known, json) = method.shape()?.exception_to_json(field, exception, &options)?;
        put(name, krpc_str::of(known.as_bytes()));
        Ok(give_json(json))
    })
}

/// The error that led to this one, or NULL. Borrowed from `error`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_cause(error: *const krpc_error) -> *const krpc_error {
    guard_or(std::ptr::null(), || {
        // SAFETY: the host vouches for the handle.
        let cause = unsafe { failure(error) }.and_then(|failure| failure.cause.as_deref());
        cause.map_or(std::ptr::null(), Slot::as_handle)
    })
}

/// Frees an error that you own. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_error_free(error: *mut krpc_error) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(error) });
}

unsafe fn failure<'a>(error: *const krpc_error) -> Option<&'a Failure> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(error, "error") }.ok()
}

unsafe fn text<'a>(error: *const krpc_error, field: impl FnOnce(&'a Failure) -> Option<&'a str>) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    let text = unsafe { failure(error) }.and_then(field);
    text.map_or(krpc_str::EMPTY, |text| krpc_str::of(text.as_bytes()))
}
