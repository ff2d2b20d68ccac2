//! Steps that a test can make fail, one by one: the n-th read, write, connect, accept, new thread, and
//! panics in the places where the core catches them. Only with the feature `test-hooks`; without it, as in
//! every release, nothing of it is left. The same holds for a clock that stands and connections that are held.

pub mod clock;
pub mod hold;

use std::io;

/// A step that may be made to fail. The numbers are those of `krpc_test_fail_nth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Point {
    /// A look at a socket for bytes: connection reset.
    Read = 1,
    /// A write to a socket: broken pipe.
    Write = 2,
    /// A connection to be made: refused.
    Connect = 3,
    /// A connection to be accepted: no descriptors.
    Accept = 4,
    /// A thread to be started: no resources.
    Spawn = 5,
    /// A look of a client connection's task around itself: panic.
    ClientTask = 6,
    /// The same for a server connection's task: panic.
    ServerTask = 7,
    /// A handler about to be called: panic.
    Handler = 8,
    /// A look of the task that hands calls to connections: panic.
    DriverTask = 9,
    /// A blocking call: panic.
    BlockingCall = 10,
    /// Room for an event in a queue: full.
    QueueSlot = 11,
    /// A place among a server's connections: none.
    ConnectionSlot = 12,
    /// A place among a server's requests in flight: none.
    RequestSlot = 13,
}

#[cfg(not(feature = "test-hooks"))]
mod armed {
    use super::{Point, io};

    /// Fails if a test wants it.
    #[inline(always)]
    pub fn check(_: Point) -> io::Result<()> {
        Ok(())
    }

    /// Whether a test wants it to fail.
    #[inline(always)]
    pub fn fails(_: Point) -> bool {
        false
    }

    /// Panics if a test wants it.
    #[inline(always)]
    pub fn panic_at(_: Point) {}
}

#[cfg(feature = "test-hooks")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Point, io};

    const POINTS: usize = 14;

    struct Counter {
        passed: AtomicU64,
        /// Which one fails; 0: none.
        fails: AtomicU64,
    }

    static COUNTERS: [Counter; POINTS] =
        [const { Counter { passed: AtomicU64::new(0), fails: AtomicU64::new(0) } }; POINTS];

    /// Makes the `nth` step from now fail, once; 0: none. Returns how many there were since the last time.
    /// `None` if there is no such point.
    pub fn fail_nth(point: i32, nth: u64) -> Option<u64> {
        let counter = usize::try_from(point).ok().and_then(|index| COUNTERS.get(index))?;
        counter.fails.store(0, Ordering::SeqCst);
        let passed = counter.passed.swap(0, Ordering::SeqCst);
        counter.fails.store(nth, Ordering::SeqCst);
        Some(passed)
    }

    /// Whether a test wants it to fail.
    pub fn fails(point: Point) -> bool {
        let counter = &COUNTERS[point as usize];
        counter.passed.fetch_add(1, Ordering::SeqCst) + 1 == counter.fails.load(Ordering::SeqCst)
    }

    /// Fails if a test wants it.
    pub fn check(point: Point) -> io::Result<()> {
        let number = match point {
            Point::Read => libc::ECONNRESET,
            Point::Write => libc::EPIPE,
            Point::Connect => libc::ECONNREFUSED,
            Point::Accept => libc::EMFILE,
            _ => libc::EAGAIN,
        };
        match fails(point) {
            true => Err(io::Error::from_raw_os_error(number)),
            false => Ok(()),
        }
    }

    /// Panics if a test wants it.
    pub fn panic_at(point: Point) {
        if fails(point) {
            panic!("wanted by a test at {point:?}");
        }
    }
}

pub use armed::*;
