//! The idle connections to one address.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::base::lock::Mutex;
use crate::base::{Limits, Result};
use crate::io::addr::Address;
use crate::io::keepalive::Keepalive;
use crate::io::sync::conn::Conn;

/// How connections are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// For a connection to be established. Default 1 s.
    pub connect_timeout: Duration,
    /// An idle connection older than this is not used again. Keep it below the server's idle timeout
    /// (Kitex: 10 min). Default 60 s.
    pub idle_timeout: Duration,
    /// Idle connections kept per address. Default 256.
    pub max_idle: usize,
    /// Connections to each address that all calls share; 0: each call under way has one of its own.
    /// TTHeader only (ttheader.md §7.3). Default 0.
    pub multiplexed: usize,
    /// When a peer that has vanished is given up.
    pub keepalive: Keepalive,
    /// Limits on replies.
    pub limits: Limits,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            max_idle: 256,
            multiplexed: 0,
            keepalive: Keepalive::DEFAULT,
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
    idle: Mutex<VecDeque<Idle>>,
    dialled: AtomicU64,
    reused: AtomicU64,
    found_dead: AtomicU64,
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
}

impl Pool {
    /// An empty pool.
    pub fn new(address: Address, options: PoolOptions) -> Pool {
        Pool {
            address,
            options,
            idle: Mutex::new(VecDeque::new()),
            dialled: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            found_dead: AtomicU64::new(0),
        }
    }

    /// Where its connections go.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The newest idle connection that is alive, if there is one.
    pub fn take_idle(&self, now: Instant) -> Option<Conn> {
        loop {
            // The lock is not held while the system is asked.
            let Idle { conn, since } = self.idle.lock().pop_back()?;
            let age = now.saturating_duration_since(since);
            if age < SURELY_ALIVE || (age < self.options.idle_timeout && conn.is_alive()) {
                self.reused.fetch_add(1, Ordering::Relaxed);
                return Some(conn);
            }
            self.found_dead.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A fresh connection. Blocks up to the connect timeout, or to what is left of the call.
    pub fn dial(&self, left: Option<Duration>) -> Result<Conn> {
        let timeout =
            left.map_or(self.options.connect_timeout, |left| left.min(self.options.connect_timeout));
        let conn = Conn::connect(&self.address, timeout.max(Duration::from_millis(1)), &self.options)?;
        self.dialled.fetch_add(1, Ordering::Relaxed);
        Ok(conn)
    }

    /// Keeps a connection for the next call, if it is fit for one and there is room.
    pub fn put_back(&self, mut conn: Conn, now: Instant) {
        if !conn.is_reusable() {
            return;
        }
        conn.trim();
        let outdated = {
            let mut idle = self.idle.lock();
            if idle.len() < self.options.max_idle {
                idle.push_back(Idle { conn, since: now });
            }
            match idle.front() {
                Some(oldest) if now.saturating_duration_since(oldest.since) >= self.options.idle_timeout => {
                    idle.pop_front()
                }
                _ => None,
            }
        };
        // Closed here, outside the lock.
        drop(outdated);
    }

    /// Closes all idle connections.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// What the pool has done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            dialled: self.dialled.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            found_dead: self.found_dead.load(Ordering::Relaxed),
            idle: self.idle.lock().len() as u64,
        }
    }
}
