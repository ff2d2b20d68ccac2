//! The pool of threads that run handlers, where blocking is allowed.
//!
//! Threads start when work waits and all others are busy, up to a limit, and end after having been
//! idle for a while. Nothing in the core waits for a free one.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::base::lock::{Condvar, Mutex};
use crate::base::log::{Level, Log};
use crate::base::panic;
use crate::io::clock;
use crate::io::thread::{self, Role};
use crate::io::timer;

/// A piece of work. What bounds their number is the in-flight limit of whoever submits them.
pub type Job = Box<dyn FnOnce() + Send>;

/// How long a thread above the core ones waits for work before it ends.
const IDLE_LIFE: Duration = Duration::from_secs(10);

/// The pool. Dropping it lets running jobs finish.
#[derive(Debug)]
pub struct Workers {
    // `None` once the pool is closed.
    jobs: Mutex<Option<Sender<Job>>>,
    crew: Arc<Crew>,
}

#[derive(Debug)]
struct Crew {
    queue: Receiver<Job>,
    threads: Mutex<usize>,
    /// One of `threads` has ended.
    left: Condvar,
    /// Threads that want a job minus jobs that want a thread. Each side counts before it can meet the
    /// other: a job that finds no thread for itself alone starts one, and none is promised to two jobs.
    spare: AtomicIsize,
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
            threads: Mutex::new(0),
            left: Condvar::new(),
            spare: AtomicIsize::new(0),
            started: AtomicUsize::new(0),
            limit: limit.max(1),
            name,
            handles: Mutex::new(Vec::new()),
            log,
        };
        Workers { jobs: Mutex::new(Some(jobs)), crew: Arc::new(crew) }
    }

    /// Runs a job on a thread of the pool. Gives it back after [`Workers::close`], and if there is no
    /// thread at all and the system refuses one.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let Some(jobs) = self.jobs.lock().clone() else { return Err(job) };
        // Counted first: a thread that is about to leave stays, so whoever finds one may rely on it.
        if self.crew.spare.fetch_sub(1, Ordering::AcqRel) <= 0 && !Crew::hire(&self.crew) {
            self.crew.spare.fetch_add(1, Ordering::AcqRel);
            return Err(job);
        }
        // The crew holds a receiver, so the channel is open.
        let _ = jobs.send(job);
        Ok(())
    }

    /// Takes no more jobs. Those that are queued are still run, and the threads end after them.
    pub fn retire(&self) {
        self.jobs.lock().take();
    }

    /// Whether nothing is left of it but itself.
    pub fn has_ended(&self) -> bool {
        self.jobs.lock().is_none() && *self.crew.threads.lock() == 0
    }

    /// Lets queued jobs finish and waits for that, for ever or for `patience`; a thread whose job takes
    /// longer ends with it. Waits for nothing on one of the core's own threads.
    pub fn close(&self, patience: Option<Duration>) {
        self.jobs.lock().take();
        let handles = std::mem::take(&mut *self.crew.handles.lock());
        if thread::role().is_none() && self.crew.wait_empty(patience) {
            for handle in handles {
                let _ = handle.join();
            }
        }
    }
}

impl Crew {
    /// Starts one more thread, up to the limit. False if there is none that could do the work.
    fn hire(crew: &Arc<Crew>) -> bool {
        {
            let mut threads = crew.threads.lock();
            if *threads >= crew.limit {
                return true;
            }
            *threads += 1;
        }
        let number = crew.started.fetch_add(1, Ordering::Relaxed);
        let member = Arc::clone(crew);
        match thread::spawn(format!("{}{number}", crew.name), Role::Work, move || member.work()) {
            Ok(handle) => {
                let mut handles = crew.handles.lock();
                handles.retain(|handle| !handle.is_finished());
                handles.push(handle);
                true
            }
            Err(error) => {
                // Work waits for the threads that there are.
                crew.leave();
                crew.log.write(Level::Error, "workers", format_args!("{error}"));
                *crew.threads.lock() > 0
            }
        }
    }

    fn work(&self) {
        self.spare.fetch_add(1, Ordering::AcqRel);
        loop {
            match timer::receive(&self.queue, IDLE_LIFE) {
                Ok(job) => {
                    // Whoever waits for its outcome hears of it by what the job drops.
                    let _ = panic::logged(&self.log, "workers", job);
                    self.spare.fetch_add(1, Ordering::AcqRel);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // Unless a job counts on this thread and is about to arrive.
                Err(RecvTimeoutError::Timeout) => {
                    let leave = |spare| (spare > 0).then_some(spare - 1);
                    if self.spare.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave).is_ok() {
                        break;
                    }
                }
            }
        }
        self.leave();
    }

    fn leave(&self) {
        *self.threads.lock() -= 1;
        self.left.notify_all();
    }

    /// Waits until all threads have ended, or are about to. False if that takes too long.
    fn wait_empty(&self, patience: Option<Duration>) -> bool {
        let deadline = patience.and_then(|patience| clock::now().checked_add(patience));
        let mut threads = self.threads.lock();
        while *threads > 0 {
            let left = deadline.map(|at| at.saturating_duration_since(clock::now()));
            threads = match left {
                None => self.left.wait(threads),
                Some(Duration::ZERO) => return false,
                Some(left) => self.left.wait_for(threads, left),
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const BOUND: Duration = Duration::from_secs(10);

    fn pool(limit: usize) -> Workers {
        Workers::new("krpc-test-", limit, crate::base::log::global())
    }

    fn submit(workers: &Workers, job: impl FnOnce() + Send + 'static) {
        assert!(workers.submit(Box::new(job)).is_ok());
    }

    fn spin_until(condition: impl Fn() -> bool) {
        while !condition() {
            std::hint::spin_loop();
        }
    }

    /// The second job comes when the first has left the queue, and the only thread has perhaps not begun
    /// it: it must not count on that thread, which waits for it.
    #[test]
    fn no_thread_is_promised_to_two_jobs() {
        for _ in 0..200 {
            let workers = pool(2);
            submit(&workers, || {});
            spin_until(|| workers.crew.spare.load(Ordering::Acquire) == 1);
            let (go, gone) = mpsc::channel();
            let (done, finished) = mpsc::channel();
            submit(&workers, move || {
                gone.recv_timeout(BOUND).expect("the second job runs beside the first");
                done.send(()).expect("the test waits");
            });
            spin_until(|| workers.crew.queue.is_empty());
            submit(&workers, move || go.send(()).expect("the first job waits"));
            finished.recv_timeout(BOUND).expect("both ran");
            workers.close(None);
        }
    }

    #[test]
    fn jobs_beyond_the_limit_wait_and_all_run() {
        let workers = pool(3);
        let (done, finished) = mpsc::channel();
        for number in 0..1000 {
            let done = done.clone();
            submit(&workers, move || done.send(number).expect("the test waits"));
        }
        workers.close(None);
        assert_eq!(finished.try_iter().count(), 1000);
        assert!(workers.crew.started.load(Ordering::Relaxed) <= 3);
        assert!(workers.submit(Box::new(|| ())).is_err(), "the pool is closed");
    }

    #[test]
    fn an_impatient_close_leaves_running_jobs_alone() {
        let workers = pool(1);
        let (go, gone) = mpsc::channel::<()>();
        let (done, finished) = mpsc::channel();
        submit(&workers, move || {
            let _ = gone.recv_timeout(BOUND);
            done.send(()).expect("the test waits");
        });
        workers.close(Some(Duration::from_millis(1)));
        drop(go);
        finished.recv_timeout(BOUND).expect("the job goes on");
        workers.close(None);
    }
}
