//! One stream, the same at both ends (ttstream.md §3.1): what each direction may still do, what waits in
//! it, and how it ended.
//!
//! | direction | open | over |
//! |---|---|---|
//! | receiving | `recv_end` is `None` | recv gives what waits, then `recv_end`, for ever |
//! | sending | `send_end` is `None` | send gives `send_end` |
//!
//! A stream is over when both are. Client: CloseSend ends sending, the server's TRAILER ends both.
//! Server: the client's TRAILER ends receiving, the handler's return ends both. RST, a lost connection
//! and every timeout end both.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::ends::{self, End};
use super::inbox::Inbox;
use super::options::StreamTimeouts;
use super::outbox::Outbox;
use super::ready::Ready;
use crate::base::{Encoding, Error, StreamSide};
use crate::wire::ttheader::Header;
use crate::wire::ttstream::{DataHeader, Frame, FrameType, Head};

/// Key-value pairs of a HEADER or TRAILER.
pub type Pairs = Vec<(Bytes, Bytes)>;

/// Messages and bytes of a stream, payloads only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamStats {
    /// Messages that send took.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that recv gave.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

#[derive(Debug)]
/// Not seen outside: the host has a key.
pub struct Stream {
    pub(super) id: i32,
    pub(super) side: StreamSide,
    pub(super) method: Bytes,
    pub(super) encoding: Encoding,
    pub(super) data: DataHeader,

    pub(super) inbox: Inbox,
    pub(super) recv_end: Option<End>,
    /// A recv found nothing and wants to hear of the next message.
    pub(super) recv_waits: bool,
    /// When that recv gives up.
    pub(super) recv_until: Option<Instant>,
    /// A recv that gave up without ending the stream; given once.
    pub(super) recv_missed: Option<Error>,

    pub(super) outbox: Outbox,
    pub(super) send_end: Option<Error>,
    /// A send found no room.
    pub(super) send_waits: bool,

    /// Client: the server's HEADER. Server: the opening one.
    pub(super) header: Option<Header>,
    /// The peer's TRAILER.
    pub(super) trailer: Option<Header>,
    pub(super) metas: VecDeque<Frame>,
    /// Frames without content in a row.
    pub(super) empty_frames: u32,
    pub(super) wire: Wire,
    /// Server: pairs for a HEADER that has not been asked for yet, and for the TRAILER.
    pub(super) reply_header: Pairs,
    pub(super) reply_trailer: Pairs,

    /// How it ended, once both directions are over.
    pub(super) end: Option<End>,
    pub(super) timeouts: StreamTimeouts,
    pub(super) opened_at: Instant,
    pub(super) active_at: Instant,
    /// Its one entry in the connection's timers.
    pub(super) timer_at: Option<Instant>,
    /// Server: the handler has ended.
    pub(super) finished: bool,
    /// The host has given it back.
    pub(super) released: bool,
    pub(super) ready: Ready,
    pub(super) turn: Turn,
    pub(super) stats: StreamStats,
    /// Weight of its headers in the connection's budget.
    pub(super) header_weight: usize,
}

/// Which of our frames are on their way. A TRAILER goes out once, whatever happens (§12 KEEP).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wire {
    /// Our HEADER has been queued.
    pub(super) header_queued: bool,
    /// Our HEADER has been written.
    pub(super) header_written: bool,
    /// Our TRAILER has been written.
    pub(super) trailer_written: bool,
    /// We reset it, or the server has finished it: nothing follows.
    pub(super) closed: bool,
}

/// Its place in the connection's round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) queued: bool,
    /// Bytes it may still write in this round; negative after a large message.
    pub(super) credit: i64,
    /// The round in which the credit was given.
    pub(super) epoch: u64,
    /// A flush waits for the outbox to empty.
    pub(super) flush: bool,
    /// It waits for room on the connection.
    pub(super) in_crowd: bool,
}

impl Stream {
    pub(super) fn new(
        id: i32,
        side: StreamSide,
        method: Bytes,
        encoding: Encoding,
        now: Instant,
    ) -> crate::base::Result<Stream> {
        Ok(Stream {
            id,
            side,
            data: DataHeader::new(id, &method, encoding)?,
            method,
            encoding,
            inbox: Inbox::default(),
            recv_end: None,
            recv_waits: false,
            recv_until: None,
            recv_missed: None,
            outbox: Outbox::default(),
            send_end: None,
            send_waits: false,
            header: None,
            trailer: None,
            metas: VecDeque::new(),
            empty_frames: 0,
            wire: Wire::default(),
            reply_header: Pairs::new(),
            reply_trailer: Pairs::new(),
            end: None,
            timeouts: StreamTimeouts::default(),
            opened_at: now,
            active_at: now,
            timer_at: None,
            finished: false,
            released: false,
            ready: Ready::NONE,
            turn: Turn::default(),
            stats: StreamStats::default(),
            header_weight: 0,
        })
    }

    /// What its frames say.
    pub(super) fn head(&self, kind: FrameType) -> Head<'_> {
        Head { id: self.id, kind, method: &self.method, encoding: self.encoding, ints: &[] }
    }

    /// Receiving is over; the first end stays. What waits is still given before it.
    pub(super) fn end_recv(&mut self, end: End) -> Ready {
        if self.recv_end.is_some() {
            return Ready::NONE;
        }
        self.recv_end = Some(end);
        (self.recv_until, self.recv_missed) = (None, None);
        self.wake_recv()
    }

    /// Both directions are over; what waits to be sent is dropped by the caller. The first end stays.
    pub(super) fn end_both(&mut self, end: End) -> Ready {
        let mut ready = Ready::NONE;
        if self.end.is_some() {
            return ready;
        }
        self.send_end = match (end.error(), self.send_end.take()) {
            (Some(error), _) => Some(error.clone()),
            (None, Some(earlier)) => Some(earlier),
            (None, None) => Some(ends::closed_send(self.side)),
        };
        ready |= self.end_recv(end.clone());
        self.end = Some(end);
        ready |= Ready::ENDED;
        if std::mem::take(&mut self.send_waits) {
            ready |= Ready::WRITABLE;
        }
        if self.side == StreamSide::Client && self.header.is_none() {
            ready |= Ready::HEADER;
        }
        ready
    }

    /// Whoever waits in recv should look again.
    pub(super) fn wake_recv(&mut self) -> Ready {
        if std::mem::take(&mut self.recv_waits) { Ready::READABLE } else { Ready::NONE }
    }

    /// When the stream wants to be looked at.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        let idle = self.timeouts.idle.and_then(|idle| self.active_at.checked_add(idle));
        [self.timeouts.deadline, self.recv_until, idle].into_iter().flatten().min()
    }

    /// Whether it can be forgotten, once the host has given it back.
    pub(super) fn is_done(&self) -> bool {
        self.released && self.end.is_some() && self.outbox.is_empty()
    }
}
