//! The server's own rules: what it answers, and in which order.

use std::time::{Duration, Instant};

use crate::support::{CHAT, Folder, Serve, krpc};

#[test]
fn answers_are_used_in_turn() {
    let answers = r#"{"Say": [
        {"result": {"text": "one", "at_ms": 9223372036854775807}},
        {"result": {"text": "two"}},
        {}
    ]}"#;
    let server = Serve::with_answers(CHAT, answers, &[]);
    let expected =
        [r#"{"text":"one","at_ms":9223372036854775807}"#, r#"{"text":"two"}"#, r#"{"text":"echo"}"#];
    for expected in expected.iter().chain(&expected) {
        let ran = server.call("Say", &["-d", r#"{"text":"echo"}"#, "-o", "compact"]).ok();
        assert_eq!(ran.text().trim_end(), *expected);
    }
}

#[test]
fn delays_hold_up_only_their_own_call() {
    let server = Serve::with_answers(CHAT, r#"{"Chat/Big": [{"delay_ms": 300}]}"#, &[]);
    let started = Instant::now();
    let slow: Vec<_> = (0..4).map(|_| server.spawn_call("Big", &["-d", "1"])).collect();
    for call in slow {
        let output = call.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"1\n"[..]));
    }
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(300), "{elapsed:?}");
    server.call("Big", &["-d", "1", "--timeout", "20ms"]).fails(2, "TIMEOUT");
}

#[test]
fn verbose_servers_say_a_line_for_each_call() {
    let mut server = Serve::start(CHAT, &["-vv"]);
    server.call("Say", &["-d", r#"{"text":"a\u001b[31m"}"#]).ok();
    let (arrived, answered) = (server.said(), server.said());
    assert!(
        arrived.starts_with("Chat/Say from 127.0.0.1:") && arrived.contains(r#"{"text":"a\u001b[31m"}"#),
        "{arrived}"
    );
    assert!(answered.contains(" bytes, echo, "), "{answered}");
    server.call("Fire", &["-d", "\"x\""]).ok();
    assert!(server.said().ends_with("\"x\"\n"));
    assert!(server.said().contains(", oneway, "));
}

#[test]
fn example_values_are_bounded() {
    let idl = "
        struct A { 1: list<B> bs, 2: map<string, A> as, 3: optional B b }
        struct B { 1: list<A> as, 2: set<i32> ids = [1, 2] }
        union U { 1: list<U> us }
        service S { A a(), B b(), U u() }";
    let server = Serve::start(idl, &[]);
    assert_eq!(
        server.call("a", &["-o", "compact"]).ok().text(),
        "{\"bs\":[{\"as\":[],\"ids\":[1,2]}],\"as\":{},\"b\":{\"as\":[],\"ids\":[1,2]}}\n"
    );
    assert_eq!(server.call("u", &["-o", "compact"]).ok().text(), "{\"us\":[]}\n");
}

#[test]
fn bad_answers_are_refused_at_the_start() {
    let folder = Folder::new();
    let idl = folder.file("chat.thrift", CHAT);
    let table = [
        (r#"{"#, "line 1 column"),
        (r#"{"Chat/Sey": {}}"#, "missing method: Sey"),
        (r#"{"Chat/Say": {"reslut": 1}}"#, "Chat/Say[0]: unknown field `reslut`"),
        (
            r#"{"Chat/Say": [{}, {"result": {"text": 5}}]}"#,
            "Chat/Say[1]: result: $.text: expected a string, found a number",
        ),
        (r#"{"Chat/Say": {"result": {}, "error": {}}}"#, "only one of"),
        (r#"{"Chat/Say": {"exception": {"Other": {}}}}"#, "Chat/Say throws TooLong"),
        (r#"{"Chat/Name": {"exception": {"TooLong": {}}}}"#, "Chat/Name throws nothing"),
        (r#"{"Chat/Say": {"biz": {"code": 0}}}"#, "code 0 is success"),
        (r#"{"Chat/Say": {}, "Say": {}}"#, "given twice"),
        (r#"{"Chat/Say": {"results": []}}"#, "results: Chat/Say does not stream"),
        (r#"{"Chat/Talk": {"repeat": 2}}"#, "repeat: Chat/Talk is not a server stream"),
        (r#"{"Chat/Talk": {"results": [{}, {"text": 5}]}}"#, "Chat/Talk[0]: result: $.text"),
        (r#"{"Chat/Talk": {"result": {}, "results": []}}"#, "only one of result and results"),
        (r#"{"Chat/Talk": {"exception": {}}}"#, "streams end with biz or error"),
        (r#"{"Chat/Upload": {"results": [{}, {}]}}"#, "results: Chat/Upload has one answer"),
    ];
    for (answers, text) in table {
        let answers = folder.file("answers.json", answers);
        krpc(&["serve", "--idl", &idl, "--listen", "127.0.0.1:0", "--answers", &answers]).fails(1, text);
    }
    krpc(&["serve", "--idl", &idl, "--answers", "nowhere.json"]).fails(1, "nowhere.json");
    krpc(&["serve", "--idl", &idl, "--service", "Chta"]).fails(1, "missing service: Chta; there are: Chat");
}

#[test]
fn an_address_in_use_is_a_network_failure() {
    let server = Serve::start(CHAT, &[]);
    krpc(&["serve", "--idl", &server.idl, "--listen", &server.address]).fails(2, "LISTEN_FAILED");
    krpc(&["serve", "--idl", &server.idl, "--listen", "nowhere"]).fails(1, "`nowhere` is not an address");
}

#[test]
fn equal_method_names_need_a_choice_only_if_no_service_settles_them() {
    let idl = "service A { i32 m(1: i32 n) } service B { i32 m(1: i32 n) } service C { i32 c(1: i32 n) }";
    let server = Serve::start(idl, &[]);
    assert_eq!(server.call("B/m", &["-d", "1"]).ok().text(), "1\n");
    let idl = "service A { i32 m() i32 n() } service B { i32 m() i32 o() } service C { i32 n() i32 o() }";
    let folder = Folder::new();
    let idl = folder.file("main.thrift", idl);
    krpc(&["serve", "--idl", &idl, "--listen", "127.0.0.1:0"]).fails(1, "--service NAME serves one");
    let server = Serve::of_file(folder, idl, &["--service", "A"]);
    assert_eq!(server.call("A/m", &[]).ok().text(), "0\n");
    server.call("B/m", &["--transport", "ttheader"]).ok();
    server.call("B/o", &[]).fails(3, "UNKNOWN_SERVICE");
}
