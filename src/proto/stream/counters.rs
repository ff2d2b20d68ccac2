//! What a connection has seen, in numbers.

/// What a connection has seen. Numbers only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Streams opened.
    pub opened: u64,
    /// Openings that were refused: too many streams, too much memory, or a server that stops.
    pub refused: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Frames for ids that mean nothing: normal when ends cross.
    pub unknown: u64,
    /// Frames for streams whose receiving side was over.
    pub late: u64,
    /// Frames that broke the protocol or a limit.
    pub illegal: u64,
    /// META frames that were dropped.
    pub metas_dropped: u64,
    /// RST received for live streams.
    pub resets_received: u64,
    /// RST sent.
    pub resets_sent: u64,
    /// Streams reset because nobody took their messages.
    pub slow_readers: u64,
    /// Streams reset because of too many frames without content.
    pub floods: u64,
    /// Times the reading of the connection was stopped by a full budget.
    pub pauses: u64,
}

impl Counters {
    /// Adds what another connection has seen.
    pub fn add(&mut self, more: &Counters) {
        self.zip(more, u64::wrapping_add);
    }

    /// What has come since an earlier look.
    pub fn since(mut self, earlier: &Counters) -> Counters {
        self.zip(earlier, u64::wrapping_sub);
        self
    }

    /// Whether nothing but frames has come since.
    pub fn is_like(&self, earlier: &Counters) -> bool {
        let Counters { frames_received, frames_sent, .. } = *earlier;
        Counters { frames_received, frames_sent, ..*self } == *earlier
    }

    fn zip(&mut self, other: &Counters, change: fn(u64, u64) -> u64) {
        let Counters {
            opened,
            refused,
            frames_received,
            frames_sent,
            unknown,
            late,
            illegal,
            metas_dropped,
            resets_received,
            resets_sent,
            slow_readers,
            floods,
            pauses,
        } = self;
        *opened = change(*opened, other.opened);
        *refused = change(*refused, other.refused);
        *frames_received = change(*frames_received, other.frames_received);
        *frames_sent = change(*frames_sent, other.frames_sent);
        *unknown = change(*unknown, other.unknown);
        *late = change(*late, other.late);
        *illegal = change(*illegal, other.illegal);
        *metas_dropped = change(*metas_dropped, other.metas_dropped);
        *resets_received = change(*resets_received, other.resets_received);
        *resets_sent = change(*resets_sent, other.resets_sent);
        *slow_readers = change(*slow_readers, other.slow_readers);
        *floods = change(*floods, other.floods);
        *pauses = change(*pauses, other.pauses);
    }
}
