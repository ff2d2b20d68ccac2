//! Builds the bytes of a struct step by step, and refuses a step that would make them malformed.

use bytes::BytesMut;

use super::nesting::Nesting;
use crate::base::{Code, Encoding, Error, Limits, Message, Result};
use crate::wire::thrift::{BinaryReader, BinaryWriter, TType};

/// Builds a struct in Thrift Binary. The outermost struct is open from the start and ended by
/// [`Builder::finish`]; a container ends by itself with its last element. The first failure sticks:
/// every later step, and `finish`, fails with it.
#[derive(Debug)]
pub struct Builder {
    out: BytesMut,
    pub(super) nesting: Nesting,
    failed: Option<Error>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A struct without fields so far.
    pub fn new() -> Builder {
        Builder::with(Nesting::new())
    }

    pub(super) fn with(nesting: Nesting) -> Builder {
        Builder { out: BytesMut::new(), nesting, failed: None }
    }

    /// Runs some steps unless one has failed before; their failure sticks.
    pub fn attempt(&mut self, steps: impl FnOnce(&mut Builder) -> Result<()>) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = steps(self);
        if let Err(error) = &result {
            self.failed.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// Begins a field; its value follows. Ids are not checked for being used twice.
    pub fn field(&mut self, id: i16, ttype: TType) -> Result<()> {
        self.attempt(|b| {
            value_type(ttype)?;
            b.nesting.field(id, ttype, true)?;
            b.write(3, |w| {
                w.write_field_begin(ttype, id);
                Ok(())
            })
        })
    }

    /// A bool.
    pub fn bool(&mut self, value: bool) -> Result<()> {
        self.scalar(TType::Bool, 1, |w| w.write_bool(value))
    }

    /// An i8.
    pub fn i8(&mut self, value: i8) -> Result<()> {
        self.scalar(TType::I8, 1, |w| w.write_i8(value))
    }

    /// An i16.
    pub fn i16(&mut self, value: i16) -> Result<()> {
        self.scalar(TType::I16, 2, |w| w.write_i16(value))
    }

    /// An i32, or an enum's number.
    pub fn i32(&mut self, value: i32) -> Result<()> {
        self.scalar(TType::I32, 4, |w| w.write_i32(value))
    }

    /// An i64.
    pub fn i64(&mut self, value: i64) -> Result<()> {
        self.scalar(TType::I64, 8, |w| w.write_i64(value))
    }

    /// A double.
    pub fn double(&mut self, value: f64) -> Result<()> {
        self.scalar(TType::Double, 8, |w| w.write_double(value))
    }

    /// A string or binary.
    pub fn bytes(&mut self, value: &[u8]) -> Result<()> {
        self.attempt(|b| {
            b.nesting.expect(TType::String)?;
            b.write(value.len().saturating_add(4), |w| w.write_bytes(value))?;
            b.nesting.advance();
            Ok(())
        })
    }

    /// Begins a list; `count` elements follow.
    pub fn list(&mut self, element: TType, count: usize) -> Result<()> {
        self.list_or_set(TType::List, element, count)
    }

    /// Begins a set; `count` elements follow, which are not checked for being equal.
    pub fn set(&mut self, element: TType, count: usize) -> Result<()> {
        self.list_or_set(TType::Set, element, count)
    }

    /// Begins a map; `count` pairs of key and value follow.
    pub fn map(&mut self, key: TType, value: TType, count: usize) -> Result<()> {
        self.attempt(|b| {
            let (key, value) = (b.element(key, false)?, b.element(value, true)?);
            value_type(key)?;
            value_type(value)?;
            b.nesting.expect(TType::Map)?;
            b.write(6, |w| w.write_map_begin(key, value, count))?;
            b.nesting.open_map(key, value, count)
        })
    }

    /// Begins a struct as a value; its fields follow.
    pub fn struct_begin(&mut self) -> Result<()> {
        self.attempt(|b| {
            b.nesting.expect(TType::Struct)?;
            b.nesting.open_struct(0)
        })
    }

    /// Ends the struct that was begun last.
    pub fn struct_end(&mut self) -> Result<()> {
        self.attempt(|b| {
            b.complete()?;
            b.nesting.close_struct()?;
            b.write_stop()
        })
    }

    /// A struct that is encoded already, as a value.
    pub fn encoded_struct(&mut self, message: &Message) -> Result<()> {
        self.attempt(|b| {
            thrift_binary(message)?;
            b.nesting.expect(TType::Struct)?;
            let bytes = message.bytes();
            whole_struct(&bytes, b.nesting.depth_left()).map_err(|error| {
                let text = format!("{}, encoded: {}", b.nesting.path(), error.text());
                Error::new(error.code(), text)
            })?;
            b.write(bytes.len(), |w| {
                w.write_encoded(&bytes);
                Ok(())
            })?;
            b.nesting.advance();
            Ok(())
        })
    }

    /// Ends the outermost struct.
    pub fn finish(mut self) -> Result<Message> {
        self.attempt(|b| {
            if b.nesting.unwrap() {
                b.struct_end()?;
            }
            b.nesting.expect_outermost()?;
            b.complete()?;
            b.write_stop()
        })?;
        Ok(Message::new(Encoding::THRIFT_BINARY, self.out.freeze()))
    }

    /// The failure that sticks, if any.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// A field that was announced, with its header.
    pub(super) fn encoded_field(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes.len(), |w| {
            w.write_encoded(bytes);
            Ok(())
        })?;
        self.nesting.advance();
        Ok(())
    }

    fn scalar(&mut self, ttype: TType, size: usize, write: impl FnOnce(&mut BinaryWriter<'_>)) -> Result<()> {
        self.attempt(|b| {
            b.nesting.expect(ttype)?;
            b.write(size, |w| {
                write(w);
                Ok(())
            })?;
            b.nesting.advance();
            Ok(())
        })
    }

    fn list_or_set(&mut self, ttype: TType, element: TType, count: usize) -> Result<()> {
        self.attempt(|b| {
            let element = b.element(element, false)?;
            value_type(element)?;
            b.nesting.expect(ttype)?;
            b.write(5, |w| w.write_list_begin(element, count))?;
            b.nesting.open_list(ttype, element, count)
        })
    }

    fn write_stop(&mut self) -> Result<()> {
        self.write(1, |w| {
            w.write_stop();
            Ok(())
        })
    }

    /// Writes `size` bytes, unless no frame could carry them any more.
    fn write(&mut self, size: usize, write: impl FnOnce(&mut BinaryWriter<'_>) -> Result<()>) -> Result<()> {
        if size > Limits::MAX_FRAME_BYTES - self.out.len() {
            let text =
                format!("{}: the message exceeds {} bytes", self.nesting.path(), Limits::MAX_FRAME_BYTES);
            return Err(Error::new(Code::EncodeFailed, text));
        }
        write(&mut BinaryWriter::new(&mut self.out))
    }
}

/// Refuses messages of other encodings.
pub(super) fn thrift_binary(message: &Message) -> Result<()> {
    match message.encoding() {
        Encoding::THRIFT_BINARY => Ok(()),
        other => Err(Error::new(
            Code::Unsupported,
            format!("the message is not Thrift Binary: encoding {}", other.0),
        )),
    }
}

pub(super) fn whole_struct(bytes: &[u8], depth: u8) -> Result<()> {
    let mut reader = BinaryReader::with_depth_limit(bytes, depth);
    reader.skip(TType::Struct)?;
    match reader.remaining() {
        0 => Ok(()),
        n => Err(Error::new(Code::Malformed, format!("{n} bytes after the struct"))),
    }
}

fn value_type(ttype: TType) -> Result<()> {
    match ttype {
        TType::Stop | TType::Void => {
            Err(Error::invalid_argument("type", format_args!("{} is not the type of a value", ttype.name())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Runs steps that ignore failures, as C code may, and tells how `finish` ends.
    fn build(steps: impl FnOnce(&mut Builder)) -> Result<Vec<u8>> {
        let mut builder = Builder::new();
        steps(&mut builder);
        builder.finish().map(|message| message.bytes().to_vec())
    }

    #[test]
    fn a_struct_of_everything_has_the_bytes_of_the_specification() {
        let inner = Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(b"\x02\0\x01\x01\0"));
        let bytes = build(|b| {
            let _ = b.field(1, TType::String).and_then(|()| b.bytes(b"hi"));
            let _ = b.field(2, TType::List).and_then(|()| b.list(TType::Map, 2));
            let _ = b.map(TType::I8, TType::I16, 1).and_then(|()| b.i8(-1)).and_then(|()| b.i16(2));
            let _ = b.map(TType::String, TType::Set, 0);
            let _ = b.field(-3, TType::Struct).and_then(|()| b.struct_begin());
            let _ =
                b.field(1, TType::Set).and_then(|()| b.set(TType::Double, 1)).and_then(|()| b.double(1.0));
            let _ = b.struct_end();
            let _ = b.field(4, TType::Struct).and_then(|()| b.encoded_struct(&inner));
            let _ = b.field(5, TType::I64).and_then(|()| b.i64(-2));
            let _ = b.field(6, TType::I32).and_then(|()| b.i32(3));
        });
        let expected: &[&[u8]] = &[
            b"\x0b\0\x01\0\0\0\x02hi",
            b"\x0f\0\x02\x0d\0\0\0\x02\x03\x06\0\0\0\x01\xff\0\x02\x0b\x0e\0\0\0\0",
            b"\x0c\xff\xfd\x0e\0\x01\x04\0\0\0\x01\x3f\xf0\0\0\0\0\0\0\0",
            b"\x0c\0\x04\x02\0\x01\x01\0",
            b"\x0a\0\x05\xff\xff\xff\xff\xff\xff\xff\xfe\x08\0\x06\0\0\0\x03\0",
        ];
        assert_eq!(bytes.unwrap(), expected.concat());
    }

    #[test]
    fn the_first_wrong_step_sticks_and_says_where_it_was() {
        type Steps = fn(&mut Builder) -> Result<()>;
        let cases: &[(Steps, Code, &str)] = &[
            (|b| b.i32(1), Code::InvalidState, "outermost struct: no value is due: a field comes first"),
            (|b| b.field(1, TType::Void), Code::InvalidArgument, "type: void is not the type of a value"),
            (
                |b| b.field(1, TType::String).and_then(|()| b.i32(1)),
                Code::TypeMismatch,
                "field 1: its type is string, not i32",
            ),
            (
                |b| b.field(1, TType::Bool).and_then(|()| b.bool(true)).and_then(|()| b.bool(true)),
                Code::InvalidState,
                "field 1: no value is due: a field comes first",
            ),
            (
                |b| b.field(1, TType::Bool).and_then(|()| b.field(2, TType::Bool)),
                Code::InvalidState,
                "field 1: its value, of type bool, is missing",
            ),
            (|b| b.field(1, TType::I8), Code::InvalidState, "field 1: its value, of type i8, is missing"),
            (
                |b| {
                    b.field(7, TType::List)?;
                    b.list(TType::Struct, 3)?;
                    b.struct_begin()?;
                    b.struct_end()?;
                    b.struct_begin()?;
                    b.field(2, TType::Double)?;
                    b.i64(1)
                },
                Code::TypeMismatch,
                "field 7[1].2: its type is double, not i64",
            ),
            (
                |b| b.field(7, TType::Set).and_then(|()| b.set(TType::I8, 3)).and_then(|()| b.i8(1)),
                Code::InvalidState,
                "field 7[1]: the set has 1 of 3 elements",
            ),
            (
                |b| {
                    b.field(7, TType::Map)?;
                    b.map(TType::I8, TType::List, 2)?;
                    b.i8(1)?;
                    b.list(TType::I8, 1)?;
                    b.bytes(b"")
                },
                Code::TypeMismatch,
                "field 7[0].value[0]: its type is i8, not string",
            ),
            (
                |b| {
                    b.field(7, TType::Map)?;
                    b.map(TType::I8, TType::I8, 2)?;
                    b.i8(1)?;
                    b.field(8, TType::I8)
                },
                Code::InvalidState,
                "field 7[0].value: the map has 1 of 4 keys and values",
            ),
            (|b| b.struct_end(), Code::InvalidState, "no struct was begun that could end"),
            (
                |b| b.field(1, TType::Struct).and_then(|()| b.struct_begin()),
                Code::InvalidState,
                "field 1: its struct has not ended",
            ),
            (
                |b| b.field(1, TType::List).and_then(|()| b.list(TType::I8, 1 << 31)),
                Code::EncodeFailed,
                "2147483648 bytes or elements, the protocol ends at 2147483647",
            ),
            (
                |b| {
                    let message = Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(b"\0\0"));
                    b.field(1, TType::Struct).and_then(|()| b.encoded_struct(&message))
                },
                Code::Malformed,
                "field 1, encoded: 1 bytes after the struct",
            ),
            (
                |b| {
                    let message = Message::new(Encoding::JSON, Bytes::from_static(b"{}"));
                    b.field(1, TType::Struct).and_then(|()| b.encoded_struct(&message))
                },
                Code::Unsupported,
                "the message is not Thrift Binary: encoding 4",
            ),
        ];
        for (steps, code, text) in cases {
            let error = build(|b| {
                let _ = steps(b);
                if b.failure().is_some() {
                    assert!(b.field(99, TType::Bool).is_err(), "{text}: later steps fail");
                }
            })
            .unwrap_err();
            assert_eq!((error.code(), error.text()), (*code, *text));
        }
    }

    #[test]
    fn depth_ends_where_readers_end() {
        // The outermost struct is the first of 64.
        let nested = |depth: usize| {
            build(|b| {
                (1..depth).for_each(|_| drop(b.field(1, TType::Struct).and_then(|()| b.struct_begin())));
                (1..depth).for_each(|_| drop(b.struct_end()));
            })
        };
        BinaryReader::new(&nested(64).unwrap()).skip(TType::Struct).unwrap();
        let error = nested(65).unwrap_err();
        assert_eq!(error.code(), Code::CodecLimit);
        assert!(error.text().ends_with(".1.1: depth limit exceeded"), "{error}");
        let message = Message::new(Encoding::THRIFT_BINARY, nested(63).unwrap().into());
        build(|b| drop(b.field(1, TType::Struct).and_then(|()| b.encoded_struct(&message)))).unwrap();
        let message = Message::new(Encoding::THRIFT_BINARY, nested(64).unwrap().into());
        let error = build(|b| drop(b.field(1, TType::Struct).and_then(|()| b.encoded_struct(&message))));
        assert_eq!(error.unwrap_err().code(), Code::CodecLimit);
    }
}
