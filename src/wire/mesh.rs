//! The mesh header: string pairs that a proxy puts before a framed or buffered message. Read only;
//! replies never carry one (ttheader.md §1.8).

use bytes::Bytes;

use crate::base::Result;
use crate::wire::be;
use crate::wire::ttheader::entries::{Block, Entries};
use crate::wire::ttheader::{Header, bad_info};

/// The first two bytes.
pub const MAGIC: u16 = 0xFFAF;

/// Checks the mesh header at the front of `bytes`, whose magic the caller has seen, and returns its
/// length; `None` when more bytes are needed.
pub(crate) fn peek(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(size) = be::u16_at(bytes, 2) else { return Ok(None) };
    let len = 4 + usize::from(size);
    let Some(info) = bytes.get(4..len) else { return Ok(None) };
    let mut entries = Entries::new(info, Block::Strings, true);
    loop {
        match entries.step() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Some(len)),
            Err(flaw) => return Err(bad_info("meshHeader", &flaw, info)),
        }
    }
}

/// The mesh header of `len` bytes at the front of `bytes`, which [`peek`] has passed.
pub(crate) fn header(bytes: &Bytes, len: usize) -> Header {
    Header::new_mesh(bytes.slice(4..len))
}
