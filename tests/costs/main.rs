//! What a call costs, counted and not timed: allocations, system calls, wake-ups, on either side.
//!
//! Server and client are in this process, each with threads of its own, and are told apart by these. A count that
//! depends on how many calls share a wake-up is the best of a few tries: it says what can be reached.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod meter;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};

use krpc::base::{Encoding, Message};
use krpc::op::operation::{self, Finished};
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Reply, Start};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::rpc::{Address, Runtime, RuntimeOptions};

use meter::Count;

const CALLS: u64 = 200;
const TRIES: usize = 5;

/// One test at a time: all count in the same process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|broken| broken.into_inner())
}

struct Pair {
    client: Arc<Client>,
    method: Method,
    message: Message,
    server_threads: Vec<i32>,
    _server: Server,
}

impl Pair {
    /// `shared`: connections that all calls share; 0: each call under way has its own.
    fn new(shared: usize) -> Pair {
        let before = meter::threads();
        let mut service = Service::new("Echo").unwrap();
        let echo = |mut request: Request| {
            let message = request.message().clone();
            request.reply(message).unwrap();
        };
        let inline = MethodOptions { inline: true, oneway: false };
        service.add_method("Echo", inline, Arc::new(echo)).unwrap();
        let server = Server::start(ServerOptions {
            addresses: vec![Address::parse("127.0.0.1:0").unwrap()],
            services: vec![service],
            runtime: Some(Runtime::start(&RuntimeOptions::default()).unwrap()),
            ..ServerOptions::default()
        })
        .unwrap();
        let server_threads = meter::threads().into_iter().filter(|thread| !before.contains(thread)).collect();

        let mut options = ClientOptions::new("costs");
        options.addresses.push(server.addresses()[0].clone());
        options.pool.multiplexed = shared;
        options.pool.max_idle = 1000;
        options.runtime = Some(Runtime::start(&RuntimeOptions::default()).unwrap());
        let text = [b'x'; 1024];
        let bytes = [&[11, 0, 1, 0, 0, 4, 0][..], &text, &[0]].concat();
        Pair {
            client: Client::new(options).unwrap(),
            method: Method::parse("Echo/Echo").unwrap(),
            message: Message::new(Encoding::THRIFT_BINARY, bytes.into()),
            server_threads,
            _server: server,
        }
    }

    fn count(&self) -> (Count, Count) {
        let is_server = |thread| self.server_threads.contains(&thread);
        (Count::of(|thread| !is_server(thread)), Count::of(is_server))
    }

    /// What each side spends on a call, once connections and buffers are there.
    fn measure(&self, callers: usize, run: impl Fn(&Pair, usize)) -> (Cost, Cost) {
        run(self, callers);
        let before = self.count();
        run(self, callers);
        let after = self.count();
        let calls = CALLS * callers as u64;
        (Cost::new(after.0.since(before.0), calls), Cost::new(after.1.since(before.1), calls))
    }

    /// The tries' least cost, of each kind and side for itself.
    fn best(&self, callers: usize, run: impl Fn(&Pair, usize)) -> (Cost, Cost) {
        let tries = (0..TRIES).map(|_| self.measure(callers, &run));
        tries.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))).unwrap()
    }
}

/// Of one side, for each call.
#[derive(Clone, Copy, Debug)]
struct Cost {
    allocations: f64,
    transfers: f64,
    syscalls: f64,
}

impl Cost {
    fn new(count: Count, calls: u64) -> Cost {
        let per_call = |count: u64| count as f64 / calls as f64;
        Cost {
            allocations: per_call(count.allocations),
            transfers: per_call(count.transfers),
            syscalls: per_call(count.transfers + count.others),
        }
    }

    fn min(self, other: Cost) -> Cost {
        Cost {
            allocations: self.allocations.min(other.allocations),
            transfers: self.transfers.min(other.transfers),
            syscalls: self.syscalls.min(other.syscalls),
        }
    }
}

// ---- callers ------------------------------------------------------------------------------------

/// Each caller waits for its call on a thread of its own.
fn blocking(pair: &Pair, callers: usize) {
    let begin = Barrier::new(callers);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                begin.wait();
                for _ in 0..CALLS {
                    let reply = pair.client.call(&pair.method, &pair.message, &CallOptions::default());
                    assert_eq!(reply.into_result().unwrap(), pair.message);
                }
            });
        }
    });
}

/// Nobody waits: the end of a call starts the next one, on the I/O thread.
fn started(pair: &Pair, callers: usize) {
    pair.client.prepare().unwrap();
    let (over, ends) = channel();
    for _ in 0..callers {
        start(&pair.client, &pair.method, &pair.message, CALLS, over.clone());
    }
    drop(over);
    // All senders are gone once all callers are through.
    assert_eq!(ends.iter().count(), callers);
}

fn start(client: &Arc<Client>, method: &Method, message: &Message, left: u64, over: Sender<()>) {
    let (next_client, next_method, next_message) = (Arc::clone(client), method.clone(), message.clone());
    let ended = move |finished: Finished<Reply>| {
        assert_eq!(finished.take().unwrap().into_result().unwrap(), next_message);
        match left {
            1 => over.send(()).unwrap(),
            _ => start(&next_client, &next_method, &next_message, left - 1, over),
        }
    };
    let (operation, completer) = operation::new(Some(Box::new(ended)));
    operation.forget_handle();
    client.start([Start { method, message, options: CallOptions::default(), completer }]);
}

// ---- what may be spent --------------------------------------------------------------------------

#[test]
fn a_call_allocates_at_most_four_times_on_each_side() {
    let _alone = alone();
    for (name, shared, callers, run) in [
        ("blocking", 0, 1, blocking as fn(&Pair, usize)),
        ("blocking", 0, 20, blocking),
        ("started", 0, 100, started),
        ("multiplexed", 2, 100, started),
        ("multiplexed, blocking", 2, 20, blocking),
    ] {
        let (client, server) = Pair::new(shared).best(callers, run);
        println!("{name}, c={callers}: client {client:.2?}, server {server:.2?}");
        // The tests' threads and channels are a few more, whatever the number of calls.
        assert!(client.allocations < 4.1, "{name}, c={callers}: client {client:?}");
        assert!(server.allocations < 4.1, "{name}, c={callers}: server {server:?}");
    }
}
