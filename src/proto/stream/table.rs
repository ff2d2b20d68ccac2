//! The streams of a connection: by key for the host, by id for the wire.

use std::collections::HashMap;

use super::id::{IdHash, StreamKey};
use super::state::Stream;

/// A stream is in the table until the host has given it back and its last frame has left; its id means
/// it only while frames for it may arrive.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: HashMap<i32, StreamKey, IdHash>,
    used: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    stream: Option<Box<Stream>>,
}

impl Table {
    pub(super) fn new(seed: u64) -> Table {
        Table { slots: Vec::new(), free: Vec::new(), ids: HashMap::with_hasher(IdHash { seed }), used: 0 }
    }

    /// Adds a stream under its id.
    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        let stream = Some(Box::new(stream));
        let key = match self.free.pop() {
            Some(slot) => self.reuse(slot, stream),
            None => {
                let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(Slot { generation: 0, stream });
                StreamKey { slot, generation: 0 }
            }
        };
        self.ids.insert(id, key);
        self.used += 1;
        key
    }

    fn reuse(&mut self, slot: u32, stream: Option<Box<Stream>>) -> StreamKey {
        let mut generation = 0;
        if let Some(entry) = self.slots.get_mut(index(slot)) {
            entry.generation = entry.generation.wrapping_add(1);
            entry.stream = stream;
            generation = entry.generation;
        }
        StreamKey { slot, generation }
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        let slot = self.slots.get(index(key.slot)).filter(|slot| slot.generation == key.generation)?;
        slot.stream.as_deref()
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(index(key.slot)).filter(|slot| slot.generation == key.generation)?;
        slot.stream.as_deref_mut()
    }

    pub(super) fn by_id(&self, id: i32) -> Option<StreamKey> {
        self.ids.get(&id).copied()
    }

    /// The id means nothing from now on. Whether it was the stream's.
    pub(super) fn unlink(&mut self, key: StreamKey) -> bool {
        let Some(id) = self.get(key).map(|stream| stream.id) else { return false };
        self.by_id(id) == Some(key) && self.ids.remove(&id).is_some()
    }

    /// Forgets the stream.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Box<Stream>> {
        self.unlink(key);
        let slot = self.slots.get_mut(index(key.slot)).filter(|slot| slot.generation == key.generation)?;
        let stream = slot.stream.take()?;
        self.free.push(key.slot);
        self.used -= 1;
        if self.used == 0 {
            // A burst of streams must not be remembered for ever. Keys stay unique: the generation of
            // a slot goes on.
            self.ids.shrink_to(64);
        }
        Some(stream)
    }

    /// All streams.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamKey, &Stream)> {
        self.slots.iter().zip(0u32..).filter_map(|(entry, slot)| {
            let key = StreamKey { slot, generation: entry.generation };
            entry.stream.as_deref().map(|stream| (key, stream))
        })
    }

    /// How many streams frames may arrive for.
    pub(super) fn live(&self) -> usize {
        self.ids.len()
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> usize {
        self.used
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
