//! The host and the task of the connection, in every interleaving to a bound: nobody sleeps on, each call
//! ends once, nothing is lost, doubled or out of order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use loom::thread;

use super::*;
use crate::base::Encoding;
use crate::io::conn::Order;
use crate::io::loom_task::{Bell, Pause, join, model, run};
use crate::op::sync::lock;
use crate::proto::stream::{ClientConn, Finish, Open, Options, StreamStats};

/// As large as all that may wait in one direction.
static LARGE: [u8; 256 << 10] = [7; 256 << 10];

fn large() -> Message {
    Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(&LARGE))
}

fn small(text: &'static str) -> Message {
    Message::new(Encoding::THRIFT_BINARY, text.into())
}

/// The key of some stream.
fn key() -> StreamKey {
    let now = Instant::now();
    let mut conn = ClientConn::new(Options::default(), now);
    conn.open(&Open::new(b"S", &Bytes::from_static(b"M")), now).unwrap()
}

fn link_of(key: StreamKey, timed: bool) -> (Arc<Mailbox>, Arc<Link>) {
    let mailbox = Mailbox::new("peer".into());
    let link = Link::new(Arc::clone(&mailbox), key, 1, timed);
    (mailbox, link)
}

fn error() -> Error {
    Error::new(Code::Cancelled, "over")
}

/// What a task has seen of its stream.
#[derive(Default)]
struct Seen {
    backlog: VecDeque<Out>,
    /// What the connection has taken: messages by length, `c` for the end of sending, `f` for a handler's.
    taken: Vec<String>,
    asks: Asks,
}

/// One look of the task at its mail, with a connection that takes everything.
fn look(link: &Link, seen: &mut Seen) {
    let asks = link.take_asks(&mut seen.backlog);
    seen.asks.cancel = seen.asks.cancel.take().or(asks.cancel);
    seen.asks.released |= asks.released;
    if asks.recv_starts || asks.recv_withdrawn {
        (seen.asks.recv_starts, seen.asks.recv_withdrawn) = (asks.recv_starts, asks.recv_withdrawn);
    }
    while let Some(out) = seen.backlog.pop_front() {
        match out {
            Out::Message(message) => {
                seen.taken.push(message.len().to_string());
                if let Some(done) = link.sent(weight(&message), &mut seen.backlog) {
                    done(Ok(()));
                }
            }
            Out::Flush(done) => done(Ok(())),
            Out::CloseSend => seen.taken.push("c".to_owned()),
            Out::Finish(..) => seen.taken.push("f".to_owned()),
            Out::Header(_) => seen.taken.push("h".to_owned()),
        }
    }
}

/// A task that looks at its stream whenever it is told to, until `ends`.
fn task(mailbox: &Mailbox, link: &Link, mut ends: impl FnMut(&mut Seen) -> bool) -> Seen {
    let (mut seen, mut dirty) = (Seen::default(), Vec::new());
    run(|cx| {
        loop {
            mailbox.take(cx, &mut dirty);
            dirty.drain(..).for_each(|_| look(link, &mut seen));
            if ends(&mut seen) {
                return Pause::Ended;
            }
            if mailbox.falls_asleep(Order::Serve) {
                return Pause::Asleep;
            }
        }
    });
    seen
}

fn has(seen: &Seen, what: &str) -> bool {
    seen.taken.iter().any(|taken| taken == what)
}

/// Counts how often a call has ended, and rings.
#[derive(Default)]
struct Ends {
    well: AtomicUsize,
    failed: AtomicUsize,
    bell: Bell,
}

impl Ends {
    fn done(self: &Arc<Ends>) -> Done {
        let ends = Arc::clone(self);
        Box::new(move |result| {
            let count = if result.is_ok() { &ends.well } else { &ends.failed };
            count.fetch_add(1, Ordering::SeqCst);
            ends.bell.ring();
        })
    }

    fn get(&self) -> (usize, usize) {
        (self.well.load(Ordering::SeqCst), self.failed.load(Ordering::SeqCst))
    }
}

// ---- sending ----------------------------------------------------------------------------------

#[test]
fn sends_that_wait_for_room_go_on_in_order() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, false);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || {
            let ends = Arc::new(Ends::default());
            assert!(matches!(host.try_send(small("1")), Ok(Sent::Accepted)));
            for _ in 0..2 {
                host.send_when_room(host.next_id(), large(), ends.done());
                ends.bell.wait();
            }
            assert_eq!(ends.get(), (2, 0));
            host.close_send(error()).unwrap();
        });
        let seen = task(&mailbox, &link, |seen| has(seen, "c"));
        let size = LARGE.len().to_string();
        assert_eq!(seen.taken, ["1", &size, &size, "c"]);
        host.join().unwrap();
        assert_eq!(lock(&link.state).outgoing.weight(), 0);
    });
}

/// Whoever withdraws a send knows whether its message leaves.
#[test]
fn a_send_is_withdrawn_or_leaves() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, false);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || {
            let (ends, id) = (Arc::new(Ends::default()), host.next_id());
            assert!(matches!(host.try_send(large()), Ok(Sent::Accepted)));
            host.send_when_room(id, small("?"), ends.done());
            let withdrawn = host.withdraw_send(id).is_some();
            if !withdrawn {
                ends.bell.wait();
            }
            assert_eq!(ends.get(), (usize::from(!withdrawn), 0));
            host.close_send(error()).unwrap();
            withdrawn
        });
        let seen = task(&mailbox, &link, |seen| has(seen, "c"));
        assert_eq!(has(&seen, "1"), !host.join().unwrap());
    });
}

/// The stream ends under a send that waits, or before it: it is told once, and nothing follows the end.
#[test]
fn a_send_and_the_end_of_the_stream() {
    let key = key();
    model(move || {
        let (_mailbox, link) = link_of(key, false);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || {
            let ends = Arc::new(Ends::default());
            let first = host.try_send(large()).is_ok();
            host.send_when_room(host.next_id(), small("?"), ends.done());
            ends.bell.wait();
            assert_eq!(ends.get(), (0, 1), "nobody has made room");
            assert!(host.try_send(small("!")).is_err());
            first
        });
        let end = End::Failed(error());
        let (hooks, waited) = link.ended(end, error(), Ok(None), StreamStats::default());
        assert!(hooks.is_empty());
        if let Some(done) = waited {
            done(Err(error()));
        }
        let first = host.join().unwrap();
        let mut backlog = VecDeque::new();
        link.take_asks(&mut backlog);
        assert_eq!(backlog.len(), usize::from(first));
    });
}

#[test]
fn a_handlers_end_fails_a_send_that_waits_and_leaves_last() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, false);
        let ends = Arc::new(Ends::default());
        assert!(matches!(link.try_send(large()), Ok(Sent::Accepted)));
        link.send_when_room(link.next_id(), small("?"), ends.done());
        let host = Arc::clone(&link);
        let host = thread::spawn(move || host.finish(Finish::Ok, Vec::new(), error()));
        let seen = task(&mailbox, &link, |seen| has(seen, "f"));
        host.join().unwrap();
        let left = has(&seen, "1");
        assert_eq!(ends.get(), (usize::from(left), usize::from(!left)));
        assert_eq!(seen.taken.last().map(String::as_str), Some("f"));
    });
}

// ---- receiving --------------------------------------------------------------------------------

/// Receives until the end, with a receive that waits: how many messages came.
fn receive_all(link: &Arc<Link>) -> usize {
    let (bell, there) = (Arc::new(Bell::default()), Arc::new(std::sync::Mutex::new(None)));
    let mut count = 0;
    loop {
        let (ring, put) = (Arc::clone(&bell), Arc::clone(&there));
        let taken = Taken::by(move |received| {
            assert!(put.lock().unwrap().replace(received).is_none(), "told once");
            ring.ring();
        });
        link.recv_when_there(link.next_id(), 1, taken);
        bell.wait();
        match there.lock().unwrap().take() {
            Some(Received::Message(_)) => count += 1,
            Some(Received::Eof) => return count,
            other => panic!("{other:?}"),
        }
    }
}

/// Fetches as the task does from a connection that has `left` messages and then the end. True if it may go on.
fn fetch(link: &Link, left: &mut usize, ended: &mut bool) -> bool {
    let (mut messages, mut end, mut full) = (VecDeque::new(), None, true);
    let mut room = link.fetch_room();
    while room > 0 {
        if *left == 0 {
            (end, full, *ended) = (Some(End::Eof), false, true);
            break;
        }
        *left -= 1;
        messages.push_back(large());
        room = room.saturating_sub(weight(&large()));
    }
    let (more, due) = link.arrived(&mut messages, end, StreamStats::default(), full);
    if let Some(due) = due {
        due.tell();
    }
    more
}

/// The task fetches as long as there is room, and hears when there is room again.
#[test]
fn a_task_that_has_no_room_hears_of_it() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, false);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || receive_all(&host));
        let mut left = 2;
        task(&mailbox, &link, |_| {
            let mut ended = false;
            while fetch(&link, &mut left, &mut ended) {}
            ended
        });
        assert_eq!(host.join().unwrap(), 2);
    });
}

/// A receive that is withdrawn leaves its message to the next one.
#[test]
fn a_receive_is_withdrawn_or_gets_the_message() {
    let key = key();
    model(move || {
        let (_mailbox, link) = link_of(key, false);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || {
            let got = Arc::new(AtomicUsize::new(0));
            let (id, count) = (host.next_id(), Arc::clone(&got));
            let taken = Taken::by(move |received: Received| {
                assert!(matches!(received, Received::Message(_)));
                count.fetch_add(1, Ordering::SeqCst);
            });
            host.recv_when_there(id, 1, taken);
            (host.withdraw_recv(id).is_some(), got)
        });
        let mut messages = VecDeque::from([small("1")]);
        let (_, due) = link.arrived(&mut messages, None, StreamStats::default(), false);
        if let Some(due) = due {
            due.tell();
        }
        let (withdrawn, got) = host.join().unwrap();
        let got = got.load(Ordering::SeqCst);
        assert_eq!(got, usize::from(!withdrawn));
        let next = link.try_recv(1).unwrap();
        assert_eq!(matches!(next, Received::Message(_)), withdrawn, "neither lost nor doubled");
    });
}

/// A receive timeout runs while somebody waits: the task hears of the wait, or of its withdrawal.
#[test]
fn a_timed_receive_tells_the_task_that_it_waits() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, true);
        let host = Arc::clone(&link);
        let host = thread::spawn(move || {
            let bell = Arc::new(Bell::default());
            let ring = Arc::clone(&bell);
            host.recv_when_there(host.next_id(), 1, Taken::by(move |_| ring.ring()));
            bell.wait();
            let id = host.next_id();
            host.recv_when_there(id, 1, Taken::by(|_| panic!("withdrawn")));
            drop(host.withdraw_recv(id).expect("nobody else takes it"));
            host.release();
        });
        let mut missed = 0;
        let seen = task(&mailbox, &link, |seen| {
            if seen.asks.recv_starts && link.is_receiving() && missed == 0 {
                missed += 1;
                if let Some(due) = link.recv_missed(error()) {
                    due.tell();
                }
            }
            seen.asks.released
        });
        host.join().unwrap();
        assert_eq!(missed, 1);
        assert!(seen.asks.recv_withdrawn && !seen.asks.recv_starts);
    });
}

// ---- ends -------------------------------------------------------------------------------------

/// Two threads of a host cancel and give back while the task ends the stream.
#[test]
fn cancel_and_end_and_release() {
    let key = key();
    model(move || {
        let (mailbox, link) = link_of(key, false);
        let ends = Arc::new(Ends::default());
        let (hook, told) = (Arc::clone(&ends), Arc::clone(&ends));
        link.on_end(Box::new(move || hook.done()(Ok(()))));
        link.recv_when_there(
            1,
            1,
            Taken::by(move |received| {
                assert!(matches!(received, Received::Failed(_)));
                told.done()(Err(error()));
            }),
        );
        let cancels = Arc::clone(&link);
        let cancels = thread::spawn(move || cancels.cancel(Cancel::by_host("enough")));
        let releases = Arc::clone(&link);
        let releases = thread::spawn(move || releases.release());
        let mut ended = false;
        let seen = task(&mailbox, &link, |seen| {
            if seen.asks.cancel.is_some() && !ended {
                ended = true;
                let end = End::Failed(error());
                let (hooks, _) = link.ended(end.clone(), error(), Ok(None), StreamStats::default());
                let (_, due) = link.arrived(&mut VecDeque::new(), Some(end), StreamStats::default(), false);
                if let Some(due) = due {
                    due.tell();
                }
                hooks.into_iter().for_each(|hook| hook());
            }
            seen.asks.released
        });
        join([cancels, releases]);
        link.given_back(End::Failed(error())).into_iter().for_each(|hook| hook());
        assert!(seen.asks.released);
        assert_eq!(ends.get(), (1, 1), "hook and receive, once each");
    });
}

/// A hook on the end that is set while the end comes runs once.
#[test]
fn hooks_and_what_they_wait_for() {
    let key = key();
    model(move || {
        let (_mailbox, link) = link_of(key, false);
        let ends = Arc::new(Ends::default());
        let (host, told) = (Arc::clone(&link), Arc::clone(&ends));
        let host = thread::spawn(move || {
            for add in [Link::on_header, Link::on_stopping, Link::on_end] {
                let told = Arc::clone(&told);
                add(&host, Box::new(move || told.done()(Ok(()))));
            }
        });
        let mut hooks = link.set_header(Ok(None));
        hooks.extend(link.set_stopping());
        hooks.extend(link.ended(End::Eof, error(), Ok(None), StreamStats::default()).0);
        hooks.into_iter().for_each(|hook| hook());
        host.join().unwrap();
        assert_eq!(ends.get(), (3, 0));
    });
}
