//! A runtime with several I/O threads uses them: connections of servers and of clients lie on all of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use krpc::base::lock::Mutex;
use krpc::op::operation::{self, Deliver, Finished};
use krpc::rpc::call::{CallOptions, Client, Method, Reply, Start, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::rpc::{Runtime, RuntimeOptions};

use crate::support::*;

type Threads = Arc<Mutex<HashSet<String>>>;

fn note_thread(threads: &Threads) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(name.starts_with("krpc-io-"), "{name}");
    threads.lock().insert(name);
}

fn four_shards() -> Arc<Runtime> {
    Runtime::start(&RuntimeOptions { io_threads: 4, ..RuntimeOptions::default() }).unwrap()
}

/// Inline, so that the handler runs where its connection lies.
fn noting_server(threads: &Threads, address: &str, runtime: &Arc<Runtime>) -> Server {
    let mut service = Service::new("Echo").unwrap();
    let threads = Arc::clone(threads);
    let handler = move |mut request: Request| {
        note_thread(&threads);
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Echo", MethodOptions { inline: true, oneway: false }, Arc::new(handler)).unwrap();
    let options = ServerOptions { runtime: Some(Arc::clone(runtime)), ..ServerOptions::default() };
    start_with(options, address, vec![service])
}

#[test]
fn connections_of_a_server_lie_on_all_threads() {
    for address in ["127.0.0.1:0", &unix_path("four")] {
        let (threads, runtime) = (Threads::default(), four_shards());
        let server = noting_server(&threads, address, &runtime);
        let client = client(&server, Transport::TtheaderFramed);
        client.warm_up(4, Duration::from_secs(20)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let short = Client::new(client_options(&server, Transport::Framed)).unwrap();
                    assert_eq!(short.call(&echo(), &body(b"x"), &CallOptions::default()).error(), None);
                });
            }
        });
        // In turn: any eight in a row are two on each.
        assert_eq!(threads.lock().len(), 4, "{:?}", threads.lock());
    }
}

/// Notes the thread on which a call ends: that of its connection.
struct Note(Threads);

impl Deliver<Reply> for Note {
    fn deliver(self: Box<Self>, _: Finished<Reply>) {
        note_thread(&self.0);
    }
}

fn burst(client: &Arc<Client>, method: &Method, threads: &Threads, count: usize, go: impl FnOnce()) {
    let mut operations = Vec::new();
    client.prepare().unwrap();
    let message = body(b"x");
    client.start((0..count).map(|_| {
        let (operation, completer) = operation::new(Some(Box::new(Note(Arc::clone(threads)))));
        operations.push(operation);
        Start { method, message: &message, options: CallOptions::default(), completer }
    }));
    go();
    for operation in operations {
        assert!(operation.wait(Some(Duration::from_secs(30))));
        assert_eq!(operation.take().unwrap().error(), None);
    }
}

#[test]
fn connections_of_a_client_lie_on_all_threads() {
    let gate = Arc::new(Gate::default());
    let server = start_with(ServerOptions::default(), "127.0.0.1:0", vec![gated_service(&gate)]);
    for (multiplexed, warm) in [(0, false), (0, true), (4, false)] {
        let (threads, runtime) = (Threads::default(), four_shards());
        let mut options = client_options(&server, Transport::TtheaderFramed);
        options.runtime = Some(Arc::clone(&runtime));
        options.pool.multiplexed = multiplexed;
        let client = Client::new(options).unwrap();
        if warm {
            client.warm_up(8, Duration::from_secs(20)).unwrap();
        }
        gate.close();
        burst(&client, &Method::parse("Gate/Wait").unwrap(), &threads, 8, || {
            gate.wait_for_entries(8);
            gate.open();
        });
        assert_eq!(threads.lock().len(), 4, "{multiplexed} {warm} {:?}", threads.lock());
        assert_eq!(client.stats().dialled, if multiplexed > 0 { 4 } else { 8 });
        client.close(false);
        drop(client);
        runtime.shutdown().unwrap();
    }
}

/// Where calls and connections meet across threads none is lost.
#[test]
fn bursts_from_many_threads() {
    let runtime = four_shards();
    let threads = Threads::default();
    let server = noting_server(&threads, "127.0.0.1:0", &runtime);
    for max_connections in [0, 5] {
        let mut options = client_options(&server, Transport::TtheaderFramed);
        options.runtime = Some(Arc::clone(&runtime));
        options.pool.max_connections = max_connections;
        let client = Client::new(options).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        burst(&client, &echo(), &threads, 20, || ());
                    }
                });
            }
        });
        let stats = client.stats();
        assert_eq!(stats.refused, 0);
        assert!(max_connections == 0 || stats.dialled <= 20, "{stats:?}");
    }
}
