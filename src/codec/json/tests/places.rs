//! Places of errors, limits, and hostile input.

use super::*;

const IDL: &str = "struct Item { 1: optional string name, 2: optional map<string, list<i32>> marks }
    struct S { 1: optional list<Item> items, 2: optional bool b, 3: optional S s, 4: optional list<list<i32>> l, 5: optional double d }";

#[test]
fn malformed_json_with_its_path_and_place() {
    let rows = [
        ("", "$: expected a value (line 1, column 1, byte 0)"),
        ("  ", "$: expected a value (line 1, column 3, byte 2)"),
        ("{", "$: expected a string (line 1, column 2, byte 1)"),
        ("{,}", "$: expected a string (line 1, column 2, byte 1)"),
        ("{}x", "$: expected the end (line 1, column 3, byte 2)"),
        ("{} {}", "$: expected the end (line 1, column 4, byte 3)"),
        ("{\"b\"}", "$: expected ':' (line 1, column 5, byte 4)"),
        ("{\"b\":}", "$.b: expected a value (line 1, column 6, byte 5)"),
        ("{\"b\":tru}", "$.b: expected true or false (line 1, column 6, byte 5)"),
        ("{\"b\":nul}", "$.b: expected null (line 1, column 6, byte 5)"),
        ("{\"b\":true,}", "$: expected a string (line 1, column 11, byte 10)"),
        ("{\"b\":true \"s\":1}", "$: expected ',' or '}' (line 1, column 11, byte 10)"),
        ("{\"b\":true", "$: expected ',' or '}' (line 1, column 10, byte 9)"),
        ("{\"items\":[{},]}", "$.items[1]: expected a value (line 1, column 14, byte 13)"),
        ("{\"items\":[{} {}]}", "$.items: expected ',' or ']' (line 1, column 14, byte 13)"),
        (
            "{\"items\":[{\"name\":\"a\n\"}]}",
            "$.items[0].name: expected the rest of a string (line 1, column 21, byte 20)",
        ),
        (
            "{\n  \"items\": [\n    {\"name\": \"é\"},\n    {\"name\": \"\\x\"}]}",
            "$.items[1].name: expected an escape (line 4, column 16, byte 50)",
        ),
        (
            "{\"items\":[{\"marks\":{\"a b\":[1,2,-]}}]}",
            "$.items[0].marks[\"a b\"][2]: expected a number (line 1, column 33, byte 32)",
        ),
        ("{\"l\":[[1],[01]]}", "$.l[1]: expected ',' or ']' (line 1, column 13, byte 12)"),
        ("{\"d\":.5}", "$.d: expected a value (line 1, column 6, byte 5)"),
        ("{\"d\":1.}", "$.d: expected a digit (line 1, column 8, byte 7)"),
        ("{\"d\":1e}", "$.d: expected a digit (line 1, column 8, byte 7)"),
        ("{\"d\":NaN}", "$.d: expected a value (line 1, column 6, byte 5)"),
        ("{\"d\":-Infinity}", "$.d: expected a number (line 1, column 7, byte 6)"),
        ("{\"l\":[[1],[nul]]}", "$.l[1][0]: expected null (line 1, column 12, byte 11)"),
        ("{\"s\":{\"s\":{\"b\":1,}}", "$.s.s: expected a string (line 1, column 18, byte 17)"),
        ("{'b':1}", "$: expected a string (line 1, column 2, byte 1)"),
        ("{b:1}", "$: expected a string (line 1, column 2, byte 1)"),
        ("{/**/}", "$: expected a string (line 1, column 2, byte 1)"),
    ];
    let schema = schema(IDL);
    for (json, text) in rows {
        assert_eq!(failure(parse(&schema, json, &lenient())), (Code::Malformed, text.into()), "{json}");
        assert!(parse(&schema, json, &strict()).is_err());
        let mut out = b"before".to_vec();
        json_to_struct(&schema, id_of(&schema, "S"), json.as_bytes(), &strict(), &mut out).unwrap_err();
        assert_eq!(out, b"before");
    }
    let skipped = parse(&schema, "{\"x\":{\"y\":[1,{\"z\":tru}]}}", &lenient());
    assert_eq!(failure(skipped).1, "$.x: expected true or false (line 1, column 19, byte 18)");
}

#[test]
fn long_keys_are_cut_in_paths() {
    let schema = schema("struct S { 1: map<string,i32> m }");
    let json = format!("{{\"m\":{{\"{}\":[]}}}}", "k".repeat(1000));
    let (_, text) = failure(parse(&schema, json, &strict()));
    assert_eq!(
        text,
        format!(
            "$.m[\"{}\"…]: expected a number, found an array (line 1, column 1010, byte 1009)",
            "k".repeat(40)
        )
    );
}

#[test]
fn depth_is_limited_and_the_stack_is_safe() {
    let schema = schema(
        "struct S { 1: optional S s, 2: optional list<list<i32>> l, 3: optional string t, 4: optional map<string,S> m }",
    );
    let nested = |n: usize| format!("{}{}", "{\"s\":".repeat(n - 1) + "{", "}".repeat(n));
    for options in [lenient(), strict()] {
        assert_eq!(there_and_back(&schema, nested(64), &options).unwrap(), nested(64));
        let (code, text) = failure(parse(&schema, nested(65), &options));
        assert_eq!(code, Code::CodecLimit);
        assert!(
            text.ends_with(
                "more than 64 structs and containers within each other (line 1, column 321, byte 320)"
            ),
            "{text}"
        );
        for open in ["{\"s\":", "{\"m\":{\"k\":", "{\"l\":[", "[", "{\"x\":"] {
            let options =
                JsonOptions { limits: JsonLimits { depth: 255, ..options.limits }, ..options.clone() };
            assert!(parse(&schema, open.repeat(100_000), &options).is_err());
        }
    }
    // Values that are skipped count, too, though they are not recursed into.
    let unknown = |n: usize| format!("{{\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&schema, unknown(63), &lenient()).is_ok());
    let (code, text) = failure(parse(&schema, unknown(64), &lenient()));
    assert_eq!((code, &text[..42]), (Code::CodecLimit, "$.x: more than 64 structs and containers w"));
    // Lists of one element that are none: they do not recurse by themselves.
    assert!(parse(&schema, "{\"l\":1}", &lenient()).is_ok());

    let bytes = |n: usize| [b"\x0c\0\x01".repeat(n - 1), vec![0; n]].concat();
    assert!(print(&schema, &bytes(64), &strict()).is_ok());
    assert_eq!(failure(print(&schema, &bytes(65), &strict())).0, Code::CodecLimit);
    let deep = JsonOptions { limits: JsonLimits { depth: 255, ..Default::default() }, ..strict() };
    assert!(print(&schema, &bytes(255), &deep).is_ok());
    assert_eq!(failure(print(&schema, &bytes(100_000), &deep)).0, Code::CodecLimit);
}

#[test]
fn size_and_count_are_limited() {
    let schema = schema(
        "struct T { 1: string s = 'twenty bytes of text' } struct S { 1: optional list<T> l, 2: optional map<string,i8> m }",
    );
    let limits = |bytes, elements| JsonOptions {
        limits: JsonLimits { bytes, elements, ..Default::default() },
        ..strict()
    };
    let json = "{\"l\":[{},{},{}]}";
    let size = parse(&schema, json, &strict()).unwrap().len();
    assert!(parse(&schema, json, &limits(size, 3)).is_ok());
    let rows = [
        (limits(size - 1, 3), "$: the result exceeds 92 bytes (line 1, column 17, byte 16)"),
        (limits(40, 3), "$.l[1]: the result exceeds 40 bytes (line 1, column 12, byte 11)"),
        (limits(size, 2), "$.l: more than 2 elements (line 1, column 16, byte 15)"),
    ];
    for (options, text) in rows {
        assert_eq!(failure(parse(&schema, json, &options)), (Code::CodecLimit, text.into()));
    }
    assert_eq!(failure(parse(&schema, "{\"m\":{\"a\":1,\"b\":2}}", &limits(100, 1))).0, Code::CodecLimit);

    let empty = b"\x0f\0\x01\x0c\0\0\0\x03\0\0\0\0";
    let long = print(&schema, empty, &strict()).unwrap().len();
    assert!(print(&schema, empty, &limits(long, 3)).is_ok());
    assert_eq!(failure(print(&schema, empty, &limits(long - 1, 3))).0, Code::CodecLimit);
    assert_eq!(failure(print(&schema, empty, &limits(long, 2))).1, "$.l: more than 2 elements (byte 8)");
    assert_eq!(failure(print(&schema, b"\x0d\0\x02\x0b\x03\0\0\0\x02", &limits(100, 1))).0, Code::Malformed);
}
