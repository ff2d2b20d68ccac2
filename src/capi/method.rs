//! `krpc_method`: a method that is called often, prepared once.

use crate::base::{Code, Error, Result};
use crate::capi::client::krpc_client;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard_new, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::idl::{krpc_idl, krpc_streaming};
use crate::capi::service::KRPC_METHOD_FLAG_ONEWAY;
use crate::capi::shape::krpc_shape;
use crate::capi::types::krpc_str;
use crate::codec::{CallShape, Shape};
use crate::observe::handles::Kind;
use crate::rpc::call::Method;

/// A method of a service, prepared once so that calls hash and copy no names. Immutable; may be shared
/// by threads and used with any client. Free it with `krpc_method_free`.
pub struct krpc_method {
    _opaque: [u8; 0],
}

impl Opaque for krpc_method {
    type Inner = Prepared;
    const KIND: Kind = Kind::Method;
}

/// The core's method, with the parts that C borrows as handles.
pub(super) struct Prepared {
    pub(super) method: Method,
    request: Option<Slot<Shape>>,
    result: Option<Slot<Shape>>,
}

impl Prepared {
    /// What the IDL says of it.
    pub(super) fn shape(&self) -> Result<&CallShape> {
        self.method
            .shape()
            .ok_or_else(|| Error::new(Code::InvalidState, "the method was not made from an IDL"))
    }
}

impl From<Method> for Prepared {
    fn from(method: Method) -> Prepared {
        let (request, result) = slots(method.shape());
        Prepared { method, request, result }
    }
}

/// The shapes of request and result, as far as there are any.
pub(super) fn slots(shape: Option<&CallShape>) -> (Option<Slot<Shape>>, Option<Slot<Shape>>) {
    let result = shape.and_then(|shape| shape.result().ok());
    (
        shape.map(|shape| Slot::borrowed::<krpc_shape>(shape.request())),
        result.map(Slot::borrowed::<krpc_shape>),
    )
}

/// Prepares a method.
///
/// `client`: the client that will call it. `name`: "Service/Method" with IDL names, or "Method", which
/// leaves the service to the server; UTF-8, borrowed for the call. `flags`: 0 or `KRPC_METHOD_FLAG_ONEWAY`.
/// Returns an owned method, or NULL and an error. It may outlive the client.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_method(
    client: *const krpc_client,
    name: krpc_str,
    flags: u32,
    error: *mut *mut krpc_error,
) -> *mut krpc_method {
    guard_new(error, || {
        // SAFETY: the host vouches for handle and view.
        unsafe { handle::get(client, "client")? };
        // SAFETY: as above.
        let method = Method::parse(unsafe { name.text("name")? })?;
        match flags {
            0 => Ok(handle::give(method.into())),
            KRPC_METHOD_FLAG_ONEWAY => Ok(handle::give(method.oneway().into())),
            _ => Err(Error::invalid_argument("flags", format_args!("{flags} has unknown bits"))),
        }
    })
}

/// Prepares a method of an IDL: whether it is oneway is known from there, and `krpc_method_request_shape`
/// and `krpc_method_result_shape` make JSON and readers of its messages.
///
/// A method that streams is for `krpc_client_open_stream`, in the mode that `krpc_method_mode` says; its shapes are
/// those of each message. Calling it is UNSUPPORTED.
///
/// `client`: the client that will call it. `idl`: what is needed of it is kept. `name`: "Service/Method", or
/// "Method" of the main service; borrowed for the call. `flags`: 0.
/// Returns an owned method, or NULL and an error; a name that the IDL does not know is INVALID_ARGUMENT, and
/// the text says what may have been meant. It may outlive client and IDL.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_method_from_idl(
    client: *const krpc_client,
    idl: *const krpc_idl,
    name: krpc_str,
    flags: u32,
    error: *mut *mut krpc_error,
) -> *mut krpc_method {
    guard_new(error, || {
        // SAFETY: the host vouches for handles and view.
        unsafe { handle::get(client, "client")? };
        // SAFETY: as above.
        let (idl, name) = unsafe { (handle::get(idl, "idl")?, name.text("name")?) };
        match flags {
            0 => Ok(handle::give(Method::of_schema(&idl.schema, name)?.into())),
            _ => Err(Error::invalid_argument("flags", format_args!("{flags} is not 0"))),
        }
    })
}

/// How many messages the method takes and gives, as its IDL says: a `krpc_streaming`. `KRPC_STREAMING_NONE` if it was
/// not made from an IDL: then it may be called or streamed, in any mode that the server knows.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_method_mode(method: *const krpc_method) -> krpc_streaming {
    guard_or(krpc_streaming::KRPC_STREAMING_NONE, || {
        // SAFETY: the host vouches for the handle.
        let shape =
            unsafe { handle::get(method, "method") }.ok().and_then(|prepared| prepared.method.shape());
        shape.map_or(krpc_streaming::KRPC_STREAMING_NONE, |shape| shape.method().streaming.into())
    })
}

/// The shape of the method's requests, of each message if it streams. Borrowed from `method`; NULL if it was not made
/// from an IDL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_method_request_shape(method: *const krpc_method) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(method, "method") } {
        Ok(Prepared { request: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// The shape of the method's results, of each message if it streams. Borrowed from `method`; NULL if it was not made from an IDL, or is
/// oneway.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_method_result_shape(method: *const krpc_method) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(method, "method") } {
        Ok(Prepared { result: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// Frees a method, and with it its shapes. NULL is fine.
///
/// Thread: any thread, once, when no call uses it any more. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_method_free(method: *mut krpc_method) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(method) });
}
