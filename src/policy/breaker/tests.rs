//! The tables of governance.md §3, and §12.29–§12.32.

use super::*;

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn keyring() -> Arc<Keyring> {
    Breakers::new(Config::default()).get("a/b/c", at(0)).unwrap()
}

const FAILURE: Class = Class::Counted(Sample::Failure);
const TIMEOUT: Class = Class::Counted(Sample::Timeout);
const SUCCESS: Class = Class::Counted(Sample::Success);

/// Opened at `ms`.
fn open(keyring: &Keyring, ms: u64) {
    (0..200).for_each(|_| {
        let _ = keyring.record(FAILURE, at(ms));
    });
    assert_eq!(keyring.breaker().state(), State::Open);
}

#[test]
fn opens_at_the_200th_failure_and_probes_after_5_s() {
    let keyring = keyring();
    for _ in 0..199 {
        assert_eq!(keyring.record(FAILURE, at(0)), None);
        assert!(keyring.allow(at(0)).0);
    }
    let change = keyring.record(TIMEOUT, at(0)).unwrap();
    assert_eq!((change.from, change.to), (State::Closed, State::Open));
    let detail = "a/b/c: CLOSED -> OPEN, (succ: 0, err: 199, timeout: 1, rate: 1.000000)";
    assert_eq!(change.detail("a/b/c"), detail);
    assert_eq!(change.line(Level::Service, "a/b/c"), format!("service_cb {detail}"));
    assert!(!keyring.allow(at(4_999)).0);
    let (allowed, change) = keyring.allow(at(5_000));
    assert!(allowed && change.is_some_and(|change| change.to == State::HalfOpen));
    assert!(!keyring.allow(at(5_199)).0, "200 ms apart");
    assert!(keyring.allow(at(5_200)).0);
    assert_eq!(keyring.record(SUCCESS, at(5_210)), None);
    let change = keyring.record(SUCCESS, at(5_220)).unwrap();
    assert_eq!((change.from, change.to), (State::HalfOpen, State::Closed));
    assert_eq!(keyring.breaker().counts(at(5_220)).samples(), 0, "cleared");
    assert!(keyring.allow(at(5_220)).0);
}

#[test]
fn a_failed_probe_opens_for_5_s_again() {
    let keyring = keyring();
    open(&keyring, 0);
    assert!(keyring.allow(at(5_000)).0);
    assert_eq!(keyring.record(SUCCESS, at(5_050)), None);
    let change = keyring.record(TIMEOUT, at(5_100)).unwrap();
    assert_eq!((change.from, change.to), (State::HalfOpen, State::Open));
    assert_eq!(keyring.breaker().counts(at(5_100)).timeouts, 1, "counted");
    assert!(!keyring.allow(at(10_099)).0);
    assert!(keyring.allow(at(10_100)).0);
    keyring.record(SUCCESS, at(10_150));
    assert_eq!(keyring.breaker().state(), State::HalfOpen, "two in a row from the start");
}

#[test]
fn open_counts_failures_only_and_does_not_change() {
    let keyring = keyring();
    open(&keyring, 0);
    assert_eq!(keyring.record(SUCCESS, at(100)), None);
    assert_eq!(keyring.record(FAILURE, at(100)), None);
    assert_eq!(keyring.breaker().counts(at(100)), Counts { successes: 0, failures: 201, timeouts: 0 });
    assert!(keyring.allow(at(5_000)).0, "cooling counts from the opening");
}

#[test]
fn rate_and_samples_are_inclusive() {
    let settings = Settings::new(Config::default());
    for (successes, failures, opens) in
        [(100, 100, true), (101, 100, false), (100, 99, false), (99, 101, true)]
    {
        let breaker = Breaker::new();
        (0..successes).for_each(|_| {
            let _ = breaker.record(Sample::Success, at(0), &settings);
        });
        (0..failures).for_each(|_| {
            let _ = breaker.record(Sample::Failure, at(0), &settings);
        });
        assert_eq!(breaker.state() == State::Open, opens, "{successes} {failures}");
    }
    // Only an error is a reason to look: the 200th sample is a success here.
    let breaker = Breaker::new();
    (0..199).for_each(|_| {
        let _ = breaker.record(Sample::Failure, at(0), &settings);
    });
    breaker.record(Sample::Success, at(0), &settings);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_key_without_samples_is_forgotten() {
    let keyring = keyring();
    open(&keyring, 0);
    assert!(!keyring.allow(at(3_000)).0);
    let (allowed, change) = keyring.allow(at(10_000));
    assert!(allowed && change.is_some_and(|change| change.to == State::Closed), "the window is empty");
    open(&keyring, 20_000);
    assert_eq!(keyring.record(SUCCESS, at(31_000)), None);
    assert_eq!(
        (keyring.breaker().state(), keyring.breaker().counts(at(31_000)).successes),
        (State::Closed, 1)
    );
}

#[test]
fn classes() {
    let rows = [
        (Outcome::Answer, SUCCESS, SUCCESS),
        (Outcome::Internal, Class::Ignored, SUCCESS),
        (Outcome::Discovery, Class::Ignored, SUCCESS),
        (Outcome::Acl, Class::Ignored, SUCCESS),
        (Outcome::LoadBalance, Class::Ignored, SUCCESS),
        (Outcome::GetConnection, FAILURE, FAILURE),
        (Outcome::Timeout, TIMEOUT, SUCCESS),
        (Outcome::Other, FAILURE, SUCCESS),
        (Outcome::Explicit(TIMEOUT), TIMEOUT, TIMEOUT),
        (Outcome::Explicit(Class::Ignored), Class::Ignored, Class::Ignored),
    ];
    for (outcome, service, instance) in rows {
        assert_eq!((service_class(outcome), instance_class(outcome)), (service, instance), "{outcome:?}");
    }
    let keyring = keyring();
    keyring.record(Class::Ignored, at(0));
    assert_eq!(keyring.breaker().counts(at(0)).samples(), 0);
}

#[test]
fn configs() {
    let default = Config { enabled: true, rate: 0.5, min_samples: 200 };
    assert_eq!(parse(br#"{"enable":true,"err_rate":0.5,"min_sample":200}"#).unwrap(), default);
    assert_eq!(Config::default(), default);
    assert!(!parse(b"{}").unwrap().enabled);
    assert!(parse(br#"{"min_sample":"x"}"#).is_err());
    let breakers = Breakers::new(default);
    breakers.configure("off", Config { enabled: false, ..default }, at(0));
    let off = breakers.get("off", at(0)).unwrap();
    (0..300).for_each(|_| {
        let _ = off.record(FAILURE, at(0));
    });
    assert_eq!((off.allow(at(0)).0, off.breaker().counts(at(0)).samples()), (true, 0));
    let live = breakers.get("live", at(0)).unwrap();
    breakers.configure("live", Config { rate: 0.9, min_samples: 3, ..default }, at(0));
    (0..3).for_each(|_| {
        let _ = live.record(FAILURE, at(0));
    });
    assert_eq!(live.breaker().state(), State::Open, "changed while in use");
}

#[test]
fn keys_are_bounded_and_idle_ones_make_room() {
    let breakers = Breakers::new(Config::default());
    for key in 0..MAX_KEYS {
        let keyring = breakers.get(&key.to_string(), at(0)).unwrap();
        if key >= 10 {
            keyring.record(SUCCESS, at(0));
        }
    }
    assert!(breakers.get("new", at(0)).is_some(), "ten were idle");
    for key in 0..9 {
        breakers.get(&format!("more{key}"), at(0)).unwrap().record(SUCCESS, at(0));
    }
    breakers.get("new", at(0)).unwrap().record(SUCCESS, at(0));
    assert!(breakers.get("one too many", at(0)).is_none());
    assert!(breakers.get("later", at(20_000)).is_some());
    assert_eq!(key("from", "to", "Say"), "from/to/Say");
}

#[test]
fn one_probe_among_threads() {
    let keyring = keyring();
    open(&keyring, 0);
    let probes = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    probes.fetch_add(usize::from(keyring.allow(at(5_000)).0), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(probes.into_inner(), 1);
}
