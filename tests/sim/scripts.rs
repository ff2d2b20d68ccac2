//! Every order of short scripts: what a client's host does, what a server's host does, what happens on the
//! wire (a reset of a proxy, a loss), when each end writes, and when each frame arrives.
//!
//! Steps of different ends that don't meet on the wire may be swapped without a difference: of orders that
//! are the same but for such swaps one is tried (sleep sets). All others are.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use krpc::base::{Encoding, Limits, Message};
use krpc::proto::stream::{
    Cancel, Client, Connection, Finish, Open, Options, Ready, Recv, Role, Sent, Server, StreamKey,
};
use krpc::wire::OutBuf;
use krpc::wire::ttstream::{Decoded, Decoder, FrameType, Head, encode};

use crate::cable::Side;

/// What a host does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Send,
    Recv,
    Close,
    Cancel,
    Release,
    /// Server: its HEADER, and the ends of a handler.
    Header,
    Finish,
    Fail,
}

/// What happens to the connection itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    /// A proxy resets the stream, as its server or client.
    Reset(Side),
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The next of its script.
    Host(Side),
    Write(Side),
    /// One frame arrives at this side.
    Arrive(Side),
    Wire,
}

#[derive(Clone, Copy, Debug)]
struct Script {
    client: &'static [Op],
    server: &'static [Op],
    wire: &'static [Event],
}

const CLIENTS: [&[Op]; 9] = [
    &[Op::Send, Op::Close],
    &[Op::Send, Op::Send, Op::Close],
    &[Op::Send, Op::Cancel],
    &[Op::Close, Op::Cancel],
    &[Op::Cancel, Op::Cancel],
    &[Op::Send, Op::Recv, Op::Cancel],
    &[Op::Send, Op::Close, Op::Release],
    &[Op::Recv, Op::Close],
    &[Op::Release],
];

const SERVERS: [&[Op]; 9] = [
    &[Op::Finish],
    &[Op::Recv, Op::Send, Op::Finish],
    &[Op::Send, Op::Finish],
    &[Op::Cancel],
    &[Op::Send, Op::Cancel],
    &[Op::Fail],
    &[Op::Cancel, Op::Finish],
    &[Op::Header, Op::Send, Op::Fail],
    &[Op::Send, Op::Release],
];

const WIRES: [&[Event]; 4] =
    [&[], &[Event::Reset(Side::Client)], &[Event::Reset(Side::Server)], &[Event::Lost]];

const SERVERS_CODE: i32 = 7001;
const PROXYS_CODE: i32 = 9;

/// One end, its stream, and what its host has seen.
struct End<R> {
    conn: Connection<R>,
    key: Option<StreamKey>,
    output: OutBuf,
    input: BytesMut,
    /// Something has happened since it wrote.
    told: bool,
    /// Operations done.
    done: usize,
    sent: u8,
    received: u8,
    over: Option<String>,
    /// The handler has ended: whatever it had not received is gone, so nothing looks like a good end.
    finished: bool,
}

impl<R: Role> End<R> {
    fn new(conn: Connection<R>) -> End<R> {
        let (output, input) = (OutBuf::new(), BytesMut::new());
        End {
            conn,
            key: None,
            output,
            input,
            told: false,
            done: 0,
            sent: 0,
            received: 0,
            over: None,
            finished: false,
        }
    }

    fn send(&mut self, now: Instant) {
        let Some(key) = self.key else { return };
        let message = Message::new(Encoding::THRIFT_BINARY, vec![self.sent, 0].into());
        match self.conn.send(key, message, now) {
            Ok(Sent::Accepted) => self.sent += 1,
            Ok(Sent::Full(_)) => panic!("there is room for all of it"),
            Err(_) => {}
        }
    }

    fn recv(&mut self, now: Instant) {
        let Some(key) = self.key else { return };
        if self.finished {
            let late = self.conn.recv(key, now);
            return assert!(matches!(late, Recv::Failed(_)), "after the handler's end: {late:?}");
        }
        let over = match self.conn.recv(key, now) {
            Recv::Message(message) => {
                assert_eq!(message.bytes()[0], self.received, "out of order");
                assert_eq!(self.over, None, "a message after the end");
                self.received += 1;
                return;
            }
            Recv::Pending => return assert_eq!(self.over, None, "the end did not stay"),
            Recv::Eof => "eof".to_owned(),
            Recv::Failed(error) => match error.stream_reason() {
                Some(reason) => format!("{} {}", reason.code, error.text()),
                None => error.text().to_owned(),
            },
        };
        assert_eq!(*self.over.get_or_insert_with(|| over.clone()), over, "the end changed");
    }

    fn write(&mut self, lane: &mut Lane, now: Instant) {
        self.told = false;
        let mut bytes = BytesMut::new();
        while self.conn.transmit(&mut self.output, now) {
            self.output.move_to(&mut bytes);
            self.conn.written(0, now);
        }
        lane.put(bytes);
    }

    /// One frame. Whether there was one.
    fn arrive(&mut self, lane: &mut Lane, now: Instant) -> bool {
        let Some(frame) = lane.frames.pop_front() else { return false };
        self.input.extend_from_slice(&frame);
        self.conn.receive(&mut self.input, now).expect("our own frames");
        assert!(self.input.is_empty());
        self.told = true;
        true
    }
}

/// Frames on their way, and the kinds of all that were sent.
#[derive(Default)]
struct Lane {
    frames: VecDeque<Bytes>,
    seen: Vec<(i32, char)>,
}

impl Lane {
    fn put(&mut self, mut bytes: BytesMut) {
        while !bytes.is_empty() {
            let len = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            let frame = bytes.split_to(len).freeze();
            let mut decoder = Decoder::new(Limits::DEFAULT, usize::MAX);
            let Ok(Some(Decoded::Frame(decoded))) = decoder.decode(&mut BytesMut::from(&frame[..])) else {
                panic!("not a frame: {frame:?}");
            };
            let letter = match decoded.kind {
                FrameType::Header => 'H',
                FrameType::Data => 'D',
                FrameType::Trailer => 'T',
                FrameType::Rst => 'R',
                FrameType::Meta => 'M',
            };
            self.seen.push((decoded.id, letter));
            self.frames.push_back(frame);
        }
    }

    /// The kinds of frames of a stream, in order.
    fn kinds(&self, id: i32) -> String {
        self.seen.iter().filter(|(of, _)| *of == id).map(|(_, kind)| kind).collect()
    }
}

struct Run {
    script: Script,
    client: End<Client>,
    server: End<Server>,
    up: Lane,
    down: Lane,
    wire_done: usize,
    lost: bool,
    now: Instant,
    /// A second stream, which notices nothing.
    other: (StreamKey, Option<StreamKey>),
}

impl Run {
    fn new(script: Script, now: Instant) -> Run {
        let options = || Options { idle: None, name: "n".into(), ..Options::default() };
        let mut client = End::new(Connection::<Client>::new(options(), now));
        let server = End::new(Connection::<Server>::new(options(), now));
        let method = Bytes::from_static(b"M");
        let other = client.conn.open(&Open::new(b"S", &method), now).unwrap();
        let mut run = Run {
            script,
            client,
            server,
            up: Lane::default(),
            down: Lane::default(),
            wire_done: 0,
            lost: false,
            now,
            other: (other, None),
        };
        run.client.write(&mut run.up, now);
        run.server.arrive(&mut run.up, now);
        run.other.1 = Some(run.server.conn.poll_ready().expect("opened").0);
        run.client.key = Some(run.client.conn.open(&Open::new(b"S", &method), now).unwrap());
        (run.client.told, run.server.told) = (true, false);
        run
    }

    fn enabled(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.client.done < self.script.client.len() {
            steps.push(Step::Host(Side::Client));
        }
        // A handler acts once it has been called.
        if self.server.key.is_some() && self.server.done < self.script.server.len() {
            steps.push(Step::Host(Side::Server));
        }
        if !self.lost {
            let writes = [(self.client.told, Side::Client), (self.server.told, Side::Server)];
            steps.extend(writes.iter().filter(|(told, _)| *told).map(|(_, side)| Step::Write(*side)));
            let arrives = [(&self.down, Side::Client), (&self.up, Side::Server)];
            let arrives = arrives.iter().filter(|(lane, _)| !lane.frames.is_empty());
            steps.extend(arrives.map(|(_, side)| Step::Arrive(*side)));
        }
        if self.wire_done < self.script.wire.len() {
            steps.push(Step::Wire);
        }
        steps
    }

    /// Whether an end that may write has something to write. The run is spoiled if it has.
    fn does_something(&mut self, step: Step) -> bool {
        let sent = |run: &Run| run.up.seen.len() + run.down.seen.len();
        let before = sent(self);
        if matches!(step, Step::Write(_)) {
            self.step(step);
        }
        !matches!(step, Step::Write(_)) || sent(self) > before
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Host(Side::Client) => {
                let op = self.script.client[self.client.done];
                self.client.done += 1;
                self.client.told = true;
                self.client_does(op);
            }
            Step::Host(Side::Server) => {
                let op = self.script.server[self.server.done];
                self.server.done += 1;
                self.server.told = true;
                self.server_does(op);
            }
            Step::Write(Side::Client) => self.client.write(&mut self.up, now),
            Step::Write(Side::Server) => self.server.write(&mut self.down, now),
            Step::Arrive(Side::Client) => _ = self.client.arrive(&mut self.down, now),
            Step::Arrive(Side::Server) => _ = self.server.arrive(&mut self.up, now),
            Step::Wire => {
                let event = self.script.wire[self.wire_done];
                self.wire_done += 1;
                self.happens(event);
            }
        }
        while let Some((key, ready)) = self.server.conn.poll_ready() {
            if ready.contains(Ready::OPENED) {
                assert!(self.server.key.replace(key).is_none(), "opened once");
            }
        }
        while self.client.conn.poll_ready().is_some() {}
    }

    fn client_does(&mut self, op: Op) {
        let (now, conn) = (self.now, &mut self.client.conn);
        let Some(key) = self.client.key else { return };
        match op {
            Op::Send => self.client.send(now),
            Op::Recv => self.client.recv(now),
            Op::Close => conn.close_send(key).unwrap(),
            Op::Cancel => conn.cancel(key, &Cancel::by_host("enough"), now),
            Op::Release => {
                conn.release(key, now);
                self.client.key = None;
            }
            Op::Header | Op::Finish | Op::Fail => unreachable!("of servers"),
        }
    }

    fn server_does(&mut self, op: Op) {
        let (now, conn) = (self.now, &mut self.server.conn);
        let Some(key) = self.server.key else { return };
        match op {
            Op::Send => self.server.send(now),
            Op::Recv => self.server.recv(now),
            Op::Header => _ = conn.send_header(key, &[("k".into(), "v".into())]),
            Op::Finish => {
                self.server.finished = true;
                conn.finish(key, &Finish::Ok, now).unwrap();
            }
            Op::Fail => {
                self.server.finished = true;
                conn.finish(key, &Finish::failed("on purpose"), now).unwrap();
            }
            Op::Cancel => conn.cancel(key, &Cancel::with_code(SERVERS_CODE, "no"), now),
            Op::Release => {
                conn.release(key, now);
                self.server.key = None;
            }
            Op::Close => unreachable!("of clients"),
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Lost => {
                self.lost = true;
                self.client.conn.lost(&self.client.input, None, self.now);
                self.server.conn.lost(&self.server.input, None, self.now);
            }
            Event::Reset(by) => {
                let head = Head {
                    id: 2,
                    kind: FrameType::Rst,
                    method: b"M",
                    encoding: Encoding::THRIFT_BINARY,
                    ints: &[],
                };
                let exception = krpc::wire::thrift::ApplicationException::new(PROXYS_CODE, "by a proxy");
                let payload = krpc::wire::ttstream::exception::write(2, b"M", &exception).unwrap();
                let mut frame = BytesMut::new();
                encode(&mut frame, head, |_| {}, &payload).unwrap();
                let lane = if by == Side::Client { &mut self.up } else { &mut self.down };
                lane.frames.push_back(frame.freeze());
            }
        }
    }

    // ---- the end of a run ---------------------------------------------------------------------

    fn pump(&mut self) {
        for _ in 0..8 {
            for step in [
                Step::Write(Side::Client),
                Step::Arrive(Side::Server),
                Step::Write(Side::Server),
                Step::Arrive(Side::Client),
            ] {
                if !self.lost {
                    self.step(step);
                }
            }
        }
    }

    fn did(&self, side: Side, op: Op) -> bool {
        match side {
            Side::Client => self.script.client.contains(&op),
            Side::Server => self.script.server[..self.server.done].contains(&op),
        }
    }

    /// The script is over. The handler ends, the hosts look how it went, and all is given back.
    fn check(&mut self) {
        self.pump();
        (0..8).for_each(|_| self.server.recv(self.now));
        if self.server.key.is_some() && !self.server.finished {
            self.server_does(Op::Finish);
        }
        self.pump();
        for _ in 0..8 {
            self.client.recv(self.now);
            self.server.recv(self.now);
        }
        self.check_ends();
        if !self.lost {
            self.check_frames();
            self.check_other();
        }
        self.check_nothing_left();
    }

    fn check_ends(&self) {
        let (client, server) = (&self.client, &self.server);
        assert!(client.received <= server.sent && server.received <= client.sent);
        let reset = |by: Side| self.script.wire.contains(&Event::Reset(by));
        let client_ends = self.did(Side::Client, Op::Cancel) || self.did(Side::Client, Op::Release);
        let disturbed = client_ends || !self.script.wire.is_empty();
        if let Some(key) = client.key {
            let over = client.over.as_deref().expect("the client has an end");
            assert_eq!(over == "eof", client.conn.end(key).is_some_and(|end| end.error().is_none()));
            match over.split(' ').next().unwrap() {
                "eof" => assert_eq!(client.received, server.sent, "messages are missing"),
                "12007" => assert!(self.did(Side::Client, Op::Cancel)),
                "7001" => assert!(self.did(Side::Server, Op::Cancel)),
                "9" => assert!(reset(Side::Server)),
                "12006" => assert!(self.lost),
                // A handler that fails, or whose stream was reset by somebody else, does not end well.
                "12001" => assert!(
                    self.did(Side::Server, Op::Fail)
                        || self.did(Side::Server, Op::Release)
                        || reset(Side::Client)
                ),
                other => panic!("{other}: {over}"),
            }
            if !disturbed {
                let expected = match () {
                    () if self.did(Side::Server, Op::Cancel) => "7001",
                    () if self.did(Side::Server, Op::Fail) => "12001",
                    () if self.did(Side::Server, Op::Release) => "12001",
                    () => "eof",
                };
                assert!(over.starts_with(expected), "{over}, not {expected}");
                assert!(expected == "7001" || client.received == server.sent, "messages are missing");
            }
        }
        if let (Some(_), Some(over)) = (server.key, server.over.as_deref()) {
            match over.split(' ').next().unwrap() {
                "eof" => {
                    // Whoever resets a client's stream in its server's name tells the server itself: the
                    // client says no more than its one TRAILER (ttstream.md §3.2).
                    if !reset(Side::Server) {
                        assert!(self.did(Side::Client, Op::Close));
                        assert_eq!(server.received, client.sent, "messages are missing");
                    }
                }
                "12007" => assert!(client_ends),
                "7001" => assert!(self.did(Side::Server, Op::Cancel)),
                "9" => assert!(reset(Side::Client)),
                "12013" => assert!(self.lost),
                "12012" => {}
                other => panic!("{other}: {over}"),
            }
        }
    }

    /// One HEADER, one TRAILER, one RST, in order, and nothing behind what closes the stream.
    fn check_frames(&self) {
        let (up, down) = (self.up.kinds(2), self.down.kinds(2));
        let tail = |frames: &str| frames.trim_start_matches('H').trim_start_matches('D').to_owned();
        if !up.is_empty() {
            assert!(up.starts_with('H') && up.matches('H').count() == 1, "{up}");
            assert!(["T", "RT", "TR"].contains(&&tail(&up)[..]), "{up}");
        }
        assert!(down.matches('H').count() <= 1, "{down}");
        assert!(["T", "R", "HT", ""].contains(&&tail(&down)[..]), "{down}");
    }

    fn check_other(&mut self) {
        let (client, server) = (self.other.0, self.other.1.unwrap());
        let message = || Message::new(Encoding::THRIFT_BINARY, vec![0, 0].into());
        assert!(matches!(self.client.conn.send(client, message(), self.now), Ok(Sent::Accepted)));
        assert!(matches!(self.server.conn.send(server, message(), self.now), Ok(Sent::Accepted)));
        self.pump();
        assert!(matches!(self.client.conn.recv(client, self.now), Recv::Message(_)));
        assert!(matches!(self.server.conn.recv(server, self.now), Recv::Message(_)));
    }

    fn check_nothing_left(&mut self) {
        let keys = [self.client.key.take(), Some(self.other.0)];
        keys.into_iter().flatten().for_each(|key| self.client.conn.release(key, self.now));
        let keys = [self.server.key.take(), self.other.1];
        keys.into_iter().flatten().for_each(|key| self.server.conn.release(key, self.now));
        self.pump();
        assert_eq!((self.client.conn.kept_streams(), self.server.conn.kept_streams()), (0, 0));
        assert_eq!(self.client.conn.waiting_bytes(), (0, 0));
        assert_eq!(self.server.conn.waiting_bytes(), (0, 0));
        assert!(self.lost || self.client.conn.is_idle() && self.server.conn.is_idle());
    }
}

/// Whether two steps that are both possible lead to the same in either order.
fn may_be_swapped(script: &Script, a: Step, b: Step) -> bool {
    let side = |step| match step {
        Step::Host(side) | Step::Write(side) | Step::Arrive(side) => Some(side),
        Step::Wire => None,
    };
    match (side(a), side(b)) {
        (Some(a), Some(b)) => a != b,
        (None, Some(_)) => is_beside_resets(script, b),
        (Some(_), None) => is_beside_resets(script, a),
        (None, None) => false,
    }
}

/// A reset is only in the way of what its lane's end writes; a loss is in everybody's.
fn is_beside_resets(script: &Script, step: Step) -> bool {
    script.wire.iter().all(|event| match event {
        Event::Reset(by) => step != Step::Write(*by),
        Event::Lost => false,
    })
}

/// Tries every order that begins with `path`, but for those that begin with a step of `sleep`: they are the
/// same as others. How many there were.
fn explore(script: Script, now: Instant, path: &mut Vec<Step>, mut sleep: Vec<Step>) -> usize {
    let mut run = Run::new(script, now);
    path.iter().for_each(|step| run.step(*step));
    let mut enabled = run.enabled();
    enabled.retain(|step| run.does_something(*step));
    if enabled.is_empty() {
        run.check();
        return 1;
    }
    let mut count = 0;
    for step in enabled {
        if sleep.contains(&step) {
            continue;
        }
        let asleep = sleep.iter().copied().filter(|other| may_be_swapped(&script, *other, step)).collect();
        path.push(step);
        count += explore(script, now, path, asleep);
        path.pop();
        sleep.push(step);
    }
    count
}

/// All orders of a script; the order that fails is printed.
fn explore_all(script: Script) -> usize {
    let mut path = Vec::new();
    let now = Instant::now();
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        explore(script, now, &mut path, Vec::new())
    }));
    tried.unwrap_or_else(|panic| {
        eprintln!("\n{script:?}\nfails after {path:?}\n");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn every_order_of_short_scripts() {
    // All of them take minutes.
    let longest = if crate::seeds().end > crate::RUNS + 1 { usize::MAX } else { 5 };
    let mut count = 0;
    for client in CLIENTS {
        for server in SERVERS {
            for wire in WIRES {
                if client.len() + server.len() + 2 * wire.len() <= longest {
                    count += explore_all(Script { client, server, wire });
                }
            }
        }
    }
    println!("{count} orders");
    assert!(count > 30_000, "{count}");
}
