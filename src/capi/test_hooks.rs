//! What tests need and no release has: the feature `test-hooks`. Not in the header; tests/c/hooks.h declares
//! these functions.

use crate::base::{Error, fault};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, put};
use crate::capi::status::krpc_status;

/// Panics inside the library, as a fault in it would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_test_panic(error: *mut *mut krpc_error) -> krpc_status {
    guard(error, || panic!("wanted by a test"))
}

/// Makes the `nth` step from now fail, once; 0: none. `point`: a number of `base::fault::Point`.
/// `passed` (optional): receives how many such steps there were since the last time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_test_fail_nth(point: i32, nth: u64, passed: *mut u64) -> krpc_status {
    put(passed, 0);
    guard(std::ptr::null_mut(), || {
        let seen = fault::fail_nth(point, nth);
        put(passed, seen.ok_or_else(|| Error::invalid_argument("point", "there is no such step"))?);
        Ok(())
    })
}
