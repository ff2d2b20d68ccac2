//! The only place that arms timers. Each shard's wheel is its tokio time driver.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::base::fault;
use crate::io::clock;

/// A connection's one timer. It is moved only when the new time is earlier: a timer that fires early
/// costs one look at the clock, while moving it on every packet would cost that on every packet.
#[derive(Debug, Default)]
pub struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When `sleep` will wake the task, if it will.
    armed: Option<tokio::time::Instant>,
    listener: fault::clock::Listener,
}

impl LazyTimer {
    /// Makes sure that the task is polled again at `at`, or a little later. Returns true if that is now.
    pub fn wake_at(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        self.listener.listen(cx.waker());
        let Some(at) = fault::clock::real(at) else { return at <= clock::now() };
        let at = tokio::time::Instant::from_std(at);
        // It wakes early enough, and has not done so yet: a look at the clock is cheaper than one at the wheel.
        if self.armed.is_some_and(|armed| armed <= at && tokio::time::Instant::now() < armed) {
            return false;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while let Poll::Ready(()) = sleep.as_mut().poll(cx) {
            if at <= tokio::time::Instant::now() {
                self.armed = None;
                return true;
            }
            sleep.as_mut().reset(at);
        }
        self.armed = Some(sleep.deadline());
        false
    }
}

/// Holds a timer's place while it is wanted: dropped, the timer ends without running anything.
#[derive(Debug)]
pub struct Wanted(#[allow(dead_code)] oneshot::Sender<Infallible>);

/// The timer's side of a [`Wanted`].
#[derive(Debug)]
pub struct WhileWanted(oneshot::Receiver<Infallible>);

/// What a timer that may be called off needs.
pub fn wanted() -> (Wanted, WhileWanted) {
    let (sender, receiver) = oneshot::channel();
    (Wanted(sender), WhileWanted(receiver))
}

/// Runs something later, unless it is not wanted any more by then.
pub async fn after(time: Duration, mut wanted: WhileWanted, run: impl FnOnce()) {
    let mut time = pin!(sleep(time));
    let is_wanted = poll_fn(|cx| match Pin::new(&mut wanted.0).poll(cx) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => time.as_mut().poll(cx).map(|()| true),
    });
    if is_wanted.await {
        run();
    }
}

/// Ends after a time.
pub async fn sleep(time: Duration) {
    #[cfg(not(feature = "test-hooks"))]
    tokio::time::sleep(time).await;
    #[cfg(feature = "test-hooks")]
    {
        let (mut timer, end) = (LazyTimer::default(), clock::now().checked_add(time));
        poll_fn(|cx| match end.is_some_and(|end| timer.wake_at(end, cx)) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// Takes from a channel, or gives up after a time.
pub fn receive<T>(from: &Receiver<T>, time: Duration) -> Result<T, RecvTimeoutError> {
    #[cfg(not(feature = "test-hooks"))]
    return from.recv_timeout(time);
    #[cfg(feature = "test-hooks")]
    {
        /// Seldom: there may be many such threads.
        const LOOK_UP: Duration = Duration::from_millis(100);
        let begun = clock::now();
        loop {
            let left = time.saturating_sub(clock::now().saturating_duration_since(begun));
            match from.recv_timeout(left.min(LOOK_UP)) {
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                received => return received,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_not_wanted_ends_at_once() {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let run = |time, keep: bool| {
            let (wanted, while_wanted) = wanted();
            let wanted = keep.then_some(wanted);
            let mut ran = false;
            executor.block_on(after(time, while_wanted, || ran = true));
            drop(wanted);
            ran
        };
        assert!(run(Duration::from_millis(1), true));
        assert!(!run(Duration::MAX, false), "or this would take for ever");
    }
}
