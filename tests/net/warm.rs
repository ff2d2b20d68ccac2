//! Connections that are made before they are needed, and those that are kept.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use krpc::base::Code;
use krpc::op::operation;
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, Method, Start, Transport};
use krpc::rpc::server::ServerOptions;

use crate::support::*;

const BOUND: Duration = Duration::from_secs(30);

fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < BOUND, "it never came true");
        std::thread::yield_now();
    }
}

/// Calls that nobody waits for, until all have ended.
fn call_started(client: &Arc<Client>, method: &Method, count: usize, go: impl FnOnce()) {
    let mut operations = Vec::new();
    client.prepare().unwrap();
    let message = body(b"x");
    client.start((0..count).map(|_| {
        let (operation, completer) = operation::new(None);
        operations.push(operation);
        Start { method, message: &message, options: CallOptions::default(), completer }
    }));
    go();
    for operation in operations {
        assert!(operation.wait(Some(BOUND)));
        assert_eq!(operation.take().unwrap().error(), None);
    }
}

#[test]
fn the_first_calls_find_connections_whichever_kind_they_are() {
    for address in ["127.0.0.1:0", "[::1]:0", &unix_path("warm")] {
        let server = echo_server(address, true);
        for started in [false, true] {
            let client = client(&server, Transport::TtheaderFramed);
            client.warm_up(3, BOUND).unwrap();
            until(|| server.connection_count() == 3);
            assert_eq!((client.stats().dialled, client.stats().idle), (3, 3));
            for _ in 0..4 {
                match started {
                    true => call_started(&client, &echo(), 1, || ()),
                    false => {
                        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
                        assert_eq!(reply.error(), None);
                        assert!(reply.facts().reused_connection);
                    }
                }
            }
            assert_eq!((client.stats().dialled, client.stats().reused), (3, 4), "{address} {started}");
            client.close(true);
            until(|| server.connection_count() == 0);
        }
    }
}

#[test]
fn a_burst_of_started_calls_uses_what_was_made() {
    let gate = Arc::new(Gate::default());
    let server = start_with(ServerOptions::default(), "127.0.0.1:0", vec![gated_service(&gate)]);
    let client = client(&server, Transport::TtheaderFramed);
    client.warm_up(5, BOUND).unwrap();
    call_started(&client, &Method::parse("Gate/Wait").unwrap(), 5, || {
        gate.wait_for_entries(5);
        assert_eq!((client.stats().busy, client.stats().idle), (5, 0));
        gate.open();
    });
    assert_eq!(client.stats().dialled, 5);
}

#[test]
fn the_error_names_what_could_not_be_reached() {
    let server = echo_server("127.0.0.1:0", true);
    let refused = refused_address();
    let (_listener, _waiting, silent) = full();
    let mut options = client_options(&server, Transport::Framed);
    options.addresses.extend([refused.clone(), silent.clone()]);
    let client = Client::new(options).unwrap();
    let error = client.warm_up(2, Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.code(), Code::ConnectFailed);
    let text = error.text();
    assert!(text.starts_with("2 of 3 addresses could not be connected: "), "{text}");
    assert!(text.contains(&format!("{refused}: Connection refused")), "{text}");
    assert!(text.contains(&format!("{silent}: no connection within 200ms")), "{text}");
    assert_eq!((client.stats().dialled, client.stats().idle), (2, 2), "what could be made stays");
}

#[test]
fn connections_that_calls_share_can_be_made_before() {
    let server = echo_server("127.0.0.1:0", true);
    let other = echo_server(&unix_path("warm-mux"), true);
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.addresses.push(other.addresses()[0].clone());
    options.pool.multiplexed = 3;
    let client = Client::new(options).unwrap();
    client.warm_up(2, BOUND).unwrap();
    until(|| server.connection_count() == 2 && other.connection_count() == 2);
    assert_eq!((client.stats().dialled, client.stats().reused), (4, 0));
    // What is there already is not made again, and calls find it.
    client.warm_up(3, BOUND).unwrap();
    assert_eq!(client.stats().dialled, 6);
    for _ in 0..12 {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert_eq!((reply.error(), reply.facts().reused_connection), (None, true));
    }
    assert_eq!((client.stats().dialled, client.stats().reused), (6, 12));
    client.close(false);
    until(|| server.connection_count() == 0 && other.connection_count() == 0);
    assert_eq!(client.warm_up(1, BOUND).unwrap_err().code(), Code::Closed);
}

#[test]
fn the_error_names_what_could_not_be_shared() {
    let server = echo_server("127.0.0.1:0", true);
    let refused = refused_address();
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.addresses.push(refused.clone());
    options.pool.multiplexed = 2;
    let client = Client::new(options).unwrap();
    let error = client.warm_up(2, BOUND).unwrap_err();
    let expected = format!("1 of 2 addresses could not be connected: {refused}: Connection refused");
    assert!(error.text().starts_with(&expected), "{error}");
    assert_eq!((error.code(), client.stats().dialled), (Code::ConnectFailed, 2), "what could be made stays");
}

#[test]
fn idle_connections_that_nobody_asks_for_are_closed() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::Framed);
    options.pool.min_idle = 1;
    options.pool.idle_timeout = Duration::from_millis(20);
    let client = Client::new(options).unwrap();
    client.warm_up(4, BOUND).unwrap();
    // The server's runtime has a timer.
    until(|| server.connection_count() == 1);
    assert_eq!((client.stats().idle, client.stats().expired), (1, 3));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.pool.max_idle = 5;
    options.pool.max_connections = 3;
    let limited = Client::new(options.clone()).unwrap();
    for connections in [0, 4, usize::MAX] {
        assert_eq!(limited.warm_up(connections, BOUND).unwrap_err().code(), Code::InvalidArgument);
    }
    limited.close(false);
    assert_eq!(limited.warm_up(1, BOUND).unwrap_err().code(), Code::Closed);
    options.pool.multiplexed = 2;
    let shared = Client::new(options.clone()).unwrap();
    for connections in [0, 3] {
        assert_eq!(shared.warm_up(connections, BOUND).unwrap_err().code(), Code::InvalidArgument);
    }
    options.pool.min_idle = 6;
    assert!(Client::new(options).err().unwrap().text().contains("min_idle"));
}

#[test]
fn some_connections_are_kept_however_long_they_are_idle() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::Framed);
    options.pool.min_idle = 1;
    options.pool.idle_timeout = Duration::from_millis(1);
    let client = Client::new(options).unwrap();
    client.warm_up(3, BOUND).unwrap();
    let made = Instant::now();
    until(|| made.elapsed() > Duration::from_millis(2));
    let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
    assert_eq!(reply.error(), None);
    let stats = client.stats();
    assert_eq!((stats.dialled, stats.reused, stats.found_dead + stats.expired, stats.idle), (3, 1, 2, 1));
}

#[test]
fn of_started_calls_as_well() {
    let gate = Arc::new(Gate::default());
    let server = start_with(ServerOptions::default(), "127.0.0.1:0", vec![gated_service(&gate)]);
    let mut options = client_options(&server, Transport::Framed);
    options.pool.min_idle = 2;
    options.pool.idle_timeout = Duration::from_millis(20);
    let client = Client::new(options).unwrap();
    let wait = Method::parse("Gate/Wait").unwrap();
    call_started(&client, &wait, 4, || {
        gate.wait_for_entries(4);
        gate.open();
    });
    until(|| server.connection_count() == 2);
    // Some idle times later they are still there, and are used.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(100) {
        assert_eq!(server.connection_count(), 2);
        std::thread::yield_now();
    }
    call_started(&client, &wait, 2, || ());
    assert_eq!(client.stats().dialled, 4);
}

/// The peer's end of a kept connection ends it as any other.
#[test]
fn a_kept_connection_that_the_peer_has_closed_is_not_used() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = krpc::rpc::call::ClientOptions::new("test");
    options.addresses.push(Address::Ip(listener.local_addr().unwrap()));
    options.timeout = Some(Duration::from_millis(100));
    options.pool.min_idle = 1;
    let client = Client::new(options).unwrap();
    client.warm_up(1, BOUND).unwrap();
    let (peer, _): (TcpStream, _) = listener.accept().unwrap();
    drop(peer);
    // The end may take a moment to arrive, even here.
    let made = Instant::now();
    until(|| made.elapsed() > Duration::from_millis(5));
    let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
    assert_eq!(reply.error().unwrap().code(), Code::Timeout);
    assert_eq!((client.stats().found_dead, client.stats().dialled), (1, 2));
}
