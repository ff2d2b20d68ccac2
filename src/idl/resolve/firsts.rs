//! The first use of each name or number, to find the second.

use std::collections::HashMap;
use std::hash::Hash;

/// Keys and where each was used first. Most lists are short: a few keys are compared one by one, without
/// an allocation; all further ones are hashed.
pub(super) struct Firsts<K, V> {
    few: [Option<(K, V)>; FEW],
    /// Keys that are not in `few`.
    many: HashMap<K, V>,
}

const FEW: usize = 8;

impl<K: Copy + Eq + Hash, V: Copy> Firsts<K, V> {
    pub(super) fn new() -> Firsts<K, V> {
        Firsts { few: [None; FEW], many: HashMap::new() }
    }

    /// Keeps the value of a key that is new; gives the first value of one that is not.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        for place in &mut self.few {
            match place {
                Some((known, first)) if *known == key => return Some(*first),
                Some(_) => {}
                None => {
                    *place = Some((key, value));
                    return None;
                }
            }
        }
        if let Some(first) = self.many.get(&key) {
            return Some(*first);
        }
        self.many.insert(key, value);
        None
    }

    /// The first value of a key.
    pub(super) fn get(&self, key: K) -> Option<V> {
        let few = self.few.iter().flatten().find(|(known, _)| *known == key);
        few.map(|(_, first)| *first).or_else(|| self.many.get(&key).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_key_stays() {
        let mut firsts = Firsts::new();
        for key in 0..100 {
            assert_eq!(firsts.insert(key, key * 2), None);
        }
        for key in 0..100 {
            assert_eq!(firsts.insert(key, 0), Some(key * 2));
        }
    }
}
