//! Something that can be waited for and ends exactly once.
//!
//! [`new`] makes the two ends of one operation. The host has the [`Operation`]: it asks for the end, waits,
//! takes the value. The core has the [`Completer`]: it learns of that wish and gives the value. How the
//! host hears of the end is a [`Deliver`]: a callback, an event in a queue, or nothing.
//!
//! ```text
//!              cancel: only a wish                       free: nobody cares any more
//!   pending ──────────────────────▶ pending, with cause ──────┐
//!      │                                   │                  ▼
//!      └───────────── complete ────────────┴──────▶ done, value kept until someone takes it
//! ```
//!
//! No lock is held while foreign code runs: deliveries, cancel hooks, and the drop of either or of a value.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use crate::base::{Code, Error};
use crate::op::sync::{AtomicBool, Condvar, Mutex, Patience, lock};

/// Why somebody asked for the end of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// The host cancelled it.
    ByHost,
    /// Its deadline passed.
    Deadline,
    /// Its client, server, stream or queue was closed.
    Closed,
    /// The one who waited for it is gone: the handle was freed, or the peer has left.
    CallerGone,
    /// Its runtime is shut down.
    Shutdown,
}

impl Cause {
    /// The error of what ends for this cause.
    pub fn error(self) -> Error {
        let (code, text) = match self {
            Cause::ByHost => (Code::Cancelled, "cancelled"),
            Cause::Deadline => (Code::Timeout, "the deadline of the work it was part of has passed"),
            Cause::Closed => (Code::Closed, "its client or queue was closed"),
            Cause::CallerGone => (Code::Cancelled, "nobody waits for it any more"),
            Cause::Shutdown => (Code::Closed, "its runtime was shut down"),
        };
        Error::new(code, text)
    }
}

/// Something that can be asked to end. An object that closes keeps `Weak<dyn Cancel>` of what is under way.
pub trait Cancel: Send + Sync {
    /// Asks for the end; the first cause counts. Does nothing once the end has come.
    fn cancel(&self, cause: Cause);

    /// Why the end was asked for, if it was and is remembered.
    fn asked(&self) -> Option<Cause> {
        None
    }
}

/// How the host hears of the end. Called once, without a lock, on the thread that completes.
///
/// Dropped undelivered when the handle is freed first; that must release what it holds: the slot of a
/// queue, the `destroy` of a callback. Every `FnOnce(Finished<T>)` is one.
pub trait Deliver<T>: Send {
    /// The operation is done. A callback first asks [`Finished::is_stale`]: the handle may have been freed
    /// a moment ago.
    fn deliver(self: Box<Self>, finished: Finished<T>);
}

impl<T, F: FnOnce(Finished<T>) + Send> Deliver<T> for F {
    fn deliver(self: Box<Self>, finished: Finished<T>) {
        self(finished);
    }
}

/// What an operation ends with.
pub trait Outcome {
    /// What stands in when the core drops its [`Completer`]: nothing is ever lost.
    fn abandoned() -> Self;
    /// Why it failed, if so: known to the event even if the handle has taken the value.
    fn failure(&self) -> Option<Code>;
}

impl<V> Outcome for Result<V, Error> {
    fn abandoned() -> Self {
        Err(Error::new(Code::Internal, "the operation was dropped before it ended"))
    }

    fn failure(&self) -> Option<Code> {
        self.as_ref().err().map(Error::code)
    }
}

/// What runs when somebody asks for the end.
pub type CancelHook = Box<dyn FnOnce(Cause) + Send>;

/// Work that many operations wait for, each under a number of its own, and that can take one back.
pub trait Withdraw: Send + Sync {
    /// Ends what waits under that number, if it does.
    fn withdraw(&self, id: u64, cause: Cause);
}

/// What a wish for the end leads to.
enum OnCancel {
    Run(CancelHook),
    /// The same for what needs no memory.
    Withdraw(Weak<dyn Withdraw>, u64),
}

impl OnCancel {
    fn run(self, cause: Cause) {
        match self {
            OnCancel::Run(hook) => hook(cause),
            OnCancel::Withdraw(from, id) => {
                if let Some(from) = from.upgrade() {
                    from.withdraw(id, cause);
                }
            }
        }
    }
}

/// Makes an operation; with `None` the host can only wait or ask.
pub fn new<T: Outcome>(delivery: Option<Box<dyn Deliver<T>>>) -> (Operation<T>, Completer<T>) {
    let shared = Arc::new(Shared::new(delivery));
    (Operation { shared: shared.clone(), detaches: true }, Completer { shared: Some(shared) })
}

/// The same for a delivery that has to know the operation's canceller. That may be used at once: the
/// operation exists before its delivery, though nothing can complete it yet.
pub fn new_with<T: Outcome + Send + 'static>(
    delivery: impl FnOnce(Weak<dyn Cancel>) -> Option<Box<dyn Deliver<T>>>,
) -> (Operation<T>, Completer<T>) {
    let (operation, completer) = new(None);
    let delivery = delivery(operation.canceller());
    lock(&operation.shared.state).delivery = delivery;
    (operation, completer)
}

// ---- the host's end ---------------------------------------------------------------------------

/// The host's handle. Dropping it is [`Operation::detach`].
pub struct Operation<T> {
    shared: Arc<Shared<T>>,
    detaches: bool,
}

impl<T> Operation<T> {
    /// Asks for the end; the operation then ends as cancelled or with its real result, whichever is first.
    pub fn cancel(&self, cause: Cause) {
        self.shared.ask(cause);
    }

    /// Whether the end has come.
    pub fn is_done(&self) -> bool {
        lock(&self.shared.state).done
    }

    /// Waits for the end: `None` is for ever, zero a poll. True if it has come. Any number of threads may
    /// wait, and none of them takes anything from the completion.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.shared.wait(timeout)
    }

    /// The value, for the first who asks after the end: the handle or the event.
    pub fn take(&self) -> Option<T> {
        self.shared.take()
    }

    /// Says that the host has no more interest. A pending operation is asked to end, its delivery is dropped
    /// and its value will be; an event that is still queued becomes stale. Never blocks; waiters go on
    /// waiting for the end. Twice is once.
    pub fn detach(&self) {
        self.shared.free();
    }

    /// Gives up the handle but not the interest: the completion is delivered all the same. For hosts that
    /// start an operation without keeping a handle.
    pub fn forget_handle(mut self) {
        self.detaches = false;
    }
}

impl<T: Send + 'static> Operation<T> {
    /// For whoever may have to end it from elsewhere; does not keep it alive.
    pub fn canceller(&self) -> Weak<dyn Cancel> {
        canceller(&self.shared)
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if self.detaches {
            self.detach();
        }
    }
}

// ---- the core's end ---------------------------------------------------------------------------

/// The core's end. Dropped, it completes with [`Outcome::abandoned`].
pub struct Completer<T: Outcome> {
    /// `None` once completed.
    shared: Option<Arc<Shared<T>>>,
}

impl<T: Outcome> Completer<T> {
    /// The end: keeps the value, wakes who waits, and delivers.
    pub fn complete(mut self, value: T) {
        if let Some(shared) = self.shared.take() {
            complete(shared, value);
        }
    }

    /// What to do when somebody asks for the end: at once if that has happened. A later hook takes the place
    /// of an earlier one, as the next attempt does of the last. The end drops the hook, but one that has
    /// begun to run may still be running then.
    pub fn on_cancel(&self, hook: CancelHook) {
        if let Some(shared) = &self.shared {
            shared.set_hook(OnCancel::Run(hook));
        }
    }

    /// The same: takes `id` back. What is not yet there to be taken back is missed, so look at
    /// [`Cancel::asked`] of the canceller when it is.
    pub fn withdraws(&self, from: Weak<dyn Withdraw>, id: u64) {
        if let Some(shared) = &self.shared {
            shared.set_hook(OnCancel::Withdraw(from, id));
        }
    }

    /// Puts a hook in the place of the one that is there, which it returns. Once somebody has asked for the end,
    /// that one has run and this one never will.
    pub fn replace_hook(&self, hook: CancelHook) -> Option<CancelHook> {
        let mut state = lock(&self.shared.as_ref()?.state);
        let earlier = match state.asked {
            Some(_) => None,
            None => state.hook.replace(OnCancel::Run(hook)),
        };
        drop(state);
        match earlier? {
            OnCancel::Run(hook) => Some(hook),
            withdraw => Some(Box::new(move |cause| withdraw.run(cause))),
        }
    }

    /// Why the end was asked for, if it was.
    pub fn is_cancelled(&self) -> Option<Cause> {
        self.shared.as_ref().and_then(|shared| lock(&shared.state).asked)
    }
}

impl<T: Outcome + Send + 'static> Completer<T> {
    /// For whoever may have to end it from elsewhere, as its client on close; does not keep it alive.
    pub fn canceller(&self) -> Weak<dyn Cancel> {
        match &self.shared {
            Some(shared) => canceller(shared),
            None => Weak::<Shared<T>>::new(),
        }
    }
}

impl<T: Outcome> Drop for Completer<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            complete(shared, T::abandoned());
        }
    }
}

fn complete<T: Outcome>(shared: Arc<Shared<T>>, value: T) {
    let failure = value.failure();
    if let Some(delivery) = shared.finish(value) {
        delivery.deliver(Finished { shared, failure });
    }
}

// ---- the event's end --------------------------------------------------------------------------

/// What an event or callback has of an operation that is done.
pub struct Finished<T> {
    shared: Arc<Shared<T>>,
    failure: Option<Code>,
}

impl<T> Finished<T> {
    /// Whether the host has freed the operation: the event is to be skipped.
    pub fn is_stale(&self) -> bool {
        self.shared.freed.load(Ordering::Acquire)
    }

    /// Why the operation failed, if it did.
    pub fn failure(&self) -> Option<Code> {
        self.failure
    }

    /// The value, if there is no handle that could take it or be freed; else itself.
    pub fn into_sole(self) -> Result<T, Finished<T>> {
        let failure = self.failure;
        let again = |shared| Finished { shared, failure };
        let mut shared = Arc::try_unwrap(self.shared).map_err(again)?;
        // Freed a moment ago, it is stale and has to stay so.
        let is_stale = shared.freed.load(Ordering::Acquire);
        let state = shared.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        match state.value.take_if(|_| !is_stale) {
            Some(value) => Ok(value),
            None => Err(again(Arc::new(shared))),
        }
    }

    /// The value, unless the handle took it first.
    pub fn take(self) -> Option<T> {
        // The handle is mostly gone: nobody to lock out.
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => shared.state.into_inner().unwrap_or_else(PoisonError::into_inner).value,
            Err(shared) => shared.take(),
        }
    }
}

// ---- what they share --------------------------------------------------------------------------

struct Shared<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
    /// The host has no more interest. Changed under the lock, read without.
    freed: AtomicBool,
}

struct State<T> {
    done: bool,
    value: Option<T>,
    /// The first wish for the end.
    asked: Option<Cause>,
    /// Present only while pending and not asked.
    hook: Option<OnCancel>,
    /// Present only while pending and not freed.
    delivery: Option<Box<dyn Deliver<T>>>,
    /// Threads asleep in `wait`, so that an end without any makes no system call.
    waiters: usize,
}

impl<T> State<T> {
    /// Notes the wish for the end; returns the hook that the caller runs without the lock.
    fn ask(&mut self, cause: Cause) -> Option<OnCancel> {
        if self.done || self.asked.is_some() {
            return None;
        }
        self.asked = Some(cause);
        self.hook.take()
    }
}

impl<T> Shared<T> {
    fn new(delivery: Option<Box<dyn Deliver<T>>>) -> Shared<T> {
        let state = State { done: false, value: None, asked: None, hook: None, delivery, waiters: 0 };
        Shared { state: Mutex::new(state), ended: Condvar::new(), freed: AtomicBool::new(false) }
    }

    fn ask(&self, cause: Cause) {
        let hook = lock(&self.state).ask(cause);
        if let Some(hook) = hook {
            hook.run(cause);
        }
    }

    fn free(&self) {
        let mut state = lock(&self.state);
        if self.freed.swap(true, Ordering::AcqRel) {
            return;
        }
        let delivery = state.delivery.take();
        let hook = state.ask(Cause::CallerGone);
        drop(state);
        // In this order: nothing is delivered for sure before the core starts to wind it up.
        drop(delivery);
        if let Some(hook) = hook {
            hook.run(Cause::CallerGone);
        }
    }

    fn set_hook(&self, hook: OnCancel) {
        let mut state = lock(&self.state);
        match state.asked {
            Some(cause) => {
                drop(state);
                hook.run(cause);
            }
            None => {
                let earlier = state.hook.replace(hook);
                drop(state);
                drop(earlier);
            }
        }
    }

    /// Ends it; returns the delivery that is due.
    fn finish(&self, value: T) -> Option<Box<dyn Deliver<T>>> {
        let mut state = lock(&self.state);
        let mut value = Some(value);
        if !self.freed.load(Ordering::Acquire) {
            state.value = value.take();
        }
        state.done = true;
        let (hook, delivery) = (state.hook.take(), state.delivery.take());
        let has_waiters = state.waiters > 0;
        drop(state);
        if has_waiters {
            self.ended.notify_all();
        }
        drop((hook, value));
        delivery
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut patience = Patience::new(timeout);
        let mut state = lock(&self.state);
        while !state.done {
            state.waiters += 1;
            let (guard, has_slept) = patience.sleep(&self.ended, state);
            state = guard;
            state.waiters -= 1;
            if !has_slept {
                break;
            }
        }
        state.done
    }

    fn take(&self) -> Option<T> {
        lock(&self.state).value.take()
    }
}

impl<T: Send> Cancel for Shared<T> {
    fn cancel(&self, cause: Cause) {
        self.ask(cause);
    }

    fn asked(&self) -> Option<Cause> {
        lock(&self.state).asked
    }
}

fn canceller<T: Send + 'static>(shared: &Arc<Shared<T>>) -> Weak<dyn Cancel> {
    let weak: Weak<Shared<T>> = Arc::downgrade(shared);
    weak
}

#[cfg(all(test, not(krpc_loom)))]
mod tests;
