//! Answers that wait: one thread for all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs at their time. How many wait is bounded by the server's requests in flight.
pub struct Timer(Sender<Waiting>);

struct Waiting {
    at: Instant,
    job: Job,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.at == other.at
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Timer {
    pub fn start() -> Timer {
        let (sender, receiver) = mpsc::channel::<Waiting>();
        thread::spawn(move || {
            let mut waiting: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
            loop {
                let now = Instant::now();
                while waiting.peek().is_some_and(|Reverse(first)| first.at <= now) {
                    if let Some(Reverse(due)) = waiting.pop() {
                        (due.job)();
                    }
                }
                let next = waiting.peek().map(|Reverse(first)| first.at.saturating_duration_since(now));
                match receiver.recv_timeout(next.unwrap_or(Duration::MAX)) {
                    Ok(more) => waiting.push(Reverse(more)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Timer(sender)
    }

    pub fn after(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        // The thread lives as long as the sender, and a delay too long to count never ends.
        if let Some(at) = Instant::now().checked_add(delay) {
            let _ = self.0.send(Waiting { at, job: Box::new(job) });
        }
    }
}
