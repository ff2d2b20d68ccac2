//! What tests need and no release has: the feature `test-hooks`. Not in the header; tests/c/hooks.h declares
//! these functions.

use std::time::Duration;

use crate::base::{Code, Error, fault};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_or, put};
use crate::capi::status::krpc_status;
use crate::rpc::clock;

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

/// Stops the clock that every limit in the library goes by; it may stand already. Waits that have begun
/// follow it too.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_test_clock_stop() {
    guard_or((), clock::stop);
}

/// Moves the clock, which must stand.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_test_clock_advance(milliseconds: u64) -> krpc_status {
    guard(std::ptr::null_mut(), || match fault::clock::advance(Duration::from_millis(milliseconds)) {
        true => Ok(()),
        false => Err(Error::new(Code::InvalidState, "the clock runs, or can't be moved as far")),
    })
}

/// Lets the clock run on from where it stands.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_test_clock_run() {
    guard_or((), clock::run);
}

/// Threads that sleep with a limit in the library now: a test moves the clock when the one that it waits for
/// is among them.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_test_clock_sleepers() -> usize {
    guard_or(0, fault::clock::sleepers)
}

/// Holds the connections of clients (1), servers (2), both (3), and lets go of the others: what comes is not
/// read, what is to leave not written.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_test_hold(sides: i32) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        fault::hold::hold(sides).ok_or_else(|| Error::invalid_argument("sides", "there is no such side"))
    })
}
