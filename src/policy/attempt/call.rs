//! What an engine is told about its call.

use crate::policy::time::Time;

/// One call, as its attempts see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// Timeout of each attempt, from its own start, in nanoseconds; 0 is none.
    pub timeout: u64,
    /// The caller's deadline; [`Time::NEVER`] is none.
    pub deadline: Time,
    /// The call is made while serving a request that carries
    /// [`RETRY_KEY`](crate::policy::retry::RETRY_KEY).
    pub chained: bool,
    /// 64 random bits, for random backoff.
    pub chance: u64,
}

impl Default for Call {
    fn default() -> Call {
        Call { timeout: 0, deadline: Time::NEVER, chained: false, chance: 0 }
    }
}
