//! Both ends under a random schedule: opens, messages, closes, cancels, resets, ends of handlers, pauses,
//! cuts and lost connections at every step, with a clock that jumps. What must hold in any order:
//!
//! - messages of a direction arrive in order, none twice, and none is missing before an EOF;
//! - an EOF is only seen when the peer ended well; an end stays;
//! - each side writes HEADER first, one HEADER, one TRAILER, and nothing after what closes it;
//! - budgets hold, and when all streams are over and given back, nothing is left.

use std::collections::HashMap;

use super::*;

/// A small generator: the same seed, the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// One direction of one stream as the test sees it.
#[derive(Default)]
struct Direction {
    sent: i32,
    received: i32,
    closed: bool,
    end: Option<String>,
}

#[derive(Default)]
struct Seen {
    client: Option<StreamKey>,
    server: Option<StreamKey>,
    up: Direction,
    down: Direction,
    /// The handler ended well.
    finished_ok: bool,
    finished: bool,
    cancelled: bool,
}

struct World {
    pair: Pair,
    dice: Dice,
    streams: HashMap<i32, Seen>,
    lost: bool,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let options = |options: &mut Options| {
            options.streams.streams = 8;
            options.streams.recv_messages = 6;
            options.streams.send_messages = 4;
            options.streams.connection_send_bytes = 800;
            options.streams.connection_recv_bytes = 4000;
            options.idle = None;
        };
        let mut pair = Pair::with(options, options);
        // A few runs cross the end of the ids.
        if seed.is_multiple_of(4) {
            let first_id = i32::MAX - 3;
            pair.client = ClientConn::new(Options { first_id, ..pair.client.options.clone() }, pair.now);
        }
        let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        World { pair, dice, streams: HashMap::new(), lost: false, seed }
    }

    fn some_stream(&mut self) -> Option<i32> {
        let mut ids: Vec<i32> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        let n = ids.len() as u64;
        (n > 0).then(|| ids[self.dice.roll(n) as usize])
    }

    fn step(&mut self) {
        let now = self.pair.now;
        match self.dice.roll(20) {
            0 => self.open(),
            1..=4 => self.client_sends(),
            5..=8 => self.server_sends(),
            9..=11 => self.client_receives(),
            12..=13 => self.server_receives(),
            14 => {
                if let Some(id) = self.some_stream() {
                    let seen = self.streams.get_mut(&id).unwrap();
                    if let Some(key) = seen.client {
                        seen.up.closed = true;
                        self.pair.client.close_send(key).unwrap();
                    }
                }
            }
            15 => self.client_or_server_ends(),
            16..=18 => self.move_bytes(),
            _ => {
                let millis = [0, 1, 30, 2000][self.dice.roll(4) as usize];
                self.pair.now = now + MS * millis;
                if !self.lost {
                    self.pair.client.tick(self.pair.now).unwrap();
                    self.pair.server.tick(self.pair.now).unwrap();
                }
            }
        }
        self.look_at_ready();
    }

    fn open(&mut self) {
        let roll = self.dice.roll(6);
        let timeouts = StreamTimeouts {
            deadline: (roll == 0).then(|| self.pair.now + 3 * SEC),
            recv: (roll < 3).then_some(RecvTimeout { timeout: 50 * MS, keep_stream: roll == 1 }),
            idle: (roll == 4).then_some(4 * SEC),
        };
        let method = method();
        let open = Open { timeouts, tell_timeout: roll == 0, ..Open::new(b"S", &method) };
        if let Ok(key) = self.pair.client.open(&open, self.pair.now) {
            let id = self.pair.client.id(key).unwrap();
            self.streams.insert(id, Seen { client: Some(key), ..Seen::default() });
        }
    }

    fn client_sends(&mut self) {
        let Some(id) = self.some_stream() else { return };
        let seen = self.streams.get_mut(&id).unwrap();
        let Some(key) = seen.client else { return };
        match self.pair.client.send(key, message(seen.up.sent), self.pair.now) {
            Ok(Sent::Accepted) => {
                assert!(!seen.up.closed);
                seen.up.sent += 1;
            }
            Ok(Sent::Full(_)) => {}
            Err(_) => assert!(seen.up.closed || self.pair.client.end(key).is_some()),
        }
    }

    fn server_sends(&mut self) {
        let Some(id) = self.some_stream() else { return };
        let seen = self.streams.get_mut(&id).unwrap();
        let Some(key) = seen.server else { return };
        match self.pair.server.send(key, message(seen.down.sent), self.pair.now) {
            Ok(Sent::Accepted) => seen.down.sent += 1,
            Ok(Sent::Full(_)) => {}
            Err(_) => assert!(self.pair.server.end(key).is_some()),
        }
    }

    fn client_receives(&mut self) {
        let Some(id) = self.some_stream() else { return };
        let seen = self.streams.get_mut(&id).unwrap();
        let Some(key) = seen.client else { return };
        let recv = self.pair.client.recv(key, self.pair.now);
        let complete = seen.finished_ok && seen.down.received == seen.down.sent;
        note(&mut seen.down, recv, complete, self.seed);
    }

    fn server_receives(&mut self) {
        let Some(id) = self.some_stream() else { return };
        let seen = self.streams.get_mut(&id).unwrap();
        let Some(key) = seen.server.filter(|_| !seen.finished) else { return };
        let recv = self.pair.server.recv(key, self.pair.now);
        // A TRAILER also ends a stream that the client has cancelled; RST stands before it then.
        let complete = seen.up.closed && seen.up.received == seen.up.sent;
        note(&mut seen.up, recv, complete, self.seed);
    }

    fn client_or_server_ends(&mut self) {
        let Some(id) = self.some_stream() else { return };
        let roll = self.dice.roll(6);
        let now = self.pair.now;
        let seen = self.streams.get_mut(&id).unwrap();
        match (roll, seen.client, seen.server) {
            (0, Some(key), _) => {
                seen.cancelled = true;
                self.pair.client.cancel(key, &Cancel::by_host("x"), now);
            }
            (1, _, Some(key)) => self.pair.server.cancel(key, &Cancel::by_host("y"), now),
            (2 | 3, _, Some(key)) if !seen.finished => {
                seen.finished = true;
                seen.finished_ok = self.pair.server.end(key).is_none() && !self.lost;
                self.pair.server.finish(key, &Finish::Ok, now).unwrap();
            }
            (4, _, Some(key)) if !seen.finished => {
                seen.finished = true;
                self.pair.server.finish(key, &Finish::failed("z"), now).unwrap();
            }
            (5, Some(key), _) if self.pair.client.end(key).is_some() => {
                self.pair.client.release(key, now);
                seen.client = None;
            }
            _ => {}
        }
    }

    fn move_bytes(&mut self) {
        if self.lost {
            return;
        }
        let now = self.pair.now;
        let rolls = [self.dice.roll(3), self.dice.roll(3), self.dice.roll(200)];
        if rolls[0] > 0 {
            self.pair.write_client();
        }
        if rolls[1] > 0 {
            self.pair.write_server();
        }
        // A part of what is on the wire arrives.
        for to_server in [true, false] {
            let wire = if to_server { &mut self.pair.to_server } else { &mut self.pair.to_client };
            let cut = self.dice.roll(wire.len() as u64 + 1) as usize;
            let rest = wire.split_off(cut);
            let mut part = std::mem::take(wire);
            if to_server {
                self.pair.server.receive(&mut part, now).unwrap();
            } else {
                self.pair.client.receive(&mut part, now).unwrap();
            }
            part.unsplit(rest);
            *(if to_server { &mut self.pair.to_server } else { &mut self.pair.to_client }) = part;
        }
        if rolls[2] == 0 {
            self.lost = true;
            self.pair.client.lost(&self.pair.to_client, None, now);
            self.pair.server.lost(&self.pair.to_server, None, now);
        }
    }

    fn look_at_ready(&mut self) {
        for (key, ready) in self.pair.server_ready() {
            if ready.contains(Ready::OPENED) {
                let id = self.pair.server.id(key).unwrap();
                self.streams.get_mut(&id).expect("one of ours").server = Some(key);
            }
        }
        self.pair.client_ready();
        let limit = 4000 + 200;
        assert!(self.pair.client.waiting_bytes().0 <= limit && self.pair.server.waiting_bytes().0 <= limit);
        assert!(self.pair.client.waiting_bytes().1 <= 880 && self.pair.server.waiting_bytes().1 <= 880);
    }

    /// Ends everything, and checks that nothing is left.
    fn settle(&mut self) {
        for _ in 0..200 {
            for seen in self.streams.values_mut() {
                if let Some(key) = seen.client {
                    self.pair.client.cancel(key, &Cancel::by_host("end"), self.pair.now);
                    self.pair.client.release(key, self.pair.now);
                    seen.client = None;
                }
                if let Some(key) = seen.server {
                    self.pair.server.release(key, self.pair.now);
                    seen.server = None;
                }
            }
            if !self.lost {
                self.pair.pump();
            }
            for (key, ready) in self.pair.server_ready() {
                if ready.contains(Ready::OPENED) {
                    self.pair.server.release(key, self.pair.now);
                }
            }
        }
        let context = format!("seed {}", self.seed);
        assert_eq!((self.pair.client.kept_streams(), self.pair.server.kept_streams()), (0, 0), "{context}");
        assert_eq!((self.pair.client.live_streams(), self.pair.server.live_streams()), (0, 0), "{context}");
        assert_eq!(self.pair.client.waiting_bytes(), (0, 0), "{context}");
        assert_eq!(self.pair.server.waiting_bytes(), (0, 0), "{context}");
        if !self.lost {
            assert!(self.pair.client.is_idle() && self.pair.server.is_idle(), "{context}");
            self.check_tap();
        }
    }

    /// The frames of each side of each stream are in a legal order.
    fn check_tap(&self) {
        let mut sides: HashMap<(char, i32), String> = HashMap::new();
        for (side, frame) in &self.pair.tap.frames {
            let letter = match frame.kind {
                FrameType::Header => 'H',
                FrameType::Data => 'D',
                FrameType::Trailer => 'T',
                FrameType::Rst => 'R',
                FrameType::Meta => 'M',
            };
            sides.entry((*side, frame.id)).or_default().push(letter);
        }
        for ((side, id), frames) in sides {
            let context = format!("seed {}, {side}{id}: {frames}", self.seed);
            let count = |letter| frames.matches(letter).count();
            assert!(count('H') <= 1 && count('T') <= 1 && count('R') <= 1, "{context}");
            if side == '>' {
                assert!(frames.starts_with('H') && count('T') == 1, "{context}");
                let tail = frames.trim_start_matches('H').trim_start_matches('D');
                assert!(["T", "RT", "TR"].contains(&tail), "{context}");
            } else {
                let tail = frames.trim_start_matches('H').trim_start_matches('D');
                // A client's reset may let a HEADER that was queued vanish.
                assert!(["T", "R", "HT", ""].contains(&tail), "{context}");
                assert!(!tail.is_empty() || count('D') + count('H') == 0, "{context}");
            }
        }
    }
}

/// Checks what a recv gave against what is known of the direction.
fn note(direction: &mut Direction, recv: Recv, complete: bool, seed: u64) {
    let end = match recv {
        Recv::Message(message) => {
            assert!(direction.end.is_none(), "seed {seed}: a message after the end");
            assert_eq!(number(Recv::Message(message)), direction.received, "seed {seed}: out of order");
            direction.received += 1;
            return;
        }
        Recv::Pending => {
            assert!(direction.end.is_none(), "seed {seed}: the end did not stay");
            return;
        }
        Recv::Failed(error) if error.stream_reason().is_some_and(|reason| reason.can_retry) => return,
        Recv::Failed(error) => error.to_string(),
        Recv::Eof => {
            assert!(complete, "seed {seed}: an EOF without an end");
            "eof".to_owned()
        }
    };
    let first = direction.end.get_or_insert_with(|| end.clone());
    assert_eq!(*first, end, "seed {seed}: the end changed");
}

#[test]
fn any_order_keeps_the_rules() {
    let runs: u64 = std::env::var("KRPC_STREAM_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let mut seen = [0; 6];
    for seed in 1..=runs {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        let ends = world.streams.values().flat_map(|seen| [&seen.up.end, &seen.down.end]).flatten();
        seen[0] += ends.filter(|end| *end == "eof").count();
        seen[1] += world
            .streams
            .values()
            .map(|seen| (seen.up.received + seen.down.received) as usize)
            .sum::<usize>();
        for counters in [world.pair.client.counters(), world.pair.server.counters()] {
            let events = [counters.resets_received, counters.slow_readers, counters.pauses, counters.unknown];
            seen[2..].iter_mut().zip(events).for_each(|(sum, n)| *sum += n as usize);
        }
        world.settle();
    }
    // The schedule reaches what it is about: ends, messages, resets, slow readers, pauses, crossings.
    assert!(runs < 600 || seen.iter().all(|n| *n > 20), "{seen:?}");
}

/// A short exchange in which one event of `kind` happens before step `at`.
fn disturbed(kind: usize, at: usize) {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    let (other, server_other) = pair.opened();
    let steps: [fn(&mut Pair, StreamKey, StreamKey); 10] = [
        |pair, client, _| _ = pair.client.send(client, message(1), pair.now),
        |pair, _, _| pair.write_client(),
        |pair, _, _| pair.server.receive(&mut pair.to_server, pair.now).unwrap(),
        |pair, _, server| _ = pair.server.send(server, message(2), pair.now),
        |pair, _, _| pair.write_server(),
        |pair, _, _| pair.client.receive(&mut pair.to_client, pair.now).unwrap(),
        |pair, client, _| _ = pair.client.close_send(client),
        |pair, _, _| pair.pump(),
        |pair, _, server| _ = pair.server.finish(server, &Finish::Ok, pair.now),
        |pair, _, _| pair.pump(),
    ];
    for (n, step) in steps.iter().enumerate() {
        if n == at {
            match kind {
                0 => pair.client.cancel(client, &Cancel::by_host(""), pair.now),
                1 => pair.server.cancel(server, &Cancel::by_host(""), pair.now),
                2 => _ = pair.server.finish(server, &Finish::failed("x"), pair.now),
                3 => pair.client.close_send(client).unwrap(),
                4 => pair.feed_client(1, FrameType::Rst, &[], b""),
                5 => pair.feed_server(1, FrameType::Rst, &[], b""),
                6 => {
                    pair.client.cancel(client, &Cancel::by_host(""), pair.now);
                    pair.server.cancel(server, &Cancel::by_host(""), pair.now);
                }
                _ => pair.client.release(client, pair.now),
            }
        }
        step(&mut pair, client, server);
    }
    pair.pump();
    let _ = pair.server.finish(server, &Finish::Ok, pair.now);
    pair.pump();
    // Whatever happened: both ends know that it is over, and the other stream does not notice.
    assert!(kind == 7 || pair.client.end(client).is_some(), "{kind} {at}");
    assert!(pair.server.end(server).is_some(), "{kind} {at}");
    pair.client.release(client, pair.now);
    pair.server.release(server, pair.now);
    pair.client_send(other, 5);
    pair.pump();
    assert_eq!(number(pair.server_recv(server_other)), 5);
    assert_eq!((pair.client.kept_streams(), pair.server.kept_streams()), (1, 1), "{kind} {at}");
    let frames = pair.tap.frames.iter().filter(|(side, frame)| *side == '>' && frame.id == 1);
    let trailers = frames.filter(|(_, frame)| frame.kind == FrameType::Trailer).count();
    assert_eq!(trailers, 1, "{kind} {at}");
}

#[test]
fn close_cancel_reset_and_end_at_every_step() {
    for kind in 0..8 {
        for at in 0..10 {
            disturbed(kind, at);
        }
    }
}
