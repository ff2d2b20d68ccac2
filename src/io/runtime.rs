//! A runtime: shards that drive sockets, and workers that run handlers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::base::log::{self, Level, Log};
use crate::base::{Code, Error, Result};
use crate::io::thread::{self, Role};
use crate::io::timer;
use crate::io::workers::Workers;

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

/// Threads named `krpc-io-N` and `krpc-work-N`. They are gone after [`Runtime::shutdown`], which
/// dropping the last reference does.
#[derive(Debug)]
pub struct Runtime {
    shards: Vec<Shard>,
    workers: Workers,
    next: AtomicUsize,
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
        Ok(Arc::new(Runtime {
            shards,
            workers: Workers::new(options.worker_threads, options.log.clone()),
            next: AtomicUsize::new(0),
            log: options.log.clone(),
        }))
    }

    /// The process's shared runtime: made on first use, ended with its last reference.
    pub fn shared() -> Result<Arc<Runtime>> {
        static SHARED: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        if let Some(runtime) = shared.upgrade() {
            return Ok(runtime);
        }
        let options = RuntimeOptions { log: log::global(), ..RuntimeOptions::default() };
        let runtime = Runtime::start(&options)?;
        *shared = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    /// The threads that run handlers.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Runs something on a shard after a time. It must not block; if the runtime ends first, it is dropped.
    pub fn after(&self, time: Duration, run: impl FnOnce() + Send + 'static) {
        self.shard(self.next_shard()).spawn(timer::after(time, run));
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

    /// Ends all threads and with them all connections, and waits for running handlers, so not on a
    /// thread of the core. Calling it again does nothing.
    pub fn shutdown(&self) -> Result<()> {
        thread::on_host_thread()?;
        self.end();
        Ok(())
    }

    /// The same, but on a thread of the core it waits for nothing.
    fn end(&self) {
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
        self.workers.close();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.end();
        self.log.write(Level::Info, "runtime", format_args!("ended"));
    }
}

impl Shard {
    fn start(index: usize) -> Result<Shard> {
        // tokio resolves host names on threads of its own, which are ours as well.
        let executor = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(RESOLVER_THREADS)
            .thread_name("krpc-resolve")
            .on_thread_start(crate::io::sys::block_host_signals)
            .build();
        let executor = executor
            .map_err(|reason| Error::new(Code::OutOfResources, format!("no event loop: {reason}")))?;
        let handle = executor.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(format!("krpc-io-{index}"), Role::Io, move || {
            executor.block_on(stopped.notified());
            // Dropping the executor drops its tasks, which ends their connections.
        })?;
        Ok(Shard { handle, stop, thread: Mutex::new(Some(thread)) })
    }
}
