//! `krpc idl`.

use crate::support::{CHAT, Folder, Serve, json, krpc};

#[test]
fn check_reports_to_stderr_and_exits_with_1() {
    let folder = Folder::new();
    let good = folder.file("good.thrift", CHAT);
    let bad = folder.file("bad.thrift", "struct A {\n  1: Missing m\n  1: i32 n\n}\n");
    let ran = krpc(&["idl", "check", &good]).ok();
    assert_eq!((ran.text(), &*ran.stderr), ("", ""));
    krpc(&["idl", "check", &good, &bad]).fails(1, "bad.thrift:2:6");
    krpc(&["idl", "check", "--short", &bad]).fails(1, "bad.thrift:3:3: error: ");
    let odd = folder.file("odd.thrift", "struct class { 1: i32 def }");
    assert!(krpc(&["idl", "check", &odd]).ok().stderr.contains("warning"));
    krpc(&["idl", "check", "--strict", &odd]).fails(1, "warning");
    assert!(krpc(&["--color", "always", "idl", "check", &bad]).stderr.contains("\x1b[1;31m"));
}

#[test]
fn dump_is_json_and_finds_includes() {
    let folder = Folder::new();
    folder.file("inc/base.thrift", "struct Base { 1: string id }");
    let main = folder.file("main.thrift", "include \"base.thrift\"\nservice S { base.Base get() }");
    krpc(&["idl", "dump", &main]).fails(1, "base.thrift");
    let ran = krpc(&["idl", "dump", &main, "-I", &folder.path("inc")]).ok();
    assert_eq!(json(ran.text())["main_service"], "S");
}

#[test]
fn templates_can_be_sent_as_they_are() {
    let server = Serve::start(CHAT, &[]);
    let template = krpc(&["idl", "template", "--idl", &server.idl, "Chat/Say"]).ok();
    assert_eq!(template.text(), "{\n  \"text\": \"\",\n  \"at_ms\": 0\n}\n");
    let echo = server.call("Say", &["-d", template.text()]).ok();
    assert_eq!(echo.text(), template.text());
    let result = krpc(&["idl", "template", "--idl", &server.idl, "Add", "--result"]).ok();
    assert_eq!(result.text(), "{\"\": 0}\n");
    let comments = krpc(&["idl", "template", "--idl", &server.idl, "Say", "--comments"]).ok();
    assert!(comments.text().contains("// 1: required string"), "{}", comments.text());
    krpc(&["idl", "template", "--idl", &server.idl, "Chat/Noting"]).fails(1, "did you mean Nothing?");
}
