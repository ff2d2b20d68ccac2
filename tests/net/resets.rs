//! A peer that resets the connection after each byte of a frame: whoever waits gets a typed error, nobody
//! takes a part for the whole, and calls on other connections notice nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use krpc::base::{Code, Encoding, Error, StreamReason};
use krpc::op::operation;
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Start, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, Service};
use krpc::rpc::stream::StreamMode;
use krpc::wire::frame::{self, Layout, Outbound};
use krpc::wire::outbuf::OutBuf;
use krpc::wire::thrift::MessageType;
use krpc::wire::ttstream::{self, FrameType, Head};

use crate::streams::{open, service};
use crate::support::*;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Closes with a reset: what was not read by then is lost on the way.
fn reset(socket: TcpStream) {
    let socket = socket2::Socket::from(socket);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn message(layout: Layout, kind: MessageType, seq: i32) -> Vec<u8> {
    let (mut out, body) = (OutBuf::new(), body(b"some text"));
    let outbound = Outbound { layout, flags: 0, seq, kind, name: b"Echo", body: &body };
    frame::encode(&mut out, &outbound, |header| _ = header.string(b"", b"isn", b"Echo")).unwrap();
    let mut bytes = BytesMut::new();
    out.move_to(&mut bytes);
    bytes.into()
}

/// Writes a part and resets, once the server has taken it off its queue of connections.
fn send_part(server: &Server, part: &[u8]) {
    let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(part).unwrap();
    reset(socket);
}

fn until(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "it does not come");
        std::thread::yield_now();
    }
}

#[test]
fn requests_of_which_a_part_arrives() {
    let handled = Arc::new(AtomicUsize::new(0));
    let mut echo_service = Service::new("Echo").unwrap();
    let count = Arc::clone(&handled);
    let handler = move |mut request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let message = request.message().clone();
        // Who has reset the connection does not hear it.
        let _ = request.reply(message);
    };
    echo_service.add_method("Echo", MethodOptions::default(), Arc::new(handler)).unwrap();
    let server = start("127.0.0.1:0", vec![echo_service]);
    let other = client(&server, Transport::Ttheader);
    let mut calls = 0;
    for layout in [Layout::TTHEADER, Layout::TTHEADER_FRAMED, Layout::FRAMED, Layout::BUFFERED] {
        let bytes = message(layout, MessageType::Call, 7);
        let before = handled.load(Ordering::SeqCst) - calls;
        for len in 0..bytes.len() {
            send_part(&server, &bytes[..len]);
            if len % 8 == 0 {
                calls += 1;
                let reply = other.call(&echo(), &body(b"x"), &CallOptions::default());
                assert_eq!(reply.error(), None, "{layout:?} {len}");
            }
        }
        until(|| server.connection_count() == 1);
        assert_eq!(handled.load(Ordering::SeqCst), before + calls, "{layout:?}: a part was handled");
    }
    assert_eq!(other.stats().dialled, 1);
}

/// A server that reads a request and answers with a part of `answer`, made by its sequence id, then resets.
fn answers_in_part(answer: impl Fn(i32) -> Vec<u8> + Send + 'static, lens: Vec<usize>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for len in lens {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            let mut request = [0; 4096];
            let count = socket.read(&mut request).unwrap();
            assert!(count > 12);
            let seq = i32::from_be_bytes(request[8..12].try_into().unwrap());
            socket.write_all(&answer(seq)[..len]).unwrap();
            reset(socket);
        }
    });
    address
}

fn client_to(address: Address, multiplexed: usize) -> Arc<Client> {
    let mut options = ClientOptions::new("test");
    options.addresses.push(address);
    options.timeout = Some(TIMEOUT);
    options.pool.multiplexed = multiplexed;
    options.streams.multiplexed = multiplexed;
    Client::new(options).unwrap()
}

fn assert_lost(error: Option<&Error>, what: &str) {
    let error = error.unwrap_or_else(|| panic!("{what}: no error"));
    assert_eq!(error.code(), Code::ConnectionLost, "{what}: {error}");
    assert!(error.peer().is_some() && error.method() == Some("Echo/Echo"), "{what}: {error}");
}

#[test]
fn replies_of_which_a_part_arrives() {
    let server = echo_server("127.0.0.1:0", true);
    let other = client(&server, Transport::Ttheader);
    let answer = |seq| message(Layout::TTHEADER_FRAMED, MessageType::Reply, seq);
    let lens: Vec<usize> = (0..answer(1).len()).collect();
    for multiplexed in [0, 1] {
        // Blocking calls and started ones take turns.
        let client = client_to(answers_in_part(answer, lens.clone()), multiplexed);
        for len in &lens {
            let what = format!("multiplexed {multiplexed}, {len} bytes");
            let reply = match len % 2 {
                0 => client.call(&echo(), &body(b"x"), &CallOptions::default()),
                _ => {
                    let (operation, completer) = operation::new(None);
                    client.prepare().unwrap();
                    let (method, message, options) = (&echo(), &body(b"x"), CallOptions::default());
                    client.start([Start { method, message, options, completer }]);
                    assert!(operation.wait(Some(TIMEOUT)), "{what}");
                    operation.take().unwrap()
                }
            };
            assert_lost(reply.error(), &what);
        }
        assert_eq!(client.stats().idle, 0);
        assert_eq!(other.call(&echo(), &body(b"x"), &CallOptions::default()).error(), None);
    }
}

// ---- streams ------------------------------------------------------------------------------------

fn stream_frames() -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let head = |kind| Head { id: 1, kind, method: b"Echo", encoding: Encoding::THRIFT_BINARY, ints: &[] };
    ttstream::encode(
        &mut bytes,
        head(FrameType::Header),
        |header| _ = header.string(b"", b"isn", b"Stream"),
        b"",
    )
    .unwrap();
    ttstream::encode(&mut bytes, head(FrameType::Data), |_| {}, &body(b"text").bytes()).unwrap();
    ttstream::encode(&mut bytes, head(FrameType::Trailer), |_| {}, b"").unwrap();
    bytes.to_vec()
}

/// What arrives of a stream before the reset is received, and then an error, never the end of messages.
#[test]
fn streams_of_which_a_part_arrives_at_the_server() {
    let (ends, ended) = std::sync::mpsc::channel();
    let ends = std::sync::Mutex::new(ends);
    let handler = move |stream: &krpc::rpc::stream::Stream| {
        let mut count = 0;
        let end = loop {
            match stream.recv() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        ends.lock().unwrap().send((count, end)).unwrap();
        Ok(())
    };
    let server = start("127.0.0.1:0", vec![service(StreamMode::Bidirectional, handler), failing_service()]);
    let other = client(&server, Transport::Ttheader);
    let bytes = stream_frames();
    let opening = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    for len in 0..bytes.len() {
        send_part(&server, &bytes[..len]);
        if len % 8 == 0 {
            let reply = other.call(&Method::parse("Fail/Biz").unwrap(), &body(b"x"), &CallOptions::default());
            assert_eq!(reply.error().map(|error| error.code()), Some(Code::BizStatus), "{len}");
        }
    }
    until(|| server.connection_count() == 1);
    drop(server);
    let seen: Vec<(usize, Option<Error>)> = ended.try_iter().collect();
    // A reset may overtake what was not read yet, so fewer streams may have been opened.
    assert!(!seen.is_empty() && seen.len() <= bytes.len() - opening);
    for (count, end) in seen {
        let error = end.unwrap_or_else(|| panic!("an end of messages after {count}"));
        let reason = error.stream_reason().expect("a reason");
        assert_eq!(reason.code, StreamReason::CONNECTION_CLOSED, "{error}");
        assert!(count <= 1);
    }
}

#[test]
fn streams_of_which_a_part_arrives_at_the_client() {
    let bytes = stream_frames();
    let lens: Vec<usize> = (0..bytes.len()).collect();
    for multiplexed in [0, 1] {
        let client = client_to(answers_in_part(|_| stream_frames(), lens.clone()), multiplexed);
        for len in &lens {
            let stream = open(&client);
            stream.close_send().unwrap();
            let mut count = 0;
            let error = loop {
                match stream.recv() {
                    Ok(Some(_)) => count += 1,
                    Ok(None) => panic!("an end of messages after {len} bytes"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), Code::ConnectionLost, "{len}: {error}");
            assert_eq!(error.stream_reason().map(|reason| reason.code), Some(StreamReason::TRANSPORT));
            assert!(count <= 1 && stream.trailer().is_err());
        }
    }
}
