//! What travels down from a call to the calls that are made for it: deadline, cancel, metainfo.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::Metainfo;
use crate::base::lock::Mutex;
use crate::io::clock;
use crate::op::operation::{Cancel, Cause};

/// The frame of a piece of work. Calls made in it end when it is cancelled or its deadline passes, and
/// take its metainfo along. Cloning shares it; it may outlive the request it came from.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    deadline: Option<Instant>,
    metainfo: Metainfo,
    state: Mutex<State>,
    /// Ends with the parent.
    parent: Mutex<Option<Watch>>,
}

#[derive(Default)]
struct State {
    cause: Option<Cause>,
    next: u64,
    watchers: HashMap<u64, Weak<dyn Cancel>>,
}

/// What a context is made of.
#[derive(Clone, Debug, Default)]
pub struct ContextOptions {
    /// From now; the parent's deadline holds as well.
    pub timeout: Option<Duration>,
    /// Pairs for calls made in it, beside the parent's.
    pub metainfo: Metainfo,
}

impl Context {
    /// A context of its own, or below another.
    pub fn new(parent: Option<&Context>, options: ContextOptions) -> Context {
        let own = options.timeout.and_then(|timeout| clock::now().checked_add(timeout));
        let deadline = [own, parent.and_then(Context::deadline)].into_iter().flatten().min();
        let mut metainfo = parent.map(|parent| parent.metainfo().clone()).unwrap_or_default();
        options.metainfo.iter().for_each(|(kind, key, value)| metainfo.set(kind, key.clone(), value.clone()));
        let context = Context::with(deadline, metainfo);
        if let Some(parent) = parent {
            let watch = parent.watch(context.canceller());
            *context.inner.parent.lock() = Some(watch);
        }
        context
    }

    /// The context of a request.
    pub(super) fn with(deadline: Option<Instant>, metainfo: Metainfo) -> Context {
        let inner = Inner { deadline, metainfo, state: Mutex::default(), parent: Mutex::new(None) };
        Context { inner: Arc::new(inner) }
    }

    /// Ends the work and everything below it. The first cause counts.
    pub fn cancel(&self, cause: Cause) {
        self.inner.cancel(cause);
    }

    /// Why the work is to end, if it is: it was cancelled, or its deadline has passed.
    pub fn cause(&self) -> Option<Cause> {
        let late = || self.inner.deadline.is_some_and(|deadline| deadline <= clock::now());
        let cause = self.inner.state.lock().cause;
        cause.or_else(|| late().then_some(Cause::Deadline))
    }

    /// When the work must be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// How long is left: `None` without a deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.inner.deadline.map(|deadline| deadline.saturating_duration_since(clock::now()))
    }

    /// Pairs that calls made in it take along.
    pub fn metainfo(&self) -> &Metainfo {
        &self.inner.metainfo
    }

    /// Asks to be told; at once if the end was asked for before. Ends with the returned watch.
    pub(super) fn watch(&self, watcher: Weak<dyn Cancel>) -> Watch {
        let mut state = self.inner.state.lock();
        let id = state.next;
        state.next += 1;
        let cause = state.cause;
        if cause.is_none() {
            state.watchers.insert(id, Weak::clone(&watcher));
        }
        drop(state);
        if let (Some(cause), Some(watcher)) = (cause, watcher.upgrade()) {
            watcher.cancel(cause);
        }
        Watch { context: Arc::clone(&self.inner), id }
    }

    /// For whoever may have to end it from elsewhere; does not keep it alive.
    pub(super) fn canceller(&self) -> Weak<dyn Cancel> {
        let canceller: Arc<dyn Cancel> = Arc::clone(&self.inner) as _;
        Arc::downgrade(&canceller)
    }
}

impl Cancel for Inner {
    fn cancel(&self, cause: Cause) {
        let watchers = {
            let mut state = self.state.lock();
            if state.cause.is_some() {
                return;
            }
            state.cause = Some(cause);
            std::mem::take(&mut state.watchers)
        };
        // Without the lock: what they do may come back here.
        watchers.values().filter_map(Weak::upgrade).for_each(|watcher| watcher.cancel(cause));
    }
}

/// Interest in a context's end, for as long as it lives. It keeps the context: its own handle may be freed
/// while what it was given to still hears of an end further up.
pub(super) struct Watch {
    context: Arc<Inner>,
    id: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.context.state.lock().watchers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MetainfoKind;

    fn timeout(seconds: u64) -> ContextOptions {
        ContextOptions { timeout: Some(Duration::from_secs(seconds)), ..ContextOptions::default() }
    }

    #[test]
    fn the_end_travels_down_but_not_up() {
        let top = Context::new(None, ContextOptions::default());
        let middle = Context::new(Some(&top), ContextOptions::default());
        let bottom = Context::new(Some(&middle), ContextOptions::default());
        middle.cancel(Cause::ByHost);
        middle.cancel(Cause::Closed);
        assert_eq!((top.cause(), middle.cause()), (None, Some(Cause::ByHost)));
        assert_eq!(bottom.cause(), Some(Cause::ByHost));
        let late = Context::new(Some(&middle), ContextOptions::default());
        assert_eq!(late.cause(), Some(Cause::ByHost), "a child of what has ended has ended");
    }

    #[test]
    fn the_end_travels_past_contexts_that_nobody_holds() {
        let top = Context::new(None, ContextOptions::default());
        let middle = Context::new(Some(&top), ContextOptions::default());
        let bottom = Context::new(Some(&middle), ContextOptions::default());
        drop(middle);
        top.cancel(Cause::CallerGone);
        assert_eq!(bottom.cause(), Some(Cause::CallerGone));
    }

    #[test]
    fn the_earliest_deadline_holds() {
        let top = Context::new(None, timeout(10));
        assert_eq!(Context::new(Some(&top), timeout(20)).deadline(), top.deadline());
        assert!(Context::new(Some(&top), timeout(5)).deadline() < top.deadline());
        assert_eq!(Context::new(None, ContextOptions::default()).time_left(), None);
        let past = Context::new(None, timeout(0));
        assert_eq!((past.cause(), past.time_left()), (Some(Cause::Deadline), Some(Duration::ZERO)));
    }

    #[test]
    fn metainfo_is_inherited_and_overridden() {
        let with = |key: &'static str, value: &'static str| {
            let mut options = ContextOptions::default();
            options.metainfo.set(MetainfoKind::Persistent, key, value);
            options
        };
        let top = Context::new(None, with("k", "1"));
        let below = Context::new(Some(&top), with("k", "2"));
        assert_eq!(below.metainfo().get(MetainfoKind::Persistent, b"k").unwrap(), "2");
        assert_eq!(top.metainfo().get(MetainfoKind::Persistent, b"k").unwrap(), "1");
    }

    #[test]
    fn interest_ends_with_its_watch() {
        let top = Context::new(None, ContextOptions::default());
        let below = Context::new(Some(&top), ContextOptions::default());
        assert_eq!(top.inner.state.lock().watchers.len(), 1);
        drop(below);
        assert_eq!(top.inner.state.lock().watchers.len(), 0);
    }
}
