//! Every interleaving of a few threads, to a bound: `make loom`.
//!
//! loom reports a thread that would sleep for ever as a deadlock, so most models need no assertion for
//! that: they end. Each model has at most four threads, the most that can be tried in a bearable time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::thread;

use crate::base::Code;
use crate::op::decision::{ask, ask_then};
use crate::op::operation::{Cause, Completer, Finished, Operation, Outcome, new};
use crate::op::queue::{Doorbell, Event, Queue};
use crate::op::queued;
use crate::op::sync::{Condvar, Mutex, lock};

const POLL: Option<Duration> = Some(Duration::ZERO);

/// Runs a model. `LOOM_MAX_PREEMPTIONS` overrides the bound.
pub(crate) fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(run);
}

pub(crate) fn join<const N: usize>(threads: [thread::JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A value whose copies are counted by its `Arc`; `None` is the fallback.
struct Value(#[allow(dead_code)] Option<Arc<()>>);

impl Outcome for Value {
    fn abandoned() -> Value {
        Value(None)
    }

    fn failure(&self) -> Option<Code> {
        None
    }
}

/// Counts without being part of the model.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

// ---- operation --------------------------------------------------------------------------------

/// An operation whose delivery counts.
fn counted(delivered: &Counter) -> (Operation<Value>, Completer<Value>) {
    let delivered = delivered.clone();
    new(Some(Box::new(move |_: Finished<Value>| delivered.add())))
}

#[test]
fn complete_cancel_and_free() {
    model(|| {
        let (token, delivered, hooks) = (Arc::new(()), Counter::default(), Counter::default());
        let (operation, completer) = counted(&delivered);
        let canceller = operation.canceller();
        let (value, hook) = (Value(Some(token.clone())), hooks.clone());
        let completes = thread::spawn(move || {
            completer.on_cancel(Box::new(move |_| hook.add()));
            completer.complete(value);
        });
        let cancels = thread::spawn(move || {
            if let Some(cancel) = canceller.upgrade() {
                cancel.cancel(Cause::ByHost);
            }
        });
        drop(operation);
        completes.join().unwrap();
        cancels.join().unwrap();
        assert!(delivered.get() <= 1 && hooks.get() <= 1);
        assert_eq!(Arc::strong_count(&token), 1, "the value is gone");
        assert_eq!(Arc::strong_count(&delivered.0), 1, "so is the delivery");
        assert_eq!(Arc::strong_count(&hooks.0), 1, "and the hook");
    });
}

#[test]
fn a_wish_always_meets_its_hook() {
    model(|| {
        let hooks = Counter::default();
        let (operation, completer) = new::<Value>(None);
        let hook = hooks.clone();
        let hooked = thread::spawn(move || {
            completer.on_cancel(Box::new(move |_| hook.add()));
            completer
        });
        operation.cancel(Cause::ByHost);
        let completer = hooked.join().unwrap();
        assert_eq!((hooks.get(), completer.is_cancelled()), (1, Some(Cause::ByHost)));
    });
}

#[test]
fn every_waiter_sees_the_end() {
    model(|| {
        let delivered = Counter::default();
        let (operation, completer) = counted(&delivered);
        let operation = Arc::new(operation);
        let other = operation.clone();
        let waits = thread::spawn(move || assert!(other.wait(None)));
        let frees = operation.clone();
        let frees = thread::spawn(move || frees.detach());
        let completes = thread::spawn(move || drop(completer));
        assert!(operation.wait(None));
        join([waits, frees, completes]);
    });
}

#[test]
fn handle_and_event_never_both_take() {
    model(|| {
        let taken = Counter::default();
        let by_event = taken.clone();
        let (operation, completer) = new(Some(Box::new(move |finished: Finished<Value>| {
            if finished.take().is_some() {
                by_event.add();
            }
        })));
        let completes = thread::spawn(move || completer.complete(Value(None)));
        operation.wait(None);
        if operation.take().is_some() {
            taken.add();
        }
        completes.join().unwrap();
        assert_eq!(taken.get(), 1);
    });
}

// ---- queue ------------------------------------------------------------------------------------

struct Item(u64);

impl Event for Item {
    fn is_stale(&self) -> bool {
        false
    }

    fn tag(&self) -> u64 {
        self.0
    }
}

impl Event for Finished<Value> {
    fn is_stale(&self) -> bool {
        Finished::is_stale(self)
    }

    fn tag(&self) -> u64 {
        0
    }
}

/// A descriptor: level is whether it is readable, edges is how often a write woke its poller.
#[derive(Default)]
struct Bell {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Doorbell for Bell {
    fn ring(&self) {
        let mut state = lock(&self.state);
        *state = (true, state.1 + 1);
        self.changed.notify_all();
    }

    fn clear(&self) {
        lock(&self.state).0 = false;
    }
}

impl Bell {
    fn wait_for_level(&self) {
        let mut state = lock(&self.state);
        while !state.0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Waits for more edges than were seen and returns how many there are.
    fn wait_for_edge(&self, seen: usize) -> usize {
        let mut state = lock(&self.state);
        while state.1 == seen {
            state = self.changed.wait(state).unwrap();
        }
        state.1
    }
}

fn fill(queue: &Arc<Queue<Item>>, tag: u64) {
    queue.reserve().expect("room").fill(Item(tag));
}

/// Takes one at a time, asleep in between, to the end of the queue.
fn take_asleep(queue: &Queue<Item>) -> u64 {
    let mut out = Vec::new();
    while !queue.take(&mut out, 1, None).end {}
    out.iter().map(Event::tag).sum()
}

/// Takes `max` at a time, and only while the bell rings, to the end of the queue.
fn take_by_level(queue: &Queue<Item>, bell: &Bell, max: usize) -> u64 {
    let mut out = Vec::new();
    loop {
        bell.wait_for_level();
        if queue.take(&mut out, max, POLL).end {
            return out.iter().map(Event::tag).sum();
        }
    }
}

/// Takes until nothing is left, only after an edge, to the end of the queue.
fn take_by_edge(queue: &Queue<Item>, bell: &Bell, max: usize) -> u64 {
    let (mut out, mut seen) = (Vec::new(), 0);
    loop {
        seen = bell.wait_for_edge(seen);
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

fn belled(capacity: usize) -> (Arc<Queue<Item>>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    (Queue::new(capacity, Some(bell.clone())), bell)
}

/// Two producers, two takers, the end: nobody sleeps on, nothing is lost, nothing comes twice.
fn two_by_two(queue: Arc<Queue<Item>>, first: impl Taker, second: impl Taker) {
    let (for_first, for_second, for_producer) = (queue.clone(), queue.clone(), queue.clone());
    let first = thread::spawn(move || first(&for_first));
    let second = thread::spawn(move || second(&for_second));
    let producer = thread::spawn(move || fill(&for_producer, 1));
    fill(&queue, 2);
    producer.join().unwrap();
    queue.close();
    assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
}

trait Taker: FnOnce(&Queue<Item>) -> u64 + Send + 'static {}
impl<F: FnOnce(&Queue<Item>) -> u64 + Send + 'static> Taker for F {}

#[test]
fn two_producers_two_sleeping_takers() {
    model(|| two_by_two(Queue::new(2, None), take_asleep, take_asleep));
}

/// A taker that is busy with one event must not keep the next from one that sleeps.
#[test]
fn each_sleeping_taker_gets_one() {
    model(|| {
        let queue = Queue::new(2, None);
        let takers = [(); 2].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.take(&mut Vec::new(), 1, None).count, 1))
        });
        fill(&queue, 1);
        fill(&queue, 2);
        join(takers);
    });
}

#[test]
fn two_producers_two_takers_by_level() {
    model(|| {
        let (queue, bell) = belled(2);
        let other = bell.clone();
        two_by_two(
            queue,
            move |queue: &_| take_by_level(queue, &bell, 1),
            move |queue: &_| take_by_level(queue, &other, 1),
        );
    });
}

#[test]
fn two_producers_a_sleeping_taker_and_one_by_level() {
    model(|| {
        let (queue, bell) = belled(2);
        two_by_two(queue, take_asleep, move |queue: &_| take_by_level(queue, &bell, 4));
    });
}

#[test]
fn two_producers_one_taker_by_edge() {
    model(|| {
        let (queue, bell) = belled(2);
        let (first, second) = (queue.reserve().expect("room"), queue.reserve().expect("room"));
        let closer = queue.clone();
        let producers = [
            thread::spawn(move || first.fill(Item(1))),
            thread::spawn(move || {
                second.fill(Item(2));
                closer.close();
            }),
        ];
        assert_eq!(take_by_edge(&queue, &bell, 1), 3);
        join(producers);
    });
}

/// The smallest model of the protocol: who looks only when it rings must hear of every event.
#[test]
fn fill_while_arming() {
    model(|| {
        let (queue, bell) = belled(2);
        fill(&queue, 1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || fill(&queue, 2))
        };
        let mut out = Vec::new();
        while out.len() < 2 {
            bell.wait_for_level();
            queue.take(&mut out, 4, POLL);
        }
        producer.join().unwrap();
    });
}

#[test]
fn a_bell_attached_while_filling() {
    model(|| {
        let (queue, bell) = (Queue::new(2, None), Arc::new(Bell::default()));
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || fill(&queue, 1))
        };
        queue.attach(bell.clone());
        bell.wait_for_level();
        assert_eq!(queue.take(&mut Vec::new(), 1, POLL).count, 1);
        producer.join().unwrap();
    });
}

#[test]
fn slot_drop_and_close_and_take() {
    model(|| {
        let (queue, bell) = belled(2);
        let slot = queue.reserve().expect("room");
        let drops = thread::spawn(move || drop(slot));
        let asleep = {
            let queue = queue.clone();
            thread::spawn(move || take_asleep(&queue))
        };
        let by_level = {
            let queue = queue.clone();
            thread::spawn(move || take_by_level(&queue, &bell, 1))
        };
        queue.close();
        drops.join().unwrap();
        assert_eq!((asleep.join().unwrap(), by_level.join().unwrap()), (0, 0));
    });
}

// ---- operation and queue ----------------------------------------------------------------------

/// A thread that works until it is asked to end.
fn work_until_asked(completer: Completer<Value>) {
    let asked = Arc::new((Mutex::new(false), Condvar::new()));
    let hook = asked.clone();
    completer.on_cancel(Box::new(move |_| {
        *lock(&hook.0) = true;
        hook.1.notify_one();
    }));
    let mut is_asked = lock(&asked.0);
    while !*is_asked {
        is_asked = asked.1.wait(is_asked).unwrap();
    }
    drop(is_asked);
    completer.complete(Value(None));
}

/// The close finds the operation wherever its start is: the event comes, then the end.
#[test]
fn close_ends_what_is_starting() {
    model(|| {
        let queue = Queue::<Finished<Value>>::new(1, None);
        let slot = queue.reserve().expect("room");
        let closer = queue.clone();
        let closes = thread::spawn(move || closer.close());
        let works = thread::spawn(move || {
            let (operation, completer) = queued(slot, 7, |finished| finished);
            operation.forget_handle();
            work_until_asked(completer);
        });
        let mut out = Vec::new();
        while !queue.take(&mut out, 2, None).end {}
        assert_eq!(out.len(), 1);
        join([closes, works]);
    });
}

#[test]
fn a_tag_ends_what_it_names() {
    model(|| {
        let queue = Queue::<Finished<Value>>::new(1, None);
        let (operation, completer) = queued(queue.reserve().expect("room"), 7, |finished| finished);
        operation.forget_handle();
        let works = thread::spawn(move || work_until_asked(completer));
        assert_eq!(queue.cancel_tag(7), 1);
        assert_eq!(queue.take(&mut Vec::new(), 1, None).count, 1);
        works.join().unwrap();
    });
}

/// Free against complete against take: the slot is free again, the value is gone, the end comes.
#[test]
fn free_and_complete_and_take() {
    model(|| {
        let token = Arc::new(());
        let queue = Queue::<Finished<Value>>::new(1, None);
        let (operation, completer) = queued(queue.reserve().expect("room"), 7, |finished| finished);
        let value = Value(Some(token.clone()));
        let completes = thread::spawn(move || completer.complete(value));
        let taker = queue.clone();
        let takes = thread::spawn(move || while !taker.take(&mut Vec::new(), 1, None).end {});
        drop(operation);
        queue.close();
        join([completes, takes]);
        let stats = queue.stats();
        assert_eq!((stats.reserved, stats.queued), (0, 0));
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

/// What is freed before a take starts is not seen by it.
#[test]
fn a_take_after_free_skips() {
    model(|| {
        let queue = Queue::<Finished<Value>>::new(1, None);
        let (operation, completer) = queued(queue.reserve().expect("room"), 7, |finished| finished);
        let completes = thread::spawn(move || completer.complete(Value(None)));
        drop(operation);
        assert_eq!(queue.take(&mut Vec::new(), 1, POLL).count, 0);
        completes.join().unwrap();
        assert_eq!(queue.take(&mut Vec::new(), 1, POLL).count, 0);
        assert_eq!(queue.stats().reserved, 0);
    });
}

// ---- decision ---------------------------------------------------------------------------------

#[test]
fn answer_and_expire_and_drop() {
    model(|| {
        let (answers, token) = (Counter::default(), Arc::new(()));
        let counted = answers.clone();
        let (decision, expiry) = ask_then((), token.clone(), move |_| counted.add());
        let decision = Arc::new(decision);
        let (other, answer) = (decision.clone(), token.clone());
        let answers_it = thread::spawn(move || {
            let _ = other.answer(answer);
        });
        let expires = thread::spawn(move || expiry.expire());
        drop(decision);
        join([answers_it, expires]);
        assert_eq!((answers.get(), Arc::strong_count(&token)), (1, 1));
    });
}

#[test]
fn a_waiting_asker_hears_an_answer_or_a_drop() {
    model(|| {
        let (decision, answer) = ask((), 1);
        let host = thread::spawn(move || decision.answer(2));
        let answered = answer.wait(None);
        assert_eq!(host.join().unwrap(), Ok(()));
        assert_eq!(answered, 2);

        let (decision, answer) = ask((), 1);
        let host = thread::spawn(move || decision.answer(2));
        let answered = answer.wait(POLL);
        assert_eq!(host.join().unwrap().is_ok(), answered == 2);
    });
}
