//! Which fields of a struct have been met.

/// A set of positions, without allocation for structs of at most 64 fields.
#[derive(Clone, Debug)]
pub(in crate::codec) struct Seen {
    first: u64,
    more: Vec<u64>,
    count: usize,
}

impl Seen {
    /// An empty set of positions below `fields`.
    #[inline]
    pub(in crate::codec) fn new(fields: usize) -> Seen {
        let more = if fields > 64 { vec![0; (fields - 64).div_ceil(64)] } else { Vec::new() };
        Seen { first: 0, more, count: 0 }
    }

    /// Adds a position; false if it was there before.
    #[inline]
    pub(in crate::codec) fn insert(&mut self, position: usize) -> bool {
        let word = match position.checked_sub(64) {
            None => &mut self.first,
            Some(behind) => match self.more.get_mut(behind / 64) {
                Some(word) => word,
                None => return false,
            },
        };
        let bit = 1 << (position % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += usize::from(new);
        new
    }

    /// Whether a position is in the set.
    #[inline]
    pub(in crate::codec) fn contains(&self, position: usize) -> bool {
        let word = match position.checked_sub(64) {
            None => Some(&self.first),
            Some(behind) => self.more.get(behind / 64),
        };
        word.is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    /// How many positions are in the set.
    #[inline]
    pub(in crate::codec) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_small_and_large_structs() {
        for fields in [1, 63, 64, 65, 128, 129, 1000] {
            let mut seen = Seen::new(fields);
            for position in (0..fields).rev() {
                assert!(!seen.contains(position));
                assert!(seen.insert(position), "{position} of {fields}");
                assert!(!seen.insert(position));
                assert!(seen.contains(position));
            }
            assert_eq!(seen.count(), fields);
        }
    }
}
