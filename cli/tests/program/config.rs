//! Profiles and the environment: flag before environment before profile before default.

use crate::support::{CHAT, Ran, Serve, command, json, krpc};

#[test]
fn profiles_fill_in_what_flags_leave_open() {
    let server = Serve::with_answers(CHAT, r#"{"Chat/Name": {"backward": {"seen": "1"}}}"#, &[]);
    let config = format!(
        r#"
        [default]
        idl = "main.thrift"
        timeout = "5s"
        output = "compact"
        [profile.here]
        endpoint = "{}"
        method = "Chat/Say"
        [profile.down]
        endpoint = ["127.0.0.1:1"]
        transport = "Framed"
        [profile.meta]
        endpoint = ["{}"]
        meta = {{ a = "b" }}
        "#,
        server.address, server.address
    );
    let config = server.folder.file("krpc.toml", &config);
    let here = krpc(&["call", "--config", &config, "--profile", "here", "-d", r#"{"text":"hi"}"#]).ok();
    assert_eq!(
        here.text(),
        "{\"text\":\"hi\"}\n",
        "idl beside the file, compact, method and endpoint of the profile"
    );
    let flag =
        krpc(&["call", "--config", &config, "--profile", "here", "-d", "1", "-m", "Big", "-o", "pretty"])
            .ok();
    assert_eq!(flag.text(), "1\n");
    let down = ["call", "--config", &config, "--profile", "down", "-m", "Big", "-d", "1"];
    krpc(&down).fails(2, "127.0.0.1:1");
    krpc(&[&down[..], &["--meta", "a=b"]].concat())
        .fails(1, "does not support transmitting meta information");

    let environment = |more: &[(&str, &str)]| {
        let all = [("KRPC_CONFIG", &*config), ("KRPC_PROFILE", "down")];
        let envs = all.into_iter().chain(more.iter().copied());
        Ran::from(command().args(["call", "-m", "Big", "-d", "1"]).envs(envs).output().unwrap())
    };
    environment(&[]).fails(2, "127.0.0.1:1");
    assert_eq!(environment(&[("KRPC_ENDPOINT", &server.address)]).ok().text(), "1\n");
    let meta = krpc(&[
        "call",
        "--config",
        &config,
        "--profile",
        "meta",
        "-m",
        "Name",
        "-d",
        "\"x\"",
        "--json-status",
    ]);
    assert_eq!(json(&meta.ok().stderr)["meta"]["seen"], "1");
}

#[test]
fn mistakes_in_a_configuration_have_a_place() {
    let server = Serve::start(CHAT, &[]);
    let table = [
        ("[default]\nendpiont = \"x\"", "unknown field `endpiont`"),
        ("[default", "line 1"),
        ("idl = \"x\"", "unknown field `idl`"),
        ("[default]\ntimeout = 5", "invalid type: integer"),
        ("[default]\ntimeout = \"5\"", "write 200ms, 1s or 2m"),
        ("[default]\ntransport = \"smoke\"", "not one of: ttheader, framed"),
        ("[profile.a]\n[profile.b]", "has no profile here; it has: a, b"),
    ];
    for (text, expected) in table {
        let config = server.folder.file("bad.toml", text);
        let profile: &[&str] = if text.contains("profile") { &["--profile", "here"] } else { &[] };
        let args = [
            &[
                "call",
                "--config",
                &config,
                "--idl",
                &server.idl,
                "-e",
                &server.address,
                "-m",
                "Big",
                "-d",
                "1",
            ],
            profile,
        ];
        krpc(&args.concat()).fails(1, expected);
    }
    krpc(&["call", "--config", "nowhere.toml"]).fails(1, "nowhere.toml");
    krpc(&["call", "--profile", "x"]).fails(1, "--profile needs --config");
}
