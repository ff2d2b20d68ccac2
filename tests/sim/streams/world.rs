//! A connection and all its hosts, and what happens to them one after the other.

use std::collections::HashMap;

use krpc::base::StreamLimits;
use krpc::proto::stream::{Client, Open, Options, RecvTimeout, Server, StreamTimeouts};

use super::*;

pub(super) struct World {
    dice: Dice,
    weather: Weather,
    now: Instant,
    cable: Cable,
    client: End<Client>,
    server: End<Server>,
    talks: Vec<Talk>,
    by_id: HashMap<i32, usize>,
    opens_left: usize,
    open_at: Instant,
    half_close: Option<(Side, Instant)>,
    stop: Option<(Side, Instant)>,
    pace: Duration,
}

#[derive(Clone, Copy)]
enum Actor {
    Open,
    Host(usize, Side),
    End(Side),
    HalfClose(Side),
    Stop(Side),
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let now = Instant::now();
        let weather = WEATHERS[seed as usize % WEATHERS.len()];
        let is = |other| weather == other || weather == Weather::Everything;
        let options = Options {
            name: "sim".into(),
            slow_reader: dice.pick(&[None, Some(SEC)]).filter(|_| weather != Weather::Fair),
            idle: Some(60 * SEC),
            first_id: dice.pick(&[1, i32::MAX - 2]),
            streams: StreamLimits {
                streams: 6,
                recv_bytes: 1500,
                recv_messages: 6,
                connection_recv_bytes: RECV_BUDGET,
                send_bytes: 1000,
                send_messages: 4,
                connection_send_bytes: SEND_BUDGET,
                ..StreamLimits::DEFAULT
            },
            ..Options::default()
        };
        let (delay, room) = (dice.pick(&[Duration::ZERO, MS, 20 * MS]), dice.pick(&[100, 1000, 50_000]));
        let mut cable = Cable::new(delay, room);
        let side = dice.pick(&Side::BOTH);
        if is(Weather::Cuts) {
            let most = dice.pick(&[100, 1000, 10_000]);
            cable.cut(side, dice.size(most));
        }
        let half_close = is(Weather::HalfClosed).then(|| (side, now + dice.up_to(200 * MS)));
        let stop = is(Weather::Stops).then(|| (side, now + dice.up_to(200 * MS)));
        let server = Connection::<Server>::new(Options { idle: Some(600 * SEC), ..options.clone() }, now);
        let mut world = World {
            weather,
            now,
            cable,
            client: End::new(Connection::<Client>::new(options, now)),
            server: End::new(server),
            talks: Vec::new(),
            by_id: HashMap::new(),
            opens_left: 1 + dice.size(7),
            open_at: now,
            half_close,
            stop,
            pace: dice.pick(&[Duration::ZERO, MS, 10 * MS]),
            dice,
        };
        if is(Weather::Frost) {
            let long = world.dice.pick(&[30 * MS, SEC, 1_000_000 * SEC]);
            let from = match side {
                Side::Client => &mut world.client.frozen,
                Side::Server => &mut world.server.frozen,
            };
            *from = Some(now + long);
        }
        world
    }

    fn has(&self, weather: Weather) -> bool {
        self.weather == weather || self.weather == Weather::Everything
    }

    /// Until nothing is left to happen.
    pub(super) fn run(&mut self) {
        for _ in 0..200_000 {
            let due = self.due();
            let Some(first) = due.iter().map(|(at, _)| *at).min() else { return };
            self.now = self.now.max(first);
            let ready: Vec<Actor> =
                due.into_iter().filter(|(at, _)| *at <= self.now).map(|(_, actor)| actor).collect();
            let actor = self.dice.pick(&ready);
            self.act(actor);
            self.hear();
        }
        panic!("it never becomes quiet");
    }

    fn due(&self) -> Vec<(Instant, Actor)> {
        let mut due = Vec::new();
        let frozen = |at: Instant, until: Option<Instant>| until.map_or(at, |until| until.max(at));
        if self.opens_left > 0 {
            due.push((frozen(self.open_at, self.client.frozen), Actor::Open));
        }
        for (index, talk) in self.talks.iter().enumerate() {
            let at = talk.client_due(self.now).map(|at| frozen(at, self.client.frozen));
            due.extend(at.map(|at| (at, Actor::Host(index, Side::Client))));
            let at = talk.server_due(self.now).map(|at| frozen(at, self.server.frozen));
            due.extend(at.map(|at| (at, Actor::Host(index, Side::Server))));
        }
        let ends = [
            (self.client.due(Side::Client, &self.cable, self.now), Side::Client),
            (self.server.due(Side::Server, &self.cable, self.now), Side::Server),
        ];
        due.extend(ends.into_iter().filter_map(|(at, side)| Some((at?, Actor::End(side)))));
        due.extend(self.half_close.map(|(side, at)| (at, Actor::HalfClose(side))));
        due.extend(self.stop.map(|(side, at)| (at, Actor::Stop(side))));
        due
    }

    fn act(&mut self, actor: Actor) {
        match actor {
            Actor::Open => self.open(),
            Actor::Host(index, Side::Client) => self.client_host(index),
            Actor::Host(index, Side::Server) => self.server_host(index),
            Actor::End(Side::Client) => {
                self.client.run(Side::Client, &mut self.cable, self.now, &mut self.dice);
            }
            Actor::End(Side::Server) => {
                self.server.run(Side::Server, &mut self.cable, self.now, &mut self.dice);
            }
            Actor::HalfClose(side) => {
                self.half_close = None;
                self.cable.half_close(side, self.now, &mut self.dice);
            }
            Actor::Stop(side) => self.stop(side),
        }
    }

    fn stop(&mut self, side: Side) {
        self.stop = None;
        let window = self.dice.pick(&[None, Some(50 * MS), Some(SEC)]);
        match (side, self.dice.roll(2)) {
            (Side::Client, 0) => self.client.conn.drain(window, self.now),
            (Side::Client, _) => self.client.conn.close(self.now),
            (Side::Server, 0) => self.server.conn.drain(window, self.now),
            (Side::Server, _) => self.server.conn.close(self.now),
        }
        (self.client.told, self.server.told) = (true, true);
    }

    /// What both ends tell their hosts.
    fn hear(&mut self) {
        while let Some((key, ready)) = self.server.conn.poll_ready() {
            if ready.contains(Ready::OPENED) {
                self.opened(key);
            }
            if let Some(talk) = self.talks.iter_mut().find(|talk| talk.server.key == Some(key)) {
                talk.server.hears(ready);
            }
        }
        while let Some((key, ready)) = self.client.conn.poll_ready() {
            if let Some(talk) = self.talks.iter_mut().find(|talk| talk.client.key == Some(key)) {
                talk.client.hears(ready);
            }
        }
    }

    fn open(&mut self) {
        self.open_at = self.now + self.dice.up_to(50 * MS);
        self.opens_left -= 1;
        let clocks = self.has(Weather::Clocks);
        let patient = !clocks && !self.has(Weather::Frost);
        let recv = RecvTimeout { timeout: 30 * MS, keep_stream: self.dice.once_in(2) };
        let timeouts = StreamTimeouts {
            deadline: (!patient).then(|| self.now + 50 * MS + self.dice.up_to(3 * SEC)),
            recv: (clocks && self.dice.once_in(2)).then_some(recv),
            idle: (clocks && self.dice.once_in(4)).then_some(200 * MS),
        };
        let method = Bytes::from_static(b"Talk");
        let open = Open { timeouts, tell_timeout: true, ..Open::new(b"Chat", &method) };
        let key = match self.client.conn.open(&open, self.now) {
            Ok(key) => key,
            Err(error) => {
                let known = [Code::Overload, Code::Closed, Code::Timeout];
                return assert!(known.contains(&error.code()), "{error}");
            }
        };
        self.client.told = true;
        self.by_id.insert(self.client.conn.id(key).unwrap(), self.talks.len());
        let cancels = self.has(Weather::Cancels) && self.dice.once_in(3);
        let to_send = self.dice.size(12);
        let plan = match self.dice.roll(4) {
            0 => Finish::failed("on purpose"),
            _ => Finish::Ok,
        };
        self.talks.push(Talk {
            client: Host::new(key, self.now, &mut self.dice, to_send, cancels),
            server: Host::default(),
            returns_early: self.dice.once_in(4),
            plan,
            finished: false,
        });
    }

    fn opened(&mut self, key: StreamKey) {
        let id = self.server.conn.id(key).expect("it has just been opened");
        let talk = &mut self.talks[self.by_id[&id]];
        assert!(talk.server.key.is_none(), "opened twice");
        let cancels = matches!(self.weather, Weather::Cancels | Weather::Everything) && self.dice.once_in(3);
        let to_send = self.dice.size(12);
        talk.server = Host::new(key, self.now, &mut self.dice, to_send, cancels);
    }

    // ---- hosts --------------------------------------------------------------------------------

    fn client_host(&mut self, index: usize) {
        let (now, conn, dice) = (self.now, &mut self.client.conn, &mut self.dice);
        let host = &mut self.talks[index].client;
        self.client.told = true;
        let Some(key) = host.key else { return };
        if host.cancel_at.is_some_and(|at| at <= now) {
            host.cancel_at = None;
            host.cancelled = conn.end(key).is_none();
            conn.cancel(key, &Cancel::by_host("enough"), now);
            // The second one says nothing.
            conn.cancel(key, &Cancel::with_code(1, "again"), now);
        }
        if host.next_send.is_some_and(|at| at <= now) && !host.send_waits && !host.send_over {
            host.next_send = Some(now + dice.up_to(self.pace));
            if host.send(conn, now, dice) {
                conn.close_send(key).expect("a stream of ours");
                host.send_over = true;
            }
        }
        if host.next_recv.is_some_and(|at| at <= now) && !host.recv_waits && host.recv_over.is_none() {
            host.next_recv = Some(now + dice.up_to(self.pace));
            host.recv(conn, now);
        }
        if host.recv_over.is_some() {
            host.key = None;
            conn.release(key, now);
        }
    }

    fn server_host(&mut self, index: usize) {
        let (now, conn, dice) = (self.now, &mut self.server.conn, &mut self.dice);
        let talk = &mut self.talks[index];
        let host = &mut talk.server;
        self.server.told = true;
        let Some(key) = host.key else { return };
        if host.cancel_at.is_some_and(|at| at <= now) {
            host.cancel_at = None;
            host.cancelled = conn.end(key).is_none();
            conn.cancel(key, &Cancel::with_code(SERVERS_CODE, "no"), now);
        }
        if host.next_send.is_some_and(|at| at <= now) && !host.send_waits && !host.send_over {
            host.next_send = Some(now + dice.up_to(self.pace));
            host.send_over |= host.send(conn, now, dice);
        }
        if host.next_recv.is_some_and(|at| at <= now) && !host.recv_waits && host.recv_over.is_none() {
            host.next_recv = Some(now + dice.up_to(self.pace));
            host.recv(conn, now);
        }
        if host.send_over && (host.recv_over.is_some() || talk.returns_early) {
            let ended_before = conn.end(key).is_some();
            let finished = conn.finish(key, &talk.plan, now);
            talk.finished = finished.is_ok() && !ended_before;
            host.key = None;
            host.send_over = true;
            conn.release(key, now);
        }
    }

    // ---- what must hold -----------------------------------------------------------------------

    pub(super) fn check(&self) {
        let silent = |frozen: Option<Instant>| frozen.is_some_and(|until| until > self.now);
        let (client_silent, server_silent) = (silent(self.client.frozen), silent(self.server.frozen));
        assert!(self.client.gone || client_silent, "the client's end never ends");
        assert!(self.server.gone || server_silent, "the server's end never ends");
        if !client_silent {
            assert_eq!((self.client.conn.kept_streams(), self.client.conn.live_streams()), (0, 0));
            assert_eq!(self.client.conn.waiting_bytes(), (0, 0));
        }
        if !server_silent {
            assert_eq!((self.server.conn.kept_streams(), self.server.conn.live_streams()), (0, 0));
            assert_eq!(self.server.conn.waiting_bytes(), (0, 0));
        }
        for (index, talk) in self.talks.iter().enumerate() {
            assert!(client_silent || talk.client.key.is_none(), "stream {index} never ends at its client");
            assert!(server_silent || talk.server.key.is_none(), "stream {index} never ends at its server");
            talk.check(index, self.weather == Weather::Fair);
        }
    }

    pub(super) fn reached(&self) -> [usize; 7] {
        let mut reached = [0; 7];
        for over in self.talks.iter().flat_map(|talk| [&talk.client.recv_over, &talk.server.recv_over]) {
            let index = match over {
                None => continue,
                Some(Over::Eof) => 0,
                Some(Over::Failed(error)) => match error.code() {
                    Code::RemoteException => 1,
                    Code::Cancelled => 2,
                    Code::ConnectionLost => 3,
                    Code::Timeout | Code::RecvTimeout | Code::IdleTimeout => 4,
                    _ => 5,
                },
            };
            reached[index] += 1;
        }
        reached[6] = (self.client.conn.counters().pauses + self.server.conn.counters().pauses) as usize;
        reached
    }
}
