//! Turns: a thread that completes much wakes those who wait once a turn, not once an end.
//!
//! A shard is on [`turns`] all its life and says that one is [`over`] before it sleeps. What it has put into
//! a queue meanwhile can be taken at once by whoever looks; only the bell waits, until the turn is over or
//! enough has come together. On any other thread nothing waits.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use crate::op::queue::Signal;
use crate::op::spent;

/// Ends that may come together before somebody hears of them: enough to spread the price of a wake-up, few
/// enough that a second processor has something to do meanwhile.
pub(super) const MOST_ENDS: usize = 32;

/// What can wake those who wait for it.
pub(super) trait Wakes {
    /// Wakes those whom the signal names. Called without a lock.
    fn wake(&self, signal: Signal);
}

#[derive(Default)]
struct Turn {
    ends: usize,
    due: Vec<(Arc<dyn Wakes>, Signal)>,
}

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Keeps the current thread on turns. Dropped, it ends the last one.
pub struct Turns(PhantomData<*const ()>);

/// Puts the current thread on turns: it promises to call [`over`] before it sleeps.
pub fn turns() -> Turns {
    TURN.set(Some(Turn::default()));
    spent::clearer_comes();
    Turns(PhantomData)
}

impl Drop for Turns {
    fn drop(&mut self) {
        over();
        TURN.set(None);
        spent::clearer_goes();
    }
}

/// The turn is over: wakes everybody for whom something has come.
pub fn over() {
    let mut due = TURN.with_borrow_mut(|turn| {
        let Some(turn) = turn else { return Vec::new() };
        turn.ends = 0;
        mem::take(&mut turn.due)
    });
    due.drain(..).for_each(|(who, signal)| who.wake(signal));
    keep(due);
    spent::clear();
}

/// The next turn gets the memory of the last one's list.
fn keep(due: Vec<(Arc<dyn Wakes>, Signal)>) {
    TURN.with_borrow_mut(|turn| {
        if let Some(turn) = turn
            && turn.due.capacity() < due.capacity()
            && turn.due.is_empty()
        {
            turn.due = due;
        }
    });
}

/// An end has come: wakes whom the signal names when the turn is over, or at once where there are no turns.
pub(super) fn ended<W: Wakes + 'static>(who: Arc<W>, signal: Signal) {
    let (at_once, is_full) = TURN.with_borrow_mut(|turn| match turn {
        None => (Some((who, signal)), false),
        Some(turn) => {
            if !signal.is_nobody() {
                turn.due.push((who, signal));
            }
            turn.ends += 1;
            (None, turn.ends >= MOST_ENDS)
        }
    });
    if let Some((who, signal)) = at_once {
        who.wake(signal);
    }
    if is_full {
        over();
    }
}
