//! The idle connections to one address.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Limits, Result};
use crate::io::addr::Address;
use crate::io::backoff::{Backoff, Gate, Permit};
use crate::io::clock;
use crate::io::keepalive::Keepalive;
use crate::io::seats::Seats;
use crate::io::sync::conn::{Conn, Interrupt};
use crate::io::sync::sweep;

/// How connections are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// For a connection to be established. Default 1 s.
    pub connect_timeout: Duration,
    /// For how long warm-ups, and calls that have another address, leave one alone that could not be reached.
    pub backoff: Backoff,
    /// An idle connection older than this is not used again, and closed. Keep it below the server's idle timeout
    /// (Kitex: 10 min). Default 60 s. Those of blocking calls are closed by other blocking calls of the process,
    /// or by a runtime that runs already: no thread is started for it.
    pub idle_timeout: Duration,
    /// Idle connections kept per address. Default 256.
    pub max_idle: usize,
    /// Idle connections kept per address however long they are idle. Default 0.
    pub min_idle: usize,
    /// Calls that may use connections to one address at once; more wait for one of them, in order. Idle
    /// connections of blocking calls and of others are kept apart. Without a meaning where connections are
    /// multiplexed. 0, the default: any number.
    pub max_connections: usize,
    /// Connections to each address that all calls share; 0: each call under way has one of its own.
    /// TTHeader only (ttheader.md §7.3). Default 0.
    pub multiplexed: usize,
    /// When a peer that has vanished is given up.
    pub keepalive: Keepalive,
    /// For how long a blocking caller looks for its reply before it sleeps, where that has paid off. At most
    /// 1 ms. Default 0: it sleeps at once.
    pub spin: Duration,
    /// Limits on replies.
    pub limits: Limits,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            connect_timeout: Duration::from_secs(1),
            backoff: Backoff::DEFAULT,
            idle_timeout: Duration::from_secs(60),
            max_idle: 256,
            min_idle: 0,
            max_connections: 0,
            multiplexed: 0,
            keepalive: Keepalive::DEFAULT,
            spin: Duration::ZERO,
            limits: Limits::DEFAULT,
        }
    }
}

/// A connection that was used so recently is taken without asking the system whether it still lives.
const SURELY_ALIVE: Duration = Duration::from_millis(1);

/// Idle connections to one address, newest first. A call in flight has taken its connection out.
#[derive(Debug)]
pub struct Pool {
    address: Address,
    options: PoolOptions,
    state: Mutex<State>,
    seats: Arc<Seats>,
    gate: Arc<Gate>,
    dialled: AtomicU64,
    reused: AtomicU64,
    found_dead: AtomicU64,
    expired: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    idle: VecDeque<Idle>,
    /// Connections in the hands of calls.
    busy: u64,
}

#[derive(Debug)]
struct Idle {
    conn: Conn,
    since: Instant,
}

/// What a pool has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Connections established.
    pub dialled: u64,
    /// Calls that used an idle connection.
    pub reused: u64,
    /// Idle connections that turned out to be dead.
    pub found_dead: u64,
    /// Connections idle now.
    pub idle: u64,
    /// Connections in use now, or being made.
    pub busy: u64,
    /// Calls that had to wait for a connection, as their number is limited.
    pub waited: u64,
    /// Calls that ended without one for that reason.
    pub refused: u64,
    /// Replies on multiplexed connections that nobody waited for any more.
    pub dropped: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// How often a call or a warm-up went without a dial of its own, as another one had just failed.
    pub held_back: u64,
    /// Idle connections that were closed because nobody asked for them within the idle timeout.
    pub expired: u64,
}

impl Stats {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Stats) -> Stats {
        Stats {
            dialled: self.dialled + other.dialled,
            reused: self.reused + other.reused,
            found_dead: self.found_dead + other.found_dead,
            idle: self.idle + other.idle,
            busy: self.busy + other.busy,
            waited: self.waited + other.waited,
            refused: self.refused + other.refused,
            dropped: self.dropped + other.dropped,
            dials_failed: self.dials_failed + other.dials_failed,
            held_back: self.held_back + other.held_back,
            expired: self.expired + other.expired,
        }
    }
}

/// A connection in the hands of a call. Dropping it closes it.
#[derive(Debug)]
pub struct Lease<'a> {
    /// The connection.
    pub conn: Conn,
    busy: Busy<'a>,
    /// When it was dialled, until its first reply.
    fresh: Option<Instant>,
}

impl Lease<'_> {
    /// Keeps the connection for the next call, if it is fit for one and there is room.
    pub fn put_back(self, now: Instant) {
        let Lease { conn, busy, .. } = self;
        let pool = busy.0;
        pool.gate.replied();
        if conn.is_reusable() {
            // Counted with the same look at the pool that keeps the connection.
            std::mem::forget(busy);
            pool.put_back(conn, now);
        }
    }
}

impl Lease<'_> {
    /// The connection has ended before the reply. If it is a fresh one, that says something about its address.
    pub fn lost(self, error: &Error) {
        if let Some(begun) = self.fresh {
            self.busy.0.gate.lost_fresh(begun, clock::now(), error);
        }
    }
}

/// A connection is counted as busy as long as this lives.
#[derive(Debug)]
struct Busy<'a>(&'a Pool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy -= 1;
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(address: Address, options: PoolOptions) -> Arc<Pool> {
        let pool = Arc::new(Pool {
            address,
            options,
            state: Mutex::default(),
            seats: Seats::new(options.max_connections),
            gate: Gate::new(options.backoff),
            dialled: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            found_dead: AtomicU64::new(0),
            expired: AtomicU64::new(0),
        });
        sweep::register(&pool);
        pool
    }

    /// Where its connections go.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Seats for the calls that use its connections; those of calls that nobody waits for as well.
    pub fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    /// Whether its address may be dialled; of calls that nobody waits for as well.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether a call may find a connection here: an idle one, or one that it may dial.
    pub fn may_serve(&self, now: Instant) -> bool {
        self.gate.is_open(now) || !self.state.lock().idle.is_empty()
    }

    /// The newest idle connection that is alive, if there is one.
    pub fn take_idle(&self, now: Instant) -> Option<Lease<'_>> {
        loop {
            // The lock is not held while the system is asked.
            let (Idle { conn, since }, kept) = {
                let mut state = self.state.lock();
                let kept = state.idle.len() <= self.options.min_idle;
                let idle = state.idle.pop_back()?;
                state.busy += 1;
                (idle, kept)
            };
            let lease = Lease { conn, busy: Busy(self), fresh: None };
            let age = now.saturating_duration_since(since);
            if age < SURELY_ALIVE || ((kept || age < self.options.idle_timeout) && lease.conn.is_alive()) {
                self.reused.fetch_add(1, Ordering::Relaxed);
                return Some(lease);
            }
            self.found_dead.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A fresh connection. Blocks up to the connect timeout, or to what is left of the call.
    pub fn dial(
        &self,
        permit: Permit,
        left: Option<Duration>,
        interrupt: &Interrupt<'_>,
    ) -> Result<Lease<'_>> {
        let whole = self.options.connect_timeout;
        let timeout = left.map_or(whole, |left| left.min(whole)).max(Duration::from_millis(1));
        let fresh = Some(permit.begun());
        let conn = match Conn::connect(&self.address, timeout, &self.options, interrupt) {
            Ok(conn) => conn,
            // An impatient or cancelled call has learnt nothing about the address.
            Err(error) if timeout < whole && error.code() == Code::ConnectTimeout => return Err(error),
            Err(error) if matches!(error.code(), Code::Cancelled | Code::Closed | Code::Timeout) => {
                return Err(error);
            }
            Err(error) => {
                permit.failed(clock::now(), &error);
                return Err(error);
            }
        };
        permit.succeeded();
        self.dialled.fetch_add(1, Ordering::Relaxed);
        self.state.lock().busy += 1;
        Ok(Lease { conn, busy: Busy(self), fresh })
    }

    fn put_back(&self, mut conn: Conn, now: Instant) {
        conn.trim();
        {
            let mut state = self.state.lock();
            state.busy -= 1;
            if state.idle.len() < self.options.max_idle {
                state.idle.push_back(Idle { conn, since: now });
            }
        }
        sweep::visit(now, now + self.options.idle_timeout);
    }

    /// Closes connections that have been idle for too long. Returns when the next one will have been; `None` if
    /// none will.
    pub(super) fn sweep(&self, now: Instant) -> Option<Instant> {
        let (outdated, next) = {
            let mut state = self.state.lock();
            let too_many = state.idle.len().saturating_sub(self.options.min_idle);
            let is_old =
                |idle: &&Idle| now.saturating_duration_since(idle.since) >= self.options.idle_timeout;
            let count = state.idle.iter().take(too_many).take_while(is_old).count();
            let outdated: Vec<_> = state.idle.drain(..count).collect();
            let oldest = state.idle.front().filter(|_| count < too_many).map(|oldest| oldest.since);
            (outdated, oldest.and_then(|since| since.checked_add(self.options.idle_timeout)))
        };
        self.expired.fetch_add(outdated.len() as u64, Ordering::Relaxed);
        // Closed here, outside the lock.
        drop(outdated);
        next
    }

    /// Keeps a connection that was just made, if there is room.
    pub(super) fn adopt(&self, conn: Conn, now: Instant) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        {
            let mut state = self.state.lock();
            if state.idle.len() < self.options.max_idle {
                state.idle.push_back(Idle { conn, since: now });
            }
        }
        sweep::visit(now, now + self.options.idle_timeout);
    }

    /// Gives an idle connection away, to be driven otherwise.
    pub fn give_away(&self, now: Instant) -> Option<Socket> {
        let Lease { conn, busy: _busy, .. } = self.take_idle(now)?;
        Some(conn.into_socket())
    }

    pub(super) fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Closes all idle connections.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut self.state.lock().idle);
        drop(idle);
    }

    /// What the pool has done so far.
    pub fn stats(&self) -> Stats {
        let (idle, busy) = {
            let state = self.state.lock();
            (state.idle.len() as u64, state.busy)
        };
        let (waited, refused) = self.seats.counts();
        let (dials_failed, held_back) = self.gate.counts();
        Stats {
            dialled: self.dialled.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            found_dead: self.found_dead.load(Ordering::Relaxed),
            idle,
            busy,
            waited,
            refused,
            dropped: 0,
            dials_failed,
            held_back,
            expired: self.expired.load(Ordering::Relaxed),
        }
    }
}
