//! Which instance an attempt goes to (governance.md §5).

mod consistent;
mod load;
mod node;
mod round;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::base::lock::Mutex;
use crate::policy::Mode;
use crate::policy::attempt::NodeId;
use crate::policy::breaker::{Config, Outcome, Settings};
use crate::policy::number::{below, index, mix};
use crate::policy::time::Time;

pub use consistent::{Consistent, hash};
pub use node::{InFlight, Node};

/// Picks of one attempt at most (§5.4).
pub const MAX_PICKS: usize = 6;
/// Instances of one list at most; more are dropped.
pub const MAX_NODES: usize = 100_000;
/// How often the rule is asked again before all instances are looked through.
const TRIES: u64 = 4;

/// An instance, as a resolver tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Instance {
    /// Where; its identity in the list.
    pub address: String,
    /// Its share; 0 or less is never picked.
    pub weight: i32,
    /// What it says of itself.
    pub tags: BTreeMap<String, String>,
}

/// The rule of a balancer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Smooth weighted round robin.
    #[default]
    WeightedRoundRobin,
    /// Interleaved weighted round robin: the same shares, memory for the nodes only.
    InterleavedWeightedRoundRobin,
    /// By chance, by weight.
    WeightedRandom,
    /// The same, with an alias table: O(1).
    WeightedRandomAlias,
    /// By the hash of a key.
    Consistent(Consistent),
    /// The fewest requests under way for its weight. Beyond the reference.
    LeastLoaded,
    /// The better of two by chance: latency × requests under way, for its weight. Beyond the reference.
    P2cEwma,
    /// Groups by the value of a tag, each with a balancer of its own.
    Tagged {
        /// Which tag; an instance without it is in the group "".
        tag: String,
        /// The rule within a group.
        inner: Box<Kind>,
    },
}

impl Kind {
    /// The name by which it is chosen; the reference's, where it has one.
    pub fn name(&self) -> String {
        match self {
            Kind::WeightedRoundRobin => "weight_round_robin".into(),
            Kind::InterleavedWeightedRoundRobin => "interleaved_weighted_round_robin".into(),
            Kind::WeightedRandom => "weight_random".into(),
            Kind::WeightedRandomAlias => "weight_random_with_alias_method".into(),
            Kind::Consistent(_) => "consist".into(),
            Kind::LeastLoaded => "least_loaded".into(),
            Kind::P2cEwma => "p2c_ewma".into(),
            Kind::Tagged { inner, .. } => format!("tagging_{}", inner.name()),
        }
    }
}

/// Instances that a pick avoids if it can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Avoid {
    nodes: [NodeId; 2 * MAX_PICKS],
    len: u8,
}

impl Avoid {
    /// One more; beyond twelve, nothing happens.
    pub fn add(&mut self, node: NodeId) {
        if let Some(place) = self.nodes.get_mut(usize::from(self.len)) {
            *place = node;
            self.len += 1;
        }
    }

    #[inline]
    fn has(&self, node: NodeId) -> bool {
        self.len > 0 && self.nodes.iter().take(self.len.into()).any(|avoided| *avoided == node)
    }
}

impl FromIterator<NodeId> for Avoid {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Avoid {
        let mut avoid = Avoid::default();
        nodes.into_iter().for_each(|node| avoid.add(node));
        avoid
    }
}

/// What a pick is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// 64 random bits.
    pub chance: u64,
    /// The key of consistent hashing.
    pub key: &'a [u8],
    /// The values of tags, outermost first.
    pub groups: &'a [&'a str],
    /// If there is a choice, none of these.
    pub avoid: Avoid,
    /// Now.
    pub now: Time,
}

/// Why there is no instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoNode {
    /// The list has none with a weight, or the group does not exist.
    Empty,
    /// Consistent hashing needs a key.
    NoKey,
    /// The breakers of all are open.
    AllBroken,
}

/// The reference's words, with what it does not tell apart.
impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no more instances to retry: ")?;
        f.write_str(match self {
            NoNode::Empty => "no instance available",
            NoNode::NoKey => "no key for consistent hashing",
            NoNode::AllBroken => "forbidden by circuitbreaker: instance circuitbreak",
        })
    }
}

impl std::error::Error for NoNode {}

/// What a new list changed, by address: idle connections of the removed are closed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// New.
    pub added: Vec<String>,
    /// With another weight or other tags.
    pub updated: Vec<String>,
    /// Gone, with their breakers.
    pub removed: Vec<String>,
}

impl Change {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.updated.is_empty() && self.removed.is_empty()
    }
}

/// Nodes and the rule's tables over them.
struct Group {
    nodes: Vec<Arc<Node>>,
    rule: Rule,
}

enum Rule {
    Empty,
    Round(round::Round),
    Interleaved(round::Interleaved),
    Random(round::Cumulative),
    Alias(round::Alias),
    Consistent(consistent::Ring),
    /// With the greatest weight.
    LeastLoaded(u32),
    P2c(round::Cumulative),
    Tagged(FxHashMap<String, Group>),
}

impl Group {
    fn new(nodes: Vec<Arc<Node>>, kind: &Kind, chance: u64) -> Group {
        if nodes.is_empty() {
            return Group { nodes, rule: Rule::Empty };
        }
        let weights = || nodes.iter().map(|node| node.weight()).collect::<Vec<_>>();
        let rule = match kind {
            Kind::WeightedRoundRobin => Rule::Round(round::Round::new(&weights(), chance)),
            Kind::InterleavedWeightedRoundRobin => {
                Rule::Interleaved(round::Interleaved::new(&weights(), chance))
            }
            Kind::WeightedRandom => Rule::Random(round::Cumulative::new(&weights())),
            Kind::WeightedRandomAlias => Rule::Alias(round::Alias::new(&weights())),
            Kind::Consistent(how) => Rule::Consistent(consistent::Ring::new(&nodes, *how)),
            Kind::LeastLoaded => Rule::LeastLoaded(weights().into_iter().max().unwrap_or(0)),
            Kind::P2cEwma => Rule::P2c(round::Cumulative::new(&weights())),
            Kind::Tagged { tag, inner } => {
                let mut groups: FxHashMap<String, Vec<Arc<Node>>> = FxHashMap::default();
                for node in &nodes {
                    groups.entry(node.tag(tag).to_owned()).or_default().push(Arc::clone(node));
                }
                let group = |(value, nodes)| (value, Group::new(nodes, inner, chance));
                Rule::Tagged(groups.into_iter().map(group).collect())
            }
        };
        Group { nodes, rule }
    }

    /// The rule's choice; `turn` counts the choices of one pick.
    #[inline]
    fn choose(&self, ask: &Ask<'_>, turn: u64) -> usize {
        let chance = if turn == 0 { ask.chance } else { mix(ask.chance.wrapping_add(turn)) };
        match &self.rule {
            Rule::Round(round) => round.next(),
            Rule::Interleaved(interleaved) => interleaved.next(),
            Rule::Random(cumulative) => cumulative.at(chance),
            Rule::Alias(alias) => alias.at(chance),
            Rule::Consistent(ring) => ring.at(ask.key, turn),
            Rule::LeastLoaded(greatest) => load::least_loaded(&self.nodes, *greatest, chance),
            Rule::P2c(cumulative) => load::better_of_two(&self.nodes, cumulative, chance, ask.now),
            Rule::Empty | Rule::Tagged(_) => usize::MAX,
        }
    }

    fn pick(&self, ask: &Ask<'_>) -> Result<Arc<Node>, NoNode> {
        if let Rule::Tagged(groups) = &self.rule {
            let (value, inner) = ask.groups.split_first().unwrap_or((&"", &[]));
            let group = groups.get(*value).ok_or(NoNode::Empty)?;
            return group.pick(&Ask { groups: inner, ..*ask });
        }
        if matches!(self.rule, Rule::Empty) {
            return Err(NoNode::Empty);
        }
        if matches!(self.rule, Rule::Consistent(_)) && ask.key.is_empty() {
            return Err(NoNode::NoKey);
        }
        for turn in 0..TRIES {
            if let Some(node) = self.nodes.get(self.choose(ask, turn))
                && !ask.avoid.has(node.id())
                && node.allow(ask.now)
            {
                return Ok(Arc::clone(node));
            }
        }
        self.look_through(ask)
    }

    /// The first one that will do, from one by chance on; rather one to avoid than a broken one.
    #[cold]
    fn look_through(&self, ask: &Ask<'_>) -> Result<Arc<Node>, NoNode> {
        if let Rule::Consistent(ring) = &self.rule {
            let usable = |at: usize, avoiding: bool| {
                let node = self.nodes.get(at)?;
                (!(avoiding && ask.avoid.has(node.id())) && node.allow(ask.now)).then(|| Arc::clone(node))
            };
            let found = ring.walk(ask.key).find_map(|at| usable(at, true));
            return found
                .or_else(|| ring.walk(ask.key).find_map(|at| usable(at, false)))
                .ok_or(NoNode::AllBroken);
        }
        let from = index(below(ask.chance, self.nodes.len() as u64));
        let (front, back) = self.nodes.split_at(from.min(self.nodes.len()));
        let mut order = back.iter().chain(front);
        let found = order.clone().find(|node| !ask.avoid.has(node.id()) && node.allow(ask.now));
        let found = found.or_else(|| order.find(|node| ask.avoid.has(node.id()) && node.allow(ask.now)));
        found.map(Arc::clone).ok_or(NoNode::AllBroken)
    }
}

/// A balancer over a list of instances that may change at any time. Picks are lock-free; any thread.
pub struct Balancer {
    kind: Kind,
    mode: Mode,
    group: ArcSwap<Group>,
    settings: Arc<Settings>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    instances: BTreeMap<String, (Instance, Arc<Node>)>,
    last_id: u32,
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Balancer {
    /// Without instances. `breaker` is the config of all instances' breakers; off if it is `None`.
    pub fn new(kind: Kind, breaker: Option<Config>, mode: Mode) -> Balancer {
        let off = Config { enabled: false, ..Config::default() };
        Balancer {
            kind,
            mode,
            group: ArcSwap::from_pointee(Group { nodes: Vec::new(), rule: Rule::Empty }),
            settings: Arc::new(Settings::new(breaker.unwrap_or(off))),
            list: Mutex::new(List::default()),
        }
    }

    /// The settings of the instances' breakers, for changes.
    pub fn breaker_settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a new list. Of an address that is there twice the first counts. An instance that stays keeps
    /// its number, breaker and load. In [`Mode::Compat`] other tags alone change nothing. `chance` decides
    /// where the round robins begin.
    pub fn update(&self, instances: &[Instance], chance: u64) -> Change {
        let mut list = self.list.lock();
        let mut before = std::mem::take(&mut list.instances);
        let mut change = Change::default();
        let mut order = Vec::with_capacity(instances.len());
        for instance in instances.iter().take(MAX_NODES) {
            if list.instances.contains_key(&instance.address) {
                continue;
            }
            let entry = match before.remove(&instance.address) {
                None => {
                    change.added.push(instance.address.clone());
                    list.last_id += 1;
                    Node::new(NodeId(list.last_id), instance, Arc::clone(&self.settings))
                }
                Some((old, node)) if self.is_same(&old, instance) => node,
                Some((_, node)) => {
                    change.updated.push(instance.address.clone());
                    node.with(instance)
                }
            };
            order.push(Arc::clone(&entry));
            list.instances.insert(instance.address.clone(), (instance.clone(), entry));
        }
        change.removed = before.into_keys().collect();
        if !change.is_empty() {
            order.retain(|node| node.weight() > 0);
            self.group.store(Arc::new(Group::new(order, &self.kind, chance)));
        }
        change
    }

    fn is_same(&self, old: &Instance, new: &Instance) -> bool {
        old.weight == new.weight && (self.mode == Mode::Compat || old.tags == new.tags)
    }

    /// An instance whose breaker lets a call through. Its caller says how the call went: [`Node::begin`].
    #[inline]
    pub fn pick(&self, ask: &Ask<'_>) -> Result<Arc<Node>, NoNode> {
        self.group.load().pick(ask)
    }

    /// The instance with this number, if it is still there and its breaker lets a call through: for a retry
    /// on the same instance.
    pub fn same(&self, id: NodeId, now: Time) -> Option<Arc<Node>> {
        let group = self.group.load();
        group.nodes.iter().find(|node| node.id() == id && node.allow(now)).map(Arc::clone)
    }
}

/// The picks of one attempt: at most six, none twice if there is a choice (§5.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    picks: u8,
    tried: Avoid,
}

impl Walk {
    /// The next instance to try; `None` if there were enough.
    pub fn next(&mut self, balancer: &Balancer, ask: &Ask<'_>) -> Option<Result<Arc<Node>, NoNode>> {
        if usize::from(self.picks) >= MAX_PICKS {
            return None;
        }
        let mut ask = *ask;
        ask.chance = mix(ask.chance.wrapping_add(self.picks.into()));
        let tried = self.tried.nodes.iter().take(self.tried.len.into());
        tried.for_each(|node| ask.avoid.add(*node));
        self.picks += 1;
        let node = balancer.pick(&ask);
        if let Ok(node) = &node {
            self.tried.add(node.id());
        }
        Some(node)
    }

    /// Whether another instance may be tried after such an end: only if this one could not be reached.
    pub fn goes_on(outcome: Outcome) -> bool {
        outcome == Outcome::GetConnection
    }
}
