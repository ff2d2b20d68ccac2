//! Walks the info blocks of a header (ttheader.md §1.4).

use std::fmt;

use crate::wire::keys;

/// Block ids.
pub(crate) mod block {
    pub(crate) const PADDING: u8 = 0x00;
    pub(crate) const STRINGS: u8 = 0x01;
    pub(crate) const INTS: u8 = 0x10;
    pub(crate) const ACL: u8 = 0x11;
}

/// One entry of a header's metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// A string pair; the ACL token comes as [`keys::ACL_TOKEN`].
    String(&'a [u8], &'a [u8]),
    /// An int pair.
    Int(u16, &'a [u8]),
}

/// All entries of a header, in the order received.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    block: Block,
    /// Entries left in the block; `None` when its count has not been read.
    left: Option<u16>,
    /// Nothing follows the first block.
    single: bool,
}

/// The block being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Block {
    None,
    Strings,
    Ints,
}

/// What is wrong with the blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    UnknownBlock(u8),
    /// The named part runs past the end.
    Short(&'static str),
}

impl<'a> Entries<'a> {
    pub(crate) fn new(info: &'a [u8], block: Block, single: bool) -> Entries<'a> {
        Entries { rest: info, block, left: None, single }
    }

    /// The next entry, or what is wrong with it; `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Entry<'a>>, Flaw> {
        loop {
            match self.block {
                Block::None => {
                    let Some((id, rest)) = self.rest.split_first() else { return Ok(None) };
                    self.rest = rest;
                    match *id {
                        block::PADDING => {}
                        block::STRINGS => self.block = Block::Strings,
                        block::INTS => self.block = Block::Ints,
                        block::ACL => {
                            let token = self.string("acl token")?;
                            return Ok(Some(Entry::String(keys::ACL_TOKEN, token)));
                        }
                        other => return Err(Flaw::UnknownBlock(other)),
                    }
                }
                Block::Strings => {
                    if self.more("str kv info size")? {
                        let key = self.string("str kv info")?;
                        return Ok(Some(Entry::String(key, self.string("str kv info")?)));
                    }
                }
                Block::Ints => {
                    if self.more("int kv info size")? {
                        let key = self.number("int kv info")?;
                        return Ok(Some(Entry::Int(key, self.string("int kv info")?)));
                    }
                }
            }
        }
    }

    /// Shows all that is left, block by block: the same as one step after the other, and several times as fast.
    pub(crate) fn each(mut self, mut visit: impl FnMut(Entry<'a>)) -> Result<(), Flaw> {
        while self.block != Block::None {
            match self.step()? {
                Some(entry) => visit(entry),
                None => return Ok(()),
            }
        }
        while let Some((id, rest)) = self.rest.split_first() {
            self.rest = rest;
            match *id {
                block::PADDING => {}
                block::STRINGS => {
                    for _ in 0..self.number("str kv info size")? {
                        let key = self.string("str kv info")?;
                        visit(Entry::String(key, self.string("str kv info")?));
                    }
                }
                block::INTS => {
                    for _ in 0..self.number("int kv info size")? {
                        let key = self.number("int kv info")?;
                        visit(Entry::Int(key, self.string("int kv info")?));
                    }
                }
                block::ACL => visit(Entry::String(keys::ACL_TOKEN, self.string("acl token")?)),
                other => return Err(Flaw::UnknownBlock(other)),
            }
        }
        Ok(())
    }

    /// Counts an entry of the block down; ends the block when there is none left.
    fn more(&mut self, what: &'static str) -> Result<bool, Flaw> {
        let left = match self.left {
            Some(left) => left,
            None => self.number(what)?,
        };
        self.left = left.checked_sub(1);
        if self.left.is_some() {
            return Ok(true);
        }
        self.block = Block::None;
        if self.single {
            self.rest = &[];
        }
        Ok(false)
    }

    #[inline(always)]
    fn number(&mut self, what: &'static str) -> Result<u16, Flaw> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Flaw::Short(what))?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*number))
    }

    #[inline(always)]
    fn string(&mut self, what: &'static str) -> Result<&'a [u8], Flaw> {
        let n = usize::from(self.number(what)?);
        let (string, rest) = self.rest.split_at_checked(n).ok_or(Flaw::Short(what))?;
        self.rest = rest;
        Ok(string)
    }
}

/// The blocks of a [`Header`](super::Header) have been checked, so the first flaw is never met.
impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.step().ok().flatten()
    }
}

/// gopkg's words.
impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::UnknownBlock(id) => write!(f, "invalid infoIDType[{id:#x}]"),
            Flaw::Short(what) => write!(f, "error reading {what}: EOF"),
        }
    }
}
