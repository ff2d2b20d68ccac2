//! One instance: what the resolver says, and what its calls show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::policy::attempt::NodeId;
use crate::policy::balance::Instance;
use crate::policy::breaker::{Breaker, Change, Class, Outcome, Settings, instance_class};
use crate::policy::number::{high, low, word};
use crate::policy::time::Time;

/// In which time latency is forgotten by half, in ms.
const DECAY_MS: f32 = 10_000.0;
/// What a failed call counts at least, in µs: an instance that fails fast must not look fast.
const FAILED_MICROS: f32 = 10_000.0;

/// An instance of a list. Kept by calls that use it; any thread.
#[derive(Debug)]
pub struct Node {
    weight: u32,
    tags: BTreeMap<String, String>,
    state: Arc<NodeState>,
}

/// What stays when weight or tags change.
#[derive(Debug)]
struct NodeState {
    id: NodeId,
    address: Box<str>,
    settings: Arc<Settings>,
    breaker: Breaker,
    in_flight: AtomicU32,
    /// Upper half: µs as f32. Lower half: when, in ms.
    latency: AtomicU64,
}

impl Node {
    pub(super) fn new(id: NodeId, instance: &Instance, settings: Arc<Settings>) -> Arc<Node> {
        let state = NodeState {
            id,
            address: instance.address.as_str().into(),
            settings,
            breaker: Breaker::new(),
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
        };
        Node::of(Arc::new(state), instance)
    }

    fn of(state: Arc<NodeState>, instance: &Instance) -> Arc<Node> {
        let weight = u32::try_from(instance.weight).unwrap_or(0);
        Arc::new(Node { weight, tags: instance.tags.clone(), state })
    }

    /// The same instance with another weight and other tags.
    pub(super) fn with(&self, instance: &Instance) -> Arc<Node> {
        Node::of(Arc::clone(&self.state), instance)
    }

    /// Its number in this balancer; never given twice.
    #[inline]
    pub fn id(&self) -> NodeId {
        self.state.id
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.state.address
    }

    /// Its share.
    #[inline]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The value of a tag; "" if it has none.
    pub fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }

    /// Its breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.state.breaker
    }

    /// Calls under way.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    /// Whether its breaker lets a call through; a half-open one is used up by asking.
    #[inline]
    pub fn allow(&self, now: Time) -> bool {
        !self.state.settings.enabled() || self.state.breaker.allow(now).0
    }

    /// Expected latency × calls under way, for its weight: what [`Kind::P2cEwma`] compares. An instance
    /// that has not answered yet is cheap while it is idle, and dear with a call under way.
    ///
    /// [`Kind::P2cEwma`]: crate::policy::balance::Kind::P2cEwma
    #[inline]
    pub fn cost(&self, now: Time) -> f32 {
        let pending = small(self.in_flight());
        let latency = self.state.latency.load(Ordering::Relaxed);
        let micros = f32::from_bits(high(latency)) * kept(low(latency), now);
        let unknown = if latency == 0 && pending > 0.0 { 1e9 } else { 0.0 };
        (micros + unknown) * (pending + 1.0) / small(self.weight.max(1))
    }

    /// A call begins.
    #[inline]
    pub fn begin(&self, now: Time) -> InFlight {
        self.state.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { state: Arc::clone(&self.state), began_at: now }
    }
}

/// As far as rules compare loads, f32 is exact enough.
#[allow(clippy::cast_precision_loss, reason = "loads and weights are compared, not counted")]
fn small(count: u32) -> f32 {
    count as f32
}

fn stamp(now: Time) -> u32 {
    low(now.nanos() / 1_000_000)
}

/// What part of a value is left after the time since. The other thread's clock may be a little ahead.
fn kept(since: u32, now: Time) -> f32 {
    let passed = stamp(now).wrapping_sub(since);
    let passed = if passed > u32::MAX / 2 { 0 } else { passed };
    DECAY_MS / (DECAY_MS + small(passed))
}

impl NodeState {
    /// A peak counts at once, less takes its time.
    fn observe(&self, sample: f32, now: Time) {
        let new = |old: u64| {
            let micros = f32::from_bits(high(old));
            let kept = kept(low(old), now);
            let new = if sample > micros { sample } else { micros * kept + sample * (1.0 - kept) };
            Some(word(new.to_bits(), stamp(now)))
        };
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, new);
    }

    fn micros(&self) -> f32 {
        f32::from_bits(high(self.latency.load(Ordering::Relaxed)))
    }
}

/// A call under way at an instance. Dropped without an end, it was given up and says nothing.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<NodeState>,
    began_at: Time,
}

impl InFlight {
    /// It has ended: counts in the instance's breaker and latency. The breaker's change, for events.
    pub fn end(self, outcome: Outcome, now: Time) -> Option<Change> {
        let micros = now.nanos_since(self.began_at) / 1000;
        let took = small(u32::try_from(micros).unwrap_or(u32::MAX));
        let sample = match outcome {
            Outcome::Answer => took,
            _ => took.max(FAILED_MICROS).max(self.state.micros() * 2.0),
        };
        self.state.observe(sample, now);
        match instance_class(outcome) {
            Class::Counted(sample) if self.state.settings.enabled() => {
                self.state.breaker.record(sample, now, &self.state.settings)
            }
            _ => None,
        }
    }

    /// The instance's number.
    pub fn id(&self) -> NodeId {
        self.state.id
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
