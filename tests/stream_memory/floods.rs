//! Peers that flood a connection: limits hold, memory stays bounded, the other streams go on.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use krpc::base::{Code, Limits, StreamLimits};
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::server::{Server, ServerOptions};
use krpc::rpc::stream::{ConnectionOptions, Counters, StreamOptions};
use krpc::wire::thrift::ApplicationException;
use krpc::wire::ttstream::{Frame, FrameType, exception};

use crate::raw::{self, Peer, body, open, put};
use crate::{allocations, raw::echo};

/// The stream that wants nothing but to go on.
const INNOCENT: i32 = -1;
/// The stream that a flood is on.
const VICTIM: i32 = -2;

/// Frames of a flood.
const MANY: usize = 100_000;
/// What a flood may make us hold at any time, with all buffers on the way.
const MOST_BYTES: usize = 3 << 20;

struct Stage {
    server: Server,
    peer: Peer,
    before: usize,
}

impl Stage {
    /// A connection with the innocent stream on it.
    fn with(limits: StreamLimits) -> Stage {
        let streams = ConnectionOptions { streams: limits, ..ConnectionOptions::server() };
        let server = raw::serve(ServerOptions { streams, ..ServerOptions::default() }, echo);
        let mut peer = Peer::of(&server);
        let mut out = BytesMut::new();
        open(&mut out, INNOCENT);
        peer.write(&out);
        peer.echo(INNOCENT, b"before");
        let before = allocations::live();
        allocations::forget_peak();
        Stage { server, peer, before }
    }

    fn small() -> Stage {
        Stage::with(StreamLimits { streams: 100, connection_recv_bytes: 1 << 20, ..StreamLimits::DEFAULT })
    }

    /// Sends what was made for each number, while the answers are read until `done` says that they are all
    /// there. The flood is made in advance, so it is none of ours.
    fn flood(
        &mut self,
        count: usize,
        make: impl Fn(&mut BytesMut, usize),
        mut done: impl FnMut(Frame) -> bool,
    ) {
        let mut flood = BytesMut::new();
        (0..count).for_each(|n| make(&mut flood, n));
        self.before = allocations::live();
        allocations::forget_peak();
        let mut writer = self.peer.writer();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&flood).unwrap());
            while !done(self.peer.read()) {}
        });
        let held = allocations::peak().saturating_sub(self.before);
        assert!(held <= MOST_BYTES, "{held} bytes held");
        println!("{} frames: at most {held} bytes held", count);
    }

    /// The innocent stream is still there, and so is the server for others. One thread serves both connections,
    /// and each of its turns is counted before the next: so all but the last one is.
    fn ends_well(mut self) -> Counters {
        let mut other = Peer::of(&self.server);
        let mut out = BytesMut::new();
        open(&mut out, 1);
        other.write(&out);
        other.echo(1, b"another connection");
        self.peer.echo(INNOCENT, b"after");
        self.server.stream_counters()
    }
}

fn told(frame: &Frame) -> ApplicationException {
    exception::read(&frame.payload, &Limits::DEFAULT).unwrap()
}

fn text(frame: &Frame) -> String {
    String::from_utf8(told(frame).message.to_vec()).unwrap()
}

#[test]
fn openings_beyond_the_limit_are_refused_one_by_one() {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let mut refused = 0;
    stage.flood(
        MANY,
        |out, n| open(out, n as i32 + 1),
        |frame| {
            assert_eq!((frame.kind, told(&frame).type_id), (FrameType::Trailer, 6));
            assert_eq!(text(&frame), "too many streams on the connection, limit 100");
            refused += 1;
            refused == MANY - 99
        },
    );
    let seen = stage.ends_well();
    assert_eq!((seen.refused, seen.opened), ((MANY - 99) as u64, 101));
}

#[test]
fn a_peer_that_takes_no_answers_is_read_no_more() {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let mut flood = BytesMut::new();
    (0..MANY as i32).for_each(|n| open(&mut flood, n + 1));
    (stage.before, _) = (allocations::live(), allocations::forget_peak());
    let mut writer = stage.peer.writer();
    writer.set_nonblocking(true).unwrap();
    // Until all buffers on the way are full: answers are longer than openings.
    let (mut at, mut stuck) = (0, 0);
    while at < flood.len() && stuck < 20 {
        match writer.write(&flood[at..]) {
            Ok(count) => (at, stuck) = (at + count, 0),
            Err(_) => {
                stuck += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
    let held = allocations::peak().saturating_sub(stage.before);
    assert!(held <= MOST_BYTES, "{held} bytes held");
    writer.set_nonblocking(false).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&flood[at..]).unwrap());
        (0..MANY - 99).for_each(|_| assert_eq!(stage.peer.read().kind, FrameType::Trailer));
    });
    let held = allocations::peak().saturating_sub(stage.before);
    assert!(held <= MOST_BYTES, "{held} bytes held");
    stage.ends_well();
}

/// An opening and its RST at once, again and again: the handlers come and go, and nothing stays.
#[test]
fn openings_that_are_reset_at_once_leave_nothing() {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let mut ended = 0;
    let pair = |out: &mut BytesMut, n: usize| {
        open(out, n as i32 + 1);
        put(out, n as i32 + 1, FrameType::Rst, &[("ttscp", b"flooder")], b"");
    };
    // Its handler's HEADER and TRAILER follow all the same (§3.3).
    stage.flood(MANY, pair, |frame| {
        ended += usize::from(frame.kind == FrameType::Trailer);
        ended == MANY
    });
    assert_eq!(stage.server.in_flight(), 1);
    let seen = stage.ends_well();
    assert_eq!(seen.opened + seen.refused, MANY as u64 + 2);
    assert!(seen.resets_received + seen.unknown == MANY as u64 && seen.opened > 100, "{seen:?}");
}

#[test]
fn frames_of_unknown_streams_are_counted_and_dropped() {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let kinds = [FrameType::Rst, FrameType::Data, FrameType::Trailer, FrameType::Meta];
    let message = body(b"x").bytes();
    let last = |out: &mut BytesMut, n: usize| {
        put(out, n as i32 + 1, kinds[n % 4], &[], &message);
        if n == MANY - 1 {
            put(out, INNOCENT, FrameType::Data, &[], &message);
        }
    };
    stage.flood(MANY, last, |frame| frame.id == INNOCENT);
    assert_eq!(stage.ends_well().unknown, MANY as u64);
}

/// A flood on one stream ends that stream, with a number of its own in the counters.
fn flood_of_one_stream(kind: FrameType) {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let mut out = BytesMut::new();
    open(&mut out, VICTIM);
    stage.peer.write(&out);
    stage.peer.echo(VICTIM, b"before");
    let frame = |out: &mut BytesMut, n: usize| {
        put(out, VICTIM, kind, &[], b"");
        if n == MANY - 1 {
            put(out, INNOCENT, FrameType::Data, &[], &body(b"x").bytes());
        }
    };
    let mut reset = None;
    stage.flood(MANY, frame, |frame| {
        let last = frame.id == INNOCENT;
        if frame.kind == FrameType::Rst {
            reset = Some(frame);
        }
        last
    });
    let reset = reset.expect("an RST");
    assert_eq!((reset.id, told(&reset).type_id), (VICTIM, 12_011));
    assert_eq!(text(&reset), "more than 1000 frames without content in a row");
    let seen = stage.ends_well();
    assert_eq!((seen.floods, seen.resets_sent), (1, 1));
    assert_eq!(seen.unknown, MANY as u64 - 1001);
}

#[test]
fn empty_messages_without_end() {
    flood_of_one_stream(FrameType::Data);
}

#[test]
fn metas_without_end() {
    flood_of_one_stream(FrameType::Meta);
}

#[test]
fn headers_over_the_limit_end_their_own_streams() {
    let _alone = allocations::alone();
    let limits = StreamLimits { header_bytes: 4096, ..StreamLimits::DEFAULT };
    let mut stage = Stage::with(limits);
    let value = vec![b'x'; 60_000];
    let count = 1000;
    let mut resets = 0;
    let huge = |out: &mut BytesMut, n: usize| {
        put(out, n as i32 + 1, FrameType::Header, &[("isn", b"Stream"), ("huge", &value)], b"");
    };
    stage.flood(count, huge, |frame| {
        assert_eq!((frame.kind, told(&frame).type_id), (FrameType::Rst, 12_004));
        assert!(text(&frame).contains("larger than the limit(4096)"), "{}", text(&frame));
        resets += 1;
        resets == count
    });
    let seen = stage.ends_well();
    assert_eq!((seen.illegal, seen.resets_sent, seen.opened), (count as u64, count as u64, 2));
}

#[test]
fn headers_that_streams_keep_have_a_budget() {
    let _alone = allocations::alone();
    let mut stage = Stage::small();
    let value = vec![b'x'; 60_000];
    let count = 1000;
    let (mut refused, kept) = (0, 4);
    let large = |out: &mut BytesMut, n: usize| {
        put(out, n as i32 + 1, FrameType::Header, &[("isn", b"Stream"), ("large", &value)], b"");
    };
    stage.flood(count, large, |frame| {
        assert_eq!(
            (frame.kind, text(&frame)),
            (FrameType::Trailer, "too many headers on the connection".into())
        );
        refused += 1;
        // A quarter of 1 MiB keeps four of them.
        refused == count - kept
    });
    let seen = stage.ends_well();
    assert_eq!((seen.refused, seen.opened), ((count - kept) as u64, kept as u64 + 2));
}

/// A server that floods our client on one stream.
fn hostile_server(kind: FrameType, strings: &'static [(&'static str, &'static [u8])]) -> Arc<Client> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut flood = BytesMut::new();
        for _ in 0..MANY {
            put(&mut flood, 1, kind, strings, b"");
        }
        // Ids of a client begin at 1; the second stream is the innocent one.
        put(&mut flood, 2, FrameType::Data, &[], &body(b"for the other").bytes());
        let mut opened = [0; 1];
        std::io::Read::read_exact(&mut socket, &mut opened).unwrap();
        socket.write_all(&flood).unwrap();
        // Keeps the connection until the client has had enough.
        let _ = std::io::copy(&mut socket, &mut std::io::sink());
    });
    let mut options = ClientOptions::new("test");
    options.addresses = vec![address];
    options.streams.multiplexed = 1;
    Client::new(options).unwrap()
}

#[test]
fn a_server_cannot_flood_a_client() {
    let _alone = allocations::alone();
    for kind in [FrameType::Meta, FrameType::Data] {
        let client = hostile_server(kind, &[]);
        let open = || client.open_stream(&Method::parse("Stream/Echo").unwrap(), &StreamOptions::default());
        let (victim, innocent) = (open().unwrap(), open().unwrap());
        let received = innocent.recv().unwrap().expect("a message");
        assert_eq!(received, body(b"for the other"), "{kind:?}");
        // What had arrived comes first.
        let error = loop {
            match victim.recv() {
                Ok(message) => assert!(message.expect("no end").is_empty()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), Code::Flood, "{error}");
        let stats = client.stream_stats();
        assert_eq!((stats.open, stats.dialled), (1, 1), "{kind:?}");
        counted(|| client.stream_stats().seen.floods == 1);
    }
}

/// What a connection has seen it tells when it has done with it: a little after the hosts hear of it.
fn counted(is_so: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < give_up, "it is never counted");
        std::thread::yield_now();
    }
}

/// A second HEADER ends its stream alone, where Kitex would end all (§12 row 8).
#[test]
fn headers_of_a_server_end_their_own_stream() {
    let _alone = allocations::alone();
    let client = hostile_server(FrameType::Header, &[("k", b"v")]);
    let open = || client.open_stream(&Method::parse("Stream/Echo").unwrap(), &StreamOptions::default());
    let (victim, innocent) = (open().unwrap(), open().unwrap());
    assert_eq!(innocent.recv().unwrap(), Some(body(b"for the other")));
    let error = victim.recv().unwrap_err();
    assert_eq!(
        (error.code(), error.stream_reason().unwrap().code),
        (Code::StreamProtocol, 12_002),
        "{error}"
    );
    counted(|| client.stream_stats().seen.illegal > 0);
}
