//! What was made by a thread on turns and is spent elsewhere goes back to such a thread to be dropped.
//!
//! Memory that one thread allocates and another frees costs both a lock of the allocator and the cache lines
//! of what is dropped. So a host's thread only leaves what it has finished with on a shelf, a whole batch at
//! once, and the next [`super::turn::over`] clears it. The shelf is small, and so is what may lie on it; what
//! finds no room is dropped by whoever brings it, and nothing is left there when nobody is on turns.

use std::any::Any;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::fork::PerProcess;
use crate::base::lock::Mutex;

/// Things on the shelf at most.
pub const MOST_SPENT: usize = 256;

type Thing = Box<dyn Any + Send>;

#[derive(Default)]
struct Shelf {
    things: Mutex<Vec<Thing>>,
    /// How many there are, for those who only want to know whether to look.
    count: AtomicUsize,
    /// Threads on turns. Changed under the lock, so that nothing is left for the last.
    clearers: AtomicUsize,
}

static SHELF: PerProcess<Shelf> = PerProcess::new();

/// A batch of things that are spent. Dropped, it leaves them for a thread on turns.
#[derive(Default)]
pub struct Spent(Vec<Thing>);

impl Spent {
    /// A batch of up to `count` things.
    pub fn with_capacity(count: usize) -> Spent {
        Spent(Vec::with_capacity(count.min(MOST_SPENT)))
    }

    /// Adds one, which should be small: it may stay until the next turn.
    pub fn push(&mut self, thing: Thing) {
        self.0.push(thing);
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let shelf = SHELF.get();
        let mut things = shelf.things.lock();
        if shelf.clearers.load(Ordering::Relaxed) > 0 && things.len() + self.0.len() <= MOST_SPENT {
            things.append(&mut self.0);
            shelf.count.store(things.len(), Ordering::Relaxed);
        }
        // Unlocked before what found no room is dropped, as fields are after this.
    }
}

/// The current thread will clear the shelf from time to time.
pub(super) fn clearer_comes() {
    let shelf = SHELF.get();
    let _things = shelf.things.lock();
    shelf.clearers.fetch_add(1, Ordering::Relaxed);
}

/// It will not any more.
pub(super) fn clearer_goes() {
    let shelf = SHELF.get();
    let things = shelf.things.lock();
    shelf.clearers.fetch_sub(1, Ordering::Relaxed);
    drop(things);
    clear();
}

/// Drops what is there.
pub(super) fn clear() {
    let shelf = SHELF.get();
    if shelf.count.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut things = shelf.things.lock();
    shelf.count.store(0, Ordering::Relaxed);
    let spent = mem::take(&mut *things);
    drop(things);
    // Without the lock: whatever is dropped may leave more.
    drop(spent);
}

#[cfg(all(test, not(krpc_loom)))]
mod tests;
