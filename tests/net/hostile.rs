//! Peers that lie, stall and vanish: they are closed, others do not notice, memory stays bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use krpc::base::{Code, Limits};
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Transport};
use krpc::rpc::server::{Server, ServerOptions};

use crate::support::*;

fn connect(server: &Server) -> TcpStream {
    let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes and returns what comes back until the server closes.
fn talk(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is a close as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn assert_serves(server: &Server) {
    let reply = client(server, Transport::Ttheader).call(&echo(), &body(b"x"), &CallOptions::default());
    assert_eq!(reply.error(), None);
}

/// It may have been the opening of a stream, whose client waits.
#[test]
fn a_stream_frame_without_a_type_is_answered_with_a_reset() {
    let server = echo_server("127.0.0.1:0", true);
    let mut stream = connect(&server);
    stream.write_all(b"\0\0\0\x0e\x10\0\0\x02\0\0\0\x01\0\x01\0\0\0\0").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.get(4..12), Some(&b"\x10\0\0\x02\0\0\0\x01"[..]), "stream 1");
    assert!(answer.windows(5).any(|part| part == b"\0\x1b\0\x015"), "frame type 5: {answer:?}");
    assert_serves(&server);
}

#[test]
fn what_cannot_be_read_is_closed_without_a_word() {
    let server = echo_server("127.0.0.1:0", true);
    let cases: &[(&str, &[u8])] = &[
        ("telnet", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("header size 0", b"\0\0\0\x2c\x10\0\0\0\0\0\0\x01\0\0\0\0\0\0"),
        ("protocol id 2", b"\0\0\0\x2c\x10\0\0\0\0\0\0\x01\0\x01\x02\0\0\0"),
        ("unknown info block", b"\0\0\0\x2c\x10\0\0\0\0\0\0\x01\0\x01\0\0\x02\0"),
        ("length below the header", b"\0\0\0\0\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\x80\x01\0\x01\0\0\0\0"),
        ("length of 4 GB", b"\xff\xff\xff\xff\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\x80\x01\0\x01\0\0\0\0"),
        ("frame of 2 GB", b"\x7f\xff\xff\xff\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x01\0"),
        ("name of 2 GB", b"\x80\x01\0\x01\x7f\xff\xff\xffEcho\0\0\0\x01\0"),
        ("old style", b"\0\0\0\x04Echo\x01\0\0\0\x01\0"),
        ("compact", b"\x82\x21\x01\x04Echo\0\0"),
        ("a reply", b"\x80\x01\0\x02\0\0\0\x04Echo\0\0\0\x01\0"),
        (
            "list of 2 billion",
            b"\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x01\x0f\0\x01\x0c\x7f\xff\xff\xff\0\0\0\0",
        ),
        ("unknown type", b"\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x01\x07\0\x01\0\0\0\0\0\0\0\0"),
    ];
    for (name, bytes) in cases {
        let mut stream = connect(&server);
        stream.write_all(bytes).unwrap();
        // "list of 2 billion" is plausible so far; its connection ends when the peer does.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{name}");
        assert_serves(&server);
    }
}

#[test]
fn garbage_after_a_good_request_does_not_take_its_answer_away() {
    let server = echo_server("127.0.0.1:0", true);
    let good = b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x07\0";
    let answer = talk(&server, &[&good[..], b"and then some nonsense"].concat());
    assert_eq!(answer, b"\0\0\0\x11\x80\x01\0\x02\0\0\0\x04Echo\0\0\0\x07\0");
}

#[test]
fn nesting_stops_at_the_limit() {
    let server = echo_server("127.0.0.1:0", true);
    let nested = |depth: usize| {
        let mut bytes = b"\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x07".to_vec();
        bytes.extend(b"\x0c\0\x01".repeat(depth - 1));
        bytes.extend(vec![0; depth]);
        bytes
    };
    let mut stream = connect(&server);
    stream.write_all(&nested(64)).unwrap();
    let mut answer = vec![0; nested(64).len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(talk(&server, &nested(65)), b"");
    assert_serves(&server);
}

#[test]
fn a_slow_packet_is_cut_off_and_an_idle_connection_too() {
    let mut options = ServerOptions::default();
    options.timeouts.read = Duration::from_millis(80);
    options.timeouts.idle = Duration::from_millis(250);
    let server = start_with(options, "127.0.0.1:0", vec![failing_service()]);
    for bytes in [&b""[..], b"\0", b"\0\0\0\x40\x80\x01\0\x01\0\0\0\x04Echo"] {
        let started = std::time::Instant::now();
        assert_eq!(talk(&server, bytes), b"");
        let least = if bytes.is_empty() { 250 } else { 80 };
        assert!(started.elapsed() >= Duration::from_millis(least), "{bytes:?}");
    }
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let mut options = ServerOptions::default();
    options.timeouts.write = Duration::from_millis(200);
    options.addresses.push(Address::parse("127.0.0.1:0").unwrap());
    let mut service = krpc::rpc::server::Service::new("Big").unwrap();
    let handler = |mut request: krpc::rpc::server::Request| {
        let _ = request.reply(body(&vec![0; 32 << 20]));
    };
    service.add_method("Big", Default::default(), std::sync::Arc::new(handler)).unwrap();
    options.services.push(service);
    let server = Server::start(options).unwrap();
    let mut stream = connect(&server);
    stream.write_all(b"\0\0\0\x10\x80\x01\0\x01\0\0\0\x03Big\0\0\0\x07\0").unwrap();
    // The server ends the connection, so that its stop has nothing to cut off.
    assert_eq!(server.stop(Duration::from_secs(20)).unwrap().cut_off, 0);
}

#[test]
fn frames_above_the_limit_are_refused_on_both_sides() {
    let limits = Limits { frame_bytes: 1000, ..Limits::DEFAULT };
    let strict = ServerOptions { limits, ..ServerOptions::default() };
    let small = start_with(strict, "127.0.0.1:0", vec![failing_service()]);
    for transport in TRANSPORTS {
        let reply = client(&small, transport).call(&echo(), &body(&[0; 2000]), &CallOptions::default());
        assert_eq!(reply.error().unwrap().code(), Code::ConnectionLost, "{transport:?}");
    }
    let server = echo_server("127.0.0.1:0", true);
    for transport in TRANSPORTS {
        let mut options = client_options(&server, transport);
        options.pool.limits.frame_bytes = 1000;
        let client = Client::new(options).unwrap();
        let reply = client.call(&echo(), &body(&[0; 2000]), &CallOptions::default());
        assert_eq!(reply.error().unwrap().code(), Code::FrameTooLarge, "{transport:?}");
        assert!(client.call(&echo(), &body(&[0; 500]), &CallOptions::default()).error().is_none());
    }
}

#[test]
fn connections_above_the_limit_are_closed_at_accept() {
    let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
    let server = start_with(options, "127.0.0.1:0", vec![failing_service()]);
    let _first = connect(&server);
    while server.connection_count() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(talk(&server, b""), b"");
}

/// A server that answers a request with fixed bytes and then closes.
fn lying_server(answer: &'static [u8]) -> (Arc<Client>, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = ClientOptions::new("liar");
    options.addresses.push(Address::Ip(listener.local_addr().unwrap()));
    options.timeout = Some(Duration::from_secs(20));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 18];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(answer).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    (Client::new(options).unwrap(), thread)
}

#[test]
fn replies_that_lie_are_typed_errors() {
    let cases: &[(&[u8], Code)] = &[
        (b"", Code::ConnectionLost),
        (b"\0\0\0\x11\x80\x01\0\x02\0\0", Code::ConnectionLost),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Code::BadPayload),
        (b"\0\0\0\x11\x80\x01\0\x02\0\0\0\x04Else\0\0\0\x01\0", Code::WrongMethod),
        (b"\0\0\0\x11\x80\x01\0\x02\0\0\0\x04Echo\0\0\0\x63\0", Code::OutOfSequence),
        (b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x01\0", Code::BadMessage),
        (b"\x7f\xff\xff\xff\x80\x01\0\x02\0\0\0\x04Echo\0\0\0\x01\0", Code::FrameTooLarge),
        (b"\0\0\0\x2c\x10\0\0\0\0\0\0\x01\0\0\0\0\0\0", Code::BadHeader),
    ];
    for (answer, code) in cases {
        let (client, thread) = lying_server(answer);
        let reply = client.call(&echo(), &body(b"x"), &CallOptions::default());
        let error = reply.error().unwrap();
        assert_eq!(error.code(), *code, "{error}");
        assert!(error.peer().is_some() && error.method() == Some("Echo/Echo"), "{error}");
        assert_eq!(client.stats().idle, 0);
        drop(client);
        thread.join().unwrap();
    }
}
