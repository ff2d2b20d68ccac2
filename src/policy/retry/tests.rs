//! Values, texts, documents and precedence (governance.md §1.1, §1.8, §1.10, §12.7–§12.19).

use super::*;
use crate::policy::Mode;

fn text(invalid: Result<(), Invalid>) -> String {
    invalid.map_or_else(|invalid| invalid.to_string(), |()| "ok".into())
}

#[test]
fn defaults_are_the_references() {
    let failure = RetryPolicy::failure();
    assert_eq!((failure.max_retries, failure.max_duration_ms, failure.chain_stop), (2, 0, true));
    assert_eq!((failure.backoff, failure.same_node, failure.ddl_stop), (Backoff::None, false, false));
    assert!((failure.error_rate - 0.1).abs() < 1e-12);
    assert_eq!((RetryPolicy::backup(10).max_retries, RetryPolicy::mixed(10).max_retries), (1, 1));
    assert!(failure.delay_quantile.is_none(), "beyond the reference, so off");
}

#[test]
fn what_a_builder_refuses() {
    let failure = RetryPolicy::failure;
    let with = |policy: RetryPolicy, retries| RetryPolicy { max_retries: retries, ..policy };
    let quantile = |of, min_ms, max_ms| {
        let delay_quantile = Some(Quantile { of, min_samples: 1, min_ms, max_ms });
        RetryPolicy { delay_quantile, ..RetryPolicy::mixed(10) }
    };
    let rows = [
        (with(failure(), 5), "ok"),
        (with(failure(), 0), "ok"),
        (with(failure(), 6), "invalid MaxRetryTimes[6]"),
        (with(failure(), -1), "invalid MaxRetryTimes[-1]"),
        (with(RetryPolicy::backup(1), 2), "ok"),
        (with(RetryPolicy::backup(1), 3), "invalid MaxRetryTimes[3]"),
        (with(RetryPolicy::mixed(1), 3), "ok"),
        (with(RetryPolicy::mixed(1), 4), "invalid MaxRetryTimes[4]"),
        (with(RetryPolicy::mixed(1), i64::MAX), "invalid MaxRetryTimes[9223372036854775807]"),
        (RetryPolicy::backup(0), "invalid retry delay duration in backupRetryer"),
        (RetryPolicy::mixed(0), "invalid retry delay duration in mixedRetryer"),
        (RetryPolicy { error_rate: 0.0, ..failure() }, "invalid retry circuit breaker rate, errRate=0.00"),
        (RetryPolicy { error_rate: -1.0, ..failure() }, "invalid retry circuit breaker rate, errRate=-1.00"),
        (RetryPolicy { error_rate: 0.31, ..failure() }, "invalid retry circuit breaker rate, errRate=0.31"),
        (
            RetryPolicy { error_rate: f64::NAN, ..failure() },
            "invalid retry circuit breaker rate, errRate=NaN",
        ),
        (RetryPolicy { error_rate: 0.3, ..failure() }, "ok"),
        (RetryPolicy { backoff: Backoff::Fixed(0), ..failure() }, "invalid FixedBackOff, fixMS=0"),
        (
            RetryPolicy { backoff: Backoff::Random { min_ms: 20, max_ms: 5 }, ..failure() },
            "invalid RandomBackOff, minMS=20, maxMS=5",
        ),
        (
            RetryPolicy { backoff: Backoff::Random { min_ms: 5, max_ms: 5 }, ..RetryPolicy::mixed(1) },
            "invalid RandomBackOff, minMS=5, maxMS=5",
        ),
        (RetryPolicy { backoff: Backoff::Fixed(0), ..RetryPolicy::backup(1) }, "ok"),
        (quantile(0.99, 1, 100), "ok"),
        (quantile(1.0, 1, 100), "invalid delay quantile: 0 < of < 1, 0 < min_ms <= max_ms"),
        (quantile(f64::NAN, 1, 100), "invalid delay quantile: 0 < of < 1, 0 < min_ms <= max_ms"),
        (quantile(0.9, 9, 8), "invalid delay quantile: 0 < of < 1, 0 < min_ms <= max_ms"),
        (RetryPolicy { enabled: false, ..with(failure(), 99) }, "ok"),
    ];
    for (policy, expected) in rows {
        assert_eq!(text(policy.check()), expected, "{policy:?}");
    }
    let error = Error::from(Invalid::MaxRetries(6));
    assert_eq!(error.to_string(), "INVALID_ARGUMENT: retry policy: invalid MaxRetryTimes[6]");
}

const DOCUMENT: &str = r#"
{"*":    {"enable":true,"type":0,"failure_policy":{"stop_policy":{"max_retry_times":1,"max_duration_ms":0,"disable_chain_stop":false,"ddl_stop":false,"cb_policy":{"error_rate":0.2}},"backoff_policy":{"backoff_type":"random","cfg_items":{"min_ms":5,"max_ms":20}},"retry_same_node":false,"extra":""}},
 "Read": {"enable":true,"type":1,"backup_policy":{"retry_delay_ms":40,"stop_policy":{"max_retry_times":1,"cb_policy":{"error_rate":0.1}},"retry_same_node":false}},
 "List": {"enable":true,"type":2,"mixed_policy":{"retry_delay_ms":40,"stop_policy":{"max_retry_times":2,"cb_policy":{"error_rate":0.1}},"backoff_policy":{"backoff_type":"none"},"retry_same_node":false,"extra":""}}}"#;

#[test]
fn the_document_of_the_specification() {
    let all = parse_all(DOCUMENT.as_bytes()).unwrap();
    let expected = [
        (
            "*",
            RetryPolicy {
                max_retries: 1,
                error_rate: 0.2,
                backoff: Backoff::Random { min_ms: 5, max_ms: 20 },
                ..RetryPolicy::failure()
            },
        ),
        ("List", RetryPolicy { max_retries: 2, ..RetryPolicy::mixed(40) }),
        ("Read", RetryPolicy::backup(40)),
    ];
    assert_eq!(all.len(), 3);
    for (method, policy) in expected {
        assert_eq!(all[method], Parsed { policy: Ok(policy), warnings: vec![] }, "{method}");
    }
}

/// A failure policy with these fields.
fn parsed(stop: &str, rest: &str) -> Parsed {
    let text = format!(r#"{{"enable":true,"failure_policy":{{"stop_policy":{{{stop}}}{rest}}}}}"#);
    parse(text.as_bytes()).unwrap()
}

#[test]
fn fields_of_a_document() {
    let rate = r#""cb_policy":{"error_rate":0.1}"#;
    let retries = |stop: &str| parsed(&format!("{stop},{rate}"), "").policy.map(|policy| policy.max_retries);
    assert_eq!(parsed(rate, "").policy.unwrap().max_retries, 0, "absent means off");
    assert_eq!(retries(r#""max_retry_times":null"#), Ok(0));
    assert_eq!(retries(r#""max_retry_times":3"#), Ok(3));
    assert_eq!(retries(r#""max_retry_times":6"#), Err(Invalid::MaxRetries(6)));
    assert_eq!(retries(r#""max_retry_times":3,"unknown":{"a":[1,{}]},"max_retry_times":4"#), Ok(4));
    for rate in ["0", "-1", "0.31", "1e999"] {
        let parsed = parsed(&format!(r#""cb_policy":{{"error_rate":{rate}}}"#), "");
        assert!((parsed.policy.unwrap().error_rate - 0.1).abs() < 1e-12, "{rate}");
        assert!(matches!(parsed.warnings[..], [Invalid::ErrorRate(_)]));
    }
    let all = parsed(
        r#""max_retry_times":2,"max_duration_ms":1500,"disable_chain_stop":true,"ddl_stop":true"#,
        r#","retry_same_node":true,"extra":"x\ny","backoff_policy":{"backoff_type":"fixed","cfg_items":{"fix_ms":10.4}}"#,
    );
    let expected = RetryPolicy {
        max_duration_ms: 1500,
        chain_stop: false,
        ddl_stop: true,
        same_node: true,
        extra: "x\ny".into(),
        backoff: Backoff::Fixed(10),
        ..RetryPolicy::failure()
    };
    assert_eq!(all.policy, Ok(expected));
}

#[test]
fn a_wrong_backoff_is_borne() {
    let rows = [
        (r#"{"backoff_type":"linear"}"#, "invalid backoffType=linear"),
        (r#"{}"#, "invalid backoffType="),
        (r#"{"backoff_type":"fixed"}"#, "invalid FixedBackOff, CfgItems is nil"),
        (r#"{"backoff_type":"fixed","cfg_items":{}}"#, "invalid FixedBackOff, fixMS=0"),
        (r#"{"backoff_type":"fixed","cfg_items":{"fix_ms":-3}}"#, "invalid FixedBackOff, fixMS=-3"),
        (r#"{"backoff_type":"random","cfg_items":{"min_ms":9}}"#, "invalid RandomBackOff, minMS=9, maxMS=0"),
        (r#"{"backoff_type":"random"}"#, "invalid FixedBackOff, CfgItems is nil"),
    ];
    for (backoff, warning) in rows {
        let parsed = parsed(r#""cb_policy":{"error_rate":0.1}"#, &format!(r#","backoff_policy":{backoff}"#));
        assert_eq!(parsed.policy.unwrap().backoff, Backoff::None, "acts as none, never a crash");
        assert_eq!(parsed.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [warning]);
    }
}

#[test]
fn a_policy_without_its_part_is_refused() {
    let rows = [
        (
            r#"{"enable":true}"#,
            "FailurePolicy is nil or retry type not match(type=Failure), cannot do update in failureRetryer",
        ),
        (
            r#"{"enable":true,"type":1,"failure_policy":{}}"#,
            "BackupPolicy is nil or retry type not match(type=Backup), cannot do update in backupRetryer",
        ),
        (
            r#"{"enable":true,"type":2}"#,
            "MixedPolicy is nil or retry type not match(type=Mixed), cannot do update in mixedRetryer",
        ),
        (
            r#"{"enable":true,"type":7,"failure_policy":{}}"#,
            "FailurePolicy is nil or retry type not match(type=), cannot do update in failureRetryer",
        ),
        (r#"{"enable":true,"type":1,"backup_policy":{}}"#, "invalid retry delay duration in backupRetryer"),
        (r#"{"enable":true,"type":2,"mixed_policy":{}}"#, "invalid retry delay duration in mixedRetryer"),
    ];
    for (document, expected) in rows {
        assert_eq!(parse(document.as_bytes()).unwrap().policy.unwrap_err().to_string(), expected);
    }
    let off = parse(br#"{"enable":false,"type":1}"#).unwrap().policy.unwrap();
    assert_eq!((off.enabled, off.kind), (false, Kind::Backup));
}

#[test]
fn texts_that_are_no_document() {
    for document in [
        "",
        "[]",
        "{",
        r#"{"enable":1}"#,
        r#"{"enable":true}x"#,
        r#"{"failure_policy":[]}"#,
        r#"{"failure_policy":{"stop_policy":{"max_retry_times":1.5}}}"#,
        r#"{"failure_policy":{"stop_policy":{"max_duration_ms":-1}}}"#,
        r#"{"failure_policy":{"stop_policy":{"max_duration_ms":4294967296}}}"#,
        r#"{"mixed_policy":{"retry_delay_ms":"40"}}"#,
    ] {
        assert!(parse(document.as_bytes()).is_err(), "{document}");
    }
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    assert!(parse(deep.as_bytes()).is_err());
    let long = format!(r#"{{"extra":"{}"}}"#, "x".repeat(1 << 20));
    assert!(parse(long.as_bytes()).is_err());
    let error = parse(br#"{"enable":1}"#).unwrap_err();
    assert_eq!(error.to_string(), "MALFORMED: policy document, byte 10: enable must be true or false");
}

fn policies(mode: Mode, predicate: Option<Predicate>) -> Policies {
    Policies::new(Options { mode, predicate, ..Options::default() }).unwrap()
}

fn map(entries: &[(&str, RetryPolicy)]) -> std::collections::BTreeMap<String, RetryPolicy> {
    entries.iter().map(|(method, policy)| ((*method).to_owned(), policy.clone())).collect()
}

fn found(policies: &Policies, own: Option<&CallPolicy>, method: &str) -> Option<RetryPolicy> {
    match policies.lookup(own, method) {
        Ok(Lookup::Retry(retryer)) => Some(retryer.policy().clone()),
        Ok(Lookup::None) => None,
        other => panic!("{other:?}"),
    }
}

fn ask_errors() -> Predicate {
    Predicate { errors: OnError::Ask, ..Predicate::default() }
}

#[test]
fn the_call_then_the_method_then_any() {
    let policies = policies(Mode::Better, None);
    let any = RetryPolicy::failure();
    let read = RetryPolicy::backup(40);
    assert_eq!(found(&policies, None, "Read"), None);
    policies.install(map(&[("*", any.clone()), ("Read", read.clone())])).unwrap();
    assert_eq!(found(&policies, None, "Read"), Some(read));
    assert_eq!(found(&policies, None, "Write"), Some(any.clone()));
    let own = RetryPolicy { max_retries: 0, ..RetryPolicy::failure() };
    let call = policies.for_calls(own.clone());
    assert_eq!(found(&policies, Some(&call), "Read"), Some(own.clone()), "the opt-out");
    let disabled = policies.for_calls(RetryPolicy { enabled: false, ..own });
    assert_eq!(found(&policies, Some(&disabled), "Write"), Some(any), "ignored");
}

#[test]
fn a_call_policy_that_is_refused() {
    let wrong = RetryPolicy { max_retries: 9, ..RetryPolicy::failure() };
    let better = policies(Mode::Better, None);
    let refused = better.lookup(Some(&better.for_calls(wrong.clone())), "Read").unwrap_err();
    assert_eq!(refused, Invalid::MaxRetries(9));
    let compat = policies(Mode::Compat, None);
    compat.install(map(&[("*", RetryPolicy::failure())])).unwrap();
    let single = compat.lookup(Some(&compat.for_calls(wrong)), "Read");
    assert!(matches!(single, Ok(Lookup::Single(Invalid::MaxRetries(9)))), "no fall-through");
}

#[test]
fn where_the_predicate_comes_from() {
    for (mode, of_calls) in [(Mode::Better, ask_errors()), (Mode::Compat, Predicate::default())] {
        let policies = policies(mode, Some(ask_errors()));
        let all = Predicate { errors: OnError::All, ..Predicate::default() };
        let policy = RetryPolicy { predicate: all, ..RetryPolicy::failure() };
        policies.install(map(&[("*", policy.clone())])).unwrap();
        assert_eq!(found(&policies, None, "Read").unwrap().predicate, ask_errors(), "the client's");
        let own = policies.for_calls(policy);
        assert_eq!(found(&policies, Some(&own), "Read").unwrap().predicate, all, "its own");
        let bare = policies.for_calls(RetryPolicy::failure());
        assert_eq!(found(&policies, Some(&bare), "Read").unwrap().predicate, of_calls, "{mode:?}");
    }
    let nothing = Options { predicate: Some(Predicate::default()), ..Options::default() };
    assert!(matches!(Policies::new(nothing), Err(Invalid::Predicate)));
}

fn remote(text: &str) -> Parsed {
    parse(text.as_bytes()).unwrap()
}

fn remote_failure(retries: i64, backoff: &str) -> Parsed {
    remote(&format!(
        r#"{{"enable":true,"type":0,"failure_policy":{{"stop_policy":{{"max_retry_times":{retries},"cb_policy":{{"error_rate":0.1}}}},"backoff_policy":{{"backoff_type":"{backoff}","cfg_items":{{"fix_ms":7}}}}}}}}"#
    ))
}

#[test]
fn remote_policies_come_change_and_go() {
    let policies = policies(Mode::Better, None);
    assert_eq!(policies.update("*", remote_failure(1, "fixed")), Ok(true));
    assert_eq!(found(&policies, None, "Read").unwrap().backoff, Backoff::Fixed(7));
    // The same kind: the rest is taken, a wrong backoff leaves the one before.
    assert_eq!(policies.update("*", remote_failure(3, "linear")), Ok(true));
    let policy = found(&policies, None, "Read").unwrap();
    assert_eq!((policy.max_retries, policy.backoff), (3, Backoff::Fixed(7)));
    assert_eq!(policies.dump().0["*"].1, Some(Invalid::BackoffType("linear".into())));
    // Refused: the old one stays, the reason is in the dump.
    assert_eq!(policies.update("*", remote_failure(9, "none")), Err(Invalid::MaxRetries(9)));
    assert_eq!(found(&policies, None, "Read").unwrap().max_retries, 3);
    assert_eq!(policies.dump().0["*"].1, Some(Invalid::MaxRetries(9)));
    // Another kind replaces it.
    let backup = r#"{"enable":true,"type":1,"backup_policy":{"retry_delay_ms":5,"stop_policy":{"max_retry_times":1,"cb_policy":{"error_rate":0.1}}}}"#;
    assert_eq!(policies.update("*", remote(backup)), Ok(true));
    assert_eq!(found(&policies, None, "Read"), Some(RetryPolicy::backup(5)));
    // Off shadows `*` for its method.
    assert_eq!(policies.update("Read", remote(r#"{"enable":false,"type":1}"#)), Ok(true));
    assert!(!found(&policies, None, "Read").unwrap().enabled);
    assert!(found(&policies, None, "Write").unwrap().enabled);
    assert!(policies.delete("Read"));
    assert!(found(&policies, None, "Read").unwrap().enabled);
    assert!(policies.delete("*"));
    assert_eq!(found(&policies, None, "Read"), None);
    assert_eq!(policies.dump().1, "delete retryer[*]");
}

#[test]
fn a_wrong_backoff_in_the_first_remote_policy_is_none() {
    let policies = policies(Mode::Compat, None);
    assert_eq!(policies.update("*", remote_failure(1, "linear")), Ok(true));
    assert_eq!(found(&policies, None, "Read").unwrap().backoff, Backoff::None);
}

#[test]
fn code_policies_shut_remote_ones_out() {
    for (mode, kept) in [(Mode::Better, 2), (Mode::Compat, 1)] {
        let policies = policies(mode, None);
        policies.update("*", remote_failure(1, "none")).unwrap();
        policies.install(map(&[("*", RetryPolicy::failure())])).unwrap();
        assert_eq!(found(&policies, None, "Read").unwrap().max_retries, kept, "{mode:?}");
        assert_eq!(policies.update("*", remote_failure(4, "none")), Ok(false));
        assert!(!policies.delete("*"));
        assert_eq!(found(&policies, None, "Read").unwrap().max_retries, kept);
    }
    let policies = policies(Mode::Better, None);
    let off = RetryPolicy { enabled: false, ..RetryPolicy::failure() };
    policies.install(map(&[("*", off)])).unwrap();
    assert_eq!(policies.update("*", remote_failure(4, "none")), Ok(true), "none was enabled");
    let wrong = RetryPolicy { max_retries: 9, ..RetryPolicy::mixed(1) };
    assert_eq!(policies.install(map(&[("Read", wrong)])), Err(Invalid::MaxRetries(9)));
}

#[test]
fn options_that_exclude_each_other() {
    let (failure, backup, mixed) = (RetryPolicy::failure(), RetryPolicy::backup(1), RetryPolicy::mixed(1));
    let after = |first: &RetryPolicy, second: &RetryPolicy| {
        let mut code = CodePolicies::default();
        code.set(first.clone()).unwrap();
        code.set(second.clone()).map(|()| code.into_map()["*"].kind)
    };
    assert_eq!(after(&failure, &failure), Ok(Kind::Failure));
    assert_eq!(after(&failure, &mixed), Ok(Kind::Mixed), "mixed replaces either");
    assert_eq!(after(&backup, &mixed), Ok(Kind::Mixed));
    for (first, second) in [(&failure, &backup), (&backup, &failure), (&mixed, &failure), (&mixed, &backup)] {
        assert_eq!(after(first, second), Err(Conflict { before: first.kind, new: second.kind }));
    }
    let conflict = Conflict { before: Kind::Mixed, new: Kind::Failure };
    let text = "MixedPolicy has been setup, cannot support Failure retry at the same time";
    assert_eq!(conflict.to_string(), text);
    let mut code = CodePolicies::default();
    code.set(failure).unwrap();
    code.set_methods(map(&[("*", backup.clone()), ("Read", backup)]));
    let map = code.into_map();
    assert_eq!((map["*"].kind, map["Read"].kind), (Kind::Failure, Kind::Backup), "the earlier `*` stays");
}

#[test]
fn methods_are_bounded() {
    let limits = Limits { policies: 2, methods: 3 };
    let policies = Policies::new(Options { limits, ..Options::default() }).unwrap();
    policies.update("*", remote_failure(1, "none")).unwrap();
    policies.update("a", remote_failure(1, "none")).unwrap();
    assert_eq!(policies.update("b", remote_failure(1, "none")), Err(Invalid::TooManyMethods(2)));
    assert_eq!(policies.update("a", remote_failure(2, "none")), Ok(true));
    for method in 0..100 {
        assert!(found(&policies, None, &format!("method{method}")).is_some(), "windows are shared then");
    }
}
