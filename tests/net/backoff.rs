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

/// Callers that don't let up, for as long as `go` takes. Returns how many calls ended, and how many of them with
/// news of somebody else's dial.
fn press(client: &Arc<Client>, started: bool, callers: usize, go: impl FnOnce()) -> (u64, u64) {
    let (over, ended, told) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let reply = call(client, started, None);
                    let error = reply.error().unwrap();
                    assert_eq!((error.code(), error.phase()), (Code::ConnectTimeout, Phase::Connect));
                    ended.fetch_add(1, Ordering::Relaxed);
                    told.fetch_add(u64::from(error.text().contains("not dialled since")), Ordering::Relaxed);
                }
            });
        }
        go();
        over.store(true, Ordering::Relaxed);
    });
    (ended.into_inner(), told.into_inner())
}

/// 1,000 callers find out together, with a dial each at most; from then on one dial is under way at any time.
#[test]
fn many_callers_of_a_server_that_is_silent_dial_one_after_the_other() {
    for (started, multiplexed) in KINDS {
        let (_listener, _waiting, address) = full();
        let mut options = options(vec![address], LONG, multiplexed);
        options.pool.connect_timeout = Duration::from_millis(100);
        let client = Client::new(options).unwrap();
        let begun = Instant::now();
        let (ended, told) = press(&client, started, 1000, || {
            while client.stats().held_back < 3000 && begun.elapsed() < BOUND {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let stats = client.stats();
        let most = 1000 + begun.elapsed().as_millis() as u64 / 100 + 1;
        assert!(stats.dials_failed <= most, "{started} {multiplexed}: {stats:?}, {:?}", begun.elapsed());
        assert!(ended >= 3000 && (multiplexed > 0 || told >= 3000), "{ended} {told} {stats:?}");
        assert_eq!(told, stats.held_back);
        assert_eq!((stats.dialled, stats.busy), (0, 0));
    }
}

/// Somebody else dials: a call with less time than that ends in time, and says what was found before.
#[test]
fn a_call_waits_for_its_turn_to_dial_no_longer_than_it_may() {
    for (started, multiplexed) in KINDS.into_iter().filter(|(_, multiplexed)| *multiplexed == 0) {
        let (_listener, _waiting, address) = full();
        let mut options = options(vec![address], LONG, multiplexed);
        options.pool.connect_timeout = Duration::from_millis(300);
        let client = Client::new(options).unwrap();
        let (begun, mut cause) = (Instant::now(), String::new());
        press(&client, started, 2, || {
            while !cause.contains("not dialled since") && begun.elapsed() < BOUND {
                let reply = call(&client, started, Some(Duration::from_millis(5)));
                let error = reply.error().unwrap();
                assert_eq!((error.code(), error.phase()), (Code::Timeout, Phase::Connect), "{error}");
                cause = error.cause().map(|cause| cause.text().to_owned()).unwrap_or_default();
            }
        });
        assert!(cause.contains(" ms ago, not dialled since"), "{cause}");
    }
}

/// Whatever others have found: who has no other address left asks each itself, once.
#[test]
fn a_call_fails_only_after_a_dial_to_each_address() {
    for (started, multiplexed) in KINDS {
        let down: Vec<_> = (0..3).map(|_| refused_address()).collect();
        let client = Client::new(options(down.clone(), LONG, multiplexed)).unwrap();
        for calls in 1..=3 {
            let reply = call(&client, started, None);
            let text = reply.error().unwrap().text().to_owned();
            assert!(text.contains("Connection refused") && !text.contains("ago"), "{text}");
            assert_eq!((client.stats().dials_failed, client.stats().held_back), (3 * calls, 0));
        }
        let up = echo_server(&down[1].to_string(), true);
        assert_eq!(call(&client, started, None).error(), None, "{started} {multiplexed}");
        assert!(client.stats().dials_failed <= 3 * 3 + 2);
        drop(up);
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
