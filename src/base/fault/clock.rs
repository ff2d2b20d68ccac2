//! A clock that a test stops and moves by hand, so that no test sleeps. Only with the feature `test-hooks`;
//! without it every function here is its argument.
//!
//! All waits with a limit pass here. Tasks have a [`Listener`], which wakes them when the clock is stopped,
//! moved or let go. Threads that sleep look up now and then ([`sleeping`]): what they sleep on has no place
//! for one more reason to wake.

#[cfg(not(feature = "test-hooks"))]
mod real {
    use std::task::Waker;
    use std::time::{Duration, Instant};

    /// The time, when the system's clock shows `real`.
    #[inline(always)]
    pub fn now(real: Instant) -> Instant {
        real
    }

    /// What the system's clock shows at a time; `None`: that time comes when the test wants.
    #[inline(always)]
    pub fn real(at: Instant) -> Option<Instant> {
        Some(at)
    }

    /// Sleeps, at most for `left`; may end early for no reason.
    #[inline(always)]
    pub fn sleeping<T>(left: Option<Duration>, sleep: impl FnOnce(Option<Duration>) -> T) -> T {
        sleep(left)
    }

    /// Hears of what tests do to the clock.
    #[derive(Debug, Default)]
    pub struct Listener;

    impl Listener {
        /// Whom to wake.
        #[inline(always)]
        pub fn listen(&mut self, _: &Waker) {}
    }
}

#[cfg(feature = "test-hooks")]
mod moved {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    use std::task::Waker;
    use std::time::{Duration, Instant};

    use crate::base::fault::hold;
    use crate::base::fork::PerProcess;
    use crate::base::lock::Mutex;

    /// How long a thread sleeps before it looks up, while the clock stands.
    const LOOK_UP: Duration = Duration::from_millis(1);
    /// The same for a sleep that may have to notice that the clock was stopped.
    const LOOK_UP_RUNNING: Duration = Duration::from_millis(20);

    /// Whether any clock was ever stopped: until then nobody asks for more.
    static TOUCHED: AtomicBool = AtomicBool::new(false);
    static STATE: PerProcess<State> = PerProcess::new();

    #[derive(Default)]
    struct State {
        clock: Mutex<Clock>,
        listeners: Mutex<BTreeMap<u64, Waker>>,
        /// Threads inside [`sleeping`] with a limit.
        sleepers: AtomicUsize,
    }

    #[derive(Clone, Copy, Default)]
    struct Clock {
        stands_at: Option<Instant>,
        /// By how much it differs from the system's while it runs. One of them is zero.
        ahead: Duration,
        behind: Duration,
    }

    impl Clock {
        fn now(self, real: Instant) -> Instant {
            self.stands_at.unwrap_or(real + self.ahead - self.behind)
        }
    }

    fn clock() -> Clock {
        match TOUCHED.load(Ordering::Acquire) {
            true => *STATE.get().clock.lock(),
            false => Clock::default(),
        }
    }

    fn change(change: impl FnOnce(&mut Clock)) {
        TOUCHED.store(true, Ordering::Release);
        change(&mut STATE.get().clock.lock());
        let listeners: Vec<_> = STATE.get().listeners.lock().values().cloned().collect();
        listeners.iter().for_each(Waker::wake_by_ref);
    }

    /// Stops the clock, if it runs.
    pub fn stop(real: Instant) {
        change(|clock| clock.stands_at = Some(clock.now(real)));
    }

    /// Moves a clock that stands. False if it runs, or can't be moved as far.
    pub fn advance(by: Duration) -> bool {
        let mut moved = None;
        change(|clock| {
            moved = clock.stands_at.and_then(|at| at.checked_add(by));
            clock.stands_at = moved.or(clock.stands_at);
        });
        moved.is_some()
    }

    /// Lets the clock run on from where it stands.
    pub fn run(real: Instant) {
        change(|clock| {
            if let Some(at) = clock.stands_at.take() {
                clock.ahead = at.saturating_duration_since(real);
                clock.behind = real.saturating_duration_since(at);
            }
        });
    }

    /// The time, when the system's clock shows `real`.
    pub fn now(real: Instant) -> Instant {
        clock().now(real)
    }

    /// What the system's clock shows at a time; `None`: that time comes when the test wants.
    pub fn real(at: Instant) -> Option<Instant> {
        let clock = clock();
        match clock.stands_at {
            Some(_) => None,
            None => (at + clock.behind).checked_sub(clock.ahead),
        }
    }

    /// Threads that sleep with a limit now.
    pub fn sleepers() -> usize {
        STATE.get().sleepers.load(Ordering::SeqCst)
    }

    /// Sleeps, at most for `left`; may end early for no reason.
    pub fn sleeping<T>(left: Option<Duration>, sleep: impl FnOnce(Option<Duration>) -> T) -> T {
        let look_up = match clock().stands_at.is_some() || hold::is_any() {
            true => Some(LOOK_UP),
            false => left.map(|_| LOOK_UP_RUNNING),
        };
        let slice = [left, look_up].into_iter().flatten().min();
        let state = left.map(|_| STATE.get());
        let count = |by: isize| {
            if let Some(state) = state {
                state.sleepers.fetch_add(by as usize, Ordering::SeqCst);
            }
        };
        count(1);
        let slept = sleep(slice);
        count(-1);
        slept
    }

    /// Hears of what tests do to the clock.
    #[derive(Debug, Default)]
    pub struct Listener(Option<(u64, Waker)>);

    impl Listener {
        /// Whom to wake.
        pub fn listen(&mut self, waker: &Waker) {
            // Not per process: a child never has the number of a listener of its parent.
            static NEXT: AtomicU64 = AtomicU64::new(0);
            if self.0.as_ref().is_some_and(|(_, known)| known.will_wake(waker)) {
                return;
            }
            let id = self.0.take().map_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed), |(id, _)| id);
            let earlier = STATE.get().listeners.lock().insert(id, waker.clone());
            drop(earlier);
            self.0 = Some((id, waker.clone()));
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            if let Some((id, _)) = &self.0 {
                let waker = STATE.get().listeners.lock().remove(id);
                drop(waker);
            }
        }
    }
}

#[cfg(feature = "test-hooks")]
pub use moved::*;
#[cfg(not(feature = "test-hooks"))]
pub use real::*;
