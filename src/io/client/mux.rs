//! The task that owns one multiplexed client connection: any number of calls share it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;

use crate::base::fault::hold::Side;
use crate::base::fault::{self, Point};
use crate::base::panic;
use crate::base::{Code, Error, Phase};
use crate::io::backoff::Permit;
use crate::io::client::driver::{Ends, Shared};
use crate::io::client::exchange::{Job, earlier};
use crate::io::client::line::Socket;
use crate::io::client::warm_up::Greeter;
use crate::io::clock;
use crate::io::inbox::Inbox;
use crate::io::timer::LazyTimer;
use crate::op::operation::Cause;
use crate::proto::call::Response;
use crate::proto::mux::MuxClient;
use crate::wire::outbuf::OutBuf;

/// Pieces handed to one `writev`.
const MAX_SLICES: usize = 64;

/// Least room made before a read: many small replies come together.
const READ_BYTES: usize = 64 << 10;

/// Most room made at once for the rest of a large reply.
const MAX_READ_BYTES: usize = 256 << 10;

/// While so many bytes wait to be written, further calls wait unsent.
const OUTPUT_BYTES: usize = 1 << 20;

/// Reads in a row before other connections of the shard get their turn.
const FAIR_READS: usize = 16;

/// Where others reach a multiplexed connection.
pub(super) struct MuxSlot {
    inbox: Inbox<SlotState>,
}

#[derive(Default)]
struct SlotState {
    jobs: Vec<Job>,
    /// There is a connection.
    connected: bool,
    /// Who wants to know when there is one.
    greeters: Vec<Greeter>,
    /// Calls that somebody wants to end, by sequence id.
    cancelled: Vec<i32>,
    /// No call may be handed over any more.
    closed: bool,
    /// The calls under way must end too.
    cut_off: bool,
}

impl MuxSlot {
    /// A slot whose connection starts with these calls.
    pub(super) fn with(jobs: Vec<Job>) -> Arc<MuxSlot> {
        Arc::new(MuxSlot { inbox: Inbox::new(SlotState { jobs, ..SlotState::default() }) })
    }

    /// Whether the connection takes calls, or will once it is made.
    pub(super) fn is_open(&self) -> bool {
        self.inbox.with(|state| !state.closed)
    }

    /// Hands over a call; gives it back if the connection takes no more.
    pub(super) fn hand_over(&self, job: Job) -> Result<(), Job> {
        self.inbox.tell(|state| match state.closed {
            true => Err(job),
            false => {
                state.jobs.push(job);
                Ok(())
            }
        })
    }

    /// Says when there is a connection, or why there is none.
    pub(super) fn greet(&self, greeter: Greeter) {
        let at_once = self.inbox.with(|state| match state.connected {
            true => Some(greeter),
            false => {
                state.greeters.push(greeter);
                None
            }
        });
        at_once.into_iter().for_each(|greeter| greeter.tell(Ok(())));
    }

    fn dialled(&self, outcome: &Result<(), Error>) {
        let greeters = self.inbox.with(|state| {
            state.connected = outcome.is_ok();
            std::mem::take(&mut state.greeters)
        });
        greeters.into_iter().for_each(|greeter| greeter.tell(outcome.clone()));
    }

    /// Takes no more calls; returns those that nobody has looked at.
    fn end(&self) -> Vec<Job> {
        self.inbox.with(|state| {
            state.closed = true;
            state.greeters.clear();
            std::mem::take(&mut state.jobs)
        })
    }

    fn cancel(&self, seq: i32) {
        self.inbox.tell(|state| state.cancelled.push(seq));
    }
}

impl Ends for MuxSlot {
    fn close(&self, cut_off: bool) {
        self.inbox.tell(|state| {
            state.closed = true;
            state.cut_off |= cut_off;
        });
    }
}

/// A call that was sent, or is about to be.
struct Sending {
    job: Job,
    /// Bytes of its request.
    bytes: usize,
    /// Where in all that was ever written to the connection its request begins.
    begins: u64,
}

impl Sending {
    /// A call of which nothing was written.
    fn not_yet(job: Job) -> Sending {
        Sending { job, bytes: 0, begins: u64::MAX }
    }
}

/// One connection. Polled by its shard until it ends.
pub(super) struct MuxLine {
    shared: Arc<Shared>,
    slot: Arc<MuxSlot>,
    peer: usize,
    id: u64,
    socket: Socket,
    proto: MuxClient<Sending>,
    input: BytesMut,
    output: OutBuf,
    /// Bytes that have left.
    written: u64,
    /// Calls that wait for the connection, or for room to be sent.
    unsent: VecDeque<Job>,
    /// The list that changes places with the slot's.
    jobs: Vec<Job>,
    /// Oneway calls that end when they have left, in the order of their bytes.
    leaving: VecDeque<Sending>,
    timer: LazyTimer,
    /// No later than the first time that a call wants to be woken. Not moved when one ends: most do before.
    calls_wake_at: Option<Instant>,
    idle_since: Instant,
    /// When it was dialled, until its first reply.
    fresh: Option<Instant>,
    /// Late replies that were counted.
    dropped: u64,
    closed: bool,
}

/// Why the connection ends.
enum Stop {
    Quietly,
    /// It could not be made.
    Unreachable(Error),
    /// It was lost: cleanly, or for a reason.
    Lost(Option<std::io::Error>),
    /// Every call ends with this.
    With(Error),
    Panicked(Error),
}

impl MuxLine {
    pub(super) fn new(
        shared: Arc<Shared>,
        slot: Arc<MuxSlot>,
        peer: usize,
        id: u64,
        permit: Permit,
    ) -> MuxLine {
        let now = clock::now();
        MuxLine {
            proto: MuxClient::new(shared.options().limits),
            fresh: Some(permit.begun()),
            socket: Socket::connecting(&shared, peer, now, permit),
            slot,
            peer,
            id,
            input: BytesMut::new(),
            output: OutBuf::new(),
            written: 0,
            unsent: VecDeque::new(),
            jobs: Vec::new(),
            leaving: VecDeque::new(),
            timer: LazyTimer::default(),
            calls_wake_at: None,
            idle_since: now,
            dropped: 0,
            closed: false,
            shared,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        fault::panic_at(Point::ClientTask);
        // One look at the clock serves the whole wake-up: nothing in here waits.
        let now = clock::now();
        let mut reads = 0;
        loop {
            self.look_around(cx)?;
            if self.connect(cx, now)? {
                // Read first: what the peer has closed meanwhile gets no new calls.
                while self.read(cx)? {
                    reads += 1;
                    if reads == FAIR_READS {
                        cx.waker().wake_by_ref();
                        return Ok(());
                    }
                }
                self.send(now);
                self.flush(cx)?;
            }
            self.end_if_idle()?;
            self.wait(cx)?;
            if self.falls_asleep() {
                return Ok(());
            }
        }
    }

    /// Takes new calls, and ends those that somebody wants to end.
    fn look_around(&mut self, cx: &Context<'_>) -> Result<(), Stop> {
        let (cancelled, cut_off) = self.slot.inbox.take(cx, |state| {
            self.closed = state.closed;
            std::mem::swap(&mut state.jobs, &mut self.jobs);
            (std::mem::take(&mut state.cancelled), state.cut_off)
        });
        for job in self.jobs.drain(..) {
            let (slot, seq) = (Arc::clone(&self.slot), job.attempt.seq);
            job.watch(Box::new(move |_| slot.cancel(seq)));
            self.calls_wake_at = earlier(self.calls_wake_at, job.attempt.wake_at);
            self.unsent.push_back(job);
        }
        for seq in cancelled {
            self.end_cancelled(seq);
        }
        match cut_off {
            true => Err(Stop::With(Cause::Closed.error().at(Phase::Wait))),
            false => Ok(()),
        }
    }

    fn end_cancelled(&mut self, seq: i32) {
        let unsent = self.unsent.iter().position(|job| job.attempt.seq == seq);
        let job = match unsent.and_then(|at| self.unsent.remove(at)) {
            Some(job) => Some((job, 0)),
            None => self.proto.forget(seq).map(|sending| (sending.job, sending.bytes)),
        };
        if let Some((job, bytes)) = job {
            let error = job.cancelled().unwrap_or_else(|| Cause::ByHost.error());
            job.end(Some(self.peer_name()), bytes, Err(error.at(Phase::Wait)));
        }
    }

    fn peer_name(&self) -> Arc<str> {
        Arc::clone(self.shared.peer_name(self.peer))
    }

    /// True once there is a connection.
    fn connect(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Stop> {
        let Socket::Connecting(connecting, ..) = &mut self.socket else { return Ok(true) };
        match connecting.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                self.socket.dialled(outcome).map_err(Stop::Unreachable)?;
                self.slot.dialled(&Ok(()));
                self.shared.count_dialled();
                self.idle_since = now;
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    /// Encodes the calls that wait, as long as there is room.
    fn send(&mut self, now: Instant) {
        while self.proto.is_open()
            && self.output.len() < OUTPUT_BYTES
            && let Some(job) = self.unsent.pop_front()
        {
            self.idle_since = now;
            if let Err((job, error)) = self.send_one(job) {
                job.end(Some(self.peer_name()), 0, Err(error));
            }
        }
    }

    fn send_one(&mut self, job: Job) -> Result<(), (Job, Error)> {
        let before = self.output.len();
        let sent = self.proto.send(&mut self.output, &job.request(), job.method());
        let bytes = self.output.len() - before;
        let sending = |job| Sending { job, bytes, begins: self.written + before as u64 };
        match sent {
            Ok(Some(sent)) => self.proto.wait(sent, sending(job)),
            Ok(None) => self.leaving.push_back(sending(job)),
            Err(error) => return Err((job, error)),
        }
        Ok(())
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        let Socket::Open(transport) = &mut self.socket else { return Ok(()) };
        while !self.output.is_empty() {
            match transport.poll_write::<MAX_SLICES>(cx, &mut self.output, Side::Client) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => self.written += written as u64,
                Poll::Ready(Err(reason)) => return Err(Stop::Lost(Some(reason))),
            }
        }
        while let Some(oneway) = self.leaving.pop_front() {
            if oneway.begins + oneway.bytes as u64 > self.written {
                self.leaving.push_front(oneway);
                break;
            }
            oneway.job.end(Some(self.peer_name()), oneway.bytes, Ok(Response::of_oneway()));
        }
        Ok(())
    }

    /// Reads once, and ends the calls whose replies have come. False if nothing is there.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let Socket::Open(transport) = &mut self.socket else { return Ok(false) };
        self.input.reserve(self.proto.missing(&self.input).clamp(READ_BYTES, MAX_READ_BYTES));
        match transport.poll_read(cx, &mut self.input, Side::Client) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(Stop::Lost(None)),
            Poll::Ready(Err(reason)) => return Err(Stop::Lost(Some(reason))),
            Poll::Ready(Ok(_)) => {}
        }
        while let Some((sending, response)) = self.proto.receive(&mut self.input).map_err(Stop::With)? {
            if self.fresh.take().is_some() {
                self.shared.gate(self.peer).replied();
            }
            sending.job.end(Some(self.peer_name()), sending.bytes, response);
        }
        self.dropped = self.shared.count_dropped(self.dropped, self.proto.dropped());
        if !self.proto.is_open() {
            self.refuse_more();
        }
        Ok(true)
    }

    /// The peer wants no more calls: those that come, and those that wait unsent, take another connection.
    fn refuse_more(&mut self) {
        let late = self.slot.end();
        self.unsent.drain(..).chain(late).for_each(|job| self.shared.again(job));
    }

    /// There is no connection. Calls that came while it was dialled have not learnt anything new.
    fn pass_on(&mut self, error: &Error) {
        let jobs: Vec<_> = self.unsent.drain(..).chain(self.slot.end()).collect();
        let is_news = |job: &Job| job.begun <= self.fresh;
        let (tried, in_vain) = jobs.into_iter().partition::<Vec<_>, _>(is_news);
        tried.into_iter().for_each(|job| self.shared.unreached(job, self.peer, error.clone()));
        self.shared.post_all(in_vain);
    }

    fn has_calls(&self) -> bool {
        let waiting = self.proto.waiting() + self.unsent.len() + self.leaving.len();
        waiting > 0 || !self.output.is_empty()
    }

    fn end_if_idle(&self) -> Result<(), Stop> {
        match !self.has_calls() && (self.closed || !self.proto.is_open()) {
            true => Err(Stop::Quietly),
            false => Ok(()),
        }
    }

    /// Arms the timer, and ends what is late.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        while let Some(at) = self.wake_at()
            && self.timer.wake_at(at, cx)
        {
            let now = clock::now();
            for Sending { job, bytes, .. } in self.proto.expire(now) {
                job.end(Some(self.peer_name()), bytes, Err(late("no reply within the timeout", Phase::Wait)));
            }
            self.wake_calls(now);
            let is_late = |job: &Job| job.deadline().is_some_and(|at| at <= now);
            let (unsent, in_time) = self.unsent.drain(..).partition::<Vec<_>, _>(is_late);
            self.unsent = in_time.into();
            let (text, phase) = match &self.socket {
                Socket::Connecting(..) => ("no connection within the call's timeout", Phase::Connect),
                Socket::Open(_) => ("not sent within the call's timeout", Phase::Send),
            };
            for job in unsent {
                job.end(Some(self.peer_name()), 0, Err(late(text, phase)));
            }
            match &self.socket {
                Socket::Connecting(_, limit, _) if *limit <= now => {
                    let error = Error::new(Code::ConnectTimeout, "no connection within the connect timeout");
                    let error = error.at(Phase::Connect);
                    self.socket.dialled(Err(error)).map_err(Stop::Unreachable)?;
                }
                Socket::Open(_) if self.idle_until().is_some_and(|at| at <= now) => {
                    self.shared.count_expired();
                    return Err(Stop::Quietly);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Wakes the calls that want to be by now.
    fn wake_calls(&mut self, now: Instant) {
        if self.calls_wake_at.is_none_or(|at| at > now) {
            return;
        }
        let sent = self.proto.everybody().map(|sending| &mut sending.job);
        let jobs = sent.chain(&mut self.unsent);
        self.calls_wake_at = jobs.fold(None, |at, job| {
            job.wake_if_due(now);
            earlier(at, job.attempt.wake_at)
        });
    }

    fn wake_at(&self) -> Option<Instant> {
        let unsent = self.unsent.iter().filter_map(Job::deadline).min();
        let socket = match &self.socket {
            Socket::Connecting(_, limit, _) => Some(*limit),
            Socket::Open(_) => self.idle_until(),
        };
        [self.proto.wake_at(), self.calls_wake_at, unsent, socket].into_iter().flatten().min()
    }

    fn idle_until(&self) -> Option<Instant> {
        (!self.has_calls()).then(|| self.idle_since + self.shared.options().idle_timeout)
    }

    /// False if something has come in the meantime, so that the task must go on.
    fn falls_asleep(&self) -> bool {
        self.slot.inbox.falls_asleep(|state| {
            let news = !state.jobs.is_empty() || !state.cancelled.is_empty() || state.closed != self.closed;
            news || state.cut_off
        })
    }

    fn stop(&mut self, why: Stop) {
        let peer = self.peer_name();
        let (reason, all) = match why {
            Stop::Quietly => (None, None),
            Stop::Lost(reason) => (reason, None),
            Stop::Unreachable(error) => {
                self.slot.dialled(&Err(error.clone()));
                return self.pass_on(&error);
            }
            Stop::With(error) => (None, Some(error)),
            Stop::Panicked(error) => {
                panic::report(self.shared.log(), "client", &error);
                (None, Some(error))
            }
        };
        let (waiting, lost) = self.proto.lose(reason.as_ref());
        let unsent = self.unsent.drain(..).chain(self.slot.end()).map(Sending::not_yet);
        let ended: Vec<_> = waiting.into_iter().chain(self.leaving.drain(..)).chain(unsent).collect();
        if let Some(begun) = self.fresh.filter(|_| all.is_none() && !ended.is_empty()) {
            self.shared.gate(self.peer).lost_fresh(begun, clock::now(), &lost);
        }
        for Sending { job, bytes, begins } in ended {
            match &all {
                Some(error) => job.end(Some(Arc::clone(&peer)), bytes, Err(error.clone())),
                // Not a byte of it has left: the peer can't have seen it.
                None if begins >= self.written && self.shared.may_try_again(&job) => self.shared.again(job),
                None => job.end(Some(Arc::clone(&peer)), bytes, Err(lost.clone())),
            }
        }
    }
}

fn late(text: &'static str, phase: Phase) -> Error {
    Error::new(Code::Timeout, text).at(phase)
}

impl Future for MuxLine {
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
impl Drop for MuxLine {
    fn drop(&mut self) {
        let (waiting, _) = self.proto.lose(None);
        let sent = waiting.into_iter().chain(self.leaving.drain(..)).map(|sending| sending.job);
        for job in sent.chain(self.unsent.drain(..)).chain(self.slot.end()) {
            job.fail(None, Cause::Shutdown.error());
        }
        self.shared.line_ended(self.id);
    }
}
