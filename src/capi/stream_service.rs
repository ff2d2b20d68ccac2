//! Streaming methods of a `krpc_service`.

use std::ffi::c_void;
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::guard;
use crate::capi::handle;
use crate::capi::idl::krpc_streaming;
use crate::capi::queue::krpc_queue;
use crate::capi::server_options::{self, krpc_server_options};
use crate::capi::service::{KRPC_METHOD_FLAG_INLINE, krpc_service};
use crate::capi::status::krpc_status;
use crate::capi::stream::krpc_stream;
use crate::capi::types::krpc_str;
use crate::rpc::stream::{Stream, StreamHandler, StreamMethodOptions, StreamMode, StreamQueueHandler};

/// Serves a stream. It owns `stream`: finish it once and free it, now or later, on this thread or another. Several
/// calls may run at once, with the same `user_data`.
///
/// Runs on a thread of the runtime's handler pool, where it may block for the whole stream; an inline handler runs
/// on the I/O thread, where it must not. It must not throw, longjmp or end the thread.
pub type krpc_stream_handler_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, stream: *mut krpc_stream)>;

/// Adds a method that streams. A name can be added once, as a stream or as a call; a service of an IDL takes the
/// IDL's streaming methods only.
///
/// `name`: as in the IDL; UTF-8, copied. `mode`: `KRPC_STREAMING_CLIENT`, `_SERVER` or `_BIDIRECTIONAL`, as in the
/// IDL. `flags`: 0 or `KRPC_METHOD_FLAG_INLINE`. `handler`: called for each stream with `user_data`; with
/// `KRPC_STREAMING_SERVER` once `krpc_stream_request` is there. `destroy` (optional): called once with `user_data`
/// after the last call of the handler has returned, also if this function fails.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_stream(
    service: *mut krpc_service,
    name: krpc_str,
    mode: i32,
    flags: u32,
    handler: krpc_stream_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    guard(error, || {
        let (handler, options) = (host_handler(handler, user_data)?, options_of(flags)?);
        // SAFETY: the host vouches for handle and view, and uses the handle from one thread at a time.
        let (service, name) = unsafe { (handle::get_mut(service, "service")?, name.text("name")?) };
        service.add_stream(name, mode_of(mode)?, options, handler)
    })
}

/// Adds a method whose streams go to a queue, as `KRPC_EVENT_KIND_STREAM`. What finds no room there ends with
/// "request over limit".
///
/// `name`, `mode`: as in `krpc_service_add_stream`. `queue`: kept alive by the service. `tag`: the host's word for
/// the method, in its events.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_queued_stream(
    service: *mut krpc_service,
    name: krpc_str,
    mode: i32,
    queue: *const krpc_queue,
    tag: u64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handles and view, and uses the service from one thread at a time.
        let (service, name) = unsafe { (handle::get_mut(service, "service")?, name.text("name")?) };
        // SAFETY: as above.
        let handler = unsafe { queue_handler(queue, tag)? };
        service.add_stream(name, mode_of(mode)?, QUEUED, handler)
    })
}

/// Adds all streaming methods of the IDL that were not added yet, with one handler; ask the stream for its method and
/// `krpc_stream_mode`. For a service made by `krpc_service_from_idl`.
///
/// `flags`, `handler`, `user_data`: as in `krpc_service_add_stream`. `destroy` (optional): called once for all methods.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_other_streams(
    service: *mut krpc_service,
    flags: u32,
    handler: krpc_stream_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    guard(error, || {
        let (handler, options) = (host_handler(handler, user_data)?, options_of(flags)?);
        // SAFETY: the host vouches for the handle, and uses it from one thread at a time.
        unsafe { handle::get_mut(service, "service")? }.add_other_streams(options, &handler)
    })
}

/// The same with a queue instead of a handler, as `krpc_service_add_queued_stream`.
///
/// `queue`: kept alive by the service. `tag`: the host's word for the methods, in their events.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_other_queued_streams(
    service: *mut krpc_service,
    queue: *const krpc_queue,
    tag: u64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handles, and uses the service from one thread at a time.
        let (service, handler) =
            unsafe { (handle::get_mut(service, "service")?, queue_handler(queue, tag)?) };
        service.add_other_streams(QUEUED, &handler)
    })
}

/// Sets the handler of streams that no service takes: unknown services and unknown methods. Without it they are
/// answered as such. Nothing is known about their mode: the handler gets every message, as of a bidirectional stream.
///
/// `flags`, `handler`, `user_data`, `destroy`: as in `krpc_service_add_stream`.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_stream_catch_all(
    options: *mut krpc_server_options,
    flags: u32,
    handler: krpc_stream_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    server_options::change(options, error, |options| {
        options.stream_catch_all = Some((host_handler(handler, user_data)?, options_of(flags)?));
        Ok(())
    })
}

/// The same with a queue instead of a handler, as `krpc_service_add_queued_stream`.
///
/// `queue`: kept alive by the server. `tag`: the host's word for the streams, in their events.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_queued_stream_catch_all(
    options: *mut krpc_server_options,
    queue: *const krpc_queue,
    tag: u64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    server_options::change(options, error, |options| {
        // SAFETY: the host vouches for the handle.
        options.stream_catch_all = Some((unsafe { queue_handler(queue, tag)? }, QUEUED));
        Ok(())
    })
}

/// Filling a queue does not block, so no other thread is needed.
const QUEUED: StreamMethodOptions = StreamMethodOptions { inline: true };

fn options_of(flags: u32) -> Result<StreamMethodOptions> {
    match flags {
        0 | KRPC_METHOD_FLAG_INLINE => Ok(StreamMethodOptions { inline: flags != 0 }),
        _ => Err(Error::invalid_argument("flags", format_args!("{flags} has unknown bits"))),
    }
}

fn host_handler(handler: krpc_stream_handler_fn, user_data: UserData) -> Result<Arc<dyn StreamHandler>> {
    let call = handler.ok_or_else(|| Error::invalid_argument("handler", "is NULL"))?;
    Ok(Arc::new(HostStreamHandler { call, user_data }))
}

unsafe fn queue_handler(queue: *const krpc_queue, tag: u64) -> Result<Arc<dyn StreamHandler>> {
    // SAFETY: the host vouches for the handle.
    let queue = Arc::clone(unsafe { handle::get(queue, "queue")? }.queue());
    Ok(Arc::new(StreamQueueHandler::new(queue, tag)))
}

fn mode_of(mode: i32) -> Result<StreamMode> {
    const CLIENT: i32 = krpc_streaming::KRPC_STREAMING_CLIENT as i32;
    const SERVER: i32 = krpc_streaming::KRPC_STREAMING_SERVER as i32;
    const BIDIRECTIONAL: i32 = krpc_streaming::KRPC_STREAMING_BIDIRECTIONAL as i32;
    match mode {
        CLIENT => Ok(StreamMode::Client),
        SERVER => Ok(StreamMode::Server),
        BIDIRECTIONAL => Ok(StreamMode::Bidirectional),
        _ => Err(Error::invalid_argument("mode", format_args!("{mode} is no krpc_streaming of a stream"))),
    }
}

/// The host's function with its state.
struct HostStreamHandler {
    call: unsafe extern "C" fn(*mut c_void, *mut krpc_stream),
    user_data: UserData,
}

impl StreamHandler for HostStreamHandler {
    fn handle(&self, stream: Stream) {
        // SAFETY: the host's function, with what it gave beside it and a stream that it now owns.
        unsafe { (self.call)(self.user_data.pointer(), handle::give(stream.into())) }
    }
}
