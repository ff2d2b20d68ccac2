//! Writes a TTHeader in place, without knowing its size beforehand (ttheader.md §1.4, §1.5).

use bytes::{BufMut, BytesMut};

use super::Preamble;
use super::entries::block;
use crate::base::{Code, Error, Limits, Result};
use crate::wire::checksum::Checksum;
use crate::wire::keys;

/// Appends a header to a buffer. Blocks are opened as entries come; Kitex's order is ACL, strings,
/// ints. What breaks a limit is remembered and returned by [`HeaderWriter::finish`]; a writer that
/// fails or is dropped unfinished takes everything back.
#[derive(Debug)]
pub struct HeaderWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
    block: u8,
    count_at: usize,
    count: u16,
    error: Option<Error>,
    checksum_at: Option<usize>,
    finished: bool,
}

impl<'a> HeaderWriter<'a> {
    /// Largest header info: 65,535 words of 4 bytes.
    pub const MAX_INFO_BYTES: usize = 4 * 65_535;

    /// Starts a header at the end of `out`.
    pub fn begin(out: &'a mut BytesMut, flags: u16, seq: i32) -> HeaderWriter<'a> {
        let start = out.len();
        let ([magic, gic], [flag, s], [a, b, c, d]) =
            (Preamble::MAGIC.to_be_bytes(), flags.to_be_bytes(), seq.to_be_bytes());
        // LENGTH and HEADER SIZE are patched by `finish`; protocol id Thrift Binary, no transforms.
        out.put_slice(&[0, 0, 0, 0, magic, gic, flag, s, a, b, c, d, 0, 0, 0, 0]);
        HeaderWriter {
            out,
            start,
            block: block::PADDING,
            count_at: 0,
            count: 0,
            error: None,
            checksum_at: None,
            finished: false,
        }
    }

    /// Replaces the protocol id; only streaming writes another than 0 (ttheader.md §1.3).
    pub fn protocol_id(&mut self, id: u8) -> &mut Self {
        self.patch(self.start + Preamble::BYTES, &[id]);
        self
    }

    /// Adds the ACL token.
    pub fn acl(&mut self, token: &[u8]) -> &mut Self {
        if self.fits(block::ACL, token.len().saturating_add(2), &[token.len()]) {
            self.close_block();
            self.out.put_u8(block::ACL);
            self.put_string(&[], token);
        }
        self
    }

    /// Adds a string pair whose key is `prefix` and `key` joined. The key that stands for the ACL
    /// token goes to its own block, as in Kitex.
    pub fn string(&mut self, prefix: &[u8], key: &[u8], value: &[u8]) -> &mut Self {
        let key_len = prefix.len().saturating_add(key.len());
        if key_len == keys::ACL_TOKEN.len() && keys::ACL_TOKEN.strip_prefix(prefix) == Some(key) {
            return self.acl(value);
        }
        if self.fits(
            block::STRINGS,
            key_len.saturating_add(value.len()).saturating_add(4),
            &[key_len, value.len()],
        ) {
            self.open_block(block::STRINGS);
            self.put_string(prefix, key);
            self.put_string(&[], value);
        }
        self
    }

    /// Adds an int pair.
    pub fn int(&mut self, key: u16, value: &[u8]) -> &mut Self {
        if self.fits(block::INTS, value.len().saturating_add(4), &[value.len()]) {
            self.open_block(block::INTS);
            let [a, b] = key.to_be_bytes();
            // `fits` has checked the length.
            let [c, d] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
            self.out.put_slice(&[a, b, c, d]);
            self.out.put_slice(value);
        }
        self
    }

    /// Ends the block; what comes next opens another. Returns where that will begin, for [`HeaderWriter::since`].
    pub(crate) fn end_block(&mut self) -> usize {
        self.close_block();
        self.out.len()
    }

    /// The blocks written since then, if none broke a limit; the last of them has been ended.
    pub(crate) fn since(&self, begin: usize) -> Option<&[u8]> {
        self.error.as_ref().map_or_else(|| self.out.get(begin..), |_| None)
    }

    /// Adds whole blocks, as [`HeaderWriter::since`] gave them.
    pub(crate) fn block(&mut self, bytes: &[u8]) -> &mut Self {
        if self.fits(block::PADDING, bytes.len(), &[]) {
            self.close_block();
            self.out.put_slice(bytes);
        }
        self
    }

    /// Adds room for the checksum of the payload, which is written behind the header (ttheader.md §9).
    pub fn checksum(&mut self) -> &mut Self {
        self.string(b"", keys::CRC32C, &[b'0'; Checksum::BYTES]);
        if self.error.is_none() {
            self.checksum_at = Some(self.out.len() - Checksum::BYTES);
        }
        self
    }

    /// Where in the buffer the checksum belongs, if there is to be one.
    pub(crate) fn checksum_at(&self) -> Option<usize> {
        self.checksum_at
    }

    /// Pads the header and fills in its lengths; `payload_len` bytes must follow it.
    pub fn finish(mut self, payload_len: usize) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.close_block();
        let area_at = self.start + Preamble::BYTES;
        let padded = (self.out.len() - area_at).next_multiple_of(4);
        let padding = padded - (self.out.len() - area_at);
        self.out.put_slice([0; 3].get(..padding).unwrap_or_default());
        let words = u16::try_from(padded / 4).map_err(|_| too_much(padded))?;
        let length = (padded + 10).checked_add(payload_len).filter(|n| *n <= Limits::MAX_FRAME_BYTES);
        let length = length.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
            let limit = Limits::MAX_FRAME_BYTES;
            failed(format!("payload of {payload_len} bytes, a frame ends at {limit}"))
        })?;
        self.patch(self.start, &length.to_be_bytes());
        self.patch(area_at - 2, &words.to_be_bytes());
        self.finished = true;
        Ok(())
    }

    /// Whether an entry of `bytes`, with strings of these lengths, keeps the limits.
    fn fits(&mut self, id: u8, bytes: usize, strings: &[usize]) -> bool {
        if self.error.is_some() {
            return false;
        }
        let opening = match id {
            block::ACL => 1,
            // Blocks that bring their own.
            block::PADDING => 0,
            _ if self.must_open(id) => 3,
            _ => 0,
        };
        let used = self.out.len() - self.start - Preamble::BYTES;
        let total = (used + opening).saturating_add(bytes);
        if let Some(len) = strings.iter().find(|len| **len > usize::from(u16::MAX)) {
            self.error = Some(failed(format!("string exceeded 65535B max size (actual: {len}B)")));
        } else if total > HeaderWriter::MAX_INFO_BYTES {
            self.error = Some(too_much(total));
        }
        self.error.is_none()
    }

    fn open_block(&mut self, id: u8) {
        if self.must_open(id) {
            self.close_block();
            self.out.put_slice(&[id, 0, 0]);
            self.count_at = self.out.len() - 2;
            self.block = id;
        }
        self.count += 1;
    }

    /// The count is 16 bits wide; a full block is followed by another of its kind.
    fn must_open(&self, id: u8) -> bool {
        self.block != id || self.count == u16::MAX
    }

    fn close_block(&mut self) {
        if self.block != block::PADDING {
            self.patch(self.count_at, &self.count.to_be_bytes());
            (self.block, self.count) = (block::PADDING, 0);
        }
    }

    fn put_string(&mut self, first: &[u8], second: &[u8]) {
        // `fits` has checked the length.
        let len = u16::try_from(first.len() + second.len()).unwrap_or(u16::MAX);
        self.out.put_u16(len);
        self.out.put_slice(first);
        self.out.put_slice(second);
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

impl Drop for HeaderWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

#[cold]
fn too_much(bytes: usize) -> Error {
    failed(format!("invalid header length[{bytes}], it ends at {}", HeaderWriter::MAX_INFO_BYTES))
}

#[cold]
fn failed(text: String) -> Error {
    Error::new(Code::EncodeFailed, text)
}
