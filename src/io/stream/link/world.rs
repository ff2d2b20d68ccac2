//! A host and a task in turn, in an order that is rolled: at random in tests, from its bytes by the fuzzer. The
//! task looks only when it was told to, so that what is not told is never done; `loom_tests` has both at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Instant;

use super::*;
use crate::base::Encoding;
use crate::proto::stream::{ClientConn, Open, Options, StreamStats};

/// Decides what comes next.
pub trait Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64;

    /// Whether there is another step before the end.
    fn goes_on(&mut self) -> bool;
}

/// Plays one stream from its opening to one of its ends. Panics where a message is lost, doubled or out of order,
/// where somebody waits for ever, or hears of an end never or twice.
pub fn play(dice: impl Dice) {
    let mut world = World::new(dice);
    let ending = world.dice.roll(4);
    while world.dice.goes_on() {
        match world.dice.roll(3) {
            0 => _ = world.task(),
            _ => world.host(),
        }
    }
    match ending {
        0 => world.is_lost(),
        1 => world.is_released(),
        _ => world.ends_well(),
    }
    assert_eq!(world.ends.hooks.load(Ordering::SeqCst), 1, "the end is told once");
}

fn message(number: usize, large: bool) -> Message {
    let mut bytes = vec![0; if large { 200 << 10 } else { 4 }];
    bytes[..4].copy_from_slice(&(number as u32).to_be_bytes());
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

fn number(message: &Message) -> usize {
    u32::from_be_bytes(message.bytes()[..4].try_into().expect("four bytes")) as usize
}

fn lost() -> Error {
    Error::new(Code::ConnectionLost, "lost")
}

/// What has become of calls, seen from outside.
#[derive(Default)]
struct Ends {
    sends: AtomicUsize,
    failed_sends: AtomicUsize,
    recvs: AtomicUsize,
    received: AtomicUsize,
    /// Ends of the peer's direction that were received.
    over: AtomicUsize,
    /// Receives that ended because the host gave the stream back.
    given_back: AtomicUsize,
    hooks: AtomicUsize,
}

impl Ends {
    fn take(&self, received: Received) {
        match received {
            Received::Message(message) => self.take_one(&message),
            Received::Messages(messages) => {
                assert!(!messages.is_empty(), "messages without one");
                messages.iter().for_each(|message| self.take_one(message));
            }
            Received::Failed(error) if error.code() == Code::Closed => {
                self.given_back.fetch_add(1, Ordering::SeqCst);
            }
            Received::Failed(error) if error.code() == Code::ConnectionLost => {
                self.over.fetch_add(1, Ordering::SeqCst);
            }
            Received::Eof => _ = self.over.fetch_add(1, Ordering::SeqCst),
            other => panic!("{other:?}"),
        }
    }

    fn take_one(&self, message: &Message) {
        assert_eq!(self.over.load(Ordering::SeqCst), 0, "a message after the end");
        assert_eq!(number(message), self.received.fetch_add(1, Ordering::SeqCst), "out of order");
    }
}

struct World<D> {
    dice: D,
    mailbox: Arc<Mailbox>,
    link: Arc<Link>,
    ends: Arc<Ends>,
    /// The host: calls begun and withdrawn, messages given.
    sends: usize,
    recvs: usize,
    withdrawn: (usize, usize),
    sent: usize,
    pending: (u64, u64),
    /// The task: what it has, and what the connection has taken and still has.
    backlog: VecDeque<Out>,
    taken: usize,
    saw_close: bool,
    saw_release: bool,
    arriving: usize,
    fetched: usize,
    /// What comes after the messages.
    end: End,
    /// The connection has said that there is something.
    readable: bool,
}

impl<D: Dice> World<D> {
    fn new(mut dice: D) -> World<D> {
        let now = Instant::now();
        let mut conn = ClientConn::new(Options::default(), now);
        let key = conn.open(&Open::new(b"S", &Bytes::from_static(b"M")), now).expect("room for one");
        let mailbox = Mailbox::new("peer".into());
        let link = Link::new(Arc::clone(&mailbox), key, 1, dice.roll(2) == 0);
        let (arriving, ends) = (dice.roll(9) as usize, Arc::<Ends>::default());
        let heard = Arc::clone(&ends);
        link.on_end(Box::new(move || _ = heard.hooks.fetch_add(1, Ordering::SeqCst)));
        World {
            dice,
            mailbox,
            link,
            ends,
            sends: 0,
            recvs: 0,
            withdrawn: (0, 0),
            sent: 0,
            pending: (0, 0),
            backlog: VecDeque::new(),
            taken: 0,
            saw_close: false,
            saw_release: false,
            arriving,
            fetched: 0,
            end: End::Eof,
            readable: true,
        }
    }

    fn large(&mut self) -> bool {
        self.dice.roll(3) == 0
    }

    // ---- the host ------------------------------------------------------------------------------

    fn host(&mut self) {
        match self.dice.roll(8) {
            0 => self.try_send(),
            1 if self.sends_pending() == 0 => self.send(),
            2 if self.link.withdraw_send(self.pending.0).is_some() => {
                self.withdrawn.0 += 1;
                self.sent -= 1;
            }
            3 | 4 if self.recvs_pending() == 0 => self.recv(),
            5 if self.link.withdraw_recv(self.pending.1).is_some() => self.withdrawn.1 += 1,
            6 => self.try_send_many(),
            7 => self.try_recv(),
            _ => {}
        }
    }

    fn try_send(&mut self) {
        let large = self.large();
        match self.link.try_send(message(self.sent, large)) {
            Ok(Sent::Accepted) => self.sent += 1,
            Ok(Sent::Full(back)) => assert_eq!(number(&back), self.sent),
            Err(error) => self.is_refused(&error),
        }
    }

    fn try_send_many(&mut self) {
        let many = 1 + self.dice.roll(3) as usize;
        let large = self.large();
        let mut messages: VecDeque<_> = (0..many).map(|n| message(self.sent + n, large)).collect();
        match self.link.try_send_many(&mut messages) {
            Ok(()) => self.sent += many - messages.len(),
            Err(error) => {
                assert_eq!(messages.len(), many, "none of them is sent");
                self.is_refused(&error);
            }
        }
    }

    fn is_refused(&self, error: &Error) {
        assert_eq!(error.code(), Code::InvalidState, "{error}");
        assert_eq!(self.sends_pending(), 1, "refused, and no other send is pending");
    }

    fn send(&mut self) {
        self.sends += 1;
        let (id, ends) = (self.link.next_id(), Arc::clone(&self.ends));
        self.pending.0 = id;
        let done: Done = Box::new(move |result| {
            ends.sends.fetch_add(1, Ordering::SeqCst);
            ends.failed_sends.fetch_add(usize::from(result.is_err()), Ordering::SeqCst);
        });
        let large = self.large();
        self.link.send_when_room(id, message(self.sent, large), done);
        self.sent += 1;
    }

    fn recv(&mut self) {
        self.recvs += 1;
        let (id, ends) = (self.link.next_id(), Arc::clone(&self.ends));
        self.pending.1 = id;
        let taken = Taken::by(move |received| {
            ends.recvs.fetch_add(1, Ordering::SeqCst);
            ends.take(received);
        });
        let most = 1 + self.dice.roll(3) as usize;
        self.link.recv_when_there(id, most, taken);
    }

    fn try_recv(&mut self) {
        let most = 1 + self.dice.roll(3) as usize;
        match self.link.try_recv(most) {
            Ok(Received::Nothing) => {}
            Ok(received) => self.ends.take(received),
            Err(error) => {
                assert_eq!((error.code(), self.recvs_pending()), (Code::InvalidState, 1), "{error}");
            }
        }
    }

    fn sends_pending(&self) -> usize {
        self.sends - self.withdrawn.0 - self.ends.sends.load(Ordering::SeqCst)
    }

    fn recvs_pending(&self) -> usize {
        self.recvs - self.withdrawn.1 - self.ends.recvs.load(Ordering::SeqCst)
    }

    // ---- the task ------------------------------------------------------------------------------

    /// One look of the task, if it was told to. Whether it was.
    fn task(&mut self) -> bool {
        let mut dirty = Vec::new();
        self.mailbox.take(&Context::from_waker(Waker::noop()), &mut dirty);
        let told = !dirty.is_empty();
        if told {
            let asks = self.link.take_asks(&mut self.backlog);
            self.saw_release |= asks.released;
            self.write();
        }
        if told || std::mem::take(&mut self.readable) {
            self.fetch();
        }
        told
    }

    fn write(&mut self) {
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
                    (end, full) = (Some(self.end.clone()), false);
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

    /// Both directions are over, as the task says it.
    fn over(&mut self, end: End, send_end: Error) {
        let trailer = match &end {
            End::Eof => Ok(None),
            End::Failed(error) => Err(error.clone()),
        };
        let (hooks, send) = self.link.ended(end, send_end.clone(), trailer, StreamStats::default());
        hooks.into_iter().for_each(|hook| hook());
        if let Some(done) = send {
            done(Err(send_end));
        }
    }

    // ---- the ends ------------------------------------------------------------------------------

    /// Whoever waits is served, as long as the task does what it is told.
    fn ends_well(&mut self) {
        while self.task() {}
        assert_eq!(self.sends_pending(), 0, "a send waits for ever");
        self.link.close_send(Error::new(Code::InvalidState, "closed")).expect("no send is pending");
        self.drain();
        while self.task() {}
        assert!(self.saw_close);
        assert_eq!((self.taken, self.fetched), (self.sent, self.arriving));
        assert_eq!(self.ends.failed_sends.load(Ordering::SeqCst), 0, "nothing ends it");
        self.over(End::Eof, Error::new(Code::InvalidState, "over"));
    }

    /// What has arrived is still received, then the error; what waits to be sent hears of it at once.
    fn is_lost(&mut self) {
        self.end = End::Failed(lost());
        self.over(End::Failed(lost()), lost());
        assert_eq!(self.sends_pending(), 0, "a send waits for ever");
        self.readable = true;
        let had_ended = self.ends.over.load(Ordering::SeqCst) > 0;
        self.drain();
        if !had_ended {
            assert_eq!(self.ends.received.load(Ordering::SeqCst), self.arriving);
        }
        let error = self.link.try_send(message(self.sent, false)).expect_err("it is over");
        assert_eq!(error.code(), Code::ConnectionLost);
        assert!(self.taken <= self.sent);
    }

    /// Nobody waits any more, and the task hears of it, once.
    fn is_released(&mut self) {
        let (sends, recvs) = (self.sends_pending(), self.recvs_pending());
        self.link.release();
        assert_eq!((self.sends_pending(), self.recvs_pending()), (0, 0), "somebody waits for ever");
        assert_eq!(self.ends.failed_sends.load(Ordering::SeqCst), sends);
        assert_eq!(self.ends.given_back.load(Ordering::SeqCst), recvs);
        while self.task() {}
        assert!(self.saw_release);
        self.link.given_back(End::Eof).into_iter().for_each(|hook| hook());
    }

    /// Receives until the end, which then stays.
    fn drain(&mut self) {
        self.task();
        while self.ends.over.load(Ordering::SeqCst) == 0 {
            if self.recvs_pending() == 0 {
                self.recv();
            }
            let told = self.task();
            assert!(told || self.recvs_pending() == 0, "a receive waits for ever");
        }
        assert_eq!(self.ends.received.load(Ordering::SeqCst), self.arriving, "messages before the end");
        let again = self.link.try_recv(1).expect("no receive is pending");
        assert!(matches!(again, Received::Eof | Received::Failed(_)), "{again:?}");
    }
}
