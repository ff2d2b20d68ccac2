//! The clock. Everything that needs the time asks here or takes it as an argument.

use std::time::{Duration, Instant};

use crate::base::fault::clock;
use crate::base::fork::PerProcess;
use crate::io::sys;

/// Now, on the system's monotonic clock, or on the one that a test moves.
pub fn now() -> Instant {
    clock::now(Instant::now())
}

/// How late it is by a clock that moves with the system's timer, every 1 to 10 ms, and takes a fifth of the time to
/// read. Good for differences only.
#[cfg(not(feature = "test-hooks"))]
pub fn coarse() -> Duration {
    Duration::from_nanos(sys::coarse_ns().unsigned_abs())
}

/// The same by the clock that a test moves.
#[cfg(feature = "test-hooks")]
pub fn coarse() -> Duration {
    Duration::from_nanos(monotonic_ns(now()).unsigned_abs())
}

/// A time in nanoseconds of the system's monotonic clock (`CLOCK_MONOTONIC`), as other programs read it.
pub fn monotonic_ns(at: Instant) -> i64 {
    /// The same moment on both clocks.
    struct Both(Instant, i64);
    impl Default for Both {
        fn default() -> Both {
            Both(Instant::now(), sys::monotonic_ns())
        }
    }
    static BOTH: PerProcess<Both> = PerProcess::new();
    let Both(moment, ns) = BOTH.get();
    let since = i64::try_from(at.saturating_duration_since(*moment).as_nanos()).unwrap_or(i64::MAX);
    let before = i64::try_from(moment.saturating_duration_since(at).as_nanos()).unwrap_or(i64::MAX);
    ns.saturating_add(since).saturating_sub(before)
}

/// Stops the clock, for tests.
#[cfg(feature = "test-hooks")]
pub fn stop() {
    clock::stop(Instant::now());
}

/// Lets the clock run on from where it stands.
#[cfg(feature = "test-hooks")]
pub fn run() {
    clock::run(Instant::now());
}
