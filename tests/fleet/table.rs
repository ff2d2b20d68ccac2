//! Simulates a fleet under each retry policy, prints the table, and writes it into
//! docs/retry-simulation.md: `make sim`.

mod report;
mod sim;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tables = report::tables(report::CALLS);
    println!("{tables}");
    let document = std::fs::read_to_string(report::DOCUMENT).unwrap_or_default();
    let Some((old, new)) = report::replace(&document, &tables) else {
        eprintln!("{} has lost its marks", report::DOCUMENT);
        return ExitCode::FAILURE;
    };
    if old != tables
        && let Err(error) = std::fs::write(report::DOCUMENT, new)
    {
        eprintln!("{}: {error}", report::DOCUMENT);
        return ExitCode::FAILURE;
    }
    println!("docs/retry-simulation.md: {}", if old == tables { "unchanged" } else { "written" });
    ExitCode::SUCCESS
}
