//! A simulated fleet: which way each policy moves latency, failures and load, and that no policy makes a
//! storm. The whole table is made by `make sim`.

mod report;
mod sim;

use report::{policies, run};
use sim::{Seen, Trouble};

const CALLS: u64 = 20_000;

fn all(trouble: Trouble) -> Vec<(&'static str, Seen)> {
    let run = |(name, policy, budget)| (name, run(trouble, CALLS, policy, budget));
    policies().into_iter().map(run).collect()
}

#[test]
fn policies_move_latency_and_failures_the_right_way() {
    let seen = all(Trouble::StallsAndFailures);
    let [none, failure, backup, mixed, quantile, budget] = &seen[..] else { panic!("six policies") };
    for (name, seen) in &seen {
        assert_eq!(seen.micros.len() as u64, CALLS, "{name}: each call ends once");
    }
    assert!(none.1.extra().abs() < 1e-9);
    // Retries after failures help against failures, hedges against stalls, mixed against both.
    assert!(failure.1.failed * 4 < none.1.failed, "{} {}", failure.1.failed, none.1.failed);
    assert!(backup.1.percentile(0.99) * 1.5 < none.1.percentile(0.99));
    assert!(mixed.1.failed * 2 < none.1.failed);
    assert!(mixed.1.percentile(0.99) * 1.5 < none.1.percentile(0.99));
    assert!(quantile.1.percentile(0.99) * 1.5 < none.1.percentile(0.99));
    // The share of retries bounds all of them: error_rate is 0.1, and a window has ten samples free.
    for (name, seen) in &seen {
        assert!(seen.extra() < 11.2, "{name}: {}", seen.extra());
    }
    assert!(budget.1.extra() < quantile.1.extra());
}

#[test]
fn a_fleet_that_fails_makes_no_storm() {
    for (name, seen) in all(Trouble::AllFail) {
        assert_eq!(seen.failed, CALLS, "{name}");
        // A tenth of all attempts is a ninth of all calls.
        assert!(seen.extra() < 100.0 / 9.0 + 0.1, "{name}: {}", seen.extra());
        if name.contains("budget") {
            let floor = 10.0 * seen.simulated_ms as f64 / 1000.0;
            let bound = 0.05 * CALLS as f64 + floor + 100.0;
            assert!((seen.attempts - CALLS) as f64 <= bound, "{name}: {} extra", seen.attempts - CALLS);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_fleet() {
    let (_, policy, budget) = policies().swap_remove(4);
    let once = || run(Trouble::StallsAndFailures, 3000, policy.clone(), budget);
    assert_eq!(once(), once());
}

#[test]
fn the_document_has_the_table_that_is_made() {
    let document = std::fs::read_to_string(report::DOCUMENT).expect("docs/retry-simulation.md");
    let (old, _) = report::replace(&document, "").expect("its marks");
    assert!(old == report::tables(report::CALLS), "docs/retry-simulation.md is old: run make sim");
}
