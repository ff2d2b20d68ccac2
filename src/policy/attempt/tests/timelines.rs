//! The worked timelines of governance.md §1.11, in both modes, exact.

use super::*;
use crate::policy::retry::{Backoff, Kind};

/// Case, kind, policy, timeout, attempts, what the reference does, and what we do where that is better;
/// then when the attempts begin.
struct Row {
    case: &'static str,
    policy: RetryPolicy,
    script: Script,
    compat: (&'static str, &'static [u64]),
    better: (&'static str, &'static [u64]),
}

fn policy(kind: Kind, retries: i64, delay_ms: u32) -> RetryPolicy {
    let policy = match kind {
        Kind::Failure => RetryPolicy::failure(),
        Kind::Backup => RetryPolicy::backup(delay_ms),
        Kind::Mixed => RetryPolicy::mixed(delay_ms),
    };
    RetryPolicy { max_retries: retries, error_rate: 0.3, ..policy }
}

/// T = 1000, R = 2, D = 200.
fn usual(kind: Kind) -> RetryPolicy {
    policy(kind, 2, 200)
}

fn same(
    case: &'static str,
    policy: RetryPolicy,
    script: Script,
    text: &'static str,
    starts: &'static [u64],
) -> Row {
    Row { case, policy, script, compat: (text, starts), better: (text, starts) }
}

fn check(rows: Vec<Row>) {
    for row in rows {
        for mode in [Mode::Compat, Mode::Better] {
            let seen = run(&retryer(row.policy.clone(), mode), &row.script);
            let (text, starts) = if mode == Mode::Compat { row.compat } else { row.better };
            let case = format!("{} {:?} {mode:?}", row.case, row.policy.kind);
            assert_eq!(seen.text(), text, "{case}");
            assert_eq!(seen.starts, starts, "{case}");
            assert_eq!(seen.attempts.begun() as usize, starts.len(), "{case}");
            let ended = seen.attempts.facts().all(|fact| fact.ended_at != Time::NEVER);
            assert!(ended, "{case}: an attempt without an end in {:?}", seen.attempts);
        }
    }
}

use Kind::{Backup, Failure, Mixed};

#[test]
fn case_1_the_first_is_slow() {
    let script = Script::new(1000, &[(1200, End::Ok), (900, End::Ok)]);
    check(vec![
        same("1", usual(Mixed), script.clone(), "ok 1100", &[0, 200, 400]),
        same("1", usual(Failure), script.clone(), "ok 1900", &[0, 1000]),
        same("1", usual(Backup), script.clone(), "timeout 1000", &[0, 200, 400]),
    ]);
    let seen = run(&retryer(usual(Mixed), Mode::Better), &script);
    assert_eq!(seen.outcome, Outcome::Attempt(1), "A2's answer");
    assert_eq!(seen.released, [0, 2], "A1 at its timeout, A3 at the end");
}

#[test]
fn case_2_the_first_fails_fast() {
    let script = Script::new(1000, &[(50, FAILED), (300, End::Ok)]);
    let with = |kind| RetryPolicy { predicate: asking(true, false), ..usual(kind) };
    check(vec![
        same("2", with(Mixed), script.clone(), "ok 350", &[0, 50, 250]),
        same("2", with(Failure), script.clone(), "ok 350", &[0, 50]),
        same("2", with(Backup), script.clone(), "error 50", &[0]),
        same("2b", usual(Mixed), script.clone(), "error 50", &[0]),
        same("2b", usual(Failure), script.clone(), "error 50", &[0]),
        same("2b", usual(Backup), script, "error 50", &[0]),
    ]);
}

#[test]
fn case_3_all_are_slow() {
    let script = Script::new(1000, &[(3000, End::Ok)]);
    check(vec![
        same("3", usual(Mixed), script.clone(), "timeout 1400", &[0, 200, 400]),
        same("3", usual(Failure), script.clone(), "timeout 3000", &[0, 1000, 2000]),
        same("3", usual(Backup), script, "timeout 1000", &[0, 200, 400]),
    ]);
}

#[test]
fn case_4_a_business_error_then_ok() {
    let script = Script::new(1000, &[(250, End::Biz), (100, End::Ok)]);
    let with = |kind| RetryPolicy { predicate: asking(false, true), ..usual(kind) };
    check(vec![
        same("4", with(Mixed), script.clone(), "ok 300", &[0, 200, 250]),
        same("4", with(Failure), script.clone(), "ok 350", &[0, 250]),
        same("4", with(Backup), script, "biz 250", &[0, 200]),
    ]);
}

#[test]
fn case_5_a_final_error_while_another_runs() {
    let script = Script::new(1000, &[(250, FAILED), (100, End::Ok)]);
    check(vec![
        Row {
            case: "5",
            policy: usual(Mixed),
            script: script.clone(),
            compat: ("error 250", &[0, 200]),
            better: ("ok 300", &[0, 200]),
        },
        same("5", usual(Failure), script.clone(), "error 250", &[0]),
        same("5", usual(Backup), script, "error 250", &[0, 200]),
    ]);
}

#[test]
fn case_6_backoff_in_the_loop() {
    let fixed = |kind| RetryPolicy { backoff: Backoff::Fixed(100), ..usual(kind) };
    let script = Script::new(1000, &[(250, End::Ok), (500, End::Ok)]);
    let hangs = Script::new(1000, &[(100_000, End::Ok), (220, End::Ok)]);
    let once = |kind| RetryPolicy { max_retries: 1, ..fixed(kind) };
    check(vec![
        Row {
            case: "6",
            policy: fixed(Mixed),
            script: script.clone(),
            // A2 is begun at 300, but A1's answer is looked at before A2 is sent.
            compat: ("ok 300", &[0]),
            better: ("ok 250", &[0]),
        },
        same("6", fixed(Failure), script.clone(), "ok 250", &[0]),
        same("6", fixed(Backup), script, "ok 250", &[0, 200]),
        Row {
            case: "6b",
            policy: once(Mixed),
            script: hangs.clone(),
            compat: ("ok 600", &[0, 300]),
            better: ("ok 520", &[0, 300]),
        },
        same("6b", once(Failure), hangs.clone(), "ok 1320", &[0, 1100]),
        same("6b", once(Backup), hangs, "ok 420", &[0, 200]),
    ]);
}

#[test]
fn case_7_max_duration() {
    let short = |kind| RetryPolicy { max_duration_ms: 300, ..usual(kind) };
    let script = Script::new(1000, &[(450, End::Ok)]);
    check(vec![
        Row {
            case: "7",
            policy: short(Mixed),
            script: script.clone(),
            compat: ("max duration 400", &[0, 200]),
            better: ("ok 450", &[0, 200]),
        },
        same("7", short(Failure), script.clone(), "ok 450", &[0]),
        same("7", short(Backup), script, "ok 450", &[0, 200, 400]),
    ]);
    let script = Script::new(1000, &[(450, End::Ok)]);
    let seen = run(&retryer(short(Mixed), Mode::Compat), &script);
    assert_eq!(
        seen.attempts.max_duration_text("svc", "Say", Some("127.0.0.1:80")),
        "retry[1] failed, exceed max duration[300ms], toService=svc, method=Say, remote=127.0.0.1:80"
    );
}

#[test]
fn cases_8_to_10_the_references_own_tests() {
    let eight = Script::new(200, &[(300, End::Ok), (150, End::Ok)]);
    let nine = Script::new(300, &[(1000, End::Ok), (150, End::Ok)]);
    let ten = Script::new(100, &[(1000, End::Ok)]);
    let d100 = |kind| policy(kind, 2, 100);
    check(vec![
        same("8", d100(Mixed), eight.clone(), "ok 250", &[0, 100, 200]),
        same("8", d100(Failure), eight.clone(), "ok 350", &[0, 200]),
        // The timer and A1's timeout come together: a third is not sent any more.
        same("8", d100(Backup), eight, "timeout 200", &[0, 100]),
        same("9", d100(Mixed), nine.clone(), "ok 250", &[0, 100, 200]),
        same("9", d100(Failure), nine.clone(), "ok 450", &[0, 300]),
        same("9", d100(Backup), nine, "ok 250", &[0, 100, 200]),
        same("10", d100(Mixed), ten.clone(), "timeout 200", &[0, 100, 100]),
        same("10", d100(Failure), ten.clone(), "timeout 300", &[0, 100, 200]),
        same("10", d100(Backup), ten, "timeout 100", &[0]),
    ]);
}

#[test]
fn case_11_business_errors_until_the_third() {
    let script = Script::new(1000, &[(250, End::Biz), (250, End::Biz), (250, End::Ok)]);
    let with = |kind, retries| RetryPolicy { predicate: asking(false, true), ..policy(kind, retries, 100) };
    check(vec![
        same("11", with(Mixed, 3), script.clone(), "ok 450", &[0, 100, 200, 250]),
        same("11", with(Failure, 3), script.clone(), "ok 750", &[0, 250, 500]),
        same("11", with(Backup, 2), script, "biz 250", &[0, 100, 200]),
    ]);
}

#[test]
fn case_12_timeouts_and_backoff() {
    let fixed = RetryPolicy { backoff: Backoff::Fixed(100), ..policy(Mixed, 2, 300) };
    let slow = (1000, End::Ok);
    let rows = [
        (vec![(100, End::Ok)], "ok 100", &[0][..]),
        (vec![slow, (100, End::Ok)], "ok 350", &[0, 250]),
        (vec![slow, slow, (100, End::Ok)], "ok 600", &[0, 250, 500]),
        (vec![slow], "timeout 650", &[0, 250, 500]),
    ];
    let row = |(attempts, text, starts): (Vec<_>, _, _)| {
        same("12", fixed.clone(), Script::new(150, &attempts), text, starts)
    };
    check(rows.into_iter().map(row).collect());
}
