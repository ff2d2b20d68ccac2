//! Ctrl-C and SIGTERM.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{CHAT, Ran, Serve, command, krpc, signal};

fn interrupted(child: Child) {
    let started = Instant::now();
    signal(&child, "INT");
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    ran.fails(130, "cancelled");
}

#[test]
fn ctrl_c_cancels_a_call() {
    let mut server = Serve::with_answers(CHAT, r#"{"Chat/Big": {"delay_ms": 60000}}"#, &["-vv"]);
    let call = server.spawn_call("Big", &["-d", "1"]);
    assert!(server.said().contains("Chat/Big"));
    interrupted(call);
}

#[test]
fn ctrl_c_ends_the_wait_for_input() {
    let server = Serve::start(CHAT, &[]);
    let mut call = command()
        .args(server.args("Big", &["-v"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once signals are watched they are caught; the program says nothing before it has its input.
    let input = call.stdin.take();
    let caught = || {
        let path = format!("/proc/{}/status", call.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or("0");
        u64::from_str_radix(mask.trim(), 16).unwrap_or(0) & 2 != 0
    };
    let started = Instant::now();
    while !caught() {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    interrupted(call);
    drop(input);
}

#[test]
fn ctrl_c_ends_a_measurement_with_its_table() {
    let server = Serve::start(CHAT, &["-v"]);
    let mut bench = command()
        .args(["bench", "--idl", &server.idl, "-e", &server.address, "-m", "Big", "-c", "2", "-d", "60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = server;
    while !server.said().contains("Chat/Big") {}
    std::thread::spawn(move || while !server.said().is_empty() {});
    signal(&bench, "INT");
    let mut table = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    // A machine so busy that the callers don't end within the program's patience gets no table.
    assert!(table.is_empty() || table.contains("errors   0\n"), "{table}");
    assert_eq!(bench.wait().unwrap().code(), Some(130));
}

#[test]
fn sigterm_lets_running_calls_end() {
    let mut server = Serve::with_answers(CHAT, r#"{"Chat/Big": {"delay_ms": 500}}"#, &["-vv"]);
    let call = server.spawn_call("Big", &["-d", "5"]);
    assert!(server.said().contains("Chat/Big"));
    server.signal("TERM");
    let ran = Ran::from(call.wait_with_output().unwrap()).ok();
    assert_eq!(ran.text(), "5\n");
    assert_eq!(server.wait().code(), Some(0));
    krpc(&["call", "--idl", &server.idl, "-e", &server.address, "-m", "Big", "-d", "1"])
        .fails(2, "is a server listening there?");
}

#[test]
fn a_stream_that_outlasts_the_grace_is_told() {
    let mut server = Serve::start(CHAT, &["-vv", "--grace", "100ms"]);
    let mut call = command()
        .args(server.args("Talk", &[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = call.stdin.take();
    assert!(server.said().ends_with(": opened\n"));
    server.signal("TERM");
    Ran::from(call.wait_with_output().unwrap()).fails(3, "the server has stopped");
    assert_eq!(server.wait().code(), Some(0));
    drop(input);
}

#[test]
fn a_server_waits_for_its_grace_only() {
    let answers = r#"{"Chat/Big": {"delay_ms": 60000}}"#;
    let mut server = Serve::with_answers(CHAT, answers, &["-vv", "--grace", "100ms"]);
    let call = server.spawn_call("Big", &["-d", "5"]);
    assert!(server.said().contains("Chat/Big"));
    server.signal("INT");
    Ran::from(call.wait_with_output().unwrap()).fails(2, "CONNECTION_LOST");
    assert_eq!(server.wait().code(), Some(130));
}
