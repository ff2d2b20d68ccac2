//! `tests/streaming_cases.md` names tests that exist.

use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../../../../tests/streaming_cases.md");

/// Where tests of streams are.
const PLACES: [&str; 8] = [
    "src/wire/ttstream/tests.rs",
    "src/proto/stream",
    "src/io/stream",
    "src/rpc/server/router.rs",
    "tests/net",
    "tests/c",
    "tests/stream_interop",
    "tests/stream_memory",
];

#[test]
fn every_row_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    PLACES.iter().for_each(|place| read_all(&root.join(place), &mut sources));
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let mut count = 0;
    for row in rows {
        let tests = row.rsplit('|').nth(1).expect("a column of tests");
        let (tests, _) = tests.split_once(';').unwrap_or((tests, ""));
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(sources.iter().any(|source| is_test(source, name)), "{name} ({row})");
            count += 1;
        }
    }
    assert!(count > 150, "{count} tests in the table");
}

fn read_all(path: &Path, into: &mut Vec<String>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder of tests");
        entries.for_each(|entry| read_all(&entry.expect("an entry").path(), into));
    } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "c") {
        into.push(fs::read_to_string(path).expect("a source"));
    }
}

/// A Rust test; or a function of a C program, which its main calls.
fn is_test(source: &str, name: &str) -> bool {
    let (in_rust, in_c) = (format!("fn {name}("), format!("static void {name}("));
    let is_called = source.matches(name).count() > 1;
    let mut places = source.match_indices(&in_rust);
    places.any(|(at, _)| source[..at].trim_end().ends_with("#[test]")) || is_called && source.contains(&in_c)
}
