//! kitexcall's flags, and its defects that are not repeated.

use crate::support::{CHAT, Serve, json, krpc, krpc_with};

#[test]
fn every_flag_with_one_dash_or_two() {
    let server = Serve::with_answers(CHAT, r#"{"Chat/Say": {"backward": {"k": "v"}}}"#, &[]);
    let (idl, at) = (&*server.idl, &*server.address);
    let file = server.folder.file("request.json", r#"{"text":"file"}"#);
    let table: &[&[&str]] = &[
        &["-idl-path", idl, "-method", "Chat/Say", "-endpoint", at, "-data", r#"{"text":"hi"}"#],
        &["--idl-path", idl, "--method", "Say", "--endpoint", at, "--data", r#"{"text":"hi"}"#],
        &["-p", idl, "-m", "Say", "-e", at, "-d", r#"{"text":"hi"}"#, "-t", "thrift"],
        &["-p", idl, "-m", "Say", "-e", at, "-file", &file, "-type", "thrift", "-transport", "TTHeader"],
        &["-p", idl, "-m", "Say", "-e", at, "-f", &file, "-transport=TTHeaderFramed", "-biz-error"],
        &[
            "-p",
            idl,
            "-m",
            "Say",
            "-e",
            at,
            "-f",
            &file,
            "-transport",
            "Framed",
            "-quiet=true",
            "-verbose=false",
        ],
        &[
            "-p",
            idl,
            "-m",
            "Say",
            "-e",
            at,
            "-f",
            &file,
            "-meta",
            "a=b",
            "-meta",
            "c=d",
            "-meta-persistent",
            "e=f",
        ],
        &["-p", idl, "-m", "Say", "-e", at, "-f", &file, "-meta-backward", "-include-path", "."],
    ];
    for args in table {
        let ran = krpc(&[&["call", "-o", "compact"], *args].concat()).ok();
        assert!(
            matches!(ran.text(), "{\"text\":\"hi\"}\n" | "{\"text\":\"file\"}\n"),
            "{args:?}: {}",
            ran.text()
        );
        let backward = "Received metainfo from server:\n{\"k\":\"v\"}\n";
        assert_eq!(ran.stderr, if args.contains(&"-meta-backward") { backward } else { "" });
    }
    let verbose = krpc(&["call", "-p", idl, "-m", "Say", "-e", at, "-f", &file, "-verbose"]).ok();
    assert!(verbose.stderr.contains("> Chat/Say"));
    for version in ["-version", "--version", "-V"] {
        assert!(krpc(&["call", version]).ok().text().contains(env!("CARGO_PKG_VERSION")));
    }
    for help in ["-help", "--help", "-h"] {
        assert!(krpc(&["call", help]).ok().text().contains("Usage: krpc call"));
    }
}

#[test]
fn messages_in_its_words_and_its_order() {
    let server = Serve::start(CHAT, &[]);
    let (idl, at) = (&*server.idl, &*server.address);
    let odd = server.folder.file("chat.idl", CHAT);
    let table: &[(&[&str], &str)] = &[
        (&[], "IDL path is required"),
        (&["-p", "nowhere.thrift"], "IDL file does not exist: nowhere.thrift"),
        (&["-p", &odd], "Can not guess an IDL type from"),
        (&["-p", idl, "-t", "json"], "invalid value 'json'"),
        (&["-p", idl, "-include-path", "nowhere"], "Include path does not exist: nowhere"),
        (&["-p", idl], "Method name is required"),
        (&["-p", idl, "-m", "a/b/c"], "Method name must be in the format"),
        (&["-p", idl, "-m", "Big"], "At least one endpoint must be specified"),
        (
            &["-p", idl, "-m", "Big", "-e", at, "-f", "nowhere.json"],
            "Input file does not exist: nowhere.json",
        ),
        (
            &["-p", idl, "-m", "Big", "-e", at, "-meta", "novalue"],
            "Invalid format for key-value pair: novalue",
        ),
        (
            &["-p", idl, "-m", "Big", "-e", at, "-transport", "framed", "-biz-error"],
            "It looks like the transport protocol does not support transmitting biz error",
        ),
        (
            &["-p", idl, "-m", "Big", "-e", at, "-transport", "buffered", "-meta-backward"],
            "does not support transmitting meta information",
        ),
        (&["-p", idl, "-m", "Big", "-e", at, "-transport", "smoke"], "invalid value 'smoke'"),
        (&["-p", idl, "-m", "Big", "-e", at, "-d", "1", "-f", "x"], "cannot be used with"),
    ];
    for (args, text) in table {
        krpc(&[&["call"], *args].concat()).fails(1, text);
    }
    let odd = krpc(&["call", "-p", &odd, "-t", "thrift", "-m", "Big", "-e", at, "-d", "1"]).ok();
    assert_eq!(odd.text(), "1\n");
}

#[test]
fn its_defects_are_not_repeated() {
    let answers = r#"{"Chat/Say": {"biz": {"code": 7, "message": "no"}}}"#;
    let server = Serve::with_answers(CHAT, answers, &[]);
    // i64 beyond 2^53, and results that are no objects.
    assert_eq!(server.call("Big", &["-d", "9223372036854775807"]).ok().text(), "9223372036854775807\n");
    assert_eq!(server.call("Name", &["-d", "\"s\""]).ok().text(), "\"s\"\n");
    // A business error is an error, for scripts too.
    server.call("Say", &["-d", r#"{"text":"hi"}"#]).fails(4, "business error 7: no");
    // Only one value is sent, so a second one is not dropped in silence.
    let two = krpc_with(&server.args("Big", &[]), b"1 2");
    two.fails(1, "line 1, column 3");
    // Nothing is coerced.
    server.call("Grow", &["-d", "\"12\""]).fails(1, "$: expected a number, found a string");
    let status = server.call("Say", &["-d", r#"{"text":1}"#, "--json-status"]);
    assert_eq!((status.code, &json(&status.stderr)["code"]), (Some(1), &"TYPE_MISMATCH".into()));
}
