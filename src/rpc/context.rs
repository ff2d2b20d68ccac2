//! What travels down from a call to the calls that are made for it: deadline, cancel, metainfo.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::lock::Mutex;
use crate::base::{Error, Metainfo};
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
    /// What the work ended with, where more is known than the cause.
    reason: Option<Error>,
    stopping: bool,
    next: u64,
    watchers: HashMap<u64, Watcher>,
}

/// Who hears of a context's end.
enum Watcher {
    /// A context below it. Known as one, for chains may be longer than a thread's stack.
    Below(Weak<Inner>),
    Other(Weak<dyn Cancel>),
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
        Context::below(parent, deadline, metainfo)
    }

    /// A context below another, if there is one, with these terms.
    pub(super) fn below(parent: Option<&Context>, deadline: Option<Instant>, metainfo: Metainfo) -> Context {
        let context = Context::with(deadline, metainfo);
        if let Some(parent) = parent {
            let below = Watcher::Below(Arc::downgrade(&context.inner));
            *context.inner.parent.lock() = Some(parent.watched_by(below));
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
        self.cancel_for(cause, None);
    }

    /// Ends it with what a stream ended with: streams that were opened in it tell their peers so.
    pub(super) fn cancel_for(&self, cause: Cause, reason: Option<Error>) {
        tell(self.inner.end(cause, &reason).into_values().collect(), cause, &reason);
    }

    /// What the work ended with, if it was part of a stream: number, text and cancel path of the hop where
    /// it began (ttstream.md §4.3).
    pub fn reason(&self) -> Option<Error> {
        self.inner.state.lock().reason.clone()
    }

    /// Whether the server that the work is for is being stopped: what is under way should come to its end,
    /// and may still say a last word.
    pub fn is_stopping(&self) -> bool {
        self.inner.state.lock().stopping
    }

    pub(super) fn set_stopping(&self) {
        self.inner.state.lock().stopping = true;
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
        self.watched_by(Watcher::Other(watcher))
    }

    fn watched_by(&self, watcher: Watcher) -> Watch {
        let mut state = self.inner.state.lock();
        let id = state.next;
        state.next += 1;
        let ended = match state.cause {
            None => {
                state.watchers.insert(id, watcher);
                None
            }
            Some(cause) => Some((cause, watcher, state.reason.clone())),
        };
        drop(state);
        if let Some((cause, watcher, reason)) = ended {
            tell(vec![watcher], cause, &reason);
        }
        Watch { context: Some(Arc::clone(&self.inner)), id }
    }
}

impl Inner {
    /// Ends this one; returns who must hear of it. The first cause counts.
    fn end(&self, cause: Cause, reason: &Option<Error>) -> HashMap<u64, Watcher> {
        let mut state = self.state.lock();
        if state.cause.is_some() {
            return HashMap::new();
        }
        state.cause = Some(cause);
        state.reason.clone_from(reason);
        std::mem::take(&mut state.watchers)
    }
}

/// Tells all of them and all below, without a lock: what they do may come back here.
fn tell(mut watchers: Vec<Watcher>, cause: Cause, reason: &Option<Error>) {
    while let Some(watcher) = watchers.pop() {
        match watcher {
            Watcher::Below(context) => {
                if let Some(context) = context.upgrade() {
                    watchers.extend(context.end(cause, reason).into_values());
                }
            }
            Watcher::Other(watcher) => {
                if let Some(watcher) = watcher.upgrade() {
                    watcher.cancel(cause);
                }
            }
        }
    }
}

/// A chain that only its last context holds goes one by one, not each inside the drop of the one below.
impl Drop for Inner {
    fn drop(&mut self) {
        let mut above = self.parent.lock().take();
        while let Some(mut watch) = above {
            above = watch.leave().and_then(Arc::into_inner).and_then(|last| last.parent.lock().take());
        }
    }
}

/// Interest in a context's end, for as long as it lives. It keeps the context: its own handle may be freed
/// while what it was given to still hears of an end further up.
pub(super) struct Watch {
    /// Until it is dropped.
    context: Option<Arc<Inner>>,
    id: u64,
}

impl Watch {
    fn leave(&mut self) -> Option<Arc<Inner>> {
        let context = self.context.take()?;
        let watcher = context.state.lock().watchers.remove(&self.id);
        drop(watcher);
        Some(context)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave();
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

    /// On a stack that a chain of drops, or of cancels, would overflow.
    #[test]
    fn a_chain_may_be_longer_than_a_stack() {
        let chain = || {
            let top = Context::new(None, ContextOptions::default());
            let below = |context: &Context| Context::new(Some(context), ContextOptions::default());
            let bottom = (0..100_000).fold(top.clone(), |context, _| below(&context));
            (top, bottom)
        };
        let test = move || {
            let (top, bottom) = chain();
            top.cancel(Cause::ByHost);
            assert_eq!(bottom.cause(), Some(Cause::ByHost));
            drop((top, bottom));
            let (top, bottom) = chain();
            drop(top);
            drop(bottom);
        };
        let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(test).unwrap();
        thread.join().unwrap();
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
