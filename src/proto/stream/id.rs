//! Names of streams: the number on the wire, and the key by which the host says which one it means.

use std::hash::{BuildHasher, Hasher};

/// A stream of one connection, for the host. Never means another stream than the one it was made for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl StreamKey {
    /// A small number that no other key has whose stream is still kept: a place in the driver's table.
    pub fn index(self) -> usize {
        self.slot as usize
    }
}

/// Hands out stream ids: ascending, wrapping to the negative ones, never 0 (ttstream.md §2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    next: i32,
}

impl Ids {
    pub(super) fn starting_at(first: i32) -> Ids {
        Ids { next: first }
    }

    /// The next id that `taken` does not refuse.
    pub(super) fn next(&mut self, taken: impl Fn(i32) -> bool) -> i32 {
        loop {
            let id = self.next;
            self.next = id.wrapping_add(1);
            if id != 0 && !taken(id) {
                return id;
            }
        }
    }
}

/// Hashes ids with a seed that peers don't know: they choose the ids, and must not choose collisions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHash {
    pub(super) seed: u64,
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.seed ^ 0x9E37_79B9_7F4A_7C15)
    }
}

#[derive(Debug)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, n: u32) {
        // A folded 128-bit product: both halves depend on every bit of seed and id.
        let product = u128::from(self.0 ^ u64::from(n)) * 0xA076_1D64_78BD_642F;
        self.0 = fold(product);
    }

    fn write_i32(&mut self, n: i32) {
        self.write_u32(u32::from_ne_bytes(n.to_ne_bytes()));
    }
}

fn fold(product: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, rest @ ..] = product.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_le_bytes(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_start_at_one_wrap_to_the_negative_and_skip_zero_and_live_ones() {
        let mut ids = Ids::starting_at(1);
        assert_eq!([ids.next(|_| false), ids.next(|_| false)], [1, 2]);
        let mut ids = Ids::starting_at(i32::MAX);
        assert_eq!([ids.next(|_| false), ids.next(|_| false)], [i32::MAX, i32::MIN]);
        let mut ids = Ids::starting_at(-1);
        assert_eq!([ids.next(|_| false), ids.next(|id| id == 1)], [-1, 2]);
    }

    #[test]
    fn hashes_of_regular_ids_differ_in_the_bits_a_table_uses() {
        for shift in [0, 8, 16, 20] {
            let mut seen = std::collections::HashSet::new();
            for n in 0..1000u32 {
                seen.insert(IdHash { seed: 7 }.hash_one((n << shift) as i32) & 0xffff);
            }
            assert!(seen.len() > 900, "{shift}: {}", seen.len());
        }
    }
}
