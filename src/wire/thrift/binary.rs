//! Reader and writer of Thrift Binary values (codec.md §1, §3).

use bytes::{BufMut, BytesMut};

use super::{TType, count, too_deep, too_short};
use crate::base::{Code, Error, Limits, Result};

/// Reads values one after the other. Every read is checked, so no input can make it panic or
/// reserve memory; after an error the position is unspecified.
#[derive(Clone, Debug)]
pub struct BinaryReader<'a> {
    rest: &'a [u8],
    len: usize,
    depth_left: u8,
}

impl<'a> BinaryReader<'a> {
    /// A reader at the start of `bytes` with the default depth limit.
    pub fn new(bytes: &'a [u8]) -> BinaryReader<'a> {
        BinaryReader::with_depth_limit(bytes, Limits::DEFAULT.depth)
    }

    /// A reader that accepts at most `depth` structs and containers within each other.
    pub fn with_depth_limit(bytes: &'a [u8], depth: u8) -> BinaryReader<'a> {
        BinaryReader { rest: bytes, len: bytes.len(), depth_left: depth }
    }

    /// A reader that goes on after `position` bytes, at most at the end.
    pub fn resume(bytes: &'a [u8], position: usize, depth: u8) -> BinaryReader<'a> {
        let rest = bytes.get(position..).unwrap_or_default();
        BinaryReader { rest, len: bytes.len(), depth_left: depth }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes one struct or container down; pair it with [`BinaryReader::leave`].
    pub fn enter(&mut self) -> Result<()> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(too_deep(self.position())),
        }
    }

    /// Comes back from [`BinaryReader::enter`].
    pub fn leave(&mut self) {
        self.depth_left = self.depth_left.saturating_add(1);
    }

    /// A bool: only byte 1 is true.
    pub fn read_bool(&mut self) -> Result<bool> {
        Ok(self.array()? == [1])
    }

    /// An i8.
    pub fn read_i8(&mut self) -> Result<i8> {
        self.array().map(i8::from_be_bytes)
    }

    /// An i16.
    pub fn read_i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    /// An i32, or an enum's number.
    pub fn read_i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// An i64.
    pub fn read_i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A double.
    pub fn read_double(&mut self) -> Result<f64> {
        self.array().map(f64::from_be_bytes)
    }

    /// A string or binary, as a view. The wire knows no UTF-8 rule.
    pub fn read_bytes(&mut self) -> Result<&'a [u8]> {
        let at = self.position();
        let n = count(self.read_i32()?, at)?;
        self.take(n)
    }

    /// A field's type and id; `None` at the STOP that ends the struct.
    pub fn read_field_begin(&mut self) -> Result<Option<(TType, i16)>> {
        match TType::from_byte(self.byte()?)? {
            TType::Stop => Ok(None),
            ttype => Ok(Some((ttype, self.read_i16()?))),
        }
    }

    /// Element type and count of a list; the count fits what remains. With count 0 the type means
    /// nothing.
    pub fn read_list_begin(&mut self) -> Result<(TType, usize)> {
        let element = self.byte()?;
        let at = self.position();
        let n = count(self.read_i32()?, at)?;
        let element = TType::of_elements(element, n)?;
        self.expect_elements(n, element.min_size())?;
        Ok((element, n))
    }

    /// As [`BinaryReader::read_list_begin`], for a set.
    pub fn read_set_begin(&mut self) -> Result<(TType, usize)> {
        self.read_list_begin()
    }

    /// Key type, value type and count of a map; the count fits what remains. With count 0 the types
    /// mean nothing.
    pub fn read_map_begin(&mut self) -> Result<(TType, TType, usize)> {
        let [key, value] = self.array()?;
        let at = self.position();
        let n = count(self.read_i32()?, at)?;
        let (key, value) = (TType::of_elements(key, n)?, TType::of_elements(value, n)?);
        self.expect_elements(n, key.min_size() + value.min_size())?;
        Ok((key, value, n))
    }

    /// Steps over a value. Recurses at most as deep as the depth limit.
    pub fn skip(&mut self, ttype: TType) -> Result<()> {
        if let Some(size) = ttype.fixed_size() {
            return self.take(size).map(|_| ());
        }
        match ttype {
            TType::String => return self.read_bytes().map(|_| ()),
            TType::Void => return self.skip_void(),
            TType::Stop => return Err(super::unknown_type(0)),
            _ => {}
        }
        self.enter()?;
        match ttype {
            TType::Map => {
                let (key, value, n) = self.read_map_begin()?;
                match (key.fixed_size(), value.fixed_size()) {
                    (Some(k), Some(v)) => self.skip_run(n, k + v)?,
                    _ => {
                        for _ in 0..n {
                            self.skip(key)?;
                            self.skip(value)?;
                        }
                    }
                }
            }
            TType::List | TType::Set => {
                let (element, n) = self.read_list_begin()?;
                match element.fixed_size() {
                    Some(size) => self.skip_run(n, size)?,
                    None => (0..n).try_for_each(|_| self.skip(element))?,
                }
            }
            _ => {
                while let Some((field, _)) = self.read_field_begin()? {
                    self.skip(field)?;
                }
            }
        }
        self.leave();
        Ok(())
    }

    fn skip_run(&mut self, n: usize, size: usize) -> Result<()> {
        let bytes = n.checked_mul(size).ok_or_else(|| too_short(self.position()))?;
        self.take(bytes).map(|_| ())
    }

    fn skip_void(&mut self) -> Result<()> {
        match self.byte()? {
            0 => Ok(()),
            other => Err(super::unknown_type(other)),
        }
    }

    /// A count that the remaining bytes cannot hold is refused before anyone reserves memory for it.
    fn expect_elements(&self, n: usize, min_size: usize) -> Result<()> {
        match n.checked_mul(min_size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(()),
            _ => Err(too_short(self.position())),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(too_short(self.position())),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(too_short(self.position())),
        }
    }
}

/// Appends values to a buffer.
#[derive(Debug)]
pub struct BinaryWriter<'a> {
    out: &'a mut BytesMut,
}

impl<'a> BinaryWriter<'a> {
    /// A writer at the end of `out`.
    pub fn new(out: &'a mut BytesMut) -> BinaryWriter<'a> {
        BinaryWriter { out }
    }

    /// A bool, as 0 or 1.
    pub fn write_bool(&mut self, value: bool) {
        self.out.put_u8(u8::from(value));
    }

    /// An i8.
    pub fn write_i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    /// An i16.
    pub fn write_i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    /// An i32, or an enum's number.
    pub fn write_i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    /// An i64.
    pub fn write_i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// A double.
    pub fn write_double(&mut self, value: f64) {
        self.out.put_f64(value);
    }

    /// A string or binary.
    pub fn write_bytes(&mut self, value: &[u8]) -> Result<()> {
        self.write_count(value.len())?;
        self.out.put_slice(value);
        Ok(())
    }

    /// A value that is encoded already.
    pub fn write_encoded(&mut self, value: &[u8]) {
        self.out.put_slice(value);
    }

    /// A field's type and id; its value follows.
    pub fn write_field_begin(&mut self, ttype: TType, id: i16) {
        self.out.put_u8(ttype as u8);
        self.out.put_i16(id);
    }

    /// The STOP that ends a struct.
    pub fn write_stop(&mut self) {
        self.out.put_u8(TType::Stop as u8);
    }

    /// Element type and count of a list; the elements follow.
    pub fn write_list_begin(&mut self, element: TType, n: usize) -> Result<()> {
        let n = wire_count(n)?;
        self.out.put_u8(element as u8);
        self.out.put_i32(n);
        Ok(())
    }

    /// Element type and count of a set; the elements follow.
    pub fn write_set_begin(&mut self, element: TType, n: usize) -> Result<()> {
        self.write_list_begin(element, n)
    }

    /// Key type, value type and count of a map; the pairs follow. An empty map names its types too.
    pub fn write_map_begin(&mut self, key: TType, value: TType, n: usize) -> Result<()> {
        let n = wire_count(n)?;
        self.out.put_u8(key as u8);
        self.out.put_u8(value as u8);
        self.out.put_i32(n);
        Ok(())
    }

    fn write_count(&mut self, n: usize) -> Result<()> {
        self.out.put_i32(wire_count(n)?);
        Ok(())
    }
}

fn wire_count(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| {
        Error::new(Code::EncodeFailed, format!("{n} bytes or elements, the protocol ends at {}", i32::MAX))
    })
}
