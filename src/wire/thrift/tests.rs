//! Values against the Apache `thrift` crate, skipping against reading, limits against lies.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier,
    TMapIdentifier, TOutputProtocol, TSetIdentifier, TStructIdentifier, TType as Apache,
};

use super::*;
use crate::base::Limits;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    I8(i8),
    Double(u64),
    I16(i16),
    I32(i32),
    I64(i64),
    String(Vec<u8>),
    Struct(Vec<(i16, Value)>),
    Map(TType, TType, Vec<(Value, Value)>),
    Set(TType, Vec<Value>),
    List(TType, Vec<Value>),
}

impl Value {
    fn ttype(&self) -> TType {
        match self {
            Value::Bool(_) => TType::Bool,
            Value::I8(_) => TType::I8,
            Value::Double(_) => TType::Double,
            Value::I16(_) => TType::I16,
            Value::I32(_) => TType::I32,
            Value::I64(_) => TType::I64,
            Value::String(_) => TType::String,
            Value::Struct(_) => TType::Struct,
            Value::Map(..) => TType::Map,
            Value::Set(..) => TType::Set,
            Value::List(..) => TType::List,
        }
    }

    fn write(&self, w: &mut BinaryWriter<'_>) {
        match self {
            Value::Bool(v) => w.write_bool(*v),
            Value::I8(v) => w.write_i8(*v),
            Value::Double(v) => w.write_double(f64::from_bits(*v)),
            Value::I16(v) => w.write_i16(*v),
            Value::I32(v) => w.write_i32(*v),
            Value::I64(v) => w.write_i64(*v),
            Value::String(v) => w.write_bytes(v).unwrap(),
            Value::Struct(fields) => {
                for (id, value) in fields {
                    w.write_field_begin(value.ttype(), *id);
                    value.write(w);
                }
                w.write_stop();
            }
            Value::Map(k, v, pairs) => {
                w.write_map_begin(*k, *v, pairs.len()).unwrap();
                pairs.iter().for_each(|(key, value)| {
                    key.write(w);
                    value.write(w);
                });
            }
            Value::Set(e, items) => {
                w.write_set_begin(*e, items.len()).unwrap();
                items.iter().for_each(|item| item.write(w));
            }
            Value::List(e, items) => {
                w.write_list_begin(*e, items.len()).unwrap();
                items.iter().for_each(|item| item.write(w));
            }
        }
    }

    fn read(r: &mut BinaryReader<'_>, ttype: TType) -> Value {
        match ttype {
            TType::Bool => Value::Bool(r.read_bool().unwrap()),
            TType::I8 => Value::I8(r.read_i8().unwrap()),
            TType::Double => Value::Double(r.read_double().unwrap().to_bits()),
            TType::I16 => Value::I16(r.read_i16().unwrap()),
            TType::I32 => Value::I32(r.read_i32().unwrap()),
            TType::I64 => Value::I64(r.read_i64().unwrap()),
            TType::String => Value::String(r.read_bytes().unwrap().to_vec()),
            TType::Struct => {
                let mut fields = vec![];
                while let Some((ttype, id)) = r.read_field_begin().unwrap() {
                    fields.push((id, Value::read(r, ttype)));
                }
                Value::Struct(fields)
            }
            TType::Map => {
                let (k, v, n) = r.read_map_begin().unwrap();
                Value::Map(k, v, (0..n).map(|_| (Value::read(r, k), Value::read(r, v))).collect())
            }
            TType::Set => {
                let (e, n) = r.read_set_begin().unwrap();
                Value::Set(e, (0..n).map(|_| Value::read(r, e)).collect())
            }
            TType::List => {
                let (e, n) = r.read_list_begin().unwrap();
                Value::List(e, (0..n).map(|_| Value::read(r, e)).collect())
            }
            TType::Stop | TType::Void => unreachable!(),
        }
    }

    fn apache_write(&self, o: &mut dyn TOutputProtocol) -> thrift::Result<()> {
        let apache = |ttype| match ttype {
            TType::Bool => Apache::Bool,
            TType::I8 => Apache::I08,
            TType::Double => Apache::Double,
            TType::I16 => Apache::I16,
            TType::I32 => Apache::I32,
            TType::I64 => Apache::I64,
            TType::String => Apache::String,
            TType::Struct => Apache::Struct,
            TType::Map => Apache::Map,
            TType::Set => Apache::Set,
            TType::List => Apache::List,
            TType::Stop | TType::Void => unreachable!(),
        };
        match self {
            Value::Bool(v) => o.write_bool(*v),
            Value::I8(v) => o.write_i8(*v),
            Value::Double(v) => o.write_double(f64::from_bits(*v)),
            Value::I16(v) => o.write_i16(*v),
            Value::I32(v) => o.write_i32(*v),
            Value::I64(v) => o.write_i64(*v),
            Value::String(v) => o.write_bytes(v),
            Value::Struct(fields) => {
                o.write_struct_begin(&TStructIdentifier::new("s"))?;
                for (id, value) in fields {
                    o.write_field_begin(&TFieldIdentifier::new("f", apache(value.ttype()), *id))?;
                    value.apache_write(o)?;
                    o.write_field_end()?;
                }
                o.write_field_stop()?;
                o.write_struct_end()
            }
            Value::Map(k, v, pairs) => {
                o.write_map_begin(&TMapIdentifier::new(apache(*k), apache(*v), pairs.len() as i32))?;
                pairs.iter().try_for_each(|(key, value)| {
                    key.apache_write(o)?;
                    value.apache_write(o)
                })
            }
            Value::Set(e, items) => {
                o.write_set_begin(&TSetIdentifier::new(apache(*e), items.len() as i32))?;
                items.iter().try_for_each(|item| item.apache_write(o))
            }
            Value::List(e, items) => {
                o.write_list_begin(&TListIdentifier::new(apache(*e), items.len() as i32))?;
                items.iter().try_for_each(|item| item.apache_write(o))
            }
        }
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u64>().prop_map(Value::Double),
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::String),
    ]
}

pub(crate) fn structs() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            3 => prop::collection::vec((any::<i16>(), inner.clone()), 0..6).prop_map(Value::Struct),
            // One element repeated is as good as many: what matters is that the types agree.
            1 => (inner.clone(), 0..5usize)
                .prop_map(|(item, n)| Value::List(item.ttype(), vec![item; n])),
            1 => (inner.clone(), 0..5usize).prop_map(|(item, n)| Value::Set(item.ttype(), vec![item; n])),
            1 => (inner.clone(), inner, 0..5usize)
                .prop_map(|(k, v, n)| Value::Map(k.ttype(), v.ttype(), vec![(k, v); n])),
        ]
    });
    prop::collection::vec((any::<i16>(), value), 0..6).prop_map(Value::Struct)
}

pub(crate) fn encode(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    value.write(&mut BinaryWriter::new(&mut out));
    out
}

proptest! {
    #[test]
    fn values_are_written_as_apache_writes_them_and_read_back(value in structs()) {
        let bytes = encode(&value);
        let mut apache = Vec::new();
        value.apache_write(&mut TBinaryOutputProtocol::new(&mut apache, true)).unwrap();
        prop_assert_eq!(&bytes[..], &apache[..]);
        let mut input = TBinaryInputProtocol::new(&apache[..], true);
        input.skip(Apache::Struct).unwrap();
        let mut reader = BinaryReader::new(&bytes);
        prop_assert_eq!(&Value::read(&mut reader, TType::Struct), &value);
        prop_assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn skipping_finds_the_end_however_the_bytes_arrive(value in structs(), tail in 0..20usize) {
        let mut bytes = encode(&value);
        let len = bytes.len();
        bytes.resize(len + tail, 0xAA);
        let mut reader = BinaryReader::new(&bytes);
        reader.skip(TType::Struct).unwrap();
        prop_assert_eq!(reader.position(), len);
        prop_assert_eq!(Skipper::new(64).advance(&bytes).unwrap(), Some(len));
        let mut slow = Skipper::new(64);
        for n in 0..len {
            prop_assert_eq!(slow.advance(&bytes[..n]).unwrap(), None, "at {}", n);
            prop_assert!(slow.needed() > n && slow.needed() <= len, "{} of {}", slow.needed(), len);
        }
        prop_assert_eq!(slow.advance(&bytes[..len]).unwrap(), Some(len));
        for n in 0..len {
            prop_assert!(BinaryReader::new(&bytes[..n]).skip(TType::Struct).is_err());
        }
    }

    #[test]
    fn any_bytes_are_skipped_alike_or_refused_alike(bytes in prop::collection::vec(
        prop_oneof![4 => 0..16u8, 1 => any::<u8>()], 0..80)) {
        let mut reader = BinaryReader::new(&bytes);
        let at_once = reader.skip(TType::Struct);
        let resumed = Skipper::new(64).advance(&bytes);
        match (&at_once, &resumed) {
            (Ok(()), Ok(Some(n))) => prop_assert_eq!(*n, reader.position()),
            // The reader's early count check may hide an error that the skipper walks into.
            (Err(error), _) if error.text().starts_with("buffer too short") => {
                prop_assert!(!matches!(resumed, Ok(Some(_))))
            }
            (Err(a), Err(b)) => prop_assert_eq!(a.code(), b.code()),
            _ => prop_assert!(false, "{:?} / {:?}", at_once, resumed),
        }
        let mut slow = Skipper::new(64);
        let stepwise = (0..=bytes.len()).map(|n| slow.advance(&bytes[..n])).find(|r| !matches!(r, Ok(None)));
        prop_assert_eq!(stepwise.unwrap_or(Ok(None)), resumed);
    }
}

#[test]
fn depth_ends_at_the_limit() {
    // n lists within each other, the innermost one empty; the same of structs and of maps.
    let lists = |n: usize| [[15u8, 0, 0, 0, 1].repeat(n - 1), vec![2, 0, 0, 0, 0]].concat();
    let structs = |n: usize| [[12u8, 0, 1].repeat(n - 1), vec![0; n]].concat();
    let maps = |n: usize| [[2u8, 13, 0, 0, 0, 1, 1].repeat(n - 1), vec![2, 2, 0, 0, 0, 0]].concat();
    for (ttype, make) in
        [(TType::List, &lists as &dyn Fn(usize) -> Vec<u8>), (TType::Struct, &structs), (TType::Map, &maps)]
    {
        for n in [63, 64] {
            let bytes = make(n);
            BinaryReader::new(&bytes).skip(ttype).unwrap();
            assert_eq!(Skipper::of(ttype, 64).advance(&bytes).unwrap(), Some(bytes.len()));
        }
        let bytes = make(65);
        let errors =
            [BinaryReader::new(&bytes).skip(ttype), Skipper::of(ttype, 64).advance(&bytes).map(|_| ())];
        for error in errors.map(Result::unwrap_err) {
            assert_eq!(error.code(), crate::base::Code::CodecLimit);
            assert!(error.text().starts_with("depth limit exceeded at byte "), "{error}");
        }
    }
}

#[test]
fn malformed_values_have_gopkgs_texts_and_a_position() {
    let cases: &[(&[u8], &str)] = &[
        (&[5, 0, 1, 0], "unknown data type 5"),
        (&[16, 0, 1, 0], "unknown data type 16"),
        (&[11, 0, 1, 255, 255, 255, 255], "invalid data length at byte 3"),
        (&[15, 0, 1, 8, 128, 0, 0, 0], "invalid data length at byte 4"),
        (&[13, 0, 1, 8, 8, 255, 255, 255, 255], "invalid data length at byte 5"),
        (&[15, 0, 1, 0, 0, 0, 0, 1, 0], "unknown data type 0"),
        (&[15, 0, 1, 1, 0, 0, 0, 1, 0], "unknown data type 1"),
        (&[15, 0, 1, 7, 0, 0, 0, 1, 0], "unknown data type 7"),
        (&[13, 0, 1, 8, 9, 0, 0, 0, 1, 0], "unknown data type 9"),
        (&[1, 0, 0, 3, 0], "unknown data type 3"),
    ];
    for (bytes, text) in cases {
        let error = BinaryReader::new(bytes).skip(TType::Struct).unwrap_err();
        assert_eq!((error.code(), error.text()), (crate::base::Code::Malformed, *text));
        assert_eq!(Skipper::new(64).advance(bytes).unwrap_err(), error);
    }
    let error = BinaryReader::new(&[8, 0, 1, 0]).skip(TType::Struct).unwrap_err();
    assert_eq!(error.text(), "buffer too short at byte 3");
}

#[test]
fn empty_containers_may_name_any_type_and_void_is_one_byte() {
    for bytes in
        [&[15, 0, 1, 99, 0, 0, 0, 0, 0][..], &[13, 0, 1, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0]]
    {
        BinaryReader::new(bytes).skip(TType::Struct).unwrap();
        assert_eq!(Skipper::new(64).advance(bytes).unwrap(), Some(bytes.len()));
    }
}

#[test]
fn claims_beyond_the_data_are_refused_before_anything_is_reserved() {
    let mut huge = BinaryReader::new(&[8, 127, 255, 255, 255, 0, 0]);
    assert!(huge.read_list_begin().unwrap_err().text().starts_with("buffer too short"));
    let mut huge = BinaryReader::new(&[12, 12, 127, 255, 255, 255, 0]);
    assert!(huge.read_map_begin().unwrap_err().text().starts_with("buffer too short"));
    let mut skipper = Skipper::new(64);
    assert_eq!(skipper.advance(&[11, 0, 1, 127, 255, 255, 255, 1]).unwrap(), None);
    assert_eq!(skipper.needed(), 7 + i32::MAX as usize);
}

#[test]
fn only_byte_one_is_true() {
    let read = |byte| BinaryReader::new(&[byte]).read_bool().unwrap();
    assert_eq!([0, 1, 2, 255].map(read), [false, true, false, false]);
}

#[test]
fn types_have_names_and_sizes() {
    for byte in 0..=255u8 {
        match TType::from_byte(byte) {
            Ok(ttype) => {
                assert_eq!(ttype as u8, byte);
                assert!(!ttype.name().is_empty());
                assert!(ttype.fixed_size().is_none_or(|size| size == ttype.min_size()));
            }
            Err(error) => assert_eq!(error.text(), format!("unknown data type {byte}")),
        }
    }
}

#[test]
fn envelopes_are_read_as_they_arrive() {
    let envelope = Envelope { kind: MessageType::Oneway, name: "Ping".into(), seq: -2 };
    let mut bytes = BytesMut::new();
    envelope.write(&mut bytes).unwrap();
    assert_eq!(&bytes[..], b"\x80\x01\0\x04\0\0\0\x04Ping\xff\xff\xff\xfe");
    for n in 0..bytes.len() {
        let mut short = BytesMut::from(&bytes[..n]);
        assert_eq!(Envelope::read(&mut short, &Limits::DEFAULT).unwrap(), None);
        assert_eq!(short.len(), n);
    }
    bytes.extend_from_slice(b"\0");
    assert_eq!(Envelope::read(&mut bytes, &Limits::DEFAULT).unwrap(), Some(envelope));
    assert_eq!(&bytes[..], b"\0");
}

#[test]
fn bad_envelopes_are_refused() {
    let read = |bytes: &[u8], limits: &Limits| Envelope::read(&mut BytesMut::from(bytes), limits);
    for number in [0, 5, 6, 0x0101, 0x0100, 0xFFFF_u16] {
        let [high, low] = number.to_be_bytes();
        let error = read(&[0x80, 1, high, low, 0, 0, 0, 0, 0, 0, 0, 0], &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.text(), format!("invalid message type {number}"));
    }
    let error = read(b"\0\0\0\x04Echo\x01\0\0\0\x01", &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.text(), "ReadMessageBegin: bad version");
    let error = read(b"\x80\x01\0\x01\xff\xff\xff\xff", &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.text(), "invalid method name length -1");
    let error = read(b"\x80\x01\0\x01\x7f\xff\xff\xff", &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.text(), "invalid method name length 2147483647");
}

#[test]
fn old_style_is_read_by_option_only() {
    let limits = Limits { allow_old_style: true, ..Limits::DEFAULT };
    let mut bytes = BytesMut::from(&b"\0\0\0\x04Echo\x01\0\0\0\x09!"[..]);
    let envelope = Envelope::read(&mut bytes, &limits).unwrap().unwrap();
    assert_eq!(envelope, Envelope { kind: MessageType::Call, name: "Echo".into(), seq: 9 });
    assert_eq!(&bytes[..], b"!");
    let strict = Envelope { kind: MessageType::Reply, name: Bytes::new(), seq: 0 };
    strict.write(&mut bytes).unwrap();
    let _ = bytes.split_to(1);
    assert_eq!(Envelope::read(&mut bytes, &limits).unwrap(), Some(strict));
}

#[test]
fn exceptions_are_read_in_any_order_with_anything_between() {
    let read = |bytes: &'static [u8]| ApplicationException::read(&Bytes::from_static(bytes), 64);
    let message = b"\x0b\0\x01\0\0\0\x02no";
    let code = b"\x08\0\x02\0\0\0\x14";
    let unknown = b"\x0c\0\x07\x0f\0\x01\x0b\0\0\0\x01\0\0\0\x01x\0";
    for parts in [
        [&message[..], &code[..], &b""[..]],
        [&code[..], &message[..], &b""[..]],
        [&unknown[..], &code[..], &message[..]],
        [&code[..], &unknown[..], &message[..]],
    ] {
        let body: &'static [u8] = [&parts.concat()[..], b"\0junk"].concat().leak();
        assert_eq!(read(body).unwrap(), ApplicationException::new(20, "no"));
    }
    assert_eq!(read(b"\0").unwrap(), ApplicationException::default());
    assert_eq!(read(b"\x08\0\x02\0\0\0\x06\0").unwrap().text(), "unknown internal error");
    assert_eq!(read(b"\x0b\0\x01\0\0\0\0\0").unwrap().text(), "unknown application exception");
    // A known id of another type is skipped like an unknown field.
    assert_eq!(read(b"\x08\0\x01\0\0\0\x01\0").unwrap(), ApplicationException::default());
    assert!(read(b"").is_err());
    assert!(read(b"\x0b\0\x01\0\0\0\x02n").is_err());
    for (type_id, text) in [(11, "unknown exception type [11]"), (20, "unknown exception type [20]")] {
        assert_eq!(ApplicationException::new(type_id, "").text(), text);
    }
    let mut out = BytesMut::new();
    ApplicationException::new(20, "no").write(&mut out).unwrap();
    assert_eq!(out, [&message[..], &code[..], b"\0"].concat());
}
