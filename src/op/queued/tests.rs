use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::{Error, Result};
use crate::op::operation::Cause;
use crate::op::queue::{Event, Queue, QueueError};

const POLL: Option<Duration> = Some(Duration::ZERO);

type Value = Result<u32, Error>;

/// What the ABI makes an event of.
struct Done {
    tag: u64,
    finished: Finished<Value>,
}

impl Event for Done {
    fn is_stale(&self) -> bool {
        self.finished.is_stale()
    }

    fn tag(&self) -> u64 {
        self.tag
    }
}

fn start(queue: &Arc<Queue<Done>>, tag: u64) -> (Operation<Value>, Completer<Value>) {
    let slot = queue.reserve().expect("room");
    queued(slot, tag, move |finished| Done { tag, finished })
}

fn take(queue: &Queue<Done>) -> Vec<(u64, Option<u32>)> {
    let mut out = Vec::new();
    queue.take(&mut out, 10, POLL);
    out.into_iter().map(|done| (done.tag, done.finished.take().and_then(Result::ok))).collect()
}

#[test]
fn every_end_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<(Operation<Value>, Completer<Value>, Finished<Value>, Queue<Done>)>();
}

#[test]
fn ends_come_in_the_order_in_which_they_happen() {
    let queue = Queue::new(2, None);
    let (first, first_completer) = start(&queue, 1);
    let (second, second_completer) = start(&queue, 2);
    assert_eq!(queue.reserve().err(), Some(QueueError::Full));
    second_completer.complete(Ok(20));
    first_completer.complete(Ok(10));
    assert!(first.is_done() && second.is_done());
    assert_eq!(take(&queue), [(2, Some(20)), (1, Some(10))]);
}

#[test]
fn freed_while_pending_the_slot_is_free_at_once() {
    let queue = Queue::new(1, None);
    let (operation, completer) = start(&queue, 1);
    drop(operation);
    let again = start(&queue, 2);
    completer.complete(Ok(10));
    again.1.complete(Ok(20));
    assert_eq!(take(&queue), [(2, Some(20))]);
}

#[test]
fn freed_when_done_the_event_is_skipped() {
    let queue = Queue::new(2, None);
    let (operation, completer) = start(&queue, 1);
    completer.complete(Ok(10));
    drop(operation);
    assert_eq!(take(&queue), []);
    let stats = queue.stats();
    assert_eq!((stats.reserved, stats.queued, stats.stale), (0, 0, 1));
}

#[test]
fn without_a_handle_the_tag_asks_and_the_event_has_the_value() {
    let queue = Queue::new(2, None);
    let (operation, completer) = start(&queue, 7);
    operation.forget_handle();
    assert_eq!((queue.cancel_tag(7), queue.cancel_tag(8)), (1, 0));
    assert_eq!(completer.is_cancelled(), Some(Cause::ByHost));
    completer.complete(Ok(10));
    assert_eq!(queue.cancel_tag(7), 0, "it has ended");
    assert_eq!(take(&queue), [(7, Some(10))]);
}

#[test]
fn close_asks_and_the_ends_still_come() {
    let queue = Queue::new(2, None);
    let (_first, answered) = start(&queue, 1);
    let (_second, abandoned) = start(&queue, 2);
    queue.close();
    assert_eq!(answered.is_cancelled(), Some(Cause::Closed));
    answered.complete(Ok(10));
    drop(abandoned);
    assert_eq!(take(&queue), [(1, Some(10)), (2, None)]);
    assert!(queue.take(&mut Vec::new(), 1, None).end);
}

#[test]
fn a_slot_reserved_before_the_close_starts_as_asked() {
    let queue = Queue::new(1, None);
    let slot = queue.reserve().expect("room");
    queue.close();
    let (_operation, completer) = queued(slot, 1, |finished: Finished<Value>| Done { tag: 1, finished });
    assert_eq!(completer.is_cancelled(), Some(Cause::Closed));
}
