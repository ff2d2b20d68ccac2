//! Streams with the unchanged Kitex, both ways: its client against our server, ours against its.
//!
//! Where there is no Go, a line says so and nothing runs; where CI=true that is only so without Go.

mod by_hand;
mod chain;
mod client;
mod ends;
mod hooks;
mod item;
mod peer;
mod proxy;
mod server;

use std::time::Duration;

#[test]
fn kitex_calls_us() {
    let Some(peer) = peer::build() else { return };
    for pool in ["mux", "long"] {
        let server = server::start();
        let address = server.addresses()[0].to_string();
        let (ok, said) = peer::run(&peer, &["stream-client", "-addr", &address, "-pool", pool]);
        assert!(ok && said.contains(" 0 failed"), "{pool}:\n{said}");
        let stopped = server.stop(Duration::from_secs(5)).unwrap();
        // Kitex's pools keep their connections until their process ends.
        assert_eq!(stopped.cut_off, 0, "{pool}");
    }
}

#[test]
fn we_call_kitex() {
    let Some(peer) = peer::build() else { return };
    let server = peer::Server::start(&peer, &[]);
    for multiplexed in [1, 0] {
        client::all_cases(&server.address, multiplexed);
    }
}

#[test]
fn we_call_ourselves_with_the_same_cases() {
    let server = server::start();
    for multiplexed in [1, 0] {
        client::all_cases(&server.addresses()[0].to_string(), multiplexed);
    }
}
