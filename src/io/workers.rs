//! The pool of threads that run handlers, where blocking is allowed.
//!
//! Threads start when work waits and all others are busy, up to a limit, and end after having been
//! idle for a while. Nothing in the core waits for a free one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use crate::base::log::{Level, Log};
use crate::io::thread::{self, Role};

/// A piece of work. What bounds their number is the in-flight limit of whoever submits them.
pub type Job = Box<dyn FnOnce() + Send>;

/// How long a thread above the core ones waits for work before it ends.
const IDLE_LIFE: Duration = Duration::from_secs(10);

/// The pool. Dropping it lets running jobs finish.
#[derive(Debug)]
pub struct Workers {
    // Only `None` while the pool is being closed.
    jobs: Mutex<Option<Sender<Job>>>,
    crew: Arc<Crew>,
}

#[derive(Debug)]
struct Crew {
    queue: Receiver<Job>,
    threads: AtomicUsize,
    idle: AtomicUsize,
    started: AtomicUsize,
    limit: usize,
    name: &'static str,
    handles: Mutex<Vec<JoinHandle<()>>>,
    log: Log,
}

impl Workers {
    /// A pool without threads yet, named `name` and a number, of at most `limit` (at least 1).
    pub fn new(name: &'static str, limit: usize, log: Log) -> Workers {
        let (jobs, queue) = crossbeam_channel::unbounded();
        let crew = Crew {
            queue,
            threads: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            limit: limit.max(1),
            name,
            handles: Mutex::new(Vec::new()),
            log,
        };
        Workers { jobs: Mutex::new(Some(jobs)), crew: Arc::new(crew) }
    }

    /// Runs a job on a thread of the pool; after [`Workers::close`] on this one, so that it always runs.
    pub fn submit(&self, job: Job) {
        let Some(jobs) = self.jobs.lock().clone() else { return job() };
        // The crew holds a receiver, so the channel is open.
        let _ = jobs.send(job);
        if self.crew.queue.len() > self.crew.idle.load(Ordering::Acquire) {
            Crew::hire(&self.crew);
        }
    }

    /// Lets queued jobs finish and joins the threads, unless called on one of the core's own.
    pub fn close(&self) {
        self.jobs.lock().take();
        let handles = std::mem::take(&mut *self.crew.handles.lock());
        if thread::role().is_none() {
            for handle in handles {
                let _ = handle.join();
            }
        }
    }
}

impl Crew {
    fn hire(crew: &Arc<Crew>) {
        let room = crew.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, |threads| {
            (threads < crew.limit).then_some(threads + 1)
        });
        if room.is_err() {
            return;
        }
        let number = crew.started.fetch_add(1, Ordering::Relaxed);
        let member = Arc::clone(crew);
        match thread::spawn(format!("{}{number}", crew.name), Role::Work, move || member.work()) {
            Ok(handle) => {
                let mut handles = crew.handles.lock();
                handles.retain(|handle| !handle.is_finished());
                handles.push(handle);
            }
            Err(error) => {
                // Work waits for the threads that there are; with none, the next submit tries again.
                crew.threads.fetch_sub(1, Ordering::AcqRel);
                crew.log.write(Level::Error, "workers", format_args!("{error}"));
            }
        }
    }

    fn work(&self) {
        loop {
            self.idle.fetch_add(1, Ordering::AcqRel);
            let next = self.queue.recv_timeout(IDLE_LIFE);
            self.idle.fetch_sub(1, Ordering::AcqRel);
            match next {
                Ok(job) => job(),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // A job sent after the wait ended would see one idle thread too many.
                    match self.queue.try_recv() {
                        Ok(job) => job(),
                        Err(_) => break,
                    }
                }
            }
        }
        self.threads.fetch_sub(1, Ordering::AcqRel);
    }
}
