//! `krpc_method`: a method that is called often, prepared once.

use crate::base::Error;
use crate::capi::client::krpc_client;
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::service::KRPC_METHOD_FLAG_ONEWAY;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::call::Method;

/// A method of a service, prepared once so that calls hash and copy no names. Immutable; may be shared
/// by threads and used with any client. Free it with `krpc_method_free`.
pub struct krpc_method {
    _opaque: [u8; 0],
}

impl Opaque for krpc_method {
    type Inner = Method;
    const KIND: Kind = Kind::Method;
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
            0 => Ok(handle::give(method)),
            KRPC_METHOD_FLAG_ONEWAY => Ok(handle::give(method.oneway())),
            _ => Err(Error::invalid_argument("flags", format_args!("{flags} has unknown bits"))),
        }
    })
}

/// Frees a method. NULL is fine.
///
/// Thread: any thread, once, when no call uses it any more. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_method_free(method: *mut krpc_method) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(method) });
}
