//! Streams that wait cost little, at either end.

use std::io::Read;
use std::net::TcpListener;

use bytes::BytesMut;
use krpc::base::{Message, Result};
use krpc::op::operation::{self, Operation};
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::server::ServerOptions;
use krpc::rpc::stream::{Stream, StreamOptions};

use crate::{allocations, raw};

const STREAMS: usize = 10_000;
const MOST_BYTES_EACH: usize = 3 << 10;

#[test]
fn ten_thousand_idle_streams_at_a_server() {
    let _alone = allocations::alone();
    let options = ServerOptions { max_in_flight: 2 * STREAMS, ..ServerOptions::default() };
    let server = raw::serve(options, raw::echo);
    let mut peer = raw::Peer::of(&server);
    let mut out = BytesMut::new();
    (1..=STREAMS as i32 + 1).for_each(|id| raw::open(&mut out, id));
    // One message has gone each way when they are measured.
    raw::put(&mut out, 1, krpc::wire::ttstream::FrameType::Data, &[], &raw::body(b"x").bytes());
    let before = allocations::live();
    peer.write(&out);
    peer.echo(STREAMS as i32 + 1, b"all are there");
    assert_eq!(server.in_flight(), STREAMS + 1);
    let each = (allocations::live() - before) / STREAMS;
    println!("an idle stream at a server: {each} bytes");
    assert!(each <= MOST_BYTES_EACH, "{each} bytes for each idle stream at a server");
}

/// Takes connections and reads what comes.
fn listen() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut buffer = [0; 16384];
        while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    address
}

#[test]
fn ten_thousand_idle_streams_at_a_client() {
    let _alone = allocations::alone();
    let mut options = ClientOptions::new("test");
    options.addresses = vec![listen()];
    let client = Client::new(options).unwrap();
    let method = Method::parse("Stream/Echo").unwrap();
    let mut waiting: Vec<(Stream, Operation<Result<Option<Message>>>)> = Vec::with_capacity(STREAMS + 1);
    let open = |waiting: &mut Vec<_>| {
        let stream = client.open_stream(&method, &StreamOptions::default()).unwrap();
        let (operation, completer) = operation::new(None);
        stream.start_recv(completer);
        waiting.push((stream, operation));
    };
    open(&mut waiting);
    let before = allocations::live();
    (0..STREAMS).for_each(|_| open(&mut waiting));
    let each = (allocations::live() - before) / STREAMS;
    println!("an idle stream at a client: {each} bytes");
    assert_eq!((client.stream_stats().open, client.stream_stats().streams), (1, STREAMS + 1));
    assert!(each <= MOST_BYTES_EACH, "{each} bytes for each idle stream at a client");
}
