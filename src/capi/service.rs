//! `krpc_service`: a named set of methods with their handlers.

use std::ffi::c_void;
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::idl::krpc_idl;
use crate::capi::queue::krpc_queue;
use crate::capi::request::krpc_request;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::server::{Handler, MethodOptions, QueueHandler, Request, Service, WorkerOptions};

/// A named set of methods with their handlers, on its way into a server. Consumed by
/// `krpc_server_options_add_service`; else free it with `krpc_service_free`.
pub struct krpc_service {
    _opaque: [u8; 0],
}

impl Opaque for krpc_service {
    type Inner = Service;
    const KIND: Kind = Kind::Service;
}

/// Answers a request. It owns `request`: answer it once and free it, now or later, on this thread or
/// another. Several calls may run at once, with the same `user_data`.
///
/// Runs on a thread of the runtime's handler pool, where it may block; an inline handler runs on the
/// I/O thread, where it must not. It must not throw, longjmp or end the thread.
pub type krpc_handler_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, request: *mut krpc_request)>;

/// Flag of a method, for clients and services: it is never answered, as declared `oneway` in the IDL. A
/// handler must still free the request; the connection's next request waits for that.
pub const KRPC_METHOD_FLAG_ONEWAY: u32 = 1;

/// Flag for `krpc_service_add_method`: the handler runs on the I/O thread and must not block. Saves two
/// thread switches a call.
pub const KRPC_METHOD_FLAG_INLINE: u32 = 2;

/// A service without methods.
///
/// `name`: as in the IDL, without namespace; UTF-8, copied. Returns an owned service, or NULL and an
/// error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_new(name: krpc_str, error: *mut *mut krpc_error) -> *mut krpc_service {
    guard_new(error, || {
        // SAFETY: the host vouches for the view.
        Service::new(unsafe { name.text("name")? }).map(handle::give)
    })
}

/// A service of an IDL, without handlers. Its methods are those of the IDL, inherited ones too, and are
/// oneway if the IDL says so; its requests have shapes, and can be read and answered in JSON.
///
/// `idl`: what is needed of it is kept. `name`: empty for the main service; UTF-8, borrowed for the call.
/// Returns an owned service, or NULL and an error, which says what name may have been meant.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_from_idl(
    idl: *const krpc_idl,
    name: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_service {
    guard_new(error, || {
        // SAFETY: the host vouches for handle and view.
        let (idl, name) = unsafe { (handle::get(idl, "idl")?, name.text("name")?) };
        Service::from_schema(&idl.schema, name).map(handle::give)
    })
}

/// Adds a method. A name can be added once; a service of an IDL takes the IDL's methods only.
///
/// `name`: as in the IDL; UTF-8, copied. `flags`: 0, or `KRPC_METHOD_FLAG_ONEWAY` and
/// `KRPC_METHOD_FLAG_INLINE` in any combination. `handler`: called for each request with `user_data`.
/// `destroy` (optional): called once with `user_data` after the last call of the handler has returned,
/// also if this function fails.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED for a streaming method of an IDL.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_method(
    service: *mut krpc_service,
    name: krpc_str,
    flags: u32,
    handler: krpc_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    guard(error, || {
        let handler = HostHandler::new(handler, user_data)?;
        // SAFETY: the host vouches for handle and view, and uses the handle from one thread at a time.
        let (service, name) = unsafe { (handle::get_mut(service, "service")?, name.text("name")?) };
        service.add_method(name, method_options(flags)?, handler)
    })
}

/// Adds all methods of the IDL that were not added yet, except those that stream, with one handler; ask the
/// request for its method. For a service made by `krpc_service_from_idl`.
///
/// `flags`: 0 or `KRPC_METHOD_FLAG_INLINE`. `handler`, `user_data`, `destroy`: as in
/// `krpc_service_add_method`; `destroy` is called once for all methods.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_other_methods(
    service: *mut krpc_service,
    flags: u32,
    handler: krpc_handler_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    guard(error, || {
        let handler: Arc<dyn Handler> = HostHandler::new(handler, user_data)?;
        // SAFETY: the host vouches for the handle, and uses it from one thread at a time.
        let service = unsafe { handle::get_mut(service, "service")? };
        service.add_other_methods(method_options(flags)?, &handler)
    })
}

/// The same with a queue instead of a handler, as `krpc_service_add_queued_method`.
///
/// `queue`: kept alive by the service. `tag`: the host's word for the methods, in their events.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_other_queued_methods(
    service: *mut krpc_service,
    queue: *const krpc_queue,
    tag: u64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handles, and uses the service from one thread at a time.
        let service = unsafe { handle::get_mut(service, "service")? };
        // SAFETY: as above.
        let queue = Arc::clone(unsafe { handle::get(queue, "queue")? }.queue());
        // Filling a queue does not block, so no other thread is needed.
        let options = MethodOptions { inline: true, ..MethodOptions::default() };
        let handler: Arc<dyn Handler> = Arc::new(QueueHandler::new(queue, tag));
        service.add_other_methods(options, &handler)
    })
}

/// Adds a method whose requests go to a queue, as `KRPC_EVENT_KIND_REQUEST`. What finds no room there is
/// answered "request over limit".
///
/// `name`: as in the IDL; UTF-8, copied. `flags`: 0 or `KRPC_METHOD_FLAG_ONEWAY`. `queue`: kept alive by
/// the service. `tag`: the host's word for the method, in its events.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED for a streaming method of an IDL.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_add_queued_method(
    service: *mut krpc_service,
    name: krpc_str,
    flags: u32,
    queue: *const krpc_queue,
    tag: u64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handles and view, and uses the service from one thread at a time.
        let (service, name) = unsafe { (handle::get_mut(service, "service")?, name.text("name")?) };
        // SAFETY: as above.
        let queue = Arc::clone(unsafe { handle::get(queue, "queue")? }.queue());
        // Filling a queue does not block, so no other thread is needed.
        let options = MethodOptions { inline: true, ..method_options(flags)? };
        service.add_method(name, options, Arc::new(QueueHandler::new(queue, tag)))
    })
}

/// Gives handlers worker threads of their own: however long they take, they keep no others from running. Without
/// it all share the runtime's.
///
/// `method`: one that was added already, or empty for all methods of the service that have no threads of their
/// own, also those that are added later; inline and queued ones use none. UTF-8, borrowed for the call.
/// `threads`: 1 to 1024, started when they are needed. `max_in_flight`: requests that are being handled or wait
/// for a thread; more are answered "request over limit", 0: 1000. A later call replaces an earlier one.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_set_workers(
    service: *mut krpc_service,
    method: krpc_str,
    threads: usize,
    max_in_flight: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handle and view, and uses the handle from one thread at a time.
        let (service, method) = unsafe { (handle::get_mut(service, "service")?, method.text("method")?) };
        let usual = WorkerOptions::new(threads);
        let options = match max_in_flight {
            0 => usual,
            _ => WorkerOptions { max_in_flight, ..usual },
        };
        service.set_workers(method, options)
    })
}

/// Frees a service that was not consumed, which calls the destroy functions of its methods. NULL is
/// fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_service_free(service: *mut krpc_service) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(service) });
}

fn method_options(flags: u32) -> Result<MethodOptions> {
    if flags & !(KRPC_METHOD_FLAG_ONEWAY | KRPC_METHOD_FLAG_INLINE) != 0 {
        return Err(Error::invalid_argument("flags", format_args!("{flags} has unknown bits")));
    }
    Ok(MethodOptions {
        oneway: flags & KRPC_METHOD_FLAG_ONEWAY != 0,
        inline: flags & KRPC_METHOD_FLAG_INLINE != 0,
    })
}

/// The host's function with its state.
pub(super) struct HostHandler {
    call: unsafe extern "C" fn(*mut c_void, *mut krpc_request),
    user_data: UserData,
}

impl HostHandler {
    pub(super) fn new(handler: krpc_handler_fn, user_data: UserData) -> Result<Arc<HostHandler>> {
        let call = handler.ok_or_else(|| Error::invalid_argument("handler", "is NULL"))?;
        Ok(Arc::new(HostHandler { call, user_data }))
    }
}

impl Handler for HostHandler {
    fn handle(&self, request: Request) {
        // SAFETY: the host's function, with what it gave beside it and a request that it now owns.
        unsafe { (self.call)(self.user_data.pointer(), handle::give(request.into())) }
    }
}
