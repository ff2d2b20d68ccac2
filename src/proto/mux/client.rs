//! The client's side: who waits for which reply.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

use crate::base::{Code, Error, Limits, Phase, Result};
use crate::proto::call::{self, Expected, LastInts, Request, Response};
use crate::proto::mux::{Frames, OUT_OF_ORDER};
use crate::wire::frame::Inbound;
use crate::wire::keys;
use crate::wire::outbuf::OutBuf;

/// A client's connection without its socket, shared by any number of calls. `W` is whoever waits for one.
///
/// Call [`MuxClient::send`] and [`MuxClient::wait`] for each call, write what it put out, and feed [`MuxClient::receive`] until it
/// has no more. [`MuxClient::wake_at`] may change after each.
#[derive(Debug)]
pub struct MuxClient<W> {
    frames: Frames,
    depth_limit: u8,
    /// By sequence ids, which are our own: nobody can choose them to collide.
    calls: FxHashMap<i32, Waiting<W>>,
    /// No later than the earliest deadline. Not moved when a call ends: most end in time, and a look in vain
    /// now and then is cheaper than an order of all.
    look_at: Option<Instant>,
    /// The peer has asked for no more calls, or the connection is lost.
    closing: bool,
    dropped: u64,
    /// The first request was sent, and with it the word that this client takes notices.
    introduced: bool,
    last: LastInts,
}

/// A request that was sent and has a reply to come.
#[derive(Debug)]
#[must_use]
pub struct Sent(Expected);

#[derive(Debug)]
struct Waiting<W> {
    expected: Expected,
    who: W,
}

impl<W> MuxClient<W> {
    /// A fresh connection.
    pub fn new(limits: Limits) -> MuxClient<W> {
        MuxClient {
            frames: Frames::new(limits),
            depth_limit: limits.depth,
            calls: FxHashMap::default(),
            look_at: None,
            closing: false,
            dropped: 0,
            introduced: false,
            last: LastInts::default(),
        }
    }

    /// Appends a request to `out`. For a two-way call, [`MuxClient::wait`] must follow; nobody waits for a
    /// oneway call. On an error nothing was appended.
    pub fn send(&mut self, out: &mut OutBuf, request: &Request<'_>, method: &Bytes) -> Result<Option<Sent>> {
        self.check(request)?;
        let is_first = !self.introduced;
        call::encode(out, request, OUT_OF_ORDER, &mut self.last, |header| {
            if is_first {
                header.string(b"", keys::TAKES_NOTICE, b"1");
            }
        })?;
        self.introduced = true;
        Ok((!request.oneway).then(|| Sent(Expected::of(request, method))))
    }

    /// Remembers who waits for a reply. He comes back from [`MuxClient::receive`], [`MuxClient::expire`],
    /// [`MuxClient::forget`] or [`MuxClient::lose`].
    pub fn wait(&mut self, sent: Sent, who: W) {
        let Sent(expected) = sent;
        if let Some(deadline) = expected.deadline {
            self.look_at = Some(self.look_at.map_or(deadline, |at| at.min(deadline)));
        }
        self.calls.insert(expected.seq, Waiting { expected, who });
    }

    fn check(&self, request: &Request<'_>) -> Result<()> {
        let text = if !request.layout.ttheader {
            "multiplexing needs a TTHeader transport"
        } else if self.closing {
            "the connection takes no more calls"
        } else if request.seq == 0 || self.calls.contains_key(&request.seq) {
            // 0 is the control channel.
            "the sequence id is in use"
        } else {
            return Ok(());
        };
        Err(Error::new(Code::InvalidState, text).at(Phase::Send))
    }

    /// Takes the next reply out of `buf`, once one is complete, with whoever waits for it. A reply that
    /// makes no sense fails its own call only; an error of this function ends the connection.
    pub fn receive(&mut self, buf: &mut BytesMut) -> Result<Option<(W, Result<Response>)>> {
        while let Some((seq, inbound)) = self.frames.cut(buf)? {
            if inbound.as_ref().is_ok_and(asks_to_end) {
                self.closing = true;
            }
            let Some(waiting) = self.calls.remove(&seq) else {
                // Control frames, and replies that come too late.
                self.dropped += u64::from(seq != 0);
                continue;
            };
            let read = inbound.and_then(|inbound| waiting.expected.read(inbound, self.depth_limit));
            return Ok(Some((waiting.who, read.map_err(|error| error.at(Phase::Decode)))));
        }
        Ok(None)
    }

    /// Stops waiting for a reply, which is dropped when it comes.
    pub fn forget(&mut self, seq: i32) -> Option<W> {
        self.calls.remove(&seq).map(|waiting| waiting.who)
    }

    /// When [`MuxClient::expire`] wants to be called.
    pub fn wake_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Stops waiting for the calls whose deadline has passed.
    pub fn expire(&mut self, now: Instant) -> Vec<W> {
        if self.look_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let is_due = |waiting: &Waiting<W>| waiting.expected.deadline.is_some_and(|at| at <= now);
        let due =
            self.calls.extract_if(|_, waiting| is_due(waiting)).map(|(_, waiting)| waiting.who).collect();
        self.look_at = self.calls.values().filter_map(|waiting| waiting.expected.deadline).min();
        due
    }

    /// Whoever waits for a reply.
    pub fn everybody(&mut self) -> impl Iterator<Item = &mut W> {
        self.calls.values_mut().map(|waiting| &mut waiting.who)
    }

    /// The connection has ended: everybody who still waits, and why. `reason` is `None` for a clean end.
    pub fn lose(&mut self, reason: Option<&std::io::Error>) -> (Vec<W>, Error) {
        self.closing = true;
        let text = match reason {
            Some(reason) => format!("connection failed: {reason}"),
            None => "the peer closed the connection before it replied".to_owned(),
        };
        let who = self.calls.drain().map(|(_, waiting)| waiting.who).collect();
        (who, Error::new(Code::ConnectionLost, text).at(Phase::Wait))
    }

    /// Whether another call may be sent.
    pub fn is_open(&self) -> bool {
        !self.closing
    }

    /// Calls that wait for a reply.
    pub fn waiting(&self) -> usize {
        self.calls.len()
    }

    /// Replies that nobody waited for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many bytes are worth reading at least, at least 1; no more than is prudent on a peer's word.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.frames.missing(buf)
    }
}

/// The server wants the connection to end: a control frame (example L), or a reply that says so.
fn asks_to_end(inbound: &Inbound) -> bool {
    let reset = inbound.header.as_ref().and_then(|header| header.string(keys::CONNECTION_RESET));
    reset.is_some_and(|value| !value.is_empty())
}
