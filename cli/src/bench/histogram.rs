//! Latencies, counted in buckets whose width is below 1 % of their value.

use std::time::Duration;

/// Buckets for each doubling of the value.
const FINENESS: u32 = 7;
const STEPS: u64 = 1 << FINENESS;
/// Nanoseconds below 2^41 are told apart: 36 minutes.
const DOUBLINGS: u32 = 41;

#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        let buckets = usize::try_from(STEPS * u64::from(DOUBLINGS - FINENESS + 1)).unwrap_or(0);
        Histogram { counts: vec![0; buckets], count: 0, sum: 0, max: 0 }
    }

    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, more)| *mine += more);
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The latency that this share of all calls did not exceed, rounded up by less than 1 %.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_end(at).min(self.max));
            }
        }
        self.max()
    }
}

/// Linear up to `STEPS`, then `STEPS` buckets for each doubling.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << DOUBLINGS) - 1);
    let shift = (63 - (nanos | 1).leading_zeros()).saturating_sub(FINENESS);
    let bucket = u64::from(shift) * STEPS + (nanos >> shift);
    usize::try_from(bucket).unwrap_or(0)
}

/// The largest value that falls into a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_values_within_a_percent() {
        let mut value = 0u64;
        let mut last = 0;
        while value < 1 << 42 {
            let at = bucket(value);
            assert!(at >= last && at < Histogram::new().counts.len(), "{value}");
            last = at;
            if value < (1 << 41) {
                let end = upper_end(at);
                assert!(end >= value && (end - value) as f64 <= value as f64 / 100.0, "{value} {end}");
                assert_eq!(bucket(end), at, "{value}");
            }
            value += 1 + value / 97;
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut whole = Histogram::new();
        for half in 0..2 {
            let mut part = Histogram::new();
            (1..=500).for_each(|i| part.record(Duration::from_micros(2 * i - half)));
            whole.add(&part);
        }
        assert_eq!((whole.count(), whole.max()), (1000, Duration::from_micros(1000)));
        assert_eq!(whole.mean(), Duration::from_nanos(500_500));
        for (share, micros) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = whole.quantile(share).as_secs_f64() * 1e6;
            assert!((micros..=micros * 1.01).contains(&found), "{share}: {found}");
        }
        assert_eq!(Histogram::new().quantile(0.5), Duration::ZERO);
    }
}
