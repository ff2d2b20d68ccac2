//! The program against a real Kitex server. Needs Go; without it a counted skip.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Folder, Ran, Serve, json, krpc, krpc_with};
use crate::types::{ALL_TYPES, interop_idl};

struct Kitex {
    child: Child,
    address: String,
}

impl Kitex {
    fn start() -> Option<Kitex> {
        Kitex::start_as("server")
    }

    fn start_as(command: &str) -> Option<Kitex> {
        let peer = peer()?;
        let mut child = Command::new(peer)
            .args([command, "-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim_end().strip_prefix("LISTENING ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Some(Kitex { child, address })
    }

    fn call(&self, method: &str, request: &str, more: &[&str]) -> Ran {
        let idl = interop_idl();
        krpc(&[&["call", "--idl", &idl, "-e", &self.address, "-m", method, "-d", request], more].concat())
    }
}

impl Drop for Kitex {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the peer if it must; `None` without Go, except where skips are failures.
fn peer() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let out = root.join("build/interop/kitex");
    let built = Command::new(root.join("tests/interop/kitex/build.sh")).arg(&out).output().unwrap();
    match built.status.code() {
        Some(0) => Some(out.join("kitex-peer")),
        Some(3) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("needs Go"),
        Some(3) => {
            // Not captured, so that scripts/task counts it.
            let _ = writeln!(std::io::stderr(), "skipped: krpc call against Kitex: needs Go 1.22 or newer");
            None
        }
        _ => panic!("{}{}", String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr)),
    }
}

fn streams_idl() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("tests/interop/idl/streams.thrift").to_str().unwrap().to_owned()
}

#[test]
fn calls_to_kitex() {
    let Some(kitex) = Kitex::start() else { return };
    for transport in ["ttheader-framed", "ttheader", "framed", "buffered"] {
        let on = ["--transport", transport];
        let ran = kitex.call("Interop/EchoTypes", ALL_TYPES, &on).ok();
        assert_eq!(json(ran.text()), json(ALL_TYPES), "{transport}");
        assert_eq!(kitex.call("Interop/Void", "\"x\"", &on).ok().text(), "null\n");
        assert_eq!(kitex.call("Interop/Fire", "\"x\"", &on).ok().text(), "");
        let add = r#"{"a": 9223372036854775806, "b": 1}"#;
        assert_eq!(kitex.call("Interop/Add", add, &on).ok().text(), "9223372036854775807\n");
        kitex
            .call("Interop/Fail", "\"declared\"", &on)
            .fails(3, r#"threw EchoError {"code":1001,"message":"declared"}"#);
        kitex
            .call("Interop/Fail", "\"declared2\"", &on)
            .fails(3, r#"threw OtherError {"reason":"declared2","details":["a","b"]}"#);
        kitex.call("Interop/Fail", "\"trans\"", &on).fails(3, "own code");
        kitex.call("Interop/Sleep", "5000", &[&on[..], &["--timeout", "50ms"]].concat()).fails(2, "TIMEOUT");
    }
    let biz = kitex.call("Interop/Fail", "\"biz\"", &["--json-status"]);
    assert_eq!((biz.code, &json(&biz.stderr)["biz"]["extra"]["quote"]), (Some(4), &"<\"é>".into()));
    kitex.call("Interop/Fail", "\"panic\"", &[]).fails(3, "panic");
    kitex.call("Unknown/Missing", "\"x\"", &[]).fails(3, "UNKNOWN");

    let seen = kitex.call(
        "Interop/Meta",
        r#"{"b": "back"}"#,
        &["--meta", "t=1", "--meta-persistent", "p=2", "--json-status", "-o", "compact"],
    );
    let seen = seen.ok();
    let (values, status) = (json(seen.text()), json(&seen.stderr));
    assert_eq!(status["meta"]["b"], "back");
    assert_eq!((&values["caller"], &values["arg.b"]), (&"krpc".into(), &"back".into()));
    assert!(seen.text().contains("\"1\"") && seen.text().contains("\"2\""), "{}", seen.text());

    let second = kitex.call("Second/Echo", r#"{"message": "x"}"#, &["-o", "compact"]).ok();
    assert_eq!(
        json(second.text())["message"],
        "second:x",
        "the named service, not the first with the method"
    );
}

#[test]
fn streams_to_kitex() {
    let Some(kitex) = Kitex::start_as("stream-server") else { return };
    let idl = streams_idl();
    let stream = |method: &str, input: &str, more: &[&str]| {
        let target = ["call", "--idl", &idl, "-e", &kitex.address, "-m", method];
        krpc_with(&[&target[..], more].concat(), input.as_bytes())
    };
    let lines = "{\"n\":1,\"text\":\"a\"}\n{\"n\":2,\"data\":\"AAEC\"}\n";
    assert_eq!(stream("Streams/Bidi", lines, &[]).ok().text(), lines);
    let sum = stream("Streams/Upload", "{\"n\":1,\"data\":\"YQ==\"}{\"n\":41,\"data\":\"Yg==\"}", &[]);
    assert_eq!(json(sum.ok().text()), json(r#"{"n":42,"data":"YWI="}"#));
    let many: String = (0..3).map(|n| format!("{{\"n\":{n},\"data\":\"eA==\"}}\n")).collect();
    assert_eq!(stream("Streams/Watch", r#"{"n":3,"data":"eA=="}"#, &[]).ok().text(), many);

    let first = "{\"n\":1,\"text\":\"x\"}\n";
    let biz = stream("Streams/Bidi", &format!("{first}{{\"n\":2,\"text\":\"biz\"}}"), &["--json-status"]);
    assert_eq!((biz.code, biz.text()), (Some(4), first));
    assert_eq!(json(&biz.stderr)["biz"]["extra"]["k"], "v");
    stream("Streams/Bidi", r#"{"n":2,"text":"fail"}"#, &[]).fails(3, "biz error: boom");
    stream("Streams/Bidi", r#"{"n":2,"text":"panic"}"#, &[]).fails(3, "oh no");
    let early = stream("Streams/Bidi", &format!("{first}{{\"n\":2,\"text\":\"return\"}}"), &[]).ok();
    assert_eq!(early.text(), first);

    let meta =
        stream("Streams/Bidi", r#"{"n":1,"text":"meta k"}"#, &["--meta", "k=t", "--meta-persistent", "k=p"]);
    assert_eq!(json(meta.ok().text())["text"], "p,t");
    let told = stream("Streams/Bidi", r#"{"n":1,"text":"header"}"#, &["--json-status"]).ok();
    let status = json(&told.stderr);
    assert_eq!((&status["header"]["set"], &status["header"]["sent"]), (&"1".into(), &"2".into()));
    assert_eq!(status["trailer"]["end"], "3");

    stream("Streams/Bidi", r#"{"n":1,"text":"silent"}"#, &["--json-status"]).ok();
    let wrong = stream("Streams/Bidi", &format!("{first}{{\"n\":true}}"), &[]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("message 2 of Streams/Bidi") && wrong.stderr.contains("(line 2, "));
    let waits = stream("Streams/Bidi", r#"{"n":1,"text":"wait"}"#, &["--timeout", "200ms"]);
    assert_eq!((waits.code, waits.text()), (Some(2), "{\"n\":1,\"text\":\"wait\"}\n"));
    assert!(waits.stderr.contains("TIMEOUT"), "{}", waits.stderr);
}

/// A Kitex client sends and receives at once, 10,000 messages, large ones, and on many streams at a time.
#[test]
fn kitex_streams_to_a_served_idl() {
    let Some(peer) = peer() else { return };
    let server = Serve::of_file(Folder::new(), streams_idl(), &[]);
    for pool in ["mux", "long"] {
        let ran = Command::new(&peer)
            .args(["stream-client", "-addr", &server.address, "-pool", pool])
            .args(["-case", "bidi,ten-thousand,large,together"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("4 passed, 0 failed"), "{pool}: {said}");
    }
}

/// A Kitex client sends every type to `krpc serve`, in every format, and compares what comes back deeply.
#[test]
fn kitex_calls_a_served_idl() {
    let Some(peer) = peer() else { return };
    let server = Serve::of_file(Folder::new(), interop_idl(), &[]);
    for transport in ["framed", "buffered", "ttheader", "ttheader-framed"] {
        let ran = Command::new(&peer)
            .args(["client", "-addr", &server.address, "-transport", transport, "-case", "types"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("ok types"), "{transport}: {said}");
    }
}
