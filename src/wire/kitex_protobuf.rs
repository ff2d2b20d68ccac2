//! The Kitex-protobuf payload: an envelope like Thrift's around a bare protobuf message, always
//! framed (ttheader.md §5).

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::{Code, Error, Result};
use crate::wire::be;
use crate::wire::thrift::message::Head;
use crate::wire::thrift::{ApplicationException, MessageType};

/// High half of the envelope's first word.
pub const VERSION: u16 = 0x9001;

/// Size of the envelope without the method name.
pub const FIXED_BYTES: usize = 12;

/// Reads the envelope at the front of a whole frame; the protobuf message is the rest of it.
pub(crate) fn peek(frame: &[u8]) -> Result<Head> {
    let kind = be::u16_at(frame, 2).ok_or_else(too_short)?;
    let kind = MessageType::from_number(kind)?;
    let name_len = be::length(be::u32_at(frame, 4).ok_or_else(too_short)?);
    if name_len == 0 {
        return Err(Error::new(Code::BadMessage, "invalid string length in ReadString"));
    }
    let seq = name_len.checked_add(8).and_then(|at| be::i32_at(frame, at)).ok_or_else(too_short)?;
    Ok(Head { kind, seq, name_at: 8, name_len, len: FIXED_BYTES + name_len })
}

/// Reads the body of an EXCEPTION: `ErrorProto { int32 TypeID = 1; string Message = 2; }`. Missing
/// fields are zero, unknown ones are skipped. The message is a slice of `body`.
pub fn read_exception(body: &Bytes) -> Result<ApplicationException> {
    let mut exception = ApplicationException::default();
    let mut reader = Reader { rest: body };
    while !reader.rest.is_empty() {
        match reader.field()? {
            (1, Value::Varint(value)) => exception.type_id = low_i32(value),
            (2, Value::Bytes(text)) => exception.message = body.slice_ref(text),
            _ => {}
        }
    }
    Ok(exception)
}

/// Appends an `ErrorProto`; as in proto3, zero and empty are left out.
pub fn write_exception(exception: &ApplicationException, out: &mut BytesMut) {
    if exception.type_id != 0 {
        out.put_u8(0x08);
        // A negative int32 is sign-extended to ten bytes.
        put_varint(out, i64::from(exception.type_id).cast_unsigned());
    }
    if !exception.message.is_empty() {
        out.put_u8(0x12);
        put_varint(out, exception.message.len() as u64);
        out.put_slice(&exception.message);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(bad_proto("field number 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let n = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(n)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups: deprecated since proto2, and ErrorProto never had one.
            _ => return Err(bad_proto("wire type")),
        };
        Ok((number, value))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(bad_proto("end")) };
            // The tenth byte has one bit to give.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad_proto("varint"))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| bad_proto("end"))?;
        self.rest = rest;
        Ok(head)
    }
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while let (low, rest @ 1..) = (value & 0x7F, value >> 7) {
        out.put_u8(0x80 | low_byte(low));
        value = rest;
    }
    out.put_u8(low_byte(value));
}

/// A protobuf int32 keeps the low half of its varint.
fn low_i32(value: u64) -> i32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}

fn low_byte(value: u64) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}

#[cold]
fn too_short() -> Error {
    Error::new(Code::BadMessage, "protobuf envelope runs past its frame")
}

#[cold]
fn bad_proto(what: &str) -> Error {
    Error::new(Code::Malformed, format!("protobuf unmarshal Exception failed: unexpected {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(exception: &ApplicationException) -> BytesMut {
        let mut out = BytesMut::new();
        write_exception(exception, &mut out);
        assert_eq!(&read_exception(&out.clone().freeze()).unwrap(), exception);
        out
    }

    #[test]
    fn exceptions_round_trip_in_protobufs_own_bytes() {
        assert_eq!(&round_trip(&ApplicationException::new(20, "no"))[..], b"\x08\x14\x12\x02no");
        assert_eq!(&round_trip(&ApplicationException::new(300, ""))[..], b"\x08\xac\x02");
        assert_eq!(&round_trip(&ApplicationException::default())[..], b"");
        let negative = round_trip(&ApplicationException::new(-1, ""));
        assert_eq!(&negative[..], b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(round_trip(&ApplicationException::new(i32::MIN, vec![0xFF; 200])).len(), 11 + 203);
    }

    #[test]
    fn unknown_fields_are_skipped_and_the_last_value_wins() {
        let body = Bytes::from_static(
            b"\x12\x01x\x18\x05\x21--------\x2a\x03abc\x35----\x08\x01\x12\x02no\x08\x14\x0a\x01z",
        );
        assert_eq!(read_exception(&body).unwrap(), ApplicationException::new(20, "no"));
    }

    #[test]
    fn malformed_exceptions_are_refused() {
        for body in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x12\x05abc",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            b"\x0b",
            b"\x0e",
            b"\x00\x01",
            b"\x21---",
        ] {
            assert!(read_exception(&Bytes::from_static(body)).is_err(), "{body:?}");
        }
    }
}
