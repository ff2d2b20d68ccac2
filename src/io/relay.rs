//! One wake-up of a shard for many of its tasks.
//!
//! To wake a task from outside its shard costs a system call, unless the shard is awake anyway, which the
//! executor does not look at. So whoever wakes a task from outside leaves its waker here: the first rings,
//! and until the shard has nothing left to do nobody else does.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::io::inbox::Inbox;

#[cfg(all(test, krpc_loom))]
mod loom_tests;

/// Where wakers for the tasks of one shard are left.
pub(super) struct Relay {
    inbox: Inbox<Mail>,
}

#[derive(Default)]
struct Mail {
    wakers: Vec<Waker>,
    /// The shard has ended: there is nothing to wake.
    gone: bool,
}

thread_local! {
    /// The relay of the shard that the current thread runs.
    static HERE: RefCell<Option<Arc<Relay>>> = const { RefCell::new(None) };
}

impl Relay {
    fn new() -> Arc<Relay> {
        Arc::new(Relay { inbox: Inbox::new(Mail::default()) })
    }

    /// That of the shard on whose thread this is called.
    pub(super) fn here() -> Option<Arc<Relay>> {
        HERE.try_with(|here| here.borrow().clone()).ok().flatten()
    }

    /// Wakes a task of the shard.
    pub(super) fn wake(self: &Arc<Relay>, waker: Waker) {
        // On its own thread the executor only notes it.
        let is_self = |here: &Arc<Relay>| Arc::ptr_eq(here, self);
        // A host's thread may get here while it ends, when nothing local is left of it.
        let is_here = HERE.try_with(|here| here.borrow().as_ref().is_some_and(is_self));
        if is_here.unwrap_or_default() { waker.wake() } else { self.leave(waker) }
    }

    fn leave(&self, waker: Waker) {
        // What cannot be left is dropped without the lock, as it may be the last of its task.
        let refused = self.inbox.tell(|mail| match mail.gone {
            true => Some(waker),
            false => {
                mail.wakers.push(waker);
                None
            }
        });
        drop(refused);
    }

    /// Wakes what was left, `wakers` being a list to change places with.
    fn poll(&self, cx: &Context<'_>, wakers: &mut Vec<Waker>) -> Poll<()> {
        loop {
            self.inbox.take(cx, |mail| mem::swap(&mut mail.wakers, wakers));
            if !wakers.is_empty() {
                wakers.drain(..).for_each(Waker::wake);
                // Behind those that were woken it looks again: what comes until then needs no ring.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.inbox.falls_asleep(|mail| !mail.wakers.is_empty()) {
                return Poll::Pending;
            }
        }
    }
}

/// Keeps the current thread known as that of a shard.
pub(super) struct Here(());

impl Here {
    /// The current thread drives the shard; the task that is returned has to run on it.
    pub(super) fn enter() -> (Here, impl Future<Output = ()> + Send + 'static) {
        let relay = Relay::new();
        HERE.set(Some(Arc::clone(&relay)));
        let running = Running(relay);
        let task = async move {
            let mut wakers = Vec::new();
            poll_fn(|cx| running.0.poll(cx, &mut wakers)).await;
        };
        (Here(()), task)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

/// The relay's task. It ends with its shard.
struct Running(Arc<Relay>);

impl Drop for Running {
    fn drop(&mut self) {
        let left = self.0.inbox.end(|mail| {
            mail.gone = true;
            mem::take(&mut mail.wakers)
        });
        drop(left);
    }
}

#[cfg(all(test, not(krpc_loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    fn of(counter: &Counter) -> usize {
        counter.0.load(Ordering::SeqCst)
    }

    #[test]
    fn a_burst_rings_once_and_none_while_the_shard_is_busy() {
        let (relay, mut list) = (Relay::new(), Vec::new());
        let (rings, ring) = counter();
        let (woken, task) = counter();
        let mut poll = || assert!(relay.poll(&Context::from_waker(&ring), &mut list).is_pending());
        poll();
        (0..100).for_each(|_| relay.leave(task.clone()));
        assert_eq!((of(&rings), of(&woken)), (1, 0));
        poll();
        assert_eq!((of(&rings), of(&woken)), (2, 100), "it puts itself behind those it has woken");
        (0..100).for_each(|_| relay.leave(task.clone()));
        assert_eq!(of(&rings), 2, "it will look again anyway");
        poll();
        assert_eq!((of(&rings), of(&woken)), (3, 200));
        poll();
        assert_eq!(of(&rings), 3, "nothing has come: it sleeps");
        relay.leave(task);
        assert_eq!(of(&rings), 4);
    }

    #[test]
    fn a_shard_wakes_its_own_tasks_itself_and_one_that_has_ended_keeps_nothing() {
        let (woken, task) = counter();
        let (here, running) = Here::enter();
        let relay = Relay::here().unwrap();
        relay.wake(task.clone());
        assert_eq!(of(&woken), 1);
        drop(here);
        assert!(Relay::here().is_none());
        relay.wake(task.clone());
        assert_eq!((of(&woken), Arc::strong_count(&woken)), (1, 3), "left for the relay's task");
        drop(running);
        assert_eq!(Arc::strong_count(&woken), 2, "dropped with it");
        relay.wake(task);
        assert_eq!(Arc::strong_count(&woken), 1);
    }
}
