//! Whom to ask to end, found by tag: a hash table threaded through a slab.
//!
//! All memory is reserved with the queue, and adding, removing and finding one take constant time, because
//! every operation with a slot passes through here while the queue is locked.

use std::sync::Weak;

use crate::op::operation::Cancel;

/// One entry's place.
#[derive(Clone, Copy, Debug)]
pub struct Key(Link);

/// The number of an entry, from 1; 0 is none.
type Link = u32;
const NONE: Link = 0;

pub struct Watches {
    entries: Vec<Entry>,
    /// First entry of each bucket; their number is a power of two.
    buckets: Vec<Link>,
    /// First entry of those that are free, chained by `next`.
    free: Link,
}

struct Entry {
    tag: u64,
    /// `None` while free.
    cancel: Option<Weak<dyn Cancel>>,
    next: Link,
    previous: Link,
}

impl Watches {
    pub fn with_capacity(capacity: u32) -> Watches {
        Watches {
            entries: Vec::with_capacity(capacity as usize),
            // At least two, so that `bucket` shifts by less than 64.
            buckets: vec![NONE; capacity.next_power_of_two().max(2) as usize],
            free: NONE,
        }
    }

    /// Adds an entry; many may have the same tag.
    pub fn add(&mut self, tag: u64, cancel: Weak<dyn Cancel>) -> Key {
        let bucket = self.bucket(tag);
        let next = self.buckets[bucket];
        let link = self.place(Entry { tag, cancel: Some(cancel), next, previous: NONE });
        if next != NONE {
            self.entry(next).previous = link;
        }
        self.buckets[bucket] = link;
        Key(link)
    }

    /// Takes an entry out; what it held is for the caller to drop.
    pub fn remove(&mut self, key: Key) -> Option<Weak<dyn Cancel>> {
        let free = self.free;
        let entry = self.entry(key.0);
        let (tag, next, previous) = (entry.tag, entry.next, entry.previous);
        let cancel = entry.cancel.take();
        entry.next = free;
        self.free = key.0;
        if next != NONE {
            self.entry(next).previous = previous;
        }
        if previous != NONE {
            self.entry(previous).next = next;
        } else {
            let bucket = self.bucket(tag);
            self.buckets[bucket] = next;
        }
        cancel
    }

    /// Everything with this tag.
    pub fn with_tag(&self, tag: u64) -> Vec<Weak<dyn Cancel>> {
        let mut found = Vec::new();
        let mut link = self.buckets[self.bucket(tag)];
        while link != NONE {
            let entry = &self.entries[link as usize - 1];
            if entry.tag == tag {
                found.extend(entry.cancel.clone());
            }
            link = entry.next;
        }
        found
    }

    /// Everything.
    pub fn all(&self) -> Vec<Weak<dyn Cancel>> {
        self.entries.iter().filter_map(|entry| entry.cancel.clone()).collect()
    }

    /// Memory for entries, counted in entries.
    #[cfg(all(test, not(krpc_loom)))]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    fn place(&mut self, entry: Entry) -> Link {
        let link = self.free;
        if link == NONE {
            self.entries.push(entry);
            return self.entries.len() as Link;
        }
        let place = self.entry(link);
        let next_free = place.next;
        *place = entry;
        self.free = next_free;
        link
    }

    fn entry(&mut self, link: Link) -> &mut Entry {
        &mut self.entries[link as usize - 1]
    }

    /// Fibonacci hashing: tags are counters or addresses, whose low bits alone say little.
    fn bucket(&self, tag: u64) -> usize {
        let shift = u64::BITS - self.buckets.len().trailing_zeros();
        (tag.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
    }
}
