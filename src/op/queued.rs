//! An operation whose end goes to a queue.

use crate::op::operation::{Completer, Finished, Operation, Outcome, new_with};
use crate::op::queue::Slot;

/// Makes an operation that fills `slot` with what `event` makes of its end. The queue can ask it to end, by
/// tag or when it closes. If it is freed first, the slot goes back to the queue.
///
/// A host that wants no handle calls [`Operation::forget_handle`] on it.
pub fn queued<T, E>(
    mut slot: Slot<E>,
    tag: u64,
    event: impl FnOnce(Finished<T>) -> E + Send + 'static,
) -> (Operation<T>, Completer<T>)
where
    T: Outcome + Send + 'static,
    E: Send + 'static,
{
    new_with(|cancel| {
        slot.watch(tag, cancel);
        Some(Box::new(move |finished| slot.fill(event(finished))))
    })
}

#[cfg(all(test, not(krpc_loom)))]
mod tests;
