//! Key-value pairs from a peer, made unique.

use std::collections::HashMap;
use std::hash::Hash;

/// Up to this many keys, comparing them all is cheaper than hashing.
const LINEAR: usize = 16;

/// Keeps one pair per key, in order of first appearance, with the value that came last. Linear in
/// time, so that a header full of tiny pairs cannot buy quadratic work.
pub(crate) fn last_wins<K: Eq + Hash + Clone, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut unique: Vec<(K, V)> = Vec::new();
    let mut index: Option<HashMap<K, usize>> = None;
    for (key, value) in pairs {
        if unique.len() > LINEAR && index.is_none() {
            index = Some(unique.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect());
        }
        let at = match &index {
            None => unique.iter().position(|(known, _)| *known == key),
            Some(index) => index.get(&key).copied(),
        };
        match at.and_then(|at| unique.get_mut(at)) {
            Some(pair) => pair.1 = value,
            None => {
                if let Some(index) = &mut index {
                    index.insert(key.clone(), unique.len());
                }
                unique.push((key, value));
            }
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_of_the_first_and_value_of_the_last() {
        for n in [0, 1, 5, LINEAR, LINEAR + 1, LINEAR + 2, 1000] {
            let pairs = (0..n).map(|key| (key, 0)).chain((0..n).rev().map(|key| (key, key + 1)));
            assert_eq!(last_wins(pairs), (0..n).map(|key| (key, key + 1)).collect::<Vec<_>>());
        }
    }
}
