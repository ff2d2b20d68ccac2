//! Circuit breakers: of services by key, of instances by their node (governance.md §3).

mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::base::Result;
use crate::policy::document;
use crate::policy::keyed::Keyed;
use crate::policy::time::Time;
use crate::policy::window::{Counts, Sample, Window};

pub use state::{Breaker, Change, State};

/// Keys that are kept with a window; a key that has none of the last ten seconds makes room first.
pub const MAX_KEYS: usize = 10_000;

/// When a breaker trips. Any thread may change it while calls run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// Off: all calls pass, nothing is counted.
    pub enabled: bool,
    /// Rate of failures and timeouts, inclusive.
    pub rate: f64,
    /// Samples in ten seconds, inclusive.
    pub min_samples: u64,
}

impl Default for Config {
    /// On, 0.5, 200.
    fn default() -> Config {
        Config { enabled: true, rate: 0.5, min_samples: 200 }
    }
}

/// `{"enable":true,"err_rate":0.5,"min_sample":200}`; what is absent is false or 0, as in the reference.
pub fn parse(text: &[u8]) -> Result<Config> {
    document::read(text, |document| {
        let mut config = Config { enabled: false, rate: 0.0, min_samples: 0 };
        document.object(|name, document| {
            match name {
                "enable" => config.enabled = document.bool(name)?,
                "err_rate" => config.rate = document.real(name)?,
                "min_sample" => {
                    config.min_samples = document.integer::<i64>(name)?.max(0).unsigned_abs();
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(config)
    })
}

/// A config that breakers read on each call.
#[derive(Debug)]
pub struct Settings {
    enabled: AtomicBool,
    rate: AtomicU64,
    min_samples: AtomicU64,
}

impl Settings {
    /// These.
    pub fn new(config: Config) -> Settings {
        let settings = Settings {
            enabled: AtomicBool::new(false),
            rate: AtomicU64::new(0),
            min_samples: AtomicU64::new(0),
        };
        settings.set(config);
        settings
    }

    /// Changes them for all calls from now on.
    pub fn set(&self, config: Config) {
        self.rate.store(config.rate.to_bits(), Ordering::Relaxed);
        self.min_samples.store(config.min_samples, Ordering::Relaxed);
        self.enabled.store(config.enabled, Ordering::Relaxed);
    }

    /// Whether calls are counted and refused at all.
    #[inline]
    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    fn trips(&self, counts: &Counts) -> bool {
        let rate = f64::from_bits(self.rate.load(Ordering::Relaxed));
        counts.samples() >= self.min_samples.load(Ordering::Relaxed) && counts.rate() >= rate
    }
}

/// What a call's end is to a breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Not counted.
    Ignored,
    /// Counted as this.
    Counted(Sample),
}

/// The classes of errors that breakers tell apart (governance.md §9), and what is no error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A result, a business status error or a declared exception.
    Answer,
    /// Internal exception: nothing was tried.
    Internal,
    /// Service discovery error.
    Discovery,
    /// Request forbidden.
    Acl,
    /// Load balance error.
    LoadBalance,
    /// No connection.
    GetConnection,
    /// RPC timeout.
    Timeout,
    /// Any other error, the remote handler's included.
    Other,
    /// An error of the host that says its class itself.
    Explicit(Class),
}

/// What an outcome is to the breaker of a service.
pub fn service_class(outcome: Outcome) -> Class {
    match outcome {
        Outcome::Internal | Outcome::Discovery | Outcome::Acl | Outcome::LoadBalance => Class::Ignored,
        Outcome::Explicit(class) => class,
        Outcome::Timeout => Class::Counted(Sample::Timeout),
        Outcome::GetConnection | Outcome::Other => Class::Counted(Sample::Failure),
        Outcome::Answer => Class::Counted(Sample::Success),
    }
}

/// What an outcome is to the breaker of an instance: only a missing connection is its fault.
pub fn instance_class(outcome: Outcome) -> Class {
    match outcome {
        Outcome::GetConnection => Class::Counted(Sample::Failure),
        Outcome::Explicit(class) => class,
        _ => Class::Counted(Sample::Success),
    }
}

/// Which breaker refused or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Of a service or method.
    Service,
    /// Of one address.
    Instance,
}

impl Level {
    /// The reference's text of a refused call.
    pub const fn refusal(self) -> &'static str {
        match self {
            Level::Service => "forbidden by circuitbreaker: service circuitbreak",
            Level::Instance => "forbidden by circuitbreaker: instance circuitbreak",
        }
    }

    /// The name of its change events.
    pub const fn event(self) -> &'static str {
        match self {
            Level::Service => "service_cb",
            Level::Instance => "instance_cb",
        }
    }
}

/// The breaker of one key, with the settings of that key.
#[derive(Debug)]
pub struct Keyring {
    breaker: Breaker,
    settings: Settings,
}

impl Keyring {
    /// Whether a call may be made; `None` with its change of state, if the question caused one.
    #[inline]
    pub fn allow(&self, now: Time) -> (bool, Option<Change>) {
        if self.settings.enabled() { self.breaker.allow(now) } else { (true, None) }
    }

    /// A call has ended.
    #[inline]
    pub fn record(&self, class: Class, now: Time) -> Option<Change> {
        match class {
            Class::Counted(sample) if self.settings.enabled() => {
                self.breaker.record(sample, now, &self.settings)
            }
            _ => None,
        }
    }

    /// The breaker itself.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// The breakers of services, by key. Off unless a client has one. Any thread; lookups are lock-free.
pub struct Breakers {
    keys: Keyed<Keyring>,
    default: Config,
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("keys", &self.keys.len()).field("default", &self.default).finish()
    }
}

/// The reference's key of a call.
pub fn key(from: &str, to: &str, method: &str) -> String {
    format!("{from}/{to}/{method}")
}

impl Breakers {
    /// Keys without a config of their own have this one.
    pub fn new(default: Config) -> Breakers {
        Breakers { keys: Keyed::new(MAX_KEYS), default }
    }

    /// The breaker of a key; `None` if there are too many keys in use, and calls pass then. Keep it for the
    /// call, or for as long as its method is used.
    #[inline]
    pub fn get(&self, key: &str, now: Time) -> Option<Arc<Keyring>> {
        self.keys.get(key).or_else(|| self.add(key, self.default, now))
    }

    #[cold]
    fn add(&self, key: &str, config: Config, now: Time) -> Option<Arc<Keyring>> {
        let make = || Keyring { breaker: Breaker::new(), settings: Settings::new(config) };
        self.keys.get_or_add(key, make).or_else(|| {
            self.keys.retain(|_, keyring| keyring.breaker.counts(now).samples() > 0);
            self.keys.get_or_add(key, make)
        })
    }

    /// A key's config, new or changed.
    pub fn configure(&self, key: &str, config: Config, now: Time) {
        if let Some(keyring) = self.get(key, now) {
            keyring.settings.set(config);
        }
    }

    /// The window of a key, for retries that share it ([`Statistic::Shared`](crate::policy::retry::Statistic)).
    pub fn window(&self, key: &str, now: Time) -> Arc<Window> {
        self.get(key, now).map(|keyring| keyring.breaker.window()).unwrap_or_default()
    }
}
