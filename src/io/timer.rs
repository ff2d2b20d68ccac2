//! The only place that arms timers. Each shard's wheel is its tokio time driver.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

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

/// Runs something later.
pub async fn after(time: Duration, run: impl FnOnce()) {
    tokio::time::sleep(time).await;
    run();
}
