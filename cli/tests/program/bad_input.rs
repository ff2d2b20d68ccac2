//! Bad input: one clear error with its place, the right exit code, nothing on stdout.

use std::io::Read;
use std::net::TcpListener;

use crate::support::{CHAT, Folder, Serve, krpc, krpc_with};

#[test]
fn command_lines() {
    let table: &[(&[&str], &str)] = &[
        (&[], "Usage: krpc"),
        (&["cal"], "a similar subcommand exists: 'call'"),
        (&["call", "--endpiont", "x"], "a similar argument exists: '--endpoint'"),
        (&["call", "--timeout", "5"], "`5` is not a time; write 200ms, 1s or 2m"),
        (&["call", "--output", "prety"], "a similar value exists: 'pretty'"),
        (&["call", "extra"], "unexpected argument 'extra'"),
        (&["idl"], "Usage: krpc idl"),
        (&["completions", "cmd"], "possible values: bash"),
        (&["man", "nothing"], "there is no command nothing"),
        (&["call", "-q", "-v"], "cannot be used with"),
    ];
    for (args, text) in table {
        krpc(args).fails(1, text);
    }
}

#[test]
fn idls() {
    let folder = Folder::new();
    folder.file("one.thrift", "include \"two.thrift\"\nservice S { i32 m() }");
    folder.file("two.thrift", "include \"one.thrift\"\nstruct A {}");
    folder.file("gone.thrift", "namespace go x\ninclude \"gone/away.thrift\"\nservice S { i32 m() }");
    folder.file("syntax.thrift", "service S {\n  i32 m(1: i32 n\n}\n");
    folder.file("extends.thrift", "service A extends B {}\nservice B extends A {}\n");
    folder.file("none.thrift", "struct A {}");
    folder.file("chat.proto", "syntax = \"proto3\";");
    folder.file("binary.thrift", "\u{0}\u{1}\u{2}");
    // A file of 100 MB that takes no room.
    std::fs::File::create(folder.path("large.thrift")).unwrap().set_len(100 << 20).unwrap();
    std::fs::create_dir(folder.path("folder.thrift")).unwrap();
    let table = [
        ("one.thrift", "two.thrift:1:"),
        ("gone.thrift", "gone.thrift:2:9"),
        ("syntax.thrift", "syntax.thrift:2:17"),
        ("extends.thrift", "extends.thrift:"),
        ("large.thrift", "8388608 bytes"),
        ("folder.thrift", "not a regular file"),
        ("chat.proto", "UNSUPPORTED"),
        ("binary.thrift", "binary.thrift:1:1"),
        ("none.thrift", "no service"),
    ];
    for (name, text) in table {
        let path = folder.path(name);
        krpc(&["call", "--idl", &path, "-e", "127.0.0.1:1", "-m", "S/m"])
            .fails(1, if name == "none.thrift" { "missing service" } else { text });
        krpc(&["serve", "--idl", &path, "--listen", "127.0.0.1:0"]).fails(1, text);
    }
    krpc(&["call", "--idl", &folder.path("nowhere.thrift")]).fails(1, "IDL file does not exist");
}

#[test]
fn methods() {
    let folder = Folder::new();
    let idl = format!("{CHAT}\nservice Other {{ i32 Name(1: i32 n) i32 Own() }}\nservice Third {{}}");
    let idl = folder.file("chat.thrift", &idl);
    let table = [
        ("Chat/Choos", "missing method: Choos in service: Chat; did you mean Choose?"),
        ("Chatt/Say", "missing service: Chatt; did you mean Chat?"),
        ("Noting", "did you mean Nothing?"),
        ("Chat/Zzz", "there are: Chat/Say, "),
        ("Name", "several services have a method Name"),
        ("/Say", "Method name must be in the format"),
        ("Say/", "Method name must be in the format"),
        ("a/b/c", "Method name must be in the format"),
    ];
    for (method, text) in table {
        krpc(&["call", "--idl", &idl, "-e", "127.0.0.1:1", "-m", method, "-d", "{}"]).fails(1, text);
    }
}

#[test]
fn requests() {
    let server = Serve::start(CHAT, &[]);
    let table = [
        ("Say", "{\"text\": \"a\",\n}", "line 2, column 1"),
        ("Say", "", "line 1, column 1"),
        ("Say", "hello", "line 1, column 1"),
        ("Say", "{\"text\": 5}", "$.text: expected a string, found a number"),
        ("Say", "{\"text\": null}", "$.text"),
        ("Say", "{}", "$.text"),
        ("Say", "{\"text\": \"a\", \"txet\": 1}", "$.txet: struct Message has no such field"),
        ("Big", "9223372036854775808", "$: "),
        ("Big", "1.5", "$: "),
        ("Blob", "\"not base64!\"", "$: "),
        ("Add", "{\"a\": 1, \"c\": 2}", "$.c: "),
        ("Add", "5", "$: "),
    ];
    for (method, request, text) in table {
        server.call(method, &["-d", request]).fails(1, text);
    }
    server.call("Say", &["-d", "@nowhere.json"]).fails(1, "Input file does not exist: nowhere.json");
    server.call("Say", &[]).fails(1, "no request: stdin is empty");
    krpc_with(&server.args("Say", &["-d", "-"]), b" \n").fails(1, "no request: stdin is empty");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    krpc_with(&server.args("Say", &[]), deep.as_bytes()).fails(1, "$");
}

#[test]
fn what_this_version_cannot_do() {
    let server = Serve::start(CHAT, &[]);
    let table: &[&[&str]] = &[&["--transport", "mux"], &["--transport", "gRPC"], &["-type", "protobuf"]];
    for args in table {
        server.call("Big", &[*args, &["-d", "1"]].concat()).fails(1, "UNSUPPORTED: ");
    }
}

#[test]
fn retries() {
    let server = Serve::start(CHAT, &[]);
    let table: &[(&[&str], &str)] = &[
        (&["--retry", "mixed"], "--retry backup and mixed need --backup-delay"),
        (&["--max-retries", "2"], "--max-retries needs --retry"),
        (&["--backup-delay", "10ms"], "--backup-delay needs --retry"),
        (&["--retry-on", "all"], "--retry-on needs --retry"),
        (
            &["--retry", "failure", "--backup-delay", "10ms"],
            "--backup-delay goes with --retry backup or mixed",
        ),
        (&["--retry", "mixed", "--backup-delay", "10ms", "--max-retries", "4"], "invalid MaxRetryTimes[4]"),
        (&["--retry", "mixed", "--backup-delay", "0s"], "invalid retry delay duration in mixedRetryer"),
    ];
    for (args, text) in table {
        server.call("Big", &[*args, &["-d", "1"]].concat()).fails(1, text);
    }
}

#[test]
fn endpoints() {
    let server = Serve::start(CHAT, &[]);
    let table = [
        ("127.0.0.1:1", 2, "CONNECT_FAILED"),
        ("unix:/nowhere/at/all", 2, "CONNECT_FAILED"),
        ("does-not-exist.invalid:1", 2, "RESOLVE_FAILED"),
        ("127.0.0.1", 1, "endpoint: `127.0.0.1` is not an address; write 127.0.0.1:8888"),
        (":80", 1, "is not an address"),
        ("", 1, "is not an address"),
    ];
    for (endpoint, code, text) in table {
        krpc(&["call", "--idl", &server.idl, "-e", endpoint, "-m", "Big", "-d", "1"]).fails(code, text);
    }
}

#[test]
fn peers_that_are_no_rpc_servers() {
    let server = Serve::start(CHAT, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let answers: [&[u8]; 3] = [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x1b[31mred\x1b]0;title\x07"];
        for answer in answers {
            let (mut peer, _) = listener.accept().unwrap();
            let _ = peer.read(&mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut peer, answer);
        }
    });
    let call =
        || krpc(&["call", "--idl", &server.idl, "-e", &address, "-m", "Big", "-d", "1", "--timeout", "5s"]);
    call().fails(2, "CONNECTION_LOST");
    for _ in 0..2 {
        let ran = call();
        let code = ran.code.filter(|code| matches!(code, 2 | 3)).unwrap_or_else(|| panic!("{}", ran.stderr));
        ran.fails(code, "try --transport");
    }
}
