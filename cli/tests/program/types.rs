//! Every type of the interop IDL, there and back.

use std::path::Path;

use crate::support::{Folder, Serve, json};

pub fn interop_idl() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/interop/idl/interop.thrift")
        .to_str()
        .unwrap()
        .to_owned()
}

/// A value of AllTypes with everything set that the interop tests set.
pub const ALL_TYPES: &str = r#"{
    "b": true, "i8v": -128, "i16v": -32768, "i32v": -2147483648, "i64v": -9223372036854775808,
    "dbl": 1.5e300, "str": "é\u0000\"\\/\n😀<&>", "bin": "AAECgP8=", "color": 2147483647,
    "pair": {"key": "k", "value": 9223372036854775807}, "choice": {"pair": {"key": "", "value": 0}},
    "strings": ["", "a"], "ids": [1, -1, 2147483647], "counts": {"a": 9007199254740993, "": -1},
    "matrix": [[], [1, 2], [-3]], "pairs_by_id": {"-1": [], "7": [{"key": "x", "value": 1}]},
    "nested": [{"a": ["x", "y"]}, {}], "color_names": {"-5": "negative", "1": "red"},
    "flags": [true, false], "doubles": [0, -0.5, 5e-324, 1.7976931348623157e308], "blobs": ["", "/w=="],
    "table": {"a": {"b": 1}, "c": {}}, "colors": [1, 2, -5], "choices": [{"text": "t"}, {"number": 1}, {"numbers": [1, 2]}],
    "req_str": "required", "req_i32": 0, "req_list": [],
    "opt_bool": false, "opt_i8": 0, "opt_i16": 1, "opt_i32": 2, "opt_i64": 3, "opt_dbl": 0.1, "opt_str": "",
    "opt_bin": "", "opt_color": 1, "opt_pair": {"key": "o", "value": 5}, "opt_list": [], "opt_map": {"a": "b"},
    "opt_set": ["z"],
    "def_i32": 43, "def_str": "other", "opt_def_i32": 8, "def_list": [], "def_color": 1, "def_bool": false,
    "chain": {"value": 1, "next": {"value": 2, "next": {"value": 3}}},
    "tree": {"value": 1, "children": [{"value": 2, "children": []}, {"value": 3}]}
}"#;

#[test]
fn all_types_come_back_as_they_were() {
    let server = Serve::of_file(Folder::new(), interop_idl(), &["--service", "Interop"]);
    for transport in ["ttheader-framed", "ttheader", "framed", "buffered"] {
        let ran = server.call("Interop/EchoTypes", &["-d", ALL_TYPES, "--transport", transport]).ok();
        assert_eq!(json(ran.text()), json(ALL_TYPES), "{transport}");
    }
}

/// Each type as argument and result of its own, at both ends of its range.
#[test]
fn every_type_alone() {
    let types = [
        ("bool", "true", "false"),
        ("i8", "127", "-128"),
        ("byte", "0", "-1"),
        ("i16", "32767", "-32768"),
        ("i32", "2147483647", "-2147483648"),
        ("i64", "9223372036854775807", "-9223372036854775808"),
        ("double", "1.7976931348623157e+308", "-0.1"),
        ("string", "\"\"", "\"é😀\""),
        ("binary", "\"\"", "\"AAEC\""),
        ("E", "1", "-7"),
        ("S", "{\"a\":1}", "{\"a\":-1}"),
        ("U", "{\"a\":1}", "{\"b\":\"x\"}"),
        ("T", "[1]", "[]"),
        ("list<string>", "[]", "[\"a\",\"b\"]"),
        ("set<i64>", "[]", "[9007199254740993]"),
        ("map<string,S>", "{}", "{\"k\":{\"a\":2}}"),
        ("map<i64,list<binary>>", "{\"-9223372036854775808\":[\"AA==\"]}", "{\"0\":[]}"),
        ("map<bool,E>", "{\"true\":1}", "{\"false\":2}"),
    ];
    let methods = types.iter().enumerate().map(|(i, (ty, ..))| format!("{ty} m{i}(1: {ty} v)\n"));
    let idl = format!(
        "enum E {{ A = 1 }} struct S {{ 1: i32 a }} union U {{ 1: i32 a, 2: string b }} typedef list<i16> T\n\
         service All {{ {} }}",
        methods.collect::<String>()
    );
    let server = Serve::start(&idl, &[]);
    for (i, (ty, one, other)) in types.iter().enumerate() {
        for value in [one, other] {
            let ran = server.call(&format!("All/m{i}"), &["-d", value, "-o", "compact"]).ok();
            assert_eq!(json(ran.text()), json(value), "{ty}");
        }
    }
}
