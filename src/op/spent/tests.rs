use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::op::turn;

/// Things that are gone once the count is 1 again.
fn batch(thing: &Arc<()>, count: usize) -> Spent {
    let mut spent = Spent::with_capacity(count);
    (0..count).for_each(|_| spent.push(Box::new(Arc::clone(thing))));
    spent
}

/// Waits until nobody else has it: another test's thread may be the one that drops it.
fn is_gone(thing: &Arc<()>) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(thing) > 1 && Instant::now() < end {
        thread::yield_now();
    }
    Arc::strong_count(thing) == 1
}

/// One test, because the shelf is the process's.
#[test]
fn what_is_spent_is_dropped_by_a_thread_on_turns_or_at_once() {
    let (small, large) = (Arc::new(()), Arc::new(()));
    let (tell, told) = mpsc::channel();
    let (answer, heard) = mpsc::channel::<()>();
    let on_turns = thread::spawn(move || {
        let turns = turn::turns();
        tell.send(()).unwrap();
        heard.recv().unwrap();
        turn::over();
        tell.send(()).unwrap();
        heard.recv().unwrap();
        drop(turns);
    });
    told.recv().unwrap();
    drop(batch(&large, MOST_SPENT + 1));
    assert_eq!(Arc::strong_count(&large), 1, "too much for the shelf");
    drop(batch(&small, 3));
    answer.send(()).unwrap();
    told.recv().unwrap();
    assert!(is_gone(&small), "the turn was over");
    drop(batch(&small, 3));
    answer.send(()).unwrap();
    on_turns.join().unwrap();
    assert!(is_gone(&small), "the thread is no longer on turns");
}
