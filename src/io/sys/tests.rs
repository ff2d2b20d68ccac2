//! A completion queue on a real descriptor, seen by real pollers.

use std::sync::Arc;
use std::thread;

use super::*;
use crate::op::queue::{Doorbell, Event, Queue};

struct Item(u64);

impl Event for Item {
    fn is_stale(&self) -> bool {
        false
    }

    fn tag(&self) -> u64 {
        self.0
    }
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new(bell: &Bell, flags: i32) -> Epoll {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | flags) as u32, u64: 0 };
        // SAFETY: no pointers but one valid event; the results are checked.
        unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            assert!(epoll >= 0);
            assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, bell.number(), &mut event), 0);
            Epoll(OwnedFd::from_raw_fd(epoll))
        }
    }

    /// Whether there was something within the time.
    fn wait(&self, timeout_ms: i32) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        unsafe { libc::epoll_wait(self.0.as_raw_fd(), &mut event, 1, timeout_ms) == 1 }
    }
}

const POLL: Option<Duration> = Some(Duration::ZERO);
const NOW: i32 = 0;
const LATE: i32 = 20_000;

#[test]
fn a_bell_rings_until_it_is_silenced() {
    let bell = Bell::new().expect("a descriptor");
    let (level, edge) = (Epoll::new(&bell, 0), Epoll::new(&bell, libc::EPOLLET));
    bell.silence();
    assert!(!level.wait(NOW) && !edge.wait(NOW));
    bell.ring();
    bell.ring();
    assert!(level.wait(NOW) && level.wait(NOW));
    assert!(edge.wait(NOW) && !edge.wait(NOW));
    bell.silence();
    assert!(!level.wait(NOW));
    bell.ring();
    assert!(level.wait(NOW) && edge.wait(NOW));
}

/// Looks only when the poller says so, to the end of the queue; returns the sum of what it saw.
fn take_when_told(queue: &Queue<Item>, epoll: &Epoll, max: usize) -> u64 {
    let mut out = Vec::new();
    loop {
        assert!(epoll.wait(LATE), "asleep while there is something");
        loop {
            let taken = queue.take(&mut out, max, POLL);
            if taken.end {
                return out.iter().map(Event::tag).sum();
            }
            if taken.count == 0 {
                break;
            }
        }
    }
}

fn produce(queue: &Arc<Queue<Item>>, count: u64) {
    for n in 1..=count {
        let slot = loop {
            match queue.reserve() {
                Ok(slot) => break slot,
                Err(_) => thread::yield_now(),
            }
        };
        slot.fill(Item(n));
    }
}

#[test]
fn level_and_edge_triggered_pollers_miss_nothing() {
    const EACH: u64 = 20_000;
    let bell = Arc::new(Bell::new().expect("a descriptor"));
    for flags in [[0, 0], [0, libc::EPOLLET], [libc::EPOLLET, libc::EPOLLET]] {
        bell.silence();
        let queue = Queue::new(16, Some(bell.clone() as Arc<dyn Doorbell>));
        let sum = thread::scope(|scope| {
            let takers = flags.map(|flags| {
                let (queue, epoll) = (&queue, Epoll::new(&bell, flags));
                scope.spawn(move || take_when_told(queue, &epoll, 3))
            });
            let producers = [(); 2].map(|()| scope.spawn(|| produce(&queue, EACH)));
            for producer in producers {
                producer.join().expect("no panic");
            }
            queue.close();
            takers.map(|taker| taker.join().expect("no panic")).iter().sum::<u64>()
        });
        assert_eq!(sum, EACH * (EACH + 1));
    }
}
