//! Chance: for what must not happen everywhere at once, and for numbers that peers can't guess. Not for keys.

use std::hash::{BuildHasher, RandomState};

/// 64 random bits.
pub fn draw() -> u64 {
    RandomState::new().hash_one(0)
}
