use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::{Code, Encoding, Message};
use crate::codec::json::{JsonOptions, json_to_struct};
use crate::idl::{MemoryProvider, Options, compile};

const IDL: &str = "
    enum E { A = 1 }
    union U { 1: i32 a, 2: string b }
    struct T { 1: required i16 x, 2: optional S s, 3: i32 y = 7 }
    struct S {
        1: optional bool a, 2: optional i8 b, 3: optional i16 c, 4: optional i64 d, 5: optional double e,
        6: optional string f, 7: optional binary g, 8: optional E h, 9: optional T i, 10: optional U j,
        11: optional list<i32> k, 12: optional set<string> l, 13: optional map<i8, list<T>> m,
    }";

fn schema() -> Arc<Schema> {
    let files = MemoryProvider::new().file("t.thrift", IDL);
    compile("t.thrift", &files, &Options::default()).into_schema().unwrap()
}

fn record(schema: &Arc<Schema>, name: &str) -> Record {
    Record::named(schema, name).unwrap()
}

#[test]
fn what_is_set_is_encoded_as_its_json_is_and_decoded() {
    let schema = schema();
    let mut t = record(&schema, "T");
    t.set("x", 5i64).unwrap();
    let mut u = record(&schema, "U");
    u.set("a", 1).unwrap();
    u.set("b", "two").unwrap();
    let mut s = record(&schema, "S");
    s.set("a", true).unwrap();
    s.set("b", -128i64).unwrap();
    s.set("c", 7i8).unwrap();
    s.set("d", 1i32).unwrap();
    s.set("e", 1.5).unwrap();
    s.set("f", "text").unwrap();
    s.set("g", Bytes::from_static(b"\xff")).unwrap();
    s.set("h", 9).unwrap();
    s.set("i", t.clone()).unwrap();
    s.set("j", u).unwrap();
    s.set("k", vec![Value::I8(1), Value::I64(2)]).unwrap();
    s.set("l", vec![Value::from("x")]).unwrap();
    s.set("m", vec![(Value::I64(3), Value::List(vec![t.into()]))]).unwrap();
    let message = s.encode().unwrap();

    let json = br#"{"a":true,"b":-128,"c":7,"d":1,"e":1.5,"f":"text","g":"/w==","h":9,"i":{"x":5},"j":{"b":"two"},"k":[1,2],"l":["x"],"m":{"3":[{"x":5}]}}"#;
    let mut bytes = vec![];
    json_to_struct(&schema, s.id(), json, &JsonOptions::strict(), &mut bytes).unwrap();
    assert_eq!(message.bytes(), bytes);

    let back = Record::decode(&schema, s.id(), &message).unwrap();
    assert_eq!(back.encode().unwrap().bytes(), bytes);
    assert_eq!(back.get("b").unwrap().unwrap().as_integer(), Some(-128));
    assert_eq!(back.get("f").unwrap().unwrap().as_text(), Some("text"));
    let Some(Value::Struct(t)) = back.get("i").unwrap() else { panic!() };
    assert_eq!(t.get(&schema, "y").unwrap(), Some(&Value::I32(7)));
    assert_eq!(t.iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(s.unset("a").unwrap(), Some(Value::Bool(true)));
    assert_eq!(s.get("a").unwrap(), None);
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let schema = schema();
    let mut s = record(&schema, "S");
    let rows: [(&str, Value, &str); 9] = [
        ("a", 1.into(), "a: its type is bool, not i32"),
        ("b", 128.into(), "b: value is beyond range of i8"),
        ("h", (1i64 << 31).into(), "h: value is beyond range of enum"),
        ("d", 1.0.into(), "d: its type is i64, not double"),
        ("e", 1.into(), "e: its type is double, not i32"),
        ("f", true.into(), "f: its type is string, not bool"),
        ("k", Value::List(vec![1.into(), "x".into()]), "k[1]: its type is i32, not bytes"),
        (
            "m",
            Value::Map(vec![(Value::I8(1), Value::List(vec![record(&schema, "S").into()]))]),
            "m[0].value[0]: its type is T, not S",
        ),
        (
            "m",
            Value::Map(vec![(Value::I64(300), Value::List(vec![]))]),
            "m[0].key: value is beyond range of i8",
        ),
    ];
    for (field, value, text) in rows {
        let error = s.set(field, value).unwrap_err();
        assert_eq!((error.code(), error.text()), (Code::TypeMismatch, text));
    }
    let error = s.set("z", 1).unwrap_err();
    assert_eq!((error.code(), error.text()), (Code::InvalidArgument, "name: struct S has no field z"));
    assert!(s.get("z").is_err());
    assert!(Record::named(&schema, "Z").is_err());

    assert_eq!(record(&schema, "T").encode().unwrap_err().text(), "required field T.x is not set");
    assert_eq!(record(&schema, "U").encode().unwrap_err().code(), Code::TypeMismatch);
}

#[test]
fn depth_is_limited() {
    let schema = schema();
    let mut s = record(&schema, "S");
    for n in 0.. {
        let mut t = record(&schema, "T");
        t.set("x", 1).unwrap();
        t.set("s", s).unwrap();
        s = record(&schema, "S");
        s.set("i", t).unwrap();
        if n > 40 {
            break;
        }
    }
    assert_eq!(s.encode().unwrap_err().code(), Code::CodecLimit);
}

#[test]
fn unknown_fields_are_kept() {
    let schema = schema();
    let id = record(&schema, "T").id();
    let bytes = Bytes::from_static(b"\x06\0\x01\0\x01\x02\0\x63\x01\x08\0\x03\0\0\0\x05\0");
    let read = Record::decode(&schema, id, &Message::new(Encoding::THRIFT_BINARY, bytes)).unwrap();
    assert_eq!(&read.fields().unknown()[..], b"\x02\0\x63\x01");
    assert_eq!(&read.encode().unwrap().bytes()[..], b"\x06\0\x01\0\x01\x08\0\x03\0\0\0\x05\x02\0\x63\x01\0");
}

proptest! {
    #[test]
    fn any_bytes_are_decided(bytes in prop::collection::vec(prop_oneof![4 => 0..16u8, 1 => any::<u8>()], 0..80)) {
        let schema = schema();
        let id = record(&schema, "S").id();
        let message = Message::new(Encoding::THRIFT_BINARY, bytes.into());
        if let Ok(read) = Record::decode(&schema, id, &message) {
            let _ = read.encode();
        }
    }
}
