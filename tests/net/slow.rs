//! Handlers that take long, with threads of their own: fast ones do not notice.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use krpc::base::Code;
use krpc::rpc::call::{CallOptions, Client, Method, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service, WorkerOptions};
use krpc::rpc::{Runtime, RuntimeOptions};

use crate::support::*;

fn few_workers() -> Arc<Runtime> {
    Runtime::start(&RuntimeOptions { worker_threads: 2, ..RuntimeOptions::default() }).unwrap()
}

fn echo_service() -> Service {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
    service
}

fn serve(runtime: &Arc<Runtime>, services: Vec<Service>) -> Server {
    let options = ServerOptions { runtime: Some(Arc::clone(runtime)), ..ServerOptions::default() };
    start_with(options, "127.0.0.1:0", services)
}

fn wait() -> Method {
    Method::parse("Gate/Wait").unwrap()
}

/// With all slow handlers at the gate, `fast` is called many times.
fn fast_beside_slow(server: &Server, gate: &Gate, slow: usize, waiting: usize, fast: &Method) {
    let client = client(server, Transport::TtheaderFramed);
    std::thread::scope(|scope| {
        for _ in 0..slow {
            scope.spawn(|| {
                let reply = client.call(&wait(), &body(b"x"), &CallOptions::default());
                assert_eq!(reply.error(), None);
            });
        }
        gate.wait_for_entries(waiting);
        while server.in_flight() < slow {
            std::thread::yield_now();
        }
        for _ in 0..50 {
            assert_eq!(client.call(fast, &body(b"x"), &CallOptions::default()).error(), None);
        }
        gate.open();
    });
}

#[test]
fn a_slow_service_keeps_no_other_waiting() {
    let gate = Arc::new(Gate::default());
    let mut slow = gated_service(&gate);
    slow.set_workers("", WorkerOptions::new(3)).unwrap();
    let server = serve(&few_workers(), vec![slow, echo_service()]);
    fast_beside_slow(&server, &gate, 10, 3, &echo());
}

#[test]
fn nor_does_a_slow_method_of_the_same_service() {
    let gate = Arc::new(Gate::default());
    let mut service = gated_service(&gate);
    let handler = |mut request: Request| {
        assert!(std::thread::current().name().unwrap().starts_with("krpc-work-s"));
        request.reply(body(b"quick")).unwrap();
    };
    // Threads of the service, and of the method.
    service.set_workers("", WorkerOptions::new(1)).unwrap();
    service.set_workers("Wait", WorkerOptions::new(2)).unwrap();
    service.add_method("Quick", MethodOptions::default(), Arc::new(handler)).unwrap();
    let server = serve(&few_workers(), vec![service]);
    fast_beside_slow(&server, &gate, 6, 2, &Method::parse("Gate/Quick").unwrap());
}

#[test]
fn what_is_too_much_for_them_is_refused_and_nothing_else() {
    let gate = Arc::new(Gate::default());
    let mut slow = gated_service(&gate);
    slow.set_workers("Wait", WorkerOptions { threads: 1, max_in_flight: 3 }).unwrap();
    let server = serve(&few_workers(), vec![slow, echo_service()]);
    let client = client(&server, Transport::TtheaderFramed);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| client.call(&wait(), &body(b"x"), &CallOptions::default()));
        }
        while server.in_flight() < 3 {
            std::thread::yield_now();
        }
        let refused = client.call(&wait(), &body(b"x"), &CallOptions::default());
        let error = refused.error().unwrap();
        assert_eq!(error.code(), Code::RemoteException);
        let text = "request over limit: too many requests of this method or service in flight";
        assert_eq!(error.text(), text);
        assert_eq!(server.in_flight(), 3);
        assert_eq!(client.call(&echo(), &body(b"x"), &CallOptions::default()).error(), None);
        gate.open();
    });
    assert_eq!(client.call(&wait(), &body(b"x"), &CallOptions::default()).error(), None);
}

#[test]
fn their_threads_end_with_the_runtime_and_jobs_with_them() {
    let gate = Arc::new(Gate::default());
    let runtime = few_workers();
    let mut slow = gated_service(&gate);
    slow.set_workers("", WorkerOptions::new(2)).unwrap();
    let server = serve(&runtime, vec![slow]);
    let client: Arc<Client> = client(&server, Transport::TtheaderFramed);
    let (done, ended) = channel();
    std::thread::spawn(move || {
        let options = CallOptions { timeout: Some(Duration::from_secs(20)), ..CallOptions::default() };
        done.send(client.call(&wait(), &body(b"x"), &options)).unwrap();
    });
    gate.wait_for_entry();
    drop(server);
    assert!(ended.recv_timeout(Duration::from_secs(20)).unwrap().error().is_some());
    gate.open();
    // Waits for the handler that has just been let go.
    runtime.shutdown().unwrap();
    assert_eq!(Arc::strong_count(&gate), 1, "the handler and its thread are gone");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let gate = Arc::new(Gate::default());
    let mut service = gated_service(&gate);
    let inline = MethodOptions { inline: true, ..MethodOptions::default() };
    service.add_method("Inline", inline, Arc::new(|_: Request| {})).unwrap();
    for (method, options, part) in [
        ("Nope", WorkerOptions::new(1), "method: service Gate has no method Nope yet"),
        ("Inline", WorkerOptions::new(1), "method: Inline is inline"),
        ("Wait", WorkerOptions::new(0), "threads: 0 is not within 1 and 1024"),
        ("", WorkerOptions::new(1025), "threads: 1025 is not"),
        ("", WorkerOptions { threads: 1, max_in_flight: 0 }, "max_in_flight: 0 would"),
    ] {
        let error = service.set_workers(method, options).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.text().starts_with(part), "{error}");
    }
}
