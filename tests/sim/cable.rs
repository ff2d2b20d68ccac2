//! A connection without sockets: bytes take their time, arrive in pieces, and may be cut off anywhere.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use krpc::wire::OutBuf;

use crate::dice::Dice;

/// An end of the cable. What it writes is in the lane of the same number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    fn other(self) -> Side {
        if self == Side::Client { Side::Server } else { Side::Client }
    }
}

/// What a read found.
#[derive(PartialEq, Eq, Debug)]
pub enum Read {
    Nothing,
    Bytes,
    /// The other side has ended its lane.
    End,
    /// The connection is broken.
    Reset,
}

pub struct Cable {
    lanes: [Lane; 2],
    /// How long a piece may be on its way, at most.
    delay: Duration,
    /// Bytes that fit into a lane before its writer must wait.
    room: usize,
}

#[derive(Default)]
struct Lane {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    on_the_way: usize,
    sent: usize,
    /// When the last piece arrives.
    last: Option<Instant>,
    /// After so many bytes the connection breaks.
    cut_after: Option<usize>,
    /// When the reader sees the end, and when a break.
    end: Option<Instant>,
    broken: Option<Instant>,
    /// Nobody reads it any more.
    closed: bool,
}

impl Cable {
    pub fn new(delay: Duration, room: usize) -> Cable {
        Cable { lanes: Default::default(), delay, room }
    }

    /// The connection breaks when `side` has written so many bytes.
    pub fn cut(&mut self, side: Side, after: usize) {
        self.lanes[side as usize].cut_after = Some(after);
    }

    /// Writes what there is room for; an error if the connection is known to be broken.
    pub fn write(&mut self, side: Side, out: &mut OutBuf, now: Instant, dice: &mut Dice) -> Result<(), ()> {
        if self.lanes[side.other() as usize].broken.is_some_and(|at| at <= now) {
            return Err(());
        }
        while !out.is_empty() && self.has_room(side) {
            let lane = &mut self.lanes[side as usize];
            let most = (self.room - lane.on_the_way).min(out.len());
            let mut slices = [IoSlice::new(&[]); 1];
            out.io_slices(&mut slices);
            // Some pieces are as large as can be, others are cut anywhere.
            let len = slices[0].len().min(most);
            let len = if dice.once_in(2) { len } else { 1 + dice.size(len - 1) };
            let piece = slices[0][..len].to_vec();
            out.advance(len);
            self.send(side, piece, now, dice);
        }
        Ok(())
    }

    fn send(&mut self, side: Side, mut piece: Vec<u8>, now: Instant, dice: &mut Dice) {
        let arrives = self.arrival(side, now, dice);
        let lane = &mut self.lanes[side as usize];
        if lane.closed {
            // The reader has gone: it answers with a reset.
            return self.break_lane(side.other(), arrives);
        }
        if lane.broken.is_some() {
            return;
        }
        let cut = lane.cut_after.filter(|after| lane.sent + piece.len() >= *after);
        if let Some(after) = cut {
            piece.truncate(after - lane.sent);
        }
        lane.sent += piece.len();
        lane.on_the_way += piece.len();
        lane.last = Some(arrives);
        if !piece.is_empty() {
            lane.pieces.push_back((arrives, piece));
        }
        if cut.is_some() {
            self.break_lane(side, arrives);
            self.break_lane(side.other(), arrives);
        }
    }

    /// When something that is written now arrives: never before what was written earlier.
    fn arrival(&mut self, side: Side, now: Instant, dice: &mut Dice) -> Instant {
        let at = now + dice.up_to(self.delay);
        self.lanes[side as usize].last.map_or(at, |last| last.max(at))
    }

    fn break_lane(&mut self, side: Side, at: Instant) {
        self.lanes[side as usize].broken.get_or_insert(at);
    }

    /// `side` writes nothing more, but goes on reading.
    pub fn half_close(&mut self, side: Side, now: Instant, dice: &mut Dice) {
        let at = self.arrival(side, now, dice);
        self.lanes[side as usize].end.get_or_insert(at);
    }

    /// `side` closes its socket: with a reset if bytes were not read.
    pub fn close(&mut self, side: Side, now: Instant, dice: &mut Dice) {
        let unread = std::mem::take(&mut self.lanes[side.other() as usize].pieces);
        self.lanes[side.other() as usize].closed = true;
        self.half_close(side, now, dice);
        if unread.iter().any(|(at, _)| *at <= now) {
            let at = self.lanes[side as usize].end.unwrap_or(now);
            self.break_lane(side, at);
        }
    }

    /// Reads a part of what has arrived.
    pub fn read(&mut self, side: Side, to: &mut BytesMut, now: Instant, dice: &mut Dice) -> Read {
        let lane = &mut self.lanes[side.other() as usize];
        let mut found = Read::Nothing;
        while let Some((at, piece)) = lane.pieces.front_mut()
            && *at <= now
        {
            found = Read::Bytes;
            let len = if dice.once_in(4) { dice.size(piece.len()).max(1) } else { piece.len() };
            to.extend_from_slice(&piece[..len]);
            lane.on_the_way -= len;
            if len < piece.len() {
                piece.drain(..len);
                return found;
            }
            lane.pieces.pop_front();
        }
        match found {
            Read::Bytes => Read::Bytes,
            _ if !lane.pieces.is_empty() => Read::Nothing,
            _ if lane.broken.is_some_and(|at| at <= now) => Read::Reset,
            _ if lane.end.is_some_and(|at| at <= now) => Read::End,
            _ => Read::Nothing,
        }
    }

    /// When a read of `side` finds something.
    pub fn readable_at(&self, side: Side) -> Option<Instant> {
        let lane = &self.lanes[side.other() as usize];
        let ends = [lane.end, lane.broken].into_iter().flatten().min();
        lane.pieces.front().map(|(at, _)| *at).or(ends)
    }

    /// When a write of `side` does something.
    pub fn writable_at(&self, side: Side, now: Instant) -> Option<Instant> {
        let broken = self.lanes[side.other() as usize].broken;
        if self.has_room(side) { Some(now) } else { broken }
    }

    fn has_room(&self, side: Side) -> bool {
        self.lanes[side as usize].on_the_way < self.room
    }
}
