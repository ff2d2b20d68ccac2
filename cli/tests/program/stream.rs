//! Streams: `krpc call` against `krpc serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use crate::support::{CHAT, Ran, Serve, command, json, krpc_with, signal};

/// A stream that the test feeds.
struct Live {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Live {
    fn open(server: &Serve, method: &str, more: &[&str]) -> Live {
        let mut child = command()
            .args(server.args(method, more))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Live { child, input, output }
    }

    fn send(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn end(mut self) -> Ran {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        Ran { stdout: rest, ..Ran::from(self.child.wait_with_output().unwrap()) }
    }
}

const TWO: &[u8] = b"{\"text\":\"a\"}\n{\"text\":\"b\",\"at_ms\":9223372036854775807}";
const TWO_BACK: &str = "{\"text\":\"a\"}\n{\"text\":\"b\",\"at_ms\":9223372036854775807}\n";

#[test]
fn every_mode_is_echoed() {
    let server = Serve::start(CHAT, &[]);
    let run = |method, input| krpc_with(&server.args(method, &[]), input).ok().text().to_owned();
    assert_eq!(run("Talk", TWO), TWO_BACK);
    assert_eq!(run("Chat/Talk", b"{\"text\":\"a\"}{\"text\":\"b\"}"), "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    assert_eq!(run("Talk", b""), "");
    assert_eq!(run("Upload", TWO), "{\"text\":\"b\",\"at_ms\":9223372036854775807}\n");
    assert!(json(&run("Upload", b"")).is_object(), "an example");
    assert_eq!(run("Watch", b"{\"text\":\"w\"}"), "{\"text\":\"w\"}\n".repeat(3));
    let given =
        server.call("Talk", &["-d", "{\"text\":\"a\"} {\"text\":\"b\"}", "-o", "pretty", "-streaming"]);
    assert_eq!(given.ok().text(), "{\n  \"text\": \"a\"\n}\n{\n  \"text\": \"b\"\n}\n");
    let file = server.folder.file("messages.jsonl", std::str::from_utf8(TWO).unwrap());
    assert_eq!(server.call("Talk", &["-f", &file]).ok().text(), TWO_BACK);
    assert_eq!(server.call("Talk", &["-d", &format!("@{file}")]).ok().text(), TWO_BACK);
    let server = Serve::start(CHAT, &["--repeat", "5"]);
    let watched = server.call("Watch", &["-d", "{\"text\":\"w\"}"]).ok();
    assert_eq!(watched.text(), "{\"text\":\"w\"}\n".repeat(5));
}

#[test]
fn messages_go_and_come_as_they_arrive() {
    let server = Serve::start(CHAT, &[]);
    let mut live = Live::open(&server, "Talk", &[]);
    for text in ["a", "b", "c"] {
        live.send(&format!("{{\"text\": \"{text}\"}}"));
        assert_eq!(live.line(), format!("{{\"text\":\"{text}\"}}\n"));
    }
    assert_eq!(live.end().ok().text(), "");
}

#[test]
fn ten_thousand_messages_come_back_in_order() {
    let server = Serve::start(CHAT, &[]);
    let input: String = (0..10_000).map(|n| format!("{{\"text\":\"{n}\"}}\n")).collect();
    let file = server.folder.file("many.jsonl", &input);
    assert_eq!(server.call("Talk", &["-f", &file]).ok().text(), input);
}

#[test]
fn bad_json_in_the_middle_has_its_place_and_cancels() {
    let mut server = Serve::start(CHAT, &["-v"]);
    let mut live = Live::open(&server, "Talk", &[]);
    live.send("{\"text\":\"a\"}\n");
    assert_eq!(live.line(), "{\"text\":\"a\"}\n");
    // Seen at once: the input stays open.
    live.send("{\"text\":\n 5}\n");
    let said = server.said();
    assert!(said.contains("1 in, 1 out, CANCELLED"), "{said}");
    assert!(said.contains("message 2 is wrong: $.text: expected a string"), "{said}");
    live.end().fails(
        1,
        "message 2 of Chat/Talk: TYPE_MISMATCH: $.text: expected a string, found a number (line 3, column 2)",
    );
    let broken =
        krpc_with(&server.args("Upload", &[]), b"{\"text\":\"a\"}\n{\"text\":\"b\"\n{\"text\":\"c\"}\n");
    broken.fails(1, "line 3, column 1");
    krpc_with(&server.args("Watch", &[]), b"{\"txt\":1}").fails(1, "request of Chat/Watch: ");
}

#[test]
fn ctrl_c_cancels_a_stream_and_tells_the_server() {
    let mut server = Serve::start(CHAT, &["-v"]);
    let mut live = Live::open(&server, "Talk", &[]);
    live.send("{\"text\":\"a\"}\n");
    assert_eq!(live.line(), "{\"text\":\"a\"}\n");
    let started = Instant::now();
    signal(&live.child, "INT");
    let said = server.said();
    assert!(said.contains("CANCELLED") && said.contains("interrupted by the user"), "{said}");
    live.end().fails(130, "cancelled");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn answers_say_what_a_stream_sends_and_how_it_ends() {
    let answers = r#"{
        "Talk": [
            {"results": [{"text": "1"}, {"text": "2"}]},
            {"results": [{"text": "1"}], "biz": {"code": 404, "message": "enough", "extra": {"k": "v"}}},
            {"error": {"type": 6, "message": "went wrong"}}
        ],
        "Watch": [{"result": {"text": "r"}, "repeat": 2, "header": {"h": "1"}, "trailer": {"t": "2"}}],
        "Upload": {"result": {"text": "sum"}}
    }"#;
    let server = Serve::with_answers(CHAT, answers, &[]);
    let three = b"{\"text\":\"a\"}{\"text\":\"b\"}{\"text\":\"c\"}";
    let ran = krpc_with(&server.args("Talk", &[]), three).ok();
    assert_eq!(ran.text(), "{\"text\":\"1\"}\n{\"text\":\"2\"}\n{\"text\":\"1\"}\n");
    let ran = krpc_with(&server.args("Talk", &["--json-status"]), three);
    let status = json(&ran.stderr);
    assert_eq!((ran.code, ran.text()), (Some(4), "{\"text\":\"1\"}\n"));
    assert_eq!((&status["biz"]["code"], &status["biz"]["extra"]["k"]), (&404.into(), &"v".into()));
    assert_eq!(status["messages_received"], 1);
    krpc_with(&server.args("Talk", &[]), three).fails(3, "went wrong");
    let ran = server.call("Watch", &["-d", "{\"text\":\"\"}", "-v"]).ok();
    assert_eq!(ran.text(), "{\"text\":\"r\"}\n".repeat(2));
    for line in
        ["> Chat/Watch to ", "< header {\"h\":\"1\"", "< trailer {\"t\":\"2\"", "1 messages sent, 2 received"]
    {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    let ran = server.call("Watch", &["-d", "{\"text\":\"\"}", "--json-status"]).ok();
    let status = json(&ran.stderr);
    assert_eq!((&status["header"]["h"], &status["trailer"]["t"]), (&"1".into(), &"2".into()));
    assert_eq!((&status["code"], &status["messages_sent"]), (&"OK".into(), &1.into()));
    assert_eq!(krpc_with(&server.args("Upload", &[]), TWO).ok().text(), "{\"text\":\"sum\"}\n");
}

#[test]
fn timeouts_are_of_the_stream_and_of_each_reply() {
    let server =
        Serve::with_answers(CHAT, r#"{"Watch": {"delay_ms": 150}, "Talk": {"delay_ms": 60000}}"#, &[]);
    let watch = |more: &[&str]| server.call("Watch", &[&["-d", "{\"text\":\"w\"}"], more].concat());
    assert_eq!(watch(&["--recv-timeout", "20s"]).ok().text(), "{\"text\":\"w\"}\n".repeat(3));
    server.call("Talk", &["-d", "{\"text\":\"a\"}", "--recv-timeout", "30ms"]).fails(2, "RECV_TIMEOUT");
    server.call("Talk", &["-d", "{\"text\":\"a\"}", "--timeout", "30ms"]).fails(2, "TIMEOUT");
    let ran = watch(&["--timeout", "250ms", "--json-status"]);
    assert_eq!((ran.code, &json(&ran.stderr)["code"]), (Some(2), &"TIMEOUT".into()));
}

#[test]
fn a_reader_that_has_gone_ends_the_stream() {
    let mut server = Serve::start(CHAT, &["-v", "--repeat", "4000000000"]);
    let mut live = Live::open(&server, "Watch", &["-d", "{\"text\":\"w\"}"]);
    assert_eq!(live.line(), "{\"text\":\"w\"}\n");
    drop(live.output);
    assert!(live.child.wait().unwrap().success());
    let said = server.said();
    // What the server still sends may meet a closed socket, whose reset overtakes the reason.
    assert!(said.contains("nobody reads the replies") || said.contains("CONNECTION_LOST"), "{said}");
}

#[test]
fn what_does_not_fit_streams_is_refused() {
    let server = Serve::start(CHAT, &[]);
    let one = ["-d", "{\"text\":\"a\"}"];
    server.call("Say", &[&one[..], &["-streaming"]].concat()).fails(1, "Chat/Say does not stream in the IDL");
    server.call("Say", &[&one[..], &["--recv-timeout", "1s"]].concat()).fails(1, "--recv-timeout");
    server
        .call("Talk", &[&one[..], &["--transport", "framed"]].concat())
        .fails(1, "does not support streams");
    server.call("Talk", &["-f", "nowhere.jsonl"]).fails(1, "Input file does not exist");
    let bench = ["bench", "--idl", &server.idl, "-e", &server.address, "-m", "Talk"];
    crate::support::krpc(&bench).fails(1, "Chat/Talk is a stream");
    let nobody = ["call", "--idl", &server.idl, "-e", "127.0.0.1:1", "-m", "Talk"];
    crate::support::krpc(&[&nobody[..], &one].concat()).fails(2, "is a server listening there?");
}
