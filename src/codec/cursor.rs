//! Walks over the bytes of a struct step by step, and refuses a step that its types don't allow.

use std::ops::Range;

use bytes::Bytes;

use super::builder::thrift_binary;
use super::nesting::Nesting;
use crate::base::{Code, Encoding, Error, Message, Result};
use crate::wire::thrift::{BinaryReader, TType};

/// Reads a struct in Thrift Binary, in the order of its bytes. The outermost struct is open from the
/// start; a container ends by itself with its last element; values of fields that are not asked for are
/// skipped. The first failure sticks: every later step fails with it. Counts never exceed what the
/// remaining bytes can hold, so a loop over them is bounded by the message.
#[derive(Debug)]
pub struct Cursor {
    bytes: Bytes,
    pub(super) position: usize,
    pub(super) nesting: Nesting,
    failed: Option<Error>,
}

impl Cursor {
    /// At the start of a message's struct. A message of several segments is joined, by one copy.
    pub fn new(message: &Message) -> Result<Cursor> {
        Cursor::with(message, Nesting::new())
    }

    pub(super) fn with(message: &Message, nesting: Nesting) -> Result<Cursor> {
        thrift_binary(message)?;
        Ok(Cursor { bytes: message.bytes(), position: 0, nesting, failed: None })
    }

    /// Runs some steps unless one has failed before; their failure sticks.
    pub fn attempt<T>(&mut self, steps: impl FnOnce(&mut Cursor) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = steps(self);
        if let Err(error) = &result {
            self.failed.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// Goes on to the next field of the struct: its id and type. `None` at the struct's end, again and
    /// again. The value of the field before is skipped if it was not read.
    pub fn field(&mut self) -> Result<Option<(i16, TType)>> {
        self.attempt(|c| {
            if c.field_due()?.is_some() {
                c.skip()?;
            }
            if c.bytes.get(c.position) == Some(&(TType::Stop as u8)) {
                return Ok(None);
            }
            match c.read(|reader| reader.read_field_begin())? {
                Some((ttype, id)) => {
                    c.step(|nesting| nesting.field(id, ttype, false))?;
                    Ok(Some((id, ttype)))
                }
                None => Ok(None),
            }
        })
    }

    /// Goes on to the next field with this id: its type. `None` if the struct ends before. Fields that
    /// have passed are not found again.
    pub fn find(&mut self, id: i16) -> Result<Option<TType>> {
        while let Some((found, ttype)) = self.field()? {
            if found == id {
                return Ok(Some(ttype));
            }
        }
        Ok(None)
    }

    /// A bool.
    pub fn bool(&mut self) -> Result<bool> {
        self.value(TType::Bool, |reader| reader.read_bool())
    }

    /// An i8.
    pub fn i8(&mut self) -> Result<i8> {
        self.value(TType::I8, |reader| reader.read_i8())
    }

    /// An i16.
    pub fn i16(&mut self) -> Result<i16> {
        self.value(TType::I16, |reader| reader.read_i16())
    }

    /// An i32, or an enum's number.
    pub fn i32(&mut self) -> Result<i32> {
        self.value(TType::I32, |reader| reader.read_i32())
    }

    /// An i64.
    pub fn i64(&mut self) -> Result<i64> {
        self.value(TType::I64, |reader| reader.read_i64())
    }

    /// A double.
    pub fn double(&mut self) -> Result<f64> {
        self.value(TType::Double, |reader| reader.read_double())
    }

    /// A string or binary. The wire knows no UTF-8 rule.
    pub fn bytes(&mut self) -> Result<&[u8]> {
        let len = self.value(TType::String, |reader| reader.read_bytes().map(<[u8]>::len))?;
        Ok(self.bytes.get(self.position - len..self.position).unwrap_or_default())
    }

    /// Opens a list: element type and count. With count 0 the type means nothing.
    pub fn list(&mut self) -> Result<(TType, usize)> {
        self.list_or_set(TType::List)
    }

    /// Opens a set, as [`Cursor::list`].
    pub fn set(&mut self) -> Result<(TType, usize)> {
        self.list_or_set(TType::Set)
    }

    /// Opens a map: key type, value type, count. Keys and values follow in turn. With count 0 the types
    /// mean nothing.
    pub fn map(&mut self) -> Result<(TType, TType, usize)> {
        self.attempt(|c| {
            c.expect(TType::Map)?;
            let (key, value, count) = c.read(|reader| reader.read_map_begin())?;
            c.step(|nesting| nesting.open_map(key, value, count))?;
            Ok((key, value, count))
        })
    }

    /// Opens a struct; its fields follow.
    pub fn struct_begin(&mut self) -> Result<()> {
        self.attempt(|c| {
            c.expect(TType::Struct)?;
            let start = c.position;
            c.step(|nesting| nesting.open_struct(start))
        })
    }

    /// Leaves the struct that was opened last, skipping what was not read of it.
    pub fn struct_end(&mut self) -> Result<()> {
        self.attempt(|c| {
            c.skip_fields()?;
            c.step(|nesting| nesting.expect_complete(false).and_then(|()| nesting.close_struct()))?;
            c.position += 1;
            Ok(())
        })
    }

    /// A struct as a message of its own, which shares the bytes.
    pub fn encoded_struct(&mut self) -> Result<Message> {
        self.attempt(|c| {
            c.expect(TType::Struct)?;
            let range = c.skip()?;
            Ok(Message::new(Encoding::THRIFT_BINARY, c.bytes.slice(range)))
        })
    }

    /// Skips the value that is due, whatever its type; tells where it was.
    pub fn skip(&mut self) -> Result<Range<usize>> {
        self.attempt(|c| {
            let ttype = c.nesting.due().map_err(|error| c.locate(error))?.ttype;
            let start = c.position;
            c.read(|reader| reader.skip(ttype))?;
            c.nesting.advance();
            Ok(start..c.position)
        })
    }

    /// Skips what was not read of the outermost struct, and checks that nothing comes after it.
    pub fn end(&mut self) -> Result<()> {
        self.attempt(|c| {
            if c.nesting.unwrap() {
                c.struct_end()?;
            }
            c.skip_fields()?;
            c.step(|nesting| nesting.expect_outermost().and_then(|()| nesting.expect_complete(false)))?;
            match c.bytes.len().saturating_sub(c.position + 1) {
                0 => Ok(()),
                n => {
                    let text = format!("{n} bytes after the struct, from byte {}", c.position + 1);
                    Err(Error::new(Code::Malformed, text))
                }
            }
        })
    }

    /// The failure that sticks, if any.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    fn value<T>(&mut self, ttype: TType, read: impl FnOnce(&mut BinaryReader<'_>) -> Result<T>) -> Result<T> {
        self.attempt(|c| {
            c.expect(ttype)?;
            let value = c.read(read)?;
            c.nesting.advance();
            Ok(value)
        })
    }

    fn list_or_set(&mut self, ttype: TType) -> Result<(TType, usize)> {
        self.attempt(|c| {
            c.expect(ttype)?;
            let (element, count) = c.read(|reader| reader.read_list_begin())?;
            c.step(|nesting| nesting.open_list(ttype, element, count))?;
            Ok((element, count))
        })
    }

    /// Up to the struct's STOP, which stays unread.
    fn skip_fields(&mut self) -> Result<()> {
        while self.field()?.is_some() {}
        Ok(())
    }

    fn field_due(&self) -> Result<Option<TType>> {
        self.nesting.field_due().map_err(|error| self.locate(error))
    }

    fn expect(&self, ttype: TType) -> Result<()> {
        self.nesting.expect(ttype).map(drop).map_err(|error| self.locate(error))
    }

    fn step(&mut self, step: impl FnOnce(&mut Nesting) -> Result<()>) -> Result<()> {
        step(&mut self.nesting).map_err(|error| self.locate(error))
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut BinaryReader<'_>) -> Result<T>) -> Result<T> {
        let depth = self.nesting.depth_left();
        let mut reader = BinaryReader::resume(&self.bytes, self.position, depth);
        match read(&mut reader) {
            Ok(value) => {
                self.position = reader.position();
                Ok(value)
            }
            Err(error) => {
                let text = format!("{}: {}", self.nesting.path(), error.text());
                Err(Error::new(error.code(), text))
            }
        }
    }

    #[cold]
    pub(super) fn locate(&self, error: Error) -> Error {
        Error::new(error.code(), format!("{} (byte {})", error.text(), self.position))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Limits;
    use crate::codec::Builder;
    use crate::wire::thrift::Skipper;
    use crate::wire::thrift::tests::{encode, structs};

    fn cursor(bytes: &[u8]) -> Cursor {
        Cursor::new(&Message::new(Encoding::THRIFT_BINARY, Bytes::copy_from_slice(bytes))).unwrap()
    }

    /// Reads everything step by step and writes it again with a builder.
    fn copy(bytes: &[u8]) -> Result<Vec<u8>> {
        let (mut cursor, mut builder) = (cursor(bytes), Builder::new());
        copy_fields(&mut cursor, &mut builder)?;
        cursor.end()?;
        builder.finish().map(|message| message.bytes().to_vec())
    }

    fn copy_fields(c: &mut Cursor, b: &mut Builder) -> Result<()> {
        while let Some((id, ttype)) = c.field()? {
            b.field(id, ttype)?;
            copy_value(c, b, ttype)?;
        }
        Ok(())
    }

    fn copy_value(c: &mut Cursor, b: &mut Builder, ttype: TType) -> Result<()> {
        match ttype {
            TType::Bool => b.bool(c.bool()?),
            TType::I8 => b.i8(c.i8()?),
            TType::Double => b.double(c.double()?),
            TType::I16 => b.i16(c.i16()?),
            TType::I32 => b.i32(c.i32()?),
            TType::I64 => b.i64(c.i64()?),
            TType::String => b.bytes(c.bytes()?),
            TType::Struct => {
                c.struct_begin()?;
                b.struct_begin()?;
                copy_fields(c, b)?;
                c.struct_end()?;
                b.struct_end()
            }
            TType::List | TType::Set => {
                let list = ttype == TType::List;
                let (element, n) = if list { c.list()? } else { c.set()? };
                if list {
                    b.list(element, n)?
                } else {
                    b.set(element, n)?
                }
                (0..n).try_for_each(|_| copy_value(c, b, element))
            }
            TType::Map => {
                let (key, value, n) = c.map()?;
                b.map(key, value, n)?;
                (0..n).try_for_each(|_| {
                    copy_value(c, b, key)?;
                    copy_value(c, b, value)
                })
            }
            TType::Stop | TType::Void => c.skip().map(drop),
        }
    }

    proptest! {
        #[test]
        fn what_is_read_and_written_again_is_the_same(value in structs()) {
            let bytes = encode(&value);
            prop_assert_eq!(&copy(&bytes).unwrap()[..], &bytes[..]);
            let mut unread = cursor(&bytes);
            unread.end().unwrap();
            unread.end().unwrap();
            for n in 0..bytes.len() {
                prop_assert!(copy(&bytes[..n]).is_err());
                prop_assert!(cursor(&bytes[..n]).end().is_err());
            }
        }

        #[test]
        fn any_bytes_end_alike_whether_read_or_skipped(bytes in prop::collection::vec(
            prop_oneof![4 => 0..16u8, 1 => any::<u8>()], 0..80)) {
            let whole = Skipper::new(Limits::DEFAULT.depth).advance(&bytes);
            let ended = cursor(&bytes).end();
            prop_assert_eq!(ended.is_ok(), whole == Ok(Some(bytes.len())), "{:?} {:?}", ended, whole);
            let _ = copy(&bytes);
        }
    }

    #[test]
    fn unread_values_are_skipped_and_found_by_id() {
        let bytes = b"\x0f\0\x01\x0b\0\0\0\x01\0\0\0\x02hi\x0c\0\x02\x08\0\x01\0\0\0\x07\x02\0\x02\x01\0\x02\0\x03\x01\0";
        let mut c = cursor(bytes);
        assert_eq!(c.find(2), Ok(Some(TType::Struct)));
        c.struct_begin().unwrap();
        assert_eq!(c.find(1), Ok(Some(TType::I32)));
        assert_eq!(c.i32(), Ok(7));
        c.struct_end().unwrap();
        assert_eq!(c.field(), Ok(Some((3, TType::Bool))));
        assert_eq!(c.find(1), Ok(None), "has passed");
        assert_eq!(c.field(), Ok(None));
        c.end().unwrap();
        let mut c = cursor(bytes);
        c.find(2).unwrap();
        assert_eq!(&c.encoded_struct().unwrap().bytes()[..], b"\x08\0\x01\0\0\0\x07\x02\0\x02\x01\0");
    }

    #[test]
    fn the_first_wrong_step_sticks_and_says_where_it_was() {
        type Steps = fn(&mut Cursor) -> Result<()>;
        let list = b"\x0f\0\x01\x08\0\0\0\x02\0\0\0\x01\0\0\0\x02\0";
        let cases: &[(&[u8], Steps, Code, &str)] = &[
            (
                b"\0",
                |c| c.i32().map(drop),
                Code::InvalidState,
                "outermost struct: no value is due: a field comes first (byte 0)",
            ),
            (
                list,
                |c| c.field().and_then(|_| c.set()).map(drop),
                Code::TypeMismatch,
                "field 1: its type is list, not set (byte 3)",
            ),
            (
                list,
                |c| {
                    c.field()?;
                    c.list()?;
                    c.i32()?;
                    c.i64().map(drop)
                },
                Code::TypeMismatch,
                "field 1[1]: its type is i32, not i64 (byte 12)",
            ),
            (
                list,
                |c| {
                    c.field()?;
                    c.list()?;
                    c.i32()?;
                    c.end()
                },
                Code::InvalidState,
                "field 1[1]: the list has 1 of 2 elements (byte 12)",
            ),
            (list, |c| c.struct_end(), Code::InvalidState, "no struct was begun that could end (byte 16)"),
            (
                b"\x0c\0\x01\0\0",
                |c| {
                    c.field()?;
                    c.struct_begin()?;
                    c.end()
                },
                Code::InvalidState,
                "field 1: its struct has not ended (byte 3)",
            ),
            (b"\0\0\0", |c| c.end(), Code::Malformed, "2 bytes after the struct, from byte 1"),
            (
                b"\x0f\0\x01\x0c\x7f\xff\xff\xff\0",
                |c| c.field().and_then(|_| c.list()).map(drop),
                Code::Malformed,
                "field 1: buffer too short at byte 8",
            ),
            (
                b"\x0b\0\x01\xff\xff\xff\xff\0",
                |c| c.field().and_then(|_| c.bytes().map(drop)),
                Code::Malformed,
                "field 1: invalid data length at byte 3",
            ),
        ];
        for (bytes, steps, code, text) in cases {
            let mut c = cursor(bytes);
            let error = steps(&mut c).unwrap_err();
            assert_eq!((error.code(), error.text()), (*code, *text));
            assert_eq!((c.field().unwrap_err(), c.end().unwrap_err()), (error.clone(), error));
        }
    }

    #[test]
    fn depth_ends_at_the_limit() {
        let nested = |n: usize| [&[12, 0, 1].repeat(n - 1)[..], &vec![0; n]].concat();
        copy(&nested(64)).unwrap();
        let error = copy(&nested(65)).unwrap_err();
        assert_eq!(error.code(), Code::CodecLimit);
        cursor(&nested(64)).end().unwrap();
        assert_eq!(cursor(&nested(65)).end().unwrap_err().code(), Code::CodecLimit);
    }
}
