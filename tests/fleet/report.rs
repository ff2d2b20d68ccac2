//! The runs of docs/retry-simulation.md, and their table.

use std::fmt::Write;

use krpc::policy::retry::{OnError, Predicate, Quantile, RetryPolicy};

use crate::sim::{Run, Seen, Trouble, simulate};

pub const SEED: u64 = 20_240_117;
pub const CALLS: u64 = 100_000;
pub const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/retry-simulation.md");
const BEGIN: &str = "<!-- made by `make sim`: begin -->\n";
const END: &str = "<!-- end -->\n";

/// A name, a policy, a budget as percent and floor.
pub type Entry = (&'static str, Option<RetryPolicy>, Option<(f64, u32)>);

/// The policies that are compared.
pub fn policies() -> Vec<Entry> {
    let predicate = Predicate { errors: OnError::All, ..Predicate::default() };
    let failure = RetryPolicy { predicate, ..RetryPolicy::failure() };
    let backup = RetryPolicy::backup(40);
    let mixed = RetryPolicy { predicate, max_retries: 2, ..RetryPolicy::mixed(40) };
    let quantile = Quantile { of: 0.95, min_samples: 100, min_ms: 1, max_ms: 200 };
    let follows = RetryPolicy { delay_quantile: Some(quantile), ..mixed.clone() };
    vec![
        ("none", None, None),
        ("failure, R = 2", Some(failure), None),
        ("backup, R = 1, D = 40 ms", Some(backup), None),
        ("mixed, R = 2, D = 40 ms", Some(mixed), None),
        ("mixed, R = 2, D = live p95", Some(follows.clone()), None),
        ("the same, budget 5 % + 10/s", Some(follows), Some((5.0, 10))),
    ]
}

pub fn run(trouble: Trouble, calls: u64, policy: Option<RetryPolicy>, budget: Option<(f64, u32)>) -> Seen {
    simulate(&Run { calls, seed: SEED, trouble, policy, budget })
}

/// Both tables, as they stand in the document.
pub fn tables(calls: u64) -> String {
    let mut text = format!("Seed {SEED}, {calls} calls for each row.\n");
    for (title, trouble) in
        [("Stalls and failures", Trouble::StallsAndFailures), ("All instances fail", Trouble::AllFail)]
    {
        let _ = write!(
            text,
            "\n### {title}\n\n| policy | p50 ms | p99 ms | p99.9 ms | failed % | extra load % |\n"
        );
        text.push_str("|---|--:|--:|--:|--:|--:|\n");
        for (name, policy, budget) in policies() {
            let seen = run(trouble, calls, policy, budget);
            let _ = writeln!(
                text,
                "| {name} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} |",
                seen.percentile(0.5),
                seen.percentile(0.99),
                seen.percentile(0.999),
                seen.failed_percent(),
                seen.extra()
            );
        }
    }
    text
}

/// What stands between the document's marks, and the document with `tables` there.
pub fn replace(document: &str, tables: &str) -> Option<(String, String)> {
    let (head, rest) = document.split_once(BEGIN)?;
    let (old, tail) = rest.split_once(END)?;
    Some((old.to_owned(), format!("{head}{BEGIN}{tables}{END}{tail}")))
}
