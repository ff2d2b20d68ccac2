use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use super::*;

const POLL: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_millis(5));
const LATE: Option<Duration> = Some(Duration::from_secs(20));

/// An event that counts its drops and can be made stale.
struct Item {
    tag: u64,
    stale: Arc<AtomicBool>,
    drops: Arc<AtomicUsize>,
}

impl Event for Item {
    fn is_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst)
    }

    fn tag(&self) -> u64 {
        self.tag
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Maker {
    stale: Arc<AtomicBool>,
    drops: Arc<AtomicUsize>,
}

impl Maker {
    fn item(&self, tag: u64) -> Item {
        Item { tag, stale: self.stale.clone(), drops: self.drops.clone() }
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }

    /// Everything made from now on can be made stale apart from what was made before.
    fn next_generation(&mut self) -> Arc<AtomicBool> {
        std::mem::take(&mut self.stale)
    }
}

#[derive(Default)]
struct Bell {
    rings: AtomicBool,
    clears: AtomicUsize,
}

impl Bell {
    fn rings(&self) -> bool {
        self.rings.load(Ordering::SeqCst)
    }
}

impl Doorbell for Bell {
    fn ring(&self) {
        self.rings.store(true, Ordering::SeqCst);
    }

    fn clear(&self) {
        self.rings.store(false, Ordering::SeqCst);
        self.clears.fetch_add(1, Ordering::SeqCst);
    }
}

/// Notes why it was asked to end.
#[derive(Default)]
struct Target(Mutex<Vec<Cause>>);

impl Cancel for Target {
    fn cancel(&self, cause: Cause) {
        lock(&self.0).push(cause);
    }
}

impl Target {
    fn causes(&self) -> Vec<Cause> {
        lock(&self.0).clone()
    }
}

fn weak(target: &Arc<Target>) -> Weak<dyn Cancel> {
    let weak: Weak<Target> = Arc::downgrade(target);
    weak
}

fn fill(queue: &Arc<Queue<Item>>, item: Item) {
    queue.reserve().expect("room").fill(item);
}

fn tags(events: &[Item]) -> Vec<u64> {
    events.iter().map(Event::tag).collect()
}

fn taken(count: usize) -> Taken {
    Taken { count, end: false }
}

fn end(count: usize) -> Taken {
    Taken { count, end: true }
}

#[test]
fn events_come_in_order_in_batches() {
    let (queue, maker) = (Queue::new(8, None), Maker::default());
    (0..5).for_each(|tag| fill(&queue, maker.item(tag)));
    let mut out = Vec::new();
    assert_eq!(queue.take(&mut out, 0, None), taken(0));
    assert_eq!(queue.take(&mut out, 2, None), taken(2));
    assert_eq!(queue.take(&mut out, 8, None), taken(3));
    assert_eq!(queue.take(&mut out, 8, POLL), taken(0));
    assert_eq!(tags(&out), [0, 1, 2, 3, 4]);
    assert_eq!(queue.stats().max_depth, 5);
    drop(out);
    assert_eq!(maker.drops(), 5);
}

#[test]
fn reserved_and_queued_share_the_capacity() {
    let (queue, maker) = (Queue::new(3, None), Maker::default());
    fill(&queue, maker.item(0));
    let slot = queue.reserve().expect("room");
    let mut slots = queue.reserve_many(1).expect("room");
    assert_eq!(queue.reserve().err(), Some(QueueError::Full));
    assert_eq!(slots.reserve_more(1), Err(QueueError::Full));
    queue.take(&mut Vec::new(), 1, POLL);
    assert_eq!(queue.reserve_many(2).err(), Some(QueueError::Full), "all or nothing");
    slots.reserve_more(1).expect("the room of what was taken");
    drop(slot);
    slots.reserve_more(1).expect("the room of the slot");
    assert_eq!(slots.len(), 3);
    slots.next().expect("a slot").fill(maker.item(1));
    drop(slots);
    let stats = queue.stats();
    assert_eq!((stats.reserved, stats.queued, stats.full), (0, 1, 3));
}

#[test]
fn a_queue_of_nothing_is_full() {
    let queue = Queue::<Item>::new(0, None);
    assert_eq!(queue.reserve().err(), Some(QueueError::Full));
    assert!(queue.reserve_many(0).is_ok());
    queue.close();
    assert_eq!(queue.take(&mut Vec::new(), 1, None), end(0));
}

#[test]
fn no_fill_and_no_watch_allocates() {
    let (queue, maker) = (Queue::new(100, None), Maker::default());
    let memory = || {
        let inner = lock(&queue.inner);
        (inner.events.capacity(), inner.watches.capacity())
    };
    let before = memory();
    let (target, mut out) = (Arc::new(Target::default()), Vec::new());
    for round in 0..7 {
        let mut slots: Vec<_> = queue.reserve_many(100).expect("room").collect();
        for (tag, slot) in slots.iter_mut().enumerate() {
            slot.watch(tag as u64 % 10, weak(&target));
        }
        slots.drain(round * 3..).for_each(|slot| slot.fill(maker.item(0)));
        drop(slots);
        queue.take(&mut out, 100, POLL);
    }
    assert_eq!(memory(), before);
}

#[test]
fn dropping_the_queue_drops_its_events() {
    let (queue, maker) = (Queue::new(4, None), Maker::default());
    (0..3).for_each(|tag| fill(&queue, maker.item(tag)));
    let slot = queue.reserve().expect("room");
    drop(queue);
    slot.fill(maker.item(3));
    assert_eq!(maker.drops(), 4);
}

#[test]
fn stale_events_are_skipped_and_dropped() {
    let (queue, mut maker) = (Queue::new(8, None), Maker::default());
    fill(&queue, maker.item(0));
    let first = maker.next_generation();
    fill(&queue, maker.item(1));
    fill(&queue, maker.item(2));
    first.store(true, Ordering::SeqCst);
    let mut out = Vec::new();
    assert_eq!(queue.take(&mut out, 1, POLL), taken(1), "the stale one took no place");
    assert_eq!((tags(&out), maker.drops(), queue.stats().stale), (vec![1], 1, 1));
    maker.next_generation().store(true, Ordering::SeqCst);
    assert_eq!(queue.take(&mut out, 1, SOON), taken(0));
    assert_eq!(queue.stats(), Stats { max_depth: 3, stale: 2, ..Stats::default() });
    assert_eq!(tags(&out), [1], "what was taken before is the host's");
}

#[test]
fn closed_delivers_what_is_reserved_then_ends_for_ever() {
    let (queue, maker) = (Queue::new(4, None), Maker::default());
    let slot = queue.reserve().expect("room");
    let unused = queue.reserve().expect("room");
    queue.close();
    queue.close();
    assert_eq!(queue.reserve().err(), Some(QueueError::Closed));
    let mut out = Vec::new();
    assert_eq!(queue.take(&mut out, 4, POLL), taken(0));
    slot.fill(maker.item(1));
    assert_eq!(queue.take(&mut out, 4, POLL), taken(1));
    drop(unused);
    assert_eq!(queue.take(&mut out, 4, None), end(0));
    assert_eq!(queue.take(&mut out, 4, None), end(0));
}

#[test]
fn the_end_is_told_with_the_last_event_if_there_is_room() {
    let (queue, maker) = (Queue::new(4, None), Maker::default());
    fill(&queue, maker.item(1));
    fill(&queue, maker.item(2));
    queue.close();
    let mut out = Vec::new();
    assert_eq!(queue.take(&mut out, 1, None), taken(1));
    assert_eq!(queue.take(&mut out, 1, None), taken(1));
    assert_eq!(queue.take(&mut out, 1, None), end(0));

    let queue = Queue::new(4, None);
    fill(&queue, maker.item(1));
    queue.close();
    assert_eq!(queue.take(&mut out, 2, None), end(1));
}

#[test]
fn close_asks_what_watches_to_end() {
    let queue = Queue::<Item>::new(4, None);
    let (target, gone) = (Arc::new(Target::default()), Arc::new(Target::default()));
    let mut slots: Vec<_> = queue.reserve_many(3).expect("room").collect();
    slots[0].watch(1, weak(&target));
    slots[1].watch(1, weak(&gone));
    drop(gone);
    queue.close();
    assert_eq!(target.causes(), [Cause::Closed]);
    slots[2].watch(1, weak(&target));
    assert_eq!(target.causes(), [Cause::Closed; 2], "too late to watch is asked at once");
}

#[test]
fn what_nobody_will_take_is_dropped_though_others_hold_the_queue() {
    let (queue, bell, maker) = with_bell(4);
    let (late, target) = (queue.reserve().expect("room"), Arc::new(Target::default()));
    let mut watched = queue.reserve().expect("room");
    watched.watch(1, weak(&target));
    fill(&queue, maker.item(1));
    queue.abandon();
    assert_eq!((maker.drops(), target.causes()), (1, vec![Cause::Closed]), "what waited is gone");
    assert_eq!(Arc::strong_count(&bell), 1, "and so is the doorbell");
    late.fill(maker.item(2));
    assert_eq!((maker.drops(), queue.stats().queued), (2, 0), "what comes late goes at once");
    assert_eq!(queue.reserve().err(), Some(QueueError::Closed));
}

#[test]
fn a_tag_cancels_what_watches_under_it() {
    let (queue, maker) = (Queue::new(64, None), Maker::default());
    let targets: Vec<_> = (0..64).map(|_| Arc::new(Target::default())).collect();
    let mut slots: Vec<_> = queue.reserve_many(64).expect("room").map(Some).collect();
    for (n, target) in targets.iter().enumerate() {
        slots[n].as_mut().expect("a slot").watch(n as u64 % 4, weak(target));
    }
    // Filled, dropped and renamed ones are no longer there.
    slots[0].take().expect("a slot").fill(maker.item(0));
    drop(slots[4].take());
    slots[8].as_mut().expect("a slot").watch(u64::MAX, weak(&targets[8]));
    assert_eq!(queue.cancel_tag(0), 13);
    assert_eq!(queue.cancel_tag(u64::MAX), 1);
    assert_eq!(queue.cancel_tag(99), 0);
    for (n, target) in targets.iter().enumerate() {
        let expected: &[Cause] = if n % 4 == 0 && n != 0 && n != 4 { &[Cause::ByHost] } else { &[] };
        assert_eq!(target.causes(), expected, "{n}");
    }
    drop(slots);
    (0..5).for_each(|tag| assert_eq!(queue.cancel_tag(tag), 0));
}

// ---- the doorbell -----------------------------------------------------------------------------

fn with_bell(capacity: usize) -> (Arc<Queue<Item>>, Arc<Bell>, Maker) {
    let bell = Arc::new(Bell::default());
    (Queue::new(capacity, Some(bell.clone())), bell, Maker::default())
}

#[test]
fn a_burst_rings_once_and_an_emptying_take_silences() {
    let (queue, bell, maker) = with_bell(8);
    assert!(!bell.rings());
    (0..4).for_each(|tag| fill(&queue, maker.item(tag)));
    assert!(bell.rings());
    assert_eq!(queue.stats().rings, 1);
    queue.take(&mut Vec::new(), 2, POLL);
    assert!(bell.rings(), "events are left");
    queue.take(&mut Vec::new(), 2, POLL);
    assert!(!bell.rings(), "empty");
    fill(&queue, maker.item(4));
    assert!(bell.rings());
    assert_eq!(queue.stats().rings, 2);
}

#[test]
fn a_thread_on_turns_rings_when_one_is_over_or_full() {
    let (queue, bell, maker) = with_bell(64);
    let turns = turn::turns();
    fill(&queue, maker.item(1));
    assert!(!bell.rings());
    assert_eq!(queue.take(&mut Vec::new(), 8, POLL).count, 1, "whoever looks finds it");
    fill(&queue, maker.item(2));
    fill(&queue, maker.item(3));
    assert!(!bell.rings());
    turn::over();
    assert!(bell.rings());
    assert_eq!(queue.stats().rings, 2, "of the first, which came late, and of the other two together");

    queue.take(&mut Vec::new(), 64, POLL);
    (1..turn::MOST_ENDS).for_each(|tag| fill(&queue, maker.item(tag as u64)));
    assert!(!bell.rings());
    fill(&queue, maker.item(0));
    assert!(bell.rings());

    queue.take(&mut Vec::new(), 64, POLL);
    fill(&queue, maker.item(1));
    assert!(!bell.rings());
    drop(turns);
    assert!(bell.rings(), "nothing is left behind by a thread that ends");
    queue.take(&mut Vec::new(), 64, POLL);
    fill(&queue, maker.item(1));
    assert!(bell.rings(), "a thread without turns rings at once");
}

#[test]
fn a_late_ring_costs_one_look() {
    let (queue, bell, _) = with_bell(8);
    bell.ring();
    assert_eq!(queue.take(&mut Vec::new(), 1, POLL), taken(0));
    assert!(!bell.rings());
}

#[test]
fn nothing_but_stale_events_silences_too() {
    let (queue, bell, maker) = with_bell(8);
    fill(&queue, maker.item(0));
    maker.stale.store(true, Ordering::SeqCst);
    assert_eq!(queue.take(&mut Vec::new(), 1, POLL), taken(0));
    assert!(!bell.rings());
}

/// A fill between the clear of a take and its arming.
struct Interrupt {
    bell: Bell,
    at_clear: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Doorbell for Interrupt {
    fn ring(&self) {
        self.bell.ring();
    }

    fn clear(&self) {
        self.bell.clear();
        let interrupt = lock(&self.at_clear).take();
        if let Some(interrupt) = interrupt {
            interrupt();
        }
    }
}

#[test]
fn a_fill_between_clear_and_arm_rings() {
    let bell = Arc::new(Interrupt { bell: Bell::default(), at_clear: Mutex::new(None) });
    let (queue, maker) = (Queue::new(8, Some(bell.clone() as Arc<dyn Doorbell>)), Maker::default());
    fill(&queue, maker.item(0));
    let (slot, item) = (queue.reserve().expect("room"), maker.item(1));
    *lock(&bell.at_clear) = Some(Box::new(move || slot.fill(item)));
    queue.take(&mut Vec::new(), 8, POLL);
    assert!(bell.bell.rings());
    assert_eq!(queue.take(&mut Vec::new(), 8, POLL), taken(1));
    assert!(!bell.bell.rings());
}

#[test]
fn the_end_rings_for_good() {
    let (queue, bell, maker) = with_bell(8);
    let slot = queue.reserve().expect("room");
    queue.close();
    assert!(!bell.rings());
    slot.fill(maker.item(0));
    assert!(bell.rings());
    assert_eq!(queue.take(&mut Vec::new(), 1, POLL), taken(1));
    assert!(bell.rings(), "somebody has to hear of the end");
    for _ in 0..2 {
        assert_eq!(queue.take(&mut Vec::new(), 1, POLL), end(0));
        assert!(bell.rings());
    }
    let (queue, bell, _) = with_bell(8);
    queue.close();
    assert!(bell.rings());
}

#[test]
fn a_doorbell_attached_late_rings_if_there_is_something() {
    let (queue, maker) = (Queue::new(8, None), Maker::default());
    fill(&queue, maker.item(0));
    let (bell, other) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    queue.attach(bell.clone());
    assert!(bell.rings());
    queue.attach(other.clone()).clear();
    assert_eq!((bell.clears.load(Ordering::SeqCst), other.clears.load(Ordering::SeqCst)), (1, 0));

    let (queue, bell) = (Queue::new(8, None), Arc::new(Bell::default()));
    queue.attach(bell.clone());
    assert!(!bell.rings());
    fill(&queue, maker.item(0));
    assert!(bell.rings());
}

// ---- threads ----------------------------------------------------------------------------------

#[test]
fn a_sleeping_take_wakes_for_an_event_the_end_and_its_time() {
    let (queue, maker) = (Queue::new(8, None), Maker::default());
    assert_eq!(queue.take(&mut Vec::new(), 1, SOON), taken(0));
    thread::scope(|scope| {
        for timeout in [None, LATE] {
            let queue = &queue;
            scope.spawn(move || assert_eq!(queue.take(&mut Vec::new(), 1, timeout), taken(1)));
        }
        let slots = queue.reserve_many(2).expect("room");
        slots.for_each(|slot| slot.fill(maker.item(0)));
    });
    thread::scope(|scope| {
        for timeout in [None, LATE] {
            let queue = &queue;
            scope.spawn(move || assert_eq!(queue.take(&mut Vec::new(), 1, timeout), end(0)));
        }
        let slot = queue.reserve().expect("room");
        queue.close();
        drop(slot);
    });
}

/// Producers that keep within the capacity, takers of both kinds, some stale events: nothing is lost,
/// nothing comes twice, and each producer's events stay in order.
#[test]
fn many_threads_on_either_side() {
    const EACH: u64 = 20_000;
    const PRODUCERS: u64 = 3;
    let (queue, bell, maker) = with_bell(64);
    let maker = &maker;
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || produce(queue, maker, producer << 32, EACH))
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| take_all(&queue, None, &seen));
        }
        scope.spawn(|| {
            while !take_all(&queue, POLL, &seen) {
                while !bell.rings() {
                    thread::yield_now();
                }
            }
        });
        producers.into_iter().for_each(|producer| producer.join().expect("no panic"));
        queue.close();
    });
    let mut seen = seen.into_inner().expect("not poisoned");
    for batch in &seen {
        for producer in 0..PRODUCERS {
            let own: Vec<_> = batch.iter().filter(|tag| *tag >> 32 == producer).collect();
            assert!(own.is_sorted(), "one producer's events are in order");
        }
    }
    let mut all: Vec<u64> = seen.drain(..).flatten().collect();
    all.sort_unstable();
    let kept = |n: &u64| n % 10 != 9;
    let expected: Vec<u64> =
        (0..PRODUCERS).flat_map(|p| (0..EACH).filter(kept).map(move |n| (p << 32) + n)).collect();
    assert_eq!(all, expected);
    assert_eq!(maker.drops() as u64, PRODUCERS * EACH);
    let stats = queue.stats();
    assert_eq!((stats.reserved, stats.queued, stats.stale), (0, 0, PRODUCERS * EACH / 10));
    assert!(stats.max_depth <= 64);
}

fn produce(queue: &Arc<Queue<Item>>, maker: &Maker, first: u64, count: u64) {
    for n in 0..count {
        let slot = loop {
            match queue.reserve() {
                Ok(slot) => break slot,
                Err(_) => thread::yield_now(),
            }
        };
        let mut item = maker.item(first + n);
        if n % 10 == 9 {
            item.stale = Arc::new(AtomicBool::new(true));
        }
        slot.fill(item);
    }
}

/// Takes until there is nothing, or the end, which it returns.
fn take_all(queue: &Queue<Item>, timeout: Option<Duration>, seen: &Mutex<Vec<Vec<u64>>>) -> bool {
    let mut batch = Vec::new();
    loop {
        let mut out = Vec::new();
        let taken = queue.take(&mut out, 7, timeout);
        batch.extend(tags(&out));
        if taken.end || taken.count == 0 {
            lock(seen).push(batch);
            return taken.end;
        }
    }
}
