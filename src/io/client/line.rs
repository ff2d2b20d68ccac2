//! The task that owns one client connection: it connects, then serves one call after the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;

use crate::base::fault::hold::Side;
use crate::base::fault::{self, Point};
use crate::base::lock::Mutex;
use crate::base::panic;
use crate::base::{Code, Error, Phase, Result};
use crate::io::addr::is_unreachable;
use crate::io::backoff::Permit;
use crate::io::client::driver::{Ends, Shared};
use crate::io::client::exchange::{Job, earlier};
use crate::io::clock;
use crate::io::seats::Seat;
use crate::io::spare;
use crate::io::timer::LazyTimer;
use crate::io::transport::{self, Transport};
use crate::op::operation::Cause;
use crate::proto::call::Response;
use crate::proto::pingpong::ClientConn;
use crate::wire::outbuf::OutBuf;

/// Pieces handed to one `writev`.
const MAX_SLICES: usize = 16;

/// Room made before a read when nothing is known about what comes.
const READ_BYTES: usize = 4096;

/// Most room made at once for the rest of a large reply.
const MAX_READ_BYTES: usize = 256 << 10;

/// Where others reach a connection: its next call, and its end.
pub(super) struct Slot {
    state: Mutex<SlotState>,
}

struct SlotState {
    job: Option<Job>,
    /// The connection's task, once it has run.
    waker: Option<Waker>,
    /// Whether another call may be handed over.
    open: bool,
    /// The call under way must end too.
    cut_off: bool,
}

impl Slot {
    /// A slot whose connection starts with a call.
    pub(super) fn with(job: Job) -> Arc<Slot> {
        let state = SlotState { job: Some(job), waker: None, open: true, cut_off: false };
        Arc::new(Slot { state: Mutex::new(state) })
    }

    /// Hands over a call; gives it back if the connection has ended.
    pub(super) fn hand_over(&self, job: Job) -> std::result::Result<(), Job> {
        let mut state = self.state.lock();
        if !state.open {
            return Err(job);
        }
        state.job = Some(job);
        let waker = state.waker.clone();
        drop(state);
        wake(waker);
        Ok(())
    }
}

impl Ends for Slot {
    fn close(&self, cut_off: bool) {
        let mut state = self.state.lock();
        state.open = false;
        state.cut_off |= cut_off;
        let waker = state.waker.clone();
        drop(state);
        wake(waker);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One connection. Polled by its shard until it ends.
pub(super) struct Line {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    peer: usize,
    socket: Socket,
    proto: ClientConn,
    input: BytesMut,
    output: OutBuf,
    timer: LazyTimer,
    job: Option<Sending>,
    idle_since: Instant,
    /// When it was dialled, until its first reply.
    fresh: Option<Instant>,
    /// Up for the next call.
    offered: bool,
    id: u64,
    /// Of the call under way, and after it until the connection is up for the next one, which may then have
    /// the seat. Given back after the socket is closed.
    seat: Option<Seat>,
}

/// A client's socket.
pub(super) enum Socket {
    /// On its way, until the connect timeout.
    Connecting(transport::Connecting, Instant, Option<Permit>),
    /// Connected.
    Open(Transport),
}

impl Socket {
    pub(super) fn connecting(shared: &Shared, peer: usize, now: Instant, permit: Permit) -> Socket {
        let limit = now + shared.options().connect_timeout;
        let keepalive = shared.options().keepalive;
        let connecting = transport::connect(shared.address(peer).clone(), keepalive);
        Socket::Connecting(connecting, limit, Some(permit))
    }

    /// When its dial began, while that is under way.
    pub(super) fn dialled_at(&self) -> Option<Instant> {
        match self {
            Socket::Connecting(_, _, permit) => permit.as_ref().map(Permit::begun),
            Socket::Open(_) => None,
        }
    }

    /// The dial has ended: others hear of it.
    pub(super) fn dialled(&mut self, outcome: Result<Transport>) -> Result<()> {
        let Socket::Connecting(_, _, permit) = self else { return outcome.map(drop) };
        let permit = permit.take();
        match (outcome, permit) {
            (Ok(transport), permit) => {
                *self = Socket::Open(transport);
                permit.into_iter().for_each(Permit::succeeded);
                Ok(())
            }
            (Err(error), permit) => {
                permit.into_iter().for_each(|permit| permit.failed(clock::now(), &error));
                Err(error)
            }
        }
    }
}

/// The call under way and what of it has left.
struct Sending {
    job: Job,
    bytes: usize,
}

/// Why the connection ends; the error is the call's, if one is under way.
enum Stop {
    Quietly,
    With(Error),
    /// The peer had gone before it could have seen the request: another connection may try.
    Unsent(Error),
    /// A fault in here.
    Panicked(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::With(error)
    }
}

impl Line {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>, peer: usize, id: u64, socket: Socket) -> Line {
        let now = clock::now();
        Line {
            proto: ClientConn::new(shared.options().limits),
            slot,
            peer,
            fresh: socket.dialled_at(),
            socket,
            input: BytesMut::new(),
            output: OutBuf::new(),
            timer: LazyTimer::default(),
            job: None,
            idle_since: now,
            offered: false,
            id,
            seat: None,
            shared,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        fault::panic_at(Point::ClientTask);
        loop {
            if !self.look_around(cx)? {
                return self.wait_idle(cx);
            }
            if !self.connected(cx)? {
                return Ok(());
            }
            self.start_call(cx)?;
            self.flush(cx)?;
            if !self.read_reply(cx)? {
                return self.wait_reply(cx);
            }
        }
    }

    /// Takes the next call, if there is one, and follows what others want. False if there is no call.
    ///
    /// A call that is cancelled takes its connection along: the peer may answer still.
    fn look_around(&mut self, cx: &Context<'_>) -> Result<bool, Stop> {
        let (job, open, cut_off) = {
            let mut state = self.slot.state.lock();
            if state.waker.is_none() {
                state.waker = Some(cx.waker().clone());
            }
            let job = if self.job.is_none() { state.job.take() } else { None };
            (job, state.open, state.cut_off)
        };
        if let Some(mut job) = job {
            self.seat = job.seat.take();
            let waker = cx.waker().clone();
            job.watch(Box::new(move |_| waker.wake()));
            self.offered = false;
            self.job = Some(Sending { job, bytes: 0 });
        }
        let wanted = self.job.as_ref().map(|sending| sending.job.cancelled());
        match wanted {
            None if open => Ok(false),
            None => Err(Stop::Quietly),
            Some(Some(error)) => Err(Stop::With(error.at(Phase::Wait))),
            Some(None) if cut_off => Err(Stop::With(Cause::Closed.error().at(Phase::Wait))),
            Some(None) => Ok(true),
        }
    }

    fn connected(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let Socket::Connecting(connecting, limit, _) = &mut self.socket else { return Ok(true) };
        let limit = *limit;
        match connecting.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                self.socket.dialled(outcome.map_err(|error| error.at(Phase::Connect)))?;
                self.shared.count_dialled();
                Ok(true)
            }
            Poll::Pending => {
                self.wake_call(cx);
                let deadline = self.job.as_ref().and_then(|sending| sending.job.deadline());
                let at = deadline.map_or(limit, |deadline| deadline.min(limit));
                if !self.timer.wake_at(at, cx) {
                    return Ok(false);
                }
                let error = |code, text: &str| Error::new(code, text).at(Phase::Connect);
                // An impatient call has learnt nothing about the address.
                if at < limit {
                    return Err(Stop::With(error(Code::Timeout, "no connection within the call's timeout")));
                }
                let late = error(Code::ConnectTimeout, "no connection within the connect timeout");
                self.socket.dialled(Err(late))?;
                Ok(false)
            }
        }
    }

    /// Encodes the request of a call that has not started, unless the peer has gone meanwhile.
    fn start_call(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        if self.job.as_ref().is_none_or(|sending| sending.bytes > 0) {
            return Ok(());
        }
        if self.read(cx).is_ready() {
            return Err(Stop::Unsent(self.proto.lost(&self.input, None)));
        }
        let Some(sending) = &mut self.job else { return Ok(()) };
        self.proto.send(&mut self.output, &sending.job.request(), sending.job.method())?;
        sending.bytes = self.output.len();
        Ok(())
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        let Socket::Open(transport) = &mut self.socket else { return Ok(()) };
        while !self.output.is_empty() {
            match transport.poll_write::<MAX_SLICES>(cx, &mut self.output, Side::Client) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(reason)) => {
                    return Err(Stop::Unsent(self.proto.lost(&self.input, Some(&reason)).at(Phase::Send)));
                }
            }
        }
        if self.job.as_ref().is_some_and(|sending| sending.job.request().oneway) {
            self.finish(Response::of_oneway());
            return Err(Stop::Quietly);
        }
        Ok(())
    }

    /// Reads what is there. True once the call has ended.
    fn read_reply(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        loop {
            match self.read(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => return Err(Stop::With(self.proto.lost(&self.input, None))),
                Poll::Ready(Err(reason)) => {
                    return Err(Stop::With(self.proto.lost(&self.input, Some(&reason))));
                }
                Poll::Ready(Ok(_)) => {}
            }
            if let Some(response) = self.proto.receive(&mut self.input)? {
                self.fresh = None;
                self.shared.gate(self.peer).replied();
                self.finish(response);
                return Ok(true);
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Socket::Open(transport) = &mut self.socket else { return Poll::Pending };
        let want = self.proto.missing(&self.input).clamp(READ_BYTES, MAX_READ_BYTES);
        spare::borrow(&mut self.input, want);
        transport.poll_read(cx, &mut self.input, Side::Client)
    }

    fn finish(&mut self, response: Response) {
        if let Some(sending) = self.job.take() {
            let peer = Arc::clone(self.shared.peer_name(self.peer));
            sending.job.end(Some(peer), sending.bytes, Ok(response));
        }
    }

    fn wait_reply(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        while let Some(at) = earlier(self.proto.wake_at(), self.call_wakes_at())
            && self.timer.wake_at(at, cx)
        {
            let now = clock::now();
            if self.proto.expired(now) {
                let error = Error::new(Code::Timeout, "no reply within the timeout");
                return Err(Stop::With(error.at(Phase::Wait)));
            }
            self.wake_call_if_due(now);
        }
        Ok(())
    }

    fn call_wakes_at(&self) -> Option<Instant> {
        self.job.as_ref().and_then(|sending| sending.job.attempt.wake_at)
    }

    fn wake_call_if_due(&mut self, now: Instant) {
        if let Some(sending) = &mut self.job {
            sending.job.wake_if_due(now);
        }
    }

    /// Wakes the call when it wants to be, or sees to it that it will be.
    fn wake_call(&mut self, cx: &mut Context<'_>) {
        if let Some(at) = self.call_wakes_at()
            && self.timer.wake_at(at, cx)
        {
            self.wake_call_if_due(clock::now());
        }
    }

    /// Offers itself for the next call, and watches for the peer's end meanwhile.
    fn wait_idle(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        if !self.proto.is_reusable() {
            return Err(Stop::Quietly);
        }
        // Anything that arrives now is no answer to anything, be it the end.
        if self.read(cx).is_ready() {
            self.shared.count_dead();
            return Err(Stop::Quietly);
        }
        spare::give_back(&mut self.input);
        if !self.offered {
            if !self.shared.offer(self.peer, &self.slot) {
                return Err(Stop::Quietly);
            }
            self.offered = true;
            self.seat = None;
            self.idle_since = clock::now();
        }
        while self.timer.wake_at(self.idle_since + self.shared.options().idle_timeout, cx) {
            if !self.shared.keeps_idle(self.peer) {
                self.shared.count_expired();
                return Err(Stop::Quietly);
            }
            self.idle_since = clock::now();
        }
        Ok(())
    }

    fn stop(&mut self, why: Stop) {
        if let Stop::Panicked(error) = &why {
            panic::report(self.shared.log(), "client", error);
        }
        let late = self.close_slot();
        self.tell_loss(&why);
        let peer = Arc::clone(self.shared.peer_name(self.peer));
        if let Some(Sending { job, bytes }) = self.job.take() {
            match why {
                Stop::Quietly => {
                    job.fail(Some(peer), Error::new(Code::ConnectionLost, "the connection ended"))
                }
                Stop::Unsent(error) if !job.reused => job.end(Some(peer), bytes, Err(error)),
                Stop::Unsent(_) => {
                    let mut job = job;
                    job.seat = self.seat.take();
                    self.shared.again(job);
                }
                Stop::With(error) if is_unreachable(&error) => {
                    self.shared.unreached(job, self.peer, error);
                }
                Stop::With(error) | Stop::Panicked(error) => job.end(Some(peer), bytes, Err(error)),
            }
        }
        if let Some(job) = late {
            self.shared.again(job);
        }
    }

    /// A fresh connection that is lost says something about its address.
    fn tell_loss(&self, why: &Stop) {
        if let (Some(begun), Stop::With(error) | Stop::Unsent(error)) = (self.fresh, why)
            && error.code() == Code::ConnectionLost
        {
            self.shared.gate(self.peer).lost_fresh(begun, clock::now(), error);
        }
    }

    /// Nothing more is handed over; returns what was, but has not been looked at.
    fn close_slot(&self) -> Option<Job> {
        if self.offered {
            self.shared.withdraw(self.peer, &self.slot);
        }
        let mut state = self.slot.state.lock();
        state.open = false;
        state.waker = None;
        state.job.take()
    }
}

impl Future for Line {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ran = panic::caught(|| self.run(cx)).unwrap_or_else(|error| Err(Stop::Panicked(error)));
        match ran {
            Ok(()) => Poll::Pending,
            Err(why) => {
                self.stop(why);
                Poll::Ready(())
            }
        }
    }
}

/// The shard ends, and with it what it was doing.
impl Drop for Line {
    fn drop(&mut self) {
        let jobs = [self.job.take().map(|sending| sending.job), self.close_slot()];
        for job in jobs.into_iter().flatten() {
            job.fail(None, Cause::Shutdown.error());
        }
        self.shared.line_ended(self.id);
    }
}
