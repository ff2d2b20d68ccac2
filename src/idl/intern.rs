//! Names and texts that come again and again in an IDL, kept once.

use std::sync::Arc;

use crate::idl::schema::hash;

/// The texts met last. What is met again soon costs no copy; a text that was pushed out is copied anew, so
/// no choice of names makes this slower than having none.
pub(crate) struct Interner {
    /// By hash. The length is a power of two.
    recent: Box<[Option<Arc<str>>]>,
}

const LARGEST: usize = 4096;

impl Interner {
    /// For a file with so many bytes.
    pub(crate) fn new(bytes: usize) -> Interner {
        let slots = (bytes / 64).min(LARGEST).next_power_of_two();
        Interner { recent: vec![None; slots].into() }
    }

    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        let at = hash(text) & (self.recent.len() - 1);
        match self.recent.get_mut(at) {
            Some(Some(known)) if **known == *text => known.clone(),
            Some(slot) => slot.insert(text.into()).clone(),
            None => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_all_texts_stay_themselves() {
        for bytes in [0, 100, 1_000_000] {
            let mut interner = Interner::new(bytes);
            let first = interner.text("name");
            assert!(Arc::ptr_eq(&first, &interner.text("name")));
            for number in 0..10_000 {
                let text = format!("name{number}");
                assert_eq!(*interner.text(&text), text);
            }
            assert_eq!(*first, *interner.text("name"));
        }
    }
}
