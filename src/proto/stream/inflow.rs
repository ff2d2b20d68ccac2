//! What arrives: frames to their streams, and the pause when too much waits (ttstream.md §12 row 3).

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::cancel::Cancel;
use super::connection::{Connection, Role};
use super::ends::{self, End};
use super::id::StreamKey;
use super::ready::Ready;
use super::state::Stream;
use crate::base::{Code, Error, Phase, Result, StreamLimits, StreamReason};
use crate::wire::ttstream::{Decoded, Frame, FrameType};

/// What waits on all streams, and whether reading has stopped for it.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    weight: usize,
    messages: usize,
    /// Weight of the headers that streams keep.
    headers: usize,
    /// Streams over their budget.
    full: usize,
    /// The connection is over its budget, and not yet well below it.
    connection_full: bool,
    paused_since: Option<Instant>,
}

impl Inflow {
    /// From so many waiting messages on, small ones get memory of their own: a slice of a few bytes would
    /// hold on to all that was read from the socket with it.
    const PINNED: usize = 256;
    const SMALL: usize = 1024;

    fn arrived(&mut self, stream: &mut Stream, message: Bytes, limits: &StreamLimits) {
        let message = match self.messages >= Inflow::PINNED && message.len() < Inflow::SMALL {
            true => Bytes::copy_from_slice(&message),
            false => message,
        };
        self.weight += stream.inbox.push(message);
        self.messages += 1;
        self.measure(stream, limits);
    }

    /// The host took a message.
    pub(super) fn took(&mut self, stream: &mut Stream, weight: usize, limits: &StreamLimits) {
        self.weight = self.weight.saturating_sub(weight);
        self.messages = self.messages.saturating_sub(1);
        self.measure(stream, limits);
    }

    /// The host takes no more.
    pub(super) fn dropped(&mut self, stream: &mut Stream, limits: &StreamLimits) {
        self.closes(stream);
        self.messages = self.messages.saturating_sub(stream.inbox.len());
        self.weight = self.weight.saturating_sub(stream.inbox.clear());
        self.measure_all(limits);
    }

    /// Nothing more arrives on the stream: it keeps nobody waiting.
    pub(super) fn closes(&mut self, stream: &mut Stream) {
        if stream.inbox.is_full() {
            self.full = self.full.saturating_sub(1);
            stream.inbox.close();
        }
    }

    /// A header is kept as long as its stream; whether there is room for it.
    pub(super) fn keeps_header(&mut self, stream: &mut Stream, weight: usize, limits: &StreamLimits) -> bool {
        let fits = self.header_fits(weight, limits);
        if fits {
            stream.header_weight += weight;
            self.headers += weight;
        }
        fits
    }

    /// Headers may take a quarter of the connection's budget, beside what waits.
    pub(super) fn header_fits(&self, weight: usize, limits: &StreamLimits) -> bool {
        self.headers.saturating_add(weight) <= limits.connection_recv_bytes / 4
    }

    pub(super) fn forgot(&mut self, stream: &Stream) {
        self.headers = self.headers.saturating_sub(stream.header_weight);
    }

    fn measure(&mut self, stream: &mut Stream, limits: &StreamLimits) {
        let before = stream.inbox.is_full();
        if stream.recv_end.is_none() {
            match (before, stream.inbox.measure(limits)) {
                (false, true) => self.full += 1,
                (true, false) => self.full = self.full.saturating_sub(1),
                _ => {}
            }
        }
        self.measure_all(limits);
    }

    fn measure_all(&mut self, limits: &StreamLimits) {
        let mark = limits.connection_recv_bytes;
        self.connection_full = match self.connection_full {
            false => self.weight >= mark,
            true => self.weight > mark / 2,
        };
    }

    /// Another stream has come: from now on a pause keeps somebody waiting.
    pub(super) fn shared_from(&mut self, now: Instant) {
        self.paused_since = self.paused_since.map(|_| now);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full > 0 || self.connection_full
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

impl<R: Role> Connection<R> {
    /// Takes frames out of `buf` until it is used up or a budget is full. An error ends the connection.
    pub fn receive(&mut self, buf: &mut BytesMut, now: Instant) -> Result<()> {
        while self.wants_frames(now) && !self.life.is_closed() {
            match self.decoder.decode(buf) {
                Ok(None) => return Ok(()),
                Ok(Some(Decoded::Frame(frame))) => self.on_frame(frame, now),
                Ok(Some(Decoded::Refused { id, error })) => self.on_refused(id, &error, now),
                Err(error) => {
                    self.counters.illegal += 1;
                    let error = error.at(Phase::Decode);
                    self.fail(&error, now);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether bytes should be read from the socket. Changes with every other method.
    pub fn wants_bytes(&self) -> bool {
        !self.inflow.is_full() && !self.outflow.is_clogged() && !self.life.is_closed()
    }

    /// How many bytes are worth reading at least, at least 1.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.decoder.missing(buf)
    }

    /// Notes when a pause begins and ends.
    fn wants_frames(&mut self, now: Instant) -> bool {
        if !self.inflow.is_full() {
            self.inflow.paused_since = None;
        } else if self.inflow.paused_since.is_none() {
            self.inflow.paused_since = Some(now);
            self.counters.pauses += 1;
        }
        self.wants_bytes()
    }

    fn on_frame(&mut self, frame: Frame, now: Instant) {
        self.counters.frames_received += 1;
        let key = self.table.by_id(frame.id);
        if frame.kind == FrameType::Header {
            return R::on_header(self, key, frame, now);
        }
        let Some(key) = key else {
            // Ends cross on the wire: normal, and silent (§1.6 KEEP).
            self.counters.unknown += 1;
            return;
        };
        if let Some(stream) = self.table.get_mut(key) {
            stream.active_at = now;
        }
        match frame.kind {
            FrameType::Data => self.on_data(key, frame.payload, now),
            FrameType::Trailer => R::on_trailer(self, key, frame, now),
            FrameType::Rst => self.on_rst(key, &frame, now),
            FrameType::Meta => R::on_meta(self, key, frame, now),
            FrameType::Header => {}
        }
    }

    fn on_data(&mut self, key: StreamKey, message: Bytes, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        if stream.recv_end.is_some() {
            self.counters.late += 1;
            return;
        }
        let empty = message.is_empty();
        if !empty {
            stream.empty_frames = 0;
        }
        (stream.recv_until, stream.recv_missed) = (None, None);
        self.inflow.arrived(stream, message, &self.options.streams);
        let ready = stream.wake_recv();
        self.notify(key, ready);
        if empty {
            self.count_empty(key, now);
        }
    }

    /// A frame without content. Too many in a row end the stream.
    pub(super) fn count_empty(&mut self, key: StreamKey, now: Instant) {
        let limit = self.options.streams.empty_frames;
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.empty_frames = stream.empty_frames.saturating_add(1);
        if stream.empty_frames > limit {
            self.counters.floods += 1;
            let text = format!("more than {limit} frames without content in a row");
            self.cancel(key, &Cancel::limit(Code::Flood, text), now);
        }
    }

    fn on_rst(&mut self, key: StreamKey, frame: &Frame, now: Instant) {
        self.counters.resets_received += 1;
        let error = ends::of_rst(R::SIDE, &frame.header, &frame.payload, &self.options.limits);
        self.end_stream(key, End::Failed(error), None, now);
    }

    /// A bad frame whose end is certain hurts its own stream only (§12 row 8).
    fn on_refused(&mut self, id: i32, error: &Error, now: Instant) {
        self.counters.illegal += 1;
        match self.table.by_id(id) {
            Some(key) => self.break_stream(key, StreamReason::ILLEGAL_FRAME, error, now),
            None => R::on_stray(self, id, error),
        }
    }

    /// The peer broke the protocol on this stream.
    pub(super) fn break_stream(&mut self, key: StreamKey, code: i32, cause: &Error, now: Instant) {
        let cancel = Cancel::protocol(code, cause.text().to_owned());
        let end = End::Failed(ends::protocol(R::SIDE, code, cause));
        self.end_stream(key, end, Some(&cancel), now);
    }

    /// When a pause that keeps other streams waiting ends by force.
    pub(super) fn slow_reader_at(&self) -> Option<Instant> {
        let inflow = &self.inflow;
        // A stream over its budget is a live one; a connection over its own may be so for what ended
        // streams have left.
        let shared = match inflow.full > 0 {
            true => self.table.live() > 1,
            false => inflow.connection_full && self.table.live() > 0 && self.table.len() > 1,
        };
        inflow.paused_since.filter(|_| shared)?.checked_add(self.options.slow_reader?)
    }

    /// Resets the stream that keeps the others waiting.
    pub(super) fn reset_slow_reader(&mut self, now: Instant) {
        let slowest = self.table.iter().max_by_key(|(_, s)| (s.inbox.is_full(), s.inbox.weight()));
        let Some((key, _)) = slowest else { return };
        self.counters.slow_readers += 1;
        self.inflow.paused_since = Some(now);
        let waited = self.options.slow_reader.unwrap_or_default();
        let text = format!("its messages were not taken for {waited:?}, while other streams waited");
        let cancel = Cancel::limit(Code::SlowReader, text);
        self.cancel(key, &cancel, now);
        let Some(stream) = self.table.get_mut(key) else { return };
        if self.inflow.connection_full && stream.inbox.weight() > 0 {
            // What it holds is what the others lack, so it can't be kept, and its reader must know.
            stream.recv_end = Some(End::Failed(cancel.error(R::SIDE)));
            self.inflow.dropped(stream, &self.options.streams);
        }
    }

    /// Keeps a META frame for the host.
    pub(super) fn keep_meta(&mut self, key: StreamKey, frame: Frame, now: Instant) {
        let Some(stream) = self.table.get_mut(key) else { return };
        if stream.metas.len() < self.options.streams.metas {
            stream.metas.push_back(frame);
            self.notify(key, Ready::META);
        } else {
            self.counters.metas_dropped += 1;
        }
        self.count_empty(key, now);
    }
}
