//! Whether a caller looks for its reply again and again before it sleeps.
//!
//! It pays off where replies come within microseconds and the peer runs on another CPU: the caller saves
//! falling asleep and being woken. Where it does not pay off, it takes CPU from whoever would answer.

use std::time::Duration;

/// Most calls that are let pass after spinning in vain again and again.
const MAX_REST: u32 = 1024;

/// Parts of a call in which rests are counted. A miss doubles the rest and a hit takes one part of it away: it
/// shrinks if eleven of twelve hit, as it should, for a miss costs about ten times what a hit saves. On a CPU
/// that is shared with the peer about half do.
const PARTS: u32 = 16;

/// How long a connection's caller spins, and when it had better not.
#[derive(Debug)]
pub struct Spin {
    time: Duration,
    /// Calls that do not spin before one tries again.
    resting: u32,
    /// How many that are after the next time in vain, in parts.
    rest: u32,
}

impl Spin {
    /// Spins for up to this time; zero: never.
    pub fn new(time: Duration) -> Spin {
        Spin { time, resting: 0, rest: PARTS }
    }

    /// How long this call's caller may spin.
    pub fn time(&mut self) -> Option<Duration> {
        if self.time.is_zero() {
            return None;
        }
        match self.resting {
            0 => Some(self.time),
            _ => {
                self.resting -= 1;
                None
            }
        }
    }

    /// The reply came while it span, or did not.
    pub fn learn(&mut self, paid_off: bool) {
        if paid_off {
            self.rest = (self.rest - self.rest / PARTS).max(PARTS);
        } else {
            self.resting = self.rest / PARTS;
            self.rest = self.rest.saturating_mul(2).min(MAX_REST * PARTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_without_a_time() {
        let mut spin = Spin::new(Duration::ZERO);
        assert_eq!(spin.time(), None);
    }

    #[test]
    fn ever_less_as_long_as_it_is_in_vain_and_always_once_it_pays_off() {
        let mut spin = Spin::new(Duration::from_micros(50));
        let mut spun = 0;
        for _ in 0..10_000 {
            if spin.time().is_some() {
                spun += 1;
                spin.learn(false);
            }
        }
        // 1, 2, 4 … 1024 calls are let pass, then 1024 each time.
        assert_eq!(spun, 19);
        while spin.time().is_none() {}
        for _ in 0..200 {
            spin.learn(true);
            assert_eq!(spin.time(), Some(Duration::from_micros(50)));
        }
        spin.learn(false);
        assert_eq!((spin.time(), spin.time().is_some()), (None, true), "one miss costs one call");
    }

    /// How many of 100,000 calls spin, if one in so many does in vain.
    fn spun(one_in: usize) -> usize {
        let mut spin = Spin::new(Duration::from_micros(50));
        let mut spun = 0;
        for _ in 0..100_000 {
            if spin.time().is_some() {
                spun += 1;
                spin.learn(spun % one_in != 0);
            }
        }
        spun
    }

    #[test]
    fn now_and_then_in_vain_is_not_worth_it_unless_that_is_rare() {
        assert!(spun(2) < 1000, "{}", spun(2));
        assert!(spun(5) < 2000, "{}", spun(5));
        assert!(spun(20) > 90_000, "{}", spun(20));
    }
}
