//! Tables after generic.md, one row a case.

mod bytes;
mod call;
mod differential;
mod kitex;
mod places;
mod values;

use std::sync::Arc;

use super::*;
use crate::base::{Code, Error};
use crate::idl::schema::StructId;
use crate::idl::{MemoryProvider, Options, Schema, compile};

pub(super) fn schema(idl: &str) -> Arc<Schema> {
    let files = MemoryProvider::new().file("t.thrift", idl);
    compile("t.thrift", &files, &Options::default())
        .into_schema()
        .unwrap_or_else(|report| panic!("{idl}: {report:?}"))
}

pub(super) fn id_of(schema: &Schema, name: &str) -> StructId {
    schema.structs().find(|(_, structure)| &*structure.name == name).expect("struct").0
}

/// JSON to bytes, of the struct `S`.
fn parse(schema: &Schema, json: impl AsRef<[u8]>, options: &JsonOptions) -> Result<Vec<u8>, Error> {
    let mut out = vec![];
    json_to_struct(schema, id_of(schema, "S"), json.as_ref(), options, &mut out)?;
    Ok(out)
}

/// Bytes to JSON, of the struct `S`.
fn print(schema: &Schema, bytes: &[u8], options: &JsonOptions) -> Result<String, Error> {
    let mut out = vec![];
    struct_to_json(schema, id_of(schema, "S"), bytes, options, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// JSON to bytes and back.
fn there_and_back(schema: &Schema, json: impl AsRef<[u8]>, options: &JsonOptions) -> Result<String, Error> {
    print(schema, &parse(schema, json, options)?, options)
}

fn lenient() -> JsonOptions {
    JsonOptions::default()
}

fn strict() -> JsonOptions {
    JsonOptions::strict()
}

/// Code and text of a failure.
fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> (Code, String) {
    let error = result.unwrap_err();
    (error.code(), error.text().to_owned())
}

#[test]
fn a_struct_of_everything_goes_there_and_back() {
    let schema = schema(
        "enum E { A = 1, B = -2 }
         struct T { 1: optional T t, 2: optional string s }
         struct S {
             1: bool a, 2: i8 b, 3: i16 c, 4: i32 d, 5: i64 e, 6: double f, 7: string g, 8: binary h, 9: E i,
             10: T j, 11: list<i32> k, 12: set<string> l, 13: map<i64, map<string, list<T>>> m,
         }",
    );
    let json = r#"{"a":true,"b":-128,"c":-32768,"d":2147483647,"e":-9223372036854775808,"f":-1.5e-10,"g":"é\"\n","h":"AP8=","i":-2,"j":{"t":{"s":"x"}},"k":[1,2,3],"l":["","y"],"m":{"9007199254740993":{"k":[{},{"s":""}]},"0":{}}}"#;
    for options in [lenient(), strict()] {
        assert_eq!(there_and_back(&schema, json, &options).unwrap(), json);
    }
    let empty =
        r#"{"a":false,"b":0,"c":0,"d":0,"e":0,"f":0,"g":"","h":"","i":0,"j":{},"k":[],"l":[],"m":{}}"#;
    for options in [lenient(), strict()] {
        assert_eq!(there_and_back(&schema, "{}", &options).unwrap(), empty);
        assert_eq!(there_and_back(&schema, empty, &options).unwrap(), empty);
    }
}
