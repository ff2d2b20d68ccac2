//! A host and a task in turn, at random; `loom_tests` has them at the same time. The task looks only when it
//! was told to, so that what is not told is never done.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::base::Encoding;
use crate::proto::stream::{ClientConn, Open, Options, StreamStats};

struct Dice(Cell<u64>);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut n = self.0.get();
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        self.0.set(n);
        (n >> 11) % sides
    }
}

fn message(number: usize, large: bool) -> Message {
    let mut bytes = vec![0; if large { 200 << 10 } else { 4 }];
    bytes[..4].copy_from_slice(&(number as u32).to_be_bytes());
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

fn number(message: &Message) -> usize {
    u32::from_be_bytes(message.bytes()[..4].try_into().unwrap()) as usize
}

/// What has become of calls, seen from outside.
#[derive(Default)]
struct Ends {
    sends: AtomicUsize,
    recvs: AtomicUsize,
    received: AtomicUsize,
    eof: AtomicUsize,
}

struct World {
    dice: Dice,
    mailbox: Arc<Mailbox>,
    link: Arc<Link>,
    ends: Arc<Ends>,
    /// The host: calls begun and withdrawn, messages given.
    sends: usize,
    recvs: usize,
    withdrawn: (usize, usize),
    sent: usize,
    pending: (u64, u64),
    closed: bool,
    /// The task: what it has, and what the connection has taken and still has.
    backlog: VecDeque<Out>,
    taken: usize,
    saw_close: bool,
    arriving: usize,
    fetched: usize,
    /// The connection has said that there is something.
    readable: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let now = Instant::now();
        let mut conn = ClientConn::new(Options::default(), now);
        let key = conn.open(&Open::new(b"S", &Bytes::from_static(b"M")), now).unwrap();
        let mailbox = Mailbox::new("peer".into());
        let link = Link::new(Arc::clone(&mailbox), key, 1, seed.is_multiple_of(2));
        World {
            dice: Dice(Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)),
            mailbox,
            link,
            ends: Arc::default(),
            sends: 0,
            recvs: 0,
            withdrawn: (0, 0),
            sent: 0,
            pending: (0, 0),
            closed: false,
            backlog: VecDeque::new(),
            taken: 0,
            saw_close: false,
            arriving: (seed % 9) as usize,
            fetched: 0,
            readable: true,
        }
    }

    fn large(&self) -> bool {
        self.dice.roll(3) == 0
    }

    fn host(&mut self) {
        match self.dice.roll(6) {
            0 if !self.closed => match self.link.try_send(message(self.sent, self.large())) {
                Ok(Sent::Accepted) => self.sent += 1,
                Ok(Sent::Full(_)) => {}
                Err(error) => assert_eq!(error.code(), Code::InvalidState, "a send is pending"),
            },
            1 if !self.closed && self.sends_pending() == 0 => {
                self.sends += 1;
                let (id, ends) = (self.link.next_id(), Arc::clone(&self.ends));
                self.pending.0 = id;
                let done: Done = Box::new(move |result| {
                    result.expect("nothing ends it");
                    ends.sends.fetch_add(1, Ordering::SeqCst);
                });
                self.link.send_when_room(id, message(self.sent, self.large()), done);
                self.sent += 1;
            }
            2 if self.link.withdraw_send(self.pending.0).is_some() => {
                self.withdrawn.0 += 1;
                self.sent -= 1;
            }
            3 | 4 if self.recvs_pending() == 0 => self.recv(),
            5 => {
                if let Some(taken) = self.link.withdraw_recv(self.pending.1) {
                    drop(taken);
                    self.withdrawn.1 += 1;
                }
            }
            _ => {}
        }
    }

    fn recv(&mut self) {
        self.recvs += 1;
        let (id, ends) = (self.link.next_id(), Arc::clone(&self.ends));
        self.pending.1 = id;
        let taken = Taken::by(move |received| {
            ends.recvs.fetch_add(1, Ordering::SeqCst);
            let received = match received {
                Received::Message(message) => Received::Messages(VecDeque::from([message])),
                other => other,
            };
            match received {
                Received::Messages(messages) => {
                    assert_eq!(ends.eof.load(Ordering::SeqCst), 0, "a message after the end");
                    for message in messages {
                        assert_eq!(number(&message), ends.received.fetch_add(1, Ordering::SeqCst));
                    }
                }
                Received::Eof => ends.eof.store(1, Ordering::SeqCst),
                other => panic!("{other:?}"),
            }
        });
        self.link.recv_when_there(id, 1 + self.dice.roll(3) as usize, taken);
    }

    fn sends_pending(&self) -> usize {
        self.sends - self.withdrawn.0 - self.ends.sends.load(Ordering::SeqCst)
    }

    fn recvs_pending(&self) -> usize {
        self.recvs - self.withdrawn.1 - self.ends.recvs.load(Ordering::SeqCst)
    }

    /// One look of the task, if it was told to. Whether it was.
    fn task(&mut self) -> bool {
        let mut dirty = Vec::new();
        self.mailbox.take(&Context::from_waker(Waker::noop()), &mut dirty);
        let told = !dirty.is_empty();
        if told {
            let _ = self.link.take_asks(&mut self.backlog);
            self.send();
        }
        if told || std::mem::take(&mut self.readable) {
            self.fetch();
        }
        told
    }

    fn send(&mut self) {
        while let Some(out) = self.backlog.pop_front() {
            match out {
                Out::Message(message) => {
                    assert_eq!(number(&message), self.taken, "out of order");
                    self.taken += 1;
                    if let Some(done) = self.link.sent(weight(&message), &mut self.backlog) {
                        done(Ok(()));
                    }
                }
                Out::CloseSend => self.saw_close = true,
                _ => panic!("nobody asked for that"),
            }
        }
    }

    /// As the task does it, from a connection that has `arriving` messages and then the end.
    fn fetch(&mut self) {
        loop {
            let (mut room, mut end, mut full) = (self.link.fetch_room(), None, true);
            let mut messages = VecDeque::new();
            while room > 0 {
                if self.fetched == self.arriving {
                    (end, full) = (Some(End::Eof), false);
                    break;
                }
                let message = message(self.fetched, self.large());
                self.fetched += 1;
                room = room.saturating_sub(weight(&message));
                messages.push_back(message);
            }
            let (more, due) = self.link.arrived(&mut messages, end, StreamStats::default(), full);
            if let Some(due) = due {
                due.tell();
            }
            if !more {
                return;
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_in_any_order() {
    for seed in 1..3000 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            match world.dice.roll(3) {
                0 => _ = world.task(),
                _ => world.host(),
            }
        }
        // Whoever waits is served, as long as the task does what it is told.
        while world.task() {}
        assert_eq!(world.sends_pending(), 0, "seed {seed}: a send waits for ever");
        world.closed = true;
        world.link.close_send(Error::new(Code::InvalidState, "closed")).unwrap();
        while world.ends.eof.load(Ordering::SeqCst) == 0 {
            if world.recvs_pending() == 0 {
                world.recv();
            }
            let told = world.task();
            assert!(told || world.recvs_pending() == 0, "seed {seed}: a receive waits for ever");
        }
        while world.task() {}
        assert!(world.saw_close, "seed {seed}");
        assert_eq!((world.taken, world.fetched), (world.sent, world.arriving), "seed {seed}");
        assert_eq!(world.ends.received.load(Ordering::SeqCst), world.arriving, "seed {seed}");
    }
}
