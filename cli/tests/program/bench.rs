//! Measurements: that they count what happened. Speed is nobody's business here.

use crate::support::{CHAT, Serve, json, krpc};

fn bench<'a>(server: &'a Serve, method: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["bench", "--idl", &server.idl, "-e", &server.address, "-m", method], more].concat()
}

#[test]
fn a_closed_loop_prints_a_table() {
    let server = Serve::start(CHAT, &[]);
    let ran = krpc(&bench(&server, "Say", &["-c", "2", "-d", "200ms"])).ok();
    for text in
        ["Chat/Say at 127.0.0.1:", "closed loop", "errors   0", "p50 ", "p90 ", "p99 ", "p99.9 ", "max "]
    {
        assert!(ran.text().contains(text), "{text}: {}", ran.text());
    }
    assert_eq!(ran.stderr, "", "no progress without a terminal");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let server = Serve::start(CHAT, &[]);
    let ran = krpc(&bench(&server, "Say", &["-c", "4", "-d", "500ms", "--rate", "200", "--json"])).ok();
    let found = json(ran.text());
    let calls = found["calls"].as_u64().unwrap();
    assert!((50..=100).contains(&calls), "{found}");
    assert!(found["latency_us"]["p50"].as_f64() <= found["latency_us"]["max"].as_f64(), "{found}");
}

#[test]
fn a_stalled_server_shows_in_the_latencies_of_an_open_loop() {
    let answers = r#"{"Chat/Big": [{"delay_ms": 0}, {"delay_ms": 200}, {"delay_ms": 0}]}"#;
    let server = Serve::with_answers(CHAT, answers, &[]);
    let ran =
        krpc(&bench(&server, "Big", &["-c", "1", "-d", "400ms", "--rate", "100", "--json", "--data", "1"]))
            .ok();
    let found = json(ran.text());
    // One caller waits 200 ms for one call; those that should have started meanwhile count as late.
    assert!(found["latency_us"]["p50"].as_f64().unwrap() > 20_000.0, "{found}");
}

#[test]
fn errors_are_counted_by_code() {
    let answers = r#"{"Chat/Big": [{}, {"biz": {"code": 1}}, {"error": {"message": "x"}}]}"#;
    let server = Serve::with_answers(CHAT, answers, &[]);
    let ran = krpc(&bench(&server, "Big", &["-c", "1", "-d", "100ms", "--json"])).ok();
    let errors = &json(ran.text())["errors"];
    assert!(
        errors["BIZ_STATUS"].as_u64() > Some(0) && errors["REMOTE_EXCEPTION"].as_u64() > Some(0),
        "{errors}"
    );

    let server = Serve::with_answers(CHAT, r#"{"Chat/Big": {"biz": {"code": 1}}}"#, &[]);
    let ran = krpc(&bench(&server, "Big", &["-c", "1", "-d", "50ms"]));
    assert_eq!(ran.code, Some(4), "no call went well");
}

#[test]
fn a_measurement_that_cannot_start_is_one_clear_error() {
    let server = Serve::start(CHAT, &[]);
    krpc(&["bench", "--idl", &server.idl, "-e", "127.0.0.1:1", "-m", "Big"]).fails(2, "CONNECT_FAILED");
    krpc(&bench(&server, "Big", &["--data", "\"x\""])).fails(1, "TYPE_MISMATCH: $: ");
    krpc(&bench(&server, "Big", &["-d", "0s"])).fails(1, "--duration");
    krpc(&bench(&server, "Big", &["--rate", "0"])).fails(1, "calls a second");
    krpc(&bench(&server, "Big", &["-c", "0"])).fails(1, "not in 1..=4096");
    krpc(&bench(&server, "Talk", &[])).fails(1, "UNSUPPORTED");
}
