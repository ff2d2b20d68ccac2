//! generic.md §4: JSON to Thrift, value by value, as the reference does it and strictly.

use super::*;

/// What a value of a type becomes there and back.
fn value(ty: &str, json: &str, options: &JsonOptions) -> Result<String, Error> {
    let idl = format!(
        "enum E {{ A = 1, B = -2 }} struct T {{ 1: optional i32 a }} union U {{ 1: i32 a, 2: i32 b }}
         struct S {{ 1: optional {ty} v }}"
    );
    let back = there_and_back(&schema(&idl), format!("{{\"v\":{json}}}"), options)?;
    Ok(back.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or("absent").to_owned())
}

#[test]
fn each_type_takes_its_own_kind_exactly() {
    let rows = [
        ("bool", "true", "true"),
        ("bool", "false", "false"),
        ("i8", "-128", "-128"),
        ("i8", "127", "127"),
        ("i16", "-32768", "-32768"),
        ("i32", "-2147483648", "-2147483648"),
        ("i32", "1.0", "1"),
        ("i32", "12e2", "1200"),
        ("i32", "-0", "0"),
        ("i64", "9223372036854775807", "9223372036854775807"),
        ("i64", "-9223372036854775808", "-9223372036854775808"),
        ("i64", "9007199254740993", "9007199254740993"),
        ("i64", "1e15", "1000000000000000"),
        ("i64", "\"9007199254740993\"", "9007199254740993"),
        ("i64", "\"-1\"", "-1"),
        ("double", "1.5", "1.5"),
        ("double", "1", "1"),
        ("double", "-0.0", "-0"),
        ("double", "1e-7", "1e-7"),
        ("double", "1.7976931348623157e308", "1.7976931348623157e+308"),
        ("double", "123456789012345678901234567890", "1.2345678901234568e+29"),
        ("double", "5e-324", "5e-324"),
        ("double", "1e-400", "0"),
        ("string", "\"\"", "\"\""),
        ("string", "\"a\\u0000\\ud83d\\ude00\\/\"", "\"a\\u0000😀/\""),
        ("binary", "\"\"", "\"\""),
        ("binary", "\"AAEC/v8=\"", "\"AAEC/v8=\""),
        ("E", "1", "1"),
        ("E", "7", "7"),
        ("E", "\"A\"", "1"),
        ("E", "\"B\"", "-2"),
        ("T", "{}", "{}"),
        ("T", "{\"a\":null}", "{}"),
        ("U", "{\"b\":1}", "{\"b\":1}"),
        ("U", "{\"a\":null,\"b\":1}", "{\"b\":1}"),
        ("list<i32>", "[]", "[]"),
        ("list<list<bool>>", "[[true],[]]", "[[true],[]]"),
        ("set<string>", "[\"a\",\"a\"]", "[\"a\",\"a\"]"),
        ("map<string,i32>", "{}", "{}"),
        ("map<string,i32>", "{\"\":1,\"a\\n\":2}", "{\"\":1,\"a\\n\":2}"),
        ("map<bool,i32>", "{\"true\":1,\"false\":0}", "{\"true\":1,\"false\":0}"),
        ("map<i8,i32>", "{\"-128\":1,\"127\":2}", "{\"-128\":1,\"127\":2}"),
        ("map<i16,i32>", "{\"-32768\":1}", "{\"-32768\":1}"),
        ("map<i32,i32>", "{\"2147483647\":1}", "{\"2147483647\":1}"),
        ("map<i64,i32>", "{\"9223372036854775807\":1}", "{\"9223372036854775807\":1}"),
        ("map<double,i32>", "{\"1.5\":1}", "{\"1.5\":1}"),
        ("map<binary,i32>", "{\"AP8=\":1}", "{\"AP8=\":1}"),
        ("map<E,i32>", "{\"1\":1,\"B\":2,\"9\":3}", "{\"1\":1,\"-2\":2,\"9\":3}"),
        ("string", "null", "absent"),
        (" list<i32>", " [ 1 ,\t2\r\n] ", "[1,2]"),
    ];
    for (ty, json, back) in rows {
        for options in [lenient(), strict()] {
            assert_eq!(value(ty, json, &options).as_deref(), Ok(back), "{ty} {json} {}", options.strict);
        }
    }
}

/// Type, JSON, what the reference makes of it, why strict mode refuses it.
const COERCED: &[(&str, &str, &str, &str)] = &[
    ("bool", "1", "true", "expected true or false, found a number"),
    ("bool", "0.0", "false", "expected true or false, found a number"),
    ("bool", "\"TRUE\"", "true", "expected true or false, found a string"),
    ("bool", "\"yes\"", "false", "expected true or false, found a string"),
    ("bool", "[]", "false", "expected true or false, found an array"),
    ("i8", "300", "44", "the number is out of the range of i8"),
    ("i8", "-129", "127", "the number is out of the range of i8"),
    ("i16", "32768", "-32768", "the number is out of the range of i16"),
    ("i32", "2147483648", "-2147483648", "the number is out of the range of i32"),
    ("i32", "9223372036854775808", "0", "the number is out of the range of i32"),
    ("i32", "1.9", "1", "a number with a fraction is no i32"),
    ("i32", "-1.9", "-1", "a number with a fraction is no i32"),
    ("i32", "\"12\"", "12", "expected a number, found a string"),
    ("i32", "\"x\"", "0", "expected a number, found a string"),
    ("i32", "true", "1", "expected a number, found a bool"),
    ("i32", "false", "0", "expected a number, found a bool"),
    ("i32", "{}", "0", "expected a number, found an object"),
    ("i64", "9223372036854775808", "-9223372036854775808", "the number is out of the range of i64"),
    ("i64", "1e300", "-9223372036854775808", "the number is out of the range of i64"),
    ("i64", "\"1.0\"", "0", "text that is no i64"),
    ("i64", "\"\"", "0", "text that is no i64"),
    ("i64", "\" 1\"", "0", "text that is no i64"),
    ("i64", "\"9223372036854775808\"", "-9223372036854775808", "text that is no i64"),
    ("i64", "[1]", "0", "expected a number, found an array"),
    ("E", "true", "1", "expected a number, found a bool"),
    ("E", "\"1\"", "1", "the enum E has no value of this name"),
    ("double", "\"1.5\"", "1.5", "expected a number, found a string"),
    ("double", "\"x\"", "0", "expected a number, found a string"),
    ("double", "true", "1", "expected a number, found a bool"),
    ("double", "[]", "0", "expected a number, found an array"),
    ("string", "1.50", "\"1.5\"", "expected a string, found a number"),
    ("string", "true", "\"true\"", "expected a string, found a bool"),
    ("string", "{ \"a\": 1 }", "\"{ \\\"a\\\": 1 }\"", "expected a string, found an object"),
    ("string", "[1]", "\"[1]\"", "expected a string, found an array"),
    ("binary", "true", "\"true\"", "expected a string, found a bool"),
    ("list<i32>", "1", "[1]", "expected an array, found a number"),
    ("list<T>", "{\"a\":1}", "[{\"a\":1}]", "expected an array, found an object"),
    ("set<string>", "\"x\"", "[\"x\"]", "expected an array, found a string"),
    ("map<string,i32>", "[1]", "{}", "expected an object, found an array"),
    ("map<string,i32>", "\"x\"", "{}", "expected an object, found a string"),
    ("T", "\"{\\\"a\\\":1}\"", "{}", "expected an object, found a string"),
    ("T", "[1]", "{}", "expected an object, found an array"),
    ("U", "{}", "{}", "exactly one member of a union is set, not 0"),
    ("U", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", "exactly one member of a union is set, not 2"),
];

#[test]
fn other_kinds_are_bent_as_the_reference_does_or_refused() {
    for (ty, json, bent, refused) in COERCED {
        assert_eq!(value(ty, json, &lenient()).as_deref(), Ok(*bent), "{ty} {json}");
        let expected = (Code::TypeMismatch, format!("$.v: {refused} (line 1, column 6, byte 5)"));
        assert_eq!(failure(value(ty, json, &strict())), expected, "{ty} {json}");
    }
}

#[test]
fn what_is_wrong_for_the_reference_too_is_always_refused() {
    let rows = [
        ("binary", "\"YQ\"", Code::Malformed, "$.v: not base64 (line 1, column 6, byte 5)"),
        ("binary", "\"Y-_=\"", Code::Malformed, "$.v: not base64 (line 1, column 6, byte 5)"),
        ("list<binary>", "[\"\",\"!\"]", Code::Malformed, "$.v[1]: not base64 (line 1, column 10, byte 9)"),
        (
            "E",
            "\"C\"",
            Code::TypeMismatch,
            "$.v: the enum E has no value of this name (line 1, column 6, byte 5)",
        ),
        (
            "map<E,i32>",
            "{\"C\":1}",
            Code::TypeMismatch,
            "$.v.C: the enum E has no value of this name (line 1, column 7, byte 6)",
        ),
        (
            "map<i8,i32>",
            "{\"128\":1}",
            Code::TypeMismatch,
            "$.v[\"128\"]: the number is out of the range of i8 (line 1, column 7, byte 6)",
        ),
        (
            "map<i64,i32>",
            "{\"9223372036854775808\":1}",
            Code::TypeMismatch,
            "$.v[\"9223372036854775808\"]: the number is out of the range of i64 (line 1, column 7, byte 6)",
        ),
        (
            "map<i32,i32>",
            "{\"1.0\":1}",
            Code::TypeMismatch,
            "$.v[\"1.0\"]: the key is no i32 (line 1, column 7, byte 6)",
        ),
        (
            "map<i32,i32>",
            "{\"\":1}",
            Code::TypeMismatch,
            "$.v[\"\"]: the key is no i32 (line 1, column 7, byte 6)",
        ),
        (
            "map<bool,i32>",
            "{\"1\":1}",
            Code::TypeMismatch,
            "$.v[\"1\"]: the key is no bool (line 1, column 7, byte 6)",
        ),
        (
            "map<double,i32>",
            "{\"x\":1}",
            Code::TypeMismatch,
            "$.v.x: the key is no double (line 1, column 7, byte 6)",
        ),
        (
            "map<binary,i32>",
            "{\"!\":1}",
            Code::Malformed,
            "$.v[\"!\"]: not base64 (line 1, column 7, byte 6)",
        ),
        (
            "map<T,i32>",
            "{}",
            Code::Unsupported,
            "$.v: struct as key of a map has no form in JSON (line 1, column 6, byte 5)",
        ),
        (
            "map<list<i32>,i32>",
            "{}",
            Code::Unsupported,
            "$.v: list as key of a map has no form in JSON (line 1, column 6, byte 5)",
        ),
        (
            "double",
            "1e999",
            Code::TypeMismatch,
            "$.v: the number is out of the range of double (line 1, column 6, byte 5)",
        ),
    ];
    for (ty, json, code, text) in rows {
        for options in [lenient(), strict()] {
            assert_eq!(failure(value(ty, json, &options)), (code, text.to_owned()), "{ty} {json}");
        }
    }
}

#[test]
fn null_in_a_container_is_zero_or_refused() {
    let rows = [
        ("list<i32>", "[null,1]", "[0,1]", "$.v[0]: null in a container (line 1, column 7, byte 6)"),
        ("list<T>", "[{},null]", "[{},{}]", "$.v[1]: null in a container (line 1, column 10, byte 9)"),
        ("list<list<i32>>", "[null]", "[[]]", "$.v[0]: null in a container (line 1, column 7, byte 6)"),
        (
            "map<string,string>",
            "{\"k\":null}",
            "{\"k\":\"\"}",
            "$.v.k: null in a container (line 1, column 11, byte 10)",
        ),
        (
            "map<string,map<i8,E>>",
            "{\"k\":null}",
            "{\"k\":{}}",
            "$.v.k: null in a container (line 1, column 11, byte 10)",
        ),
        ("set<binary>", "[null]", "[\"\"]", "$.v[0]: null in a container (line 1, column 7, byte 6)"),
    ];
    for (ty, json, zero, refused) in rows {
        assert_eq!(value(ty, json, &lenient()).as_deref(), Ok(zero), "{ty} {json}");
        assert_eq!(failure(value(ty, json, &strict())), (Code::TypeMismatch, refused.to_owned()));
    }
}

#[test]
fn binary_as_text() {
    let schema = schema("struct S { 1: optional binary v, 2: optional map<binary,binary> m }");
    let text = |options: JsonOptions| JsonOptions { binary: Binary::Text, ..options };
    let json = "{\"v\":\"a\\u0000é\",\"m\":{\"k\":\"YQ==\"}}";
    for options in [text(lenient()), text(strict())] {
        assert_eq!(there_and_back(&schema, json, &options).unwrap(), json);
    }
    let bytes = parse(&schema, "{\"v\":\"/w==\"}", &lenient()).unwrap();
    assert_eq!(print(&schema, &bytes, &text(lenient())).unwrap(), "{\"v\":\"\\ufffd\"}");
    assert_eq!(
        failure(print(&schema, &bytes, &text(strict()))),
        (Code::Malformed, "$.v: the string is not UTF-8 (byte 7)".into())
    );
    let all: Vec<u8> = (0..=255).collect();
    let mut bytes = vec![11, 0, 1, 0, 0, 1, 0];
    bytes.extend_from_slice(&all);
    bytes.push(0);
    let json = print(&schema, &bytes, &lenient()).unwrap();
    assert_eq!(parse(&schema, &json, &lenient()).unwrap(), bytes);
}

#[test]
fn text_that_is_not_utf8() {
    let schema = schema("struct S { 1: optional string s, 2: optional map<string,i32> m }");
    let json = b"{\"s\":\"\xC3\xA9a\xFF\"}";
    let bytes = parse(&schema, json, &lenient()).unwrap();
    assert_eq!(bytes, b"\x0b\0\x01\0\0\0\x04\xC3\xA9a\xFF\0");
    assert_eq!(print(&schema, &bytes, &lenient()).unwrap(), "{\"s\":\"éa\\ufffd\"}");
    assert_eq!(
        failure(print(&schema, &bytes, &strict())),
        (Code::Malformed, "$.s: the string is not UTF-8 (byte 7)".into())
    );
    let rows: [(&[u8], &str); 5] = [
        (json, "$.s: not UTF-8 (line 1, column 9, byte 9)"),
        (b"{\"m\":{\"\xFF\":1}}", "$.m: not UTF-8 (line 1, column 8, byte 7)"),
        (
            b"{\"s\":\"\",\"\xFF\":1}",
            "$[\"\u{FFFD}\"]: struct S has no such field (line 1, column 9, byte 8)",
        ),
        (b"{\"s\":\"\\ud800\"}", "$.s: half of a surrogate pair (line 1, column 6, byte 5)"),
        (b"{\"s\":\"\\ud83d\\ude00\\ude00\"}", "$.s: half of a surrogate pair (line 1, column 6, byte 5)"),
    ];
    for (json, text) in rows {
        assert_eq!(failure(parse(&schema, json, &strict())).1, text);
        let skipping = JsonOptions { unknown: Unknown::Skip, ..strict() };
        assert!(parse(&schema, json, &skipping).is_err(), "{text}");
    }
    assert_eq!(there_and_back(&schema, "{\"s\":\"\\ud800x\"}", &lenient()).unwrap(), "{\"s\":\"\u{FFFD}x\"}");
}

/// generic.md §4, "Missing or null fields on write".
#[test]
fn fields_that_are_missing_or_null() {
    let idl = |word: &str, default: &str| {
        schema(&format!("struct S {{ 1: {word} i32 v {default}, 2: optional bool other }}"))
    };
    let zero = lenient_without_defaults();
    let fill = JsonOptions { fill_optional: true, ..lenient() };
    let missing = "the required field is missing (line 1, column 1, byte 0)";
    // Word, default, and the outcome with the default options, without defaults, filling, strict.
    let rows = [
        ("", "", [Ok("0"), Ok("0"), Ok("0"), Ok("0")]),
        ("", "= 5", [Ok("5"), Ok("0"), Ok("5"), Ok("5")]),
        ("optional", "", [Ok(""), Ok(""), Ok("0"), Ok("")]),
        ("optional", "= 5", [Ok(""), Ok(""), Ok("5"), Ok("")]),
        ("required", "", [Ok("0"), Ok("0"), Ok("0"), Err(missing)]),
        ("required", "= 5", [Ok("5"), Ok("0"), Ok("5"), Err(missing)]),
    ];
    let shown = JsonOptions { absent: Absent::Omit, tolerate_missing: true, ..lenient() };
    for (word, default, outcomes) in rows {
        let schema = idl(word, default);
        for (options, outcome) in [&lenient(), &zero, &fill, &strict()].into_iter().zip(outcomes) {
            for json in ["{}", "{\"v\":null}"] {
                let bytes = parse(&schema, json, options);
                match outcome {
                    Ok(expected) => {
                        let back = print(&schema, &bytes.unwrap(), &shown).unwrap();
                        let value = back.split(':').nth(1).map_or("", |rest| rest.trim_end_matches('}'));
                        let value = value.split(',').next().unwrap();
                        assert_eq!(value, expected, "{word} {default} {json} {back}");
                        assert!(!value.is_empty() || !back.contains("\"v\""));
                    }
                    Err(text) => {
                        let (code, found) = failure(bytes);
                        assert_eq!(code, Code::MissingField);
                        let place = if json == "{}" {
                            text
                        } else {
                            "the required field is null (line 1, column 6, byte 5)"
                        };
                        assert_eq!(found, format!("$.v: {place}"));
                    }
                }
            }
        }
    }
}

fn lenient_without_defaults() -> JsonOptions {
    JsonOptions { idl_defaults: false, ..lenient() }
}

#[test]
fn defaults_of_every_type_are_written() {
    let schema = schema(
        "enum E { A = 1, B = 2 }
         struct T { 1: i32 a = 7, 2: optional string b, 3: required i16 c, 4: list<E> d }
         struct S {
             1: bool a = true, 2: i8 b = -1, 3: i16 c = 300, 4: i64 e = 9007199254740993, 5: double f = 1,
             6: string g = \"x\", 7: binary h = \"hi\", 8: E i = E.B, 9: list<i32> j = [1, 2], 10: set<string> k = [\"s\"],
             11: map<string, list<i64>> l = {\"m\": [3]}, 12: T m = {\"b\": \"t\", \"d\": [E.A]}, 13: double n = 2.5,
         }",
    );
    let back = there_and_back(&schema, "{}", &lenient()).unwrap();
    assert_eq!(
        back,
        r#"{"a":true,"b":-1,"c":300,"e":9007199254740993,"f":1,"g":"x","h":"aGk=","i":2,"j":[1,2],"k":["s"],"l":{"m":[3]},"m":{"b":"t","d":[1],"c":0,"a":7},"n":2.5}"#
    );
    // What is shown for an empty struct on the wire is the same.
    assert_eq!(
        print(&schema, &[0], &lenient()).unwrap(),
        r#"{"a":true,"b":-1,"c":300,"e":9007199254740993,"f":1,"g":"x","h":"aGk=","i":2,"j":[1,2],"k":["s"],"l":{"m":[3]},"m":{"b":"t","d":[1],"c":0},"n":2.5}"#
    );
}

#[test]
fn members_that_come_twice() {
    let schema = schema(
        "struct T { 1: optional i32 a, 2: optional T t } struct S { 1: optional i32 a, 2: optional string b, 3: optional T t, 4: optional map<string,i32> m }",
    );
    let rows = [
        (
            r#"{"a":1,"b":"x","a":2}"#,
            r#"{"a":1,"b":"x"}"#,
            r#"{"b":"x","a":2}"#,
            "$.a: the member comes twice (line 1, column 16, byte 15)",
        ),
        (
            r#"{"a":null,"a":2}"#,
            "{}",
            r#"{"a":2}"#,
            "$.a: the member comes twice (line 1, column 11, byte 10)",
        ),
        (r#"{"a":1,"a":null}"#, r#"{"a":1}"#, "{}", "$.a: the member comes twice (line 1, column 8, byte 7)"),
        (
            r#"{"t":{"a":1,"t":{"a":5,"a":6},"a":2}}"#,
            r#"{"t":{"a":1,"t":{"a":5}}}"#,
            r#"{"t":{"t":{"a":6},"a":2}}"#,
            "$.t.t.a: the member comes twice (line 1, column 24, byte 23)",
        ),
        (
            r#"{"m":{"k":1,"k":2}}"#,
            r#"{"m":{"k":1,"k":2}}"#,
            r#"{"m":{"k":1,"k":2}}"#,
            "$.m.k: the key comes twice (line 1, column 13, byte 12)",
        ),
    ];
    for (json, first, last, refused) in rows {
        assert_eq!(there_and_back(&schema, json, &lenient()).unwrap(), first);
        let options = JsonOptions { duplicates: Duplicates::Last, ..lenient() };
        assert_eq!(there_and_back(&schema, json, &options).unwrap(), last);
        assert_eq!(failure(parse(&schema, json, &strict())), (Code::Malformed, refused.into()));
    }
}

#[test]
fn keys_are_aliases_and_match_exactly() {
    let schema = schema(
        "struct S {
             1: optional i32 one (api.key = 'a.b'), 2: optional i32 two (go.tag = 'json:\"x,omitempty\"'),
             3: optional i32 three (go.tag = 'json:\"-\"'), 4: optional i32 four (api.key = '*\"\\\\'), 5: optional i32 Five,
             6: optional i32 six = 6 (api.key = '6'),
         }",
    );
    let json = r#"{"a.b":1,"x":2,"-":3,"Five":5,"6":6}"#;
    assert_eq!(there_and_back(&schema, json, &strict()).unwrap(), json);
    assert_eq!(
        there_and_back(&schema, r#"{"a\u002eb":1,"\u0078":2}"#, &strict()).unwrap(),
        r#"{"a.b":1,"x":2,"6":6}"#
    );
    for json in [r#"{"one":1}"#, r#"{"a":1}"#, r#"{"five":1}"#, r#"{"X":1}"#, r#"{"":1}"#] {
        assert_eq!(failure(parse(&schema, json, &strict())).0, Code::UnknownField, "{json}");
        assert_eq!(parse(&schema, json, &lenient()).unwrap(), [0]);
    }
    // Keys come back as they are, whatever is in them.
    let four = schema.structure(id_of(&schema, "S")).field(4).unwrap().key.to_string();
    let json = serde_json::to_string(&std::collections::BTreeMap::from([(four, 4)])).unwrap();
    let options = JsonOptions { absent: Absent::Omit, ..strict() };
    assert_eq!(there_and_back(&schema, &json, &options).unwrap(), json);
}

#[test]
fn structs_of_many_fields() {
    let fields: String = (1..=200).map(|n| format!("{n}: optional i32 f{n},")).collect();
    let schema = schema(&format!("struct S {{ {fields} 300: required i32 last }}"));
    let json: Vec<String> = (1..=200).rev().map(|n| format!("\"f{n}\":{n}")).collect();
    let json = format!("{{{},\"last\":0}}", json.join(","));
    assert_eq!(there_and_back(&schema, &json, &strict()).unwrap(), json);
    let twice = json.replace("\"f64\":64", "\"f64\":1,\"f64\":64");
    assert_eq!(failure(parse(&schema, twice, &strict())).0, Code::Malformed);
    let without = json.replace(",\"last\":0", "");
    assert_eq!(failure(parse(&schema, without, &strict())).0, Code::MissingField);
}

#[test]
fn unknown_members_and_fields_kept_and_written_back() {
    let known = schema("struct S { 1: optional i32 a, 3: optional S s }");
    let newer = schema(
        "struct S { 1: optional i32 a, 2: optional list<string> b, 3: optional S s, 9: optional double c }",
    );
    let json = r#"{"a":1,"b":["x","y"],"s":{"c":1.5},"c":2}"#;
    let bytes = parse(&newer, json, &strict()).unwrap();
    assert_eq!(print(&known, &bytes, &lenient()).unwrap(), r#"{"a":1,"s":{}}"#);
    assert_eq!(
        failure(print(&known, &bytes, &strict())),
        (Code::UnknownField, "$: struct S has no field 2 (byte 7)".into())
    );

    let keep = JsonOptions { unknown: Unknown::Keep, ..strict() };
    let kept = print(&known, &bytes, &keep).unwrap();
    assert_eq!(
        kept,
        r#"{"a":1,"s":{"$unknown":"BAAJP/gAAAAAAAA="},"$unknown":"DwACCwAAAAIAAAABeAAAAAF5BAAJQAAAAAAAAAA="}"#
    );
    let again = parse(&known, &kept, &keep).unwrap();
    assert_eq!(print(&newer, &again, &strict()).unwrap(), r#"{"a":1,"s":{"c":1.5},"b":["x","y"],"c":2}"#);
    // Only with the option, and only what can be fields that are unknown indeed.
    assert_eq!(parse(&known, r#"{"$unknown":"BAAJP/gAAAAAAAA="}"#, &lenient()).unwrap(), [0]);
    let rows = [
        (r#"{"$unknown":"!"}"#, "not base64"),
        (r#"{"$unknown":"CAABAAAAAQ=="}"#, "field 1 is known, but comes as an unknown one"),
        (r#"{"$unknown":"AA=="}"#, "a STOP among unknown fields"),
        (r#"{"$unknown":"CAAJ"}"#, "unknown fields: buffer too short at byte 3"),
    ];
    for (json, text) in rows {
        let text = format!("$[\"$unknown\"]: {text} (line 1, column 13, byte 12)");
        assert_eq!(failure(parse(&known, json, &keep)), (Code::Malformed, text), "{json}");
    }
    assert_eq!(failure(parse(&known, r#"{"$unknown":1}"#, &keep)).0, Code::Malformed);
    assert_eq!(there_and_back(&known, r#"{"x":{"y":[1,"}"]},"a":1}"#, &keep).unwrap(), r#"{"a":1}"#);
}

#[test]
fn unions_are_not_filled_and_may_be_of_a_member_unknown_here() {
    let schema = schema("union U { 1: i32 a = 5, 2: i32 b } struct S { 1: optional U u, 2: optional i8 x }");
    let fill = JsonOptions { fill_optional: true, ..lenient() };
    assert_eq!(
        parse(&schema, "{\"u\":{\"b\":1}}", &fill).unwrap(),
        b"\x0c\0\x01\x08\0\x02\0\0\0\x01\0\x03\0\x02\0\0"
    );
    let keep = JsonOptions { unknown: Unknown::Keep, ..strict() };
    let json = r#"{"u":{"$unknown":"AgAJAQ=="}}"#;
    assert_eq!(there_and_back(&schema, json, &keep).unwrap(), json);
    let both = r#"{"u":{"a":1,"$unknown":"AgAJAQ=="}}"#;
    assert_eq!(failure(parse(&schema, both, &keep)).0, Code::TypeMismatch);
}
