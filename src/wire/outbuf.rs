//! Bytes waiting for the socket: small writes are copied together, big ones linked (codec.md §5).

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::base::Message;

/// A queue of bytes to write. Holds linked [`Bytes`] and a tail into which small writes are copied,
/// so that one vectored write can send many messages.
#[derive(Debug, Default)]
pub struct OutBuf {
    linked: VecDeque<Bytes>,
    linked_len: usize,
    tail: BytesMut,
    /// Largest capacity the tail has had since it was last given back.
    tail_peak: usize,
}

impl OutBuf {
    /// From this size on, bytes are linked instead of copied.
    pub const NOCOPY_BYTES: usize = 4096;

    /// An emptied tail that has grown beyond this gives its memory back. It grows by doubling, so what a busy
    /// connection of many small answers needs, some 60 KiB, must fit twice.
    const KEEP_BYTES: usize = 128 << 10;

    /// An empty buffer. Allocates nothing.
    pub fn new() -> OutBuf {
        OutBuf::default()
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.linked_len + self.tail.len()
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.linked.is_empty() && self.tail.is_empty()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.linked.clear();
        self.linked_len = 0;
        self.empty_tail();
    }

    /// Where small writes go, after everything queued so far. Append only; what was in it before
    /// may be partly written already.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends a copy.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends; copies below [`OutBuf::NOCOPY_BYTES`], links from there on.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < OutBuf::NOCOPY_BYTES { self.put_slice(&bytes) } else { self.link(bytes) }
    }

    /// Appends a message's segments, as [`OutBuf::put_bytes`] does each.
    pub fn put_message(&mut self, message: &Message) {
        for segment in message.pieces() {
            // No clone for what is copied anyway: it would cost two atomic operations.
            if segment.len() < OutBuf::NOCOPY_BYTES {
                self.put_slice(segment);
            } else {
                self.link(segment.clone());
            }
        }
    }

    /// Takes everything out, as a socket that never blocks would.
    pub fn move_to(&mut self, into: &mut BytesMut) {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = self.io_slices(&mut slices);
            let before = into.len();
            slices.iter().take(count).for_each(|slice| into.extend_from_slice(slice));
            self.advance(into.len() - before);
        }
    }

    /// Points `slices` at the bytes to write next, in order; returns how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let chunks = self.linked.iter().map(|bytes| &bytes[..]).chain(tail);
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `n` bytes: they have been written.
    pub fn advance(&mut self, mut n: usize) {
        while n > 0
            && let Some(front) = self.linked.front_mut()
        {
            let step = n.min(front.len());
            front.advance(step);
            if front.is_empty() {
                self.linked.pop_front();
            }
            self.linked_len -= step;
            n -= step;
        }
        self.note_peak();
        if n < self.tail.len() {
            self.tail.advance(n);
        } else {
            self.empty_tail();
        }
    }

    fn link(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            self.note_peak();
            let small = self.tail.split().freeze();
            self.linked_len += small.len();
            self.linked.push_back(small);
        }
        self.linked_len += bytes.len();
        self.linked.push_back(bytes);
    }

    fn note_peak(&mut self) {
        self.tail_peak = self.tail_peak.max(self.tail.capacity());
    }

    /// Empties the tail. Its capacity is reused by the next write, unless one big burst made it
    /// grow: then an idle connection must not hold on to it.
    fn empty_tail(&mut self) {
        self.note_peak();
        if self.tail_peak > OutBuf::KEEP_BYTES {
            self.tail = BytesMut::new();
            self.tail_peak = 0;
        } else {
            self.tail.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Encoding;

    fn drain(out: &mut OutBuf, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while !out.is_empty() {
            let before = out.len();
            let mut slices = [IoSlice::new(&[]); 4];
            let count = out.io_slices(&mut slices);
            let all = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
            let n = step.min(all.len());
            written.extend_from_slice(&all[..n]);
            out.advance(n);
            assert_eq!(out.len(), before - n);
        }
        written
    }

    #[test]
    fn order_is_kept_and_big_bytes_are_not_copied() {
        for step in [1, 7, 4096, 1 << 20] {
            let big = Bytes::from(vec![7; OutBuf::NOCOPY_BYTES]);
            let mut out = OutBuf::new();
            out.put_slice(b"head");
            out.put_bytes(big.clone());
            out.put_bytes(Bytes::from_static(b"small"));
            out.tail().extend_from_slice(b"tail");
            out.put_message(&Message::from_segments(
                Encoding::RAW,
                vec![big.clone(), Bytes::from_static(b"!")],
            ));
            let mut slices = [IoSlice::new(&[]); 8];
            assert_eq!(out.io_slices(&mut slices), 5);
            assert_eq!(slices[1].as_ptr(), big.as_ptr());
            assert_eq!(slices[3].as_ptr(), big.as_ptr());
            let expected = [b"head", &big[..], b"smalltail", &big[..], b"!"].concat();
            assert_eq!(out.len(), expected.len());
            assert!(drain(&mut out, step) == expected);
        }
    }

    #[test]
    fn the_tail_is_reused_when_small_and_given_back_when_grown() {
        let mut out = OutBuf::new();
        out.put_slice(&[1; 1000]);
        let start = out.tail().as_ptr();
        out.advance(600);
        out.advance(400);
        out.put_slice(&[2; 1000]);
        assert_eq!(out.tail().as_ptr(), start);
        out.put_slice(&[3; OutBuf::KEEP_BYTES]);
        out.advance(out.len() - 1);
        out.advance(1);
        assert_eq!(out.tail().capacity(), 0);
        out.put_slice(&[4; OutBuf::KEEP_BYTES + 1]);
        out.clear();
        assert_eq!((out.len(), out.tail().capacity()), (0, 0));
    }

    #[test]
    fn writes_beyond_the_end_are_ignored() {
        let mut out = OutBuf::new();
        out.put_slice(b"ab");
        out.advance(5);
        assert!(out.is_empty());
        assert_eq!(out.io_slices(&mut []), 0);
    }
}
