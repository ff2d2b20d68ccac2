//! Mixed load for a long time: pooled, multiplexed and blocking calls, streams, calls that time out or are
//! cancelled, clients that come and go. Memory and descriptors must not grow.
//!
//! `KRPC_SOAK` says for how many seconds; `make test-long` takes twenty minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krpc::base::{Code, Encoding, Message, Result};
use krpc::op::operation::{self, Cause};
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Reply, Start, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::rpc::stream::{Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};
use krpc::rpc::{Address, Runtime, RuntimeOptions};

/// What memory may grow by after the first third, besides a tenth: caches and the allocator's own.
const SLACK_BYTES: u64 = 8 << 20;

/// Descriptors that may be more than after the first third: connections come and go.
const SLACK_FILES: usize = 40;

/// Each kind of load has as many threads.
const THREADS: usize = 2;

struct Load {
    server: Server,
    clients: [Arc<Client>; 3],
    over: AtomicBool,
    calls: [AtomicU64; 6],
}

fn body(size: usize) -> Message {
    let length = u32::try_from(size).unwrap().to_be_bytes();
    let bytes = [&[11, 0, 1], &length[..], &vec![b'x'; size], &[0]].concat();
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

fn method(name: &str) -> Method {
    Method::parse(name).unwrap()
}

fn echo_back(stream: &Stream) -> Result<()> {
    while let Some(message) = stream.recv()? {
        stream.send(message)?;
    }
    Ok(())
}

fn server(runtime: &Arc<Runtime>) -> Server {
    let mut echo = Service::new("Echo").unwrap();
    let answer = |mut request: Request| {
        let message = request.message().clone();
        let _ = request.reply(message);
    };
    let slow = |mut request: Request| {
        std::thread::sleep(Duration::from_millis(20));
        // Whoever asked has given up, as a rule.
        let _ = request.reply(Message::empty_struct());
    };
    let options = |inline| MethodOptions { inline, oneway: false };
    echo.add_method("Inline", options(true), Arc::new(answer)).unwrap();
    echo.add_method("Pool", options(false), Arc::new(answer)).unwrap();
    echo.add_method("Slow", options(false), Arc::new(slow)).unwrap();
    let mut stream = Service::new("Stream").unwrap();
    let handler = Arc::new(Returning(echo_back));
    stream.add_stream("Echo", StreamMode::Bidirectional, StreamMethodOptions::default(), handler).unwrap();
    let options = ServerOptions {
        addresses: vec![Address::parse("127.0.0.1:0").unwrap()],
        services: vec![echo, stream],
        runtime: Some(Arc::clone(runtime)),
        ..ServerOptions::default()
    };
    Server::start(options).unwrap()
}

fn client(server: &Server, runtime: &Arc<Runtime>, multiplexed: usize) -> Arc<Client> {
    let mut options = ClientOptions::new("soak");
    options.addresses.push(server.addresses()[0].clone());
    options.transport = Transport::TtheaderFramed;
    options.timeout = Some(Duration::from_secs(60));
    options.runtime = Some(Arc::clone(runtime));
    options.pool.multiplexed = multiplexed;
    Client::new(options).unwrap()
}

/// Starts calls of several sizes at once and waits for all.
fn burst(client: &Arc<Client>, name: &str, round: u64) {
    let method = method(name);
    let bodies: Vec<_> = (0..32).map(|nth| body(((round * 37 + nth * 411) % 9000) as usize)).collect();
    let mut operations = Vec::new();
    client.prepare().unwrap();
    client.start(bodies.iter().map(|message| {
        let (operation, completer) = operation::new(None);
        operations.push(operation);
        Start { method: &method, message, options: CallOptions::default(), completer }
    }));
    for (operation, sent) in operations.iter().zip(&bodies) {
        assert!(operation.wait(Some(Duration::from_secs(60))));
        expect(&operation.take().unwrap(), sent);
    }
}

fn expect(reply: &Reply, sent: &Message) {
    assert_eq!(reply.error(), None);
    assert!(reply.message() == Some(sent));
}

impl Load {
    fn pooled(&self, round: u64) {
        burst(&self.clients[0], if round.is_multiple_of(2) { "Echo/Inline" } else { "Echo/Pool" }, round);
    }

    fn multiplexed(&self, round: u64) {
        burst(&self.clients[1], if round.is_multiple_of(2) { "Echo/Inline" } else { "Echo/Pool" }, round);
    }

    fn blocking(&self, round: u64) {
        let large = if round.is_multiple_of(500) { 1 << 20 } else { (round * 97 % 5000) as usize };
        let sent = body(large);
        expect(&self.clients[2].call(&method("Echo/Pool"), &sent, &CallOptions::default()), &sent);
    }

    fn stream(&self, round: u64) {
        let stream = self.clients[0].open_stream(&method("Stream/Echo"), &StreamOptions::default()).unwrap();
        for nth in 0..round % 20 {
            let sent = body((nth * 333) as usize);
            stream.send(sent.clone()).unwrap();
            assert!(stream.recv().unwrap() == Some(sent));
        }
        // Some are left as they are.
        if round.is_multiple_of(2) {
            stream.close_send().unwrap();
            assert_eq!(stream.recv().unwrap(), None);
        }
    }

    /// Calls that end before their replies come: by time, or because nobody wants them.
    fn given_up(&self, round: u64) {
        let client = &self.clients[(round % 3) as usize];
        let options = CallOptions { timeout: Some(Duration::from_millis(5)), ..CallOptions::default() };
        let reply = client.call(&method("Echo/Slow"), &body(100), &options);
        // On a busy machine the caller may come to look so late that the reply is there.
        assert!(reply.error().is_none_or(|error| error.code() == Code::Timeout), "{:?}", reply.error());
        let (operation, completer) = operation::new(None);
        client.prepare().unwrap();
        let (method, message, options) = (method("Echo/Slow"), body(10), CallOptions::default());
        client.start([Start { method: &method, message: &message, options, completer }]);
        operation.cancel(Cause::ByHost);
        assert!(operation.wait(Some(Duration::from_secs(60))));
    }

    /// Clients that come and go.
    fn short_lived(&self, runtime: &Arc<Runtime>, round: u64) {
        let client = client(&self.server, runtime, (round % 2) as usize);
        client.warm_up(1, Duration::from_secs(60)).unwrap();
        expect(&client.call(&method("Echo/Inline"), &body(10), &CallOptions::default()), &body(10));
        if round.is_multiple_of(3) {
            client.close(true);
        }
    }
}

/// A thread that panics ends the others' work as well.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The most of each third: the first is for warming up, the other two must be alike.
fn watch(seconds: u64, over: &AtomicBool) {
    let mut most = [(0, 0); 3];
    let begun = Instant::now();
    let whole = Duration::from_secs(seconds);
    while begun.elapsed() < whole && !over.load(Ordering::Relaxed) {
        let third = (3 * begun.elapsed().as_millis() / whole.as_millis().max(1)).min(2) as usize;
        let (memory, files) = &mut most[third];
        *memory = (*memory).max(resident());
        *files = (*files).max(open_files());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("soak: most memory and descriptors of each third: {most:?}");
    let [_, (memory, files), (last_memory, last_files)] = most;
    assert!(last_memory <= memory + memory / 10 + SLACK_BYTES, "memory grows: {most:?}");
    assert!(last_files <= files + SLACK_FILES, "descriptors leak: {most:?}");
}

#[test]
fn nothing_grows_under_mixed_load() {
    let seconds = std::env::var("KRPC_SOAK").map_or(3, |seconds| seconds.parse().unwrap());
    let files = open_files();
    let options = RuntimeOptions { io_threads: 2, ..RuntimeOptions::default() };
    let runtime = Runtime::start(&options).unwrap();
    let server = server(&runtime);
    let clients = [0, 2, 0].map(|multiplexed| client(&server, &runtime, multiplexed));
    let load = Load { server, clients, over: AtomicBool::new(false), calls: Default::default() };
    type Kind = fn(&Load, &Arc<Runtime>, u64);
    let kinds: [Kind; 6] = [
        |load, _, round| load.pooled(round),
        |load, _, round| load.multiplexed(round),
        |load, _, round| load.blocking(round),
        |load, _, round| load.stream(round),
        |load, _, round| load.given_up(round),
        |load, runtime, round| load.short_lived(runtime, round),
    ];
    std::thread::scope(|scope| {
        for (kind, calls) in kinds.iter().zip(&load.calls) {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let _ends_all = EndsAll(&load.over);
                    while !load.over.load(Ordering::Relaxed) {
                        kind(&load, &runtime, calls.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        }
        watch(seconds, &load.over);
        load.over.store(true, Ordering::Relaxed);
    });
    println!("soak: rounds of each kind of load in {seconds} s: {:?}", load.calls);
    assert!(load.calls.iter().all(|calls| calls.load(Ordering::Relaxed) > 2 * THREADS as u64));
    load.clients.iter().for_each(|client| client.close(false));
    assert_eq!(load.server.stop(Duration::from_secs(30)).unwrap().cut_off, 0);
    drop(load);
    runtime.shutdown().unwrap();
    drop(runtime);
    assert_eq!(open_files(), files, "descriptors are left at the end");
    assert_eq!(krpc::observe::handles::live(), 0);
}
