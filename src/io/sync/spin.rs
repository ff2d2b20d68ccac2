//! Whether a caller looks for its reply again and again before it sleeps.
//!
//! It pays off where replies come within microseconds and the peer runs on another CPU: the caller saves
//! falling asleep and being woken. Where it does not pay off, it takes CPU from whoever would answer.

use std::time::Duration;

/// Most calls that are let pass after spinning in vain again and again.
const MAX_REST: u16 = 1024;

/// How long a connection's caller spins, and when it had better not.
#[derive(Debug)]
pub struct Spin {
    time: Duration,
    /// Calls that do not spin before one tries again.
    resting: u16,
    /// How many that are after the next time in vain.
    rest: u16,
}

impl Spin {
    /// Spins for up to this time; zero: never.
    pub fn new(time: Duration) -> Spin {
        Spin { time, resting: 0, rest: 1 }
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
            self.rest = 1;
        } else {
            self.resting = self.rest;
            self.rest = self.rest.saturating_mul(2).min(MAX_REST);
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
        spin.learn(true);
        for _ in 0..100 {
            assert_eq!(spin.time(), Some(Duration::from_micros(50)));
            spin.learn(true);
        }
        spin.learn(false);
        assert_eq!((spin.time(), spin.time().is_some()), (None, true), "one miss costs one call");
    }
}
