//! Peers that send too much of something, and a process that has too little: typed errors, memory that is
//! measured and bounded, and other connections that notice nothing.
//!
//! A process of its own, with an allocator that counts. The tests take turns.

mod exhausted;
mod memory;
mod peers;
#[allow(dead_code)]
#[path = "../net/support.rs"]
mod support;

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use krpc::base::Encoding;
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client};
use krpc::rpc::server::Server;

use support::*;

/// One test at a time: they measure the process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came true: {what}");
        std::thread::yield_now();
    }
}

fn connect(server: &Server) -> TcpStream {
    let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[track_caller]
fn assert_calls(client: &Arc<Client>) {
    for _ in 0..5 {
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        assert_eq!(reply.error(), None);
        assert_eq!(reply.message().map(|message| message.encoding()), Some(Encoding::THRIFT_BINARY));
    }
}
