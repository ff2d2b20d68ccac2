//! The inbox of a client's calls, and the task that hands them to connections.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::base::fault::{self, Point};
use crate::base::lock::{Mutex, MutexGuard};
use crate::base::log::Log;
use crate::base::panic;
use crate::base::{Code, Error, Phase};
use crate::io::addr::{Address, MAX_ADDRESSES_TRIED};
use crate::io::backoff::{Gate, Permit};
use crate::io::client::exchange::{Attempt, Exchange, Job};
use crate::io::client::line::{Line, Slot, Socket};
use crate::io::client::mux::{MuxLine, MuxSlot};
use crate::io::client::waiting;
use crate::io::client::warm_up::{self, WarmUp};
use crate::io::clock;
use crate::io::runtime::{InTurn, Runtime};
use crate::io::seats::Seats;
use crate::io::sync::{Pool, PoolOptions, Stats};
use crate::io::transport::Transport;
use crate::op::operation::Cause;

/// What a driver's connections are made of: the same as those of blocking calls.
pub type DriverOptions = PoolOptions;

/// Takes calls from any thread. Dropping it ends idle connections; calls under way end by themselves.
pub struct Driver {
    shared: Arc<Shared>,
}

/// What the driver's task and its connections share. With one shard its locks are free but for callers that
/// submit; with several, connections take a lock once a call, and keep it for a few instructions.
pub(super) struct Shared {
    options: DriverOptions,
    /// With the connections of blocking calls to the same address.
    peers: Vec<(Arc<str>, Arc<Pool>)>,
    inbox: Mutex<Inbox>,
    idle: Mutex<Vec<Vec<Arc<Slot>>>>,
    next_peer: AtomicUsize,
    dialled: AtomicU64,
    reused: AtomicU64,
    found_dead: AtomicU64,
    dropped: AtomicU64,
    expired: AtomicU64,
    lines: Mutex<Lines>,
    /// Each connection runs on the next of the runtime's shards.
    shards: InTurn,
    log: Log,
}

/// All connections, so that a close can reach them.
#[derive(Default)]
struct Lines {
    next: u64,
    open: HashMap<u64, Arc<dyn Ends>>,
}

/// A connection, for whoever closes the client.
pub(super) trait Ends: Send + Sync {
    /// Nothing will be handed over any more: an idle connection ends, and calls under way too if they are
    /// cut off.
    fn close(&self, cut_off: bool);

    /// Whether it has a connection, or makes one; false for a call that waits for one.
    fn is_connection(&self) -> bool {
        true
    }
}

impl Lines {
    fn connections(&self) -> u64 {
        self.open.values().filter(|line| line.is_connection()).count() as u64
    }
}

#[derive(Default)]
struct Inbox {
    jobs: Vec<Job>,
    warm_ups: Vec<WarmUp>,
    waker: Option<Waker>,
    /// The task will look again before it sleeps: no wake-up is needed.
    awake: bool,
    closed: bool,
    /// The fault that ended the task, if one did: no call can be driven any more.
    broken: Option<Error>,
    /// What is in here must end too.
    cut_off: bool,
}

impl Driver {
    /// A driver on one of the runtime's shards; its connections are spread over all.
    pub fn start(peers: Vec<(Arc<str>, Arc<Pool>)>, options: DriverOptions, runtime: &Runtime) -> Driver {
        let shared = Arc::new(Shared {
            options,
            idle: Mutex::new(peers.iter().map(|_| Vec::new()).collect()),
            peers,
            inbox: Mutex::default(),
            next_peer: AtomicUsize::new(0),
            dialled: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            found_dead: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            lines: Mutex::default(),
            shards: runtime.in_turn(),
            log: runtime.log().clone(),
        });
        let shard = runtime.shard(runtime.next_shard()).clone();
        let task = Dispatch {
            mux: shared.peers.iter().map(|_| vec![None; shared.options.multiplexed]).collect(),
            shared: Arc::clone(&shared),
            shard: shard.clone(),
            batch: Vec::new(),
        };
        shard.spawn(task);
        Driver { shared }
    }

    /// Sends calls on their way. Each ends exactly once, whatever happens.
    pub fn submit(&self, exchanges: impl IntoIterator<Item = (Arc<dyn Exchange>, Attempt)>) {
        let jobs = exchanges.into_iter().map(Job::new);
        self.shared.post(jobs);
    }

    /// Makes the first `connections` multiplexed ones to each address, where they are not there. Returns an error
    /// for each address that could not be given all of them. Blocks.
    pub fn warm_up(&self, connections: usize, timeout: Duration) -> Vec<Error> {
        let (warm_up, outcomes) = warm_up::new(connections);
        self.shared.tell(|inbox| inbox.warm_ups.push(warm_up));
        outcomes.wait(&self.shared.peers, connections, timeout)
    }

    /// Refuses what comes and ends idle connections. Calls under way end by themselves, or at once if
    /// they are cut off.
    pub fn close(&self, cut_off: bool) {
        let waker = {
            let mut inbox = self.shared.inbox.lock();
            inbox.closed = true;
            inbox.cut_off |= cut_off;
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.shared.close_lines(cut_off);
    }

    /// What its connections have done so far.
    pub fn stats(&self) -> Stats {
        let idle = self.shared.idle.lock().iter().map(|slots| slots.len() as u64).sum();
        Stats {
            dialled: self.shared.dialled.load(Ordering::Relaxed),
            reused: self.shared.reused.load(Ordering::Relaxed),
            found_dead: self.shared.found_dead.load(Ordering::Relaxed),
            idle,
            busy: self.shared.lines.lock().connections().saturating_sub(idle),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            // The pool counts for both, as they share their seats and their gate.
            waited: 0,
            refused: 0,
            dials_failed: 0,
            held_back: 0,
            expired: self.shared.expired.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl Shared {
    pub(super) fn options(&self) -> &DriverOptions {
        &self.options
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn address(&self, peer: usize) -> &Address {
        self.peers[peer].1.address()
    }

    pub(super) fn seats(&self, peer: usize) -> &Arc<Seats> {
        self.peers[peer].1.seats()
    }

    pub(super) fn gate(&self, peer: usize) -> &Arc<Gate> {
        self.peers[peer].1.gate()
    }

    pub(super) fn peer_name(&self, peer: usize) -> &Arc<str> {
        &self.peers[peer].0
    }

    pub(super) fn count_dialled(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_dead(&self) {
        self.found_dead.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    /// Replies that nobody waited for: a multiplexed connection's count, and how much of it is known already,
    /// which is returned.
    pub(super) fn count_dropped(&self, known: u64, now: u64) -> u64 {
        if now > known {
            self.dropped.fetch_add(now - known, Ordering::Relaxed);
        }
        now
    }

    pub(super) fn line_starts(&self, slot: Arc<dyn Ends>) -> u64 {
        let mut lines = self.lines.lock();
        let id = lines.next;
        lines.next += 1;
        lines.open.insert(id, slot);
        id
    }

    pub(super) fn line_ended(&self, id: u64) {
        self.lines.lock().open.remove(&id);
    }

    /// For a connection that was made after the close.
    pub(super) fn close_lines_if_closed(&self) {
        let closed = {
            let inbox = self.inbox.lock();
            inbox.closed.then_some(inbox.cut_off)
        };
        if let Some(cut_off) = closed {
            self.close_lines(cut_off);
        }
    }

    fn close_lines(&self, cut_off: bool) {
        let slots: Vec<_> = self.lines.lock().open.values().cloned().collect();
        slots.iter().for_each(|slot| slot.close(cut_off));
    }

    fn post(&self, jobs: impl Iterator<Item = Job>) {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            let error = inbox.broken.clone().unwrap_or_else(|| Cause::Closed.error());
            drop(inbox);
            jobs.for_each(|job| job.fail(None, error.clone()));
            return;
        }
        inbox.jobs.extend(jobs);
        Shared::wake(inbox);
    }

    /// Leaves something else than calls; after the close it is dropped.
    fn tell(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            change(&mut inbox);
            Shared::wake(inbox);
        }
    }

    fn wake(mut inbox: MutexGuard<'_, Inbox>) {
        if inbox.awake {
            return;
        }
        inbox.awake = true;
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A call whose connection had gone before the request could be seen.
    pub(super) fn again(&self, job: Job) {
        self.count_dead();
        self.post(std::iter::once(job));
    }

    /// Whether a call that was not sent may take another connection.
    pub(super) fn may_try_again(&self, job: &Job) -> bool {
        job.tries < MAX_ADDRESSES_TRIED as u32
    }

    /// A call whose address could not be reached by a dial that began after the call did: another one may,
    /// unless all were tried.
    pub(super) fn unreached(&self, mut job: Job, peer: usize, error: Error) {
        let unreached = job.note_unreached(peer);
        match job.pinned().is_none() && unreached < self.peers.len().min(MAX_ADDRESSES_TRIED) {
            true => self.post(std::iter::once(job)),
            false => job.fail(Some(Arc::clone(self.peer_name(peer))), error.at(Phase::Connect)),
        }
    }

    /// Calls that look for a connection again, with one wake-up.
    pub(super) fn post_all(&self, jobs: Vec<Job>) {
        self.post(jobs.into_iter());
    }

    /// Whether a call may find a connection of its own to the address, or may dial it.
    fn may_serve(&self, peer: usize, now: Instant) -> bool {
        self.peers[peer].1.may_serve(now) || !self.idle.lock()[peer].is_empty()
    }

    /// Hands a call that may use a connection to an idle one, or to one of its own.
    pub(super) fn connect(self: &Arc<Shared>, mut job: Job, peer: usize) {
        let permit = job.take_permit();
        while let Some(slot) = self.pop_idle(peer) {
            match slot.hand_over(job) {
                Ok(()) => {
                    self.reused.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(back) => job = back,
            }
        }
        let now = clock::now();
        let (_, shard) = self.shards.next();
        let adopted = self.adopt(peer, now, shard);
        job.reused = adopted.is_some();
        let socket = match adopted {
            Some(transport) => Socket::Open(transport),
            None => match permit.or_else(|| self.gate(peer).enter(now)) {
                Some(permit) => Socket::connecting(self, peer, now, permit),
                // Shut since it was chosen.
                None => return self.post(std::iter::once(job)),
            },
        };
        let slot = Slot::with(job);
        let id = self.line_starts(Arc::clone(&slot) as _);
        shard.spawn(Line::new(Arc::clone(self), slot, peer, id, socket));
    }

    /// An idle connection of blocking calls, as a warm-up leaves them: better than a dial.
    fn adopt(&self, peer: usize, now: Instant, shard: &Handle) -> Option<Transport> {
        let (_, pool) = &self.peers[peer];
        let socket = pool.give_away(now)?;
        let _inside = shard.enter();
        Transport::adopt(socket, pool.address()).ok()
    }

    /// Whether connections to a peer stay however long they are idle: there are few.
    pub(super) fn keeps_idle(&self, peer: usize) -> bool {
        self.idle.lock()[peer].len() <= self.options.min_idle
    }

    fn pop_idle(&self, peer: usize) -> Option<Arc<Slot>> {
        self.idle.lock()[peer].pop()
    }

    /// Puts an idle connection up for the next call. False if enough are up.
    pub(super) fn offer(&self, peer: usize, slot: &Arc<Slot>) -> bool {
        let slots = &mut self.idle.lock()[peer];
        let room = slots.len() < self.options.max_idle;
        if room {
            slots.push(Arc::clone(slot));
        }
        room
    }

    /// Takes back an offer, if nobody has taken it up.
    pub(super) fn withdraw(&self, peer: usize, slot: &Arc<Slot>) {
        self.idle.lock()[peer].retain(|other| !Arc::ptr_eq(other, slot));
    }
}

/// The driver's task.
struct Dispatch {
    shared: Arc<Shared>,
    shard: Handle,
    batch: Vec<Job>,
    /// The multiplexed connections to each peer.
    mux: Vec<Vec<Option<Arc<MuxSlot>>>>,
}

impl Dispatch {
    fn place(&mut self, mut job: Job, now: Instant) {
        if let Some(error) = job.cancelled() {
            return job.fail(None, error.at(Phase::Resolve));
        }
        if job.begun.is_none() {
            job.begun = Some(now);
            job.turn = match &job.attempt.route {
                Some(route) => route.first_turn.wrapping_add(job.attempt.number.into()),
                None => self.shared.next_peer.fetch_add(1, Ordering::Relaxed),
            };
        }
        let Some(peer) = self.choose(&job, now) else { return self.last_resort(job, now) };
        job.tries += 1;
        job.reused = true;
        job.goes_to(peer);
        if self.shared.options.multiplexed > 0 {
            return self.share(job, peer);
        }
        match waiting::find_seat(&self.shared, &mut job, peer) {
            Ok(None) => self.shared.connect(job, peer),
            Ok(Some(queued)) => waiting::start(&self.shared, job, peer, queued, &self.shard),
            Err(error) => job.fail(Some(Arc::clone(self.shared.peer_name(peer))), error),
        }
    }

    /// The address that the call tries next: one that may serve it. `None` if only those are left that are left
    /// alone.
    fn choose(&self, job: &Job, now: Instant) -> Option<usize> {
        if let Some(peer) = job.permitted() {
            return Some(peer);
        }
        self.untried(job).find(|peer| match self.shared.options.multiplexed {
            0 => self.shared.may_serve(*peer, now),
            _ => self.shared.gate(*peer).is_open(now) || self.alive(*peer).next().is_some(),
        })
    }

    /// The addresses that the call has not tried in vain, in its order, which moves on with each attempt. Those
    /// of its earlier attempts come last.
    fn untried(&self, job: &Job) -> impl Iterator<Item = usize> {
        let peers = self.shared.peers.len();
        let first = job.turn.wrapping_add(job.tries as usize);
        let order = (0..peers).map(move |step| first.wrapping_add(step) % peers);
        let may_go = move |peer: &usize| job.pinned().is_none_or(|only| only == *peer);
        let open = order.filter(move |peer| may_go(peer) && !job.has_tried(*peer));
        open.clone().filter(move |peer| !job.avoids(*peer)).chain(open.filter(move |peer| job.avoids(*peer)))
    }

    /// Which of the multiplexed connections to an address: calls take turns, and attempts of one call go apart.
    fn connection_of(&self, job: &Job) -> usize {
        let peers = self.shared.peers.len();
        let apart = if job.pinned().is_some() && peers > 1 { job.attempt.number.into() } else { 0 };
        (job.turn / peers).wrapping_add(apart) % self.shared.options.multiplexed
    }

    /// The multiplexed connections that take calls.
    fn alive(&self, peer: usize) -> impl Iterator<Item = &Arc<MuxSlot>> {
        self.mux[peer].iter().flatten().filter(|slot| slot.is_open())
    }

    /// No address is left but those that are left alone: the call dials one of them in its turn.
    fn last_resort(&self, mut job: Job, now: Instant) {
        // One whose seat it has already, for which it may have waited.
        let has_seat =
            |peer: &usize| job.seat.as_ref().is_some_and(|seat| seat.is_of(self.shared.seats(*peer)));
        let Some(peer) = self.untried(&job).min_by_key(|peer| !has_seat(peer)) else {
            return job.fail(None, Error::new(Code::NoAddress, "no address to call").at(Phase::Resolve));
        };
        // The seat comes first: nobody else dials while the call has the right to.
        let queued = match self.shared.options.multiplexed {
            0 => waiting::find_seat(&self.shared, &mut job, peer),
            _ => Ok(None),
        };
        match queued {
            Ok(None) => {
                let begun = job.begun.unwrap_or(now);
                waiting::start_to_dial(&self.shared, job, peer, begun, &self.shard);
            }
            Ok(Some(queued)) => waiting::start(&self.shared, job, peer, queued, &self.shard),
            Err(error) => job.fail(Some(Arc::clone(self.shared.peer_name(peer))), error),
        }
    }

    /// Hands a call to one of the peer's multiplexed connections; makes it if there is none, or no more.
    fn share(&mut self, mut job: Job, peer: usize) {
        let index = self.connection_of(&job);
        let permit = job.take_permit();
        if let Some(slot) = &self.mux[peer][index] {
            match slot.hand_over(job) {
                Ok(()) => {
                    self.shared.reused.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(back) => job = back,
            }
        }
        let permit = permit.or_else(|| self.shared.gate(peer).enter(clock::now()));
        let Some(permit) = permit else { return self.share_another(job, peer) };
        job.reused = false;
        self.open(MuxSlot::with(vec![job]), peer, index, permit);
    }

    /// Makes connections that no call has asked for yet.
    fn warm(&mut self, warm_up: &WarmUp) {
        let now = clock::now();
        for peer in 0..self.shared.peers.len() {
            let gate = Arc::clone(self.shared.gate(peer));
            let mut permit = None;
            for index in 0..warm_up.connections.min(self.shared.options.multiplexed) {
                let greeter = warm_up.greeter(peer);
                if let Some(slot) = self.mux[peer][index].as_ref().filter(|slot| slot.is_open()) {
                    slot.greet(greeter);
                    continue;
                }
                let Some(own) = permit.take().or_else(|| gate.enter(now)) else {
                    greeter.tell(Err(gate.hold_back(now)));
                    break;
                };
                permit = Some(own.another());
                let slot = MuxSlot::with(Vec::new());
                slot.greet(greeter);
                self.open(slot, peer, index, own);
            }
        }
    }

    fn open(&mut self, slot: Arc<MuxSlot>, peer: usize, index: usize, permit: Permit) {
        self.mux[peer][index] = Some(Arc::clone(&slot));
        let id = self.shared.line_starts(Arc::clone(&slot) as _);
        let (_, shard) = self.shared.shards.next();
        shard.spawn(MuxLine::new(Arc::clone(&self.shared), slot, peer, id, permit));
    }

    /// The same for a call whose own connection may not be dialled now: any other will do.
    fn share_another(&self, mut job: Job, peer: usize) {
        for slot in self.alive(peer) {
            match slot.hand_over(job) {
                Ok(()) => {
                    self.shared.reused.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(back) => job = back,
            }
        }
        self.shared.post_all(vec![job]);
    }
}

impl Future for Dispatch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        panic::caught(|| self.run(cx)).unwrap_or_else(|error| {
            panic::report(&self.shared.log, "client", &error);
            self.shared.inbox.lock().broken = Some(error);
            Poll::Ready(())
        })
    }
}

impl Dispatch {
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        fault::panic_at(Point::DriverTask);
        loop {
            // The two lists change places, so that neither is allocated anew for each burst.
            let mut batch = std::mem::take(&mut self.batch);
            let mut warm_ups = Vec::new();
            let closed = {
                let mut inbox = self.shared.inbox.lock();
                std::mem::swap(&mut inbox.jobs, &mut batch);
                warm_ups.append(&mut inbox.warm_ups);
                inbox.awake = inbox.closed || !batch.is_empty() || !warm_ups.is_empty();
                if !inbox.awake {
                    inbox.waker = Some(cx.waker().clone());
                }
                inbox.closed
            };
            let idle = batch.is_empty() && warm_ups.is_empty() && !closed;
            warm_ups.iter().for_each(|warm_up| self.warm(warm_up));
            if !batch.is_empty() {
                let now = clock::now();
                batch.drain(..).for_each(|job| self.place(job, now));
            }
            self.batch = batch;
            if idle {
                return Poll::Pending;
            }
            if closed {
                // Looked at again: a close may not have seen the connections that were just made.
                let cut_off = self.shared.inbox.lock().cut_off;
                self.shared.close_lines(cut_off);
                return Poll::Ready(());
            }
        }
    }
}

/// The shard ends before the client does: nobody will look into the inbox again.
impl Drop for Dispatch {
    fn drop(&mut self) {
        let (jobs, why) = {
            let mut inbox = self.shared.inbox.lock();
            inbox.closed = true;
            let why = inbox.broken.clone().unwrap_or_else(|| Cause::Shutdown.error());
            (std::mem::take(&mut inbox.jobs), why)
        };
        for job in jobs.into_iter().chain(self.batch.drain(..)) {
            job.fail(None, why.clone());
        }
    }
}
