//! Retry policies: their values, what is refused, and how they are written as JSON (governance.md §1.1).

mod code;
mod parse;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::base::Error;
use crate::policy::number::{below, whole};
use crate::policy::time::millis;

pub use code::{CodePolicies, Conflict};
pub use parse::{Parsed, parse, parse_all};
pub(in crate::policy) use table::Plan;
pub use table::{CallPolicy, Limits, Lookup, Options, Policies, Retryer, Statistic, WindowOf};

/// Persistent metainfo key that says "this request is a retry"; its value is the attempt's ordinal
/// (governance.md §1.9). Services that find it make plain calls downstream, and pass it on.
pub const RETRY_KEY: &str = "RetryReq";

/// Most attempts of one call: the failure kind's five retries and the first.
pub const MAX_ATTEMPTS: u8 = 6;

/// Which answer of the host's predicate counts when none comes in this time: "do not retry".
pub const DECISION_TIMEOUT: Duration = Duration::from_secs(1);

/// Samples in ten seconds below which the retry breaker never stops anything.
pub const BREAKER_MIN_SAMPLES: u64 = 10;

/// The error rate of policies that say none or a wrong one.
pub const DEFAULT_ERROR_RATE: f64 = 0.1;

/// How extra attempts come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Kind {
    /// After a failed attempt, one after the other.
    Failure = 0,
    /// After a delay without an answer, side by side; the first end of any kind ends the call.
    Backup = 1,
    /// Both.
    Mixed = 2,
}

impl Kind {
    /// Most retries that a policy of this kind may ask for.
    pub const fn max_retries(self) -> i64 {
        match self {
            Kind::Failure => 5,
            Kind::Backup => 2,
            Kind::Mixed => 3,
        }
    }

    /// The kind's name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Failure => "Failure",
            Kind::Backup => "Backup",
            Kind::Mixed => "Mixed",
        }
    }
}

/// Pause before an extra attempt of the failure and mixed kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backoff {
    /// None.
    #[default]
    None,
    /// Always the same, in ms.
    Fixed(u32),
    /// `min_ms + uniform[0, max_ms − min_ms)`, in ms.
    Random {
        /// Shortest.
        min_ms: u32,
        /// Longer than the longest.
        max_ms: u32,
    },
}

impl Backoff {
    /// The pause in nanoseconds, with 64 random bits.
    pub fn nanos(self, chance: u64) -> u64 {
        match self {
            Backoff::None => 0,
            Backoff::Fixed(ms) => millis(u64::from(ms)),
            Backoff::Random { min_ms, max_ms } => {
                millis(u64::from(min_ms) + below(chance, u64::from(max_ms.saturating_sub(min_ms))))
            }
        }
    }
}

/// Which errors are retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// Timeouts of an attempt only.
    #[default]
    Timeouts,
    /// All.
    All,
    /// Timeouts, and those for which the host says so.
    Ask,
}

/// Which outcomes are retried (governance.md §1.2). Never in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Predicate {
    /// About errors.
    pub errors: OnError,
    /// Whether the host is asked about answers: results, business status errors, declared exceptions.
    pub answers: bool,
    /// Switches the rule off that timeouts are retried: for methods that are not idempotent.
    pub not_for_timeouts: bool,
}

/// A backup delay that follows a quantile of the method's own latency. Beyond the reference.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quantile {
    /// E.g. 0.95: about one first attempt in twenty is hedged.
    pub of: f64,
    /// The policy's `delay_ms` counts until there are so many samples in ten seconds.
    pub min_samples: u32,
    /// Bounds of the delay, in ms.
    pub min_ms: u32,
    /// Upper bound, in ms.
    pub max_ms: u32,
}

/// One policy. Values are the reference's defaults for each kind; [`RetryPolicy::check`] says what is wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryPolicy {
    /// False: known but off; still shadows `*` for its method.
    pub enabled: bool,
    /// Which kind acts.
    pub kind: Kind,
    /// The first attempt not counted; 0 is "never retry".
    pub max_retries: i64,
    /// No extra attempt is begun when the call has lasted longer; 0 is no limit. Backup ignores it.
    pub max_duration_ms: u32,
    /// Make plain calls while serving a request that is a retry itself.
    pub chain_stop: bool,
    /// Ask the client's deadline rule before extra attempts. Backup ignores it.
    pub ddl_stop: bool,
    /// Rate of the retry breaker, in (0, 0.3]; what it is a rate of depends on the container (§1.4).
    pub error_rate: f64,
    /// Pause before extra attempts. Backup ignores it.
    pub backoff: Backoff,
    /// Backup and mixed: an extra attempt after so long without an end. Suggested: the p99.
    pub delay_ms: u32,
    /// Backup and mixed: a delay that follows the latency instead.
    pub delay_quantile: Option<Quantile>,
    /// Extra attempts go to the instance of the attempt before. Else they avoid all earlier ones.
    pub same_node: bool,
    /// Which outcomes are retried. Backup ignores it.
    pub predicate: Predicate,
    /// Opaque to the library.
    pub extra: String,
}

impl RetryPolicy {
    fn new(kind: Kind, max_retries: i64, delay_ms: u32) -> RetryPolicy {
        RetryPolicy {
            enabled: true,
            kind,
            max_retries,
            max_duration_ms: 0,
            chain_stop: true,
            ddl_stop: false,
            error_rate: DEFAULT_ERROR_RATE,
            backoff: Backoff::None,
            delay_ms,
            delay_quantile: None,
            same_node: false,
            predicate: Predicate::default(),
            extra: String::new(),
        }
    }

    /// Two retries, without backoff.
    pub fn failure() -> RetryPolicy {
        RetryPolicy::new(Kind::Failure, 2, 0)
    }

    /// One backup request after a delay.
    pub fn backup(delay_ms: u32) -> RetryPolicy {
        RetryPolicy::new(Kind::Backup, 1, delay_ms)
    }

    /// One retry, after a delay or a failure.
    pub fn mixed(delay_ms: u32) -> RetryPolicy {
        RetryPolicy::new(Kind::Mixed, 1, delay_ms)
    }

    /// What the reference refuses, and values that can mean nothing.
    pub fn check(&self) -> Result<(), Invalid> {
        if !self.enabled {
            return Ok(());
        }
        if self.kind != Kind::Failure && self.delay_ms == 0 {
            return Err(Invalid::Delay(self.kind));
        }
        if !(0..=self.kind.max_retries()).contains(&self.max_retries) {
            return Err(Invalid::MaxRetries(self.max_retries));
        }
        check_error_rate(self.error_rate)?;
        if self.kind != Kind::Backup {
            check_backoff(self.backoff)?;
        }
        self.delay_quantile.map_or(Ok(()), check_quantile)
    }
}

/// In (0, 0.3].
fn check_error_rate(rate: f64) -> Result<(), Invalid> {
    if rate > 0.0 && rate <= 0.3 { Ok(()) } else { Err(Invalid::ErrorRate(rate)) }
}

fn check_backoff(backoff: Backoff) -> Result<(), Invalid> {
    match backoff {
        Backoff::Fixed(0) => Err(Invalid::FixedBackoff(0)),
        Backoff::Random { min_ms, max_ms } if min_ms >= max_ms => {
            Err(Invalid::RandomBackoff(min_ms.into(), max_ms.into()))
        }
        _ => Ok(()),
    }
}

fn check_quantile(quantile: Quantile) -> Result<(), Invalid> {
    let sound = quantile.of > 0.0 && quantile.of < 1.0 && quantile.min_ms <= quantile.max_ms;
    if sound && quantile.max_ms > 0 { Ok(()) } else { Err(Invalid::Quantile) }
}

/// Milliseconds of a JSON number, rounded to whole ones as the reference prints them.
fn whole_ms(value: f64) -> Option<u32> {
    let rounded = value.round_ties_even();
    (0.0..=f64::from(u32::MAX)).contains(&rounded).then(|| u32::try_from(whole(rounded)).unwrap_or(u32::MAX))
}

/// Why a policy is refused; the texts are the reference's where it has one.
#[derive(Clone, PartialEq, Debug)]
pub enum Invalid {
    /// The sub-policy of the kind is missing.
    Missing(Kind, i64),
    /// A backup delay of 0.
    Delay(Kind),
    /// Out of the kind's range.
    MaxRetries(i64),
    /// Outside (0, 0.3].
    ErrorRate(f64),
    /// Fixed backoff of 0 or less.
    FixedBackoff(i64),
    /// Random backoff without a range.
    RandomBackoff(i64, i64),
    /// A backoff without its numbers.
    NoBackoffItems,
    /// No known backoff.
    BackoffType(String),
    /// A predicate that asks nothing.
    Predicate,
    /// A quantile outside (0, 1), or bounds that leave nothing between them.
    Quantile,
    /// More methods than are kept.
    TooManyMethods(usize),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retryer = |kind: &Kind| kind.name().to_ascii_lowercase();
        match self {
            Invalid::Missing(kind, number) => {
                let (name, retryer) = (kind.name(), retryer(kind));
                write!(f, "{name}Policy is nil or retry type not match(type={}), ", type_name(*number))?;
                write!(f, "cannot do update in {retryer}Retryer")
            }
            Invalid::Delay(kind) => write!(f, "invalid retry delay duration in {}Retryer", retryer(kind)),
            Invalid::MaxRetries(n) => write!(f, "invalid MaxRetryTimes[{n}]"),
            Invalid::ErrorRate(rate) => write!(f, "invalid retry circuit breaker rate, errRate={rate:.2}"),
            Invalid::FixedBackoff(ms) => write!(f, "invalid FixedBackOff, fixMS={ms}"),
            Invalid::RandomBackoff(min, max) => write!(f, "invalid RandomBackOff, minMS={min}, maxMS={max}"),
            Invalid::NoBackoffItems => f.write_str("invalid FixedBackOff, CfgItems is nil"),
            Invalid::BackoffType(name) => write!(f, "invalid backoffType={name}"),
            Invalid::Predicate => f.write_str("invalid result predicate: it asks about nothing"),
            Invalid::Quantile => f.write_str("invalid delay quantile: 0 < of < 1, 0 < min_ms <= max_ms"),
            Invalid::TooManyMethods(limit) => write!(f, "more than {limit} methods with a retry policy"),
        }
    }
}

/// As the reference prints a type: by name, or nothing for a number that it does not know.
fn type_name(number: i64) -> &'static str {
    match number {
        0 => "Failure",
        1 => "Backup",
        2 => "Mixed",
        _ => "",
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Error {
        Error::invalid_argument("retry policy", invalid)
    }
}
