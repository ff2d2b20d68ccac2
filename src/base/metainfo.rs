//! Key-value pairs that travel beside a call (ttheader.md §2.3).

use bytes::Bytes;

use crate::base::last_wins;

/// How far a pair travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum MetainfoKind {
    /// From a caller to the next service only.
    Transient = 1,
    /// From a caller through every service below it.
    Persistent = 2,
    /// From a handler back to its caller.
    Backward = 3,
    /// A transient pair that has arrived: readable, never sent on.
    Upstream = 4,
}

impl MetainfoKind {
    /// The kind with this number.
    pub const fn from_number(number: i32) -> Option<MetainfoKind> {
        match number {
            1 => Some(MetainfoKind::Transient),
            2 => Some(MetainfoKind::Persistent),
            3 => Some(MetainfoKind::Backward),
            4 => Some(MetainfoKind::Upstream),
            _ => None,
        }
    }
}

/// A small ordered map; a key is unique within its kind. Keys and values are raw bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metainfo {
    entries: Vec<(MetainfoKind, Bytes, Bytes)>,
}

impl Metainfo {
    /// An empty map. Allocates nothing.
    pub const fn new() -> Metainfo {
        Metainfo { entries: Vec::new() }
    }

    /// Sets a pair; replaces the value of a key that is already there.
    pub fn set(&mut self, kind: MetainfoKind, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(k, name, _)| *k == kind && *name == key) {
            Some(entry) => entry.2 = value,
            None => self.entries.push((kind, key, value)),
        }
    }

    /// The value of a key.
    pub fn get(&self, kind: MetainfoKind, key: &[u8]) -> Option<&Bytes> {
        self.entries.iter().find(|(k, name, _)| *k == kind && name == key).map(|(_, _, value)| value)
    }

    /// All pairs, in the order they were set.
    pub fn iter(&self) -> impl Iterator<Item = (MetainfoKind, &Bytes, &Bytes)> {
        self.entries.iter().map(|(kind, key, value)| (*kind, key, value))
    }

    /// The pairs that go back to a caller.
    pub fn backward(&self) -> Vec<(Bytes, Bytes)> {
        let backward = self.entries.iter().filter(|(kind, ..)| *kind == MetainfoKind::Backward);
        backward.map(|(_, key, value)| (key.clone(), value.clone())).collect()
    }

    /// The pair at a position, 0 ≤ `index` < [`Metainfo::len`].
    pub fn at(&self, index: usize) -> Option<(MetainfoKind, &Bytes, &Bytes)> {
        self.entries.get(index).map(|(kind, key, value)| (*kind, key, value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Collects pairs; the last value of a key wins. For what a peer sent: unlike many calls of
/// [`Metainfo::set`] it is linear in time.
impl FromIterator<(MetainfoKind, Bytes, Bytes)> for Metainfo {
    fn from_iter<T: IntoIterator<Item = (MetainfoKind, Bytes, Bytes)>>(pairs: T) -> Metainfo {
        let pairs = pairs.into_iter().map(|(kind, key, value)| ((kind, key), value));
        Metainfo {
            entries: last_wins(pairs).into_iter().map(|((kind, key), value)| (kind, key, value)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_unique_within_its_kind() {
        let mut map = Metainfo::new();
        map.set(MetainfoKind::Transient, "k", "1");
        map.set(MetainfoKind::Persistent, "k", "2");
        map.set(MetainfoKind::Transient, "k", "3");
        assert_eq!(map.len(), 2);
        assert_eq!(map.get(MetainfoKind::Transient, b"k").unwrap(), "3");
        assert_eq!(map.get(MetainfoKind::Persistent, b"k").unwrap(), "2");
        assert_eq!(map.get(MetainfoKind::Backward, b"k"), None);
        let owned = |(kind, key, value): (MetainfoKind, &Bytes, &Bytes)| (kind, key.clone(), value.clone());
        assert_eq!(map.iter().chain(map.iter()).map(owned).collect::<Metainfo>(), map);
    }
}
