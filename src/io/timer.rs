//! The only place that arms timers. Each shard's wheel is its tokio time driver.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::Sleep;

/// A connection's one timer. It is moved only when the new time is earlier: a timer that fires early
/// costs one look at the clock, while moving it on every packet would cost that on every packet.
#[derive(Debug, Default)]
pub struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Makes sure that the task is polled again at `at`, or a little later. Returns true if that is now.
    pub fn wake_at(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let at = tokio::time::Instant::from_std(at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while let Poll::Ready(()) = sleep.as_mut().poll(cx) {
            if at <= tokio::time::Instant::now() {
                return true;
            }
            sleep.as_mut().reset(at);
        }
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
pub async fn after(time: Duration, wanted: WhileWanted, run: impl FnOnce()) {
    if tokio::time::timeout(time, wanted.0).await.is_err() {
        run();
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
