//! `krpc_request`: a call in the hands of a handler. Views live as long as the request.

use crate::base::{Biz, Error, Message, Metainfo, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::json::{give_json, json_options, krpc_json_options};
use crate::capi::message::krpc_message;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::method::slots;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::codec::Shape;
use crate::observe::handles::Kind;
use crate::rpc::server::{Credentials, Request};

/// A call to be answered exactly once: `krpc_request_reply`, `_throw`, `_fail_biz` or `_fail`, from any
/// thread, now or later. A second answer is INVALID_STATE; an answer whose caller has gone is GONE.
///
/// Free it with `krpc_request_free` after answering; freeing it unanswered tells the caller "handler
/// gave no answer".
pub struct krpc_request {
    _opaque: [u8; 0],
}

impl Opaque for krpc_request {
    type Inner = Asked;
    const KIND: Kind = Kind::Request;
}

/// The core's request, with the parts that C borrows as handles.
pub(super) struct Asked {
    request: Request,
    message: Slot<Message>,
    metainfo: Slot<Metainfo>,
    request_shape: Option<Slot<Shape>>,
    result_shape: Option<Slot<Shape>>,
}

impl Asked {
    pub(super) fn request(&self) -> &Request {
        &self.request
    }
}

impl From<Request> for Asked {
    fn from(request: Request) -> Asked {
        let message = Slot::borrowed::<krpc_message>(request.message().clone());
        let metainfo = Slot::borrowed::<krpc_metainfo>(request.metainfo().clone());
        let (request_shape, result_shape) = slots(request.shape());
        Asked { request, message, metainfo, request_shape, result_shape }
    }
}

/// The method's name, as the caller sent it. Borrowed from `request`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_method(request: *const krpc_request) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(request, Request::method) })
}

/// The name of the service that takes the call; for a catch-all as the caller sent it, which may be
/// empty. Borrowed from `request`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_service(request: *const krpc_request) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(request, Request::service) })
}

/// The name that the caller gives itself (`krpc_client_options_set_caller`), for logs; empty if it gives
/// none. Carried by TTHeader only. Borrowed from `request`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_caller(request: *const krpc_request) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(request, Request::caller) })
}

/// The caller's address, e.g. "127.0.0.1:40522", or "unix". Borrowed from `request`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_peer(request: *const krpc_request) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(request, |request| request.peer().as_bytes()) })
}

/// Who made a caller's connection through a unix socket. Sized struct: start from
/// `KRPC_PEER_CREDENTIALS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_peer_credentials {
    /// `sizeof(krpc_peer_credentials)` as the caller was compiled.
    pub struct_size: usize,
    /// The process that connected, as this process's namespace sees it; 0 if it does not. By the time of the
    /// request it may have ended, and its number may be another's: trust the user, log the process.
    pub pid: i32,
    /// Its effective user id when it connected.
    pub uid: u32,
    /// Its effective group id when it connected.
    pub gid: u32,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_peer_credentials {}

/// Reads which process and user made the caller's connection, as the system says.
///
/// `credentials`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; UNSUPPORTED unless the caller came through a unix socket.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_peer_credentials(
    request: *const krpc_request,
    credentials: *mut krpc_peer_credentials,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle.
        let Credentials { pid, uid, gid } = unsafe { asked(request)? }.request.peer_credentials()?;
        let filled = krpc_peer_credentials { struct_size: 0, pid, uid, gid };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(credentials, "credentials", filled) }
    })
}

/// Whether the caller waits for no answer. Answers to such a request are accepted and dropped.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_is_oneway(request: *const krpc_request) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { asked(request) }.is_ok_and(|asked| asked.request.is_oneway()))
}

/// How long the caller waits, in milliseconds, as it told with the request; 0 if it did not. Counted from
/// the caller's own start.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_caller_timeout_ms(request: *const krpc_request) -> i64 {
    guard_or(0, || {
        // SAFETY: the host vouches for the handle.
        let timeout = unsafe { asked(request) }.ok().and_then(|asked| asked.request.caller_timeout());
        timeout.map_or(0, |timeout| timeout.as_millis().min(i64::MAX as u128) as i64)
    })
}

/// Whether the caller has been seen to leave: the work can stop, nobody waits for the answer.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_is_abandoned(request: *const krpc_request) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { asked(request) }.is_ok_and(|asked| asked.request.is_abandoned()))
}

/// Whether the server is being stopped: an answer is still sent, but long work should end.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_is_stopping(request: *const krpc_request) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { asked(request) }.is_ok_and(|asked| asked.request.is_stopping()))
}

/// The *args* struct; NULL only if `request` is. Borrowed from `request`; keep it longer with
/// `krpc_message_retain`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_message(request: *const krpc_request) -> *const krpc_message {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { asked(request) } {
        Ok(asked) => asked.message.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// The shape of the arguments. Borrowed from `request`; NULL if its service was not made from an IDL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_shape(request: *const krpc_request) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { asked(request) } {
        Ok(Asked { request_shape: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// The shape of the result. Borrowed from `request`; NULL if its service was not made from an IDL, or the
/// method is oneway.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_result_shape(request: *const krpc_request) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { asked(request) } {
        Ok(Asked { result_shape: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// The arguments as JSON: the value of the only one, or an object with a member for each.
///
/// `options`: NULL for the defaults. Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and an error
/// with the place. If the arguments don't fit the IDL there is no need to answer: once the request is freed,
/// its caller gets an application exception of type 7 with the error's text.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service was not made from an IDL;
/// MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_to_json(
    request: *mut krpc_request,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for struct and handle, and uses it from one thread at a time.
        let (options, asked) = unsafe { (json_options(options)?, handle::get_mut(request, "request")?) };
        asked.request.to_json(&options).map(give_json)
    })
}

/// The pairs that came with the call, of kinds UPSTREAM and PERSISTENT; NULL only if `request` is. Pass
/// them as they are to calls that the handler makes: what must travel on does. Borrowed from `request`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_metainfo(request: *const krpc_request) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { asked(request) } {
        Ok(asked) => asked.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// Sends a pair back with the answer; replaces the value of a key set before. Carried by TTHeader only.
///
/// `key`, not empty, and `value`: copied.
///
/// Thread: one at a time, before the answer. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_set_backward(
    request: *mut krpc_request,
    key: krpc_str,
    value: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for the views.
        let (key, value) = unsafe { (key.copy("key")?, value.copy("value")?) };
        if key.is_empty() {
            return Err(Error::invalid_argument("key", "is empty"));
        }
        request.set_backward(key, value);
        Ok(())
    })
}

/// Answers with the *result* struct: field 0 is the return value; `void` is an empty struct.
///
/// `result`: borrowed for the call, its bytes are shared; NULL is an empty struct.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_reply(
    request: *mut krpc_request,
    result: *const krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| match result.is_null() {
        true => request.reply(Message::empty_struct()),
        // SAFETY: the host vouches for the handle.
        false => request.reply(unsafe { handle::get(result, "result")? }.clone()),
    })
}

/// Answers with a result in JSON. On an error that is not INVALID_STATE or GONE the request is still to be
/// answered.
///
/// `json`: the return value; `null` for void; UTF-8, borrowed for the call. `options`: NULL for the defaults.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE (also if the service was not made from an
/// IDL), GONE; MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_reply_json(
    request: *mut krpc_request,
    json: krpc_str,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for view and struct.
        let (json, options) = unsafe { (json.bytes("json")?, json_options(options)?) };
        request.reply_json(json, &options)
    })
}

/// Throws an exception declared in the IDL, in JSON. On an error that is not INVALID_STATE or GONE the
/// request is still to be answered.
///
/// `exception`: its name in `throws`, the name of its type, or its field id in digits. `json`: its value;
/// UTF-8, borrowed for the call. `options`: NULL for the defaults.
///
/// Thread: one at a time. Errors: as `krpc_request_reply_json`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_throw_json(
    request: *mut krpc_request,
    exception: krpc_str,
    json: krpc_str,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for views and struct.
        let (exception, json, options) =
            unsafe { (exception.text("exception")?, json.bytes("json")?, json_options(options)?) };
        request.throw_json(exception, json, &options)
    })
}

/// Answers many requests with their *result* structs, in one crossing.
///
/// `requests` and `results`: `count` each, as of `krpc_request_reply`; requests stay to be freed. `results`
/// may be NULL: empty structs for all. `statuses` (optional): receives how each answer went, `count` of
/// them. Returns how many were answered, 0 if an array is NULL.
///
/// Thread: one at a time. Errors: none but in `statuses`: INVALID_ARGUMENT, INVALID_STATE, GONE.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_reply_many(
    requests: *const *mut krpc_request,
    results: *const *const krpc_message,
    count: usize,
    statuses: *mut krpc_status,
) -> usize {
    guard_or(0, || {
        // SAFETY: the host vouches for `count` handles.
        let Ok(requests) = (unsafe { handle::slice(requests, count, "requests") }) else { return 0 };
        let answered = requests.iter().enumerate().filter(|(index, request)| {
            let result = match results.is_null() {
                true => std::ptr::null(),
                // SAFETY: not NULL, and the host vouches for `count` of them.
                false => unsafe { *results.add(*index) },
            };
            // SAFETY: the host vouches for the handles.
            let status = unsafe { krpc_request_reply(**request, result, std::ptr::null_mut()) };
            if !statuses.is_null() {
                // SAFETY: as above.
                put(unsafe { statuses.add(*index) }, status);
            }
            status == krpc_status::KRPC_OK
        });
        answered.count()
    })
}

/// Throws an exception declared in the IDL.
///
/// `field_id`: its field in the method's `throws` list, not 0. `exception`: its own struct; borrowed for
/// the call, its bytes are shared.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_throw(
    request: *mut krpc_request,
    field_id: i16,
    exception: *const krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for the handle.
        request.throw(field_id, unsafe { handle::get(exception, "exception")? }.clone())
    })
}

/// Answers with a business status: the RPC worked, the business said no. Carried by TTHeader only:
/// callers with another transport see an empty success.
///
/// `code`: not 0. `message`: text for people, may be empty, copied. `extra`: NULL, or pairs to go with
/// it; those of kind BACKWARD are taken, and copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_fail_biz(
    request: *mut krpc_request,
    code: i32,
    message: krpc_str,
    extra: *const krpc_metainfo,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for the view.
        let message = unsafe { message.copy("message")? };
        let extra = match extra.is_null() {
            true => Vec::new(),
            // SAFETY: the host vouches for the handle.
            false => unsafe { handle::get(extra, "extra")? }.backward(),
        };
        request.fail_biz(Biz { code, message, extra })
    })
}

/// Answers with an application exception, in the words of Kitex: type 6 says "biz error: text", others
/// "text [biz error]".
///
/// `type_id`: 6 for an internal error, 7 if the arguments cannot be read (which also ends the
/// connection), or a number of your own above 21. `text`: for the caller, copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_fail(
    request: *mut krpc_request,
    type_id: i32,
    text: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    answer(request, error, |request| {
        // SAFETY: the host vouches for the view.
        request.fail(type_id, unsafe { text.bytes("text")? })
    })
}

/// Frees a request and all that is borrowed from it. NULL is fine. If it was not answered, the caller
/// is told that the handler gave no answer.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_request_free(request: *mut krpc_request) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(request) });
}

pub(super) unsafe fn asked<'a>(request: *const krpc_request) -> Result<&'a Asked> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(request, "request") }
}

unsafe fn text<'a>(request: *const krpc_request, field: impl FnOnce(&'a Request) -> &'a [u8]) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    unsafe { asked(request) }.map_or(krpc_str::EMPTY, |asked| krpc_str::of(field(&asked.request)))
}

fn answer(
    request: *mut krpc_request,
    error: *mut *mut krpc_error,
    with: impl FnOnce(&mut Request) -> Result<()>,
) -> krpc_status {
    // SAFETY: the host vouches for the handle and uses it from one thread at a time.
    guard(error, || with(&mut unsafe { handle::get_mut(request, "request")? }.request))
}
