//! The clock. Everything that needs the time asks here or takes it as an argument.

use std::time::Instant;

use crate::base::fault::clock;

/// Now, on the system's monotonic clock, or on the one that a test moves.
pub fn now() -> Instant {
    clock::now(Instant::now())
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
