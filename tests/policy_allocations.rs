//! A call under a policy that is armed but idle takes nothing from the heap: neither its attempts nor the
//! pick of its instance nor its breakers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use krpc::policy::attempt::{Action, Attempts, Call, End, Outcome};
use krpc::policy::balance::{Ask, Balancer, Instance, Kind};
use krpc::policy::breaker::{self, Breakers, Config};
use krpc::policy::retry::{Lookup, Options, Policies, RetryPolicy};
use krpc::policy::{Mode, Time};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
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

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn an_idle_policy_takes_nothing_from_the_heap() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
    let policies = Policies::new(Options::default()).unwrap();
    let policy = RetryPolicy { max_retries: 3, ..RetryPolicy::mixed(200) };
    policies.install(BTreeMap::from([("*".to_owned(), policy)])).unwrap();
    let breakers = Breakers::new(Config::default());
    let balancer = Balancer::new(Kind::WeightedRoundRobin, Some(Config::default()), Mode::Better);
    let instance = |n| Instance { address: format!("10.0.0.{n}:80"), weight: 10, ..Instance::default() };
    balancer.update(&(0..100).map(instance).collect::<Vec<_>>(), 0);
    let call = |now: Time| {
        let service = breakers.get("a/b/Say", now).unwrap();
        assert!(service.allow(now).0);
        let Ok(Lookup::Retry(retryer)) = policies.lookup(None, "Say") else { panic!("no policy") };
        let mut attempts = Attempts::new(&retryer, Call { timeout: 1_000_000_000, ..Call::default() }, now);
        assert!(matches!(attempts.poll(), Some(Action::Start { attempt: 0, .. })));
        let node = balancer.pick(&Ask { now, ..Ask::default() }).unwrap();
        attempts.goes_to(0, node.id());
        let load = node.begin(now);
        assert_eq!(attempts.wake_at(), now.plus(200_000_000));
        load.end(breaker::Outcome::Answer, now);
        service.record(breaker::service_class(breaker::Outcome::Answer), now);
        attempts.ended(0, End::Ok, now, &retryer);
        assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(0))));
    };
    // The first makes what its method's calls share.
    call(Time::ZERO);
    assert_eq!(allocations(|| (1..1000).for_each(|ms| call(Time::from_millis(ms)))), 0);
}

#[test]
fn so_do_retries() {
    let policies = Policies::new(Options::default()).unwrap();
    let policy = RetryPolicy { max_retries: 5, ..RetryPolicy::failure() };
    policies.install(BTreeMap::from([("*".to_owned(), policy)])).unwrap();
    let Ok(Lookup::Retry(retryer)) = policies.lookup(None, "Say") else { panic!("no policy") };
    let taken = allocations(|| {
        let mut attempts =
            Attempts::new(&retryer, Call { timeout: 1_000_000, ..Call::default() }, Time::ZERO);
        for ms in 1..=6 {
            while attempts.poll().is_some() {}
            attempts.wake(Time::from_millis(ms), &retryer);
        }
        assert_eq!(attempts.begun(), 6);
    });
    assert_eq!(taken, 0);
}
