//! What a call costs, counted and not timed: allocations, system calls, sleeps, on either side.
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

    /// What each side spends on a call, once connections and buffers are there.
    fn measure(&self, callers: usize, run: impl Fn(&Pair, usize)) -> (Cost, Cost) {
        run(self, callers);
        let is_server = |thread| self.server_threads.contains(&thread);
        let count = || [Count::of(|thread| !is_server(thread)), Count::of(is_server)];
        let waits = || [meter::waits(|thread| !is_server(thread)), meter::waits(is_server)];
        // To look at waits is not free, so it comes first and last.
        let (waits_before, before) = (waits(), count());
        run(self, callers);
        let (after, waits_after) = (count(), waits());
        let calls = CALLS * callers as u64;
        let [client, server] = [0, 1].map(|side| {
            let waited = waits_after[side].saturating_sub(waits_before[side]);
            Cost::new(after[side].since(before[side]), waited, calls)
        });
        (client, server)
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
    /// Times that a thread slept and was woken; only of threads that outlive the calls.
    waits: f64,
}

impl Cost {
    fn new(count: Count, waits: u64, calls: u64) -> Cost {
        let per_call = |count: u64| count as f64 / calls as f64;
        Cost {
            allocations: per_call(count.allocations),
            transfers: per_call(count.transfers),
            syscalls: per_call(count.transfers + count.others),
            waits: per_call(waits),
        }
    }

    fn min(self, other: Cost) -> Cost {
        Cost {
            allocations: self.allocations.min(other.allocations),
            transfers: self.transfers.min(other.transfers),
            syscalls: self.syscalls.min(other.syscalls),
            waits: self.waits.min(other.waits),
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

/// Buffers that are shared out now and then, and the tests' own threads and channels, whatever the number of calls.
const NOISE: f64 = 0.2;

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
        assert!(client.allocations <= 4.0 + NOISE, "{name}, c={callers}: client {client:?}");
        assert!(server.allocations <= NOISE, "{name}, c={callers}: server {server:?}");
    }
}

/// One to send and one to receive; what waits is shared by all that have become ready meanwhile.
#[test]
fn a_call_takes_two_system_calls_on_each_side() {
    let _alone = alone();
    let (client, server) = Pair::new(0).best(100, started);
    println!("started, c=100: client {client:.2?}, server {server:.2?}");
    for (side, cost) in [("client", client), ("server", server)] {
        assert!(cost.transfers <= 2.01 && cost.syscalls <= 2.0 + NOISE, "{side}: {cost:?}");
    }
    // Who waits for its own call looks at the socket and at what may end the call: one more.
    let (client, server) = Pair::new(0).best(20, blocking);
    println!("blocking, c=20: client {client:.2?}, server {server:.2?}");
    assert!(client.transfers <= 2.01 && client.syscalls <= 3.0 + NOISE, "client: {client:?}");
    assert!(server.transfers <= 2.01 && server.syscalls <= 2.0 + 3.0 * NOISE, "server: {server:?}");
}

#[test]
fn calls_that_share_a_connection_share_their_system_calls() {
    let _alone = alone();
    let (client, server) = Pair::new(2).best(100, started);
    println!("multiplexed, c=100: client {client:.2?}, server {server:.2?}");
    assert!(client.syscalls < 0.2, "client: {client:?}");
    assert!(server.syscalls < 0.2, "server: {server:?}");
}

/// One sleep for each call at most, and only where nobody else calls.
#[test]
fn busy_sides_are_not_woken_for_each_call() {
    let _alone = alone();
    for (name, shared, callers, most) in
        [("alone", 0, 1, 1.0 + NOISE), ("started", 0, 100, 0.2), ("multiplexed", 2, 100, 0.1)]
    {
        let (client, server) = Pair::new(shared).best(callers, started);
        println!("{name}, c={callers}: client {client:.2?}, server {server:.2?}");
        assert!(client.waits <= most, "{name}, c={callers}: client {client:?}");
        assert!(server.waits <= most, "{name}, c={callers}: server {server:?}");
    }
}
