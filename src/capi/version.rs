//! Which library this is.

use crate::capi::guard::guard_or;
use crate::capi::types::krpc_str;

/// The ABI's number: raised when an existing function or struct changes its meaning, never by
/// additions. It is the number in the library's SONAME.
pub const KRPC_ABI_VERSION: u32 = 0;

/// Features of this build that a host may ask for by name.
const FEATURES: &[&str] = &[
    "thrift-binary",
    "ttheader",
    "framed",
    "buffered",
    "unix-sockets",
    "fork",
    #[cfg(feature = "test-hooks")]
    "test-hooks",
];

/// The library's version, e.g. "0.1.0". Static; never freed.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_version() -> krpc_str {
    krpc_str::of(env!("CARGO_PKG_VERSION").as_bytes())
}

/// The ABI version; compare it with the `KRPC_ABI_VERSION` you were compiled with.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_abi_version() -> u32 {
    KRPC_ABI_VERSION
}

/// Whether this build has a feature, e.g. "ttheader". Unknown names are false.
///
/// `name`: UTF-8, borrowed for the call.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_has_feature(name: krpc_str) -> bool {
    // SAFETY: the host vouches for the view.
    guard_or(false, || unsafe { name.text("name") }.is_ok_and(|name| FEATURES.contains(&name)))
}
