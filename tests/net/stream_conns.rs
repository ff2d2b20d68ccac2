//! Connections of streams: one port for every protocol, pools, addresses that do not answer, many streams.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use krpc::base::{Code, Phase};
use krpc::op::operation::{self, Cause};
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Transport};
use krpc::rpc::server::Server;
use krpc::rpc::stream::{Finish, RecvTimeout, Stream, StreamMode, StreamOptions, StreamTimeouts};

use crate::streams::*;
use crate::support::*;

/// Polls until it is so: what ends on threads that nobody joins.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::yield_now();
    }
}

fn talks(stream: &Stream) {
    stream.send(body(b"x")).unwrap();
    assert_eq!(stream.recv().unwrap(), Some(body(b"x")));
}

fn raw(server: &Server) -> TcpStream {
    let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    TcpStream::connect(address).unwrap()
}

/// Has a method of calls with the name of the stream's.
fn fallback() -> krpc::rpc::server::Service {
    let mut calls = echo_service(false);
    calls.set_fallback();
    calls
}

/// ttstream.md §2: a connection's first bytes say what it speaks, each for itself.
#[test]
fn one_port_takes_every_protocol() {
    let services = vec![service(StreamMode::Bidirectional, echo_back), fallback()];
    let server = start("127.0.0.1:0", services);
    let stream = open(&connect(&server, 1));
    talks(&stream);
    let mut grpc = raw(&server);
    grpc.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    for transport in TRANSPORTS {
        let reply = client(&server, transport).call(&echo(), &body(b"call"), &CallOptions::default());
        assert_eq!(reply.message(), Some(&body(b"call")), "{transport:?}");
    }
    // gRPC is not served: that connection is closed, and no other.
    let mut answer = Vec::new();
    let _ = grpc.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    talks(&stream);
}

/// The opening of `Echo` of the service `Echo`, stream 1.
const OPENING: &[u8] = b"\0\0\0\x2a\x10\0\0\x02\0\0\0\x01\0\x08\x10\0\x01\0\x01\0\x03isn\0\x04Echo\
    \x10\0\x02\0\x09\0\x04Echo\0\x1b\0\x012";

#[test]
fn the_first_bytes_of_a_stream_may_come_in_two_parts() {
    let server = start("127.0.0.1:0", vec![echo_service(false)]);
    for cut in [1, 4, 6, 7, 8, 13, 20] {
        let mut socket = raw(&server);
        socket.set_nodelay(true).unwrap();
        socket.write_all(&OPENING[..cut]).unwrap();
        // A call on another connection: the server has looked at the first part, or will at both at once.
        let other = client(&server, Transport::Framed);
        assert_eq!(other.call(&echo(), &body(b"x"), &CallOptions::default()).error(), None);
        socket.write_all(&OPENING[cut..]).unwrap();
        assert_trailer(&mut socket);
    }
}

/// A framed call of `Echo` without an argument, sequence 1.
const CALL: &[u8] = b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04Echo\0\0\0\x01\0";

/// What a connection has begun with it goes on with: anything else closes it, and no other.
#[test]
fn calls_and_streams_do_not_mix_on_a_connection() {
    let server = start("127.0.0.1:0", vec![service(StreamMode::Bidirectional, echo_back), fallback()]);
    let stream = open(&connect(&server, 1));
    for (first, second) in [(CALL, OPENING), (OPENING, CALL)] {
        let mut socket = raw(&server);
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(first).unwrap();
        let mut answer = [0; 1];
        socket.read_exact(&mut answer).unwrap();
        socket.write_all(second).unwrap();
        let mut rest = Vec::new();
        // A reset is a close as well.
        let _ = socket.read_to_end(&mut rest);
        talks(&stream);
    }
}

/// A method of calls that somebody opens as a stream by hand: the client is told as Kitex tells it, with type 6,
/// and the server lives.
#[test]
fn a_method_of_calls_is_no_stream() {
    let server = start("127.0.0.1:0", vec![echo_service(false)]);
    let mut socket = raw(&server);
    for _ in 0..2 {
        socket.write_all(OPENING).unwrap();
        assert_trailer(&mut socket);
    }
    let missing = client(&server, Transport::Ttheader);
    let missing = missing.open_stream(&Method::parse("Echo/Missing").unwrap(), &StreamOptions::default());
    let error = missing.unwrap().recv().unwrap_err();
    assert_eq!(
        (error.code(), error.remote_exception().unwrap().type_id),
        (Code::UnknownMethod, 1),
        "{error}"
    );
    let client = client(&server, Transport::Ttheader);
    assert_eq!(client.call(&echo(), &body(b"x"), &CallOptions::default()).error(), None);
    let error = client.open_stream(&echo(), &StreamOptions::default()).unwrap().recv().unwrap_err();
    let remote = error.remote_exception().unwrap();
    assert_eq!((remote.type_id, &remote.text[..]), (6, &b"not a streaming method: Echo"[..]), "{error}");
}

/// A HEADER and a TRAILER of stream 1, whose exception says that the method does not stream.
fn assert_trailer(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for kind in [b'2', b'4'] {
        let mut length = [0; 4];
        socket.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..8], *b"\x10\0\0\x02\0\0\0\x01");
        assert!(frame.windows(5).any(|part| part == [0, 0x1b, 0, 1, kind]), "{frame:?}");
        let told = frame.windows(22).any(|part| part == b"not a streaming method");
        assert_eq!(told, kind == b'4', "{frame:?}");
    }
}

// ---- pools ------------------------------------------------------------------------------------------------

/// Accepts connections and hands them out; what comes on them is read and dropped.
fn accept_all() -> (Address, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    let (sender, sockets) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mut reader = socket.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            if sender.send(socket).is_err() {
                return;
            }
        }
    });
    (address, sockets)
}

#[test]
fn streams_share_so_many_connections_and_a_dead_one_is_replaced() {
    let (address, sockets) = accept_all();
    let mut options = ClientOptions::new("test");
    options.addresses = vec![address];
    options.streams.multiplexed = 3;
    let client = Client::new(options).unwrap();
    let mut streams: Vec<_> = (0..30).map(|_| open(&client)).collect();
    let connections: Vec<_> = (0..3).map(|_| sockets.recv().unwrap()).collect();
    assert_eq!((client.stream_stats().dialled, client.stream_stats().open), (3, 3));

    connections[1].shutdown(Shutdown::Both).unwrap();
    until("the loss is seen", || client.stream_stats().open == 2);
    // A third of them: streams go where the fewest are.
    until("its streams end", || streams.iter().filter(|stream| stream.end().is_some()).count() == 10);
    streams.retain(|stream| stream.end().is_none());
    assert_eq!(streams.len(), 20);
    streams.extend((0..10).map(|_| open(&client)));
    assert_eq!((client.stream_stats().dialled, client.stream_stats().open), (4, 3));
    assert_eq!(client.stream_stats().streams, 30);
}

/// Where streams don't share: what a cancelled one has still coming is not the next one's.
#[test]
fn late_frames_do_not_reach_the_next_stream() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        let word = stream.recv()?.unwrap();
        (0..200).try_for_each(|_| stream.send(word.clone()))?;
        stream.recv().map(|_| ())
    });
    let client = connect(&server, 0);
    for round in 0..50u32 {
        let word = body(&round.to_be_bytes());
        let stream = open(&client);
        stream.send(word.clone()).unwrap();
        assert_eq!(stream.recv().unwrap(), Some(word.clone()));
        assert_eq!(stream.recv().unwrap(), Some(word));
        stream.cancel("the rest is on its way");
    }
    assert_eq!((client.stream_stats().dialled, client.stream_stats().reused), (1, 49));
}

/// A pool that keeps nothing: the connection goes when the last frame has left.
#[test]
fn a_connection_that_is_not_kept_ends_after_the_last_frame() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = serve(StreamMode::Bidirectional, move |stream| {
        let mut count = 0;
        while stream.recv()?.is_some() {
            count += 1;
        }
        tell.lock().unwrap().send(count).unwrap();
        Ok(())
    });
    let mut options = client_options(&server, Transport::TtheaderFramed);
    (options.streams.multiplexed, options.streams.max_idle) = (0, 0);
    let client = Client::new(options).unwrap();
    for round in 1..=3 {
        let stream = open(&client);
        stream.send_many((0..1000).map(|_| body(&[b'x'; 1000]))).unwrap();
        stream.close_send().unwrap();
        assert_eq!(stream.recv().unwrap(), None);
        drop(stream);
        assert_eq!(told.recv().unwrap(), 1000);
        until("the connection goes", || client.stream_stats().open + server.connection_count() == 0);
        assert_eq!(client.stream_stats().dialled, round);
    }
}

// ---- addresses that do not answer ----------------------------------------------------------------------------

#[test]
fn an_address_that_comes_back_is_used_again() {
    let Address::Ip(address) = refused_address() else { panic!("not TCP") };
    let mut options = ClientOptions::new("test");
    options.addresses = vec![Address::Ip(address)];
    let client = Client::new(options).unwrap();
    let open_one = || client.open_stream(&echo_stream(), &StreamOptions::default());
    std::thread::scope(|scope| {
        let openings: Vec<_> = (0..100).map(|_| scope.spawn(open_one)).collect();
        for opening in openings {
            let error = opening.join().unwrap().unwrap_err();
            assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect), "{error}");
        }
    });
    let server = start(&address.to_string(), vec![service(StreamMode::Bidirectional, echo_back)]);
    talks(&open_one().unwrap());
    drop(server);
}

/// Nothing is opened twice, but an opening that reached nobody goes to another address (§10).
#[test]
fn an_opening_passes_over_addresses_that_refuse() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.addresses.insert(0, refused_address());
    options.addresses.insert(2, refused_address());
    let client = Client::new(options).unwrap();
    (0..6).for_each(|_| talks(&open(&client)));
    assert_eq!(client.stream_stats().dialled, 1);
}

/// Where the system leaves further connections unanswered: its queue is full.
fn deaf() -> (Address, socket2::Socket, Vec<socket2::Socket>) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = |_| {
        let filler = socket();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address);
        filler
    };
    (Address::Ip(address.as_socket().unwrap()), listener, (0..8).map(fill).collect())
}

/// Each by its own time, whoever else waits for the same connection.
#[test]
fn openings_end_in_time_where_nobody_answers() {
    let (address, _listener, _fillers) = deaf();
    for multiplexed in [0, 1] {
        let mut options = ClientOptions::new("test");
        options.addresses = vec![address.clone()];
        options.streams.multiplexed = multiplexed;
        options.streams.connect_timeout = Duration::from_secs(600);
        let client = Client::new(options).unwrap();
        let timeout = Some(Duration::from_millis(50));
        let open_one =
            || client.open_stream(&echo_stream(), &StreamOptions { timeout, ..StreamOptions::default() });
        std::thread::scope(|scope| {
            let openings: Vec<_> = (0..100).map(|_| scope.spawn(open_one)).collect();
            for opening in openings {
                let error = opening.join().unwrap().unwrap_err();
                assert_eq!((error.code(), error.phase()), (Code::Timeout, Phase::Connect), "{error}");
            }
        });
        // One without a time of its own ends when it is told to.
        let (operation, completer) = operation::new(None);
        client.start_open_stream(&echo_stream(), &StreamOptions::default(), completer);
        assert!(!operation.is_done());
        operation.cancel(Cause::ByHost);
        assert!(operation.wait(Some(Duration::from_secs(20))), "a cancel ends it at once");
        let error = operation.take().unwrap().unwrap_err();
        assert_eq!((error.code(), error.phase()), (Code::Cancelled, Phase::Connect), "{error}");
    }
}

// ---- many streams ---------------------------------------------------------------------------------------------

/// Numbers that look random and are the same each time.
fn next(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 16
}

/// A handler that ends as it is told to.
fn by_word(stream: Stream) {
    let next = stream.clone();
    let received =
        move |finished: operation::Finished<krpc::base::Result<Option<krpc::base::Message>>>| match finished
            .take()
            .unwrap()
        {
            Ok(Some(word)) if word == body(b"return") => drop(next.finish(Finish::Ok)),
            Ok(Some(word)) if word == body(b"fail") => drop(next.finish(Finish::failed("told to"))),
            Ok(Some(word)) if word == body(b"cancel") => next.cancel("told to"),
            Ok(Some(word)) if word == body(b"drop") => {}
            Ok(Some(_)) => by_word(next),
            _ => drop(next.finish(Finish::Ok)),
        };
    let (operation, completer) = operation::new(Some(Box::new(received)));
    operation.forget_handle();
    stream.start_recv(completer);
}

#[test]
fn ten_thousand_streams_with_random_ends_leave_nothing() {
    let server = serve_inline(by_word);
    let client = connect(&server, 1);
    let (mut open_ones, mut state) = (Vec::new(), 1);
    for _ in 0..10_000 {
        if open_ones.len() == 1000 {
            open_ones.swap_remove(next(&mut state) as usize % 1000);
        }
        open_ones.push(open(&client));
        let at = next(&mut state) as usize % open_ones.len();
        let stream: &Stream = &open_ones[at];
        let word: &[u8] = match next(&mut state) % 8 {
            0 => b"return",
            1 => b"fail",
            2 => b"cancel",
            3 => b"drop",
            4 => {
                let _ = stream.close_send();
                continue;
            }
            5 => {
                stream.cancel("at random");
                continue;
            }
            6 => {
                drop(open_ones.swap_remove(at));
                continue;
            }
            _ => b"go on",
        };
        // One that has ended before takes nothing more.
        let _ = stream.send(body(word));
    }
    drop(open_ones);
    assert_eq!(client.stream_stats().streams, 0);
    until("the handlers end", || server.in_flight() == 0);
    // The connection is as good as new.
    let last = open(&client);
    last.close_send().unwrap();
    assert_eq!(last.recv().unwrap(), None);
    let opened = || (client.stream_stats().seen.opened, server.stream_counters().opened);
    until("all are counted", || opened() == (10_001, 10_001));
    let (stats, seen) = (client.stream_stats(), server.stream_counters());
    assert_eq!((stats.dialled, stats.seen.illegal, seen.illegal, seen.refused), (1, 0, 0, 0));
    let stopped = server.stop(Duration::from_secs(10)).unwrap();
    assert_eq!((stopped.cut_off, server.in_flight()), (0, 0));
}

// ---- times and sizes -------------------------------------------------------------------------------------------

/// Ours are per stream: what it was opened with, until it is changed. None is no limit.
#[test]
fn a_receive_timeout_can_be_changed_and_taken_off() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let client = connect(&server, 1);
    let soon = RecvTimeout { timeout: Duration::from_millis(30), keep_stream: true };
    let options = StreamOptions { recv_timeout: Some(soon), ..StreamOptions::default() };
    let stream = client.open_stream(&echo_stream(), &options).unwrap();
    assert_eq!(stream.recv().unwrap_err().code(), Code::RecvTimeout);

    stream.set_timeouts(StreamTimeouts::default());
    let (operation, completer) = operation::new(None);
    stream.start_recv(completer);
    assert!(!operation.wait(Some(Duration::from_millis(150))), "none is off");
    stream.send(body(b"x")).unwrap();
    assert!(operation.wait(Some(Duration::from_secs(20))));
    assert_eq!(operation.take().unwrap().unwrap(), Some(body(b"x")));

    stream.set_timeouts(StreamTimeouts { recv: Some(soon), ..StreamTimeouts::default() });
    assert_eq!(stream.recv().unwrap_err().code(), Code::RecvTimeout);
    talks(&stream);
}

#[test]
fn sizes_are_sums_of_payloads() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let stream = open(&connect(&server, 1));
    let mut bytes = 0;
    for size in [0, 1, 100, 70_000] {
        let message = body(&vec![b'x'; size]);
        bytes += message.len() as u64;
        stream.send(message.clone()).unwrap();
        assert_eq!(stream.recv().unwrap(), Some(message));
    }
    stream.close_send().unwrap();
    assert_eq!(stream.recv().unwrap(), None);
    let stats = stream.stats();
    assert_eq!((stats.messages_sent, stats.messages_received), (4, 4));
    assert_eq!((stats.bytes_sent, stats.bytes_received), (bytes, bytes));
}
