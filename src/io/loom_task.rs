//! What the models of this room share: a task as a shard runs it, under loom. A task that would sleep for
//! ever is a deadlock, which loom reports.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

pub(crate) use crate::op::loom_tests::{join, model};
use crate::op::sync::{Condvar, Mutex, lock};

/// Why a task stops running.
pub(crate) enum Pause {
    /// Until it is woken.
    Asleep,
    /// For good.
    Ended,
}

/// Something that one thread waits for and another gives.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_one();
    }

    /// Whether it has rung since the last wait.
    pub(crate) fn has_rung(&self) -> bool {
        *lock(&self.rung)
    }

    /// Waits until it has rung since the last time.
    pub(crate) fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung).unwrap();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Polls a task to its end, asleep in between. How often it slept.
pub(crate) fn run(mut poll: impl FnMut(&mut Context<'_>) -> Pause) -> usize {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut slept = 0;
    while matches!(poll(&mut cx), Pause::Asleep) {
        bell.wait();
        slept += 1;
    }
    slept
}
