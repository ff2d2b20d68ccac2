//! A cancel from the head of a chain of three, with cause and path at its end (ttstream.md §4.3).

use krpc::base::Code;
use krpc::rpc::stream::StreamOptions;

use crate::client::{Cases, client};
use crate::{peer, server};

/// We call Kitex, whose handler calls us.
#[test]
fn a_cancel_goes_through_kitex() {
    let Some(peer) = peer::build() else { return };
    let last = server::start();
    let address = last.addresses()[0].to_string();
    let middle = peer::Server::start(&peer, &["-next", &address, "-name", "interop.middle"]);
    for multiplexed in [1, 0] {
        let head = Cases::with(client(&middle.address, multiplexed, "interop.client"));
        let stream = head.told(&StreamOptions::default(), "relay wait");
        stream.cancel("from the head");
        let error = stream.recv().unwrap_err();
        assert_eq!((error.code(), error.stream_reason().unwrap().code), (Code::Cancelled, 12_007));
        assert_eq!(error.stream_reason().unwrap().path, "", "{error}");

        // The middle saw who cancelled; the last, whom it came through as well.
        has(&head.last_end(), &["code=12007", "[canceled path: interop.client]", "from the head"]);
        let seen = Cases::with(client(&address, 1, "interop.asks")).last_end();
        let path = "[canceled path: interop.client -> interop.middle]";
        has(&seen, &["code=12007", "[server-side stream]", path, "from the head"]);
    }
}

/// Kitex calls us, whose handler calls Kitex.
#[test]
fn a_cancel_of_kitex_goes_through_us() {
    let Some(peer) = peer::build() else { return };
    let last = peer::Server::start(&peer, &[]);
    let middle = server::start_with(Some(client(&last.address, 1, "interop.middle")));
    let address = middle.addresses()[0].to_string();
    for pool in ["mux", "long"] {
        let arguments = ["stream-client", "-addr", &address, "-pool", pool, "-case", "chain"];
        let (ok, said) = peer::run(&peer, &arguments);
        assert!(ok && said.contains("1 passed"), "{pool}:\n{said}");
        let seen = Cases::with(client(&last.address, 1, "interop.asks")).last_end();
        let path = "[canceled path: interop.client -> interop.middle]";
        has(&seen, &["code=12007", path, "invoking cancel() actively"]);
    }
}

fn has(said: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is missing: {said}"));
}
