//! Consistent hashing (governance.md §5.2): the same key goes to the same instance, in every process and
//! language. The hash has a fixed seed, where the reference draws one per process.

use std::sync::Arc;

use crate::policy::balance::Node;
use crate::policy::number::index;

/// Points of a ring at most; above that, each instance has fewer, in proportion.
const MAX_POINTS: u64 = 1 << 20;

/// How the ring is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consistent {
    /// Points of an instance, or of each unit of its weight.
    pub virtual_factor: u32,
    /// Whether weights count.
    pub weighted: bool,
}

impl Default for Consistent {
    /// 100, weighted.
    fn default() -> Consistent {
        Consistent { virtual_factor: 100, weighted: true }
    }
}

impl Consistent {
    /// A factor of 0 leaves no points.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.virtual_factor == 0 { Err("virtual factor must > 0") } else { Ok(()) }
    }
}

/// The hash of keys and points: FNV-1a of 64 bits over the bytes, then the finalizer of MurmurHash3
/// (`h ^= h >> 33; h *= 0xff51afd7ed558ccd; h ^= h >> 33; h *= 0xc4ceb9fe1a85ec53; h ^= h >> 33`).
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325, fnv);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

/// Points `hash("address#n")`, n = 0, 1, … in decimal; a key belongs to the next point above its own hash.
pub(super) struct Ring {
    hashes: Vec<u64>,
    owners: Vec<u32>,
    nodes: usize,
    /// By the upper bits of a hash: where its points begin. About as many entries as points, so that few are
    /// left to search.
    starts: Vec<u32>,
    shift: u32,
}

impl Ring {
    pub(super) fn new(nodes: &[Arc<Node>], how: Consistent) -> Ring {
        let units = |node: &Node| if how.weighted { u64::from(node.weight()) } else { 1 };
        let total: u64 = nodes.iter().map(|node| units(node)).sum();
        let factor = u64::from(how.virtual_factor.max(1)).min(MAX_POINTS / total.max(1)).max(1);
        // A total above the bound has one point for several units.
        let divisor = total.div_ceil(MAX_POINTS).max(1);
        let mut points = Vec::new();
        for (owner, node) in (0u32..).zip(nodes) {
            for point in 0..(units(node) * factor).div_ceil(divisor) {
                points.push((hash(format!("{}#{point}", node.address()).as_bytes()), node.address(), owner));
            }
        }
        // The order of the list must not matter, even where two points are equal.
        points.sort_unstable();
        let hashes: Vec<u64> = points.iter().map(|(hash, ..)| *hash).collect();
        let owners = points.iter().map(|(.., owner)| *owner).collect();
        let bits = hashes.len().max(2).next_power_of_two().ilog2();
        let shift = 64 - bits;
        let start = |bucket: u64| hashes.partition_point(|point| point >> shift < bucket);
        let starts = (0..=1u64 << bits).map(|bucket| u32::try_from(start(bucket)).unwrap_or(u32::MAX));
        Ring { starts: starts.collect(), shift, owners, nodes: nodes.len(), hashes }
    }

    fn first(&self, key: &[u8]) -> usize {
        let hash = hash(key);
        let bucket = index(hash >> self.shift);
        let start = |bucket: usize| self.starts.get(bucket).map_or(0, |start| *start as usize);
        let (from, to) = (start(bucket), start(bucket + 1));
        let within = self.hashes.get(from..to).unwrap_or_default();
        let at = from + within.partition_point(|point| *point <= hash);
        if at == self.hashes.len() { 0 } else { at }
    }

    /// The owner of a key; with a turn, another owner further on.
    pub(super) fn at(&self, key: &[u8], turn: u64) -> usize {
        if turn == 0 {
            return self.owners.get(self.first(key)).map_or(usize::MAX, |owner| *owner as usize);
        }
        self.walk(key).nth(index(turn)).unwrap_or(usize::MAX)
    }

    /// Owners in the order of the ring from the key on, each once.
    pub(super) fn walk(&self, key: &[u8]) -> impl Iterator<Item = usize> {
        let (front, back) = self.owners.split_at(self.first(key).min(self.owners.len()));
        let mut seen = vec![false; self.nodes];
        back.iter()
            .chain(front)
            .map(|owner| *owner as usize)
            .filter(move |owner| seen.get_mut(*owner).is_some_and(|seen| !std::mem::replace(seen, true)))
    }
}
