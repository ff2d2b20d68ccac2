//! When streams want to be looked at: one entry for each stream with a clock.

use std::collections::BTreeSet;
use std::time::Instant;

use super::id::StreamKey;
use super::state::Stream;
use super::table::Table;

/// An entry is never later than its stream's clock. It may be earlier: a clock that was set back is
/// looked at in vain once, which costs less than moving the entry with every recv.
#[derive(Debug, Default)]
pub(super) struct Timers {
    entries: BTreeSet<(Instant, StreamKey)>,
}

impl Timers {
    /// Makes sure that the stream is looked at in time.
    pub(super) fn arm(&mut self, key: StreamKey, stream: &mut Stream) {
        let Some(at) = stream.wake_at() else { return };
        if stream.timer_at.is_some_and(|timer| timer <= at) {
            return;
        }
        if let Some(timer) = stream.timer_at.replace(at) {
            self.entries.remove(&(timer, key));
        }
        self.entries.insert((at, key));
    }

    pub(super) fn disarm(&mut self, key: StreamKey, table: &mut Table) {
        if let Some(timer) = table.get_mut(key).and_then(|stream| stream.timer_at.take()) {
            self.entries.remove(&(timer, key));
        }
    }

    /// The next stream to look at.
    pub(super) fn pop_due(&mut self, now: Instant, table: &mut Table) -> Option<StreamKey> {
        let (_, key) = self.entries.first().copied().filter(|(at, _)| *at <= now)?;
        self.entries.pop_first();
        if let Some(stream) = table.get_mut(key) {
            stream.timer_at = None;
        }
        Some(key)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _)| *at)
    }
}
