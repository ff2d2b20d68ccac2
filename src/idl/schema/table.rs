//! Names to positions, without allocation and without a worst case that an IDL's author can choose.

/// Longest run of slots that a lookup may have to look at.
const LONGEST_PROBE: usize = 8;

/// Most names that are not worth a table.
const FEW: usize = 4;

/// How often the table is doubled to keep runs short, before it gives up hashing.
const DOUBLINGS: usize = 4;

/// Positions in a list of names, which is kept by the owner and passed in for comparing.
#[derive(Clone, Debug)]
pub(crate) enum NameTable {
    /// So few that they are compared one by one.
    Few(usize),
    /// Open addressing with linear probing; `EMPTY` marks a free slot. The length is a power of two.
    Hashed(Box<[u32]>),
    /// Sorted by name. For names chosen to collide.
    Sorted(Box<[u32]>),
}

const EMPTY: u32 = u32::MAX;

impl NameTable {
    /// A table of all names; the first of equal ones is found.
    pub(crate) fn new<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> NameTable {
        if names.len() <= FEW {
            return NameTable::Few(names.len());
        }
        let names: Vec<&str> = names.collect();
        let smallest = (names.len() * 2).next_power_of_two();
        let sizes = (0..DOUBLINGS).map(|doubling| smallest << doubling);
        sizes.map(|size| hashed(&names, size)).find_map(|table| table).unwrap_or_else(|| sorted(&names))
    }

    /// The position of a name; `name_at` gives the name at a position.
    #[inline]
    pub(crate) fn find<'a>(&self, name: &str, name_at: impl Fn(usize) -> &'a str) -> Option<usize> {
        match self {
            NameTable::Few(count) => (0..*count).find(|at| name_at(*at) == name),
            NameTable::Hashed(slots) => {
                let start = hash(name);
                for step in 0..LONGEST_PROBE {
                    let position = slot(slots, start, step).filter(|position| *position != EMPTY)?;
                    let position = index(position);
                    if name_at(position) == name {
                        return Some(position);
                    }
                }
                None
            }
            NameTable::Sorted(order) => {
                let found = order.binary_search_by(|position| name_at(index(*position)).cmp(name)).ok()?;
                order.get(found).map(|position| index(*position))
            }
        }
    }
}

/// `None` if a run gets too long.
fn hashed(names: &[&str], size: usize) -> Option<NameTable> {
    let mut slots = vec![EMPTY; size.max(1)].into_boxed_slice();
    let mask = slots.len() - 1;
    for (position, name) in names.iter().enumerate() {
        let start = hash(name);
        for step in 0..=LONGEST_PROBE {
            if step == LONGEST_PROBE {
                return None;
            }
            let slot = slots.get_mut(start.wrapping_add(step) & mask)?;
            if *slot == EMPTY {
                *slot = crate::idl::source::offset(position);
                break;
            }
            if names.get(index(*slot)) == Some(name) {
                break;
            }
        }
    }
    Some(NameTable::Hashed(slots))
}

fn sorted(names: &[&str]) -> NameTable {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|position| names.get(*position));
    order.dedup_by_key(|position| names.get(*position));
    NameTable::Sorted(order.into_iter().map(crate::idl::source::offset).collect())
}

#[inline]
fn slot(slots: &[u32], start: usize, step: usize) -> Option<u32> {
    slots.get(start.wrapping_add(step) & (slots.len().wrapping_sub(1))).copied()
}

fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Eight bytes at a time, multiply and fold: names are short, so setting up costs more than mixing.
#[inline]
pub(crate) fn hash(name: &str) -> usize {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| {
        let product = (state ^ word).wrapping_mul(MULTIPLIER);
        product ^ (product >> 32)
    };
    let mut chunks = name.as_bytes().chunks_exact(8);
    let mut state = u64::try_from(name.len()).unwrap_or(0);
    for chunk in chunks.by_ref() {
        state = mix(state, chunk.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = chunks.remainder().iter().fold(0, |word: u64, byte| (word << 8) | u64::from(*byte));
    usize::try_from(mix(state, rest) & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0usize, 1, 2, 3, 10, 300, 5000] {
            let names: Vec<String> = (0..count).map(|i| format!("field_{i}")).collect();
            let table = NameTable::new(names.iter().map(String::as_str));
            for (position, name) in names.iter().enumerate() {
                assert_eq!(table.find(name, |at| &names[at]), Some(position));
            }
            for name in ["", "field", "field_", "field_5000", "Field_1"] {
                assert_eq!(table.find(name, |at| &names[at]), None, "{name} of {count}");
            }
        }
    }

    #[test]
    fn the_first_of_equal_names_wins() {
        let names = ["a", "b", "a"];
        let table = NameTable::new(names.into_iter());
        assert_eq!(table.find("a", |at| names[at]), Some(0));
    }

    #[test]
    fn names_chosen_to_collide_are_sorted_instead() {
        // The same low bits for every table size tried.
        let collides = |name: &String| hash(name) & 0xFFF == 0;
        let names: Vec<String> = (0..).map(|i| format!("n{i}")).filter(collides).take(20).collect();
        let table = NameTable::new(names.iter().map(String::as_str));
        assert!(matches!(table, NameTable::Sorted(_)));
        for (position, name) in names.iter().enumerate() {
            assert_eq!(table.find(name, |at| &names[at]), Some(position));
        }
        assert_eq!(table.find("x", |at| &names[at]), None);
        assert!(matches!(sorted(&["b", "a", "b"]), NameTable::Sorted(order) if *order == [1, 0]));
    }
}
