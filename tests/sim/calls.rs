//! Calls, one at a time on a connection or many: callers, a client, a server with handlers that take their
//! time, and what may happen to a connection between them. What must hold in any order:
//!
//! - each call ends once, with its own answer or with a typed error, and in time;
//! - no request is handled twice, and none that was not sent;
//! - when nothing is left to happen, every call has ended and every connection is gone at both ends;
//! - buffers hold no more than a message and what was read ahead;
//! - where nothing disturbs the connection, every call ends as its handler wanted.

mod ends;

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use krpc::base::{Code, Encoding, Limits, Message, Metainfo};
use krpc::proto::call::Request;
use krpc::proto::mux::MuxClient;
use krpc::proto::pingpong::{ClientConn, ServerConn, Ticket, Timeouts};
use krpc::wire::OutBuf;
use krpc::wire::frame::Layout;

use crate::cable::{Cable, Side};
use crate::dice::Dice;
use crate::{MS, SEC, assert_reached, each_seed};

const SAY: Bytes = Bytes::from_static(b"Say");

/// Most bytes of a message beside its number.
const MOST: usize = 20_000;

/// Bytes of later requests that a server takes while it handles one, and what one read adds.
const PIPELINE: usize = 64 << 10;

/// The number of a call and some bytes.
fn message(call: usize, filler: usize) -> Message {
    let mut bytes = BytesMut::from(&b"\x08\0\x01"[..]);
    bytes.put_u32(call as u32);
    bytes.put_slice(b"\x0b\0\x02");
    bytes.put_u32(filler as u32);
    bytes.put_bytes(b'.', filler);
    bytes.put_u8(0);
    Message::new(Encoding::THRIFT_BINARY, bytes.freeze())
}

fn number(body: &[u8]) -> usize {
    u32::from_be_bytes(body[3..7].try_into().unwrap()) as usize
}

/// What a handler does, and how its caller sees it end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Answer,
    Biz,
    Exception,
    /// An exception that ends the connection of a call that has it alone.
    Last,
    Failed(Code),
}

struct Call {
    /// What its handler will do.
    plan: End,
    /// A oneway call ends for its caller when it is sent.
    oneway: bool,
    layout: Layout,
    deadline: Instant,
    handling: Duration,
    /// Its caller gives up before.
    cancel_at: Option<Instant>,
    handled: bool,
    end: Option<End>,
}

/// What may happen to connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    Fair,
    /// Broken after some byte.
    Cuts,
    /// One side of a connection is silent, for a while or for ever.
    Frost,
    /// A side ends its lane and goes on reading.
    HalfClosed,
    /// The server stops gracefully.
    Drain,
    /// Callers give up.
    Cancels,
    Everything,
}

const WEATHERS: [Weather; 7] = [
    Weather::Fair,
    Weather::Cuts,
    Weather::Frost,
    Weather::HalfClosed,
    Weather::Drain,
    Weather::Cancels,
    Weather::Everything,
];

enum Proto {
    /// One call at a time, by its number.
    Alone(Box<ClientConn>, Option<usize>),
    Shared(Box<MuxClient<usize>>),
}

struct Client {
    proto: Proto,
    input: BytesMut,
    output: OutBuf,
}

struct Server {
    proto: ServerConn,
    input: BytesMut,
    output: OutBuf,
    /// Handlers at work.
    work: Vec<(Instant, Ticket, usize)>,
    draining: bool,
    peer_ended: bool,
}

struct Conn {
    cable: Cable,
    client: Option<Client>,
    server: Option<Server>,
    /// Until when a side does nothing.
    frozen: [Option<Instant>; 2],
    half_close: Option<(Side, Instant)>,
}

struct Caller {
    calls_left: usize,
    at: Instant,
    waits_for: Option<usize>,
}

struct World {
    dice: Dice,
    weather: Weather,
    shared: bool,
    start: Instant,
    now: Instant,
    calls: Vec<Call>,
    callers: Vec<Caller>,
    conns: Vec<Conn>,
    drain_at: Option<Instant>,
    /// The pool is closed: idle connections end.
    closed: bool,
}

/// Who can be due.
#[derive(Clone, Copy)]
enum Actor {
    Caller(usize),
    Cancel(usize),
    End(usize, Side),
    HalfClose(usize),
}

impl World {
    fn new(seed: u64, shared: bool) -> World {
        let mut dice = Dice::new(seed);
        let now = Instant::now();
        let weather = WEATHERS[seed as usize % WEATHERS.len()];
        let callers = (0..=dice.size(if shared { 5 } else { 2 })).map(|_| Caller {
            calls_left: 1 + dice.size(4),
            at: now + dice.up_to(20 * MS),
            waits_for: None,
        });
        let callers = callers.collect();
        let drains = matches!(weather, Weather::Drain | Weather::Everything);
        let drain_at = drains.then(|| now + dice.up_to(300 * MS));
        World {
            dice,
            weather,
            shared,
            start: now,
            now,
            calls: Vec::new(),
            callers,
            conns: Vec::new(),
            drain_at,
            closed: false,
        }
    }

    fn has(&self, weather: Weather) -> bool {
        self.weather == weather || self.weather == Weather::Everything
    }

    // ---- time ---------------------------------------------------------------------------------

    /// Until nothing is left to happen.
    fn run(&mut self) {
        for _ in 0..200_000 {
            let due = self.due();
            let Some(first) = due.iter().map(|(at, _)| *at).min() else {
                if self.closed {
                    return;
                }
                // Nothing will happen any more, so whoever waits would wait for ever.
                self.check_quiet();
                self.closed = true;
                continue;
            };
            self.now = self.now.max(first);
            let ready: Vec<Actor> =
                due.into_iter().filter(|(at, _)| *at <= self.now).map(|(_, actor)| actor).collect();
            let actor = self.dice.pick(&ready);
            self.act(actor);
        }
        panic!("it never becomes quiet");
    }

    fn due(&self) -> Vec<(Instant, Actor)> {
        let mut due = Vec::new();
        for (index, caller) in self.callers.iter().enumerate() {
            if caller.waits_for.is_none() && caller.calls_left > 0 {
                due.push((caller.at, Actor::Caller(index)));
            }
            let call = caller.waits_for.map(|call| &self.calls[call]);
            due.extend(call.and_then(|call| call.cancel_at).map(|at| (at, Actor::Cancel(index))));
        }
        for (index, conn) in self.conns.iter().enumerate() {
            for side in Side::BOTH {
                let at = match side {
                    Side::Client => self.client_due(conn),
                    Side::Server => self.server_due(conn),
                };
                let thawed = conn.frozen[side as usize];
                due.extend(
                    at.map(|at| (thawed.map_or(at, |thawed| thawed.max(at)), Actor::End(index, side))),
                );
            }
            due.extend(conn.half_close.map(|(_, at)| (at, Actor::HalfClose(index))));
        }
        due
    }

    fn client_due(&self, conn: &Conn) -> Option<Instant> {
        let client = conn.client.as_ref()?;
        let (wake_at, ends) = match &client.proto {
            Proto::Alone(proto, call) => (proto.wake_at(), call.is_none() && self.closed),
            Proto::Shared(proto) => {
                (proto.wake_at(), proto.waiting() == 0 && (self.closed || !proto.is_open()))
            }
        };
        let writes = match client.output.is_empty() {
            true => None,
            false => conn.cable.writable_at(Side::Client, self.now),
        };
        let ends = (ends && client.output.is_empty()).then_some(self.now);
        [wake_at, writes, ends, conn.cable.readable_at(Side::Client)].into_iter().flatten().min()
    }

    fn server_due(&self, conn: &Conn) -> Option<Instant> {
        let server = conn.server.as_ref()?;
        let writes = match server.output.is_empty() {
            true => None,
            false => conn.cable.writable_at(Side::Server, self.now),
        };
        let reads = if server.wants_bytes() { conn.cable.readable_at(Side::Server) } else { None };
        let work = server.work.iter().map(|(at, ..)| *at).min();
        let drain = if server.draining { None } else { self.drain_at };
        [server.proto.wake_at(), writes, reads, work, drain].into_iter().flatten().min()
    }

    fn act(&mut self, actor: Actor) {
        match actor {
            Actor::Caller(index) => self.call(index),
            Actor::Cancel(index) => self.cancel(index),
            Actor::HalfClose(index) => {
                if let Some((side, _)) = self.conns[index].half_close.take() {
                    self.conns[index].cable.half_close(side, self.now, &mut self.dice);
                }
            }
            Actor::End(index, Side::Client) => self.client(index),
            Actor::End(index, Side::Server) => self.server(index),
        }
    }

    // ---- callers ------------------------------------------------------------------------------

    fn call(&mut self, caller: usize) {
        let (now, number) = (self.now, self.calls.len());
        let mut plans = vec![End::Answer, End::Answer, End::Exception, End::Last];
        let layouts = [Layout::TTHEADER, Layout::TTHEADER_FRAMED, Layout::FRAMED, Layout::BUFFERED];
        let layout = self.dice.pick(&layouts[..if self.shared { 2 } else { 4 }]);
        if layout.ttheader {
            plans.push(End::Biz);
        }
        // In fair weather nobody gives up: no handler takes as long.
        let patience = match self.has(Weather::Frost) || self.has(Weather::Cuts) {
            true => 20 * MS + self.dice.up_to(SEC),
            false => 20 * SEC,
        };
        let cancels = self.has(Weather::Cancels) && self.dice.once_in(3);
        self.calls.push(Call {
            plan: self.dice.pick(&plans),
            oneway: self.dice.once_in(10),
            layout,
            deadline: now + patience,
            handling: self.dice.up_to(60 * MS),
            cancel_at: cancels.then(|| now + self.dice.up_to(80 * MS)),
            handled: false,
            end: None,
        });
        self.callers[caller].waits_for = Some(number);
        self.callers[caller].calls_left -= 1;
        let conn = self.free_conn().unwrap_or_else(|| self.dial());
        self.send(conn, number);
    }

    /// A connection that takes another call.
    fn free_conn(&mut self) -> Option<usize> {
        let is_free = |conn: &Conn| match &conn.client {
            Some(Client { proto: Proto::Alone(proto, None), .. }) => proto.is_reusable(),
            Some(Client { proto: Proto::Shared(proto), .. }) => proto.is_open(),
            _ => false,
        };
        let free: Vec<_> = (0..self.conns.len()).filter(|index| is_free(&self.conns[*index])).collect();
        let most = if self.shared { 2 } else { usize::MAX };
        (!free.is_empty() && (free.len() >= most || self.dice.once_in(2))).then(|| self.dice.pick(&free))
    }

    fn dial(&mut self) -> usize {
        let limits = Limits { frame_bytes: 2 * MOST, ..Limits::DEFAULT };
        let dice = &mut self.dice;
        let delay = dice.pick(&[Duration::ZERO, MS, 20 * MS]);
        // Who stops can't wait for a connection on which a call is on its way for longer than that.
        let room = match self.weather {
            Weather::Drain => 1_000_000,
            _ => dice.pick(&[100, 3000, 100_000]),
        };
        let mut conn = Conn {
            cable: Cable::new(delay, room),
            client: Some(Client {
                proto: match self.shared {
                    true => Proto::Shared(Box::new(MuxClient::new(limits))),
                    false => Proto::Alone(Box::new(ClientConn::new(limits)), None),
                },
                input: BytesMut::new(),
                output: OutBuf::new(),
            }),
            server: Some(Server {
                proto: ServerConn::new(limits, Timeouts::default(), self.now),
                input: BytesMut::new(),
                output: OutBuf::new(),
                work: Vec::new(),
                draining: false,
                peer_ended: false,
            }),
            frozen: [None; 2],
            half_close: None,
        };
        let side = self.dice.pick(&Side::BOTH);
        if self.has(Weather::Cuts) && self.dice.once_in(2) {
            let most = self.dice.pick(&[30, 300, 3 * MOST]);
            conn.cable.cut(side, self.dice.size(most));
        }
        if self.has(Weather::Frost) && self.dice.once_in(2) {
            let long = self.dice.pick(&[30 * MS, 300 * MS, 2 * SEC, 1_000_000 * SEC]);
            conn.frozen[side as usize] = Some(self.now + long);
        }
        if self.has(Weather::HalfClosed) && self.dice.once_in(2) {
            conn.half_close = Some((side, self.now + self.dice.up_to(100 * MS)));
        }
        self.conns.push(conn);
        self.conns.len() - 1
    }

    fn send(&mut self, conn: usize, number: usize) {
        let call = &self.calls[number];
        let filler = if self.dice.once_in(8) { MOST } else { 300 };
        let (metainfo, body) = (Metainfo::new(), message(number, self.dice.size(filler)));
        let request = Request {
            layout: call.layout,
            seq: number as i32 + 1,
            oneway: call.oneway,
            service: "Chat",
            method: "Say",
            to_service: "chat",
            from_service: "sim",
            timeout: None,
            deadline: Some(call.deadline),
            checksum: self.dice.once_in(2),
            metainfo: &metainfo,
            body: &body,
        };
        let Some(client) = &mut self.conns[conn].client else { unreachable!("it was free") };
        match &mut client.proto {
            Proto::Alone(proto, waiting) => {
                proto.send(&mut client.output, &request, &SAY).expect("it was free");
                *waiting = Some(number);
            }
            Proto::Shared(proto) => {
                match proto.send(&mut client.output, &request, &SAY).expect("it was open") {
                    Some(sent) => proto.wait(sent, number),
                    None => self.end(number, self.calls[number].plan),
                }
            }
        }
    }

    fn cancel(&mut self, caller: usize) {
        let Some(number) = self.callers[caller].waits_for else { return };
        let found = self.conns.iter_mut().enumerate().find_map(|(index, conn)| {
            let client = conn.client.as_mut()?;
            match &mut client.proto {
                Proto::Alone(_, waiting) => (*waiting == Some(number)).then_some((index, true)),
                // Its answer, when it comes, is dropped.
                Proto::Shared(proto) => {
                    let who = proto.forget(number as i32 + 1)?;
                    assert_eq!(who, number);
                    assert_eq!(proto.forget(number as i32 + 1), None, "a cancel never doubles");
                    Some((index, false))
                }
            }
        });
        let (conn, alone) = found.expect("whoever waits is somewhere");
        self.end(number, End::Failed(Code::Cancelled));
        if alone {
            // The answer may still come: nobody else may have the connection.
            self.close_client(conn);
        }
    }

    fn end(&mut self, number: usize, end: End) {
        let call = &mut self.calls[number];
        assert_eq!(call.end.replace(end), None, "call {number} ended twice");
        let think = self.dice.up_to(50 * MS);
        let caller = self.callers.iter_mut().find(|caller| caller.waits_for == Some(number)).unwrap();
        caller.waits_for = None;
        caller.at = self.now + think;
    }

    // ---- what must hold -----------------------------------------------------------------------

    /// No bytes are on the way and no clock runs: all calls have ended.
    fn check_quiet(&self) {
        for (number, call) in self.calls.iter().enumerate() {
            let end = call.end.unwrap_or_else(|| panic!("call {number} never ends"));
            let as_planned = end == call.plan;
            match end {
                End::Failed(code) => {
                    let known = [Code::ConnectionLost, Code::Timeout, Code::Cancelled];
                    assert!(known.contains(&code), "{code:?}");
                    assert!(code != Code::Cancelled || call.cancel_at.is_some());
                }
                _ => assert!(as_planned && (call.handled || call.oneway), "call {number}: {end:?}"),
            }
            // A client that shares a connection hears of the stop, so that not even then a call is lost.
            let undisturbed = self.weather == Weather::Fair || self.shared && self.weather == Weather::Drain;
            assert!(as_planned && call.handled || !undisturbed, "call {number}: {end:?}, {:?}", call.plan);
        }
    }

    fn check_gone(&self) {
        let frozen = |conn: &Conn, side: Side| conn.frozen[side as usize].is_some_and(|at| at > self.now);
        for (index, conn) in self.conns.iter().enumerate() {
            let client = conn.client.is_none() || frozen(conn, Side::Client);
            let server = conn.server.is_none() || frozen(conn, Side::Server);
            assert!(client && server, "connection {index} has not ended");
        }
    }

    fn reached(&self) -> [usize; 8] {
        let ended = |end: End| self.calls.iter().filter(|call| call.end == Some(end)).count();
        [
            ended(End::Answer),
            ended(End::Biz),
            ended(End::Exception),
            ended(End::Last),
            ended(End::Failed(Code::ConnectionLost)),
            ended(End::Failed(Code::Timeout)),
            ended(End::Failed(Code::Cancelled)),
            usize::from(self.now - self.start > 300 * SEC),
        ]
    }
}

const REACHED: [&str; 8] =
    ["answers", "statuses", "exceptions", "last exceptions", "losses", "timeouts", "cancels", "long waits"];

fn run(seed: u64, shared: bool) -> [usize; 8] {
    let mut world = World::new(seed, shared);
    world.run();
    world.check_quiet();
    world.check_gone();
    world.reached()
}

#[test]
fn pingpong() {
    let reached = each_seed("pingpong", |seed| run(seed, false));
    assert_reached(REACHED, reached);
}

#[test]
fn mux() {
    let reached = each_seed("mux", |seed| run(seed, true));
    assert_reached(REACHED, reached);
}
