//! Which policy a call has, and how policies change while calls run (governance.md §1.8).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::base::lock::Mutex;
use crate::policy::Mode;
use crate::policy::budget::Budget;
use crate::policy::gate::{DdlStop, Feed, Gate, Stop};
use crate::policy::keyed::Keyed;
use crate::policy::number::{high, low, word};
use crate::policy::retry::{Backoff, Invalid, Kind, OnError, Parsed, Predicate, RetryPolicy};
use crate::policy::time::{Time, millis};
use crate::policy::window::Window;

/// The method of a policy that counts for all methods without one.
pub(super) const ANY: &str = "*";

/// Bounds on what is kept by method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Methods with a policy of their own. Default 10,000.
    pub policies: usize,
    /// Methods with a window of their own; all others share one. Default 10,000.
    pub methods: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { policies: 10_000, methods: 10_000 }
    }
}

/// Finds the window of a method.
pub type WindowOf = Arc<dyn Fn(&str) -> Arc<Window> + Send + Sync>;

/// What the retry breaker counts (governance.md §1.4).
#[derive(Clone, Default)]
pub enum Statistic {
    /// The share of extra attempts in all attempts: bounds the extra load.
    #[default]
    Share,
    /// The outcome of each attempt.
    Outcomes,
    /// The windows of service breakers, by method.
    Shared {
        /// The window of a method.
        of: WindowOf,
        /// Whether attempts are counted here; false if the breaker sees them anyway.
        count: bool,
    },
}

impl fmt::Debug for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Statistic::Share => "Share",
            Statistic::Outcomes => "Outcomes",
            Statistic::Shared { .. } => "Shared",
        })
    }
}

/// What a client says once about retries.
#[derive(Clone, Default)]
pub struct Options {
    /// Whose behaviour counts.
    pub mode: Mode,
    /// What the retry breaker counts.
    pub statistic: Statistic,
    /// Bounds extra load on top of the breaker; none by default.
    pub budget: Option<Arc<Budget>>,
    /// The program's rule for policies with `ddl_stop`.
    pub ddl: Option<DdlStop>,
    /// Overrides the predicate of every policy but those of single calls.
    pub predicate: Option<Predicate>,
    /// Bounds.
    pub limits: Limits,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { mode, statistic, budget, predicate, .. } = self;
        f.debug_struct("Options")
            .field("mode", mode)
            .field("statistic", statistic)
            .field("budget", budget)
            .field("predicate", predicate)
            .finish_non_exhaustive()
    }
}

/// What an attempt engine copies from a policy when a call begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::policy) struct Plan {
    pub kind: Kind,
    pub compat: bool,
    pub retries: u8,
    pub errors: OnError,
    pub answers: bool,
    pub timeouts: bool,
    pub same_node: bool,
    pub max_duration_ms: u32,
    /// Nanoseconds.
    pub delay: u64,
}

/// What calls under way see change: shared by all versions of a policy of one kind.
#[derive(Debug)]
struct Switches {
    enabled: AtomicBool,
    error_rate: AtomicU64,
    backoff: AtomicU64,
    ddl: AtomicBool,
}

impl Switches {
    fn new(policy: &RetryPolicy) -> Switches {
        let switches = Switches {
            enabled: AtomicBool::new(false),
            error_rate: AtomicU64::new(0),
            backoff: AtomicU64::new(0),
            ddl: AtomicBool::new(false),
        };
        switches.set(policy);
        switches
    }

    fn set(&self, policy: &RetryPolicy) {
        self.error_rate.store(policy.error_rate.to_bits(), Ordering::Relaxed);
        self.ddl.store(policy.ddl_stop && policy.kind != Kind::Backup, Ordering::Relaxed);
        // No fixed backoff is 0, and no random one has an upper bound of 0.
        let backoff = match policy.backoff {
            Backoff::None => 0,
            Backoff::Fixed(ms) => word(ms, 0),
            Backoff::Random { min_ms, max_ms } => word(min_ms, max_ms),
        };
        self.backoff.store(backoff, Ordering::Relaxed);
        self.enabled.store(policy.enabled, Ordering::Relaxed);
    }

    fn backoff(&self) -> Backoff {
        let backoff = self.backoff.load(Ordering::Relaxed);
        match (high(backoff), low(backoff)) {
            (0, 0) => Backoff::None,
            (ms, 0) => Backoff::Fixed(ms),
            (min_ms, max_ms) => Backoff::Random { min_ms, max_ms },
        }
    }
}

/// A policy in use.
#[derive(Debug)]
pub(in crate::policy) struct Live {
    policy: RetryPolicy,
    plan: Plan,
    switches: Arc<Switches>,
}

impl Live {
    fn new(policy: RetryPolicy, mode: Mode, before: Option<&Live>) -> Live {
        let same_kind = before.filter(|live| live.policy.kind == policy.kind);
        let switches = match same_kind {
            Some(live) => {
                live.switches.set(&policy);
                Arc::clone(&live.switches)
            }
            None => Arc::new(Switches::new(&policy)),
        };
        let retries = if policy.enabled { policy.max_retries } else { 0 };
        let predicate = if policy.kind == Kind::Backup { Predicate::default() } else { policy.predicate };
        let plan = Plan {
            kind: policy.kind,
            compat: mode == Mode::Compat,
            retries: u8::try_from(retries).unwrap_or(0),
            errors: predicate.errors,
            answers: predicate.answers,
            timeouts: !predicate.not_for_timeouts,
            same_node: policy.same_node,
            max_duration_ms: if policy.kind == Kind::Backup { 0 } else { policy.max_duration_ms },
            delay: millis(policy.delay_ms.into()),
        };
        Live { policy, plan, switches }
    }
}

/// The policy of one call, with what its method's calls share. Cheap to clone; keep it for the call.
#[derive(Clone, Debug)]
pub struct Retryer {
    live: Arc<Live>,
    gate: Arc<Gate>,
}

impl Retryer {
    /// The policy as it was when the call began.
    pub fn policy(&self) -> &RetryPolicy {
        &self.live.policy
    }

    pub(in crate::policy) fn plan(&self) -> &Plan {
        &self.live.plan
    }

    pub(in crate::policy) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The pause before an extra attempt, by the live policy.
    pub(in crate::policy) fn backoff(&self, chance: u64) -> u64 {
        if self.live.plan.kind == Kind::Backup { 0 } else { self.live.switches.backoff().nanos(chance) }
    }

    /// The gate before an extra attempt without its backoff (§1.4), by the live policy. Passing it costs what
    /// an attempt costs.
    pub(in crate::policy) fn stops(&self, now: Time) -> Option<Stop> {
        let stop = self.stops_free(now);
        if stop.is_none() && !self.gate.spend(now) { Some(Stop::Budget) } else { stop }
    }

    /// The same where no attempt follows.
    pub(in crate::policy) fn stops_free(&self, now: Time) -> Option<Stop> {
        let switches = &self.live.switches;
        if !switches.enabled.load(Ordering::Relaxed) {
            return Some(Stop::Disabled);
        }
        let rate = f64::from_bits(switches.error_rate.load(Ordering::Relaxed));
        if let Some(stop) = self.gate.breaker_stops(rate, now) {
            return Some(stop);
        }
        if switches.ddl.load(Ordering::Relaxed) { self.gate.ddl_stops() } else { None }
    }

    /// Why the call is made without retries (§1.3), if it is.
    #[inline]
    pub(in crate::policy) fn refuses(&self, chained: bool) -> Option<Stop> {
        if chained && self.live.policy.chain_stop {
            return Some(Stop::Chain);
        }
        if self.live.policy.ddl_stop && self.live.plan.kind != Kind::Backup {
            return self.gate.ddl_stops();
        }
        None
    }

    /// The delay of this call's backups, in nanoseconds.
    #[inline]
    pub(in crate::policy) fn delay(&self, now: Time) -> u64 {
        let followed =
            self.live.policy.delay_quantile.as_ref().and_then(|quantile| self.gate.delay(quantile, now));
        followed.unwrap_or(self.live.plan.delay)
    }
}

/// A policy made ready for single calls.
#[derive(Clone, Debug)]
pub struct CallPolicy(Result<Arc<Live>, Invalid>);

/// What a call's policy is.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// None: one attempt, nothing counted.
    None,
    /// This one.
    Retry(Retryer),
    /// [`Mode::Compat`]: the call's own policy is refused, so it is one attempt; to be logged.
    Single(Invalid),
}

#[derive(Clone, Debug, Default)]
struct State {
    methods: FxHashMap<Box<str>, Entry>,
    /// Policies come from code: remote ones are ignored.
    from_code: bool,
    message: String,
}

#[derive(Clone, Debug)]
struct Entry {
    live: Arc<Live>,
    /// Why the last update was refused, or what it was wrong about.
    refused: Option<Invalid>,
}

/// The policies of a client by method. Lookups are lock-free; changes count for calls that begin later, and
/// at the gates of calls under way. Any thread.
pub struct Policies {
    options: Options,
    state: ArcSwap<State>,
    changing: Mutex<()>,
    gates: Keyed<Gate>,
    /// For the methods that `gates` has no room for.
    common: Arc<Gate>,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("state", &self.state.load()).finish_non_exhaustive()
    }
}

impl Policies {
    /// No policy yet. A predicate that asks nothing is refused.
    pub fn new(options: Options) -> Result<Policies, Invalid> {
        if options.predicate.is_some_and(|predicate| predicate == Predicate::default()) {
            return Err(Invalid::Predicate);
        }
        let common = Arc::new(make_gate(&options, ANY));
        Ok(Policies {
            state: ArcSwap::default(),
            changing: Mutex::new(()),
            gates: Keyed::new(options.limits.methods),
            common,
            options,
        })
    }

    /// The policy of a call: its own if that is enabled, else its method's, else that of `*`. A policy of
    /// its own that is refused fails the call, or makes it single in [`Mode::Compat`].
    pub fn lookup(&self, own: Option<&CallPolicy>, method: &str) -> Result<Lookup, Invalid> {
        let own = match own {
            Some(CallPolicy(Ok(live))) if live.policy.enabled => Some(Arc::clone(live)),
            Some(CallPolicy(Err(invalid))) if self.options.mode == Mode::Compat => {
                return Ok(Lookup::Single(invalid.clone()));
            }
            Some(CallPolicy(Err(invalid))) => return Err(invalid.clone()),
            _ => None,
        };
        let Some(live) = own.or_else(|| self.live(method)) else { return Ok(Lookup::None) };
        let gate = self.gates.get_or_add(method, || make_gate(&self.options, method));
        let gate = gate.unwrap_or_else(|| Arc::clone(&self.common));
        Ok(Lookup::Retry(Retryer { live, gate }))
    }

    fn live(&self, method: &str) -> Option<Arc<Live>> {
        let state = self.state.load();
        let entry = state.methods.get(method).or_else(|| state.methods.get(ANY))?;
        Some(Arc::clone(&entry.live))
    }

    /// Makes a policy ready for calls that bring their own. It has the client's predicate if it has none;
    /// in [`Mode::Compat`] it never has.
    pub fn for_calls(&self, mut policy: RetryPolicy) -> CallPolicy {
        if let Err(invalid) = policy.check() {
            return CallPolicy(Err(invalid));
        }
        if self.options.mode == Mode::Better && policy.predicate == Predicate::default() {
            policy.predicate = self.options.predicate.unwrap_or_default();
        }
        CallPolicy(Ok(Arc::new(Live::new(policy, self.options.mode, None))))
    }

    /// Policies from code, before the first call. If one of them is enabled, remote ones are ignored from
    /// then on. A remote policy that came earlier gives way; in [`Mode::Compat`] it stays.
    pub fn install(&self, policies: BTreeMap<String, RetryPolicy>) -> Result<(), Invalid> {
        for policy in policies.values() {
            policy.check()?;
        }
        self.change(|state| {
            for (method, policy) in policies.into_iter().filter(|(_, policy)| policy.enabled) {
                let stays = self.options.mode == Mode::Compat && state.methods.contains_key(method.as_str());
                state.from_code = true;
                if !stays {
                    self.put(state, &method, policy, None)?;
                }
            }
            Ok(())
        })
    }

    /// A policy from a config centre, new or changed. False if it is ignored because code has policies. A
    /// refused one leaves the policy before in place, with its reason in the dump.
    pub fn update(&self, method: &str, parsed: Parsed) -> Result<bool, Invalid> {
        self.change(|state| {
            state.message.clear();
            if state.from_code {
                return Ok(false);
            }
            let mut policy = match parsed.policy {
                Ok(policy) => policy,
                Err(invalid) => return self.refuse(state, method, invalid),
            };
            let before = state.methods.get(method).map(|entry| Arc::clone(&entry.live));
            let same_kind = before.filter(|live| live.policy.kind == policy.kind);
            let warning = parsed.warnings.into_iter().find(is_about_backoff);
            if let Some(before) = same_kind {
                if warning.is_some() {
                    policy.backoff = before.policy.backoff;
                }
                // Switched off, the rest is kept as it was.
                if !policy.enabled {
                    policy = RetryPolicy { enabled: false, ..before.policy.clone() };
                }
            }
            self.put(state, method, policy, warning)?;
            state.message = format!("update retryer[{method}]");
            Ok(true)
        })
    }

    /// A policy is gone from the config centre. False if that is ignored because code has policies.
    pub fn delete(&self, method: &str) -> bool {
        let deleted = self.change(|state| {
            state.message.clear();
            if state.from_code {
                return Ok(false);
            }
            if state.methods.remove(method).is_some() {
                state.message = format!("delete retryer[{method}]");
            }
            Ok(true)
        });
        deleted.unwrap_or(false)
    }

    fn refuse(&self, state: &mut State, method: &str, invalid: Invalid) -> Result<bool, Invalid> {
        state.message = format!("new retryer[{method}] failed, err={invalid}");
        if let Some(entry) = state.methods.get_mut(method) {
            entry.refused = Some(invalid.clone());
        }
        Err(invalid)
    }

    fn put(
        &self,
        state: &mut State,
        method: &str,
        mut policy: RetryPolicy,
        refused: Option<Invalid>,
    ) -> Result<(), Invalid> {
        let limit = self.options.limits.policies;
        if state.methods.len() >= limit && !state.methods.contains_key(method) {
            return Err(Invalid::TooManyMethods(limit));
        }
        if let Some(predicate) = self.options.predicate {
            policy.predicate = predicate;
        }
        let before = state.methods.get(method).map(|entry| &*entry.live);
        let live = Arc::new(Live::new(policy, self.options.mode, before));
        state.methods.insert(method.into(), Entry { live, refused });
        Ok(())
    }

    /// One change at a time; what a failed one has noted stays, so that the dump can show it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Invalid>) -> Result<T, Invalid> {
        let _changing = self.changing.lock();
        let mut state = State::clone(&self.state.load());
        let result = change(&mut state);
        self.state.store(Arc::new(state));
        result
    }

    /// Each method with its policy and why its last update was refused; then what happened last.
    pub fn dump(&self) -> (BTreeMap<String, (RetryPolicy, Option<Invalid>)>, String) {
        let state = self.state.load();
        let entry = |entry: &Entry| (entry.live.policy.clone(), entry.refused.clone());
        let methods = state.methods.iter().map(|(method, e)| (method.to_string(), entry(e))).collect();
        (methods, state.message.clone())
    }
}

fn is_about_backoff(warning: &Invalid) -> bool {
    !matches!(warning, Invalid::ErrorRate(_))
}

fn make_gate(options: &Options, method: &str) -> Gate {
    let (window, feed) = match &options.statistic {
        Statistic::Share => (Arc::default(), Feed::Share),
        Statistic::Outcomes => (Arc::default(), Feed::Outcomes),
        Statistic::Shared { of, count } => (of(method), if *count { Feed::Outcomes } else { Feed::Nothing }),
    };
    Gate::new(window, feed, options.budget.clone(), options.ddl.clone())
}
