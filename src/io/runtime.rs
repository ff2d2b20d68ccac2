//! A runtime: shards that drive sockets, and workers that run handlers.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::base::fork::PerProcess;
use crate::base::lock::{Condvar, Mutex};
use crate::base::log::{self, Level, Log};
use crate::base::{Code, Error, Result};
use crate::io::relay::Here;
use crate::io::thread::{self, Role};
use crate::io::timer::{self, WhileWanted};
use crate::io::workers::{Job, Workers};
use crate::op::turn;

/// Host names resolved at once per shard.
const RESOLVER_THREADS: usize = 4;

/// How many threads a runtime may have.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Threads that drive sockets, at least 1. Default 1.
    pub io_threads: usize,
    /// Most threads that run handlers, at least 1. They start when they are needed. Default 64.
    pub worker_threads: usize,
    /// Where lines go.
    pub log: Log,
}

impl Default for RuntimeOptions {
    fn default() -> RuntimeOptions {
        RuntimeOptions { io_threads: 1, worker_threads: 64, log: Log::default() }
    }
}

/// All that were started and have not been dropped.
static RUNNING: PerProcess<Mutex<Vec<Weak<Runtime>>>> = PerProcess::new();

/// How many were ever started: without any there is nothing to look for.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// How long dropping a runtime waits for handlers that are just about to return.
const PARTING_WAIT: Duration = Duration::from_millis(100);

/// Threads named `krpc-io-N` and `krpc-work-N`. They are gone after [`Runtime::shutdown`]. Dropping
/// the last reference does the same, but handlers that still run are left behind, with their threads.
#[derive(Debug)]
pub struct Runtime {
    shards: Vec<Shard>,
    workers: Workers,
    callbacks: Arc<Workers>,
    /// Pools that somebody has for himself; kept here so that their threads are waited for.
    own: Mutex<Vec<Arc<Workers>>>,
    next: AtomicUsize,
    ended: AtomicBool,
    log: Log,
}

/// One thread with one single-threaded executor.
#[derive(Debug)]
struct Shard {
    handle: Handle,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Runtime {
    /// Starts a runtime.
    pub fn start(options: &RuntimeOptions) -> Result<Arc<Runtime>> {
        let count = options.io_threads.clamp(1, 1024);
        let shards = (0..count).map(Shard::start).collect::<Result<_>>()?;
        options.log.write(Level::Info, "runtime", format_args!("started with {count} I/O thread(s)"));
        let runtime = Arc::new(Runtime {
            shards,
            workers: Workers::new("krpc-work-", options.worker_threads, options.log.clone()),
            callbacks: Arc::new(Workers::new("krpc-work-c", options.worker_threads, options.log.clone())),
            own: Mutex::default(),
            next: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            log: options.log.clone(),
        });
        let mut running = RUNNING.get().lock();
        running.retain(|runtime| runtime.strong_count() > 0);
        running.push(Arc::downgrade(&runtime));
        STARTED.fetch_add(1, Ordering::Relaxed);
        drop(running);
        Ok(runtime)
    }

    /// The process's shared runtime: made on first use, ended with its last reference.
    pub fn shared() -> Result<Arc<Runtime>> {
        static SHARED: PerProcess<Mutex<Weak<Runtime>>> = PerProcess::new();
        let mut shared = SHARED.get().lock();
        if let Some(runtime) = shared.upgrade() {
            return Ok(runtime);
        }
        let options = RuntimeOptions { log: log::global(), ..RuntimeOptions::default() };
        let runtime = Runtime::start(&options)?;
        *shared = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    /// A runtime that runs, if there is one.
    pub(super) fn any() -> Option<Arc<Runtime>> {
        if STARTED.load(Ordering::Relaxed) == 0 {
            return None;
        }
        RUNNING.get().lock().iter().filter_map(Weak::upgrade).find(|runtime| !runtime.has_ended())
    }

    /// The threads that run handlers.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The threads that run completion callbacks, apart from handlers: one kind can't starve the other.
    pub fn callbacks(&self) -> &Arc<Workers> {
        &self.callbacks
    }

    /// A pool of threads for one purpose, apart from [`Runtime::workers`]. Its threads end some time after the
    /// result is dropped, at the latest with the runtime.
    pub fn own_workers(&self, threads: usize) -> OwnWorkers {
        let workers = Arc::new(Workers::new("krpc-work-s", threads, self.log.clone()));
        let mut own = self.own.lock();
        own.retain(|workers| !workers.has_ended());
        own.push(Arc::clone(&workers));
        drop(own);
        // Ended just now: it may have missed this one.
        if self.has_ended() {
            workers.retire();
        }
        OwnWorkers(workers)
    }

    /// Runs something on a shard after a time, if it is wanted until then. It must not block; if the runtime
    /// ends first, it is dropped.
    pub fn after(&self, time: Duration, wanted: WhileWanted, run: impl FnOnce() + Send + 'static) {
        self.shard(self.next_shard()).spawn(timer::after(time, wanted, run));
    }

    /// Where lines go.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The executors, in turn.
    pub(super) fn next_shard(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1)
    }

    /// The executor of one shard; `index` comes from [`Runtime::next_shard`] or is 0.
    pub(super) fn shard(&self, index: usize) -> &Handle {
        &self.shards[index].handle
    }

    /// The executors of all shards, in the order of a turn: whoever spreads work over them by a count of its own
    /// is not thrown off by what others start.
    pub(super) fn in_turn(&self) -> InTurn {
        let handles = self.shards.iter().map(|shard| shard.handle.clone()).collect();
        InTurn { handles, next: AtomicUsize::new(self.next_shard()) }
    }

    /// The executors of all shards.
    pub(super) fn shards(&self) -> impl Iterator<Item = &Handle> {
        self.shards.iter().map(|shard| &shard.handle)
    }

    /// Ends all threads and with them all connections, and waits for running handlers, so not on a
    /// thread of the core. Calling it again does nothing.
    pub fn shutdown(&self) -> Result<()> {
        thread::on_host_thread()?;
        self.end(None);
        Ok(())
    }

    /// Whether it has been shut down: nothing can be started on it.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends all threads. Waits for handlers as long as `patience`; on a thread of the core for nothing.
    fn end(&self, patience: Option<Duration>) {
        self.ended.store(true, Ordering::Release);
        for shard in &self.shards {
            shard.stop.notify_one();
        }
        let may_wait = thread::role().is_none();
        for shard in &self.shards {
            let thread = shard.thread.lock().take();
            if let (true, Some(thread)) = (may_wait, thread) {
                let _ = thread.join();
            }
        }
        let own: Vec<_> = self.own.lock().clone();
        own.iter().for_each(|workers| workers.retire());
        own.iter().for_each(|workers| workers.close(patience));
        self.workers.close(patience);
        self.callbacks.close(patience);
    }
}

/// A pool of threads for one purpose. Dropping it lets running and queued jobs finish.
#[derive(Debug)]
pub struct OwnWorkers(Arc<Workers>);

impl OwnWorkers {
    /// As [`Workers::submit`].
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        self.0.submit(job)
    }
}

impl Drop for OwnWorkers {
    fn drop(&mut self) {
        self.0.retire();
    }
}

/// Takes one shard after the other.
#[derive(Debug)]
pub(super) struct InTurn {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl InTurn {
    /// The next one, and its index.
    pub(super) fn next(&self) -> (usize, &Handle) {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        (index, &self.handles[index])
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Not for ever: a handler may wait for what its host does only after this.
        self.end(Some(PARTING_WAIT));
        self.log.write(Level::Info, "runtime", format_args!("ended"));
    }
}

impl Shard {
    /// The executor is made on the thread that runs it, so that nothing of it is left in the host's.
    fn start(index: usize) -> Result<Shard> {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let place = Arc::new(Place::default());
        let made = Arc::clone(&place);
        let thread = thread::spawn(format!("krpc-io-{index}"), Role::Io, move || {
            let _turns = turn::turns();
            // tokio resolves host names on threads of its own, which are ours as well.
            let executor = Builder::new_current_thread()
                .on_thread_park(turn::over)
                .enable_io()
                .enable_time()
                .max_blocking_threads(RESOLVER_THREADS)
                .thread_name("krpc-resolve")
                .build();
            match executor {
                Ok(executor) => {
                    let (_here, relay) = Here::enter();
                    executor.spawn(relay);
                    made.put(Ok(executor.handle().clone()));
                    drop(made);
                    executor.block_on(stopped.notified());
                    // Its tasks are dropped, which ends their connections. A name server that does not
                    // answer holds nothing up.
                    executor.shutdown_background();
                }
                Err(reason) => made.put(Err(reason)),
            }
        })?;
        let handle = place
            .take()
            .map_err(|reason| Error::new(Code::OutOfResources, format!("no event loop: {reason}")))?;
        Ok(Shard { handle, stop, thread: Mutex::new(Some(thread)) })
    }
}

/// Where a new thread leaves its executor.
#[derive(Debug, Default)]
struct Place {
    made: Mutex<Option<io::Result<Handle>>>,
    filled: Condvar,
}

impl Place {
    fn put(&self, made: io::Result<Handle>) {
        *self.made.lock() = Some(made);
        self.filled.notify_one();
    }

    fn take(&self) -> io::Result<Handle> {
        let mut made = self.made.lock();
        loop {
            match made.take() {
                Some(made) => return made,
                None => made = self.filled.wait(made),
            }
        }
    }
}
