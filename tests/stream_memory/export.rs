//! A long export through small budgets keeps the memory of both processes flat, as the system counts it.
//!
//! 200 MB, or as many bytes as `KRPC_EXPORT_BYTES` says. Server and client are processes of their own, of this
//! program: the test starts itself again with a role.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krpc::base::Result;
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{
    ConnectionOptions, Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions,
};

use crate::{allocations, raw};

const ROLE: &str = "KRPC_EXPORT_ROLE";
const BYTES: &str = "KRPC_EXPORT_BYTES";
const SHORT: u64 = 200 << 20;

const BUDGET: usize = 16 << 20;
/// What memory may grow beyond the budget: a message of 64 KB pins the read buffer that it came in, which holds
/// parts of others as well; and what an allocator keeps for itself.
const SLACK: u64 = 16 << 20;
/// What it may grow once all budgets have been full: how much read buffers hold besides is not the same each time.
const FLAT: u64 = 8 << 20;

const MESSAGE: usize = 64 << 10;
/// Parts of the export after which the reader pauses until everything is full.
const PAUSES: u64 = 4;

#[test]
fn an_export_keeps_memory_flat() {
    let _alone = allocations::alone();
    let bytes = env::var(BYTES).map_or(SHORT, |text| text.parse().expect("a number of bytes"));
    let mut server = Role::start("server", "", bytes);
    let address = server.line();
    let client = Role::start("client", &address, bytes).line();
    println!("{bytes} bytes; {client}");
    for (side, numbers) in client.split("; ").map(|part| part.split_once(' ').expect("a side")) {
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
        let &[before, full, most] = &numbers[..] else { panic!("three numbers: {numbers:?}") };
        let grown = most.saturating_sub(before);
        assert!(grown <= BUDGET as u64 + SLACK, "{side}: {before} bytes at first, {most} at most");
        assert!(most - full <= FLAT, "{side}: {full} bytes with full budgets, {most} at most");
    }
}

#[test]
#[ignore = "a process of the test above"]
fn role() {
    match env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok("client") => read(),
        _ => {}
    }
}

/// This program again, in a role, until it is dropped.
struct Role {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Role {
    fn start(role: &str, address: &str, bytes: u64) -> Role {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "export::role", "--ignored", "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, role).env("KRPC_EXPORT_ADDRESS", address).env(BYTES, bytes.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Role { child, output }
    }

    /// What it says; the test harness says more.
    fn line(&mut self) -> String {
        let lines = BufRead::lines(&mut self.output).map_while(std::result::Result::ok);
        let mut said = lines.filter_map(|line| Some(line.split_once("SAYS ")?.1.to_owned()));
        said.next().expect("the process says something")
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(text: &str) {
    println!("SAYS {text}");
    std::io::stdout().flush().unwrap();
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Resident bytes: at first, at most until all budgets had been full once, and at most in all.
#[derive(Default)]
struct Watched {
    before: AtomicU64,
    full: AtomicU64,
    most: AtomicU64,
}

impl Watched {
    fn start() -> Watched {
        let watched = Watched::default();
        watched.before.store(resident(), Ordering::Relaxed);
        watched
    }

    fn look(&self) {
        self.most.fetch_max(resident(), Ordering::Relaxed);
    }

    fn is_full(&self) {
        self.look();
        let most = self.most.load(Ordering::Relaxed);
        let _ = self.full.compare_exchange(0, most, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn numbers(&self) -> String {
        self.look();
        let numbers = [&self.before, &self.full, &self.most].map(|number| number.load(Ordering::Relaxed));
        numbers.map(|number| number.to_string()).join(" ")
    }
}

fn budgets(mut options: ConnectionOptions) -> ConnectionOptions {
    let streams = &mut options.streams;
    (streams.recv_bytes, streams.connection_recv_bytes) = (BUDGET, BUDGET);
    (streams.send_bytes, streams.connection_send_bytes) = (BUDGET, BUDGET);
    options
}

// ---- the server ------------------------------------------------------------------------------------------

/// Sends the export, then what its process has needed for it; ends with the test.
fn serve() {
    let bytes: u64 = env::var(BYTES).unwrap().parse().unwrap();
    let watched = Arc::new(Watched::default());
    let mut service = Service::new("Stream").unwrap();
    let handler = Arc::new(Returning(move |stream: &Stream| export(stream, bytes, &watched)));
    service.add_stream("Echo", StreamMode::Bidirectional, StreamMethodOptions::default(), handler).unwrap();
    let server = Server::start(ServerOptions {
        addresses: vec![Address::parse("127.0.0.1:0").unwrap()],
        services: vec![service],
        streams: budgets(ConnectionOptions::server()),
        ..ServerOptions::default()
    })
    .unwrap();
    say(&server.addresses()[0].to_string());
    std::io::stdin().lines().for_each(drop);
}

fn export(stream: &Stream, bytes: u64, watched: &Watched) -> Result<()> {
    watched.before.store(resident(), Ordering::Relaxed);
    let mut sent = 0;
    while sent < bytes {
        // Each message has memory of its own.
        stream.send(raw::body(&vec![b'x'; MESSAGE]))?;
        sent += MESSAGE as u64;
        watched.look();
        // By then the reader has paused once, and what it held back has filled everything.
        if sent > bytes / 2 {
            watched.is_full();
        }
    }
    stream.send(raw::body(watched.numbers().as_bytes()))
}

// ---- the client ------------------------------------------------------------------------------------------

/// Reads the export with pauses, and says what both processes have needed.
fn read() {
    let bytes: u64 = env::var(BYTES).unwrap().parse().unwrap();
    let mut options = ClientOptions::new("test");
    options.addresses = vec![Address::parse(&env::var("KRPC_EXPORT_ADDRESS").unwrap()).unwrap()];
    options.streams.connection = budgets(options.streams.connection);
    let client = Client::new(options).unwrap();
    let watched = Watched::start();
    let stream =
        client.open_stream(&Method::parse("Stream/Echo").unwrap(), &StreamOptions::default()).unwrap();
    let (mut received, mut next_pause) = (0, bytes / PAUSES);
    while received < bytes {
        received += MESSAGE as u64;
        assert!(stream.recv().unwrap().expect("a message").len() > MESSAGE);
        watched.look();
        if received >= next_pause {
            next_pause += bytes / PAUSES;
            settle(&stream);
            watched.is_full();
        }
    }
    let server = stream.recv().unwrap().expect("the server's numbers").bytes();
    // A struct with one binary field: 7 bytes before it, 1 after.
    let server = String::from_utf8(server[7..server.len() - 1].to_vec()).unwrap();
    say(&format!("client {}; server {server}", watched.numbers()));
}

/// Waits until nothing more arrives: what is on its way has nowhere to go.
fn settle(stream: &Stream) {
    let (mut last, mut since) = (stream.stats().messages_received, Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(10));
        let now = stream.stats().messages_received;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}
