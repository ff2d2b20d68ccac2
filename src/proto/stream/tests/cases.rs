//! `tests/streaming_cases.md` names tests that exist.

const TABLE: &str = include_str!("../../../../tests/streaming_cases.md");
const SOURCES: [&str; 9] = [
    include_str!("../../../wire/ttstream/tests.rs"),
    include_str!("../id.rs"),
    include_str!("bytes_of_frames.rs"),
    include_str!("cancels.rs"),
    include_str!("clocks.rs"),
    include_str!("flow.rs"),
    include_str!("life_cycle.rs"),
    include_str!("random.rs"),
    include_str!("stops.rs"),
];

#[test]
fn every_row_names_tests_that_exist() {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let mut count = 0;
    for row in rows {
        let tests = row.rsplit('|').nth(1).expect("a column of tests");
        let (tests, _) = tests.split_once(';').unwrap_or((tests, ""));
        for name in tests.split('`').skip(1).step_by(2) {
            let function = format!("fn {name}(");
            assert!(SOURCES.iter().any(|source| source.contains(&function)), "{name} ({row})");
            count += 1;
        }
    }
    assert!(count > 50, "{count} tests in the table");
}
