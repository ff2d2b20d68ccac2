//! Payloads that were changed on the way are found out, whoever sends them; and payloads that came compressed
//! are not guessed at (ttheader.md §1.3, §9).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use krpc::base::{Code, Limits, Message};
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::wire::frame::{self, Layout, Outbound};
use krpc::wire::outbuf::OutBuf;
use krpc::wire::thrift::MessageType;

use crate::support::*;

const CHECKED: Limits = Limits { checksum: true, ..Limits::DEFAULT };

fn checked_server() -> Server {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Echo", MethodOptions::default(), std::sync::Arc::new(handler)).unwrap();
    start_with(ServerOptions { limits: CHECKED, ..ServerOptions::default() }, "127.0.0.1:0", vec![service])
}

/// A message of `Echo` with its checksum.
fn message(kind: MessageType, flags: u16, seq: i32, body: &Message) -> Vec<u8> {
    let mut out = OutBuf::new();
    let outbound = Outbound { layout: Layout::TTHEADER_FRAMED, flags, seq, kind, name: b"Echo", body };
    frame::encode(&mut out, &outbound, |header| {
        header.string(b"", b"isn", b"Echo").checksum();
    })
    .unwrap();
    let mut bytes = BytesMut::new();
    out.move_to(&mut bytes);
    bytes.into()
}

fn damaged(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 2;
    bytes[at] ^= 0x40;
    bytes
}

fn connect(server: &Server) -> TcpStream {
    let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn checksums_go_both_ways_in_every_layout_and_size() {
    for (server, limits) in [
        (checked_server(), CHECKED),
        (checked_server(), Limits::DEFAULT),
        (echo_server("127.0.0.1:0", true), CHECKED),
    ] {
        for (transport, multiplexed) in
            TRANSPORTS.map(|transport| (transport, 0)).into_iter().chain([(Transport::Ttheader, 1)])
        {
            let mut options = client_options(&server, transport);
            options.pool.limits = limits;
            options.pool.multiplexed = multiplexed;
            let client = Client::new(options).unwrap();
            for size in [0, 5, 5000, 1 << 20] {
                let sent = body(&vec![b'x'; size]);
                let reply = client.call(&echo(), &sent, &CallOptions::default());
                assert_eq!(reply.error(), None, "{transport:?} {multiplexed} {size}");
                assert!(reply.message() == Some(&sent));
            }
        }
    }
}

#[test]
fn a_reply_carries_a_checksum_of_its_own() {
    let server = checked_server();
    let mut stream = connect(&server);
    stream.write_all(&message(MessageType::Call, 0, 5, &body(b"hello"))).unwrap();
    let mut buffer = BytesMut::zeroed(4096);
    let count = stream.read(&mut buffer).unwrap();
    buffer.truncate(count);
    let inbound = frame::Decoder::new(CHECKED).decode(&mut buffer).unwrap().unwrap();
    assert_eq!(inbound.header.unwrap().string(b"crc32c").map(<[u8]>::len), Some(8));
}

#[test]
fn a_damaged_request_ends_its_connection_without_a_word() {
    let server = checked_server();
    let mut stream = connect(&server);
    stream.write_all(&damaged(message(MessageType::Call, 0, 5, &body(b"hello")))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    // Who does not check takes it.
    let trusting = echo_server("127.0.0.1:0", true);
    let mut stream = connect(&trusting);
    stream.write_all(&damaged(message(MessageType::Call, 0, 5, &body(b"hello")))).unwrap();
    assert!(stream.read(&mut [0; 64]).unwrap() > 0);
}

/// Where frames end is certain there: the damaged one's caller waits in vain, the next one does not.
#[test]
fn a_damaged_request_among_multiplexed_ones_is_passed_over() {
    let server = checked_server();
    let mut stream = connect(&server);
    for bytes in [
        message(MessageType::Call, 1, 5, &body(b"hello")),
        damaged(message(MessageType::Call, 1, 6, &body(b"hello"))),
        message(MessageType::Call, 1, 7, &body(b"hello")),
    ] {
        stream.write_all(&bytes).unwrap();
    }
    let mut buffer = BytesMut::new();
    let mut decoder = frame::Decoder::new(CHECKED);
    let mut answered = Vec::new();
    while answered.len() < 2 {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the connection lives on");
        buffer.extend_from_slice(&bytes[..count]);
        while let Some(inbound) = decoder.decode(&mut buffer).unwrap() {
            answered.push(inbound.seq);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [5, 7]);
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.open, stats.refused, stats.passed_over), (1, 1, 0, 1));
}

/// Reads a request and answers with what is made of its sequence id.
fn one_answer(answer: impl FnOnce(i32) -> Vec<u8> + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        assert!(count > 12);
        let seq = i32::from_be_bytes(request[8..12].try_into().unwrap());
        stream.write_all(&answer(seq)).unwrap();
        let _ = stream.read(&mut request);
    });
    address
}

fn ask(address: Address, limits: Limits, multiplexed: usize) -> (Result<Message, krpc::base::Error>, u64) {
    let mut options = krpc::rpc::call::ClientOptions::new("test");
    options.addresses.push(address);
    options.timeout = Some(Duration::from_secs(20));
    options.pool.limits = limits;
    options.pool.multiplexed = multiplexed;
    let client = Client::new(options).unwrap();
    let outcome = client.call(&echo(), &body(b"x"), &CallOptions::default()).into_result();
    (outcome, client.stats().idle)
}

#[test]
fn a_damaged_reply_fails_its_call_and_is_not_read() {
    for multiplexed in [0, 1] {
        let reply = |seq| damaged(message(MessageType::Reply, 0, seq, &body(b"hello")));
        let (outcome, idle) = ask(one_answer(reply), CHECKED, multiplexed);
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Code::ChecksumMismatch);
        assert!(error.text().starts_with("payload validation error: validation failed, err="), "{error}");
        assert!(error.to_string().contains("method=Echo/Echo, peer=127.0.0.1:"), "{error}");
        assert_eq!(idle, 0, "its connection is not used again");
        let reply = |seq| damaged(message(MessageType::Reply, 0, seq, &body(b"hello")));
        ask(one_answer(reply), Limits::DEFAULT, multiplexed).0.unwrap();
    }
}

/// The same message with a transform id in its header: 1 stands for zlib, 3 for snappy.
fn transformed(mut bytes: Vec<u8>, id: u8) -> Vec<u8> {
    bytes[15] = 1;
    bytes.splice(16..16, [id, 0, 0, 0]);
    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) + 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    let words = u16::from_be_bytes(bytes[12..14].try_into().unwrap()) + 1;
    bytes[12..14].copy_from_slice(&words.to_be_bytes());
    bytes
}

#[test]
fn compressed_payloads_are_refused_on_both_sides() {
    let server = echo_server("127.0.0.1:0", true);
    for id in [0, 1, 3] {
        let mut stream = connect(&server);
        let request = message(MessageType::Call, 0, 5, &body(b"hello"));
        stream.write_all(&transformed(request, id)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "transform {id}");
        for multiplexed in [0, 1] {
            let reply = move |seq| transformed(message(MessageType::Reply, 0, seq, &body(b"hello")), id);
            let error = ask(one_answer(reply), Limits::DEFAULT, multiplexed).0.unwrap_err();
            assert_eq!(error.code(), Code::BadHeader, "{error}");
            assert!(error.text().contains("transforms are not supported"), "{error}");
        }
    }
}
