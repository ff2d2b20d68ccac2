//! `krpc_stream_interceptor`: functions of the host's that stand around streams.

use std::ffi::c_void;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Encoding, Error, Message, Metainfo, MetainfoKind, Result};
use crate::capi::client_options::{self, krpc_client_options};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::guard;
use crate::capi::handle::{self, Slot};
use crate::capi::server_options::{self, krpc_server_options};
use crate::capi::service::krpc_service;
use crate::capi::status::krpc_status;
use crate::capi::stream_hook::{Hooked, krpc_stream_hook};
use crate::capi::types::{SizedStruct, read_known};
use crate::rpc::stream::{
    Finishing, HookCall, HookMoment, HostState, Pairs, StreamHook, StreamInfo, StreamInterceptor,
    StreamOpening,
};

/// Looks at one question about a stream, and may say something to it: `krpc_stream_hook_replace`, `_set_metainfo`,
/// `_reject`.
///
/// Runs where it happens, which may be an I/O thread, and must not block: one that takes more than 10 ms there is
/// reported in the log. Calls for different streams may run at once; for one stream a `send` and a `recv`, never
/// two of a kind. No lock of the library is held. It must not throw or longjmp.
pub type krpc_stream_hook_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, hook: *const krpc_stream_hook)>;

/// Functions that stand around streams, each optional; those around calls are apart (ttstream.md §9.3). Of several
/// interceptors the first that was added is the outermost: it sees openings and messages to send first, and messages
/// received and ends last. Sized struct: start from `KRPC_STREAM_INTERCEPTOR_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_stream_interceptor {
    /// `sizeof(krpc_stream_interceptor)` as the caller was compiled.
    pub struct_size: usize,
    /// OPEN: a client's stream before a connection is asked for, a server's before its handler.
    pub open: krpc_stream_hook_fn,
    /// SEND: each message on its way out.
    pub send: krpc_stream_hook_fn,
    /// RECV: each message that the host is about to get; also the one in `krpc_stream_request`.
    pub recv: krpc_stream_hook_fn,
    /// META: a frame that a proxy has put in, at a client.
    pub meta: krpc_stream_hook_fn,
    /// FINISH: a server's handler has ended, and its trailer is about to leave.
    pub finish: krpc_stream_hook_fn,
    /// END: the stream is over. Once for each stream that `open` has let pass, also if its opening failed later.
    pub end: krpc_stream_hook_fn,
    /// Given to all of them.
    pub user_data: *mut c_void,
    /// Called once with `user_data` when nothing will use it any more; also if the function fails. Optional.
    pub destroy: krpc_destroy_fn,
}

impl Default for krpc_stream_interceptor {
    fn default() -> krpc_stream_interceptor {
        krpc_stream_interceptor {
            struct_size: 0,
            open: None,
            send: None,
            recv: None,
            meta: None,
            finish: None,
            end: None,
            user_data: std::ptr::null_mut(),
            destroy: None,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; pointers that are checked before use.
unsafe impl SizedStruct for krpc_stream_interceptor {}

/// Adds an interceptor of the client's streams, inside those that were added before.
///
/// `interceptor`: copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_add_stream_interceptor(
    options: *mut krpc_client_options,
    interceptor: *const krpc_stream_interceptor,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for a struct of the size that it says; `destroy` runs on every way out.
    let interceptor = unsafe { interceptor_of(interceptor) };
    client_options::change(options, error, |options| {
        options.stream_hooks.interceptors.push(interceptor?);
        Ok(())
    })
}

/// Adds an interceptor of the server's streams, inside those that were added before and around those of its
/// services. Streams that the access check or a limit refuses don't come to it.
///
/// `interceptor`: copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_add_stream_interceptor(
    options: *mut krpc_server_options,
    interceptor: *const krpc_stream_interceptor,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: as above.
    let interceptor = unsafe { interceptor_of(interceptor) };
    server_options::change(options, error, |options| {
        options.stream_hooks.interceptors.push(interceptor?);
        Ok(())
    })
}

/// Adds an interceptor of the service's streams, inside those that were added before and those of the server.
///
/// `interceptor`: copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_stream_interceptor(
    service: *mut krpc_service,
    interceptor: *const krpc_stream_interceptor,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: as above.
    let interceptor = unsafe { interceptor_of(interceptor) };
    guard(error, || {
        // SAFETY: the host vouches for the handle, and uses it from one thread at a time.
        unsafe { handle::get_mut(service, "service")? }.add_stream_interceptor(interceptor?);
        Ok(())
    })
}

unsafe fn interceptor_of(given: *const krpc_stream_interceptor) -> Result<Arc<dyn StreamInterceptor>> {
    if given.is_null() {
        return Err(Error::invalid_argument("interceptor", "is NULL"));
    }
    // SAFETY: the host vouches for a struct of the size that it says.
    let (functions, rest) = unsafe { read_known(given, "interceptor")? };
    // Before all else that may fail.
    let user_data = UserData::new(functions.user_data, functions.destroy);
    let all = [functions.open, functions.send, functions.recv, functions.meta, functions.finish];
    let has_some = all.iter().chain([&functions.end]).any(Option::is_some);
    rest?;
    match has_some {
        true => Ok(Arc::new(HostInterceptor(Arc::new(Host { functions, user_data })))),
        false => Err(Error::invalid_argument("interceptor", "has no function")),
    }
}

/// The host's functions with their state.
struct Host {
    functions: krpc_stream_interceptor,
    user_data: UserData,
}

// SAFETY: the functions may be called on any thread, as their documentation says; the only pointer besides is
// that of `user_data`, which says the same.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Asks, if the host has a function for it, and makes of it what was said.
    fn ask<T>(&self, function: krpc_stream_hook_fn, hooked: Hooked, then: impl FnOnce(&HookCall) -> T) -> T {
        let slot = Slot::borrowed::<krpc_stream_hook>(hooked);
        if let Some(function) = function {
            // SAFETY: the host's function, with what it gave beside it and a handle that outlives the call.
            unsafe { function(self.user_data.pointer(), slot.as_handle()) };
        }
        then(&slot.value().call)
    }
}

struct HostInterceptor(Arc<Host>);

impl StreamInterceptor for HostInterceptor {
    fn open(&self, opening: &mut StreamOpening<'_>) -> Result<Option<Box<dyn StreamHook>>> {
        let (host, state) = (Arc::clone(&self.0), Arc::new(HostState::default()));
        let call = HookCall::new(opening.info().side, HookMoment::Open);
        let hooked = Hooked::new(call, opening.info(), &state).with_metainfo(opening.metainfo().clone());
        host.ask(host.functions.open, hooked, |said| said.open(opening))?;
        Ok(Some(Box::new(HostHook { host, state })))
    }
}

/// The host's functions for one stream.
struct HostHook {
    host: Arc<Host>,
    state: Arc<HostState>,
}

impl HostHook {
    fn asked(&self, stream: &StreamInfo, moment: HookMoment) -> Hooked {
        Hooked::new(HookCall::new(stream.side, moment), stream, &self.state)
    }
}

impl StreamHook for HostHook {
    fn send(&self, stream: &StreamInfo, message: Message) -> Result<Message> {
        let Some(_) = self.host.functions.send else { return Ok(message) };
        let hooked = self.asked(stream, HookMoment::Send).with_message(message.clone());
        self.host.ask(self.host.functions.send, hooked, |said| said.message(message))
    }

    fn recv(&self, stream: &StreamInfo, message: Message) -> Result<Message> {
        let Some(_) = self.host.functions.recv else { return Ok(message) };
        let hooked = self.asked(stream, HookMoment::Recv).with_message(message.clone());
        self.host.ask(self.host.functions.recv, hooked, |said| said.message(message))
    }

    fn meta(&self, stream: &StreamInfo, pairs: &Pairs, content: &Bytes) -> Result<()> {
        let Some(_) = self.host.functions.meta else { return Ok(()) };
        let message = Message::new(Encoding::RAW, content.clone());
        let hooked = self.asked(stream, HookMoment::Meta).with_message(message);
        self.host.ask(self.host.functions.meta, hooked.with_metainfo(shown(pairs)), HookCall::verdict)
    }

    fn finish(&self, stream: &StreamInfo, finishing: &mut Finishing) {
        let Some(_) = self.host.functions.finish else { return };
        let hooked = self.asked(stream, HookMoment::Finish).with_error(finishing.error().as_ref());
        let hooked = hooked.with_metainfo(shown(finishing.trailer()));
        self.host.ask(self.host.functions.finish, hooked, |said| said.finish(finishing));
    }

    fn end(&self, stream: &StreamInfo, error: Option<&Error>) {
        let hooked = self.asked(stream, HookMoment::End).with_error(error);
        self.host.ask(self.host.functions.end, hooked, |_| ());
    }
}

fn shown(pairs: &Pairs) -> Metainfo {
    pairs.iter().map(|(key, value)| (MetainfoKind::Backward, key.clone(), value.clone())).collect()
}
