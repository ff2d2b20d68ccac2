//! Values by name, found without a lock: methods, breaker keys.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::base::lock::Mutex;
use crate::policy::number;

type Map<V> = FxHashMap<Arc<str>, Arc<V>>;

/// Adding copies one shard's map, so that readers never wait; with so many shards it stays cheap.
const SHARDS: usize = 16;

/// A bounded map. Finding is lock-free; adding and removing lock a shard.
pub(in crate::policy) struct Keyed<V> {
    shards: [Shard<V>; SHARDS],
    len: AtomicUsize,
    limit: usize,
}

struct Shard<V> {
    map: ArcSwap<Map<V>>,
    writing: Mutex<()>,
}

impl<V> Keyed<V> {
    /// Empty; holds about `limit` values at most.
    pub(in crate::policy) fn new(limit: usize) -> Keyed<V> {
        let shard = || Shard { map: ArcSwap::from_pointee(Map::default()), writing: Mutex::new(()) };
        Keyed { shards: std::array::from_fn(|_| shard()), len: AtomicUsize::new(0), limit }
    }

    fn shard(&self, key: &str) -> &Shard<V> {
        // The map takes the upper bits of the hash, so the shard takes others.
        let hash = FxBuildHasher.hash_one(key);
        let [first, ..] = &self.shards;
        self.shards.get(number::index(hash >> 20) % SHARDS).unwrap_or(first)
    }

    /// The value of a key.
    pub(in crate::policy) fn get(&self, key: &str) -> Option<Arc<V>> {
        self.shard(key).map.load().get(key).cloned()
    }

    /// The value of a key, made if there is none; `None` if the map is full.
    pub(in crate::policy) fn get_or_add(&self, key: &str, make: impl FnOnce() -> V) -> Option<Arc<V>> {
        if let Some(found) = self.get(key) {
            return Some(found);
        }
        let shard = self.shard(key);
        let _writing = shard.writing.lock();
        let old = shard.map.load_full();
        if let Some(found) = old.get(key) {
            return Some(Arc::clone(found));
        }
        if self.len.load(Ordering::Relaxed) >= self.limit {
            return None;
        }
        let value = Arc::new(make());
        let mut map = Map::clone(&old);
        map.insert(Arc::from(key), Arc::clone(&value));
        shard.map.store(Arc::new(map));
        self.len.fetch_add(1, Ordering::Relaxed);
        Some(value)
    }

    /// Keeps what the test says; whoever holds a value keeps it.
    pub(in crate::policy) fn retain(&self, keep: impl Fn(&str, &V) -> bool) {
        for shard in &self.shards {
            let _writing = shard.writing.lock();
            let old = shard.map.load_full();
            let map: Map<V> = old
                .iter()
                .filter(|(key, value)| keep(key, value))
                .map(|(key, value)| (Arc::clone(key), Arc::clone(value)))
                .collect();
            self.len.fetch_sub(old.len() - map.len(), Ordering::Relaxed);
            shard.map.store(Arc::new(map));
        }
    }

    /// Number of values.
    pub(in crate::policy) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_as_many_as_it_may() {
        let map = Keyed::new(100);
        for at in 0..100 {
            assert!(map.get_or_add(&format!("key{at}"), || at).is_some());
        }
        assert_eq!(map.get_or_add("one more", || 7), None);
        assert_eq!(map.get_or_add("key42", || 7).as_deref(), Some(&42));
        assert_eq!(map.get("key43").as_deref(), Some(&43));
        assert_eq!(map.get("nothing"), None);
        map.retain(|_, value| *value < 10);
        assert_eq!(map.len(), 10);
        assert_eq!(map.get("key43"), None);
        assert!(map.get_or_add("one more", || 7).is_some());
    }
}
