//! Limiters of servers: connections, and requests per second (governance.md §4). Any thread; lock-free.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::base::Result;
use crate::policy::Mode;
use crate::policy::document;
use crate::policy::number::{high, low, word};
use crate::policy::time::{Time, millis};

/// The reference's words for a connection too many.
pub const TOO_MANY_CONNECTIONS: &str = "request over limit: to many connections";
/// The reference's words for a request too many.
pub const TOO_FREQUENT: &str = "request over limit: request too frequent";
/// Thrift's exception type of an answer to a request too many.
pub const EXCEPTION_TYPE: i32 = 6;

const SECOND_NANOS: u64 = millis(1000);
const TICK_NANOS: u64 = millis(100);

/// Limits of a server; 0 or less is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Connections at a time.
    pub connections: i64,
    /// Requests per second and server.
    pub qps: i64,
}

/// `{"connection_limit":n,"qps_limit":n}`. Both values are replaced by each update.
pub fn parse(text: &[u8]) -> Result<Config> {
    document::read(text, |document| {
        let mut config = Config::default();
        document.object(|name, document| {
            match name {
                "connection_limit" => config.connections = document.integer(name)?,
                "qps_limit" => config.qps = document.integer(name)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(config)
    })
}

/// What happens to a request over the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// Answer with exception [`EXCEPTION_TYPE`] and [`TOO_FREQUENT`]; the connection lives.
    Answer,
    /// Close the connection without a word, other requests on it too.
    Close,
}

/// What happens to a request over the limit: the reference's own limiter looks before a request is decoded,
/// so it cannot answer; a limiter of the host, and ours, answers.
pub fn over(mode: Mode, of_host: bool) -> Over {
    if mode == Mode::Compat && !of_host { Over::Close } else { Over::Answer }
}

/// Connections at a time. A connection over the limit is closed, and nothing is sent.
#[derive(Debug)]
pub struct ConnectionLimiter {
    limit: AtomicI64,
    count: AtomicI64,
}

impl ConnectionLimiter {
    /// At most so many; 0 or less is no limit.
    pub const fn new(limit: i64) -> ConnectionLimiter {
        ConnectionLimiter { limit: AtomicI64::new(limit), count: AtomicI64::new(0) }
    }

    /// A connection is accepted. If false, it must be closed, and not be released.
    pub fn acquire(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let allowed = limit <= 0 || before < limit;
        if !allowed {
            self.release();
        }
        allowed
    }

    /// A connection that was acquired is closed.
    pub fn release(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections at present.
    pub fn count(&self) -> i64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Another limit for connections that come from now on.
    pub fn set(&self, limit: i64) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// Requests per second, by tokens: a limiter starts with a tenth of a second's (at least one), and unused
/// ones add up to one second's. Tokens come all the time; in [`Mode::Compat`] ⌊limit/10⌋ each 100 ms, so that
/// limits of 1 to 9 refuse everything.
#[derive(Debug)]
pub struct QpsLimiter {
    limit: AtomicI64,
    mode: Mode,
    origin: Time,
    /// Better: nanoseconds since the origin at which the bucket would be full again, shifted by one second.
    /// Compat: number of the last tick above, tokens below.
    state: AtomicU64,
}

impl QpsLimiter {
    /// So many requests per second, up to 10⁹; 0 or less is no limit.
    pub fn new(limit: i64, mode: Mode, now: Time) -> QpsLimiter {
        let limiter =
            QpsLimiter { limit: AtomicI64::new(0), mode, origin: now, state: AtomicU64::new(u64::MAX) };
        limiter.set(limit, now);
        limiter
    }

    /// Another limit; saved tokens above a tenth of a second's are gone.
    pub fn set(&self, limit: i64, now: Time) {
        self.limit.store(limit.clamp(0, 1_000_000_000), Ordering::Relaxed);
        let since = now.nanos_since(self.origin);
        let new = |old: u64| match self.mode {
            // A later time of fullness means fewer tokens.
            Mode::Better => {
                let start = since + SECOND_NANOS - TICK_NANOS.max(self.cost());
                Some(if old == u64::MAX { start } else { start.max(old) })
            }
            Mode::Compat => {
                let tokens = if old == u64::MAX { self.step() } else { low(old).min(self.step()) };
                Some(word(self.tick(now), tokens))
            }
        };
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, new);
    }

    /// Nanoseconds of one token.
    fn cost(&self) -> u64 {
        SECOND_NANOS.checked_div(self.limit().into()).unwrap_or(0)
    }

    fn limit(&self) -> u32 {
        u32::try_from(self.limit.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Tokens of 100 ms.
    fn step(&self) -> u32 {
        self.limit() / 10
    }

    fn tick(&self, now: Time) -> u32 {
        low(now.nanos_since(self.origin) / TICK_NANOS)
    }

    /// A request has come; false if it is over the limit.
    pub fn acquire(&self, now: Time) -> bool {
        if self.limit() == 0 {
            return true;
        }
        let since = now.nanos_since(self.origin);
        let take = |old: u64| match self.mode {
            // The bucket never holds more than one second's tokens: full means now, shifted.
            Mode::Better => {
                let full_at = old.max(since);
                (full_at + self.cost() <= since + SECOND_NANOS).then(|| full_at + self.cost())
            }
            Mode::Compat => {
                let tick = self.tick(now);
                let ticks = tick.wrapping_sub(high(old));
                let earned = ticks.saturating_mul(self.step());
                let tokens = low(old).saturating_add(earned).min(self.limit().max(low(old)));
                tokens.checked_sub(1).map(|left| word(tick, left))
            }
        };
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limiter: &QpsLimiter, ms: u64) -> usize {
        (0..10_000).take_while(|_| limiter.acquire(Time::from_millis(ms))).count()
    }

    #[test]
    fn a_hundred_per_second() {
        for mode in [Mode::Better, Mode::Compat] {
            let limiter = QpsLimiter::new(100, mode, Time::ZERO);
            assert_eq!(passed(&limiter, 0), 10, "{mode:?}");
            for tick in 1..5 {
                assert_eq!(passed(&limiter, tick * 100), 10, "{mode:?} {tick}");
            }
            assert_eq!(passed(&limiter, 1_500), 100, "{mode:?}: after a second idle");
            assert_eq!(passed(&limiter, 60_000), 100, "{mode:?}: one second's at most");
        }
    }

    #[test]
    fn between_ticks() {
        let better = QpsLimiter::new(100, Mode::Better, Time::ZERO);
        let compat = QpsLimiter::new(100, Mode::Compat, Time::ZERO);
        assert_eq!((passed(&better, 0), passed(&compat, 0)), (10, 10));
        assert_eq!((passed(&better, 50), passed(&compat, 50)), (5, 0));
    }

    #[test]
    fn small_limits() {
        for limit in 1..10 {
            let compat = QpsLimiter::new(limit, Mode::Compat, Time::ZERO);
            assert_eq!((passed(&compat, 0), passed(&compat, 5_000)), (0, 0), "the reference refuses all");
            let better = QpsLimiter::new(limit, Mode::Better, Time::ZERO);
            assert_eq!(passed(&better, 0), 1);
            assert_eq!(passed(&better, 5_000) as i64, limit);
        }
    }

    #[test]
    fn limits_change_while_in_use_and_none_is_none() {
        for mode in [Mode::Better, Mode::Compat] {
            let limiter = QpsLimiter::new(1000, mode, Time::ZERO);
            limiter.set(50, Time::from_millis(5_000));
            assert_eq!(passed(&limiter, 5_000), 5, "{mode:?}: what was saved is gone");
            for none in [0, -7] {
                limiter.set(none, Time::from_millis(5_000));
                assert_eq!(passed(&limiter, 5_000), 10_000);
            }
            limiter.set(i64::MAX, Time::from_millis(5_000));
            assert!(limiter.acquire(Time::from_millis(6_000)));
        }
    }

    #[test]
    fn never_more_than_the_limit_in_any_second() {
        let limiter = QpsLimiter::new(30, Mode::Better, Time::ZERO);
        let mut passed = Vec::new();
        for ms in 0..20_000 {
            if ms % 7 == 0 && (ms / 3000) % 2 == 0 && limiter.acquire(Time::from_millis(ms)) {
                passed.push(ms);
            }
        }
        // A burst of one second's, and what comes meanwhile.
        let worst =
            passed.iter().map(|from| passed.iter().filter(|ms| (*from..from + 1000).contains(ms)).count());
        assert!(worst.max().unwrap() <= 60);
        assert!(passed.len() > 200, "{}", passed.len());
    }

    #[test]
    fn connections() {
        let limiter = ConnectionLimiter::new(2);
        assert!(limiter.acquire() && limiter.acquire() && !limiter.acquire());
        assert_eq!(limiter.count(), 2);
        limiter.release();
        assert!(limiter.acquire(), "a freed slot is usable");
        limiter.set(3);
        assert!(limiter.acquire() && !limiter.acquire());
        limiter.set(0);
        assert!((0..1000).all(|_| limiter.acquire()), "0 is none");
    }

    #[test]
    fn configs_and_answers() {
        let config = parse(br#"{"connection_limit":10,"qps_limit":100}"#).unwrap();
        assert_eq!(config, Config { connections: 10, qps: 100 });
        assert_eq!(parse(b"{}").unwrap(), Config::default());
        assert!(parse(br#"{"qps_limit":1.5}"#).is_err());
        assert_eq!(over(Mode::Compat, false), Over::Close);
        assert_eq!(over(Mode::Compat, true), Over::Answer);
        assert_eq!(over(Mode::Better, false), Over::Answer);
    }
}
