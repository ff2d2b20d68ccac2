//! Finds the end of a Thrift value of unknown length, as its bytes arrive (ttheader.md §4.6).

use super::{TType, bad_length, count, too_deep, unknown_type};
use crate::base::Result;
use crate::wire::be;

/// A skip that can stop anywhere and go on when more bytes are there. It remembers its position, so
/// no byte is walked twice, and steps over strings and runs of fixed-size elements in one jump,
/// even past the bytes that have arrived. Memory: one small frame per open struct or container.
#[derive(Clone, Debug)]
pub struct Skipper {
    root: TType,
    depth_limit: u8,
    /// Bytes walked; may lie beyond the bytes seen after a jump.
    at: usize,
    /// Total bytes without which no step can be made.
    need: usize,
    /// A value whose type is known and whose first byte is at `at`.
    pending: Option<TType>,
    open: Vec<Open>,
}

/// A struct or container that has begun and not ended.
#[derive(Clone, Copy, Debug)]
enum Open {
    Struct,
    Elements {
        element: TType,
        left: usize,
    },
    /// `left` counts keys and values, so that an even number is before a key.
    Pairs {
        key: TType,
        value: TType,
        left: u64,
    },
}

impl Skipper {
    /// Skips one struct, with at most `depth_limit` structs and containers within each other.
    pub fn new(depth_limit: u8) -> Skipper {
        Skipper::of(TType::Struct, depth_limit)
    }

    /// Skips one value of any type.
    pub fn of(root: TType, depth_limit: u8) -> Skipper {
        Skipper { root, depth_limit, at: 0, need: 1, pending: Some(root), open: Vec::new() }
    }

    /// Back to the start, for another value of the same type.
    pub fn reset(&mut self) {
        (self.at, self.need, self.pending) = (0, 1, Some(self.root));
        self.open.clear();
    }

    /// Goes on. `bytes` holds everything from the value's first byte; its start must not change
    /// between calls. Returns the value's length once all of it is there, `None` when more is
    /// needed. After an error only [`Skipper::reset`] makes sense.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        loop {
            if self.at > bytes.len() {
                return Ok(self.wait(0));
            }
            let ttype = match self.pending {
                Some(ttype) => ttype,
                None => match self.next_value(bytes)? {
                    Step::Value(ttype) => ttype,
                    Step::Closed => continue,
                    Step::Done => return Ok(Some(self.at)),
                    Step::Short(n) => return Ok(self.wait(n)),
                },
            };
            self.pending = Some(ttype);
            if let Some(n) = self.begin(ttype, bytes)? {
                return Ok(self.wait(n));
            }
            self.pending = None;
        }
    }

    /// Total bytes, from the value's first, without which [`Skipper::advance`] cannot make a step.
    /// Grows as lengths are read; already includes strings and runs that have only been announced.
    pub fn needed(&self) -> usize {
        self.need
    }

    fn wait(&mut self, n: usize) -> Option<usize> {
        self.need = self.at.saturating_add(n);
        None
    }

    /// Which value comes next in the innermost open struct or container.
    fn next_value(&mut self, bytes: &[u8]) -> Result<Step> {
        let Some(open) = self.open.last_mut() else { return Ok(Step::Done) };
        let value = match open {
            Open::Struct => match bytes.get(self.at) {
                None => return Ok(Step::Short(1)),
                Some(0) => {
                    self.at += 1;
                    None
                }
                // The field id is part of the jump; a missing one is noticed at the value.
                Some(byte) => {
                    let ttype = TType::from_byte(*byte)?;
                    self.at += 3;
                    Some(ttype)
                }
            },
            Open::Elements { element, left } => match left.checked_sub(1) {
                None => None,
                Some(fewer) => {
                    *left = fewer;
                    Some(*element)
                }
            },
            Open::Pairs { key, value, left } => match left.checked_sub(1) {
                None => None,
                Some(fewer) => {
                    *left = fewer;
                    Some(if fewer % 2 == 1 { *key } else { *value })
                }
            },
        };
        match value {
            Some(ttype) => Ok(Step::Value(ttype)),
            None => {
                self.open.pop();
                Ok(Step::Closed)
            }
        }
    }

    /// Steps into or over a value. Returns the size of its own header if that is not there yet.
    fn begin(&mut self, ttype: TType, bytes: &[u8]) -> Result<Option<usize>> {
        if let Some(size) = ttype.fixed_size() {
            return self.jump(0, 1, size);
        }
        let at = self.at;
        match ttype {
            TType::String => match be::i32_at(bytes, at) {
                None => Ok(Some(4)),
                Some(n) => self.jump(4, count(n, at)?, 1),
            },
            TType::Struct => self.push(Open::Struct, 0),
            TType::List | TType::Set => {
                self.check_depth()?;
                let Some([element, n @ ..]) = be::array_at::<5>(bytes, at) else { return Ok(Some(5)) };
                let n = count(i32::from_be_bytes(n), at + 1)?;
                let element = TType::of_elements(element, n)?;
                match element.fixed_size() {
                    Some(size) => self.jump(5, n, size),
                    None => self.push(Open::Elements { element, left: n }, 5),
                }
            }
            TType::Map => {
                self.check_depth()?;
                let Some([key, value, n @ ..]) = be::array_at::<6>(bytes, at) else { return Ok(Some(6)) };
                let n = count(i32::from_be_bytes(n), at + 2)?;
                let (key, value) = (TType::of_elements(key, n)?, TType::of_elements(value, n)?);
                match (key.fixed_size(), value.fixed_size()) {
                    (Some(k), Some(v)) => self.jump(6, n, k + v),
                    _ => self.push(Open::Pairs { key, value, left: n as u64 * 2 }, 6),
                }
            }
            TType::Void => match bytes.get(at) {
                None => Ok(Some(1)),
                Some(0) => self.jump(1, 0, 0),
                Some(other) => Err(unknown_type(*other)),
            },
            _ => Err(unknown_type(ttype as u8)),
        }
    }

    fn jump(&mut self, header: usize, n: usize, size: usize) -> Result<Option<usize>> {
        let past = n.checked_mul(size).and_then(|body| self.at.checked_add(header)?.checked_add(body));
        self.at = past.ok_or_else(|| bad_length(self.at))?;
        Ok(None)
    }

    fn push(&mut self, open: Open, header: usize) -> Result<Option<usize>> {
        self.check_depth()?;
        self.open.push(open);
        self.jump(header, 0, 0)
    }

    fn check_depth(&self) -> Result<()> {
        if self.open.len() < usize::from(self.depth_limit) { Ok(()) } else { Err(too_deep(self.at)) }
    }
}

enum Step {
    Value(TType),
    Closed,
    Done,
    Short(usize),
}
