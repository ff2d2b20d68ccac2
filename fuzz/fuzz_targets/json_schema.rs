//! What the JSON targets share: an IDL with everything in it, and options chosen by a byte.

use std::sync::{Arc, OnceLock};

use krpc::codec::json::*;
use krpc::idl::schema::StructId;
use krpc::idl::{MemoryProvider, Options, Schema, compile};

const IDL: &str = "
enum E { A = 1, B = -2 }
union U { 1: i32 a, 2: string b }
struct T { 1: required i16 x = 3, 2: optional S s, 3: list<U> u = [{'a': 1}] }
struct S {
    1: bool a, 2: i8 b, 3: i16 c, 4: i32 d = 5, 5: i64 e (api.js_conv = ''), 6: double f, 7: string g,
    8: binary h, 9: E i = E.B, 10: optional T j, 11: list<i32> k, 12: set<string> l,
    13: map<string, list<S>> m, 14: map<i64, E> n, 15: map<bool, double> o, 16: optional map<E, binary> p,
    17: optional string q = 'x', 18: optional U r (api.key = 'a.b'), 19: map<double, i8> s, 20: map<i8, i8> t,
    -7: optional list<list<map<binary, i16>>> u,
}";

pub fn schema() -> &'static (Arc<Schema>, StructId) {
    static SCHEMA: OnceLock<(Arc<Schema>, StructId)> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let files = MemoryProvider::new().file("t.thrift", IDL);
        let schema = compile("t.thrift", &files, &Options::default()).into_schema().unwrap();
        let id = schema.structs().find(|(_, structure)| &*structure.name == "S").unwrap().0;
        (schema, id)
    })
}

pub fn options(choice: u8) -> JsonOptions {
    let bit = |n: u8| choice & (1 << n) != 0;
    let base = if bit(0) { JsonOptions::strict() } else { JsonOptions::default() };
    JsonOptions {
        binary: if bit(1) { Binary::Text } else { Binary::Base64 },
        enums: if bit(2) { Enums::Name } else { Enums::Number },
        unknown: if bit(3) { Unknown::Keep } else { base.unknown },
        duplicates: if bit(4) { Duplicates::Last } else { base.duplicates },
        absent: if bit(5) { Absent::All } else { Absent::Declared },
        escape_html: bit(6),
        i8_unsigned: bit(7),
        int64: if bit(7) { Int64::Text } else { Int64::Annotated },
        limits: JsonLimits { bytes: 1 << 20, ..JsonLimits::default() },
        ..base
    }
}

/// What is accepted once is accepted again, and does not change any more after it was read: then all
/// defaults are there, and all text is text.
pub fn check_stable(thrift: &[u8], options: &JsonOptions) {
    let mut bytes = thrift.to_vec();
    let mut texts = vec![];
    for _ in 0..3 {
        let Some((json, next)) = there_and_back(&bytes, options) else { return };
        texts.push(json);
        bytes = next;
    }
    assert_eq!(texts[1], texts[2]);
}

fn there_and_back(thrift: &[u8], options: &JsonOptions) -> Option<(String, Vec<u8>)> {
    let (schema, id) = schema();
    let (mut json, mut bytes) = (vec![], vec![]);
    struct_to_json(schema, *id, thrift, options, &mut json).ok()?;
    let json = String::from_utf8(json).unwrap();
    match json_to_struct(schema, *id, json.as_bytes(), options, &mut bytes) {
        Ok(()) => Some((json, bytes)),
        // Unions without a member and repeated keys of maps can be on the wire, but strictly not in JSON.
        Err(_) if options.strict => None,
        // Defaults may make it too large.
        Err(error) if error.code() == krpc::base::Code::CodecLimit => None,
        Err(error) => panic!("{json}: {error}"),
    }
}
