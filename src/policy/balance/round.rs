//! Rules by weight alone: tables made once for a list, read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::number::{below, index, mix, real, whole};

/// Longest sequence of smooth weighted round robin; above that, weights are scaled down to it.
const MAX_SEQUENCE: u64 = 1 << 16;

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Weights by their greatest common divisor, none below 1.
fn reduced(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, u64::from(*weight))).max(1);
    weights.iter().map(|weight| u64::from(*weight) / divisor).collect()
}

/// Smooth weighted round robin: the whole sequence, computed once. Equal weights are plain round robin.
pub(super) struct Round {
    /// Empty for equal weights.
    sequence: Vec<u32>,
    period: u64,
    next: AtomicU64,
    offset: u64,
    nodes: u64,
}

impl Round {
    pub(super) fn new(weights: &[u32], chance: u64) -> Round {
        let nodes = weights.len() as u64;
        let mut weights = reduced(weights);
        let total: u64 = weights.iter().sum();
        if total > MAX_SEQUENCE {
            let scale = real(MAX_SEQUENCE) / real(total);
            weights.iter_mut().for_each(|weight| *weight = whole(real(*weight) * scale).max(1));
        }
        let offset = below(chance, nodes);
        let equal = weights.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
        if equal {
            return Round { sequence: Vec::new(), period: nodes, next: AtomicU64::new(0), offset, nodes };
        }
        weights.rotate_left(index(offset));
        let sequence = smooth(&weights);
        let period = sequence.len() as u64;
        Round { sequence, period, next: AtomicU64::new(0), offset, nodes }
    }

    #[inline]
    pub(super) fn next(&self) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.period.max(1);
        let turn = if self.sequence.is_empty() {
            turn
        } else {
            self.sequence.get(index(turn)).copied().unwrap_or(0).into()
        };
        index((turn + self.offset) % self.nodes.max(1))
    }
}

/// Each turn every node gains its weight; the richest is picked and pays the sum of all.
fn smooth(weights: &[u64]) -> Vec<u32> {
    let total: i64 = weights.iter().map(|weight| i64::try_from(*weight).unwrap_or(0)).sum();
    let mut current = vec![0i64; weights.len()];
    let mut sequence = Vec::new();
    for _ in 0..total {
        let mut best = 0;
        let mut most = i64::MIN;
        for ((at, current), weight) in (0..).zip(&mut current).zip(weights) {
            *current += i64::try_from(*weight).unwrap_or(0);
            if *current > most {
                (best, most) = (at, *current);
            }
        }
        if let Some(current) = current.get_mut(index(u64::from(best))) {
            *current -= total;
        }
        sequence.push(best);
    }
    sequence
}

/// Interleaved weighted round robin: in round r come all nodes of at least weight r, heaviest first. A turn
/// is found by its number alone, so there is no state but a counter.
pub(super) struct Interleaved {
    /// Nodes by falling weight.
    order: Vec<u32>,
    /// First turn of a run of rounds with the same nodes; how many nodes.
    runs: Vec<(u64, u64)>,
    period: u64,
    next: AtomicU64,
}

impl Interleaved {
    pub(super) fn new(weights: &[u32], chance: u64) -> Interleaved {
        let weights = reduced(weights);
        let mut order: Vec<(u64, u32)> = weights.iter().copied().zip(0..).collect();
        let offset = index(below(chance, weights.len() as u64));
        order.rotate_left(offset);
        order.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let mut runs = Vec::new();
        let (mut turn, mut round) = (0, 0);
        // From the lightest on: with each weight that is used up, fewer nodes are left.
        for (at, (weight, _)) in order.iter().enumerate().rev() {
            let nodes = at as u64 + 1;
            if *weight > round {
                runs.push((turn, nodes));
                turn += (weight - round) * nodes;
                round = *weight;
            }
        }
        let order = order.into_iter().map(|(_, node)| node).collect();
        Interleaved { order, runs, period: turn, next: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn next(&self) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.period.max(1);
        let run = self.runs.partition_point(|(first, _)| *first <= turn);
        let Some((first, nodes)) = run.checked_sub(1).and_then(|run| self.runs.get(run)) else { return 0 };
        let at = (turn - first) % nodes;
        self.order.get(index(at)).map_or(0, |node| *node as usize)
    }
}

/// By chance and weight: a search in sums.
pub(super) struct Cumulative {
    /// Empty for equal weights.
    sums: Vec<u64>,
    nodes: u64,
}

impl Cumulative {
    pub(super) fn new(weights: &[u32]) -> Cumulative {
        let nodes = weights.len() as u64;
        if weights.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
            return Cumulative { sums: Vec::new(), nodes };
        }
        let mut sum = 0;
        let sums = weights.iter().map(|weight| {
            sum += u64::from(*weight);
            sum
        });
        Cumulative { sums: sums.collect(), nodes }
    }

    #[inline]
    pub(super) fn at(&self, chance: u64) -> usize {
        match self.sums.last() {
            None => index(below(chance, self.nodes)),
            Some(total) => {
                let at = below(chance, *total);
                self.sums.partition_point(|sum| *sum <= at)
            }
        }
    }
}

/// By chance and weight: Vose's alias table.
pub(super) struct Alias {
    /// The probability to stay, of 2^53, and who comes otherwise.
    table: Vec<(u64, u32)>,
}

const ONE: u64 = 1 << 53;

impl Alias {
    pub(super) fn new(weights: &[u32]) -> Alias {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let scale = real(weights.len() as u64) / real(total.max(1));
        let mut left: Vec<f64> = weights.iter().map(|weight| f64::from(*weight) * scale).collect();
        let mut table: Vec<(u64, u32)> = (0..).zip(weights).map(|(at, _)| (ONE, at)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        for (at, part) in (0..).zip(&left) {
            if *part < 1.0 { small.push(at) } else { large.push(at) }
        }
        while let (Some(less), Some(more)) = (small.pop(), large.last().copied()) {
            let part = left.get(less as usize).copied().unwrap_or(1.0);
            if let Some(entry) = table.get_mut(less as usize) {
                *entry = (whole(part * real(ONE)), more);
            }
            if let Some(rest) = left.get_mut(more as usize) {
                *rest -= 1.0 - part;
                if *rest < 1.0 {
                    large.pop();
                    small.push(more);
                }
            }
        }
        Alias { table }
    }

    #[inline]
    pub(super) fn at(&self, chance: u64) -> usize {
        let at = index(below(chance, self.table.len() as u64));
        match self.table.get(at) {
            Some((stay, other)) if mix(chance) >> 11 >= *stay => *other as usize,
            _ => at,
        }
    }
}
