//! Many callers at once: each answer must belong to its question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use krpc::base::Code;
use krpc::rpc::call::{CallOptions, Client, Transport};
use krpc::rpc::server::{Server, ServerOptions};
use krpc::rpc::{Runtime, RuntimeOptions};

use crate::support::*;

fn storm(client: &Arc<Client>, callers: usize, calls: usize) {
    std::thread::scope(|scope| {
        for caller in 0..callers {
            scope.spawn(move || {
                for call in 0..calls {
                    let question = body(format!("{caller}.{call}").as_bytes());
                    let reply = client.call(&echo(), &question, &CallOptions::default());
                    assert_eq!(reply.error(), None);
                    assert_eq!(reply.message(), Some(&question));
                }
            });
        }
    });
}

#[test]
fn two_hundred_callers_inline_and_on_the_pool() {
    for inline in [true, false] {
        let server = echo_server("127.0.0.1:0", inline);
        for transport in TRANSPORTS {
            let client = client(&server, transport);
            storm(&client, 200, 50);
            assert!(client.stats().dialled <= 200, "{:?}", client.stats());
        }
    }
}

#[test]
fn connections_spread_over_several_shards() {
    let options = RuntimeOptions { io_threads: 3, ..RuntimeOptions::default() };
    let runtime = Runtime::start(&options).unwrap();
    let gate = Arc::new(Gate::default());
    gate.open();
    for address in ["127.0.0.1:0", &unix_path("shards")] {
        let options = ServerOptions { runtime: Some(Arc::clone(&runtime)), ..ServerOptions::default() };
        let server = start_with(options, address, vec![gated_service(&gate)]);
        let client = client(&server, TRANSPORTS[2]);
        let method = krpc::rpc::call::Method::parse("Gate/Wait").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let reply = client.call(&method, &body(b"x"), &CallOptions::default());
                        assert_eq!(reply.error(), None);
                    }
                });
            }
        });
        drop(server);
    }
    runtime.shutdown().unwrap();
}

/// Calls without a pause until nobody listens any more, and returns how many calls were lost on the way.
fn push(client: &Arc<Client>, answered: &AtomicUsize) -> usize {
    let mut lost = 0;
    loop {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        match reply.error().map(|error| error.code()) {
            None => answered.fetch_add(1, Ordering::Relaxed),
            Some(Code::ConnectFailed) => return lost,
            Some(Code::ConnectionLost) => {
                lost += 1;
                continue;
            }
            Some(_) => panic!("{:?}", reply.error()),
        };
    }
}

#[test]
fn a_graceful_stop_ends_soon_though_callers_never_pause() {
    const CALLERS: usize = 16;
    for transport in TRANSPORTS {
        let server = echo_server("127.0.0.1:0", true);
        let client = client(&server, transport);
        let answered = AtomicUsize::new(0);
        let lost: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| push(&client, &answered))).collect();
            while answered.load(Ordering::Relaxed) < 50 * CALLERS {
                std::thread::yield_now();
            }
            let begin = Instant::now();
            assert_eq!(server.stop(Duration::from_secs(60)).unwrap().cut_off, 0, "{transport:?}");
            assert!(begin.elapsed() < Duration::from_secs(20), "{transport:?}: {:?}", begin.elapsed());
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        // Without a header nothing tells a client, so a request may meet the end of its connection.
        let most = if matches!(transport, Transport::Framed | Transport::Buffered) { CALLERS } else { 0 };
        assert!(lost <= most, "{transport:?}: {lost} calls lost");
    }
}

/// Calls without a pause until told to stop; every call must be answered.
fn press_on(client: &Arc<Client>, answered: &AtomicUsize, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert_eq!(reply.error(), None, "a call was lost");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server whose idle connections end late in a stop: on a busy machine a caller may have taken one and not
/// come to send its request for longer than the default allows.
fn patient_server(address: &str) -> Server {
    let mut options = ServerOptions::default();
    options.timeouts.drain = Duration::from_secs(1);
    start_with(options, address, vec![echo_service(true)])
}

/// Two servers, of which one or the other is always being replaced: stopped gracefully, and started again on
/// its port. The next one goes when every caller has been answered since: who was refused by the one must
/// find the other. `KRPC_RESTARTS` says how many are replaced.
#[test]
fn a_rolling_restart_loses_no_call() {
    let restarts = std::env::var("KRPC_RESTARTS").map_or(4, |count| count.parse().unwrap());
    for multiplexed in [0, 2] {
        let mut servers = ["127.0.0.1:0", "127.0.0.1:0"].map(patient_server);
        let mut options = client_options(&servers[0], Transport::TtheaderFramed);
        options.addresses = servers.iter().map(|server| server.addresses()[0].clone()).collect();
        options.pool.multiplexed = multiplexed;
        let client = Client::new(options).unwrap();
        let over = AtomicBool::new(false);
        let answered: Vec<_> = (0..200).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            let callers: Vec<_> =
                answered.iter().map(|answered| scope.spawn(|| press_on(&client, answered, &over))).collect();
            for restart in 0..restarts {
                let server = &mut servers[restart % 2];
                let address = server.addresses()[0].to_string();
                assert_eq!(server.stop(Duration::from_secs(30)).unwrap().cut_off, 0);
                *server = patient_server(&address);
                let before: Vec<_> = answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
                for ((count, before), caller) in answered.iter().zip(before).zip(&callers) {
                    while count.load(Ordering::Relaxed) == before && !caller.is_finished() {
                        std::thread::yield_now();
                    }
                }
            }
            over.store(true, Ordering::Relaxed);
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
    }
}
