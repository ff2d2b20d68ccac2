//! The Rust runner of `cases.toml`: README.md says what the words mean.

mod case;
mod run;
mod server;

use case::{Case, Wire, cases};
use krpc::rpc::call::Transport;

#[test]
fn ttheader_framed() {
    all_over(Wire::Plain(Transport::TtheaderFramed));
}

#[test]
fn ttheader() {
    all_over(Wire::Plain(Transport::Ttheader));
}

#[test]
fn framed() {
    all_over(Wire::Plain(Transport::Framed));
}

#[test]
fn buffered() {
    all_over(Wire::Plain(Transport::Buffered));
}

#[test]
fn mux() {
    all_over(Wire::Mux);
}

fn all_over(wire: Wire) {
    let server = server::start("127.0.0.1:0");
    let schema = server::schema();
    let address = server.addresses()[0].to_string();
    let chosen: Vec<Case> = cases().into_iter().filter(|case| case.runs_over(wire)).collect();
    assert!(chosen.len() >= 40, "{} cases", chosen.len());
    let wrong: Vec<String> = chosen
        .iter()
        .filter_map(|case| {
            let why = run::case(&schema, &address, wire, case).err()?;
            Some(format!("{}: {why}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases failed:\n{}", wrong.len(), chosen.len(), wrong.join("\n"));
    assert_eq!(server.stop(std::time::Duration::from_secs(5)).unwrap().cut_off, 0);
}

/// A runner that looks at nothing would pass as well: every expectation must be able to fail.
#[test]
fn every_expectation_can_fail() {
    let server = server::start("127.0.0.1:0");
    let schema = server::schema();
    let address = server.addresses()[0].to_string();
    let mut seen = std::collections::BTreeSet::new();
    for case in cases().iter().filter(|case| case.runs_over(Wire::Plain(Transport::Ttheader))) {
        for (index, call) in case.calls.iter().enumerate() {
            for (name, expect) in call.expect.spoiled() {
                if !seen.insert(name) {
                    continue;
                }
                let mut spoiled = case.clone();
                spoiled.calls[index].expect = expect;
                let outcome = run::case(&schema, &address, Wire::Plain(Transport::Ttheader), &spoiled);
                assert!(outcome.is_err(), "{}: nobody saw that `{name}` was wrong", case.name);
            }
        }
    }
    assert_eq!(seen.len(), case::EXPECTATIONS, "cases.toml uses {seen:?}");
}
