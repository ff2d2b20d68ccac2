//! Addresses that can't be reached: who dials them, how often, and what calls hear meanwhile.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krpc::base::{Code, Phase};
use krpc::op::operation;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Reply, Start, Transport};
use krpc::rpc::{Address, Backoff};

use crate::support::*;

const BOUND: Duration = Duration::from_secs(30);

/// Pauses so long that none ends within a test.
const LONG: Backoff = Backoff { initial: Duration::from_secs(3600), max: Duration::from_secs(3600) };

/// How calls are made: each on its thread, started, or started on shared connections.
const KINDS: [(bool, usize); 3] = [(false, 0), (true, 0), (true, 2)];

fn options(addresses: Vec<Address>, backoff: Backoff, multiplexed: usize) -> ClientOptions {
    let mut options = ClientOptions::new("test");
    options.addresses = addresses;
    options.transport = Transport::TtheaderFramed;
    options.timeout = Some(BOUND);
    options.pool.backoff = backoff;
    options.pool.multiplexed = multiplexed;
    options
}

fn call(client: &Arc<Client>, started: bool, timeout: Option<Duration>) -> Reply {
    let (message, options) = (body(b"x"), CallOptions { timeout, ..CallOptions::default() });
    if !started {
        return client.call(&echo(), &message, &options);
    }
    let (operation, completer) = operation::new(None);
    client.prepare().unwrap();
    client.start([Start { method: &echo(), message: &message, options, completer }]);
    assert!(operation.wait(Some(BOUND)));
    operation.take().unwrap()
}

/// Callers that don't let up, for as long as `go` takes. Returns how many calls ended.
fn press(client: &Arc<Client>, started: bool, callers: usize, go: impl FnOnce()) -> u64 {
    let (over, ended) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let reply = call(client, started, None);
                    if let Some(error) = reply.error() {
                        assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect));
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        go();
        over.store(true, Ordering::Relaxed);
    });
    ended.into_inner()
}

/// 1,000 callers find out together, once each at most; from then on one dials for all.
#[test]
fn many_callers_of_a_server_that_is_down_dial_no_more_often_than_one() {
    for (started, multiplexed) in KINDS {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(1) };
        let client = Client::new(options(vec![refused_address()], backoff, multiplexed)).unwrap();
        let begun = Instant::now();
        let ended = press(&client, started, 1000, || {
            while client.stats().held_back < 5000 && begun.elapsed() < BOUND {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let stats = client.stats();
        // A dial of last resort comes every 100 ms; the second half is for those that were under way.
        let most = 1000 + 2 * begun.elapsed().as_millis() as u64 / 100 + 2;
        assert!(stats.dials_failed <= most, "{started} {multiplexed}: {stats:?}, {:?}", begun.elapsed());
        assert!(stats.held_back >= 5000 && ended >= 5000, "{ended} {stats:?}");
        assert_eq!((stats.dialled, stats.busy), (0, 0));
    }
}

#[test]
fn an_error_says_what_was_found_and_when() {
    for (started, multiplexed) in KINDS {
        let client = Client::new(options(vec![refused_address()], LONG, multiplexed)).unwrap();
        let first = call(&client, started, None);
        let text = first.error().unwrap().text().to_owned();
        assert!(text.contains("Connection refused") && !text.contains("ago"), "{text}");
        // It would have to wait for 100 ms.
        let late = call(&client, started, Some(Duration::from_millis(5)));
        let error = late.error().unwrap();
        assert_eq!((error.code(), error.phase()), (Code::Timeout, Phase::Connect), "{error}");
        let cause = error.cause().unwrap().text();
        assert!(
            cause.contains("Connection refused") && cause.contains(" ms ago, not dialled since"),
            "{cause}"
        );
        assert_eq!((client.stats().dials_failed, client.stats().held_back), (1, 1));
        // A dial of last resort, and its own news.
        let second = call(&client, started, None);
        assert_eq!(second.error().unwrap().code(), Code::ConnectFailed);
        assert_eq!(client.stats().dials_failed, 2);
    }
}

#[test]
fn calls_pass_over_what_is_down_and_come_back_when_it_is_up() {
    for (started, multiplexed) in KINDS {
        let server = echo_server("127.0.0.1:0", true);
        let down = refused_address();
        let addresses = vec![down.clone(), server.addresses()[0].clone()];
        let client = Client::new(options(addresses.clone(), LONG, multiplexed)).unwrap();
        for _ in 0..20 {
            assert_eq!(call(&client, started, None).error(), None);
        }
        assert_eq!(client.stats().dials_failed, 1, "{started} {multiplexed}");

        let short = Backoff { initial: Duration::from_millis(20), max: Duration::from_millis(40) };
        let client = Client::new(options(addresses, short, multiplexed)).unwrap();
        assert_eq!(call(&client, started, None).error(), None);
        assert_eq!(call(&client, started, None).error(), None);
        let up = echo_server(&down.to_string(), true);
        let begun = Instant::now();
        while up.stats().accepted == 0 {
            assert!(begun.elapsed() < BOUND, "it was never dialled again");
            assert_eq!(call(&client, started, None).error(), None);
        }
    }
}

/// Nothing else is there: the call waits for its turn to dial, and is not lost.
#[test]
fn a_call_does_not_fail_on_old_news() {
    for (started, multiplexed) in KINDS {
        let down = refused_address();
        let client = Client::new(options(vec![down.clone()], LONG, multiplexed)).unwrap();
        assert_eq!(call(&client, started, None).error().unwrap().code(), Code::ConnectFailed);
        let up = echo_server(&down.to_string(), true);
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..50).map(|_| scope.spawn(|| call(&client, started, None))).collect();
            calls.into_iter().for_each(|call| assert_eq!(call.join().unwrap().error(), None));
        });
        assert_eq!(client.stats().dials_failed, 1);
        drop(up);
    }
}

#[test]
fn a_warm_up_leaves_alone_what_is_down() {
    for multiplexed in [0, 1] {
        let client = Client::new(options(vec![refused_address()], LONG, multiplexed)).unwrap();
        for (nth, expected) in ["Connection refused", "not dialled since"].into_iter().enumerate() {
            let error = client.warm_up(1, BOUND).unwrap_err();
            assert!(error.text().contains(expected), "{error}");
            assert_eq!((client.stats().dials_failed, client.stats().held_back), (1, nth as u64));
        }
    }
}

/// As a server does that has too many connections, or a proxy without anything behind it.
#[test]
fn a_server_that_hangs_up_on_everybody_is_left_alone_too() {
    for (started, multiplexed) in KINDS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        let server = echo_server("127.0.0.1:0", true);
        let client =
            Client::new(options(vec![address, server.addresses()[0].clone()], LONG, multiplexed)).unwrap();
        let failed = (0..60).filter(|_| call(&client, started, None).error().is_some()).count();
        let accepted = accepted.load(Ordering::SeqCst);
        assert!(
            (3..=6).contains(&accepted),
            "{started} {multiplexed}: {accepted} dials, {failed} calls failed"
        );
        assert!(failed <= 6, "{failed}");
    }
}

/// The peer's host acknowledges, but nothing is taken any more: as one that hangs, or is half gone. No call
/// timeout helps here, only TCP's own.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    for (started, multiplexed) in KINDS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut options = options(vec![Address::Ip(listener.local_addr().unwrap())], LONG, multiplexed);
        options.timeout = None;
        options.pool.keepalive.user_timeout = Some(Duration::from_millis(300));
        let client = Client::new(options).unwrap();
        let large = body(&vec![b'x'; 16 << 20]);
        let reply = match started {
            false => client.call(&echo(), &large, &CallOptions::default()),
            true => {
                let (operation, completer) = operation::new(None);
                client.prepare().unwrap();
                let options = CallOptions::default();
                client.start([Start { method: &echo(), message: &large, options, completer }]);
                assert!(operation.wait(Some(BOUND)), "it is never given up");
                operation.take().unwrap()
            }
        };
        let error = reply.error().unwrap();
        assert_eq!(error.code(), Code::ConnectionLost, "{error}");
        assert!(error.text().contains("timed out"), "{error}");
    }
}

#[test]
fn without_a_pause_every_call_dials() {
    let none = Backoff { initial: Duration::ZERO, max: Duration::ZERO };
    for (started, multiplexed) in KINDS {
        let client = Client::new(options(vec![refused_address()], none, multiplexed)).unwrap();
        for _ in 0..20 {
            assert_eq!(call(&client, started, None).error().unwrap().code(), Code::ConnectFailed);
        }
        assert_eq!((client.stats().dials_failed, client.stats().held_back), (20, 0));
    }
}
