//! Any order of events keeps the invariants.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::policy::budget::Budget;
use crate::policy::retry::{Backoff, Kind};

#[derive(Clone, Debug)]
enum Event {
    End(u8, End),
    Decide(u8, bool),
    Cancel,
    /// Time passes, up to the next wake-up or beyond.
    Wait(u64),
    ToWakeUp,
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Ok, End::Biz, End::Declared, End::TimedOut, FAILED, End::Dropped])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..8u8, end()).prop_map(|(attempt, end)| Event::End(attempt, end)),
        2 => (0..8u8, any::<bool>()).prop_map(|(attempt, retry)| Event::Decide(attempt, retry)),
        1 => Just(Event::Cancel),
        3 => (0..300u64).prop_map(Event::Wait),
        4 => Just(Event::ToWakeUp),
    ]
}

fn policy() -> impl Strategy<Value = RetryPolicy> {
    let backoff = prop::sample::select(vec![
        Backoff::None,
        Backoff::Fixed(70),
        Backoff::Random { min_ms: 1, max_ms: 200 },
    ]);
    let predicate = (0..3u8, any::<bool>(), any::<bool>()).prop_map(|(errors, answers, not_for_timeouts)| {
        let errors = match errors {
            0 => OnError::Timeouts,
            1 => OnError::All,
            _ => OnError::Ask,
        };
        Predicate { errors, answers, not_for_timeouts }
    });
    (0..3u8, 0..6i64, 0..500u32, backoff, predicate, any::<bool>()).prop_map(
        |(kind, retries, max_duration_ms, backoff, predicate, same_node)| {
            let policy = match kind {
                0 => RetryPolicy::failure(),
                1 => RetryPolicy::backup(100),
                _ => RetryPolicy::mixed(100),
            };
            let max_retries = retries.min(policy.kind.max_retries());
            RetryPolicy { max_retries, max_duration_ms, backoff, predicate, same_node, ..policy }
        },
    )
}

/// What a driver knows, and checks.
#[derive(Default)]
struct Driver {
    started: Vec<u8>,
    running: Vec<u8>,
    asked: Vec<u8>,
    finished: Option<Outcome>,
}

impl Driver {
    fn take(&mut self, attempts: &mut Attempts, most: usize) {
        let mut actions = 0;
        while let Some(action) = attempts.poll() {
            actions += 1;
            assert!(actions < 50, "actions without end");
            assert_eq!(self.finished, None, "{action:?} after the end");
            match action {
                Action::Start { attempt, .. } => {
                    assert!(!self.started.contains(&attempt), "{attempt} twice");
                    self.started.push(attempt);
                    self.running.push(attempt);
                    assert!(self.started.len() <= most, "more attempts than allowed");
                }
                Action::Cancel(attempt) | Action::Leave(attempt) => {
                    assert!(self.running.contains(&attempt), "{attempt} does not run");
                    self.running.retain(|running| *running != attempt);
                }
                Action::Ask(attempt) => {
                    assert!(self.started.contains(&attempt) && !self.asked.contains(&attempt));
                    self.asked.push(attempt);
                }
                Action::Finish(outcome) => {
                    assert!(self.running.is_empty(), "left behind: {:?}", self.running);
                    self.finished = Some(outcome);
                }
            }
        }
        if let Some(Outcome::Attempt(attempt)) = self.finished {
            assert!(self.started.contains(&attempt), "ended with an attempt that was never made");
        }
        assert_eq!(attempts.begun() as usize, self.started.len());
    }
}

fn obeys(policy: RetryPolicy, mode: Mode, call: Call, events: Vec<Event>) {
    let most = usize::try_from(policy.max_retries).unwrap() + 1;
    let kind = policy.kind;
    let budget = Arc::new(Budget::new(0.0, 0, Time::ZERO));
    let tokens = 1;
    let options = Options {
        mode,
        budget: events.len().is_multiple_of(2).then(|| Arc::clone(&budget)),
        ..Options::default()
    };
    let bounded = options.budget.is_some();
    let retryer = retryer_with(policy, options);
    let mut attempts = Attempts::new(&retryer, call, Time::ZERO);
    let mut driver = Driver::default();
    let mut now = Time::ZERO;
    driver.take(&mut attempts, most);
    for event in events {
        match event {
            Event::End(attempt, end) => {
                driver.running.retain(|running| *running != attempt);
                attempts.ended(attempt, end, now, &retryer);
            }
            Event::Decide(attempt, retry) => attempts.decided(attempt, retry, now, &retryer),
            Event::Cancel => attempts.cancel(now, &retryer),
            Event::Wait(ms) => {
                now = now.plus(millis(ms));
                attempts.wake(now, &retryer);
            }
            Event::ToWakeUp => {
                let at = attempts.wake_at();
                if at != Time::NEVER {
                    now = now.max(at);
                    attempts.wake(now, &retryer);
                }
            }
        }
        driver.take(&mut attempts, most);
        if bounded {
            assert!(driver.started.len() <= 1 + tokens, "more than the budget");
        }
    }
    // Left alone, a call with timeouts ends by itself, in a bounded number of wake-ups.
    let mut wakes = 0;
    while driver.finished.is_none() {
        let at = attempts.wake_at();
        assert_ne!(at, Time::NEVER, "nothing will ever happen: {kind:?} {attempts:?}");
        now = now.max(at);
        attempts.wake(now, &retryer);
        driver.take(&mut attempts, most);
        wakes += 1;
        assert!(wakes < 100, "wakes up for ever: {attempts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_in_any_order(
        policy in policy(),
        compat in any::<bool>(),
        deadline in prop::option::of(0..2000u64),
        chance in any::<u64>(),
        chained in prop::bool::weighted(0.1),
        events in prop::collection::vec(event(), 0..30),
    ) {
        let mode = if compat { Mode::Compat } else { Mode::Better };
        let deadline = deadline.map_or(Time::NEVER, Time::from_millis);
        obeys(policy, mode, Call { timeout: millis(400), deadline, chained, chance }, events);
    }
}

#[test]
fn a_kind_has_its_limits() {
    for (kind, most) in [(Kind::Failure, 5), (Kind::Backup, 2), (Kind::Mixed, 3)] {
        assert_eq!(kind.max_retries(), most);
    }
}
