//! How long first attempts take, by method: the live quantile that a backup delay may follow. Beyond the
//! reference; nothing is measured unless a policy asks for it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::policy::number::{high, index, low, real, whole, word};
use crate::policy::time::{Time, millis};

/// Steps for each doubling: a quantile is off by 1/8 at most.
const STEPS: u64 = 8;
/// Up to 2^36 µs, nineteen hours.
const BUCKETS: usize = 36 * 8;
/// How long a generation counts: a quantile is over the last ten to twenty seconds.
const GENERATION_NANOS: u64 = millis(10_000);
/// How long a computed quantile is good for.
const FRESH_NANOS: u64 = millis(100);

/// Durations in buckets that grow by an eighth of a power of two. Any thread; nobody waits.
#[derive(Debug)]
pub struct Latency {
    /// Even and odd generations.
    generations: [Generation; 2],
    /// Upper half: the 100 ms it was computed in. Lower half: the quantile in µs, 0 for too few samples.
    cached: AtomicU64,
    /// Which quantile that is, as bits.
    of: AtomicU64,
}

#[derive(Debug)]
struct Generation {
    number: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

impl Generation {
    fn new() -> Generation {
        Generation { number: AtomicU64::new(0), buckets: [const { AtomicU32::new(0) }; BUCKETS] }
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

impl Latency {
    /// Without samples.
    pub fn new() -> Latency {
        Latency {
            generations: [Generation::new(), Generation::new()],
            cached: AtomicU64::new(0),
            of: AtomicU64::new(0),
        }
    }

    /// One first attempt took so long, or was given up after so long.
    pub fn record(&self, nanos: u64, now: Time) {
        let generation = self.generation(now.nanos() / GENERATION_NANOS + 1);
        if let Some(bucket) = generation.buckets.get(bucket_of(nanos / 1000)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The generation, cleared if it is another's. A count that races with the clearing may be lost.
    fn generation(&self, number: u64) -> &Generation {
        let [even, odd] = &self.generations;
        let generation = if number.is_multiple_of(2) { even } else { odd };
        let old = generation.number.load(Ordering::Acquire);
        let (order, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        if old < number && generation.number.compare_exchange(old, number, order, failed).is_ok() {
            generation.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        }
        generation
    }

    /// The quantile `of` (0 < of < 1) in nanoseconds; `None` with fewer samples than `min_samples`. It is
    /// computed ten times a second; callers who ask for different quantiles in turn compute it each time.
    pub fn quantile(&self, of: f64, min_samples: u32, now: Time) -> Option<u64> {
        let stamp = low(now.nanos() / FRESH_NANOS).wrapping_add(1);
        let cached = self.cached.load(Ordering::Relaxed);
        let fresh = high(cached) == stamp && self.of.load(Ordering::Relaxed) == of.to_bits();
        let micros = if fresh { low(cached) } else { self.compute(of, min_samples, now, stamp) };
        (micros > 0).then(|| u64::from(micros) * 1000)
    }

    #[cold]
    fn compute(&self, of: f64, min_samples: u32, now: Time, stamp: u32) -> u32 {
        let number = now.nanos() / GENERATION_NANOS + 1;
        let fresh = |generation: &&Generation| generation.number.load(Ordering::Acquire) + 1 >= number;
        let count = |at: usize| {
            let counts = self.generations.iter().filter(fresh).filter_map(|g| g.buckets.get(at));
            counts.map(|bucket| u64::from(bucket.load(Ordering::Relaxed))).sum::<u64>()
        };
        let samples: u64 = (0..BUCKETS).map(count).sum();
        let mut micros = 0;
        if samples >= u64::from(min_samples.max(1)) {
            let above = samples - whole(real(samples) * of).min(samples - 1);
            let mut seen = 0;
            let found = (0..BUCKETS).rev().find(|at| {
                seen += count(*at);
                seen >= above
            });
            micros = u32::try_from(upper_bound(found.unwrap_or(0))).unwrap_or(u32::MAX);
        }
        self.of.store(of.to_bits(), Ordering::Relaxed);
        self.cached.store(word(stamp, micros), Ordering::Relaxed);
        micros
    }
}

fn bucket_of(micros: u64) -> usize {
    let Some(power) = micros.checked_ilog2().map(u64::from) else { return 0 };
    let at = if power < 3 { micros } else { (power - 2) * STEPS + ((micros >> (power - 3)) - STEPS) };
    index(at).min(BUCKETS - 1)
}

/// The largest value of a bucket, in µs.
fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket.max(1);
    }
    let power = bucket / STEPS + 2;
    ((bucket % STEPS + STEPS + 1) << (power - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_an_eighth_wide() {
        let mut last = 0;
        for micros in (0..100_000).chain([1 << 30, 1 << 35, u64::MAX]) {
            let bucket = bucket_of(micros);
            assert!(bucket >= last && bucket < BUCKETS, "{micros}");
            last = bucket;
            if micros < 1 << 35 && micros > 0 {
                let bound = upper_bound(bucket);
                assert!(bound >= micros && bound <= micros + micros / 8 + 1, "{micros} {bound}");
            }
        }
    }

    #[test]
    fn follows_the_last_ten_to_twenty_seconds() {
        let latency = Latency::new();
        let at = Time::from_millis;
        for n in 0..100 {
            assert_eq!(latency.quantile(0.9, 10, at(n)), None, "cached for 100 ms");
            latency.record(millis(n + 1), at(n));
        }
        let quantile = latency.quantile(0.9, 10, at(200)).unwrap();
        assert!((millis(90)..millis(103)).contains(&quantile), "{quantile}");
        for _ in 0..2000 {
            latency.record(millis(500), at(12_000));
        }
        assert!(latency.quantile(0.9, 10, at(12_000)).unwrap() >= millis(500));
        // Both generations are over.
        assert_eq!(latency.quantile(0.9, 10, at(40_000)), None);
    }
}
