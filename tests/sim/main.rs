//! Two ends in memory, a clock that jumps, and a connection that delays, cuts and loses: the state machines
//! of `krpc::proto` under thousands of random schedules, and under every schedule of short scripts.
//!
//! A schedule follows from its seed. When one fails, its seed and the command that runs it alone are
//! printed. `KRPC_SIM_RUNS` is the number of seeds for each protocol, `KRPC_SIM_SEED` a single one.

mod cable;
mod calls;
mod dice;
mod scripts;
mod streams;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

/// Seeds for each protocol, unless the environment says otherwise.
const RUNS: u64 = 10_000;

fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("KRPC_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("KRPC_SIM_RUNS").unwrap_or(RUNS) + 1,
    }
}

/// Runs a world for each seed and adds up what was reached, a name and a count each.
fn each_seed<const N: usize>(test: &str, run: impl Fn(u64) -> [usize; N]) -> [usize; N] {
    let mut sums = [0; N];
    for seed in seeds() {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(reached) => sums.iter_mut().zip(reached).for_each(|(sum, count)| *sum += count),
            Err(panic) => {
                eprintln!("\nseed {seed} fails; alone: KRPC_SIM_SEED={seed} cargo test --test sim {test}\n");
                resume_unwind(panic);
            }
        }
    }
    sums
}

/// The schedules reach what they are about.
fn assert_reached<const N: usize>(names: [&str; N], sums: [usize; N]) {
    let enough = usize::try_from(seeds().end - seeds().start).unwrap() / 50;
    for (name, sum) in names.iter().zip(sums) {
        println!("{name}: {sum}");
        assert!(sum >= enough, "only {sum} times: {name}");
    }
}
