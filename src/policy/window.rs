//! What happened in the last ten seconds: 100 buckets of 100 ms (governance.md §3).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::number::{high, low, real, word};
use crate::policy::time::{Time, millis};

/// Buckets of a window.
pub const BUCKETS: u32 = 100;
/// What one bucket covers.
const BUCKET_NANOS: u64 = millis(100);

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    /// It worked.
    Success,
    /// It failed in another way than by time.
    Failure,
    /// It timed out.
    Timeout,
}

/// Sums over a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Successes.
    pub successes: u64,
    /// Failures without timeouts.
    pub failures: u64,
    /// Timeouts.
    pub timeouts: u64,
}

impl Counts {
    /// All samples.
    pub fn samples(&self) -> u64 {
        self.successes + self.failures + self.timeouts
    }

    /// (failures + timeouts) / samples; 0 without samples.
    pub fn rate(&self) -> f64 {
        match self.samples() {
            0 => 0.0,
            samples => real(self.failures + self.timeouts) / real(samples),
        }
    }
}

/// Counts of one kind. A word has the number of the 100 ms it belongs to in its upper half, the count in
/// its lower half: a bucket that comes round again is cleared by the first count that finds it old.
#[derive(Debug)]
struct Lane {
    buckets: [AtomicU64; BUCKETS as usize],
    /// The sum of all buckets before the present one, by the same rule: added up once in 100 ms.
    before: AtomicU64,
}

impl Lane {
    fn new() -> Lane {
        Lane { buckets: [const { AtomicU64::new(0) }; BUCKETS as usize], before: AtomicU64::new(0) }
    }

    fn bucket(&self, tick: u32) -> &AtomicU64 {
        let [first, ..] = &self.buckets;
        self.buckets.get((tick % BUCKETS) as usize).unwrap_or(first)
    }

    #[inline]
    fn add(&self, tick: u32) {
        let bucket = self.bucket(tick);
        let old = bucket.load(Ordering::Relaxed);
        if high(old) == tick {
            bucket.fetch_add(1, Ordering::Relaxed);
        } else {
            self.add_to_old(bucket, tick, old);
        }
    }

    #[cold]
    fn add_to_old(&self, bucket: &AtomicU64, tick: u32, mut old: u64) {
        loop {
            let new = if high(old) == tick { old + 1 } else { word(tick, 1) };
            match bucket.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    fn sum(&self, tick: u32) -> u64 {
        let cached = self.before.load(Ordering::Relaxed);
        let before = if high(cached) == tick { u64::from(low(cached)) } else { self.add_up(tick) };
        let present = self.bucket(tick).load(Ordering::Relaxed);
        before + if high(present) == tick { u64::from(low(present)) } else { 0 }
    }

    #[cold]
    fn add_up(&self, tick: u32) -> u64 {
        let words = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let sum = words
            .filter(|word| (1..BUCKETS).contains(&tick.wrapping_sub(high(*word))))
            .fold(0u32, |sum, word| sum.saturating_add(low(word)));
        self.before.store(word(tick, sum), Ordering::Relaxed);
        u64::from(sum)
    }

    fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
        self.before.store(0, Ordering::Relaxed);
    }
}

/// A window. Any thread may count and read; nobody waits.
#[derive(Debug)]
pub struct Window {
    successes: Lane,
    failures: Lane,
    timeouts: Lane,
}

impl Default for Window {
    fn default() -> Window {
        Window::new()
    }
}

impl Window {
    /// Empty.
    pub fn new() -> Window {
        Window { successes: Lane::new(), failures: Lane::new(), timeouts: Lane::new() }
    }

    /// Ticks start at 1, so that a word of zeros is old at any time.
    fn tick(now: Time) -> u32 {
        low(now.nanos() / BUCKET_NANOS).wrapping_add(1)
    }

    /// Counts one sample.
    #[inline]
    pub fn add(&self, sample: Sample, now: Time) {
        let lane = match sample {
            Sample::Success => &self.successes,
            Sample::Failure => &self.failures,
            Sample::Timeout => &self.timeouts,
        };
        lane.add(Window::tick(now));
    }

    /// Sums over the last ten seconds.
    pub fn counts(&self, now: Time) -> Counts {
        let tick = Window::tick(now);
        Counts {
            successes: self.successes.sum(tick),
            failures: self.failures.sum(tick),
            timeouts: self.timeouts.sum(tick),
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        for lane in [&self.successes, &self.failures, &self.timeouts] {
            lane.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn samples_leave_after_a_hundred_buckets() {
        let window = Window::new();
        window.add(Sample::Success, at(0));
        window.add(Sample::Failure, at(150));
        window.add(Sample::Timeout, at(9_950));
        assert_eq!(window.counts(at(9_999)), Counts { successes: 1, failures: 1, timeouts: 1 });
        // The bucket 0..100 is gone with the tick at 10 s.
        assert_eq!(window.counts(at(10_000)), Counts { successes: 0, failures: 1, timeouts: 1 });
        assert_eq!(window.counts(at(10_100)), Counts { successes: 0, failures: 0, timeouts: 1 });
        assert_eq!(window.counts(at(60_000)).samples(), 0);
    }

    #[test]
    fn rate_counts_timeouts_as_failures() {
        let window = Window::new();
        for _ in 0..3 {
            window.add(Sample::Success, at(5));
        }
        window.add(Sample::Timeout, at(5));
        window.add(Sample::Failure, at(5));
        assert!((window.counts(at(6)).rate() - 0.4).abs() < 1e-12);
        window.clear();
        assert_eq!(window.counts(at(6)), Counts::default());
        assert!(window.counts(at(6)).rate().abs() < 1e-12);
    }

    #[test]
    fn sums_agree_with_a_list_of_samples() {
        let window = Window::new();
        let mut list = Vec::new();
        let mut chance = 1u64;
        let mut now = 0;
        for _ in 0..20_000 {
            chance = crate::policy::number::mix(chance);
            now += chance % 37;
            window.add(Sample::Failure, at(now));
            list.push(now / 100);
            let expected = list.iter().filter(|bucket| **bucket + 100 > now / 100).count();
            assert_eq!(window.counts(at(now)).failures, expected as u64, "at {now} ms");
        }
    }

    #[test]
    fn threads_lose_no_sample() {
        let window = Window::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50_000u64).for_each(|n| window.add(Sample::Success, at(n / 10))));
            }
        });
        assert_eq!(window.counts(at(5_000)).successes, 200_000);
    }
}
