//! The rules of governance.md §1.2–§1.10, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::Error;
use crate::policy::budget::Budget;
use crate::policy::gate::Stop;
use crate::policy::retry::{Backoff, DECISION_TIMEOUT, Quantile, Statistic};

const MODES: [Mode; 2] = [Mode::Better, Mode::Compat];

fn failure(retries: i64) -> RetryPolicy {
    RetryPolicy { max_retries: retries, error_rate: 0.3, ..RetryPolicy::failure() }
}

fn mixed(retries: i64) -> RetryPolicy {
    RetryPolicy { max_retries: retries, error_rate: 0.3, ..RetryPolicy::mixed(200) }
}

/// Never answers within its timeout of a second.
fn slow() -> Script {
    Script::new(1000, &[(3000, End::Ok)])
}

#[test]
fn only_timeouts_are_retried_by_default() {
    let rows = [
        (End::TimedOut, 2),
        (FAILED, 1),
        (End::Failed(Code::ConnectFailed), 1),
        (End::Failed(Code::ConnectTimeout), 1),
        (End::Failed(Code::Cancelled), 1),
        (End::Biz, 1),
        (End::Declared, 1),
        (End::Ok, 1),
    ];
    for mode in MODES {
        for (end, attempts) in rows {
            let seen = run(&retryer(failure(2), mode), &Script::new(1000, &[(10, end), (10, End::Ok)]));
            assert_eq!(seen.starts.len(), attempts, "{end:?} {mode:?}");
            assert_eq!(seen.outcome, Outcome::Attempt(u8::try_from(attempts - 1).unwrap()));
        }
    }
}

#[test]
fn all_errors_helper_retries_errors_only() {
    let predicate = Predicate { errors: OnError::All, ..Predicate::default() };
    let policy = RetryPolicy { predicate, ..failure(2) };
    for (end, attempts) in [(FAILED, 2), (End::TimedOut, 2), (End::Biz, 1), (End::Declared, 1)] {
        let script = Script::new(1000, &[(10, end), (10, End::Ok)]);
        assert_eq!(run(&retryer(policy.clone(), Mode::Better), &script).starts.len(), attempts, "{end:?}");
    }
}

#[test]
fn not_for_timeouts_leaves_the_predicate_in_force() {
    let off = Predicate { not_for_timeouts: true, ..Predicate::default() };
    let policy = RetryPolicy { predicate: off, ..failure(2) };
    assert_eq!(run(&retryer(policy, Mode::Better), &slow()).text(), "timeout 1000");
    let policy = RetryPolicy { predicate: Predicate { errors: OnError::Ask, ..off }, ..failure(2) };
    let mut script = Script::new(1000, &[(10, FAILED), (10, End::Ok)]);
    assert_eq!(run(&retryer(policy.clone(), Mode::Better), &script).text(), "ok 20");
    // A timeout is an error like others then.
    script = slow();
    script.retry = |_, end| end != End::TimedOut;
    assert_eq!(run(&retryer(policy, Mode::Better), &script).text(), "timeout 1000");
}

#[test]
fn a_predicate_sees_business_errors_exceptions_and_results() {
    for end in [End::Biz, End::Declared, End::Ok] {
        let policy = RetryPolicy { predicate: asking(false, true), ..failure(2) };
        let mut script = Script::new(1000, &[(10, end), (10, End::Declared)]);
        script.retry = |attempt, _| attempt == 0;
        let seen = run(&retryer(policy, Mode::Better), &script);
        assert_eq!(seen.asked, [0, 1]);
        assert_eq!(seen.text(), "declared 20", "the winner's whole result, with its exception");
        assert_eq!(seen.outcome, Outcome::Attempt(1));
    }
}

#[test]
fn nobody_asks_where_the_answer_cannot_matter() {
    let policy = RetryPolicy { predicate: asking(true, true), ..failure(1) };
    let seen = run(&retryer(policy, Mode::Better), &Script::new(1000, &[(10, FAILED)]));
    assert_eq!((seen.text(), seen.asked), ("error 20".into(), vec![0]));
}

/// Asks, and lets the test answer.
fn asked(policy: RetryPolicy) -> (Retryer, Attempts) {
    let retryer = retryer(RetryPolicy { predicate: asking(true, true), ..policy }, Mode::Better);
    let mut attempts = Attempts::new(&retryer, Call::default(), Time::ZERO);
    assert!(matches!(attempts.poll(), Some(Action::Start { attempt: 0, .. })));
    attempts.ended(0, FAILED, Time::from_millis(10), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Ask(0)));
    assert_eq!(attempts.poll(), None);
    (retryer, attempts)
}

#[test]
fn an_answer_may_come_later() {
    let (retryer, mut attempts) = asked(failure(2));
    attempts.decided(0, true, Time::from_millis(500), &retryer);
    assert!(matches!(attempts.poll(), Some(Action::Start { attempt: 1, .. })));
    attempts.decided(0, false, Time::from_millis(501), &retryer);
    assert_eq!(attempts.poll(), None, "the first answer counts");
}

#[test]
fn an_answer_that_never_comes_is_no() {
    let (retryer, mut attempts) = asked(failure(2));
    let until = Time::from_millis(10).plus(crate::policy::time::nanos(DECISION_TIMEOUT));
    assert_eq!(attempts.wake_at(), until);
    attempts.wake(until, &retryer);
    assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(0))));
    attempts.decided(0, true, until, &retryer);
    assert_eq!(attempts.poll(), None);
}

#[test]
fn while_the_host_thinks_backups_go_on_and_may_win() {
    let (retryer, mut attempts) = asked(mixed(2));
    assert_eq!(attempts.wake_at(), Time::from_millis(200));
    attempts.wake(Time::from_millis(200), &retryer);
    assert!(matches!(attempts.poll(), Some(Action::Start { attempt: 1, .. })));
    attempts.ended(1, End::Ok, Time::from_millis(250), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Ask(1)));
    attempts.decided(1, false, Time::from_millis(260), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(1))));
}

#[test]
fn no_retries_make_a_plain_call_that_nobody_counts() {
    for mode in MODES {
        for policy in [failure(0), RetryPolicy { max_retries: 0, ..RetryPolicy::backup(10) }, mixed(0)] {
            let retryer = retryer(policy, mode);
            for _ in 0..20 {
                let seen = run(&retryer, &slow());
                assert_eq!((seen.text().as_str(), seen.attempts.stop_text()), ("timeout 1000", None));
            }
            assert_eq!(retryer.gate().breaker_stops(0.0, Time::ZERO), None, "no samples");
        }
    }
}

fn chained(policy: RetryPolicy, end: End) -> Attempts {
    let retryer = retryer(policy, Mode::Better);
    let call = Call { chained: true, timeout: millis(1000), ..Call::default() };
    let mut attempts = Attempts::new(&retryer, call, Time::ZERO);
    while attempts.poll().is_some() {}
    attempts.ended(0, end, Time::from_millis(10), &retryer);
    attempts
}

#[test]
fn chain_stop() {
    for policy in [failure(2), RetryPolicy::backup(200), mixed(2)] {
        let mut attempts = chained(policy.clone(), End::TimedOut);
        assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(0))));
        assert_eq!(attempts.stop_text().as_deref(), Some("chain stop retry"));
        // The reason is told where a retry would have been made.
        assert_eq!(chained(policy.clone(), FAILED).stop_text(), None);
        assert_eq!(chained(policy.clone(), End::Ok).stop_text(), None);
        let free = chained(RetryPolicy { chain_stop: false, max_retries: 1, ..policy }, End::TimedOut);
        assert_eq!(free.stop_text(), None);
    }
    let free = RetryPolicy { chain_stop: false, ..failure(2) };
    assert!(matches!(chained(free, End::TimedOut).poll(), Some(Action::Start { attempt: 1, .. })));
}

#[test]
fn deadline_rule() {
    let asked = Arc::new(AtomicU32::new(0));
    let stops_from = |from: u32| {
        let asked = Arc::clone(&asked);
        asked.store(0, Ordering::Relaxed);
        Options {
            ddl: Some(Arc::new(move || {
                (asked.fetch_add(1, Ordering::Relaxed) >= from).then(|| "ddl reached".to_owned())
            })),
            ..Options::default()
        }
    };
    for policy in [failure(2), mixed(2)] {
        let policy = RetryPolicy { ddl_stop: true, ..policy };
        let seen = run(&retryer_with(policy.clone(), stops_from(0)), &slow());
        assert_eq!((seen.text().as_str(), seen.starts.len()), ("timeout 1000", 1));
        assert_eq!(seen.attempts.stop_text().as_deref(), Some("ddl reached"), "before the first");
        let seen = run(&retryer_with(policy.clone(), stops_from(1)), &slow());
        assert_eq!(seen.starts.len(), 1);
        assert_eq!(seen.attempts.stop_text().as_deref(), Some("retried 0, ddl reached"), "at the gate");
        let unasked = RetryPolicy { ddl_stop: false, ..policy };
        assert_eq!(run(&retryer_with(unasked, stops_from(0)), &slow()).starts.len(), 3);
    }
    let backup = RetryPolicy { ddl_stop: true, ..RetryPolicy::backup(200) };
    assert_eq!(run(&retryer_with(backup, stops_from(0)), &slow()).starts.len(), 2);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "backup does not ask");
}

#[test]
fn breaker_on_the_share_of_retries() {
    let retryer = retryer(RetryPolicy { max_retries: 1, ..RetryPolicy::failure() }, Mode::Better);
    let mut quick = Script::new(1, &[(3000, End::Ok)]);
    quick.timeout_ms = 1;
    let mut now = 0;
    for call in 1..=47 {
        let seen = run_from(&retryer, &quick, Time::from_millis(now));
        now += seen.at;
        let retried = (1..=5).contains(&call) || call == 46;
        assert_eq!(seen.starts.len(), if retried { 2 } else { 1 }, "call {call}");
        if call == 6 {
            let text = "retried 0, retry circuit break, errRate=0.455, sample=11";
            assert_eq!(seen.attempts.stop_text().as_deref(), Some(text));
        }
    }
    let seen = run_from(&retryer, &quick, Time::from_millis(now + 10_000));
    assert_eq!(seen.starts.len(), 2, "a new window starts free again");
}

#[test]
fn share_of_retries_in_a_thousand_calls() {
    let retryer = retryer(RetryPolicy { max_retries: 1, ..RetryPolicy::failure() }, Mode::Better);
    let script = Script::new(1, &[(3000, End::Ok)]);
    let retried: Vec<_> = (1..=1000).filter(|_| run(&retryer, &script).starts.len() > 1).collect();
    assert_eq!(retried.len(), 112);
    assert_eq!(retried[..6], [1, 2, 3, 4, 5, 46]);
    assert!(retried[5..].windows(2).all(|pair| pair[1] - pair[0] == 9), "{retried:?}");
}

#[test]
fn other_statistics() {
    let script = Script::new(1, &[(3000, End::Ok)]);
    let samples = |statistic| {
        let window = Arc::new(crate::policy::window::Window::new());
        let shared = Arc::clone(&window);
        let of = Arc::new(move |_: &str| Arc::clone(&shared));
        let statistic = match statistic {
            None => Statistic::Outcomes,
            Some(count) => Statistic::Shared { of, count },
        };
        let retryer = retryer_with(failure(2), Options { statistic, ..Options::default() });
        let seen = run(&retryer, &script);
        (seen.starts.len(), window.counts(Time::from_millis(10)))
    };
    assert_eq!(samples(None).0, 3, "below ten samples");
    let (attempts, counts) = samples(Some(true));
    assert_eq!((attempts, counts.timeouts, counts.samples()), (3, 3, 3), "each attempt by its outcome");
    assert_eq!(samples(Some(false)).1.samples(), 0, "the breaker counts");
}

#[test]
fn a_budget_bounds_extra_load() {
    let budget = Arc::new(Budget::new(10.0, 0, Time::ZERO));
    let options = Options { budget: Some(Arc::clone(&budget)), ..Options::default() };
    let retryer = retryer_with(RetryPolicy { error_rate: 0.3, ..failure(2) }, options);
    let script = Script::new(1, &[(3000, End::Ok)]);
    let seen: Vec<_> = (0..100).map(|_| run(&retryer, &script)).collect();
    let extra: usize = seen.iter().map(|seen| seen.starts.len() - 1).sum();
    assert_eq!(extra, 11, "one saved, and a tenth");
    assert!(seen.iter().any(|seen| seen.attempts.stopped_by() == Some(&Stop::Budget)));
}

#[test]
fn switched_off_meanwhile() {
    for mode in MODES {
        let policies = Policies::new(Options { mode, ..Options::default() }).unwrap();
        let text = |enable| {
            format!(
                r#"{{"enable":{enable},"type":0,"failure_policy":{{"stop_policy":{{"max_retry_times":2}}}}}}"#
            )
        };
        let update =
            |enable| policies.update("Say", crate::policy::retry::parse(text(enable).as_bytes()).unwrap());
        update(true).unwrap();
        let Ok(Lookup::Retry(retryer)) = policies.lookup(None, "Say") else { panic!() };
        let mut attempts = Attempts::new(&retryer, Call::default(), Time::ZERO);
        attempts.poll();
        update(false).unwrap();
        attempts.ended(0, End::TimedOut, Time::from_millis(1), &retryer);
        assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(0))));
        assert_eq!(attempts.stop_text(), None, "without a word, as in the reference");
    }
}

#[test]
fn max_duration_between_attempts() {
    let policy = RetryPolicy { max_duration_ms: 1500, ..failure(2) };
    assert_eq!(run(&retryer(policy.clone(), Mode::Compat), &slow()).text(), "max duration 2000");
    let seen = run(&retryer(policy, Mode::Better), &slow());
    assert_eq!(seen.text(), "timeout 2000", "the error that happened");
    let text = seen.attempts.stop_text();
    assert_eq!(text.as_deref(), Some("retried 1, exceed max duration[1.5s]"));
}

#[test]
fn random_backoff_stays_in_its_range() {
    let policy = RetryPolicy { backoff: Backoff::Random { min_ms: 5, max_ms: 20 }, ..failure(1) };
    let retryer = retryer(policy, Mode::Better);
    let mut pauses = std::collections::BTreeSet::new();
    for chance in 0..500 {
        let call = Call { chance, ..Call::default() };
        let mut attempts = Attempts::new(&retryer, call, Time::ZERO);
        attempts.poll();
        attempts.ended(0, End::TimedOut, Time::ZERO, &retryer);
        if attempts.wake_at() != Time::NEVER {
            pauses.insert(attempts.wake_at().nanos() / 1_000_000);
        }
        while retryer.gate().breaker_stops(0.3, Time::ZERO).is_some() {
            // Room for the next: a first attempt counts as a success.
            retryer.gate().first(Time::ZERO);
        }
    }
    assert_eq!(pauses, (5..20).collect());
}

#[test]
fn places() {
    let same = RetryPolicy { same_node: true, ..failure(2) };
    let seen = run(&retryer(same, Mode::Better), &slow());
    assert_eq!(seen.places, [Place::Any, Place::Same(NodeId(1)), Place::Same(NodeId(2))]);
    let seen = run(&retryer(failure(2), Mode::Better), &slow());
    assert_eq!(seen.places, [Place::Any, Place::Other, Place::Other]);
    assert_eq!(seen.attempts.nodes().collect::<Vec<_>>(), [NodeId(1), NodeId(2), NodeId(3)]);
    let seen = run(&retryer(failure(2), Mode::Compat), &slow());
    assert_eq!(seen.places, [Place::Any; 3], "no balancer reads prev_inst");
}

#[test]
fn deadline_caps_all() {
    let mut script = slow();
    script.deadline = Time::from_millis(1300);
    let seen = run(&retryer(failure(2), Mode::Better), &script);
    assert_eq!((seen.text().as_str(), &seen.starts[..]), ("deadline 1300", &[0, 1000][..]));
    assert_eq!(seen.released, [0, 1]);
    // The reference takes it for a timeout, and makes the rest of its attempts at once.
    let seen = run(&retryer(failure(2), Mode::Compat), &script);
    assert_eq!((seen.text().as_str(), &seen.starts[..]), ("timeout 1300", &[0, 1000, 1300][..]));
}

#[test]
fn cancelled_by_the_caller() {
    for policy in [failure(2), mixed(2)] {
        let mut script = slow();
        script.cancel_at = Some(100);
        let seen = run(&retryer(policy.clone(), Mode::Better), &script);
        assert_eq!((seen.text().as_str(), &seen.starts[..]), ("cancelled 100", &[0][..]));
        let seen = run(&retryer(policy, Mode::Compat), &script);
        assert_eq!((seen.text().as_str(), &seen.starts[..]), ("timeout 100", &[0, 100, 100][..]));
    }
}

#[test]
fn late_ends_change_nothing() {
    let retryer = retryer(mixed(2), Mode::Better);
    let mut attempts = Attempts::new(&retryer, Call { timeout: millis(100), ..Call::default() }, Time::ZERO);
    attempts.poll();
    attempts.wake(Time::from_millis(100), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Cancel(0)));
    assert!(matches!(attempts.poll(), Some(Action::Start { attempt: 1, .. })));
    attempts.ended(0, End::Ok, Time::from_millis(101), &retryer);
    attempts.ended(5, End::Ok, Time::from_millis(101), &retryer);
    attempts.ended(200, End::Ok, Time::from_millis(101), &retryer);
    assert_eq!(attempts.poll(), None);
    attempts.ended(1, End::Ok, Time::from_millis(110), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(1))));
    attempts.ended(1, FAILED, Time::from_millis(111), &retryer);
    attempts.cancel(Time::from_millis(112), &retryer);
    attempts.wake(Time::from_millis(1000), &retryer);
    assert_eq!(attempts.poll(), None);
}

#[test]
fn losers_run_on_in_compat_and_still_count() {
    let statistic = Statistic::Outcomes;
    let retryer = retryer_with(mixed(2), Options { mode: Mode::Compat, statistic, ..Options::default() });
    let mut attempts = Attempts::new(&retryer, Call::default(), Time::ZERO);
    attempts.poll();
    attempts.wake(Time::from_millis(200), &retryer);
    attempts.poll();
    attempts.ended(1, End::Ok, Time::from_millis(250), &retryer);
    assert_eq!(attempts.poll(), Some(Action::Leave(0)));
    assert_eq!(attempts.poll(), Some(Action::Finish(Outcome::Attempt(1))));
    for _ in 0..2 {
        attempts.ended(0, FAILED, Time::from_millis(300), &retryer);
    }
    for _ in 0..8 {
        retryer.gate().ended(End::Ok.sample(), Time::from_millis(300));
    }
    assert_eq!(attempts.poll(), None);
    let stop = retryer.gate().breaker_stops(0.1, Time::from_millis(300));
    assert_eq!(stop, Some(Stop::Breaker { rate: 0.1, samples: 10 }), "A2, the loser once, and eight");
}

#[test]
fn tags() {
    let script = Script::new(1000, &[(1200, End::Ok), (900, End::Ok)]);
    let seen = run(&retryer(mixed(2), Mode::Better), &script);
    assert_eq!((seen.attempts.retry_tag(), seen.attempts.costs().as_str()), (Some(2), "1-1000000,2-900000"));
    let seen = run(&retryer(failure(2), Mode::Better), &script);
    assert_eq!((seen.attempts.retry_tag(), seen.attempts.costs().as_str()), (Some(1), "1000000,900000"));
    let late = Script::new(1000, &[(250, End::Ok), (900, End::Ok)]);
    for policy in [RetryPolicy::backup(200), mixed(2)] {
        let seen = run(&retryer(policy, Mode::Better), &late);
        assert_eq!(seen.outcome, Outcome::Attempt(0), "the winner may be A1");
        assert_eq!((seen.attempts.retry_tag(), seen.attempts.costs().as_str()), (Some(1), "1-250000"));
    }
    let seen = run(&retryer(mixed(2), Mode::Better), &Script::new(1000, &[(10, End::Ok)]));
    assert_eq!(seen.attempts.retry_tag(), None);
}

#[test]
fn the_error_lists_each_attempt() {
    let seen = run(&retryer(mixed(2), Mode::Better), &slow());
    let last = Error::new(Code::Timeout, "no reply within 1000 ms").with_method("Chat/Say");
    let name = |node: NodeId| Some(format!("10.0.0.{}:80", node.0));
    assert_eq!(
        seen.attempts.error(last.clone(), name).to_string(),
        "TIMEOUT: no reply within 1000 ms [3 attempts: #1 10.0.0.1:80 TIMEOUT after 1s; \
         #2 10.0.0.2:80 TIMEOUT after 1s; #3 10.0.0.3:80 TIMEOUT after 1s] [method=Chat/Say]"
    );
    let seen = run(&retryer(mixed(2), Mode::Compat), &slow());
    assert_eq!(seen.attempts.error(last.clone(), name), last, "the reference says no more than the last");
    let seen = run(&retryer(mixed(0), Mode::Better), &slow());
    assert_eq!(seen.attempts.error(last.clone(), name), last, "one attempt is no list");
}

#[test]
fn a_gate_that_denies_waits_for_what_runs() {
    // No token for a third attempt.
    for (mode, text) in [(Mode::Better, "ok 300"), (Mode::Compat, "error 250")] {
        let options =
            Options { mode, budget: Some(Arc::new(Budget::new(0.0, 0, Time::ZERO))), ..Options::default() };
        let policy = RetryPolicy { predicate: asking(true, false), ..mixed(2) };
        let script = Script::new(1000, &[(250, FAILED), (100, End::Ok)]);
        let seen = run(&retryer_with(policy, options), &script);
        assert_eq!(seen.text(), text, "{mode:?}");
    }
}

#[test]
fn a_waiting_attempt_gives_its_token_back() {
    let budget = Arc::new(Budget::new(0.0, 0, Time::ZERO));
    let options = Options { budget: Some(Arc::clone(&budget)), ..Options::default() };
    let policy = RetryPolicy { backoff: Backoff::Fixed(100), ..mixed(2) };
    let seen = run(&retryer_with(policy, options), &Script::new(1000, &[(250, End::Ok)]));
    assert_eq!((seen.text().as_str(), seen.starts.len()), ("ok 250", 1));
    assert_eq!(budget.tokens(Time::ZERO), 1);
}

#[test]
fn a_delay_that_follows_the_latency() {
    let quantile = Quantile { of: 0.9, min_samples: 50, min_ms: 2, max_ms: 100 };
    let policy = RetryPolicy { delay_quantile: Some(quantile), max_retries: 1, ..RetryPolicy::backup(80) };
    let retryer = retryer(policy, Mode::Better);
    let first_backup = |now: u64| {
        let mut attempts = Attempts::new(&retryer, Call::default(), Time::from_millis(now));
        attempts.poll();
        attempts.wake_at().nanos_since(Time::from_millis(now)) / 1_000_000
    };
    assert_eq!(first_backup(0), 80, "the fixed one, with too few samples");
    for n in 0..100 {
        run_from(&retryer, &Script::new(1000, &[(n % 50 + 1, End::Ok)]), Time::from_millis(200 + n));
    }
    let delay = first_backup(1000);
    assert!((45..=52).contains(&delay), "{delay}");
    for n in 0..1000 {
        run_from(
            &retryer,
            &Script::new(10_000, &[(900, End::Ok), (9_000, End::Ok)]),
            Time::from_millis(1100 + n),
        );
    }
    assert_eq!(first_backup(3000), 100, "not above its bound");
}
