//! What others leave for a task to see: a burst wakes it once, and while it runs nothing does.

use std::sync::Arc;
use std::task::{Context, Waker};

use crate::io::relay::Relay;
use crate::op::sync::{Mutex, MutexGuard, lock};

#[cfg(all(test, krpc_loom))]
mod loom_tests;

/// An inbox of one task.
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    /// One of many on its shard, which are often woken together.
    one_of_many: bool,
}

struct State<T> {
    mail: T,
    sleeper: Option<Sleeper>,
    /// The task will look again before it sleeps: no wake-up is needed.
    awake: bool,
}

/// How the task is woken.
struct Sleeper {
    waker: Waker,
    relay: Option<Arc<Relay>>,
}

impl Sleeper {
    fn wake(self) {
        match self.relay {
            Some(relay) => relay.wake(self.waker),
            None => self.waker.wake(),
        }
    }
}

impl<T> Inbox<T> {
    /// Of a task that is about to run.
    pub(super) fn new(mail: T) -> Inbox<T> {
        Inbox { state: Mutex::new(State { mail, sleeper: None, awake: true }), one_of_many: false }
    }

    /// The same for one of many tasks on a shard: those that are woken together cost one wake-up of the shard.
    pub(super) fn one_of_many(mail: T) -> Inbox<T> {
        Inbox { one_of_many: true, ..Inbox::new(mail) }
    }

    /// Leaves something, and wakes the task if it sleeps.
    pub(super) fn tell<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let changed = change(&mut state.mail);
        if std::mem::replace(&mut state.awake, true) {
            return changed;
        }
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        changed
    }

    /// Looks at what is there, or leaves what the task need not hear of.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock().mail)
    }

    /// The task takes what is there. It promises [`Inbox::falls_asleep`] before it sleeps.
    pub(super) fn take<R>(&self, cx: &Context<'_>, take: impl FnOnce(&mut T) -> R) -> R {
        self.visit(cx, true, take)
    }

    /// The same for a task that sleeps afterwards, whatever it finds.
    pub(super) fn take_and_sleep<R>(&self, cx: &Context<'_>, take: impl FnOnce(&mut T) -> R) -> R {
        self.visit(cx, false, take)
    }

    fn visit<R>(&self, cx: &Context<'_>, awake: bool, take: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        state.awake = awake;
        if !state.sleeper.as_ref().is_some_and(|sleeper| sleeper.waker.will_wake(cx.waker())) {
            let relay = if self.one_of_many { Relay::here() } else { None };
            state.sleeper = Some(Sleeper { waker: cx.waker().clone(), relay });
        }
        take(&mut state.mail)
    }

    /// Whether the task may sleep: nothing has come since it took.
    pub(super) fn falls_asleep(&self, has_come: impl FnOnce(&T) -> bool) -> bool {
        let mut state = self.lock();
        state.awake = has_come(&state.mail);
        !state.awake
    }

    /// The task ends: takes what nobody will look at, and lets go of its waker.
    pub(super) fn end<R>(&self, take: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let (taken, sleeper) = (take(&mut state.mail), state.sleeper.take());
        drop(state);
        drop(sleeper);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }
}
