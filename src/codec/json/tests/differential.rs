//! Against serde_json for the text, against the Apache `thrift` crate for the bytes.

use proptest::prelude::*;
use thrift::protocol::{
    TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TMapIdentifier, TOutputProtocol,
    TSetIdentifier, TStructIdentifier, TType as Apache,
};

use super::*;
use crate::base::json::Scanner;

/// A type that exists only here.
#[derive(Clone, Debug)]
enum Ty {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    String,
    Binary,
    Enum,
    List(Box<Ty>),
    Set(Box<Ty>),
    Map(Box<Ty>, Box<Ty>),
    /// Ids and types, ascending.
    Struct(Vec<(i16, Ty)>),
}

impl Ty {
    fn apache(&self) -> Apache {
        match self {
            Ty::Bool => Apache::Bool,
            Ty::I8 => Apache::I08,
            Ty::I16 => Apache::I16,
            Ty::I32 | Ty::Enum => Apache::I32,
            Ty::I64 => Apache::I64,
            Ty::Double => Apache::Double,
            Ty::String | Ty::Binary => Apache::String,
            Ty::List(_) => Apache::List,
            Ty::Set(_) => Apache::Set,
            Ty::Map(..) => Apache::Map,
            Ty::Struct(_) => Apache::Struct,
        }
    }

    /// The type's name in the IDL; structs are added to `idl`.
    fn declare(&self, idl: &mut Vec<String>) -> String {
        match self {
            Ty::Bool => "bool".into(),
            Ty::I8 => "i8".into(),
            Ty::I16 => "i16".into(),
            Ty::I32 => "i32".into(),
            Ty::I64 => "i64".into(),
            Ty::Double => "double".into(),
            Ty::String => "string".into(),
            Ty::Binary => "binary".into(),
            Ty::Enum => "E".into(),
            Ty::List(element) => format!("list<{}>", element.declare(idl)),
            Ty::Set(element) => format!("set<{}>", element.declare(idl)),
            Ty::Map(key, value) => format!("map<{}, {}>", key.declare(idl), value.declare(idl)),
            Ty::Struct(fields) => {
                let fields: String = fields
                    .iter()
                    .map(|(id, ty)| format!("{id}: optional {} f{}\n", ty.declare(idl), name(*id)))
                    .collect();
                let name = format!("S{}", idl.len());
                idl.push(format!("struct {name} {{ {fields} }}"));
                name
            }
        }
    }
}

fn name(id: i16) -> String {
    id.to_string().replace('-', "_")
}

/// Raw material of which a value of any type can be made.
#[derive(Clone, Debug)]
struct Dice {
    numbers: Vec<i64>,
    texts: Vec<String>,
    doubles: Vec<f64>,
    at: usize,
}

impl Dice {
    fn next(&mut self) -> usize {
        self.at += 1;
        self.at
    }

    fn number(&mut self) -> i64 {
        let at = self.next();
        self.numbers[at % self.numbers.len()].rotate_left((at / self.numbers.len()) as u32)
    }

    fn text(&mut self) -> String {
        let at = self.next();
        self.texts[at % self.texts.len()].clone()
    }
}

/// Makes a value: writes its JSON and its bytes.
fn make(ty: &Ty, dice: &mut Dice, json: &mut String, out: &mut dyn TOutputProtocol) {
    use std::fmt::Write;
    match ty {
        Ty::Bool => {
            let value = dice.number() % 2 == 0;
            write!(json, "{value}").unwrap();
            out.write_bool(value).unwrap();
        }
        Ty::I8 => {
            let value = dice.number() as i8;
            write!(json, "{value}").unwrap();
            out.write_i8(value).unwrap();
        }
        Ty::I16 => {
            let value = dice.number() as i16;
            write!(json, "{value}").unwrap();
            out.write_i16(value).unwrap();
        }
        Ty::I32 | Ty::Enum => {
            let value = dice.number() as i32;
            write!(json, "{value}").unwrap();
            out.write_i32(value).unwrap();
        }
        Ty::I64 => {
            let value = dice.number();
            write!(json, "{value}").unwrap();
            out.write_i64(value).unwrap();
        }
        Ty::Double => {
            let at = dice.next();
            let value = dice.doubles[at % dice.doubles.len()];
            json.push_str(&serde_json::to_string(&value).unwrap());
            out.write_double(value).unwrap();
        }
        Ty::String => {
            let value = dice.text();
            json.push_str(&serde_json::to_string(&value).unwrap());
            out.write_string(&value).unwrap();
        }
        Ty::Binary => {
            let value = dice.text();
            let mut text = vec![];
            crate::base::base64::encode(value.as_bytes(), &mut text);
            write!(json, "\"{}\"", String::from_utf8(text).unwrap()).unwrap();
            out.write_bytes(value.as_bytes()).unwrap();
        }
        Ty::List(element) | Ty::Set(element) => {
            let count = (dice.number() & 3) as i32;
            match ty {
                Ty::List(_) => out.write_list_begin(&TListIdentifier::new(element.apache(), count)).unwrap(),
                _ => out.write_set_begin(&TSetIdentifier::new(element.apache(), count)).unwrap(),
            }
            json.push('[');
            for n in 0..count {
                json.push_str(if n > 0 { "," } else { "" });
                make(element, dice, json, out);
            }
            json.push(']');
        }
        Ty::Map(key, value) => {
            // More than one pair would need different keys.
            let count = (dice.number() & 1) as i32;
            out.write_map_begin(&TMapIdentifier::new(key.apache(), value.apache(), count)).unwrap();
            json.push('{');
            if count > 0 {
                let mut text = String::new();
                make(key, dice, &mut text, out);
                match text.starts_with('"') {
                    true => json.push_str(&text),
                    false => write!(json, "\"{text}\"").unwrap(),
                }
                json.push(':');
                make(value, dice, json, out);
            }
            json.push('}');
        }
        Ty::Struct(fields) => {
            out.write_struct_begin(&TStructIdentifier::new("s")).unwrap();
            json.push('{');
            let mut first = true;
            for (id, ty) in fields {
                if dice.number() % 4 == 0 {
                    continue;
                }
                json.push_str(if first { "" } else { "," });
                first = false;
                write!(json, "\"f{}\":", name(*id)).unwrap();
                out.write_field_begin(&TFieldIdentifier::new("f", ty.apache(), *id)).unwrap();
                make(ty, dice, json, out);
                out.write_field_end().unwrap();
            }
            json.push('}');
            out.write_field_stop().unwrap();
        }
    }
}

fn scalar() -> impl Strategy<Value = Ty> {
    prop_oneof![
        Just(Ty::Bool),
        Just(Ty::I8),
        Just(Ty::I16),
        Just(Ty::I32),
        Just(Ty::I64),
        Just(Ty::Double),
        Just(Ty::String),
        Just(Ty::Binary),
        Just(Ty::Enum),
    ]
}

fn fields(ty: impl Strategy<Value = Ty>) -> impl Strategy<Value = Ty> {
    let id = prop_oneof![4 => 1..20i16, 1 => any::<i16>()];
    prop::collection::btree_map(id, ty, 0..8).prop_map(|fields| Ty::Struct(fields.into_iter().collect()))
}

fn types() -> impl Strategy<Value = Ty> {
    let any = scalar().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            2 => fields(inner.clone()),
            1 => inner.clone().prop_map(|element| Ty::List(Box::new(element))),
            1 => inner.clone().prop_map(|element| Ty::Set(Box::new(element))),
            1 => (scalar().prop_filter("has many texts", |key| !matches!(key, Ty::Double)), inner).prop_map(|(key, value)| Ty::Map(Box::new(key), Box::new(value))),
        ]
    });
    fields(any)
}

fn dice() -> impl Strategy<Value = Dice> {
    let number = prop_oneof![2 => any::<i64>(), 1 => -300..300i64];
    let double = prop_oneof![1 => prop::num::f64::NORMAL, 1 => (-1_000_000..1_000_000i64).prop_map(|n| n as f64 / 100.0)];
    (
        prop::collection::vec(number, 1..40),
        prop::collection::vec("\\PC{0,12}|[\"\\\\/\u{0}-\u{20}a\u{7f}é😀]{0,20}", 1..10),
        // serde_json, as it is set up here, does not read every double exactly.
        prop::collection::vec(
            double.prop_filter("not exact", |value| {
                serde_json::from_str::<f64>(&value.to_string()).unwrap() == *value
                    && serde_json::from_str::<f64>(&serde_json::to_string(value).unwrap()).unwrap() == *value
            }),
            1..10,
        ),
    )
        .prop_map(|(numbers, texts, doubles)| Dice { numbers, texts, doubles, at: 0 })
}

/// Whether two documents say the same; 1.0 and 1 do.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || !(a.is_i64() && b.is_i64()) && a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Any text that looks like JSON a little.
fn almost_json() -> impl Strategy<Value = String> {
    prop_oneof![
        "[{}\\[\\]\":,\\\\untrefals0-9eE.+ -]{0,30}",
        "(\\[|\\{\"a\":){0,4}(-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?|\"(\\\\[\"\\\\/bfnrtu0x]|\\\\u[0-9a-fD]{3,4}|.){0,6}\"|null|true|false)[\\]}, ]{0,5}",
    ]
}

proptest! {
    #[test]
    fn values_of_any_schema(ty in types(), mut dice in dice()) {
        let mut idl = vec!["enum E { A = 1 }".to_owned()];
        let root = ty.declare(&mut idl);
        let schema = schema(&idl.join("\n"));
        let id = id_of(&schema, &root);
        let (mut json, mut bytes) = (String::new(), Vec::new());
        make(&ty, &mut dice, &mut json, &mut TBinaryOutputProtocol::new(&mut bytes, true));
        for options in [lenient(), strict()] {
            let mut made = vec![];
            json_to_struct(&schema, id, json.as_bytes(), &options, &mut made).unwrap();
            prop_assert_eq!(&made, &bytes, "{}", json);
            let mut back = vec![];
            struct_to_json(&schema, id, &bytes, &options, &mut back).unwrap();
            let values = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            prop_assert!(same(&values(&back), &values(json.as_bytes())), "{} {}", String::from_utf8_lossy(&back), json);
            let mut again = vec![];
            json_to_struct(&schema, id, &back, &options, &mut again).unwrap();
            prop_assert_eq!(&again, &bytes);
            // Cut anywhere, both are refused.
            let at = dice.number() as usize % bytes.len();
            prop_assert!(struct_to_json(&schema, id, &bytes[..at], &options, &mut vec![]).is_err());
            let at = dice.number() as usize % json.len();
            prop_assert!(json_to_struct(&schema, id, &json.as_bytes()[..at], &options, &mut vec![]).is_err());
            // Spaces change nothing, keys in another order neither.
            let pretty = serde_json::to_vec_pretty(&values(json.as_bytes())).unwrap();
            let mut spaced = vec![];
            json_to_struct(&schema, id, &pretty, &options, &mut spaced).unwrap();
            prop_assert_eq!(&spaced, &bytes);
        }
    }

    #[test]
    fn the_scanner_takes_what_serde_json_takes(text in almost_json()) {
        let mut scanner = Scanner::new(text.as_bytes());
        let taken = scanner.skip(100).is_ok() && scanner.expect_end().is_ok();
        let serde = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(taken, serde.is_ok(), "{:?} {:?}", text, serde);
    }

    #[test]
    fn strings_are_what_serde_json_reads(text in "\"(\\\\[\"\\\\/bfnrt]|\\\\u(00[0-9a-f]{2}|[0-9A-C][0-9a-f]{3}|d83d\\\\ude[0-9a-f]{2})|[^\"\\\\\u{0}-\u{1f}]){0,20}\"") {
        let ours = Scanner::new(text.as_bytes()).string().map(|text| String::from_utf8(text.into_owned()).unwrap());
        prop_assert_eq!(ours.ok(), serde_json::from_str::<String>(&text).ok());
    }
}
