//! Calls that nobody waits for: each ends exactly once, whatever happens to it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use krpc::base::{Code, Phase};
use krpc::op::operation::{self, Cause, Finished, Operation};
use krpc::rpc::call::{CallOptions, Client, Method, Reply, Start, Transport};
use krpc::rpc::{Context, ContextOptions};

use crate::support::*;

fn start(client: &Arc<Client>, method: &Method, text: &str, options: CallOptions<'_>) -> Operation<Reply> {
    let (operation, completer) = operation::new(None);
    client.prepare().unwrap();
    client.start([Start { method, message: &body(text.as_bytes()), options, completer }]);
    operation
}

fn end(operation: &Operation<Reply>) -> Reply {
    assert!(operation.wait(Some(Duration::from_secs(30))), "the operation never ended");
    operation.take().unwrap()
}

fn code(operation: &Operation<Reply>) -> Code {
    end(operation).error().unwrap().code()
}

#[test]
fn a_burst_of_calls_in_every_transport() {
    let server = echo_server("127.0.0.1:0", true);
    for transport in TRANSPORTS {
        let client = client(&server, transport);
        for _ in 0..3 {
            let (texts, ends): (Vec<String>, Vec<_>) = (0..300)
                .map(|number| {
                    let text = format!("call {number}");
                    let operation = start(&client, &echo(), &text, CallOptions::default());
                    (text, operation)
                })
                .unzip();
            for (text, operation) in texts.iter().zip(&ends) {
                let reply = end(operation);
                assert_eq!((reply.error(), reply.message()), (None, Some(&body(text.as_bytes()))));
            }
        }
        assert!(client.stats().reused > 0, "{:?}", client.stats());
    }
}

#[test]
fn completions_arrive_by_callback_once_each() {
    let server = echo_server("127.0.0.1:0", true);
    let client = client(&server, Transport::Ttheader);
    client.prepare().unwrap();
    let (sender, ends): (_, Receiver<usize>) = channel();
    let (method, message) = (echo(), body(b"x"));
    let mut operations = Vec::new();
    let calls = (0..500).map(|number| {
        let sender = sender.clone();
        let deliver = move |finished: Finished<Reply>| {
            assert!(finished.take().unwrap().error().is_none());
            sender.send(number).unwrap();
        };
        let (operation, completer) = operation::new(Some(Box::new(deliver)));
        operations.push(operation);
        Start { method: &method, message: &message, options: CallOptions::default(), completer }
    });
    client.start(calls);
    let mut seen: Vec<usize> =
        (0..500).map(|_| ends.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
    assert!(ends.try_recv().is_err());
}

#[test]
fn cancel_deadline_and_free_end_a_call_and_its_connection() {
    let gate = Arc::new(Gate::default());
    let server = support_start(&gate);
    let client = client(&server, Transport::Ttheader);
    let wait = Method::parse("Gate/Wait").unwrap();

    let cancelled = start(&client, &wait, "a", CallOptions::default());
    gate.wait_for_entry();
    assert!(!cancelled.wait(Some(Duration::ZERO)));
    cancelled.cancel(Cause::ByHost);
    cancelled.cancel(Cause::Closed);
    assert_eq!(code(&cancelled), Code::Cancelled);

    let timeout = CallOptions { timeout: Some(Duration::from_millis(30)), ..CallOptions::default() };
    let error = end(&start(&client, &wait, "b", timeout)).error().unwrap().clone();
    assert_eq!((error.code(), error.phase()), (Code::Timeout, Phase::Wait), "{error}");
    assert!(error.text().ends_with("30ms"), "{error}");

    drop(start(&client, &wait, "c", CallOptions::default()));
    gate.open();
    let reply = end(&start(&client, &wait, "d", CallOptions::default()));
    assert_eq!(reply.message(), Some(&body(b"d")), "no late answer meets another call");
}

fn support_start(gate: &Arc<Gate>) -> krpc::rpc::server::Server {
    crate::support::start("127.0.0.1:0", vec![gated_service(gate)])
}

#[test]
fn a_context_ends_the_calls_made_in_it_blocking_or_not() {
    let gate = Arc::new(Gate::default());
    let server = support_start(&gate);
    let client = client(&server, Transport::TtheaderFramed);
    let wait = Method::parse("Gate/Wait").unwrap();
    let context = Context::new(None, ContextOptions::default());
    let started =
        start(&client, &wait, "a", CallOptions { parent: Some(&context), ..CallOptions::default() });
    let blocking = {
        let (client, wait, context) = (Arc::clone(&client), wait.clone(), context.clone());
        std::thread::spawn(move || {
            let options = CallOptions { parent: Some(&context), ..CallOptions::default() };
            let first = client.call(&wait, &body(b"b"), &options);
            // The same thread's bell has rung; a call outside of the context does not mind.
            let second = client.call(&wait, &body(b"c"), &CallOptions::default());
            (first, second)
        })
    };
    gate.wait_for_entries(2);
    context.cancel(Cause::ByHost);
    assert_eq!(code(&started), Code::Cancelled);
    gate.wait_for_entries(3);
    gate.open();
    let (first, second) = blocking.join().unwrap();
    assert_eq!(first.error().unwrap().code(), Code::Cancelled);
    assert_eq!(second.error(), None);

    let late = start(&client, &wait, "d", CallOptions { parent: Some(&context), ..CallOptions::default() });
    assert_eq!(code(&late), Code::Cancelled, "a call in a context that has ended");
    let options = ContextOptions { timeout: Some(Duration::from_millis(20)), ..ContextOptions::default() };
    gate.close();
    let short = Context::new(None, options);
    let options = CallOptions { parent: Some(&short), ..CallOptions::default() };
    assert_eq!(code(&start(&client, &wait, "e", options)), Code::Timeout);
    assert_eq!(client.call(&wait, &body(b"f"), &options).error().unwrap().code(), Code::Timeout);
    gate.open();
}

#[test]
fn close_and_shutdown_end_what_is_under_way() {
    let gate = Arc::new(Gate::default());
    let server = support_start(&gate);
    let wait = Method::parse("Gate/Wait").unwrap();
    let client = client(&server, Transport::Ttheader);
    let pending = start(&client, &wait, "a", CallOptions::default());
    gate.wait_for_entry();
    client.close(false);
    assert!(client.prepare().is_err());
    assert!(!pending.is_done());
    client.close(true);
    assert_eq!(code(&pending), Code::Closed);

    let runtime = krpc::rpc::Runtime::start(&Default::default()).unwrap();
    let mut options = client_options(&server, Transport::Ttheader);
    options.runtime = Some(Arc::clone(&runtime));
    let client = Client::new(options).unwrap();
    let pending: Vec<_> = (0..10).map(|_| start(&client, &wait, "b", CallOptions::default())).collect();
    runtime.shutdown().unwrap();
    pending.iter().for_each(|operation| assert_eq!(code(operation), Code::Closed));
    assert_eq!(code(&start(&client, &wait, "c", CallOptions::default())), Code::Closed);
    gate.open();
}

#[test]
fn unreachable_addresses_are_passed_over_and_dead_connections_replaced() {
    let server = echo_server("127.0.0.1:0", true);
    let address = server.addresses()[0].clone();
    let mut options = client_options(&server, Transport::Framed);
    options.addresses.insert(0, refused_address());
    let client = Client::new(options).unwrap();
    for _ in 0..4 {
        assert_eq!(end(&start(&client, &echo(), "x", CallOptions::default())).error(), None);
    }
    server.stop(Duration::from_millis(200)).unwrap();
    drop(server);
    let error = end(&start(&client, &echo(), "x", CallOptions::default())).error().unwrap().clone();
    assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect), "{error}");
    assert!(error.peer().is_some() && error.method() == Some("Echo/Echo"), "{error}");
    let _again = echo_server(&address.to_string(), true);
    for _ in 0..4 {
        assert_eq!(end(&start(&client, &echo(), "x", CallOptions::default())).error(), None);
    }
}

#[test]
fn idle_connections_end_by_themselves() {
    let server = echo_server("127.0.0.1:0", true);
    let mut options = client_options(&server, Transport::Ttheader);
    options.pool.idle_timeout = Duration::from_millis(30);
    let client = Client::new(options).unwrap();
    assert_eq!(end(&start(&client, &echo(), "x", CallOptions::default())).error(), None);
    while client.stats().idle > 0 || server.connection_count() > 0 {
        std::thread::yield_now();
    }
}
