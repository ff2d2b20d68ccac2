//! The client's end: connections to some addresses, and the streams that are opened on them.
//!
//! A connection carries one stream at a time or many. A stream takes a connection without streams, then a
//! new one while there are fewer than asked for, then the least loaded that has room, then again a new one.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::runtime::Handle;

use crate::base::fault::hold;
use crate::base::lock::Mutex;
use crate::base::log::Log;
use crate::base::{Code, Error, Phase, Result};
use crate::io::addr::{Address, MAX_ADDRESSES_TRIED};
use crate::io::conn::Order;
use crate::io::keepalive::Keepalive;
use crate::io::runtime::Runtime;
use crate::io::stream::mailbox::Mailbox;
use crate::io::stream::open::{OpenJob, Opener, Opening};
use crate::io::stream::tally::Tally;
use crate::io::stream::task::{Side, Task};
use crate::io::timer::LazyTimer;
use crate::io::transport::{self, Transport};
use crate::io::{chance, clock};
use crate::op::operation::Cause;
use crate::proto::stream::{Client, ClientConn, Connection, Counters, Finish, Options, Pairs, StreamKey};
use crate::wire::ttheader::Header;

/// How connections of streams are made and kept.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// For a connection to be established. Default 1 s.
    pub connect_timeout: Duration,
    /// Connections to each address that all streams share, more when these are saturated; 0: each stream
    /// has one of its own while it lasts. Default 1.
    pub multiplexed: usize,
    /// Connections without streams kept per address, where streams don't share. Default 256.
    pub max_idle: usize,
    /// When a server that has vanished is given up. TCP only.
    pub keepalive: Keepalive,
    /// What connections are run with. `idle` is how long one without streams is kept: keep it below the
    /// server's (Kitex: 10 min). Default 60 s.
    pub connection: Options,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            connect_timeout: Duration::from_secs(1),
            multiplexed: 1,
            max_idle: 256,
            keepalive: Keepalive::DEFAULT,
            connection: Options::default(),
        }
    }
}

/// What a pool has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Connections made.
    pub dialled: u64,
    /// Streams that took a connection which was there.
    pub reused: u64,
    /// Connections that are there.
    pub open: usize,
    /// Streams on them.
    pub streams: usize,
    /// What the connections have seen, those that have ended included. Numbers of frames may lag behind.
    pub seen: Counters,
}

/// The connections of one client. Dropping it lets those with streams end by themselves.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    options: PoolOptions,
    peers: Vec<Peer>,
    shards: Vec<Handle>,
    next_shard: AtomicUsize,
    next_peer: AtomicUsize,
    dialled: AtomicU64,
    reused: AtomicU64,
    tally: Arc<Tally>,
    /// The most that has been asked for.
    order: Mutex<Order>,
    log: Log,
}

struct Peer {
    name: Arc<str>,
    address: Address,
    lines: Mutex<Vec<Arc<Mailbox>>>,
}

/// What a connection's task has of its pool.
pub(super) struct Host {
    pool: Weak<Shared>,
    peer: usize,
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(peers: Vec<(Arc<str>, Address)>, options: PoolOptions, runtime: &Runtime) -> Pool {
        let peers = peers.into_iter().map(|(name, address)| Peer { name, address, lines: Mutex::default() });
        let shared = Shared {
            options,
            peers: peers.collect(),
            shards: runtime.shards().cloned().collect(),
            next_shard: AtomicUsize::new(0),
            next_peer: AtomicUsize::new(0),
            dialled: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            tally: Arc::default(),
            order: Mutex::new(Order::Serve),
            log: runtime.log().clone(),
        };
        Pool { shared: Arc::new(shared) }
    }

    /// Opens a stream; the opener hears how that ended, once.
    pub fn open(&self, opening: Opening, opener: Box<dyn Opener>) {
        let turn = self.shared.next_peer.fetch_add(1, Ordering::Relaxed);
        self.shared.place(OpenJob { opening: Box::new(opening), opener, attempts: 0, turn });
    }

    /// Refuses new streams and ends connections that have none. Streams under way end by themselves, or
    /// at once if they are cut off.
    pub fn close(&self, cut_off: bool) {
        let order = if cut_off { Order::Abort } else { Order::Drain };
        {
            let mut wanted = self.shared.order.lock();
            *wanted = wanted.max(order);
        }
        for peer in &self.shared.peers {
            let lines = peer.lines.lock().clone();
            lines.iter().for_each(|line| line.order(order));
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let mut stats = Stats {
            dialled: shared.dialled.load(Ordering::Relaxed),
            reused: shared.reused.load(Ordering::Relaxed),
            seen: shared.tally.total(),
            ..Stats::default()
        };
        for peer in &shared.peers {
            let lines = peer.lines.lock();
            stats.open += lines.len();
            stats.streams += lines.iter().map(|line| line.load()).sum::<usize>();
        }
        stats
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        *self.order.lock() != Order::Serve
    }

    /// Streams that one connection carries.
    fn capacity(&self) -> usize {
        match self.options.multiplexed {
            0 => 1,
            _ => self.options.connection.streams.streams,
        }
    }

    /// Finds a connection for a stream, or makes one.
    fn place(self: &Arc<Shared>, mut job: OpenJob) {
        if let Some(error) = job.opener.cancelled() {
            return job.fail(None, error.at(Phase::Resolve));
        }
        if self.is_closed() {
            return job.fail(None, Cause::Closed.error().at(Phase::Resolve));
        }
        // Each attempt goes to another address, whatever other streams do meanwhile.
        let index = job.turn.wrapping_add(job.attempts as usize) % self.peers.len().max(1);
        let Some(peer) = self.peers.get(index) else {
            return job.fail(None, Error::new(Code::NoAddress, "no address to open a stream to"));
        };
        job.attempts += 1;
        let mut lines = peer.lines.lock();
        while let Some(at) = self.choose(&lines) {
            // The newest first: what is idle for long should stay so, and end.
            let line = lines.remove(at);
            match line.open(job) {
                Ok(()) => {
                    self.reused.fetch_add(1, Ordering::Relaxed);
                    return lines.push(line);
                }
                Err(back) => job = back,
            }
        }
        let mailbox = Mailbox::of_dialled(Arc::clone(&peer.name));
        lines.push(Arc::clone(&mailbox));
        // Nobody has seen it yet, so it takes what it is given.
        let refused = mailbox.open(job);
        drop(lines);
        self.dial(index, mailbox);
        if let Err(job) = refused {
            job.fail(None, Cause::Closed.error());
        }
    }

    /// The connection that takes the next stream; `None`: a new one.
    fn choose(&self, lines: &[Arc<Mailbox>]) -> Option<usize> {
        let loads = lines.iter().map(|line| line.load()).enumerate();
        let (at, load) = loads.rev().min_by_key(|(_, load)| *load)?;
        let may_share = lines.len() >= self.options.multiplexed && load < self.capacity();
        (load == 0 || may_share).then_some(at)
    }

    fn dial(self: &Arc<Shared>, peer: usize, mailbox: Arc<Mailbox>) {
        let turn = self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1);
        let Some(shard) = self.shards.get(turn) else { return };
        shard.spawn(connect_and_run(Arc::clone(self), peer, Unconnected(Some(mailbox))));
    }

    /// A stream whose connection took it no more.
    fn again(self: &Arc<Shared>, job: OpenJob, error: &Error) {
        match job.attempts < MAX_ADDRESSES_TRIED as u32 {
            true => self.place(job),
            false => job.fail(None, error.clone()),
        }
    }

    fn keep_or_end(&self, peer: usize, mailbox: &Arc<Mailbox>) {
        let Some(peer) = self.peers.get(peer).filter(|_| self.options.multiplexed == 0) else { return };
        // Under the lock, so that no stream takes the connection meanwhile.
        let mut lines = peer.lines.lock();
        let idle = lines.iter().filter(|line| line.load() == 0).count();
        if mailbox.load() == 0 && idle > self.options.max_idle {
            lines.retain(|line| !Arc::ptr_eq(line, mailbox));
            mailbox.order(Order::Drain);
        }
    }

    fn forget(&self, peer: usize, mailbox: &Arc<Mailbox>) {
        if let Some(peer) = self.peers.get(peer) {
            peer.lines.lock().retain(|line| !Arc::ptr_eq(line, mailbox));
        }
    }

    /// The address could not be reached: the next one may, unless all were tried.
    fn unreachable(self: &Arc<Shared>, peer: usize, mailbox: &Arc<Mailbox>, error: &Error) {
        self.forget(peer, mailbox);
        let tries = self.peers.len().min(MAX_ADDRESSES_TRIED) as u32;
        for job in mailbox.end() {
            match job.attempts < tries && error.code() != Code::Closed {
                true => self.place(job),
                false => job.fail(Some(Arc::clone(mailbox.peer())), error.clone()),
            }
        }
    }
}

async fn connect_and_run(shared: Arc<Shared>, peer: usize, mut waiting: Unconnected) {
    let Some(mailbox) = waiting.0.clone() else { return };
    let connected = connect(&shared, peer, &mailbox).await;
    waiting.0 = None;
    match connected {
        Ok(transport) => {
            mailbox.connected();
            shared.dialled.fetch_add(1, Ordering::Relaxed);
            let options = Options { seed: chance::draw(), ..shared.options.connection.clone() };
            let conn = ClientConn::new(options, clock::now());
            let host = Host { pool: Arc::downgrade(&shared), peer };
            let (log, tally) = (shared.log.clone(), Arc::clone(&shared.tally));
            // The pool may go while streams go on.
            drop(shared);
            Task::new(host, conn, transport, mailbox, BytesMut::new(), tally, log).await;
        }
        Err(error) => shared.unreachable(peer, &mailbox, &error),
    }
}

/// The shard ends while a connection is being made, or has ended before it was begun: the streams that wait for it
/// hear of that. Made before the task is, for a task that never runs drops only what it was given.
struct Unconnected(Option<Arc<Mailbox>>);

impl Drop for Unconnected {
    fn drop(&mut self) {
        let waiting = self.0.take().map(|mailbox| mailbox.end()).unwrap_or_default();
        waiting.into_iter().for_each(|job| job.fail(None, Cause::Shutdown.error()));
    }
}

async fn connect(shared: &Arc<Shared>, peer: usize, mailbox: &Arc<Mailbox>) -> Result<Transport> {
    let Some(peer) = shared.peers.get(peer) else {
        return Err(Error::new(Code::NoAddress, "no address to open a stream to"));
    };
    let mut connecting = transport::connect(peer.address.clone(), shared.options.keepalive);
    let limit = clock::now().checked_add(shared.options.connect_timeout);
    let mut timer = LazyTimer::default();
    poll_fn(|cx| {
        if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if mailbox.drop_unwanted(cx, clock::now()) {
            return Poll::Ready(Err(Cause::Closed.error().at(Phase::Connect)));
        }
        let wake_at = [limit, mailbox.first_deadline()].into_iter().flatten().min();
        match wake_at.is_some_and(|at| timer.wake_at(at, cx)) {
            true if limit.is_some_and(|limit| limit <= clock::now()) => {
                let error = Error::new(Code::ConnectTimeout, "no connection within the connect timeout");
                Poll::Ready(Err(error.at(Phase::Connect)))
            }
            true => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            false => Poll::Pending,
        }
    })
    .await
}

impl Side for Client {
    type Host = Host;

    const TARGET: &'static str = "client";
    const HELD_AS: hold::Side = hold::Side::Client;

    fn open(task: &mut Task<Client>, jobs: Vec<OpenJob>, now: Instant) {
        for job in jobs {
            open_one(task, job, now);
        }
    }

    fn opened(_: &mut Task<Client>, _: StreamKey) {}

    fn close_send(conn: &mut Connection<Client>, key: StreamKey) {
        let _ = conn.close_send(key);
    }

    fn header(_: &mut Connection<Client>, _: StreamKey, _: &Pairs) {}

    fn finish(_: &mut Connection<Client>, _: StreamKey, _: &Finish, _: &Pairs, _: Instant) {}

    fn peer_header(conn: &Connection<Client>, key: StreamKey) -> Result<Option<Header>> {
        match conn.header_result(key) {
            Some(result) => result.map(Option::<&Header>::cloned).map_err(Error::clone),
            None => Ok(None),
        }
    }

    fn peer_trailer(conn: &Connection<Client>, key: StreamKey) -> Result<Option<Header>> {
        match conn.trailer_result(key) {
            Some(result) => result.map(|trailer| Some(trailer.clone())).map_err(Error::clone),
            None => Ok(None),
        }
    }

    /// Where streams don't share, a connection beyond those that are kept ends with its stream.
    fn given_back(task: &mut Task<Client>) {
        if let Some(pool) = task.host.pool.upgrade() {
            pool.keep_or_end(task.host.peer, &task.mailbox);
        }
    }

    /// Streams that nobody has opened yet take another connection.
    fn ends(task: &mut Task<Client>) {
        let Some(pool) = task.host.pool.upgrade() else { return };
        let error = Error::new(Code::ConnectionLost, "the connection ended before the stream was opened");
        task.mailbox.end().into_iter().for_each(|job| pool.again(job, &error));
    }

    fn gone(task: &Task<Client>) {
        if let Some(pool) = task.host.pool.upgrade() {
            pool.forget(task.host.peer, &task.mailbox);
        }
    }
}

fn open_one(task: &mut Task<Client>, job: OpenJob, now: Instant) {
    let peer = Some(Arc::clone(task.mailbox.peer()));
    if let Some(error) = job.opener.cancelled() {
        task.mailbox.unload();
        return job.fail(peer, error.at(Phase::Connect));
    }
    if !task.conn.can_open(now) {
        task.mailbox.unload();
        let error = Error::new(Code::Overload, "too many streams on the connection").at(Phase::Connect);
        return match task.host.pool.upgrade() {
            Some(pool) => pool.again(job, &error),
            None => job.fail(peer, error),
        };
    }
    match task.conn.open(&job.opening.as_open(), now) {
        Ok(key) => {
            let link = task.admit(key, job.opening.timeouts.recv.is_some());
            // From now on the connection tells of what arrives, also to a host that never sends.
            task.fetch(key);
            job.opener.opened(Ok(link), peer);
            task.fetch(key);
        }
        Err(error) => {
            task.mailbox.unload();
            job.fail(peer, error);
        }
    }
}
