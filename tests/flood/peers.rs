//! Peers that send too much, too often, or never read.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use krpc::base::{Code, Encoding, Result};
use krpc::op::operation::{self, Finished};
use krpc::rpc::call::{CallOptions, Method, Transport};
use krpc::rpc::server::{Server, ServerOptions};
use krpc::rpc::stream::{Pairs, Stream, StreamMethodOptions, StreamMode};
use krpc::wire::frame::{self, Layout, Outbound};
use krpc::wire::outbuf::OutBuf;
use krpc::wire::thrift::MessageType;
use krpc::wire::ttstream::{self, FrameType, Head};

use crate::support::*;
use crate::{assert_calls, connect, memory, turn, until};

const MB: usize = 1 << 20;

fn request(layout: Layout, flags: u16, seq: i32, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut out, body) = (OutBuf::new(), body(b"x"));
    let outbound = Outbound { layout, flags, seq, kind: MessageType::Call, name: b"Echo", body: &body };
    let fill = |header: &mut krpc::wire::HeaderWriter<'_>| {
        pairs.iter().for_each(|(key, value)| _ = header.string(b"", key, value));
    };
    frame::encode(&mut out, &outbound, fill).unwrap();
    let mut bytes = BytesMut::new();
    out.move_to(&mut bytes);
    bytes.into()
}

/// Writes `bytes` again and again without reading, until the server has closed the connection: how many
/// bytes it took.
fn pour(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut count = 0;
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    loop {
        match stream.write(bytes) {
            Ok(written) => count += written,
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "it is neither read nor closed");
                return count;
            }
        }
    }
}

fn impatient() -> Server {
    let mut options = ServerOptions::default();
    options.timeouts.write = Duration::from_millis(300);
    options.timeouts.read = Duration::from_millis(300);
    start_with(options, "127.0.0.1:0", vec![echo_service(true)])
}

#[test]
fn tiny_requests_of_a_client_that_never_reads() {
    let _turn = turn();
    let server = impatient();
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    for (layout, flags) in [(Layout::FRAMED, 0), (Layout::TTHEADER, 0), (Layout::TTHEADER, 1)] {
        let many = request(layout, flags, 1, &[]).repeat(1000);
        let grown = memory::growth(|| {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| pour(&mut connect(&server), &many));
                }
                assert_calls(&other);
            });
        });
        assert!(grown < 8 * MB, "{layout:?} {flags}: {grown} bytes for 8 connections");
        until("they are given up", || server.connection_count() == 1);
        assert_calls(&other);
    }
    assert_eq!(other.stats().dialled, 1);
}

#[test]
fn connections_that_say_nothing() {
    let _turn = turn();
    let options = ServerOptions { max_connections: 301, ..ServerOptions::default() };
    let server = start_with(options, "127.0.0.1:0", vec![echo_service(true)]);
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    let mut idle = Vec::with_capacity(400);
    let grown = memory::growth(|| {
        idle.extend((0..300).map(|_| connect(&server)));
        until("all are accepted", || server.connection_count() == 301);
    });
    assert!(grown / 300 <= 8 << 10, "{} bytes a connection", grown / 300);
    // The rest is closed at once, without a word.
    for _ in 0..50 {
        let mut surplus = connect(&server);
        assert!(matches!(surplus.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    assert_calls(&other);
    drop(idle);
    until("they are gone", || server.connection_count() == 1);
    assert_calls(&other);
    assert_calls(&client(&server, Transport::Framed));
}

/// Whatever a header says of lengths, no more is kept than has come.
#[test]
fn large_headers_and_frames_that_never_end() {
    let _turn = turn();
    let server = impatient();
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    let pairs: Vec<_> = (0..4u8).map(|n| (vec![b'a' + n], vec![b'v'; 60_000])).collect();
    let large = request(Layout::TTHEADER, 0, 1, &pairs);
    // Whole, they are served like any other.
    let mut stream = connect(&server);
    stream.write_all(&large).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    drop(stream);

    let claims_much =
        b"\x03\xff\xff\xf0\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\x80\x01\0\x01\0\0\0\x04Echo".to_vec();
    for (part, bound) in [(&large[..large.len() - 1], large.len() * 3), (&claims_much[..], 300 << 10)] {
        let grown = memory::growth(|| {
            let streams: Vec<_> = (0..50)
                .map(|_| {
                    let mut stream = connect(&server);
                    stream.write_all(part).unwrap();
                    stream
                })
                .collect();
            assert_calls(&other);
            // Each is given up when the rest does not come.
            for mut stream in streams {
                assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
            }
        });
        assert!(grown / 50 <= bound, "{} bytes a connection", grown / 50);
        until("they are gone", || server.connection_count() == 1);
    }
    assert_calls(&other);
}

#[test]
fn methods_and_services_that_nobody_has() {
    let _turn = turn();
    let server = echo_server("127.0.0.1:0", true);
    for transport in [Transport::Ttheader, Transport::Framed] {
        let client = client(&server, transport);
        let ask = |n: usize| {
            let name = format!("Nobody{n}/{}{n}", "long".repeat(200));
            let reply = client.call(&Method::parse(&name).unwrap(), &body(b"x"), &CallOptions::default());
            let code = reply.error().map(|error| error.code());
            let expected = [Some(Code::UnknownService), Some(Code::UnknownMethod)];
            assert!(expected.contains(&code), "{code:?}");
        };
        (0..100).for_each(ask);
        let before = memory::used();
        (100..1500).for_each(ask);
        let kept = memory::used().saturating_sub(before);
        assert!(kept < 300 << 10, "{kept} bytes are kept of 1400 names");
        assert_calls(&client);
    }
}

#[test]
fn sockets_that_are_half_closed() {
    let _turn = turn();
    let server = echo_server("127.0.0.1:0", true);
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    let whole = request(Layout::FRAMED, 0, 7, &[]);
    for len in [0, 1, 10, whole.len() - 1, whole.len()] {
        let streams: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = connect(&server);
                stream.write_all(&whole[..len]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                stream
            })
            .collect();
        assert_calls(&other);
        for mut stream in streams {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer.is_empty(), len < whole.len(), "after {len} bytes");
        }
        until("they are gone", || server.connection_count() == 1);
    }
    assert_eq!(other.stats().dialled, 1);
}

// ---- streams ------------------------------------------------------------------------------------

fn stream_frame(id: i32, kind: FrameType, payload: &[u8], filler: usize) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let head = Head { id, kind, method: b"Wait", encoding: Encoding::THRIFT_BINARY, ints: &[] };
    let fill = |header: &mut krpc::wire::HeaderWriter<'_>| {
        if kind == FrameType::Header {
            header.string(b"", b"isn", b"Stream");
        }
        (0..filler / 60_000).for_each(|n| _ = header.string(b"", &[b'a' + n as u8], &vec![b'v'; 60_000]));
    };
    ttstream::encode(&mut bytes, head, fill, payload).unwrap();
    bytes.to_vec()
}

fn stream_server(streams: usize) -> Server {
    let mut service = krpc::rpc::server::Service::new("Stream").unwrap();
    let handler = |stream: Stream| {
        // It waits without a thread: its clients never say that they have said everything.
        let keeps = stream.clone();
        let ends = move |_: Finished<Result<Pairs>>| drop(keeps);
        let (operation, completer) = operation::new(Some(Box::new(ends)));
        operation.forget_handle();
        stream.start_trailer(completer);
    };
    let inline = StreamMethodOptions { inline: true };
    service.add_stream("Wait", StreamMode::Bidirectional, inline, std::sync::Arc::new(handler)).unwrap();
    let mut options = ServerOptions::default();
    options.streams.streams.streams = streams;
    options.streams.streams.connection_recv_bytes = 2 * MB;
    start_with(options, "127.0.0.1:0", vec![service, echo_service(true)])
}

/// Streams beyond the limit are refused one by one; the rest, and other connections, live on.
#[test]
fn openings_resets_and_frames_without_content() {
    let _turn = turn();
    let server = stream_server(100);
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    let frames = |kind, payload: &[u8]| stream_frame(1, kind, payload, 0);
    let openings: Vec<u8> = (1..20_000).flat_map(|id| stream_frame(id, FrameType::Header, b"", 0)).collect();
    let large: Vec<u8> = (1..60).flat_map(|id| stream_frame(id, FrameType::Header, b"", 240_000)).collect();
    let opened_and_reset: Vec<u8> = (1..10_000)
        .flat_map(|id| {
            [FrameType::Header, FrameType::Rst].map(|kind| stream_frame(id, kind, b"", 0)).concat()
        })
        .collect();
    let follow = |kind| [frames(FrameType::Header, b""), frames(kind, b"").repeat(20_000)].concat();
    for (what, bytes) in [
        ("openings", openings),
        ("large headers", large),
        ("resets", opened_and_reset),
        ("resets of nothing", frames(FrameType::Rst, b"").repeat(20_000)),
        ("meta frames", follow(FrameType::Meta)),
        ("empty messages", follow(FrameType::Data)),
    ] {
        let size = bytes.len();
        let grown = memory::growth(|| {
            let mut stream = connect(&server);
            let mut reader = stream.try_clone().unwrap();
            // It reads what is said of each, so that the server has no reason to stop.
            let reads = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            let sent = stream.write_all(&bytes);
            assert!(sent.is_ok(), "{what}: {sent:?} of {size} bytes");
            assert_calls(&other);
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = reads.join().unwrap();
        });
        assert!(grown < 6 * MB, "{what}: {grown} bytes");
        until("it is gone", || server.connection_count() == 1);
        assert_calls(&other);
    }
    assert_eq!(other.stats().dialled, 1);
}

/// One that opens and never reads what it is told is held back, not served for ever.
#[test]
fn openings_of_a_client_that_never_reads() {
    let _turn = turn();
    let server = stream_server(10);
    let other = client(&server, Transport::Ttheader);
    assert_calls(&other);
    let openings: Vec<u8> = (1..5_000).flat_map(|id| stream_frame(id, FrameType::Header, b"", 0)).collect();
    let mut taken = 0;
    let grown = memory::growth(|| {
        let mut stream = connect(&server);
        stream.set_nonblocking(true).unwrap();
        let (mut sent, mut idle) = (0, 0);
        while sent < 400 * openings.len() && idle < 200 {
            match stream.write(&openings[sent % openings.len()..]) {
                Ok(count) => (sent, idle) = (sent + count, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    idle += 1;
                    assert_calls(&other);
                }
                Err(_) => break,
            }
        }
        taken = sent;
    });
    assert!(grown < 6 * MB, "{grown} bytes");
    assert!(taken < 400 * openings.len(), "{taken} bytes were taken");
    until("it is gone", || server.connection_count() == 1);
}
