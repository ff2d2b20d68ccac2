//! A bound on extra load: tokens that calls earn and extra attempts spend. Beyond the reference; off unless
//! given to a retry container.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::number::{real, whole};
use crate::policy::time::Time;

/// What a token is worth, so that a percent of one can be earned.
const TOKEN: u64 = 1_000_000;
/// How many seconds of floor and how many extra attempts may be saved up.
const SAVED_SECONDS: u64 = 10;
const SAVED_TOKENS: u64 = 10;

/// Tokens for extra attempts: each call earns `percent` of one, each second `floor`; each extra attempt
/// spends one. So over any time, extra attempts ≤ percent × calls + floor × seconds + what was saved up,
/// and that is at most [`Budget::burst`]. Shared by all methods of a client; any thread.
#[derive(Debug)]
pub struct Budget {
    /// Earned by a call, in parts of a token.
    per_call: u64,
    /// Earned in a second, in parts of a token.
    per_second: u64,
    limit: u64,
    tokens: AtomicU64,
    /// Until when seconds were paid.
    paid: AtomicU64,
}

impl Budget {
    /// `percent` of calls (0 to 1000; 10 is one extra attempt for ten calls) and `floor` extra attempts a
    /// second, however few calls there are. Starts with what a second of the floor earns, or one token.
    pub fn new(percent: f64, floor: u32, now: Time) -> Budget {
        let percent = if percent.is_finite() { percent.clamp(0.0, 1000.0) } else { 0.0 };
        let per_second = u64::from(floor) * TOKEN;
        let limit = (per_second * SAVED_SECONDS).max(SAVED_TOKENS * TOKEN);
        Budget {
            per_call: whole(percent / 100.0 * real(TOKEN)),
            per_second,
            limit,
            tokens: AtomicU64::new(per_second.max(TOKEN)),
            paid: AtomicU64::new(now.nanos()),
        }
    }

    /// Extra attempts that can be saved up at most.
    pub fn burst(&self) -> u64 {
        self.limit / TOKEN
    }

    /// A call begins.
    #[inline]
    pub fn earn(&self, now: Time) {
        self.pay(now);
        self.add(self.per_call);
    }

    /// Takes one token for an extra attempt; false if there is none.
    pub fn spend(&self, now: Time) -> bool {
        self.pay(now);
        let spent = |tokens: u64| tokens.checked_sub(TOKEN);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).is_ok()
    }

    /// Gives the token back of an attempt that was not made after all.
    pub fn give_back(&self) {
        self.add(TOKEN);
    }

    /// Whole tokens at present.
    pub fn tokens(&self, now: Time) -> u64 {
        self.pay(now);
        self.tokens.load(Ordering::Relaxed) / TOKEN
    }

    fn add(&self, earned: u64) {
        let sum = |tokens: u64| (tokens < self.limit).then(|| tokens.saturating_add(earned).min(self.limit));
        // An error says that the purse is full.
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Pays the floor for the time since the last payment, a token or more at once, each time to one payee.
    fn pay(&self, now: Time) {
        let Some(nanos_per_token) = (1_000_000_000 * TOKEN).checked_div(self.per_second) else { return };
        let paid = self.paid.load(Ordering::Relaxed);
        let since = now.nanos().saturating_sub(paid);
        if since < nanos_per_token {
            return;
        }
        let earned = since / nanos_per_token;
        let until = paid + earned * nanos_per_token;
        if self.paid.compare_exchange(paid, until, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.add(earned.saturating_mul(TOKEN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_earn_their_percentage() {
        let budget = Budget::new(10.0, 0, Time::ZERO);
        assert!(budget.spend(Time::ZERO), "one token to start with");
        let mut extra = 0;
        for _ in 0..1000 {
            budget.earn(Time::ZERO);
            extra += u64::from(budget.spend(Time::ZERO));
        }
        assert_eq!(extra, 100);
    }

    #[test]
    fn the_floor_is_paid_by_the_second_and_saved_for_ten() {
        let budget = Budget::new(0.0, 5, Time::ZERO);
        let spent = |now| (0..).take_while(|_| budget.spend(Time::from_millis(now))).count();
        assert_eq!(spent(0), 5);
        assert_eq!(spent(199), 0);
        assert_eq!(spent(200), 1);
        assert_eq!(spent(1_200), 5);
        assert_eq!(spent(1_000_000), 50);
        assert_eq!(budget.burst(), 50);
    }

    #[test]
    fn nonsense_is_no_budget() {
        let now = Time::from_millis(1_000_000);
        for percent in [f64::NAN, f64::NEG_INFINITY, -5.0] {
            let budget = Budget::new(percent, 0, Time::ZERO);
            assert!(budget.spend(now));
            budget.earn(now);
            assert!(!budget.spend(now), "{percent}");
        }
        budget_never_exceeds(&Budget::new(f64::INFINITY, 0, Time::ZERO));
    }

    fn budget_never_exceeds(budget: &Budget) {
        for _ in 0..1000 {
            budget.earn(Time::ZERO);
        }
        assert!(budget.tokens(Time::ZERO) <= budget.burst());
    }
}
