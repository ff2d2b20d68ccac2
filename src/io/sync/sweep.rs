//! Idle connections of blocking calls that nobody asks for any more.
//!
//! Blocking calls have no thread of their own that could look after them. So whichever call gives a connection
//! back, of any client, looks now and then after all pools of the process; and where a runtime runs already, a
//! timer of it does so as well.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::base::fork::PerProcess;
use crate::base::lock::Mutex;
use crate::io::runtime::Runtime;
use crate::io::sync::pool::Pool;
use crate::io::{clock, timer};

static SWEEPER: PerProcess<Sweeper> = PerProcess::new();

/// Nothing is idle.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
struct Sweeper {
    pools: Mutex<Vec<Weak<Pool>>>,
    /// When to look, in milliseconds since `base`. No later than the first connection is outdated.
    due: AtomicU64,
    base: OnceLock<Instant>,
    /// A runtime looks as well.
    timed: AtomicBool,
}

impl Default for Sweeper {
    fn default() -> Sweeper {
        Sweeper {
            pools: Mutex::default(),
            due: AtomicU64::new(NEVER),
            base: OnceLock::new(),
            timed: AtomicBool::new(false),
        }
    }
}

/// A pool is looked after from now on.
pub(super) fn register(pool: &Arc<Pool>) {
    let mut pools = SWEEPER.get().pools.lock();
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(pool));
}

/// A connection was left idle at `now`, and will be outdated at `then`.
pub(super) fn visit(now: Instant, then: Instant) {
    let sweeper = SWEEPER.get();
    let (at, then) = (sweeper.millis(now), sweeper.millis(then));
    if sweeper.due.load(Ordering::SeqCst) > then {
        sweeper.due.fetch_min(then, Ordering::SeqCst);
    }
    if sweeper.due.load(Ordering::SeqCst) <= at {
        sweeper.sweep(now);
    }
    if !sweeper.timed.load(Ordering::SeqCst) {
        sweeper.watch();
    }
}

/// Looks whenever it is time, until nothing is idle.
async fn watch(watching: Watching) {
    let sweeper = watching.0;
    loop {
        let now = clock::now();
        if sweeper.due.load(Ordering::SeqCst) <= sweeper.millis(now) {
            sweeper.sweep(now);
        }
        let due = sweeper.due.load(Ordering::SeqCst);
        if due == NEVER {
            return;
        }
        let left = due.saturating_sub(sweeper.millis(now));
        timer::sleep(Duration::from_millis(left)).await;
    }
}

/// Says that nobody watches any more, also if the runtime ends.
struct Watching(&'static Sweeper);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.timed.store(false, Ordering::SeqCst);
        // Left idle just now, by somebody who still relied on this one.
        if self.0.due.load(Ordering::SeqCst) != NEVER {
            self.0.watch();
        }
    }
}

impl Sweeper {
    /// Lets a runtime look as well, if one runs.
    fn watch(&'static self) {
        if let Some(runtime) = Runtime::any()
            && !self.timed.swap(true, Ordering::SeqCst)
        {
            runtime.shard(0).spawn(watch(Watching(self)));
        }
    }

    /// Rounded up, so that what is due at a time is outdated by then.
    fn millis(&self, at: Instant) -> u64 {
        let base = *self.base.get_or_init(|| at);
        let since = at.saturating_duration_since(base);
        u64::try_from(since.as_millis()).unwrap_or(NEVER - 1)
            + u64::from(!since.subsec_nanos().is_multiple_of(1_000_000))
    }

    fn sweep(&self, now: Instant) {
        // Before the look: what is left idle meanwhile makes it earlier again.
        self.due.store(NEVER, Ordering::SeqCst);
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        let next = pools.iter().filter_map(|pool| pool.sweep(now)).min();
        if let Some(next) = next {
            self.due.fetch_min(self.millis(next), Ordering::SeqCst);
        }
    }
}
