//! A question to the host that always has an answer.
//!
//! Some hosts must not be called from a thread of the core, so the core asks: the [`Decision`] goes to the
//! host, as an event or as the argument of a callback. The first answer counts. With none in time, or when
//! the host drops the question, the answer is the default that came with it. The asker either has a hook
//! ([`ask_then`]) or waits ([`ask`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::op::sync::{Condvar, Mutex, MutexGuard, Patience, lock};

/// Asks, for an asker who waits.
pub fn ask<Q, A>(question: Q, default: A) -> (Decision<Q, A>, Answer<A>) {
    let shared = Arc::new(Shared::new(default, None));
    (Decision { question, shared: shared.clone() }, Answer { shared })
}

/// Asks, for an asker who goes on: `hook` runs once with the answer, on the thread that answers, drops or
/// expires the question.
pub fn ask_then<Q, A>(
    question: Q,
    default: A,
    hook: impl FnOnce(A) + Send + 'static,
) -> (Decision<Q, A>, Expiry<A>) {
    let shared = Arc::new(Shared::new(default, Some(Box::new(hook))));
    (Decision { question, shared: shared.clone() }, Expiry { shared })
}

/// The answer came too late, or is not the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the question has its answer already or is no longer asked")
    }
}

impl std::error::Error for Gone {}

/// The host's end. Dropped unanswered, the answer is the default.
pub struct Decision<Q, A> {
    question: Q,
    shared: Arc<Shared<A>>,
}

impl<Q, A> Decision<Q, A> {
    /// What is asked.
    pub fn question(&self) -> &Q {
        &self.question
    }

    /// Answers; the asker's hook runs here.
    pub fn answer(&self, answer: A) -> Result<(), Gone> {
        self.shared.settle(Some(answer))
    }

    /// Whether an answer still counts. An event with a question that is closed is stale.
    pub fn is_open(&self) -> bool {
        lock(&self.shared.state).default.is_some()
    }
}

impl<Q, A> Drop for Decision<Q, A> {
    fn drop(&mut self) {
        let _ = self.shared.settle(None);
    }
}

/// The end of an asker who waits. Dropped, the question is withdrawn.
pub struct Answer<A> {
    shared: Arc<Shared<A>>,
}

impl<A> Answer<A> {
    /// The answer, or the default when the time is up; `None` is for ever.
    pub fn wait(self, timeout: Option<Duration>) -> A {
        self.shared.wait(timeout)
    }
}

impl<A> Drop for Answer<A> {
    fn drop(&mut self) {
        let _ = self.shared.settle(None);
    }
}

/// What somebody with a clock has of a question whose asker has a hook. Dropping it changes nothing.
pub struct Expiry<A> {
    shared: Arc<Shared<A>>,
}

impl<A> Expiry<A> {
    /// The deadline has passed: the default is the answer, unless there is one.
    pub fn expire(&self) {
        let _ = self.shared.settle(None);
    }
}

type Hook<A> = Box<dyn FnOnce(A) + Send>;

struct Shared<A> {
    state: Mutex<State<A>>,
    answered: Condvar,
}

struct State<A> {
    /// Present while the question is open.
    default: Option<A>,
    /// Of an asker who does not wait; present while the question is open.
    hook: Option<Hook<A>>,
    /// For the asker who waits.
    answer: Option<A>,
}

impl<A> Shared<A> {
    fn new(default: A, hook: Option<Hook<A>>) -> Shared<A> {
        let state = State { default: Some(default), hook, answer: None };
        Shared { state: Mutex::new(state), answered: Condvar::new() }
    }

    /// Closes the question with this answer or the default.
    fn settle(&self, answer: Option<A>) -> Result<(), Gone> {
        let mut state = lock(&self.state);
        let Some(default) = state.default.take() else {
            drop(state);
            return Err(Gone);
        };
        let (answer, _unused) = match answer {
            Some(answer) => (answer, Some(default)),
            None => (default, None),
        };
        self.hand_over(state, answer);
        Ok(())
    }

    fn hand_over(&self, mut state: MutexGuard<'_, State<A>>, answer: A) {
        if let Some(hook) = state.hook.take() {
            drop(state);
            hook(answer);
        } else {
            state.answer = Some(answer);
            drop(state);
            self.answered.notify_all();
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> A {
        let mut patience = Patience::new(timeout);
        let mut state = lock(&self.state);
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            let (guard, has_slept) = patience.sleep(&self.answered, state);
            state = guard;
            if !has_slept {
                drop(state);
                // Now there is an answer: this one, or one that came a moment before.
                let _ = self.settle(None);
                state = lock(&self.state);
            }
        }
    }
}

#[cfg(all(test, not(krpc_loom)))]
mod tests;
