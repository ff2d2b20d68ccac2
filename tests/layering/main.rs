//! The rooms of `src/` and what each may use. ARCHITECTURE.md draws this table; here it is held.
//!
//! Plain text analysis: comments and strings are blanked, code behind `cfg(test)` is left out, and every
//! path that starts at `crate::` or `super::` is followed to its room. Nothing here needs a compiler, so
//! it also sees code that is not built on this machine.

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::{Source, has_word, words};

/// Room → rooms that it may use. `base` may be used by all, and each room by itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &[]),
    ("idl", &[]),
    ("codec", &["idl", "wire"]),
    ("proto", &["wire"]),
    ("policy", &[]),
    ("observe", &[]),
    ("op", &["observe"]),
    ("io", &["proto", "wire", "observe", "op"]),
    ("discover", &["io"]),
    ("rpc", &["io", "op", "policy", "proto", "wire", "codec", "idl", "discover", "observe"]),
    ("gateway", &["rpc", "codec", "idl", "wire", "io"]),
    ("capi", &["rpc", "op", "codec", "idl", "observe"]),
];

/// Folders of `rpc` that never meet.
const APART: &[(&str, &str)] = &[("call", "server"), ("server", "call")];

/// Rooms that may name tokio.
const TOKIO: &[&str] = &["io", "rpc", "discover", "gateway"];

/// Clocks, sleep and randomness; elsewhere time and chance are arguments.
const CLOCK_ROOM: &str = "io";
/// Files outside `io` that may read the clock, and why an argument would not do.
const CLOCK_LEAVES: &[(&str, &str)] =
    &[("src/op/sync.rs", "how long a wait on a condition variable may still take after a wake-up")];
const CLOCKS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "UNIX_EPOCH",
    "thread::sleep",
    "time::sleep",
    "park_timeout",
    "clock_gettime",
    "getrandom",
    "RandomState",
    "rand::",
    "fastrand::",
];

/// Files outside `capi` that may say `unsafe`, and why nothing safe would do.
const UNSAFE_LEAVES: &[(&str, &str)] = &[
    ("src/base/fork.rs", "a page that the kernel wipes on fork, and values that outlive every thread"),
    ("src/io/sys.rs", "system calls that have no safe wrapper"),
];

/// In `capi`: locks, atomics and loops that wait belong to the core. A `for` over a caller's array is
/// translation, and allowed.
const NOT_IN_CAPI: &[&str] = &["Mutex", "RwLock", "Condvar", "Once", "OnceLock", "atomic", "loop", "while"];
const CAPI_EDGE: &[&str] = &["src/capi/guard.rs", "src/capi/handle.rs"];

/// Lines of code in the body of a function of `capi`, and in a file anywhere.
const CAPI_BODY_LINES: usize = 25;
const FILE_LINES: usize = 800;
/// Longer on purpose: one line for each row of a table.
const TABLES: &[(&str, &str)] = &[("src/capi/status.rs", "from")];

#[test]
fn every_file_keeps_to_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, &root.join("src"), &mut files);
    assert!(files.len() > 10, "only {} files found below src/", files.len());
    let broken: Vec<String> = files.iter().flat_map(|(path, text)| broken_rules(path, text)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
    for (file, why) in UNSAFE_LEAVES {
        let used = files
            .iter()
            .any(|(path, text)| path == file && has_word(&Source::new(path, text).code, "unsafe"));
        assert!(used, "{file} is listed as unsafe ({why}) but is not: take it off the list");
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).expect("a file")));
        }
    }
}

/// Every rule that a file breaks, as `path:line: what`.
fn broken_rules(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let mut broken = BTreeSet::new();
    if text.lines().count() > FILE_LINES {
        broken.insert((FILE_LINES, format!("more than {FILE_LINES} lines: split the file")));
    }
    let room = source.room();
    // lib.rs names the rooms; a file of tests only is left out by `Source`.
    if !room.is_empty() {
        arrows(&source, room, &mut broken);
        words_of_rooms(&source, room, &mut broken);
        if room == "capi" {
            capi(&source, &mut broken);
        }
    }
    broken.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
}

type Broken = BTreeSet<(usize, String)>;

fn arrows(source: &Source, room: &str, broken: &mut Broken) {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        broken.insert((1, format!("`{room}` is not a room: add it to ARROWS and to ARCHITECTURE.md")));
        return;
    };
    for (offset, used) in source.paths() {
        let line = source.line(offset);
        let Some(target) = used.first().map(String::as_str) else { continue };
        if target != room && target != "base" && !allowed.contains(&target) {
            broken.insert((line, format!("`{room}` may not use `{target}` ({})", used.join("::"))));
        }
        let folder = source.module.get(1).map(String::as_str).unwrap_or_default();
        let other = used.get(1).map(String::as_str).unwrap_or_default();
        if room == "rpc" && target == "rpc" && APART.contains(&(folder, other)) {
            broken.insert((
                line,
                format!("rpc/{folder} and rpc/{other} never use each other ({})", used.join("::")),
            ));
        }
    }
}

fn words_of_rooms(source: &Source, room: &str, broken: &mut Broken) {
    let mut forbid = |needle: &str, what: String| {
        for offset in words(&source.code, needle) {
            broken.insert((source.line(offset), what.clone()));
        }
    };
    if !TOKIO.contains(&room) {
        forbid("tokio", format!("tokio belongs to {}", TOKIO.join(", ")));
    }
    if room != CLOCK_ROOM && !CLOCK_LEAVES.iter().any(|(file, _)| *file == source.path) {
        for clock in CLOCKS {
            forbid(clock, format!("`{clock}` belongs to `{CLOCK_ROOM}`: take time or chance as an argument"));
        }
    }
    forbid("parking_lot", "locks come from `base::lock`, which says why".into());
    let is_leaf = UNSAFE_LEAVES.iter().any(|(file, _)| *file == source.path);
    if room != "capi" && !is_leaf {
        forbid("unsafe", "unsafe belongs to `capi` and the files in UNSAFE_LEAVES".into());
    }
}

fn capi(source: &Source, broken: &mut Broken) {
    if !CAPI_EDGE.contains(&source.path.as_str()) {
        for word in NOT_IN_CAPI {
            for offset in words(&source.code, word) {
                broken.insert((
                    source.line(offset),
                    format!("`{word}` in capi: translation only, see CAPI_EDGE"),
                ));
            }
        }
    }
    for function in source.functions() {
        let is_table = TABLES.contains(&(source.path.as_str(), function.name.as_str()));
        if function.lines > CAPI_BODY_LINES && !is_table {
            let (name, lines) = (&function.name, function.lines);
            let what = format!(
                "`{name}` has {lines} lines of code, more than {CAPI_BODY_LINES}: move it into the core"
            );
            broken.insert((source.line(function.offset), what));
        }
    }
}

/// The checker must be able to fail, and must not cry wolf.
#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn breaks(path: &str, text: &str, expected: &str) {
        let broken = broken_rules(path, text);
        assert!(broken.iter().any(|found| found.contains(expected)), "{expected:?} not among {broken:?}");
    }

    #[track_caller]
    fn keeps(path: &str, text: &str) {
        assert_eq!(broken_rules(path, text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn arrows_are_seen_wherever_they_stand() {
        let not = "`wire` may not use `io`";
        breaks(
            "src/wire/ttheader.rs",
            "use crate::io::pool;",
            "src/wire/ttheader.rs:1: `wire` may not use `io`",
        );
        breaks("src/wire/ttheader.rs", "fn f() {\n    let x: crate::io::Pool = make();\n}", "rs:2: `wire`");
        breaks("src/wire/ttheader.rs", "use crate::{base::Error, io::{self, pool}};", not);
        breaks("src/wire/ttheader.rs", "use super::super::io::Pool;", not);
        breaks("src/wire.rs", "use super::io::Pool;", not);
        breaks("src/wire.rs", "pub(in crate::io) fn f() {}", not);
        breaks("src/wire/a/b.rs", "use super :: super\n::super::io::Pool;", not);
        breaks("src/base.rs", "use crate::wire::Frame;", "`base` may not use `wire`");
        breaks("src/rpc/client.rs", "use crate::capi::guard;", "`rpc` may not use `capi`");
        breaks("src/attic/old.rs", "", "`attic` is not a room");
        breaks("src/wire.rs", "use crate::Client;", "`wire` may not use `Client`");
    }

    #[test]
    fn allowed_arrows_are_quiet() {
        keeps("src/rpc/client.rs", "use crate::{base::Error, io::pool::{self, Pool}, wire};");
        keeps("src/wire/ttheader.rs", "use super::message::Head;\nuse crate::wire::framed;");
        keeps("src/wire/a/b.rs", "use super::super::message::Head;");
        keeps("src/wire.rs", "mod inner {\n    use super::Head;\n}");
        keeps("src/lib.rs", "pub mod wire; pub use rpc::Client;");
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        keeps(
            "src/wire.rs",
            "// crate::io, tokio, unsafe\n/* crate::io /* nested */ unsafe */ //! Instant::now\n",
        );
        keeps(
            "src/wire.rs",
            "const A: &str = \"crate::io \\\" unsafe\"; const B: &str = r#\"unsafe \"tokio\" \"#;",
        );
        keeps(
            "src/wire.rs",
            "const C: char = '\"'; fn f<'a>(x: &'a str) -> &'a str { x } const D: &[u8] = b\"unsafe\";",
        );
        keeps(
            "src/wire.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::io::Pool;\n    fn f() { unsafe { g() } }\n}\n",
        );
        keeps("src/wire/tests.rs", "use crate::io::Pool;");
        breaks(
            "src/wire.rs",
            "#[cfg(test)]\nmod tests { fn f() {} }\nfn g() { unsafe { h() } }",
            "rs:3: unsafe",
        );
        breaks("src/wire.rs", "const Q: char = '\\''; fn g() { unsafe { h() } }", "unsafe");
        breaks("src/wire.rs", "#[cfg(not(test))]\nmod real { fn g() { unsafe { h() } } }", "unsafe");
    }

    #[test]
    fn call_and_server_stay_apart() {
        breaks("src/rpc/call/retry.rs", "use crate::rpc::server::Router;", "rpc/call and rpc/server");
        breaks("src/rpc/call/retry.rs", "use super::super::server::Router;", "rpc/call and rpc/server");
        breaks("src/rpc/server.rs", "use super::{hook, call::Client};", "rpc/server and rpc/call");
        keeps("src/rpc/call/retry.rs", "use super::super::hook::Event;");
    }

    #[test]
    fn clocks_tokio_and_unsafe_have_their_rooms() {
        breaks("src/proto/pingpong.rs", "let now = std::time::Instant::now();", "belongs to `io`");
        breaks("src/rpc/client.rs", "tokio::time::sleep(delay).await", "belongs to `io`");
        breaks("src/rpc/client.rs", "let chance = fastrand::u32(..);", "belongs to `io`");
        breaks("src/proto/mux.rs", "use tokio::sync::mpsc;", "tokio belongs to");
        breaks("src/rpc/client.rs", "unsafe { libc::close(fd) }", "unsafe belongs to `capi`");
        breaks("src/io/pool.rs", "use parking_lot::RwLock;", "locks come from `base::lock`");
        keeps("src/io/clock.rs", "tokio::time::sleep(Instant::now() - start).await");
        keeps("src/policy/balance.rs", "let operand = instant_now(); let unsafe_name = operand::x;");
    }

    #[test]
    fn capi_stays_thin() {
        let body =
            |lines: usize| format!("pub extern \"C\" fn krpc_x() {{\n{}}}\n", "    step();\n".repeat(lines));
        keeps("src/capi/x.rs", &body(25));
        keeps("src/capi/x.rs", &body(25).replace("step();", "// why\n\n    step();"));
        breaks("src/capi/x.rs", &body(26), "`krpc_x` has 26 lines of code");
        breaks("src/capi/x.rs", "fn f() { loop { } }", "`loop` in capi");
        breaks("src/capi/x.rs", "use parking_lot::Mutex;", "`Mutex` in capi");
        breaks("src/capi/x.rs", "use std::sync::atomic::AtomicU32;", "`atomic` in capi");
        keeps("src/capi/x.rs", "fn f() { for view in views { put(view) } }");
        keeps("src/capi/guard.rs", "static HOOK: Once = Once::new();");
    }

    #[test]
    fn long_files_are_seen() {
        breaks("src/wire/huge.rs", &"\n".repeat(FILE_LINES + 1), "split the file");
        keeps("src/wire/huge.rs", &"\n".repeat(FILE_LINES));
    }
}
