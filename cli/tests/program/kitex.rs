//! The program against a real Kitex server. Needs Go; without it a counted skip.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Folder, Ran, Serve, json, krpc};
use crate::types::{ALL_TYPES, interop_idl};

struct Kitex {
    child: Child,
    address: String,
}

impl Kitex {
    fn start() -> Option<Kitex> {
        let peer = peer()?;
        let mut child = Command::new(peer)
            .args(["server", "-listen", "127.0.0.1:0"])
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
