//! Streams: hosts at both ends that send and receive independently of each other, on one connection with
//! small budgets. A host that finds no room or no message waits until the connection says otherwise, so that
//! a wake-up that is lost is a stream that never ends. What must hold in any order:
//!
//! - messages of a direction arrive in order, none twice, and none is missing before an EOF;
//! - an EOF is only seen when the peer ended well; an end stays;
//! - a cancel is seen as what it was, or not at all because the stream had ended;
//! - budgets hold, and when nothing is left to happen all streams are over and both ends hold nothing;
//! - where nothing disturbs the connection, both ends see what the other said.

mod world;

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use krpc::base::{Code, Encoding, Error, Message};
use krpc::proto::stream::{Cancel, Connection, Finish, Ready, Recv, Role, Sent, StreamKey};
use krpc::wire::OutBuf;

use crate::cable::{Cable, Read, Side};
use crate::dice::Dice;
use crate::{MS, SEC, assert_reached, each_seed};
use world::World;

/// Most bytes of a message beside its number.
const MOST: usize = 900;

const RECV_BUDGET: usize = 4000;
const SEND_BUDGET: usize = 1500;

/// What a server's own cancels say.
const SERVERS_CODE: i32 = 7001;
const CLIENTS_CODE: i32 = 12_007;

fn message(number: usize, filler: usize) -> Message {
    let mut bytes = BytesMut::from(&b"\x08\0\x01"[..]);
    bytes.put_u32(number as u32);
    bytes.put_bytes(0, 1 + filler);
    Message::new(Encoding::THRIFT_BINARY, bytes.freeze())
}

fn number(message: &Message) -> usize {
    u32::from_be_bytes(message.bytes()[3..7].try_into().unwrap()) as usize
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    Fair,
    /// Hosts cancel.
    Cancels,
    /// Deadlines, receive and idle timeouts run out.
    Clocks,
    Cuts,
    HalfClosed,
    /// One end is silent, for a while or for ever.
    Frost,
    /// An end is stopped or closed.
    Stops,
    Everything,
}

const WEATHERS: [Weather; 8] = [
    Weather::Fair,
    Weather::Cancels,
    Weather::Clocks,
    Weather::Cuts,
    Weather::HalfClosed,
    Weather::Frost,
    Weather::Stops,
    Weather::Everything,
];

/// One end of the connection.
struct End<R> {
    conn: Connection<R>,
    input: BytesMut,
    output: OutBuf,
    /// A host has left something, so the task looks.
    told: bool,
    gone: bool,
    frozen: Option<Instant>,
}

/// How receiving ended.
#[derive(Clone, PartialEq, Debug)]
enum Over {
    Eof,
    Failed(Error),
}

/// A host's part of a stream. It sends and receives when it likes, and waits only where it must.
#[derive(Default)]
struct Host {
    key: Option<StreamKey>,
    to_send: usize,
    sent: usize,
    received: usize,
    /// It waits for room, or for a message.
    send_waits: bool,
    recv_waits: bool,
    /// Nothing more is sent: closed, finished, or refused.
    send_over: bool,
    recv_over: Option<Over>,
    next_send: Option<Instant>,
    next_recv: Option<Instant>,
    cancel_at: Option<Instant>,
    cancelled: bool,
}

struct Talk {
    client: Host,
    server: Host,
    /// Whether the handler ends without having received everything.
    returns_early: bool,
    plan: Finish,
    finished: bool,
}

impl<R: Role> End<R> {
    fn new(conn: Connection<R>) -> End<R> {
        let (input, output) = (BytesMut::new(), OutBuf::new());
        End { conn, input, output, told: false, gone: false, frozen: None }
    }

    fn due(&self, side: Side, cable: &Cable, now: Instant) -> Option<Instant> {
        if self.gone {
            return None;
        }
        let writes = if self.output.is_empty() { None } else { cable.writable_at(side, now) };
        let reads = if self.conn.wants_bytes() { cable.readable_at(side) } else { None };
        let told = self.told.then_some(now);
        let at = [self.conn.wake_at(), writes, reads, told].into_iter().flatten().min()?;
        Some(self.frozen.map_or(at, |thawed| thawed.max(at)))
    }

    /// One wake-up, as the documentation of `krpc::proto::stream` has it.
    fn run(&mut self, side: Side, cable: &mut Cable, now: Instant, dice: &mut Dice) {
        self.told = false;
        let mut lost = None;
        // A clock that is still due afterwards brings the task back, and that must not go on for ever.
        let mut failed = self.conn.wake_at().is_some_and(|at| at <= now) && self.conn.tick(now).is_err();
        while !failed && lost.is_none() {
            failed = self.conn.receive(&mut self.input, now).is_err();
            while self.conn.transmit(&mut self.output, now) {
                let before = self.output.len();
                let written = cable.write(side, &mut self.output, now, dice);
                if self.output.len() < before {
                    self.conn.written(self.output.len(), now);
                }
                if written.is_err() {
                    lost = Some(Read::Reset);
                }
                if self.output.len() == before || lost.is_some() {
                    break;
                }
            }
            if lost.is_some() || self.conn.is_finished(now) || !self.conn.wants_bytes() {
                break;
            }
            assert!(self.conn.missing(&self.input) >= 1);
            match cable.read(side, &mut self.input, now, dice) {
                Read::Nothing => break,
                Read::Bytes => {}
                end => lost = Some(end),
            }
            assert!(self.input.len() <= 2 * (MOST + 300) + 100_000, "{} bytes", self.input.len());
        }
        if failed || lost.is_some() || self.conn.is_finished(now) && self.output.is_empty() {
            let reason = (lost == Some(Read::Reset)).then(|| std::io::ErrorKind::ConnectionReset.into());
            self.conn.lost(&self.input, reason.as_ref(), now);
            self.gone = true;
            cable.close(side, now, dice);
        }
        let (received, sent) = self.conn.waiting_bytes();
        assert!(received <= RECV_BUDGET + 2 * MOST && sent <= SEND_BUDGET + 2 * MOST, "{received} {sent}");
    }
}

impl Host {
    fn new(key: StreamKey, now: Instant, dice: &mut Dice, to_send: usize, cancels: bool) -> Host {
        Host {
            key: Some(key),
            to_send,
            next_send: Some(now),
            next_recv: Some(now),
            cancel_at: cancels.then(|| now + dice.up_to(60 * MS)),
            ..Host::default()
        }
    }

    fn due(&self) -> Option<Instant> {
        self.key?;
        let send = if self.send_waits || self.send_over { None } else { self.next_send };
        let recv = if self.recv_waits || self.recv_over.is_some() { None } else { self.next_recv };
        [send, recv, self.cancel_at].into_iter().flatten().min()
    }

    fn hears(&mut self, ready: Ready) {
        if ready.contains(Ready::READABLE) {
            self.recv_waits = false;
        }
        if ready.contains(Ready::WRITABLE) {
            self.send_waits = false;
        }
    }

    /// True if all was sent.
    fn send<R: Role>(&mut self, conn: &mut Connection<R>, now: Instant, dice: &mut Dice) -> bool {
        let Some(key) = self.key.filter(|_| self.to_send > 0) else { return true };
        let size = if dice.once_in(5) { MOST } else { 40 };
        match conn.send(key, message(self.sent, dice.size(size)), now) {
            Ok(Sent::Accepted) => {
                self.sent += 1;
                self.to_send -= 1;
            }
            Ok(Sent::Full(_)) => self.send_waits = true,
            Err(_) => {
                assert!(conn.end(key).is_some(), "only an end refuses");
                self.send_over = true;
            }
        }
        false
    }

    fn recv<R: Role>(&mut self, conn: &mut Connection<R>, now: Instant) {
        let Some(key) = self.key else { return };
        match conn.recv(key, now) {
            Recv::Message(message) => {
                assert_eq!(number(&message), self.received, "out of order");
                self.received += 1;
            }
            Recv::Pending => self.recv_waits = true,
            Recv::Failed(error) if error.stream_reason().is_some_and(|reason| reason.can_retry) => {}
            Recv::Failed(error) => self.over(conn, key, now, Over::Failed(error)),
            Recv::Eof => self.over(conn, key, now, Over::Eof),
        }
    }

    fn over<R: Role>(&mut self, conn: &mut Connection<R>, key: StreamKey, now: Instant, over: Over) {
        let again = match conn.recv(key, now) {
            Recv::Eof => Over::Eof,
            Recv::Failed(error) => Over::Failed(error),
            other => panic!("the end did not stay: {other:?}"),
        };
        assert_eq!(over, again, "the end changed");
        self.recv_over = Some(over);
    }
}

const REACHED: [&str; 7] = ["EOFs", "exceptions", "cancels", "losses", "timeouts", "other ends", "pauses"];

impl Talk {
    /// A client that has seen the end gives its stream back in the same step.
    fn client_due(&self, _: Instant) -> Option<Instant> {
        self.client.due()
    }

    /// A handler that has done its part still has to end.
    fn server_due(&self, now: Instant) -> Option<Instant> {
        let ends = self.server.key.is_some() && self.server.send_over;
        let ends = ends && (self.server.recv_over.is_some() || self.returns_early);
        if ends { Some(now) } else { self.server.due() }
    }

    fn check(&self, index: usize, fair: bool) {
        let (up, down) = (&self.server, &self.client);
        assert!(up.received <= self.client.sent && down.received <= self.server.sent);
        let ends_well = self.plan == Finish::Ok && self.finished;
        if down.recv_over == Some(Over::Eof) {
            assert!(ends_well, "stream {index}: an EOF that nobody sent");
            assert_eq!(down.received, self.server.sent, "stream {index}: messages are missing");
        }
        if up.recv_over == Some(Over::Eof) {
            assert!(self.client.send_over, "stream {index}: an EOF that nobody sent");
            assert_eq!(up.received, self.client.sent, "stream {index}: messages are missing");
        }
        let code = |over: &Option<Over>| match over {
            Some(Over::Failed(error)) => error.stream_reason().map(|reason| reason.code),
            _ => None,
        };
        if code(&down.recv_over) == Some(SERVERS_CODE) {
            assert!(self.server.cancelled, "stream {index}: a cancel out of nowhere");
        }
        if code(&up.recv_over) == Some(SERVERS_CODE) {
            assert!(self.server.cancelled, "stream {index}: a cancel of another");
        }
        if code(&down.recv_over) == Some(1) || code(&up.recv_over) == Some(1) {
            panic!("stream {index}: a second cancel was heard");
        }
        if down.cancelled {
            assert_eq!(code(&down.recv_over), Some(CLIENTS_CODE), "stream {index}: {:?}", down.recv_over);
        }
        if fair {
            let early = self.returns_early;
            assert!(early || up.recv_over == Some(Over::Eof), "stream {index}: {:?}", up.recv_over);
            match &down.recv_over {
                Some(Over::Eof) => assert_eq!(self.plan, Finish::Ok),
                Some(Over::Failed(error)) => assert_eq!(error.text(), "biz error: on purpose"),
                None => panic!("stream {index} has no end"),
            }
        }
    }
}

#[test]
fn streams() {
    let reached = each_seed("streams", |seed| {
        let mut world = World::new(seed);
        world.run();
        world.check();
        world.reached()
    });
    assert_reached(REACHED, reached);
}
