//! `krpc_stream_hook`: one question to an interceptor of streams. Lent to its function, for that call.

use std::ffi::c_void;
use std::sync::Arc;

use crate::base::{Error, Message, Metainfo, MetainfoKind, Result, StreamSide};
use crate::capi::error::{Failure, krpc_error};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::message::krpc_message;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::stream::{HookCall, HostState, StreamInfo};

/// One question to an interceptor of streams: what it is about, and what may be said to it. Borrowed for the call;
/// everything that is borrowed from it too.
///
/// From the functions of a `krpc_stream_interceptor`.
pub struct krpc_stream_hook {
    _opaque: [u8; 0],
}

impl Opaque for krpc_stream_hook {
    type Inner = Hooked;
    const KIND: Kind = Kind::StreamHook;
}

/// A question of the core's, with the parts that C borrows as handles.
pub(super) struct Hooked {
    pub(super) call: HookCall,
    info: StreamInfo,
    state: Arc<HostState>,
    message: Option<Slot<Message>>,
    metainfo: Slot<Metainfo>,
    error: Option<Slot<Failure>>,
}

impl Hooked {
    pub(super) fn new(call: HookCall, info: &StreamInfo, state: &Arc<HostState>) -> Hooked {
        Hooked {
            call,
            info: info.clone(),
            state: Arc::clone(state),
            message: None,
            metainfo: Slot::borrowed::<krpc_metainfo>(Metainfo::new()),
            error: None,
        }
    }

    pub(super) fn with_message(self, message: Message) -> Hooked {
        Hooked { message: Some(Slot::borrowed::<krpc_message>(message)), ..self }
    }

    pub(super) fn with_metainfo(self, metainfo: Metainfo) -> Hooked {
        Hooked { metainfo: Slot::borrowed::<krpc_metainfo>(metainfo), ..self }
    }

    pub(super) fn with_error(self, error: Option<&Error>) -> Hooked {
        let error = error.map(|error| Slot::borrowed::<krpc_error>(error.clone().into()));
        Hooked { error, ..self }
    }
}

/// The service's name; at a client as in its method, which may be empty. Borrowed from `hook`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_service(hook: *const krpc_stream_hook) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(hook, |info| &info.service) })
}

/// The method's name. Borrowed from `hook`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_method(hook: *const krpc_stream_hook) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(hook, |info| &info.method) })
}

/// The peer's address; empty at a client's opening, which has none yet. Borrowed from `hook`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_peer(hook: *const krpc_stream_hook) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(hook, |info| info.peer.as_bytes()) })
}

/// Which stream: a number that no other of this process has, the one in its events.
///
/// Thread: callback only. Errors: none; 0 if `hook` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_stream(hook: *const krpc_stream_hook) -> u64 {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { get(hook) }.map_or(0, |hooked| hooked.info.number))
}

/// Whether it is a server's end.
///
/// Thread: callback only. Errors: none; false if `hook` is NULL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_is_server(hook: *const krpc_stream_hook) -> bool {
    // SAFETY: the host vouches for the handle.
    guard_or(false, || unsafe { get(hook) }.is_ok_and(|hooked| hooked.info.side == StreamSide::Server))
}

/// What the interceptor keeps for this stream, NULL until it was set. It stays owned by the caller, who gave it; the
/// library never looks behind it.
///
/// Thread: callback only. Errors: none; NULL if `hook` is. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_state(hook: *const krpc_stream_hook) -> *mut c_void {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { get(hook) } {
        Ok(hooked) => hooked.state.get().cast(),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Keeps something for this stream, for this interceptor's later calls. Give it back in `end`, which comes once for
/// each stream that `open` has let pass.
///
/// `state`: lent until `end` has returned.
///
/// Thread: callback only. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_set_state(
    hook: *const krpc_stream_hook,
    state: *mut c_void,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        unsafe { get(hook)? }.state.set(state.cast());
        Ok(())
    })
}

/// SEND and RECV: the message on its way. META: what the frame carries, as `KRPC_ENCODING_RAW`. Else NULL. Borrowed
/// from `hook`; keep it longer with `krpc_message_retain`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_message(hook: *const krpc_stream_hook) -> *const krpc_message {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { get(hook) } {
        Ok(Hooked { message: Some(message), .. }) => message.as_handle(),
        _ => std::ptr::null(),
    })
}

/// OPEN: the pairs that leave with a client's opening, those that came with a server's. META: the frame's pairs.
/// FINISH: those of the trailer so far. Else empty; NULL only if `hook` is. Borrowed from `hook`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_metainfo(hook: *const krpc_stream_hook) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { get(hook) } {
        Ok(hooked) => hooked.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// FINISH: what the client is about to see, NULL if the handler has ended well. END: why the stream has ended, NULL
/// if all was well. Else NULL. Borrowed from `hook`.
///
/// Thread: callback only. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_error(hook: *const krpc_stream_hook) -> *const krpc_error {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { get(hook) } {
        Ok(Hooked { error: Some(error), .. }) => error.as_handle(),
        _ => std::ptr::null(),
    })
}

/// SEND and RECV: lets another message take the place of the one on its way. The last one counts.
///
/// `message`: borrowed for the call; its bytes are shared.
///
/// Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE where no message is on its way. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_replace(
    hook: *const krpc_stream_hook,
    message: *const krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handles.
        let (hooked, message) = unsafe { (get(hook)?, handle::get(message, "message")?) };
        hooked.call.replace(message.clone())
    })
}

/// Adds a pair. OPEN at a client: TRANSIENT or PERSISTENT, which leaves with the opening. OPEN at a server:
/// BACKWARD, for its header. FINISH: BACKWARD, for the trailer. Pairs that fit into no frame end the stream.
///
/// `kind`: a `krpc_metainfo_kind`. `key`: not empty. `value`: may be empty. Both are copied.
///
/// Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE where no pairs leave. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_set_metainfo(
    hook: *const krpc_stream_hook,
    kind: i32,
    key: krpc_str,
    value: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handle and views.
        let (hooked, key, value) = unsafe { (get(hook)?, key.copy("key")?, value.copy("value")?) };
        let kind = MetainfoKind::from_number(kind).ok_or_else(|| {
            Error::invalid_argument("kind", format_args!("{kind} is no krpc_metainfo_kind"))
        })?;
        if key.is_empty() {
            return Err(Error::invalid_argument("key", "is empty: receivers would ignore the pair"));
        }
        hooked.call.set(kind, key, value)
    })
}

/// Ends the stream; of a META frame too. What was asked fails as CANCELLED, as does everything that is asked of the
/// stream afterwards. The peer is told: a server by a cancel with this number, a client by an exception of this
/// type. At FINISH only what the client sees changes.
///
/// `code`: 0 for 12007 at a client, 6 at a server; `krpc_error_stream_reason` shows it. `text`: for the peer,
/// copied.
///
/// Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE at END. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_hook_reject(
    hook: *const krpc_stream_hook,
    code: i32,
    text: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for handle and view.
    guard(error, || unsafe { get(hook)?.call.reject(code, text.copy("text")?) })
}

unsafe fn get<'a>(hook: *const krpc_stream_hook) -> Result<&'a Hooked> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(hook, "hook") }
}

unsafe fn text<'a>(
    hook: *const krpc_stream_hook,
    field: impl FnOnce(&'a StreamInfo) -> &'a [u8],
) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    unsafe { get(hook) }.map_or(krpc_str::EMPTY, |hooked| krpc_str::of(field(&hooked.info)))
}
