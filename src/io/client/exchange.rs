//! What a driver carries: a call, or one of its attempts.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::io::backoff::Permit;
use crate::io::seats::Seat;
use crate::op::operation::{CancelHook, Cause};
use crate::proto::call::{Request, Response};

/// Earlier attempts whose address a later one avoids.
const AVOIDED: usize = 5;

/// A call on its way: what it sends, and who hears how it ended. Attempts of one call share it.
pub trait Exchange: Send + Sync {
    /// What goes on the wire.
    fn request(&self, attempt: &Attempt) -> Request<'_>;
    /// The method's name, shared.
    fn method(&self) -> &Bytes;
    /// Why somebody wants the attempt to end, if so.
    fn cancelled(&self, attempt: u8) -> Option<Cause>;
    /// What to do when that changes; at once if it has.
    fn watch(&self, attempt: u8, on_cancel: CancelHook);
    /// The attempt goes to this address of the client, by this place in their order.
    fn goes_to(&self, attempt: u8, peer: usize, turn: usize) {
        let _ = (attempt, peer, turn);
    }
    /// The time has come that [`Attempt::wake_at`] names. Called without a lock.
    fn wake(self: Arc<Self>) {}
    /// The attempt's end, once.
    fn finish(self: Arc<Self>, attempt: u8, end: End);
}

/// Which attempt of a call it is, and what it does its own way.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// 0 is the first.
    pub number: u8,
    /// Its sequence id.
    pub seq: i32,
    /// When it gives up.
    pub deadline: Option<Instant>,
    /// When its call wants to be woken, should it not have ended by then.
    pub wake_at: Option<Instant>,
    /// Where it goes, if that depends on those before it; by default to the next address in turn.
    pub route: Option<Box<Route>>,
}

impl Attempt {
    /// The only attempt of a call, or its first.
    pub fn first(seq: i32, deadline: Option<Instant>) -> Attempt {
        Attempt { number: 0, seq, deadline, wake_at: None, route: None }
    }
}

/// Where an attempt goes that follows others.
#[derive(Clone, Default, Debug)]
pub struct Route {
    /// The place of the first attempt in the order of the addresses: this one counts on from there.
    pub first_turn: usize,
    /// This address and no other.
    pub same: Option<usize>,
    avoided: [Option<u32>; AVOIDED],
}

impl Route {
    /// Of an attempt that follows a first one with this place in the order of the addresses.
    pub fn after(first_turn: usize) -> Route {
        Route { first_turn, ..Route::default() }
    }

    /// Not to this address, if there is another.
    pub fn avoid(&mut self, peer: usize) {
        let free = self.avoided.iter_mut().find(|place| place.is_none());
        if let (Some(place), Ok(peer)) = (free, u32::try_from(peer)) {
            *place = Some(peer);
        }
    }

    /// Whether it should not go there.
    pub fn avoids(&self, peer: usize) -> bool {
        self.avoided.iter().flatten().any(|avoided| *avoided as usize == peer)
    }
}

/// How an attempt ended, and what is known about its way.
#[derive(Debug)]
pub struct End {
    /// The reply, or why there is none.
    pub outcome: Result<Response>,
    /// The last address that was tried.
    pub peer: Option<Arc<str>>,
    /// Bytes of the request on the wire, 0 if nothing was sent.
    pub request_bytes: usize,
    /// Addresses tried.
    pub tries: u32,
    /// Whether it used a connection that an earlier call had left.
    pub reused: bool,
}

impl End {
    /// Of an attempt that no driver has taken.
    pub fn unsent(error: Error) -> End {
        End { outcome: Err(error), peer: None, request_bytes: 0, tries: 0, reused: false }
    }
}

/// An attempt between the driver and a connection.
pub(super) struct Job {
    exchange: Arc<dyn Exchange>,
    pub(super) attempt: Attempt,
    /// Addresses tried.
    pub(super) tries: u32,
    pub(super) reused: bool,
    /// Its place in the order of the addresses, from its first try on.
    pub(super) turn: usize,
    /// The right to use a connection, where the number of calls that have it is limited.
    pub(super) seat: Option<Seat>,
    /// When it was first looked at.
    pub(super) begun: Option<Instant>,
    /// What few have.
    trouble: Option<Box<Trouble>>,
}

/// What is known of an attempt that met addresses which can't be reached.
#[derive(Default)]
struct Trouble {
    /// The right to dial an address, as no other is left.
    permit: Option<(usize, Permit)>,
    /// Addresses that could not be reached since it began.
    unreached: Vec<usize>,
}

impl Job {
    pub(super) fn new((exchange, attempt): (Arc<dyn Exchange>, Attempt)) -> Job {
        Job { exchange, attempt, tries: 0, reused: false, turn: 0, seat: None, begun: None, trouble: None }
    }

    pub(super) fn request(&self) -> Request<'_> {
        self.exchange.request(&self.attempt)
    }

    pub(super) fn method(&self) -> &Bytes {
        self.exchange.method()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.attempt.deadline
    }

    /// Gives it the right to dial an address, as no other is left.
    pub(super) fn permit(&mut self, peer: usize, permit: Permit) {
        self.trouble.get_or_insert_default().permit = Some((peer, permit));
    }

    /// Takes that right.
    pub(super) fn take_permit(&mut self) -> Option<Permit> {
        self.trouble.as_mut()?.permit.take().map(|(_, permit)| permit)
    }

    /// Which address it has the right to dial.
    pub(super) fn permitted(&self) -> Option<usize> {
        self.trouble.as_ref()?.permit.as_ref().map(|(peer, _)| *peer)
    }

    /// Notes an address that could not be reached; returns how many there are.
    pub(super) fn note_unreached(&mut self, peer: usize) -> usize {
        let unreached = &mut self.trouble.get_or_insert_default().unreached;
        unreached.push(peer);
        unreached.len()
    }

    /// Whether it has tried an address in vain.
    pub(super) fn has_tried(&self, peer: usize) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.unreached.contains(&peer))
    }

    /// The one address that it may go to, if there is only one.
    pub(super) fn pinned(&self) -> Option<usize> {
        self.attempt.route.as_ref().and_then(|route| route.same)
    }

    /// Whether it should go elsewhere than to this address.
    pub(super) fn avoids(&self, peer: usize) -> bool {
        self.attempt.route.as_ref().is_some_and(|route| route.avoids(peer))
    }

    pub(super) fn watch(&self, on_cancel: CancelHook) {
        self.exchange.watch(self.attempt.number, on_cancel);
    }

    pub(super) fn goes_to(&self, peer: usize) {
        self.exchange.goes_to(self.attempt.number, peer, self.turn);
    }

    /// Wakes its call, if that is due.
    pub(super) fn wake_if_due(&mut self, now: Instant) {
        if self.attempt.wake_at.take_if(|at| *at <= now).is_some() {
            Arc::clone(&self.exchange).wake();
        }
    }

    pub(super) fn fail(self, peer: Option<Arc<str>>, error: Error) {
        self.end(peer, 0, Err(error));
    }

    pub(super) fn end(self, peer: Option<Arc<str>>, request_bytes: usize, outcome: Result<Response>) {
        let end = End { outcome, peer, request_bytes, tries: self.tries, reused: self.reused };
        self.exchange.finish(self.attempt.number, end);
    }

    /// The error of an attempt that somebody wants to end.
    pub(super) fn cancelled(&self) -> Option<Error> {
        self.exchange.cancelled(self.attempt.number).map(Cause::error)
    }
}

/// The earlier of two times.
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}
