//! Many connections with nothing on them: what each costs this process. The other ends are in a process of
//! their own.
//!
//! `KRPC_CONNECTIONS` says how many; `make test-long` holds 10,000.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use krpc::base::{Encoding, Message};
use krpc::op::operation;
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Start};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::wire::frame::{self, Layout, Outbound};
use krpc::wire::outbuf::OutBuf;
use krpc::wire::thrift::MessageType;

/// Most that an idle connection may take.
const MOST_BYTES: usize = 8 << 10;

const BOUND: Duration = Duration::from_secs(120);

fn count() -> usize {
    std::env::var("KRPC_CONNECTIONS").map_or(1500, |count| count.parse().unwrap())
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// This program once more, as the other end. It ends with the test.
struct Peer {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Peer {
    fn start(role: &str, word: &str) -> Peer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_end", "--nocapture", "--include-ignored"])
            .env("KRPC_HELD_ROLE", role)
            .env("KRPC_HELD_WORD", word)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Peer { child, said }
    }

    /// What follows `held:` on the next line that has it.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some((_, word)) = line.split_once("held:") {
                return word.trim().to_owned();
            }
            line.clear();
        }
        panic!("the other end has gone");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: the tests below start it.
#[test]
#[ignore = "the other end of the tests that hold connections"]
fn the_other_end() {
    let Ok(role) = std::env::var("KRPC_HELD_ROLE") else { return };
    let word = std::env::var("KRPC_HELD_WORD").unwrap();
    let mut hold: Vec<TcpStream> = Vec::new();
    let mut server: Option<Server> = None;
    match &role[..] {
        "client" => {
            let request = request_bytes();
            for _ in 0..count() {
                let mut stream = TcpStream::connect(&word).unwrap();
                stream.write_all(&request).unwrap();
                let mut answer = [0; 256];
                assert!(stream.read(&mut answer).unwrap() > 30);
                hold.push(stream);
            }
            println!("held:{}", hold.len());
        }
        _ => {
            let started = echo_server();
            println!("held:{}", started.addresses()[0]);
            server = Some(started);
        }
    }
    // Until the test ends.
    let _ = std::io::stdin().read(&mut [0]);
    drop((hold, server));
}

/// A struct with one short string.
fn body() -> Message {
    Message::new(Encoding::THRIFT_BINARY, bytes::Bytes::from_static(&[11, 0, 1, 0, 0, 0, 1, b'x', 0]))
}

fn echo() -> Method {
    Method::parse("Echo/Echo").unwrap()
}

fn echo_server() -> Server {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Echo", MethodOptions { inline: true, oneway: false }, Arc::new(handler)).unwrap();
    let mut options = ServerOptions::default();
    options.addresses.push(Address::parse("127.0.0.1:0").unwrap());
    options.services.push(service);
    Server::start(options).unwrap()
}

/// A whole request.
fn request_bytes() -> Vec<u8> {
    let mut out = OutBuf::new();
    let (kind, body) = (MessageType::Call, body());
    let outbound =
        Outbound { layout: Layout::TTHEADER_FRAMED, flags: 0, seq: 5, kind, name: b"Echo", body: &body };
    frame::encode(&mut out, &outbound, |header| {
        header.string(b"", b"isn", b"Echo");
    })
    .unwrap();
    let mut bytes = BytesMut::new();
    out.move_to(&mut bytes);
    bytes.into()
}

fn check(what: &str, before: usize, count: usize) {
    let each = resident().saturating_sub(before) / count;
    println!("{what}: {count} idle connections, {each} bytes each");
    assert!(each <= MOST_BYTES, "{what}: {each} bytes for each of {count} idle connections");
}

/// One after the other: they share the memory that they measure.
#[test]
fn many_idle_connections_take_little_memory() {
    held_by_a_server();
    let mut peer = Peer::start("server", "");
    let address = peer.hear();
    held_by_a_client(&address, false);
    held_by_a_client(&address, true);
}

fn held_by_a_server() {
    let server = echo_server();
    let before = resident();
    let mut peer = Peer::start("client", &server.addresses()[0].to_string());
    assert_eq!(peer.hear(), count().to_string());
    assert_eq!(server.connection_count(), count());
    check("server", before, count());
}

fn held_by_a_client(address: &str, started: bool) {
    let mut options = ClientOptions::new("test");
    options.addresses.push(Address::parse(address).unwrap());
    options.timeout = Some(BOUND);
    options.pool.max_idle = count();
    options.pool.idle_timeout = Duration::from_secs(600);
    let client = Client::new(options).unwrap();
    let before = resident();
    client.warm_up(count(), BOUND).unwrap();
    // Each of them is used, so that it has all that a connection may have.
    match started {
        true => use_all_started(&client),
        false => use_all_blocking(&client),
    }
    assert_eq!(client.stats().idle as usize, count());
    check(if started { "client, started calls" } else { "client, blocking calls" }, before, count());
    client.close(false);
}

/// A pool hands out the newest first: so many threads at once reach all of a few, and the rest in turns.
fn use_all_blocking(client: &Arc<Client>) {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let reply = client.call(&echo(), &body(), &CallOptions::default());
                assert_eq!(reply.error(), None);
            });
        }
    });
}

fn use_all_started(client: &Arc<Client>) {
    client.prepare().unwrap();
    let (method, message) = (echo(), body());
    let mut operations = Vec::new();
    client.start((0..count()).map(|_| {
        let (operation, completer) = operation::new(None);
        operations.push(operation);
        Start { method: &method, message: &message, options: CallOptions::default(), completer }
    }));
    for operation in operations {
        assert!(operation.wait(Some(BOUND)));
        assert_eq!(operation.take().unwrap().error(), None);
    }
    let begun = Instant::now();
    while client.stats().busy > 0 && begun.elapsed() < BOUND {
        std::thread::yield_now();
    }
}
