//! What has become possible on a stream since the host last asked.

use std::fmt;
use std::ops::BitOrAssign;

/// A set of facts about one stream.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// Server: the peer has opened it; see [`ServerConn::opening`](super::ServerConn::opening).
    pub const OPENED: Ready = Ready(1);
    /// Client: the server's HEADER is there, or it is certain that none will come.
    pub const HEADER: Ready = Ready(1 << 1);
    /// A recv that found nothing should be tried again.
    pub const READABLE: Ready = Ready(1 << 2);
    /// A send that found no room should be tried again.
    pub const WRITABLE: Ready = Ready(1 << 3);
    /// What was sent before the call of `flush` is with the socket.
    pub const FLUSHED: Ready = Ready(1 << 4);
    /// Nothing more happens on it in either direction: `end` says how it went. Cancel what belongs to it.
    pub const ENDED: Ready = Ready(1 << 5);
    /// Server: the server is being stopped.
    pub const STOPPING: Ready = Ready(1 << 6);
    /// Client: a META frame can be taken.
    pub const META: Ready = Ready(1 << 7);

    /// No facts.
    pub const NONE: Ready = Ready(0);

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] =
            ["opened", "header", "readable", "writable", "flushed", "ended", "stopping", "meta"];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        f.debug_list().entries(set.map(|(_, name)| name)).finish()
    }
}
