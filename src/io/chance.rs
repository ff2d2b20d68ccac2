//! Chance, for what must not happen everywhere at once. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// 64 random bits.
pub fn draw() -> u64 {
    RandomState::new().hash_one(0)
}
