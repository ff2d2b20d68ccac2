//! What all connections of one client or server have seen.

use crate::base::lock::Mutex;
use crate::proto::stream::Counters;

/// The sum over connections, those that have ended included. Each adds what is new before it sleeps.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counters>);

impl Tally {
    pub(super) fn add(&self, more: &Counters) {
        self.0.lock().add(more);
    }

    /// The sum. Numbers of frames may lag behind: they alone are no reason to add.
    pub fn total(&self) -> Counters {
        *self.0.lock()
    }
}
