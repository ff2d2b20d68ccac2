//! What all calls of a method share: the samples of its retry breaker, the budget, its latency (governance.md
//! §1.4).

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::policy::budget::Budget;
use crate::policy::latency::Latency;
use crate::policy::retry::{BREAKER_MIN_SAMPLES, Quantile};
use crate::policy::time::Time;
use crate::policy::window::{Sample, Window};

/// A rule on deadlines that the program registers: why a policy with `ddl_stop` must not make the attempt,
/// or `None`. Runs inline on the path of a call, so it must not block.
pub type DdlStop = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Why an extra attempt was not made.
#[derive(Clone, PartialEq, Debug)]
pub enum Stop {
    /// The policy was switched off meanwhile.
    Disabled,
    /// The retry breaker: rate and samples.
    Breaker {
        /// Rate over the last ten seconds.
        rate: f64,
        /// Samples in them.
        samples: u64,
    },
    /// The request that is being served is a retry itself.
    Chain,
    /// The program's rule on deadlines; its words.
    Ddl(Box<str>),
    /// The budget of extra load is spent.
    Budget,
    /// The call has lasted longer than the policy's limit, in ms.
    MaxDuration(u32),
}

/// The reference's words, where it has any.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Disabled => f.write_str("retry policy disabled"),
            Stop::Breaker { rate, samples } => {
                write!(f, "retry circuit break, errRate={rate:.3}, sample={samples}")
            }
            Stop::Chain => f.write_str("chain stop retry"),
            Stop::Ddl(why) => f.write_str(why),
            Stop::Budget => f.write_str("retry budget spent"),
            Stop::MaxDuration(ms) => write!(f, "exceed max duration[{}]", text_of_ms(*ms)),
        }
    }
}

pub(in crate::policy) fn text_of_ms(ms: u32) -> String {
    crate::policy::time::go_text(std::time::Duration::from_millis(ms.into()))
}

/// What is counted in the window of a gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::policy) enum Feed {
    /// First attempts as successes, extra ones as failures, before they are sent.
    Share,
    /// The outcome of each attempt.
    Outcomes,
    /// Somebody else counts.
    Nothing,
}

/// Shared by all calls of one method. Any thread; lock-free.
pub(in crate::policy) struct Gate {
    window: Arc<Window>,
    feed: Feed,
    budget: Option<Arc<Budget>>,
    ddl: Option<DdlStop>,
    /// Made for the first policy that follows a quantile.
    latency: OnceLock<Box<Latency>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("feed", &self.feed).field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Gate {
    pub(in crate::policy) fn new(
        window: Arc<Window>,
        feed: Feed,
        budget: Option<Arc<Budget>>,
        ddl: Option<DdlStop>,
    ) -> Gate {
        Gate { window, feed, budget, ddl, latency: OnceLock::new() }
    }

    /// A call's first attempt is about to be sent, under a policy.
    #[inline]
    pub(in crate::policy) fn first(&self, now: Time) {
        if self.feed == Feed::Share {
            self.window.add(Sample::Success, now);
        }
        if let Some(budget) = &self.budget {
            budget.earn(now);
        }
    }

    /// An extra attempt is about to be sent.
    pub(in crate::policy) fn extra(&self, now: Time) {
        if self.feed == Feed::Share {
            self.window.add(Sample::Failure, now);
        }
    }

    /// An attempt has ended.
    #[inline]
    pub(in crate::policy) fn ended(&self, sample: Option<Sample>, now: Time) {
        if let (Feed::Outcomes, Some(sample)) = (self.feed, sample) {
            self.window.add(sample, now);
        }
    }

    /// Too many samples of the last ten seconds are failures.
    pub(in crate::policy) fn breaker_stops(&self, rate: f64, now: Time) -> Option<Stop> {
        let counts = self.window.counts(now);
        let stops = counts.samples() >= BREAKER_MIN_SAMPLES && counts.rate() >= rate;
        stops.then(|| Stop::Breaker { rate: counts.rate(), samples: counts.samples() })
    }

    pub(in crate::policy) fn ddl_stops(&self) -> Option<Stop> {
        self.ddl.as_ref()?().map(|why| Stop::Ddl(why.into()))
    }

    /// Takes what an extra attempt costs.
    pub(in crate::policy) fn spend(&self, now: Time) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.spend(now))
    }

    /// The attempt was not made after all.
    pub(in crate::policy) fn give_back(&self) {
        if let Some(budget) = &self.budget {
            budget.give_back();
        }
    }

    /// The delay that follows the latency, in nanoseconds and within its bounds.
    pub(in crate::policy) fn delay(&self, quantile: &Quantile, now: Time) -> Option<u64> {
        let millis = |ms: u32| crate::policy::time::millis(ms.into());
        let latency = self.latency.get_or_init(Box::default);
        let nanos = latency.quantile(quantile.of, quantile.min_samples, now)?;
        Some(nanos.clamp(millis(quantile.min_ms), millis(quantile.max_ms)))
    }

    /// A first attempt took so long, or was given up after so long.
    pub(in crate::policy) fn measured(&self, nanos: u64, now: Time) {
        if let Some(latency) = self.latency.get() {
            latency.record(nanos, now);
        }
    }
}
