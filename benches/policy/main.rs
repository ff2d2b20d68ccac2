//! What the decisions of a call cost, without any I/O.
//!
//!   cargo bench --bench policy
//!
//! One JSON line for each lane: nanoseconds and heap allocations of one turn, the best of several rounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use krpc::policy::attempt::{Action, Attempts, Call, End};
use krpc::policy::balance::{Ask, Balancer, Consistent, Instance, Kind};
use krpc::policy::breaker::{self, Breakers, Config};
use krpc::policy::retry::{Lookup, Options, Policies, RetryPolicy, Retryer};
use krpc::policy::{Mode, Time};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

const TURNS: u64 = 200_000;
const ROUNDS: usize = 7;

fn lane(name: &str, mut turn: impl FnMut(u64)) {
    (0..TURNS / 10).for_each(&mut turn);
    let mut best = f64::MAX;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..TURNS).for_each(&mut turn);
        best = best.min(start.elapsed().as_nanos() as f64 / TURNS as f64);
    }
    let allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) / (ROUNDS as u64 * TURNS);
    println!(r#"{{"lane":"{name}","ns":{best:.1},"allocations":{allocations}}}"#);
}

fn retryer(policies: &Policies, method: &str) -> Retryer {
    match policies.lookup(None, method) {
        Ok(Lookup::Retry(retryer)) => retryer,
        other => panic!("{other:?}"),
    }
}

/// Milliseconds that pass between turns, so that windows turn as they do in life.
fn time(turn: u64) -> Time {
    Time::from_nanos(turn * 10_000)
}

fn main() {
    let methods: Vec<String> = (0..1000).map(|n| format!("Service{}/Method{n}", n % 17)).collect();
    let policies = Policies::new(Options::default()).expect("options");
    let policy = |_: &String| RetryPolicy { max_retries: 2, ..RetryPolicy::mixed(200) };
    policies
        .install(methods.iter().map(|m| (m.clone(), policy(m))).collect::<BTreeMap<_, _>>())
        .expect("policies");
    lane("lookup, 1000 methods", |turn| {
        let method = &methods[(turn.wrapping_mul(7919) % 1000) as usize];
        black_box(retryer(&policies, method));
    });
    let armed = retryer(&policies, &methods[7]);
    lane("attempts, mixed, armed but idle", |turn| {
        let call = Call { timeout: 1_000_000_000, ..Call::default() };
        let now = time(turn);
        let mut attempts = Attempts::new(&armed, call, now);
        let started = attempts.poll();
        debug_assert!(matches!(started, Some(Action::Start { .. })));
        black_box((started, attempts.wake_at()));
        attempts.ended(0, End::Ok, now, &armed);
        black_box(attempts.poll());
    });
    let instances: Vec<_> = (0..100)
        .map(|n| Instance { address: format!("10.0.0.{n}:80"), weight: 10 + n % 3, ..Instance::default() })
        .collect();
    let breakers = Breakers::new(Config::default());
    let keys: Vec<_> = methods.iter().map(|method| breaker::key("a", "b", method)).collect();
    for kind in [
        Kind::WeightedRoundRobin,
        Kind::InterleavedWeightedRoundRobin,
        Kind::WeightedRandom,
        Kind::WeightedRandomAlias,
        Kind::Consistent(Consistent::default()),
        Kind::LeastLoaded,
        Kind::P2cEwma,
    ] {
        let balancer = Balancer::new(kind.clone(), Some(Config::default()), Mode::Better);
        balancer.update(&instances, 0);
        lane(&format!("breakers of service and instance, {}", kind.name()), |turn| {
            let now = time(turn);
            let key = &keys[(turn.wrapping_mul(7919) % 1000) as usize];
            let service = breakers.get(key, now).expect("a breaker");
            let chance = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let ask = Ask { chance, key: key.as_bytes(), now, ..Ask::default() };
            black_box(service.allow(now));
            let call = balancer.pick(&ask).expect("an instance").begin(now);
            call.end(breaker::Outcome::Answer, now);
            service.record(breaker::service_class(breaker::Outcome::Answer), now);
        });
    }
}
