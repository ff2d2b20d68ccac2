//! Calls that share connections: each gets its own answer, and what happens to one leaves the others alone.

use std::sync::Arc;
use std::time::Duration;

use krpc::base::Code;
use krpc::op::operation::{self, Cause, Operation};
use krpc::rpc::call::{CallOptions, Client, Method, Reply, Start, Transport};
use krpc::rpc::server::{Server, ServerOptions, Service};

use crate::support::*;

fn shared(server: &Server, connections: usize) -> Arc<Client> {
    let mut options = client_options(server, Transport::TtheaderFramed);
    options.pool.multiplexed = connections;
    Client::new(options).unwrap()
}

fn wait_method() -> Method {
    Method::parse("Gate/Wait").unwrap()
}

fn start_all(client: &Arc<Client>, method: &Method, texts: &[String]) -> Vec<Operation<Reply>> {
    let mut operations = Vec::new();
    let bodies: Vec<_> = texts.iter().map(|text| body(text.as_bytes())).collect();
    client.prepare().unwrap();
    client.start(bodies.iter().map(|message| {
        let (operation, completer) = operation::new(None);
        operations.push(operation);
        Start { method, message, options: CallOptions::default(), completer }
    }));
    operations
}

fn start_one(client: &Arc<Client>, method: &Method, text: &str) -> Operation<Reply> {
    start_all(client, method, &[text.to_owned()]).remove(0)
}

fn end(operation: &Operation<Reply>) -> Reply {
    assert!(operation.wait(Some(Duration::from_secs(30))), "the operation never ended");
    operation.take().unwrap()
}

fn call(client: &Arc<Client>, text: &str) -> Reply {
    client.call(&echo(), &body(text.as_bytes()), &CallOptions::default())
}

fn gated(gate: &Arc<Gate>) -> Server {
    let mut both: Vec<Service> = vec![gated_service(gate)];
    let mut echo = Service::new("Echo").unwrap();
    let handler = |mut request: krpc::rpc::server::Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    echo.add_method("Echo", krpc::rpc::server::MethodOptions::default(), Arc::new(handler)).unwrap();
    both.push(echo);
    start_with(ServerOptions::default(), "127.0.0.1:0", both)
}

#[test]
fn many_calls_share_few_connections() {
    for inline in [true, false] {
        let server = echo_server("127.0.0.1:0", inline);
        let client = shared(&server, 2);
        for round in 0..3 {
            let texts: Vec<_> = (0..1000).map(|number| format!("{round}: {number}")).collect();
            let operations = start_all(&client, &echo(), &texts);
            for (text, operation) in texts.iter().zip(&operations) {
                let reply = end(operation);
                assert_eq!((reply.error(), reply.message()), (None, Some(&body(text.as_bytes()))));
            }
        }
        assert_eq!((client.stats().dialled, server.connection_count()), (2, 2));
    }
}

#[test]
fn blocking_callers_share_too() {
    let server = echo_server("127.0.0.1:0", true);
    let client = shared(&server, 1);
    std::thread::scope(|scope| {
        for caller in 0..50 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..50 {
                    let text = format!("{caller} {number}");
                    assert_eq!(call(client, &text).into_result().unwrap(), body(text.as_bytes()));
                }
            });
        }
    });
    assert_eq!(client.stats().dialled, 1);
}

#[test]
fn large_messages_and_small_ones_at_once() {
    let server = echo_server("127.0.0.1:0", false);
    let client = shared(&server, 1);
    let texts: Vec<_> =
        (0..40).map(|number| "x".repeat(if number % 4 == 0 { 1 << 20 } else { number })).collect();
    let operations = start_all(&client, &echo(), &texts);
    for (text, operation) in texts.iter().zip(&operations) {
        assert!(end(operation).into_result().unwrap() == body(text.as_bytes()));
    }
    assert_eq!(client.stats().dialled, 1);
}

#[test]
fn a_slow_call_holds_up_no_other() {
    let gate = Arc::new(Gate::default());
    let server = gated(&gate);
    let client = shared(&server, 1);
    let slow = start_one(&client, &wait_method(), "slow");
    gate.wait_for_entry();
    for _ in 0..100 {
        assert_eq!(call(&client, "fast").error(), None);
    }
    assert!(!slow.is_done());
    gate.open();
    assert_eq!(end(&slow).into_result().unwrap(), body(b"slow"));
    assert_eq!(client.stats().dialled, 1);
}

#[test]
fn who_gives_up_leaves_the_connection_to_the_others() {
    let gate = Arc::new(Gate::default());
    let server = gated(&gate);
    let client = shared(&server, 1);
    let stays = start_one(&client, &wait_method(), "stays");
    let cancelled = start_one(&client, &wait_method(), "cancelled");
    let dropped = start_one(&client, &wait_method(), "dropped");
    gate.wait_for_entries(3);
    drop(dropped);
    cancelled.cancel(Cause::ByHost);
    assert_eq!(end(&cancelled).error().unwrap().code(), Code::Cancelled);
    let options = CallOptions { timeout: Some(Duration::from_millis(20)), ..CallOptions::default() };
    let late = client.call(&wait_method(), &body(b"late"), &options).error().unwrap().clone();
    assert_eq!(late.code(), Code::Timeout);
    assert!(late.text().ends_with("20ms") && late.peer().is_some(), "{late}");

    // Their answers come late, and meet nobody.
    gate.open();
    assert_eq!(end(&stays).into_result().unwrap(), body(b"stays"));
    for _ in 0..10 {
        assert_eq!(call(&client, "after").into_result().unwrap(), body(b"after"));
    }
    assert_eq!(client.stats().dialled, 1);
}

#[test]
fn exceptions_keep_the_connection() {
    let server = start("127.0.0.1:0", vec![failing_service()]);
    let client = shared(&server, 1);
    let code = |method: &str| {
        let reply = client.call(&Method::parse(method).unwrap(), &body(b"x"), &CallOptions::default());
        reply.error().unwrap().code()
    };
    for _ in 0..3 {
        assert_eq!(code("Fail/Biz"), Code::BizStatus);
        assert_eq!(code("Fail/Throw"), Code::DeclaredException);
        assert_eq!(code("Fail/Fail"), Code::RemoteException);
        assert_eq!(code("Fail/Panic"), Code::RemoteException);
        assert_eq!(code("Fail/Drop"), Code::RemoteException);
        assert_eq!(code("Fail/None"), Code::UnknownMethod);
    }
    assert_eq!((client.stats().dialled, server.connection_count()), (1, 1));
}

#[test]
fn a_stop_finishes_what_runs_and_sends_the_rest_elsewhere() {
    let gate = Arc::new(Gate::default());
    let server = gated(&gate);
    let client = shared(&server, 1);
    let running: Vec<_> = start_all(&client, &wait_method(), &["a".into(), "b".into()]);
    gate.wait_for_entries(2);
    let stopped = std::thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop(Duration::from_secs(20)).unwrap());
        // The client is told, and needs another connection, which nobody accepts any more.
        loop {
            match call(&client, "new").error().map(|error| error.code()) {
                None => std::thread::yield_now(),
                Some(Code::ConnectFailed) => break,
                Some(other) => panic!("{other:?}"),
            }
        }
        gate.open();
        stop.join().unwrap()
    });
    assert_eq!(stopped.cut_off, 0);
    for (operation, text) in running.iter().zip([b"a", b"b"]) {
        assert_eq!(end(operation).into_result().unwrap(), body(text));
    }
}

#[test]
fn a_lost_connection_ends_every_call_on_it_and_is_replaced() {
    let gate = Arc::new(Gate::default());
    let server = gated(&gate);
    let address = server.addresses()[0].to_string();
    let client = shared(&server, 1);
    let texts: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let operations = start_all(&client, &wait_method(), &texts);
    gate.wait_for_entries(20);
    server.stop(Duration::from_millis(1)).unwrap();
    for operation in &operations {
        let error = end(operation).error().unwrap().clone();
        assert_eq!(error.code(), Code::ConnectionLost, "{error}");
    }
    assert_eq!(call(&client, "x").error().unwrap().code(), Code::ConnectFailed);
    gate.open();
    drop(server);
    let _again = echo_server(&address, true);
    for _ in 0..10 {
        assert_eq!(call(&client, "x").error(), None);
    }
}

#[test]
fn close_ends_idle_connections_and_by_wish_all_calls() {
    let gate = Arc::new(Gate::default());
    let server = gated(&gate);
    let client = shared(&server, 1);
    let pending = start_one(&client, &wait_method(), "x");
    gate.wait_for_entry();
    client.close(false);
    assert!(client.prepare().is_err() && !pending.is_done());
    client.close(true);
    assert_eq!(end(&pending).error().unwrap().code(), Code::Closed);
    gate.open();

    let client = shared(&server, 1);
    assert_eq!(call(&client, "x").error(), None);
    client.close(false);
    while server.connection_count() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn idle_connections_end_and_come_back() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::Ttheader);
    options.pool.multiplexed = 1;
    options.pool.idle_timeout = Duration::from_millis(20);
    let client = Client::new(options).unwrap();
    for dialled in 1..=3 {
        assert_eq!(call(&client, "x").error(), None);
        assert_eq!(client.stats().dialled, dialled);
        while server.connection_count() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_transport_without_a_header_is_refused_at_once() {
    let server = echo_server("127.0.0.1:0", true);
    for transport in [Transport::Framed, Transport::Buffered] {
        let mut options = client_options(&server, transport);
        options.pool.multiplexed = 1;
        let error = Client::new(options).err().unwrap();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}

#[test]
fn a_peer_that_is_not_there_or_never_answers_the_dial() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::Ttheader);
    options.pool.multiplexed = 2;
    options.addresses = vec![refused_address()];
    let client = Client::new(options.clone()).unwrap();
    let texts: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for operation in start_all(&client, &echo(), &texts) {
        let error = end(&operation).error().unwrap().clone();
        assert_eq!(error.code(), Code::ConnectFailed, "{error}");
    }
    options.addresses.push(server.addresses()[0].clone());
    let client = Client::new(options).unwrap();
    for operation in start_all(&client, &echo(), &texts) {
        assert_eq!(end(&operation).error(), None, "the other address is there");
    }
}
