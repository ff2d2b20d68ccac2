//! Peers that are killed or stopped while streams are under way.

use std::time::Duration;

use krpc::base::{Code, Error, StreamReason};
use krpc::rpc::stream::StreamOptions;

use crate::client::{Cases, client, recv};
use crate::item::Item;
use crate::peer::{self, Process};
use crate::server;

const POOLS: [(&str, usize); 2] = [("mux", 1), ("long", 0)];

/// A lost connection is an error with the transport's number, at every stream, for ever.
fn is_lost(error: &Error) {
    assert_eq!(error.code(), Code::ConnectionLost, "{error}");
    assert_eq!(error.stream_reason().unwrap().code, StreamReason::TRANSPORT, "{error}");
}

#[test]
fn our_client_sees_that_kitex_was_killed() {
    let Some(peer) = peer::build() else { return };
    for (pool, multiplexed) in POOLS {
        let mut server = peer::Server::start(&peer, &[]);
        let cases = Cases::with(client(&server.address, multiplexed, "interop.client"));
        let streams: Vec<_> = (0..10).map(|_| cases.told(&StreamOptions::default(), "wait")).collect();
        // Some are in the middle of a send, some have said everything.
        streams[1].send_many((0..100).map(|n| Item::numbered(n, vec![0; 1000]).message())).unwrap();
        streams[2].close_send().unwrap();
        server.process.kill();
        for stream in &streams {
            let error = stream.recv().unwrap_err();
            is_lost(&error);
            assert_eq!(stream.recv().unwrap_err(), error, "{pool}");
            assert!(stream.trailer().is_err());
        }
    }
}

#[test]
fn our_server_sees_that_kitex_was_killed() {
    let Some(peer) = peer::build() else { return };
    for (pool, _) in POOLS {
        let server = server::start();
        let address = server.addresses()[0].to_string();
        let mut process = waiting(&peer, &address, pool, "lost");
        process.kill();
        let seen = Cases::with(client(&address, 1, "interop.asks")).last_end();
        assert!(seen.contains("code=12013") && seen.contains("connection"), "{pool}: {seen}");
    }
}

/// Our server is a process that is killed: Kitex's client gets an error, never the end of messages.
#[test]
fn kitex_sees_that_our_server_was_killed() {
    let Some(peer) = peer::build() else { return };
    for (pool, _) in POOLS {
        let mut ours = Process::ours("ends::our_server", "");
        let address = ours.heard("LISTENING ").expect("our server listens");
        let mut process = waiting(&peer, &address, pool, "lost");
        ours.kill();
        let (ok, said) = process.end();
        assert!(ok && said.contains("1 passed"), "{pool}: {said}");
    }
}

#[test]
#[ignore = "a process of the test above"]
fn our_server() {
    if std::env::var(peer::ROLE).is_ok() {
        let server = server::start();
        println!("LISTENING {}", server.addresses()[0]);
        std::io::stdin().lines().for_each(drop);
    }
}

#[test]
fn kitex_sees_that_our_client_was_killed() {
    let Some(peer) = peer::build() else { return };
    let server = peer::Server::start(&peer, &[]);
    let mut ours = Process::ours("ends::our_client", &server.address);
    ours.heard("WAITING").expect("a stream");
    ours.kill();
    let seen = Cases::with(client(&server.address, 1, "interop.asks")).last_end();
    assert!(seen.contains("code=12013") && seen.contains("connection"), "{seen}");
}

#[test]
#[ignore = "a process of the test above"]
fn our_client() {
    if let Ok(address) = std::env::var(peer::ROLE) {
        let cases = Cases::with(client(&address, 1, "interop.client"));
        let _stream = cases.told(&StreamOptions::default(), "wait");
        println!("WAITING");
        std::io::stdin().lines().for_each(drop);
    }
}

/// Kitex tells nobody that it stops: it serves on for its exit wait, then the connections are gone.
#[test]
fn our_client_sees_that_kitex_was_stopped() {
    let Some(peer) = peer::build() else { return };
    for (pool, multiplexed) in POOLS {
        let mut server = peer::Server::start(&peer, &["-exit-wait", "2s"]);
        let cases = Cases::with(client(&server.address, multiplexed, "interop.client"));
        let stream = cases.told(&StreamOptions::default(), "first");
        server.process.terminate();
        stream.send(Item::text("still served").message()).unwrap();
        assert_eq!(recv(&stream).text, "still served", "{pool}");
        is_lost(&stream.recv().unwrap_err());
        // Its exit code says that a stream was under way.
        assert!(!server.process.end().0, "{pool}");
    }
}

#[test]
fn kitex_hears_the_last_word_of_a_handler_that_is_stopped() {
    stopped("goodbye", Duration::from_secs(20), 0);
}

#[test]
fn kitex_is_told_of_a_stream_that_outlives_a_stop() {
    stopped("outlive", Duration::from_millis(200), 1);
}

/// Stops our server while a stream of Kitex is under way; the case says how that ends.
fn stopped(case: &str, window: Duration, cut_off: usize) {
    let Some(peer) = peer::build() else { return };
    for (pool, _) in POOLS {
        let server = server::start();
        let mut process = waiting(&peer, &server.addresses()[0].to_string(), pool, case);
        let stopped = server.stop(window).unwrap();
        let (ok, said) = process.end();
        assert!(ok && said.contains("1 passed"), "{pool}: {said}");
        assert_eq!(stopped.cut_off, cut_off, "{pool}");
    }
}

/// Kitex's client with a stream under way.
fn waiting(peer: &std::path::Path, address: &str, pool: &str, case: &str) -> Process {
    let mut process =
        Process::start(peer, &["stream-client", "-addr", address, "-pool", pool, "-case", case]);
    process.heard("WAITING").expect("a stream");
    process
}
