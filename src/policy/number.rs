//! Numbers from one type to another, and chance from bits.

/// The nearest whole number that is not above; what does not fit is the end of the range, NaN is 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is what is wanted")]
pub(in crate::policy) fn whole(value: f64) -> u64 {
    value as u64
}

/// A count as a double; above 2^53 to the nearest.
#[allow(clippy::cast_precision_loss, reason = "shares and rates need no more digits")]
pub(in crate::policy) fn real(count: u64) -> f64 {
    count as f64
}

/// The low 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "the low half is asked for")]
pub(in crate::policy) fn low(word: u64) -> u32 {
    word as u32
}

/// The high 32 bits.
pub(in crate::policy) fn high(word: u64) -> u32 {
    low(word >> 32)
}

/// Two halves as one word.
pub(in crate::policy) fn word(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// As an index; what does not fit is out of every range.
pub(in crate::policy) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A number below `bound` from 64 random bits, by multiplication; 0 if the bound is 0.
pub(in crate::policy) fn below(chance: u64, bound: u64) -> u64 {
    let product = u128::from(chance) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(0)
}

/// The next 64 bits after these, as good as random (SplitMix64).
pub(in crate::policy) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
