//! What leaves: the frames of all streams in turn, so that one vectored write carries many
//! (ttstream.md §12 rows 4, 5).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{BufMut, BytesMut};

use super::connection::{Connection, Role};
use super::id::StreamKey;
use super::outbox::Outgoing;
use super::ready::Ready;
use super::state::Stream;
use crate::base::StreamLimits;
use crate::wire::outbuf::OutBuf;

/// The round of streams with something to send, and what waits on all of them.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    round: VecDeque<StreamKey>,
    /// Changes when everything has been sent: debts are forgotten then.
    epoch: u64,
    weight: usize,
    /// Answers to frames that belong to no stream.
    loose: BytesMut,
    loose_frames: u64,
    /// Senders that wait for room on the connection.
    crowd: VecDeque<StreamKey>,
    /// Bytes put out since the connection began, and of these, written.
    put: u64,
    written: u64,
    flushes: VecDeque<(u64, StreamKey)>,
    writing_since: Option<Instant>,
}

impl Outflow {
    /// Bytes put out before they are written; one message more may follow.
    const BATCH: usize = 256 << 10;
    /// Bytes a stream may write before the next has its turn.
    const QUANTUM: i64 = 16 << 10;
    /// The most a large message can cost its stream in later turns.
    const DEBT: i64 = -16 * Outflow::QUANTUM;
    /// Loose answers that may wait before no more frames are taken in.
    const LOOSE: usize = 64 << 10;

    /// Notes that the stream has something more to send.
    pub(super) fn add(&mut self, key: StreamKey, stream: &mut Stream, weight: usize) {
        self.weight += weight;
        if !std::mem::replace(&mut stream.turn.queued, true) {
            self.round.push_back(key);
        }
    }

    pub(super) fn has_room(&self, limits: &StreamLimits) -> bool {
        self.weight < limits.connection_send_bytes
    }

    /// The sender will be told when the connection has room.
    pub(super) fn wait_for_room(&mut self, key: StreamKey, stream: &mut Stream) {
        if !std::mem::replace(&mut stream.turn.in_crowd, true) {
            self.crowd.push_back(key);
        }
    }

    /// Tells the stream when what has been put out so far is written.
    pub(super) fn flush_at_end(&mut self, key: StreamKey) {
        if self.flushes.back() != Some(&(self.put, key)) {
            self.flushes.push_back((self.put, key));
        }
    }

    /// Room for an answer that belongs to no stream.
    pub(super) fn loose(&mut self) -> &mut BytesMut {
        self.loose_frames += 1;
        &mut self.loose
    }

    /// The peer makes us answer and does not take the answers.
    pub(super) fn is_clogged(&self) -> bool {
        self.loose.len() > Outflow::LOOSE
    }

    pub(super) fn is_empty(&self) -> bool {
        self.round.is_empty() && self.loose.is_empty() && self.written == self.put
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn writing_since(&self) -> Option<Instant> {
        self.writing_since
    }

    /// The connection is lost: nothing leaves any more.
    pub(super) fn clear(&mut self) {
        self.round.clear();
        self.loose.clear();
        self.writing_since = None;
        self.written = self.put;
    }
}

impl<R: Role> Connection<R> {
    /// Moves frames into `out`, up to a batch; whether there is something to write. Streams take turns by
    /// bytes; the frames of one stay in order.
    pub fn transmit(&mut self, out: &mut OutBuf, now: Instant) -> bool {
        let before = out.len();
        // Of what nobody takes no more is put out: it then stops the reading of what causes it.
        if !self.outflow.loose.is_empty() && before < Outflow::BATCH {
            out.put_slice(&self.outflow.loose);
            self.outflow.loose.clear();
            self.counters.frames_sent += std::mem::take(&mut self.outflow.loose_frames);
        }
        while out.len() < Outflow::BATCH
            && let Some(key) = self.outflow.round.pop_front()
        {
            self.take_turn(key, out);
        }
        if self.outflow.round.is_empty() {
            self.outflow.epoch += 1;
        }
        let put = out.len().saturating_sub(before);
        self.outflow.put += u64::try_from(put).unwrap_or(u64::MAX);
        if put > 0 {
            self.outflow.writing_since.get_or_insert(now);
        }
        self.note_flushes();
        self.wake_senders();
        !out.is_empty()
    }

    /// Tells how many bytes of `out` still wait after a write that moved some.
    pub fn written(&mut self, left: usize, now: Instant) {
        self.outflow.written = self.outflow.put.saturating_sub(u64::try_from(left).unwrap_or(u64::MAX));
        self.outflow.writing_since = (left > 0).then_some(now);
        if left == 0 && self.outflow.round.is_empty() {
            self.life.touch(now);
        }
        self.tell_flushed();
    }

    /// One stream writes up to its credit.
    fn take_turn(&mut self, key: StreamKey, out: &mut OutBuf) {
        let alone = self.outflow.round.is_empty();
        let Some(stream) = self.table.get_mut(key) else { return };
        let turn = &mut stream.turn;
        if turn.epoch != self.outflow.epoch {
            (turn.epoch, turn.credit) = (self.outflow.epoch, 0);
        }
        // Whoever is alone owes nothing to anybody.
        turn.credit = if alone { Outflow::QUANTUM } else { turn.credit + Outflow::QUANTUM };
        while stream.turn.credit > 0 && out.len() < Outflow::BATCH {
            let before = out.len();
            let Some((frame, weight)) = stream.outbox.pop() else { break };
            put(out, stream, frame);
            let put = i64::try_from(out.len().saturating_sub(before)).unwrap_or(i64::MAX);
            stream.turn.credit = stream.turn.credit.saturating_sub(put).max(Outflow::DEBT);
            self.outflow.weight = self.outflow.weight.saturating_sub(weight);
            self.counters.frames_sent += 1;
        }
        if stream.outbox.is_empty() {
            stream.turn.queued = false;
            stream.turn.credit = stream.turn.credit.min(0);
            if std::mem::take(&mut stream.turn.flush) {
                // Where it ends is known when the whole batch is.
                self.outflow.flushes.push_back((u64::MAX, key));
            }
        } else {
            self.outflow.round.push_back(key);
        }
        self.wake_sender(key);
        self.forget_if_done(key);
    }

    /// A sender that waited for its own budget.
    fn wake_sender(&mut self, key: StreamKey) {
        let limits = &self.options.streams;
        let room = self.outflow.has_room(limits);
        let Some(stream) = self.table.get_mut(key) else { return };
        if !stream.send_waits || !stream.outbox.is_half_empty(limits) {
            return;
        }
        if room {
            stream.send_waits = false;
            self.notify(key, Ready::WRITABLE);
        } else {
            self.outflow.wait_for_room(key, stream);
        }
    }

    /// Senders that waited for the connection's budget, in the order they came.
    pub(super) fn wake_senders(&mut self) {
        if self.outflow.weight > self.options.streams.connection_send_bytes / 2 {
            return;
        }
        for _ in 0..self.outflow.crowd.len() {
            let Some(key) = self.outflow.crowd.pop_front() else { return };
            let Some(stream) = self.table.get_mut(key) else { continue };
            stream.turn.in_crowd = false;
            if stream.send_waits && stream.outbox.has_room(&self.options.streams) {
                stream.send_waits = false;
                self.notify(key, Ready::WRITABLE);
            }
        }
    }

    /// Drops what a stream has not sent.
    pub(super) fn drop_unsent(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get_mut(key) else { return };
        let weight = stream.outbox.clear();
        self.outflow.weight = self.outflow.weight.saturating_sub(weight);
        if std::mem::take(&mut stream.turn.flush) {
            self.outflow.flush_at_end(key);
        }
        self.wake_senders();
        self.tell_flushed();
    }

    /// Queues a frame other than DATA.
    pub(super) fn queue(&mut self, key: StreamKey, frame: Outgoing) {
        if self.life.is_closed() {
            return;
        }
        if let Some(stream) = self.table.get_mut(key) {
            if matches!(frame, Outgoing::Rst(_)) {
                self.counters.resets_sent += 1;
            }
            stream.outbox.push_frame(frame);
            self.outflow.add(key, stream, 0);
        }
    }

    /// Flushes that ended in this batch end where it ends.
    fn note_flushes(&mut self) {
        let put = self.outflow.put;
        let open = self.outflow.flushes.iter_mut().rev().take_while(|(end, _)| *end == u64::MAX);
        open.for_each(|(end, _)| *end = put);
        self.tell_flushed();
    }

    pub(super) fn tell_flushed(&mut self) {
        while let Some((end, key)) = self.outflow.flushes.front().copied()
            && end <= self.outflow.written
        {
            self.outflow.flushes.pop_front();
            self.notify(key, Ready::FLUSHED);
        }
    }
}

/// Writes one frame.
fn put(out: &mut OutBuf, stream: &mut Stream, frame: Outgoing) {
    match frame {
        Outgoing::Data(message) => {
            stream.data.write(out.tail(), message.len());
            out.put_message(&message);
        }
        Outgoing::Header(bytes) => {
            stream.wire.header_written = true;
            out.tail().put_slice(&bytes);
        }
        Outgoing::Trailer(bytes) => {
            stream.wire.trailer_written = true;
            out.tail().put_slice(&bytes);
        }
        Outgoing::Rst(bytes) => out.tail().put_slice(&bytes),
    }
}
