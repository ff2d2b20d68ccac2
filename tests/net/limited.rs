//! Clients whose connections are few: calls wait for their turn, in order, and for no longer than they have
//! time.

use std::sync::Arc;
use std::time::Duration;

use krpc::base::lock::Mutex;
use krpc::base::{Code, Phase};
use krpc::op::operation::{self, Cause, Operation};
use krpc::rpc::call::{CallOptions, Client, Method, Reply, Start, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};

use crate::support::*;

fn limited(server: &Server, connections: usize) -> Arc<Client> {
    let mut options = client_options(server, Transport::TtheaderFramed);
    options.pool.max_connections = connections;
    Client::new(options).unwrap()
}

fn wait_method() -> Method {
    Method::parse("Gate/Wait").unwrap()
}

fn begin(client: &Arc<Client>, method: &Method, text: &str, timeout: Option<Duration>) -> Operation<Reply> {
    let (operation, completer) = operation::new(None);
    client.prepare().unwrap();
    let options = CallOptions { timeout, ..CallOptions::default() };
    client.start([Start { method, message: &body(text.as_bytes()), options, completer }]);
    operation
}

fn end(operation: &Operation<Reply>) -> Reply {
    assert!(operation.wait(Some(Duration::from_secs(30))), "the operation never ended");
    operation.take().unwrap()
}

fn until(condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came true");
        std::thread::yield_now();
    }
}

/// The gate's service, and one that notes the texts that it sees, in order.
fn noting(gate: &Arc<Gate>, notes: &Arc<Mutex<Vec<String>>>) -> Server {
    let mut service = Service::new("Note").unwrap();
    let notes = Arc::clone(notes);
    let handler = move |mut request: Request| {
        let bytes = request.message().bytes();
        notes.lock().push(String::from_utf8_lossy(&bytes[7..bytes.len() - 1]).into_owned());
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Note", MethodOptions::default(), Arc::new(handler)).unwrap();
    start_with(ServerOptions::default(), "127.0.0.1:0", vec![gated_service(gate), service])
}

#[test]
fn never_more_calls_at_once_than_connections() {
    let gate = Arc::new(Gate::default());
    let server = noting(&gate, &Arc::default());
    let client = limited(&server, 3);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| client.call(&wait_method(), &body(b"x"), &CallOptions::default()));
        }
        until(|| client.stats().waited == 2);
        let started: Vec<_> = (0..5).map(|_| begin(&client, &wait_method(), "y", None)).collect();
        until(|| client.stats().waited == 7);
        gate.wait_for_entries(3);
        let stats = client.stats();
        assert_eq!((stats.busy, stats.dialled, stats.idle, server.connection_count()), (3, 3, 0, 3));
        gate.open();
        for operation in started {
            assert_eq!(end(&operation).error(), None);
        }
    });
    let stats = client.stats();
    assert!(stats.dialled <= 6, "{stats:?}");
    assert_eq!((stats.waited, stats.refused), (7, 0));
    until(|| client.stats().busy == 0);
}

#[test]
fn the_one_that_has_waited_longest_is_next() {
    let (gate, notes) = (Arc::new(Gate::default()), Arc::<Mutex<Vec<String>>>::default());
    let server = noting(&gate, &notes);
    let client = limited(&server, 1);
    let note = Method::parse("Note/Note").unwrap();
    let first = begin(&client, &wait_method(), "x", None);
    gate.wait_for_entry();
    let mut started = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..10u64 {
            if number % 2 == 0 {
                started.push(begin(&client, &note, &number.to_string(), None));
            } else {
                let (client, note) = (&client, &note);
                scope.spawn(move || {
                    let text = number.to_string();
                    let reply = client.call(note, &body(text.as_bytes()), &CallOptions::default());
                    assert_eq!(reply.error(), None);
                });
            }
            until(|| client.stats().waited == number + 1);
        }
        gate.open();
    });
    started.iter().chain([&first]).for_each(|operation| assert_eq!(end(operation).error(), None));
    assert_eq!(*notes.lock(), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
}

fn assert_refused(reply: &Reply) {
    let error = reply.error().unwrap();
    assert_eq!((error.code(), error.phase()), (Code::Overload, Phase::Connect), "{error}");
    assert!(error.text().contains("all 1 are in use (max_connections)"), "{error}");
    assert!(error.to_string().contains("method=Gate/Wait, peer=127.0.0.1:"), "{error}");
}

#[test]
fn a_call_waits_no_longer_than_it_has_time() {
    let gate = Arc::new(Gate::default());
    let server = noting(&gate, &Arc::default());
    let client = limited(&server, 1);
    let first = begin(&client, &wait_method(), "x", None);
    gate.wait_for_entry();
    let timeout = Some(Duration::from_millis(30));
    assert_refused(&end(&begin(&client, &wait_method(), "late", timeout)));
    let options = CallOptions { timeout, ..CallOptions::default() };
    assert_refused(&client.call(&wait_method(), &body(b"late"), &options));
    assert_eq!((client.stats().waited, client.stats().refused), (2, 2));
    gate.open();
    assert_eq!(end(&first).error(), None);
    // Nobody in the queue took the seat along.
    assert_eq!(client.call(&wait_method(), &body(b"x"), &CallOptions::default()).error(), None);
    assert_eq!(end(&begin(&client, &wait_method(), "x", None)).error(), None);
}

#[test]
fn a_call_that_waits_can_be_cancelled_and_cut_off() {
    let gate = Arc::new(Gate::default());
    let server = noting(&gate, &Arc::default());
    let client = limited(&server, 1);
    let first = begin(&client, &wait_method(), "x", None);
    gate.wait_for_entry();
    let cancelled = begin(&client, &wait_method(), "x", None);
    until(|| client.stats().waited == 1);
    cancelled.cancel(Cause::ByHost);
    assert_eq!(end(&cancelled).error().unwrap().code(), Code::Cancelled);
    let waiting = begin(&client, &wait_method(), "x", None);
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| client.call(&wait_method(), &body(b"x"), &CallOptions::default()));
        until(|| client.stats().waited == 3);
        client.close(true);
        assert_eq!(blocked.join().unwrap().error().unwrap().code(), Code::Closed);
    });
    assert_eq!(end(&waiting).error().unwrap().code(), Code::Closed);
    assert_eq!(end(&first).error().unwrap().code(), Code::Closed);
    gate.open();
}

#[test]
fn calls_that_wait_while_their_client_is_closed_end_by_themselves() {
    let gate = Arc::new(Gate::default());
    let server = noting(&gate, &Arc::default());
    let client = limited(&server, 1);
    let calls: Vec<_> = (0..4).map(|_| begin(&client, &wait_method(), "x", None)).collect();
    gate.wait_for_entry();
    until(|| client.stats().waited == 3);
    client.close(false);
    drop(client);
    gate.open();
    calls.iter().for_each(|call| assert_eq!(end(call).error(), None));
    // Their connections do not outlive them.
    until(|| server.connection_count() == 0);
}

#[test]
fn seats_are_given_back_by_calls_that_fail() {
    let mut options = krpc::rpc::call::ClientOptions::new("test");
    options.addresses = vec![refused_address(), refused_address()];
    options.pool.max_connections = 1;
    options.timeout = Some(Duration::from_secs(20));
    let client = Client::new(options).unwrap();
    for _ in 0..3 {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert_eq!(reply.error().unwrap().code(), Code::ConnectFailed);
        let reply = end(&begin(&client, &echo(), "x", None));
        assert_eq!(reply.error().unwrap().code(), Code::ConnectFailed);
        // A seat is given back when the socket is closed, a moment after the call has ended.
        until(|| client.stats().busy == 0);
    }
    assert_eq!((client.stats().waited, client.stats().refused), (0, 0));
}

#[test]
fn late_replies_on_shared_connections_are_counted() {
    let gate = Arc::new(Gate::default());
    let server = noting(&gate, &Arc::default());
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.pool.multiplexed = 1;
    let client = Client::new(options).unwrap();
    let reply = end(&begin(&client, &wait_method(), "x", Some(Duration::from_millis(20))));
    assert_eq!(reply.error().unwrap().code(), Code::Timeout);
    gate.wait_for_entry();
    assert_eq!((client.stats().dropped, client.stats().busy), (0, 1));
    gate.open();
    until(|| client.stats().dropped == 1);
}
