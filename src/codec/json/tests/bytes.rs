//! generic.md §5, §6: Thrift to JSON, value by value.

use super::*;

fn shown(idl: &str, bytes: &[u8], options: &JsonOptions) -> Result<String, Error> {
    print(&schema(idl), bytes, options)
}

#[test]
fn only_byte_one_is_true() {
    for (byte, text) in [(0, "false"), (1, "true"), (2, "false"), (255, "false")] {
        let json = shown("struct S { 1: bool v }", &[2, 0, 1, byte, 0], &strict()).unwrap();
        assert_eq!(json, format!("{{\"v\":{text}}}"));
    }
}

#[test]
fn i8_signed_or_not() {
    let unsigned = JsonOptions { i8_unsigned: true, ..strict() };
    assert_eq!(shown("struct S { 1: i8 v }", &[3, 0, 1, 255, 0], &strict()).unwrap(), "{\"v\":-1}");
    assert_eq!(shown("struct S { 1: i8 v }", &[3, 0, 1, 255, 0], &unsigned).unwrap(), "{\"v\":255}");
    let schema = schema("struct S { 1: i8 v, 2: map<i8,i8> m }");
    let json = "{\"v\":255,\"m\":{\"128\":200}}";
    assert_eq!(there_and_back(&schema, json, &unsigned).unwrap(), json);
    assert_eq!(failure(parse(&schema, json, &strict())).0, Code::TypeMismatch);
    assert_eq!(failure(parse(&schema, "{\"v\":256}", &unsigned)).0, Code::TypeMismatch);
}

#[test]
fn numbers_that_are_none() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let bytes = [&[4, 0, 1][..], &value.to_be_bytes(), &[0]].concat();
        let idl = "struct S { 1: double v }";
        for options in [lenient(), strict()] {
            let text = "$.v: NaN and infinities have no form in JSON (byte 3)";
            assert_eq!(failure(shown(idl, &bytes, &options)), (Code::TypeMismatch, text.into()));
        }
        let null = JsonOptions { non_finite: NonFinite::Null, ..strict() };
        assert_eq!(shown(idl, &bytes, &null).unwrap(), "{\"v\":null}");
    }
}

#[test]
fn html_is_escaped_by_option() {
    let schema = schema("struct S { 1: optional string v, 2: optional map<string,string> m }");
    let json = "{\"v\":\"<a&b>\u{2028}\",\"m\":{\"<\":\">\"}}";
    let html = JsonOptions { escape_html: true, ..strict() };
    assert_eq!(there_and_back(&schema, json, &strict()).unwrap(), json);
    assert_eq!(
        there_and_back(&schema, json, &html).unwrap(),
        r#"{"v":"\u003ca\u0026b\u003e\u2028","m":{"\u003c":"\u003e"}}"#
    );
}

#[test]
fn enums_by_name() {
    let schema = schema("enum E { A = 1, B = -2 } struct S { 1: list<E> v, 2: map<E,E> m }");
    let names = JsonOptions { enums: Enums::Name, ..strict() };
    let json = r#"{"v":["A","B",3],"m":{"B":"A","3":3}}"#;
    assert_eq!(there_and_back(&schema, json, &names).unwrap(), json);
    assert_eq!(there_and_back(&schema, json, &strict()).unwrap(), r#"{"v":[1,-2,3],"m":{"-2":1,"3":3}}"#);
}

/// generic.md §6.
#[test]
fn i64_as_text() {
    let schema = schema(
        "struct T { 1: optional i64 v }
         struct S {
             1: optional i64 a (api.js_conv = ''), 2: optional list<i64> b (api.js_conv = 'true'),
             3: optional map<i64, list<i64>> c (api.js_conv = ''), 4: optional T d (api.js_conv = ''),
             5: optional i32 e (api.js_conv = ''), 6: optional i64 f,
         }",
    );
    let numbers = r#"{"a":9007199254740993,"b":[1,2],"c":{"3":[4]},"d":{"v":5},"e":6,"f":7}"#;
    let annotated = r#"{"a":"9007199254740993","b":["1","2"],"c":{"3":["4"]},"d":{"v":5},"e":6,"f":7}"#;
    let text = r#"{"a":"9007199254740993","b":["1","2"],"c":{"3":["4"]},"d":{"v":"5"},"e":6,"f":"7"}"#;
    for json in [numbers, annotated, text] {
        for options in [lenient(), strict()] {
            let with = |int64| JsonOptions { int64, ..options.clone() };
            assert_eq!(there_and_back(&schema, json, &with(Int64::Annotated)).unwrap(), annotated);
            assert_eq!(there_and_back(&schema, json, &with(Int64::Number)).unwrap(), numbers);
            assert_eq!(there_and_back(&schema, json, &with(Int64::Text)).unwrap(), text);
        }
    }
}

#[test]
fn absent_fields() {
    let idl = "struct T { 1: required i32 x } struct S { 1: i32 a, 2: i32 b = 5, 3: optional i32 c, 4: optional i32 d = 6 (api.key = 'D'), 5: T t }";
    let with = |absent| JsonOptions { absent, ..lenient() };
    assert_eq!(shown(idl, &[0], &with(Absent::Omit)).unwrap(), "{}");
    assert_eq!(shown(idl, &[0], &with(Absent::Declared)).unwrap(), r#"{"b":5,"D":6}"#);
    assert_eq!(shown(idl, &[0], &with(Absent::All)).unwrap(), r#"{"a":0,"b":5,"D":6,"t":{}}"#);
    let idl = "union S { 1: i32 a, 2: i32 b = 5 }";
    assert_eq!(shown(idl, &[0], &with(Absent::All)).unwrap(), "{}");

    let idl = "struct S { 1: required i32 a, 2: required i32 b = 5 }";
    for options in [lenient(), strict()] {
        let text = "$.a: the required field 1 is missing (byte 0)";
        assert_eq!(failure(shown(idl, &[0], &options)), (Code::MissingField, text.into()));
    }
    let tolerant = JsonOptions { tolerate_missing: true, ..strict() };
    assert_eq!(shown(idl, &[0], &tolerant).unwrap(), r#"{"b":5}"#);
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let schema = schema("struct S { 1: optional i32 a, 2: optional S s, 3: optional i8 b }");
    let inner = b"\x08\0\x01\0\0\0\x01\x08\0\x01\0\0\0\x02\0";
    let bytes = [&b"\x03\0\x03\x01\x0c\0\x02"[..], inner, b"\x03\0\x03\x02\0"].concat();
    for options in [lenient(), strict()] {
        assert_eq!(print(&schema, &bytes, &options).unwrap(), r#"{"s":{"a":2},"b":2}"#);
    }
    // However deep, each byte is looked at a bounded number of times.
    let mut nested = vec![0];
    for _ in 0..60 {
        nested = [&b"\x0c\0\x02"[..], &nested, b"\x03\0\x03\x01\x03\0\x03\x02\0"].concat();
    }
    print(&schema, &nested, &lenient()).unwrap();
}

#[test]
fn what_does_not_fit_the_idl() {
    let idl = "struct T { 1: i32 x } struct S { 1: optional i32 a, 2: optional list<i32> b, 3: optional map<string,i32> c, 4: optional T d, 5: optional string e }";
    let rows: &[(&[u8], Code, &str)] = &[
        (b"\x0a\0\x01", Code::TypeMismatch, "$.a: need i32 type, but got: i64 (byte 0)"),
        (
            b"\x0f\0\x02\x0a\0\0\0\x01\0\0\0\0\0\0\0\0",
            Code::TypeMismatch,
            "$.b: need i32 type for elements, but got: i64 (byte 8)",
        ),
        (b"\x0e\0\x02", Code::TypeMismatch, "$.b: need list type, but got: set (byte 0)"),
        (
            b"\x0d\0\x03\x08\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0",
            Code::TypeMismatch,
            "$.c: need string type for keys, but got: i32 (byte 9)",
        ),
        (
            b"\x0d\0\x03\x0b\x06\0\0\0\x01\0\0\0\x01k\0\0\0",
            Code::TypeMismatch,
            "$.c: need i32 type for values, but got: i16 (byte 9)",
        ),
        (
            b"\x0d\0\x03\x0b\x08\0\0\0\x02\0\0\0\x01k\0\0\0\x05\0\0\0\x09qqqq",
            Code::Malformed,
            "$.c[1]: buffer too short (byte 22)",
        ),
        (
            b"\x0d\0\x03\x0b\x08\0\0\0\x01\0\0\0\x02kk\0\0",
            Code::Malformed,
            "$.c.kk: buffer too short (byte 15)",
        ),
        (b"\x0c\0\x04\x0c\0\x01\0", Code::TypeMismatch, "$.d.x: need i32 type, but got: struct (byte 3)"),
        (b"\x0b\0\x05\xff\xff\xff\xff", Code::Malformed, "$.e: invalid data length (byte 3)"),
        (b"\x0b\0\x05\0\0\0\x09abc", Code::Malformed, "$.e: buffer too short (byte 7)"),
        (b"\x0f\0\x02\x08\x7f\xff\xff\xff\0\0\0\0", Code::Malformed, "$.b: buffer too short (byte 8)"),
        (b"\x07\0\x01", Code::Malformed, "$: unknown data type 7 (byte 0)"),
        (b"\x08\0", Code::Malformed, "$: buffer too short (byte 1)"),
        (b"", Code::Malformed, "$: buffer too short (byte 0)"),
    ];
    for (bytes, code, text) in rows {
        for options in [lenient(), strict()] {
            assert_eq!(failure(shown(idl, bytes, &options)), (*code, (*text).to_owned()), "{bytes:?}");
        }
    }
    assert_eq!(shown(idl, b"\0xyz", &lenient()).unwrap(), "{}");
    assert_eq!(
        failure(shown(idl, b"\0xyz", &strict())),
        (Code::Malformed, "$: 3 bytes after the value (byte 1)".into())
    );
    // Types of empty containers mean nothing.
    assert_eq!(
        shown(idl, b"\x0f\0\x02\x63\0\0\0\0\x0d\0\x03\0\0\0\0\0\0\0", &strict()).unwrap(),
        r#"{"b":[],"c":{}}"#
    );
}

#[test]
fn unions() {
    let idl = "union S { 1: i32 a, 2: i32 b }";
    let both = b"\x08\0\x01\0\0\0\x01\x08\0\x02\0\0\0\x02\0";
    assert_eq!(shown(idl, both, &lenient()).unwrap(), r#"{"a":1,"b":2}"#);
    assert_eq!(
        failure(shown(idl, both, &strict())),
        (Code::TypeMismatch, "$: at most one member of a union is set, not 2 (byte 0)".into())
    );
}
