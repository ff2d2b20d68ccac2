//! Real sockets, real threads: what the core promises beyond its state machines.

mod backoff;
mod checksum;
mod hostile;
mod limited;
mod load;
mod multiplexed;
mod resets;
mod retried;
mod shards;
mod slow;
mod started;
mod stream_conns;
mod stream_ends;
mod stream_flow;
mod stream_hooks;
mod streams;
mod streams_idl;
mod support;
mod warm;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use krpc::base::{Biz, Code, Message, Metainfo, MetainfoKind, Phase};
use krpc::rpc::call::{CallOptions, Method, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use support::*;

#[test]
fn every_transport_over_every_kind_of_socket() {
    for address in ["127.0.0.1:0", "[::1]:0", &unix_path("echo")] {
        let server = echo_server(address, true);
        for transport in TRANSPORTS {
            let client = client(&server, transport);
            for _ in 0..3 {
                let reply = client.call(&echo(), &body(b"hello"), &CallOptions::default());
                assert_eq!(reply.error(), None, "{transport:?} over {address}");
                assert_eq!(reply.message(), Some(&body(b"hello")));
            }
            assert_eq!((client.stats().dialled, client.stats().reused), (1, 2), "{transport:?}");
        }
        let stopped = server.stop(Duration::from_secs(5)).unwrap();
        assert_eq!(stopped.cut_off, 0);
        assert_eq!(server.connection_count(), 0);
    }
}

#[test]
fn callers_that_spin_get_the_same() {
    let server = echo_server("127.0.0.1:0", true);
    for transport in TRANSPORTS {
        let mut options = client_options(&server, transport);
        options.pool.spin = Duration::from_millis(1);
        let client = krpc::rpc::call::Client::new(options).unwrap();
        for size in [0, 10, 5000, 3 << 20].into_iter().cycle().take(40) {
            let sent = body(&vec![b'x'; size]);
            let reply = client.call(&echo(), &sent, &CallOptions::default());
            assert_eq!(reply.error(), None, "{transport:?} {size}");
            assert!(reply.message() == Some(&sent));
        }
    }
}

#[test]
fn large_messages_go_both_ways() {
    let server = echo_server("127.0.0.1:0", false);
    for transport in TRANSPORTS {
        let client = client(&server, transport);
        for size in [4095, 4096, 70_000, 5 << 20] {
            let large = body(&vec![b'x'; size]);
            let reply = client.call(&echo(), &large, &CallOptions::default());
            assert_eq!(reply.error(), None, "{transport:?} {size}");
            assert!(reply.message() == Some(&large));
        }
    }
}

#[test]
fn a_pool_handler_may_answer_later_from_another_thread() {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        std::thread::spawn(move || {
            let message = request.message().clone();
            request.reply(message).unwrap();
        });
    };
    service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    let client = client(&server, Transport::Ttheader);
    for _ in 0..20 {
        assert!(client.call(&echo(), &body(b"x"), &CallOptions::default()).error().is_none());
    }
}

#[test]
fn every_kind_of_answer_arrives_as_its_own_error() {
    let server = start("127.0.0.1:0", vec![failing_service()]);
    let client = client(&server, Transport::TtheaderFramed);
    let call = |name: &str| client.call(&Method::parse(name).unwrap(), &body(b"x"), &CallOptions::default());

    let error = call("Fail/Biz").error().unwrap().clone();
    let status = error.biz_status().unwrap();
    assert_eq!((error.code(), status.code, &status.message[..]), (Code::BizStatus, 404, &b"not found"[..]));
    assert!(error.to_string().contains("method=Fail/Biz, peer=127.0.0.1:"), "{error}");

    let error = call("Fail/Throw").error().unwrap().clone();
    assert_eq!(error.declared_exception().unwrap(), (3, &body(b"thrown")));

    let error = call("Fail/Fail").error().unwrap().clone();
    assert_eq!((error.code(), error.text()), (Code::RemoteException, "biz error: went wrong"));

    let error = call("Fail/Panic").error().unwrap().clone();
    assert!(error.text().starts_with("panic: [happened in biz handler, method=Fail.Panic"), "{error}");

    let error = call("Fail/Drop").error().unwrap().clone();
    assert_eq!(error.text(), "biz error: handler gave no answer");

    let error = call("Fail/None").error().unwrap().clone();
    assert_eq!((error.code(), error.text()), (Code::UnknownMethod, "unknown method None (service Fail)"));

    let error = call("Nobody/None").error().unwrap().clone();
    assert_eq!((error.code(), error.text()), (Code::UnknownService, "unknown service Nobody, method None"));
}

#[test]
fn a_unix_socket_tells_who_calls() {
    for (address, told) in [("127.0.0.1:0".to_owned(), false), (unix_path("who"), true)] {
        let mut service = Service::new("Echo").unwrap();
        let handler = |mut request: Request| {
            let text = match request.peer_credentials() {
                Ok(who) => format!("{} {} {}", who.pid, who.uid, who.gid),
                Err(error) => format!("{} {}", error.code().name(), error.text()),
            };
            request.reply(body(text.as_bytes())).unwrap();
        };
        service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
        let server = start(&address, vec![service]);
        let reply = client(&server, Transport::Framed).call(&echo(), &body(b"x"), &CallOptions::default());
        // SAFETY: these three can't fail and touch no memory.
        let own = unsafe { (libc::getpid(), libc::geteuid(), libc::getegid()) };
        let expected = match told {
            true => format!("{} {} {}", own.0, own.1, own.2),
            false => "UNSUPPORTED only callers through a unix socket have credentials".to_owned(),
        };
        assert_eq!(reply.into_result().unwrap(), body(expected.as_bytes()));
    }
}

#[test]
fn metainfo_goes_there_and_back() {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let seen = request.metainfo().get(MetainfoKind::Upstream, b"k").cloned().unwrap_or_default();
        request.set_backward("seen".into(), seen);
        request.reply(Message::empty_struct()).unwrap();
    };
    service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    let mut metainfo = Metainfo::new();
    metainfo.set(MetainfoKind::Transient, "k", "v");
    let options = CallOptions { metainfo: Some(&metainfo), ..CallOptions::default() };
    let reply = client(&server, Transport::Ttheader).call(&echo(), &body(b"x"), &options);
    assert_eq!(reply.metainfo().get(MetainfoKind::Backward, b"seen").unwrap(), "v");
}

#[test]
fn a_handler_sees_the_callers_name_if_a_header_carries_it() {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let name = body(request.caller());
        request.reply(name).unwrap();
    };
    service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    for transport in TRANSPORTS {
        let has_header = matches!(transport, Transport::Ttheader | Transport::TtheaderFramed);
        for name in ["", "me"] {
            let mut options = client_options(&server, transport);
            options.caller = name.to_owned();
            let client = krpc::rpc::call::Client::new(options).unwrap();
            let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
            let expected = body(if has_header { name.as_bytes() } else { b"" });
            assert_eq!(reply.message(), Some(&expected), "{transport:?}");
        }
    }
}

#[test]
fn oneway_runs_and_is_not_answered() {
    let count = Arc::new(AtomicUsize::new(0));
    let (done, ran) = std::sync::mpsc::channel();
    let mut service = Service::new("Echo").unwrap();
    let counter = Arc::clone(&count);
    let done = std::sync::Mutex::new(done);
    let handler = move |request: Request| {
        assert!(request.is_oneway());
        counter.fetch_add(1, Ordering::SeqCst);
        drop(request);
        done.lock().unwrap().send(()).unwrap();
    };
    let options = MethodOptions { oneway: true, inline: false };
    service.add_method("Fire", options, Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    for transport in TRANSPORTS {
        let client = client(&server, transport);
        let method = Method::parse("Echo/Fire").unwrap().oneway();
        for _ in 0..5 {
            let reply = client.call(&method, &body(b"x"), &CallOptions::default());
            assert_eq!((reply.error(), reply.message()), (None, None));
            ran.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[test]
fn a_timeout_leaves_the_late_reply_behind() {
    let gate = Arc::new(Gate::default());
    let server = start("127.0.0.1:0", vec![gated_service(&gate)]);
    let client = client(&server, Transport::Ttheader);
    let options = CallOptions { timeout: Some(Duration::from_millis(50)), ..CallOptions::default() };
    let reply = client.call(&Method::parse("Gate/Wait").unwrap(), &body(b"late"), &options);
    let error = reply.error().unwrap();
    assert_eq!((error.code(), error.phase()), (Code::Timeout, Phase::Wait), "{error}");
    gate.open();
    let reply = client.call(&Method::parse("Gate/Wait").unwrap(), &body(b"next"), &CallOptions::default());
    assert_eq!(reply.message(), Some(&body(b"next")));
    assert_eq!(client.stats().dialled, 2);
}

#[test]
fn dead_idle_connections_are_replaced_and_unreachable_addresses_passed_over() {
    let server = echo_server("127.0.0.1:0", true);
    let address = server.addresses()[0].clone();
    let mut options = client_options(&server, Transport::Framed);
    options.addresses.insert(0, refused_address());
    let client = krpc::rpc::call::Client::new(options).unwrap();
    for _ in 0..4 {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert!(reply.error().is_none(), "{:?}", reply.error());
    }
    server.stop(Duration::from_millis(200)).unwrap();
    drop(server);
    let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
    let error = reply.error().unwrap();
    assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect), "{error}");
    assert!(error.retryable());
    let again = echo_server(&address.to_string(), true);
    for _ in 0..4 {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert!(reply.error().is_none(), "{:?}", reply.error());
    }
    drop(again);
}

#[test]
fn a_closed_client_refuses_and_cuts_off() {
    let gate = Arc::new(Gate::default());
    let server = start("127.0.0.1:0", vec![gated_service(&gate)]);
    let client = client(&server, Transport::Ttheader);
    let calling = {
        let client = Arc::clone(&client);
        std::thread::spawn(move || {
            client.call(&Method::parse("Gate/Wait").unwrap(), &body(b"x"), &CallOptions::default())
        })
    };
    gate.wait_for_entry();
    client.close(false);
    let refused = client.call(&echo(), &body(b"x"), &CallOptions::default());
    assert_eq!(refused.error().unwrap().code(), Code::Closed);
    client.close(true);
    assert_eq!(calling.join().unwrap().error().unwrap().code(), Code::Closed);
    gate.open();
}

#[test]
fn stop_lets_what_runs_finish_and_cuts_off_what_does_not() {
    let gate = Arc::new(Gate::default());
    let server = Arc::new(start("127.0.0.1:0", vec![gated_service(&gate)]));
    let client = client(&server, Transport::Ttheader);
    let call = |client: &Arc<krpc::rpc::call::Client>| {
        let client = Arc::clone(client);
        std::thread::spawn(move || {
            client.call(&Method::parse("Gate/Wait").unwrap(), &body(b"x"), &CallOptions::default())
        })
    };
    let first = call(&client);
    gate.wait_for_entry();
    let stopping = {
        let server = Arc::clone(&server);
        std::thread::spawn(move || server.stop(Duration::from_secs(30)).unwrap())
    };
    gate.open();
    assert!(first.join().unwrap().error().is_none());
    assert_eq!(stopping.join().unwrap().cut_off, 0);

    gate.close();
    let server = start("127.0.0.1:0", vec![gated_service(&gate)]);
    let client = Arc::new(support::client(&server, Transport::Ttheader));
    let second = call(&client);
    gate.wait_for_entry();
    assert_eq!(server.stop(Duration::ZERO).unwrap().cut_off, 1);
    assert_eq!(second.join().unwrap().error().unwrap().code(), Code::ConnectionLost);
    gate.open();
}

#[test]
fn an_inline_handler_may_not_block_on_a_call() {
    let backend = echo_server("127.0.0.1:0", true);
    let downstream = client(&backend, Transport::Ttheader);
    let mut service = Service::new("Echo").unwrap();
    let handler = move |mut request: Request| {
        let reply = downstream.call(&echo(), request.message(), &CallOptions::default());
        let code = reply.error().map_or(0, |error| error.code() as i32);
        request.fail_biz(Biz { code, ..Biz::default() }).unwrap();
    };
    let options = MethodOptions { inline: true, oneway: false };
    service.add_method("Echo", options, Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    let reply = client(&server, Transport::Ttheader).call(&echo(), &body(b"x"), &CallOptions::default());
    assert_eq!(reply.error().unwrap().biz_status().unwrap().code, Code::WouldDeadlock as i32);
}

#[test]
fn the_in_flight_limit_answers_and_keeps_the_connection() {
    let gate = Arc::new(Gate::default());
    let options = ServerOptions { max_in_flight: 1, ..ServerOptions::default() };
    let server = start_with(options, "127.0.0.1:0", vec![gated_service(&gate)]);
    let client = client(&server, Transport::Ttheader);
    let method = Method::parse("Gate/Wait").unwrap();
    let running = {
        let (client, method) = (Arc::clone(&client), method.clone());
        std::thread::spawn(move || client.call(&method, &body(b"x"), &CallOptions::default()))
    };
    gate.wait_for_entry();
    let refused = client.call(&method, &body(b"x"), &CallOptions::default());
    let error = refused.error().unwrap();
    assert_eq!(error.text(), "request over limit: too many requests in flight", "{error}");
    gate.open();
    assert!(running.join().unwrap().error().is_none());
}

#[test]
fn servers_that_cannot_start_say_why() {
    let error = |options: ServerOptions| Server::start(options).err().unwrap();
    assert_eq!(error(ServerOptions::default()).code(), Code::InvalidArgument);
    let taken = echo_server("127.0.0.1:0", true);
    let mut options = ServerOptions::default();
    options.addresses.push(taken.addresses()[0].clone());
    options.services.push(Service::new("S").unwrap());
    let error = error(options);
    assert_eq!(error.code(), Code::ListenFailed);
    assert!(error.text().starts_with(&taken.addresses()[0].to_string()), "{error}");
}

/// Keeps what is logged.
#[derive(Default)]
struct Kept(krpc::base::lock::Mutex<Vec<String>>);

impl krpc::base::log::Sink for Kept {
    fn level(&self) -> krpc::base::log::Level {
        krpc::base::log::Level::Warn
    }

    fn write(&self, _: krpc::base::log::Level, _: &'static str, text: std::fmt::Arguments<'_>) {
        self.0.lock().push(text.to_string());
    }
}

#[test]
fn handlers_that_break_their_word_are_reported() {
    let lines = Arc::new(Kept::default());
    let log = krpc::base::log::Log::to(Arc::clone(&lines) as _);
    let runtime =
        krpc::rpc::Runtime::start(&krpc::rpc::RuntimeOptions { log, ..Default::default() }).unwrap();
    let mut service = failing_service();
    let slow = |mut request: Request| {
        std::thread::sleep(Duration::from_millis(11));
        request.reply(Message::empty_struct()).unwrap();
    };
    service.add_method("Slow", MethodOptions { inline: true, oneway: false }, Arc::new(slow)).unwrap();
    let options = ServerOptions { runtime: Some(Arc::clone(&runtime)), ..ServerOptions::default() };
    let server = start_with(options, "127.0.0.1:0", vec![service]);
    let client = client(&server, Transport::Ttheader);
    for method in ["Fail/Drop", "Fail/Panic", "Fail/Slow"] {
        client.call(&Method::parse(method).unwrap(), &body(b"x"), &CallOptions::default());
    }
    server.stop(Duration::from_secs(10)).unwrap();
    drop(server);
    runtime.shutdown().unwrap();
    let lines = lines.0.lock();
    for expected in ["Fail.Drop: no answer was given", "on purpose", "inline handler of Slow took"] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}: {lines:?}");
    }
}
