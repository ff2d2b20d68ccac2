//! The clock. Everything that needs the time asks here or takes it as an argument.

use std::time::Instant;

/// Now, on the system's monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}
