use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::thread;

use super::*;

const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_secs(20);

/// Counts its drops; made by `abandoned` it has no counter.
struct Value(u32, Option<Arc<AtomicUsize>>);

impl Outcome for Value {
    fn abandoned() -> Value {
        Value(0, None)
    }

    fn failure(&self) -> Option<Code> {
        (self.0 == 0).then_some(Code::Internal)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(drops) = &self.1 {
            drops.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Sees whether it is delivered or dropped.
struct Probe {
    delivered: mpsc::Sender<Finished<Value>>,
    dropped: Arc<AtomicUsize>,
}

impl Deliver<Value> for Probe {
    fn deliver(self: Box<Self>, finished: Finished<Value>) {
        let _ = self.delivered.send(finished);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    operation: Operation<Value>,
    completer: Completer<Value>,
    delivered: mpsc::Receiver<Finished<Value>>,
    deliveries_dropped: Arc<AtomicUsize>,
    values_dropped: Arc<AtomicUsize>,
}

fn world() -> World {
    let (sender, delivered) = mpsc::channel();
    let deliveries_dropped = Arc::default();
    let probe = Probe { delivered: sender, dropped: Arc::clone(&deliveries_dropped) };
    let (operation, completer) = new(Some(Box::new(probe)));
    World { operation, completer, delivered, deliveries_dropped, values_dropped: Arc::default() }
}

impl World {
    fn value(&self, number: u32) -> Value {
        Value(number, Some(self.values_dropped.clone()))
    }
}

fn count(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::SeqCst)
}

/// A hook that counts, and the causes that it saw.
fn hook() -> (CancelHook, mpsc::Receiver<Cause>) {
    let (sender, causes) = mpsc::channel();
    (Box::new(move |cause| sender.send(cause).expect("a listener")), causes)
}

#[test]
fn the_end_is_delivered_once_and_the_value_taken_once() {
    let w = world();
    assert!(!w.operation.is_done());
    assert!(!w.operation.wait(Some(Duration::ZERO)));
    assert!(w.operation.take().is_none());
    let value = w.value(7);
    w.completer.complete(value);
    assert!(w.operation.is_done() && w.operation.wait(None));
    let finished = w.delivered.try_recv().expect("a delivery");
    assert!(!finished.is_stale());
    assert_eq!(finished.take().map(|value| value.0), Some(7));
    assert!(w.operation.take().is_none());
    assert!(w.delivered.try_recv().is_err());
    assert_eq!((count(&w.deliveries_dropped), count(&w.values_dropped)), (1, 1));
}

#[test]
fn the_handle_may_take_the_value_before_the_event() {
    let w = world();
    let value = w.value(7);
    w.completer.complete(value);
    assert!(w.operation.take().is_some());
    assert!(w.delivered.try_recv().expect("a delivery").take().is_none());
}

#[test]
fn cancel_only_asks_and_the_first_cause_counts() {
    let w = world();
    let (hook, causes) = hook();
    w.completer.on_cancel(hook);
    assert_eq!(w.completer.is_cancelled(), None);
    w.operation.cancel(Cause::Deadline);
    w.operation.cancel(Cause::ByHost);
    assert_eq!(causes.try_iter().collect::<Vec<_>>(), [Cause::Deadline]);
    assert_eq!(w.completer.is_cancelled(), Some(Cause::Deadline));
    assert!(!w.operation.is_done());
    let value = w.value(1);
    w.completer.complete(value);
    assert!(w.operation.take().is_some(), "its real result came first");
}

#[test]
fn a_hook_set_after_the_wish_runs_at_once() {
    let w = world();
    w.operation.cancel(Cause::Closed);
    for _ in 0..2 {
        let (hook, causes) = hook();
        w.completer.on_cancel(hook);
        assert_eq!(causes.try_recv(), Ok(Cause::Closed));
    }
}

#[test]
fn a_later_hook_takes_the_place_of_an_earlier_one() {
    let w = world();
    let (first, first_causes) = hook();
    let (second, second_causes) = hook();
    w.completer.on_cancel(first);
    w.completer.on_cancel(second);
    assert_eq!(first_causes.try_recv(), Err(mpsc::TryRecvError::Disconnected), "dropped");
    w.operation.cancel(Cause::ByHost);
    assert_eq!(second_causes.try_recv(), Ok(Cause::ByHost));
}

#[test]
fn the_end_drops_the_hook_and_later_wishes_do_nothing() {
    let w = world();
    let (hook, causes) = hook();
    w.completer.on_cancel(hook);
    let canceller = w.operation.canceller();
    let value = w.value(1);
    w.completer.complete(value);
    assert_eq!(causes.try_recv(), Err(mpsc::TryRecvError::Disconnected), "dropped");
    w.operation.cancel(Cause::ByHost);
    canceller.upgrade().expect("the handle keeps it").cancel(Cause::ByHost);
}

#[test]
fn a_hook_may_complete_its_own_operation() {
    let (operation, completer) = new::<Value>(None);
    let completer = Arc::new(std::sync::Mutex::new(Some(completer)));
    let inner = completer.clone();
    let on_cancel: CancelHook = Box::new(move |_| {
        let completer = inner.lock().expect("not poisoned").take().expect("pending");
        completer.complete(Value(9, None));
    });
    let guard = completer.lock().expect("not poisoned");
    guard.as_ref().expect("pending").on_cancel(on_cancel);
    drop(guard);
    operation.cancel(Cause::ByHost);
    assert_eq!(operation.take().map(|value| value.0), Some(9));
}

#[test]
fn freed_while_pending_nothing_is_delivered() {
    let w = world();
    let (hook, causes) = hook();
    w.completer.on_cancel(hook);
    let value = w.value(1);
    drop(w.operation);
    assert_eq!(count(&w.deliveries_dropped), 1, "the slot or destroy function is released at once");
    assert_eq!(causes.try_recv(), Ok(Cause::CallerGone));
    assert_eq!(w.completer.is_cancelled(), Some(Cause::CallerGone));
    w.completer.complete(value);
    assert_eq!(count(&w.values_dropped), 1);
    assert!(w.delivered.try_recv().is_err());
}

#[test]
fn freed_after_a_wish_keeps_the_first_cause() {
    let w = world();
    w.operation.cancel(Cause::Deadline);
    drop(w.operation);
    assert_eq!(w.completer.is_cancelled(), Some(Cause::Deadline));
}

#[test]
fn freed_when_done_the_event_is_stale_and_still_owns_its_value() {
    let w = world();
    let value = w.value(1);
    w.completer.complete(value);
    let finished = w.delivered.try_recv().expect("a delivery");
    drop(w.operation);
    assert!(finished.is_stale());
    assert_eq!(count(&w.values_dropped), 0, "a taken event owns what it carries");
    drop(finished);
    assert_eq!(count(&w.values_dropped), 1);
}

#[test]
fn detach_twice_is_once_and_waiters_see_the_end() {
    let w = world();
    w.operation.detach();
    w.operation.detach();
    assert!(!w.operation.wait(Some(SOON)));
    let value = w.value(1);
    thread::scope(|scope| {
        scope.spawn(|| w.completer.complete(value));
        assert!(w.operation.wait(Some(LATE)));
    });
    assert!(w.operation.take().is_none());
    assert_eq!(count(&w.values_dropped), 1);
}

#[test]
fn a_forgotten_handle_keeps_the_delivery() {
    let w = world();
    let canceller = w.completer.canceller();
    w.operation.forget_handle();
    assert_eq!((count(&w.deliveries_dropped), w.completer.is_cancelled()), (0, None));
    canceller.upgrade().expect("the core keeps it").cancel(Cause::ByHost);
    let value = Value(3, Some(w.values_dropped.clone()));
    w.completer.complete(value);
    let finished = w.delivered.try_recv().expect("a delivery");
    assert!(!finished.is_stale());
    assert_eq!(finished.take().map(|value| value.0), Some(3));
    assert!(canceller.upgrade().is_none());
}

#[test]
fn a_value_is_sole_only_without_a_handle() {
    let w = world();
    let value = w.value(7);
    w.completer.complete(value);
    let finished = w.delivered.try_recv().expect("a delivery");
    let finished = finished.into_sole().err().expect("the handle may still take it");
    assert!(!finished.is_stale());
    w.operation.detach();
    let finished = finished.into_sole().err().expect("the handle is there");
    drop(w.operation);
    let finished = finished.into_sole().err().expect("the host wants none of it");
    assert!(finished.is_stale());
    drop(finished);
    assert_eq!(count(&w.values_dropped), 1);

    let w = world();
    let value = w.value(8);
    w.operation.forget_handle();
    w.completer.complete(value);
    let finished = w.delivered.try_recv().expect("a delivery");
    assert_eq!(finished.into_sole().ok().map(|value| value.0), Some(8));
}

#[test]
fn an_abandoned_operation_ends_with_the_fallback() {
    let w = world();
    drop(w.completer);
    assert!(w.operation.is_done());
    let finished = w.delivered.try_recv().expect("a delivery");
    assert_eq!(finished.take().map(|value| value.0), Some(0));

    let (operation, completer) = new::<Result<u32, Error>>(None);
    drop(completer);
    let error = operation.take().expect("a value").expect_err("an error");
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn a_wish_during_the_start_is_seen() {
    let (_operation, completer) = new_with::<Value>(|cancel| {
        cancel.upgrade().expect("it exists").cancel(Cause::Closed);
        None
    });
    assert_eq!(completer.is_cancelled(), Some(Cause::Closed));
}

#[test]
fn many_threads_wait_and_a_timeout_takes_nothing() {
    let w = world();
    assert!(!w.operation.wait(Some(SOON)));
    let value = w.value(5);
    thread::scope(|scope| {
        for timeout in [None, None, Some(LATE), Some(Duration::MAX)] {
            let operation = &w.operation;
            scope.spawn(move || assert!(operation.wait(timeout)));
        }
        thread::sleep(SOON);
        w.completer.complete(value);
    });
    assert!(w.operation.take().is_some());
}

/// Each way to end, at the same time as each other.
#[test]
fn complete_cancel_free_and_wait_at_once() {
    const ROUNDS: usize = 3_000;
    let (values_dropped, deliveries_dropped) = (Arc::default(), Arc::default());
    let (sender, delivered) = mpsc::channel();
    for round in 0..ROUNDS {
        let probe = Probe { delivered: sender.clone(), dropped: Arc::clone(&deliveries_dropped) };
        let (operation, completer) = new(Some(Box::new(probe)));
        let value = Value(1, Some(Arc::clone(&values_dropped)));
        let canceller = operation.canceller();
        thread::scope(|scope| {
            scope.spawn(move || {
                completer.on_cancel(Box::new(drop));
                if round % 3 == 0 {
                    drop((completer, value));
                } else {
                    completer.complete(value);
                }
            });
            scope.spawn(move || canceller.upgrade().map(|cancel| cancel.cancel(Cause::ByHost)));
            if round % 2 == 0 {
                operation.wait(None);
                assert!(operation.is_done());
            }
            drop(operation);
        });
        for finished in delivered.try_iter() {
            assert!(finished.is_stale());
        }
    }
    assert_eq!((count(&values_dropped), count(&deliveries_dropped)), (ROUNDS, ROUNDS));
}
