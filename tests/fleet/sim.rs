//! A fleet in memory: clients that arrive at random, instances with a few workers each, a clock that jumps
//! to the next event. The policies, balancer and breakers are the library's; the rest is here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use krpc::base::Code;
use krpc::policy::Time;
use krpc::policy::attempt::{Action, Attempts, Call, End, Outcome, Place};
use krpc::policy::balance::{Ask, Avoid, Balancer, InFlight, Instance, Kind, Node};
use krpc::policy::breaker;
use krpc::policy::retry::{Lookup, Options, Policies, Retryer};
use krpc::policy::{Mode, budget::Budget, retry::RetryPolicy};

const MS: u64 = 1_000_000;
const INSTANCES: usize = 20;
/// Requests that an instance works on at a time; more wait.
const WORKERS: usize = 2;
const TIMEOUT_MS: u64 = 500;
/// Calls per millisecond: half of what the fleet can do.
const CALLS_PER_MS: u64 = 4;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Each instance stands still now and then, and refuses all requests at other times.
    StallsAndFailures,
    /// All instances fail all requests.
    AllFail,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    pub calls: u64,
    pub seed: u64,
    pub trouble: Trouble,
    pub policy: Option<RetryPolicy>,
    /// Percent and floor per second.
    pub budget: Option<(f64, u32)>,
}

/// What was seen.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// Durations of all calls in µs, in order.
    pub micros: Vec<u64>,
    pub failed: u64,
    pub attempts: u64,
    pub calls: u64,
    pub simulated_ms: u64,
}

impl Seen {
    /// In ms.
    pub fn percentile(&self, of: f64) -> f64 {
        let at = (self.micros.len() as f64 * of) as usize;
        self.micros[at.min(self.micros.len() - 1)] as f64 / 1000.0
    }

    /// Attempts above one for each call, in percent.
    pub fn extra(&self) -> f64 {
        (self.attempts - self.calls) as f64 * 100.0 / self.calls as f64
    }

    pub fn failed_percent(&self) -> f64 {
        self.failed as f64 * 100.0 / self.calls as f64
    }
}

/// SplitMix64: small, the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + ((u128::from(self.next()) * u128::from(to - from)) >> 64) as u64
    }

    /// What a request takes, in ns: mostly a few ms, now and then much longer.
    fn service(&mut self) -> u64 {
        match self.between(0, 1000) {
            0..900 => self.between(2 * MS, 6 * MS),
            900..990 => self.between(6 * MS, 20 * MS),
            990..999 => self.between(20 * MS, 80 * MS),
            _ => self.between(100 * MS, 300 * MS),
        }
    }
}

/// A server: requests wait in a queue for one of its workers.
struct Server {
    waiting: VecDeque<(u64, u8)>,
    busy: usize,
    /// When it stands still, and when it refuses all; from and to in ns.
    stalls: Vec<(u64, u64)>,
    failures: Vec<(u64, u64)>,
}

impl Server {
    fn new(chance: &mut Chance, trouble: Trouble, until: u64) -> Server {
        let mut windows = |apart: u64, shortest: u64, longest: u64| {
            let mut windows = Vec::new();
            let mut at = chance.between(0, apart);
            while at < until {
                let long = chance.between(shortest, longest);
                windows.push((at, at + long));
                at += long + chance.between(apart / 2, apart * 3 / 2);
            }
            windows
        };
        let stalls = windows(4000 * MS, 50 * MS, 300 * MS);
        let failures = windows(8000 * MS, 50 * MS, 300 * MS);
        let (stalls, failures) = match trouble {
            Trouble::StallsAndFailures => (stalls, failures),
            Trouble::AllFail => (Vec::new(), vec![(0, u64::MAX)]),
        };
        Server { waiting: VecDeque::new(), busy: 0, stalls, failures }
    }

    fn fails(&self, now: u64) -> bool {
        self.failures.iter().any(|(from, to)| (*from..*to).contains(&now))
    }

    /// When work that begins now is done: no work is done while the instance stands still.
    fn done_at(&self, now: u64, mut work: u64) -> u64 {
        let mut at = now;
        for (from, to) in self.stalls.iter().filter(|(_, to)| *to > now) {
            let free = from.saturating_sub(at);
            if work <= free {
                break;
            }
            work -= free;
            at = *to;
        }
        at + work
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Arrive(u64),
    Wake(u64),
    /// The worker of an instance is done with an attempt; whether it failed.
    Done {
        instance: usize,
        call: u64,
        attempt: u8,
        failed: bool,
    },
}

struct Running {
    attempts: Option<Attempts>,
    began: u64,
    /// Of each attempt: the node's load, while it runs.
    loads: BTreeMap<u8, InFlight>,
}

struct Fleet {
    run: Run,
    chance: Chance,
    now: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    servers: Vec<Server>,
    balancer: Balancer,
    retryer: Option<Retryer>,
    calls: BTreeMap<u64, Running>,
    seen: Seen,
}

/// Runs it to the end of the last call.
pub fn simulate(run: &Run) -> Seen {
    let mut chance = Chance(run.seed);
    let until = (run.calls / CALLS_PER_MS + 10_000) * MS;
    let servers = (0..INSTANCES).map(|_| Server::new(&mut chance, run.trouble, until)).collect();
    let balancer = Balancer::new(Kind::WeightedRoundRobin, None, Mode::Better);
    let instance = |at| Instance { address: format!("{at}"), weight: 10, ..Instance::default() };
    balancer.update(&(0..INSTANCES).map(instance).collect::<Vec<_>>(), 0);
    let budget = run.budget.map(|(percent, floor)| Arc::new(Budget::new(percent, floor, Time::ZERO)));
    let policies = Policies::new(Options { budget, ..Options::default() }).expect("options");
    if let Some(policy) = &run.policy {
        policies.install(BTreeMap::from([("*".to_owned(), policy.clone())])).expect("a policy");
    }
    let retryer = match policies.lookup(None, "Say").expect("a lookup") {
        Lookup::Retry(retryer) => Some(retryer),
        _ => None,
    };
    let seen = Seen { micros: Vec::new(), failed: 0, attempts: 0, calls: run.calls, simulated_ms: 0 };
    let mut fleet = Fleet {
        run: run.clone(),
        chance,
        now: 0,
        sequence: 0,
        events: BinaryHeap::new(),
        servers,
        balancer,
        retryer,
        calls: BTreeMap::new(),
        seen,
    };
    fleet.at(0, Event::Arrive(0));
    while let Some(Reverse((at, _, event))) = fleet.events.pop() {
        assert!(at >= fleet.now, "time goes on");
        fleet.now = at;
        fleet.handle(event);
    }
    assert!(fleet.calls.is_empty(), "calls without an end");
    fleet.seen.micros.sort_unstable();
    fleet.seen.simulated_ms = fleet.now / MS;
    fleet.seen
}

impl Fleet {
    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
    }

    fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(call) => self.arrive(call),
            Event::Wake(call) => {
                let (now, retryer) = (self.time(), self.retryer.clone());
                if let Some(running) = self.calls.get_mut(&call) {
                    match (&mut running.attempts, retryer) {
                        (Some(attempts), Some(retryer)) => attempts.wake(now, &retryer),
                        // Without a policy: the only timeout there is.
                        _ if now.nanos() >= running.began + TIMEOUT_MS * MS => {
                            return self.finish(call, false);
                        }
                        _ => {}
                    }
                }
                self.act(call);
            }
            Event::Done { instance, call, attempt, failed } => {
                self.servers[instance].busy -= 1;
                self.begin_work(instance);
                self.ended(call, attempt, failed);
            }
        }
    }

    fn arrive(&mut self, call: u64) {
        if call + 1 < self.run.calls {
            let gap = self.chance.between(0, 2 * MS / CALLS_PER_MS);
            self.at(self.now + gap, Event::Arrive(call + 1));
        }
        let now = self.time();
        let of_call = Call { timeout: TIMEOUT_MS * MS, chance: self.chance.next(), ..Call::default() };
        let attempts = self.retryer.as_ref().map(|retryer| Attempts::new(retryer, of_call, now));
        let plain = attempts.is_none();
        self.calls.insert(call, Running { attempts, began: self.now, loads: BTreeMap::new() });
        if plain {
            self.at(self.now + TIMEOUT_MS * MS, Event::Wake(call));
            self.send(call, 0, None);
        }
        self.act(call);
    }

    /// Sends an attempt to an instance.
    fn send(&mut self, call: u64, attempt: u8, place: Option<Place>) {
        let mut avoid = Avoid::default();
        let running = self.calls.get_mut(&call).expect("a call");
        if let (Some(Place::Other), Some(attempts)) = (place, &running.attempts) {
            avoid = attempts.nodes().collect();
        }
        let ask =
            Ask { chance: self.chance.next(), avoid, now: Time::from_nanos(self.now), ..Ask::default() };
        let node: Arc<Node> = self.balancer.pick(&ask).expect("an instance");
        if let Some(attempts) = &mut running.attempts {
            attempts.goes_to(attempt, node.id());
        }
        running.loads.insert(attempt, node.begin(ask.now));
        self.seen.attempts += 1;
        let instance: usize = node.address().parse().expect("a number");
        self.servers[instance].waiting.push_back((call, attempt));
        self.begin_work(instance);
    }

    /// Gives waiting requests to free workers; those that were given up meanwhile cost nothing.
    fn begin_work(&mut self, instance: usize) {
        while self.servers[instance].busy < WORKERS {
            let Some((call, attempt)) = self.servers[instance].waiting.pop_front() else { return };
            let wanted = self.calls.get(&call).is_some_and(|running| running.loads.contains_key(&attempt));
            if !wanted {
                continue;
            }
            let service = self.chance.service();
            let server = &mut self.servers[instance];
            server.busy += 1;
            let failed = server.fails(self.now);
            let at = if failed { self.now + MS } else { server.done_at(self.now, service) };
            self.at(at, Event::Done { instance, call, attempt, failed });
        }
    }

    fn ended(&mut self, call: u64, attempt: u8, failed: bool) {
        let (now, retryer) = (self.time(), self.retryer.clone());
        let Some(running) = self.calls.get_mut(&call) else { return };
        let Some(load) = running.loads.remove(&attempt) else { return };
        load.end(if failed { breaker::Outcome::Other } else { breaker::Outcome::Answer }, now);
        match (&mut running.attempts, retryer) {
            (Some(attempts), Some(retryer)) => {
                let end = if failed { End::Failed(Code::RemoteException) } else { End::Ok };
                attempts.ended(attempt, end, now, &retryer);
                self.act(call);
            }
            _ => self.finish(call, !failed),
        }
    }

    fn act(&mut self, call: u64) {
        loop {
            let Some(running) = self.calls.get_mut(&call) else { return };
            let Some(attempts) = &mut running.attempts else { return };
            match attempts.poll() {
                Some(Action::Start { attempt, place, .. }) => self.send(call, attempt, Some(place)),
                Some(Action::Cancel(attempt) | Action::Leave(attempt)) => {
                    drop(running.loads.remove(&attempt))
                }
                Some(Action::Ask(_)) => unreachable!("no policy here asks"),
                Some(Action::Finish(outcome)) => {
                    let ok = match outcome {
                        Outcome::Attempt(attempt) => {
                            let fact = attempts.facts().find(|fact| fact.attempt == attempt);
                            fact.and_then(|fact| fact.end) == Some(End::Ok)
                        }
                        _ => false,
                    };
                    return self.finish(call, ok);
                }
                None => {
                    let at = attempts.wake_at();
                    if at != Time::NEVER {
                        self.at(at.nanos().max(self.now), Event::Wake(call));
                    }
                    return;
                }
            }
        }
    }

    fn finish(&mut self, call: u64, ok: bool) {
        let running = self.calls.remove(&call).expect("a call");
        self.seen.micros.push((self.now - running.began) / 1000);
        self.seen.failed += u64::from(!ok);
    }
}
