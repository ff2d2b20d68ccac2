//! The TTHeader: a length, flags, a sequence id and metadata before the payload (ttheader.md §1).

pub mod entries;
pub mod preamble;
pub mod writer;

pub use entries::{Entries, Entry};
pub use preamble::Preamble;
pub use writer::HeaderWriter;

use bytes::{Bytes, BytesMut};

use self::entries::{Block, Flaw};
use crate::base::{Code, Error, Limits, Result};
use crate::wire::keys::{self, protocol_id};

/// A validated header. The metadata stays in the bytes that were received; keys and values are
/// views into them. A mesh header (ttheader.md §1.8) is read through the same type.
#[derive(Clone, Debug, Default)]
pub struct Header {
    flags: u16,
    seq: i32,
    protocol_id: u8,
    mesh: bool,
    /// TTHeader: info blocks and padding. Mesh header: count and pairs.
    info: Bytes,
    notes: Option<Notes>,
}

/// What the walk that checks a header has seen, so that most readers need not walk again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Notes {
    /// Where the value of [`keys::IDL_SERVICE_NAME`] stands in the info, and its length.
    service: Option<(usize, usize)>,
    /// Whether there are string pairs at all, and others than the service's name.
    has_strings: bool,
    has_other_strings: bool,
}

impl Header {
    /// Splits a TTHeader off the front and returns it with its payload's length; `None` when more
    /// bytes are needed. Nothing behind the header is looked at.
    pub fn read(buf: &mut BytesMut, limits: &Limits) -> Result<Option<(Header, usize)>> {
        let Some(preamble) = Preamble::read(buf, limits)? else { return Ok(None) };
        let Some(area) = buf.get(Preamble::BYTES..preamble.header_len()) else { return Ok(None) };
        let checked = check(area)?;
        let bytes = buf.split_to(preamble.header_len()).freeze();
        Ok(Some((Header::new(&preamble, checked, &bytes), preamble.payload_len())))
    }

    /// Flags (ttheader.md §1.2).
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Sequence id of the header; the payload has its own (ttheader.md §4.4).
    pub fn seq(&self) -> i32 {
        self.seq
    }

    /// Protocol id (ttheader.md §1.3). Selects nothing.
    pub fn protocol_id(&self) -> u8 {
        self.protocol_id
    }

    /// Whether this came as a mesh header; the reply then carries no header at all.
    pub fn is_mesh(&self) -> bool {
        self.mesh
    }

    /// Size on the wire, from the first byte to the payload.
    pub fn wire_len(&self) -> usize {
        self.info.len() + if self.mesh { 4 } else { Preamble::BYTES + 2 }
    }

    /// All entries in the order received, repeated keys included: later ones win.
    pub fn entries(&self) -> Entries<'_> {
        let block = if self.mesh { Block::Strings } else { Block::None };
        Entries::new(&self.info, block, self.mesh)
    }

    /// All string pairs in the order received. The ACL token appears as [`keys::ACL_TOKEN`](crate::wire::keys::ACL_TOKEN).
    pub fn strings(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries().filter_map(|entry| match entry {
            Entry::String(key, value) => Some((key, value)),
            Entry::Int(..) => None,
        })
    }

    /// All int pairs in the order received.
    pub fn ints(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.entries().filter_map(|entry| match entry {
            Entry::Int(key, value) => Some((key, value)),
            Entry::String(..) => None,
        })
    }

    /// Value of a string key.
    pub fn string(&self, key: &[u8]) -> Option<&[u8]> {
        if !self.may_have_other_strings() && key != keys::IDL_SERVICE_NAME {
            return None;
        }
        last_string(self.entries(), key)
    }

    /// Value of [`keys::IDL_SERVICE_NAME`].
    pub fn service(&self) -> Option<&[u8]> {
        match self.notes {
            Some(notes) => notes.service.and_then(|(at, len)| self.info.get(at..at.checked_add(len)?)),
            None => self.string(keys::IDL_SERVICE_NAME),
        }
    }

    /// Whether there may be string pairs.
    pub(crate) fn may_have_strings(&self) -> bool {
        self.notes.is_none_or(|notes| notes.has_strings)
    }

    /// Whether there may be string pairs other than the service's name.
    pub(crate) fn may_have_other_strings(&self) -> bool {
        self.notes.is_none_or(|notes| notes.has_other_strings)
    }

    /// Value of an int key.
    pub fn int(&self, key: u16) -> Option<&[u8]> {
        let mut found = None;
        let _ = self.entries().each(|entry| match entry {
            Entry::Int(number, value) if number == key => found = Some(value),
            _ => {}
        });
        found
    }

    /// A key or value of this header as bytes of its own. Shares the header's memory; only bytes
    /// from elsewhere are copied.
    pub fn slice(&self, view: &[u8]) -> Bytes {
        let start = (view.as_ptr() as usize).wrapping_sub(self.info.as_ptr() as usize);
        match start.checked_add(view.len()) {
            Some(end) if end <= self.info.len() && !view.is_empty() => self.info.slice(start..end),
            _ => Bytes::copy_from_slice(view),
        }
    }

    /// The header at the start of `bytes`, whose area [`check`] has passed.
    pub(crate) fn new(preamble: &Preamble, checked: Checked, bytes: &Bytes) -> Header {
        let info = bytes.slice(Preamble::BYTES + 2..preamble.header_len());
        let notes = Some(checked.notes);
        Header { notes, ..Header::of_info(preamble, checked.protocol_id, info) }
    }

    /// A header over info blocks that [`check_each`] has passed.
    pub(crate) fn of_info(preamble: &Preamble, protocol_id: u8, info: Bytes) -> Header {
        Header { flags: preamble.flags, seq: preamble.seq, protocol_id, mesh: false, info, notes: None }
    }

    /// A mesh header over `count` and pairs, which `mesh` has checked.
    pub(crate) fn new_mesh(info: Bytes) -> Header {
        Header { mesh: true, info, ..Header::default() }
    }
}

/// What stands in front of the info blocks of a header that has been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Area {
    pub(crate) protocol_id: u8,
    /// Where the info blocks start, counted from offset 14 of the frame.
    pub(crate) info_at: usize,
}

/// What is done with a header that names transforms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transforms {
    /// Kitex would skip the ids and then misread a payload that is still compressed.
    Refuse,
    /// Streams skip the ids (ttstream.md §1.1).
    Skip,
}

/// A header without transforms that has been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Checked {
    pub(crate) protocol_id: u8,
    notes: Notes,
}

/// Checks the bytes between offset 14 and the payload, in the order of ttheader.md §1.6.
pub(crate) fn check(area: &[u8]) -> Result<Checked> {
    let mut notes = Notes::default();
    let checked = check_each(area, Transforms::Refuse, |entry| {
        let Entry::String(key, value) = entry else { return };
        notes.has_strings = true;
        if key == keys::IDL_SERVICE_NAME {
            // Info begins behind protocol id and the number of transforms, which is 0 here.
            let at = (value.as_ptr() as usize).wrapping_sub(area.as_ptr() as usize).wrapping_sub(2);
            notes.service = Some((at, value.len()));
        } else {
            notes.has_other_strings = true;
        }
    })?;
    Ok(Checked { protocol_id: checked.protocol_id, notes })
}

/// As [`check`], and shows every entry on the way, so that nobody has to walk them twice.
pub(crate) fn check_each<'a>(
    area: &'a [u8],
    transforms: Transforms,
    visit: impl FnMut(Entry<'a>),
) -> Result<Area> {
    let [protocol_id, count, rest @ ..] = area else {
        return Err(bad_header(format!("invalid header length[{}]", area.len())));
    };
    if !accepted(*protocol_id) {
        return Err(bad_header(format!("unsupported ProtocolID[{protocol_id}]")));
    }
    let Some(info) = rest.get(usize::from(*count)..) else {
        return Err(bad_header(format!("need read {count} transformIDs, but not enough")));
    };
    if *count > 0 && transforms == Transforms::Refuse {
        return Err(bad_header(format!("{count} transformIDs, but transforms are not supported")));
    }
    match Entries::new(info, Block::None, false).each(visit) {
        Ok(()) => Ok(Area { protocol_id: *protocol_id, info_at: 2 + usize::from(*count) }),
        Err(flaw) => Err(bad_info("ttHeader", &flaw, area)),
    }
}

/// Value of a string key in the info of a header that [`check`] has passed.
pub(crate) fn find_string<'a>(info: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    last_string(Entries::new(info, Block::None, false), key)
}

fn last_string<'a>(entries: Entries<'a>, key: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    // Checked, so there is no flaw.
    let _ = entries.each(|entry| match entry {
        Entry::String(name, value) if name == key => found = Some(value),
        _ => {}
    });
    found
}

fn accepted(id: u8) -> bool {
    matches!(
        id,
        protocol_id::THRIFT_BINARY
            | protocol_id::THRIFT_COMPACT_V2
            | protocol_id::KITEX_PROTOBUF
            | protocol_id::THRIFT_STRUCT
            | protocol_id::PROTOBUF_STRUCT
    )
}

#[cold]
pub(crate) fn bad_info(which: &str, flaw: &Flaw, area: &[u8]) -> Error {
    // Kitex prints all of the header; a quarter megabyte of hex helps nobody.
    const SHOWN: usize = 64;
    let shown = area.get(..SHOWN).unwrap_or(area);
    let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    let more = if shown.len() < area.len() { "…" } else { "" };
    bad_header(format!("{which} read kv info failed, {flaw}, headerInfo=0x{hex}{more}"))
}

#[cold]
pub(crate) fn bad_header(text: String) -> Error {
    Error::new(Code::BadHeader, text)
}

#[cfg(test)]
mod tests;
