//! Read buffers that idle connections leave to others of their thread: there may be thousands of them, and only
//! a few have something to read at once.

use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers kept for each thread.
const MAX_KEPT: usize = 64;

/// Smaller ones are not worth it, larger ones are given back to the system.
const SIZES: std::ops::RangeInclusive<usize> = 4 << 10..=64 << 10;

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for `bytes` more, in a buffer that another connection has left if this one has none.
pub(super) fn borrow(buffer: &mut BytesMut, bytes: usize) {
    if buffer.capacity() == 0 && bytes <= *SIZES.end() {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        *buffer = kept.unwrap_or_default();
    }
    buffer.reserve(bytes);
}

/// Leaves an empty buffer to others, unless somebody still holds what was read into it.
pub(super) fn give_back(buffer: &mut BytesMut) {
    if !buffer.is_empty() || buffer.capacity() == 0 {
        return;
    }
    if buffer.capacity() > *SIZES.end() {
        *buffer = BytesMut::new();
    } else if buffer.try_reclaim(*SIZES.start()) {
        let buffer = std::mem::take(buffer);
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT && SIZES.contains(&buffer.capacity()) {
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_from_one_connection_to_the_next_once_nobody_reads_it() {
        let (mut first, mut second) = (BytesMut::new(), BytesMut::new());
        borrow(&mut first, 4096);
        let place = first.as_ptr();
        first.extend_from_slice(b"request");
        give_back(&mut first);
        assert_eq!(first, &b"request"[..], "it is not empty");
        let request = first.split().freeze();
        give_back(&mut first);
        borrow(&mut second, 4096);
        assert_ne!(second.as_ptr(), place, "somebody holds the request");
        drop(request);
        give_back(&mut first);
        assert_eq!(first.capacity(), 0);
        borrow(&mut first, 100);
        assert_eq!(first.as_ptr(), place);
    }

    #[test]
    fn large_ones_are_not_kept_and_there_are_not_many() {
        let mut large = BytesMut::with_capacity(65 << 10);
        give_back(&mut large);
        assert_eq!(large.capacity(), 0);
        for _ in 0..MAX_KEPT + 10 {
            give_back(&mut BytesMut::with_capacity(4096));
        }
        assert_eq!(KEPT.with(|kept| kept.borrow().len()), MAX_KEPT);
    }
}
