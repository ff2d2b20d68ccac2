//! The default options against what Kitex itself wrote (tests/golden/json/kitex.tsv).

use super::*;

const RECORDED: &str = include_str!("../../../../tests/golden/json/kitex.tsv");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn arguments(field: &str, t: &str, json: &str) -> Result<String, Error> {
    let schema = schema(&format!(
        "enum E {{ A = 1, B = 2 }} union U {{ 1: i32 a, 2: i32 b }} struct T {{ 1: {t} }}
         struct S {{ 1: {field} }} service X {{ S M(1: S s) }}"
    ));
    let method = schema.method(schema.find_method("M").unwrap());
    request_from_json(&schema, method, json.as_bytes(), &lenient()).map(|message| hex(&message.bytes()))
}

/// Where we differ on purpose.
fn differs(ty: &str, json: &str) -> bool {
    match (ty, json) {
        // Names of enums are known here, and wrong ones are no zero.
        ("E", _) => {
            json.starts_with('"') && !json.starts_with("\"1") && !json.starts_with("\"-12")
                || json == "\"1.5\""
        }
        ("map<E,i32>", "{\"x\":1}") => true,
        // A repeated key of a map is written twice; the plain engine drops the second.
        _ => json == "{\"a\":1,\"a\":2}" && ty.starts_with("map<string"),
    }
}

#[test]
fn values() {
    let mut rows = 0;
    for line in RECORDED.lines() {
        let ["value", ty, json, recorded] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        if differs(ty, json) {
            continue;
        }
        rows += 1;
        let made = arguments(&format!("optional {ty} v"), "optional i32 a", &format!("{{\"v\":{json}}}"));
        assert_eq!(made.as_deref().unwrap_or("refused"), recorded, "{ty} {json} {made:?}");
    }
    assert!(rows > 900, "{rows}");
}

#[test]
fn absent_fields() {
    let mut rows = 0;
    for line in RECORDED.lines() {
        let ["absent", field, json, plain, dynamic] = line.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        rows += 1;
        let made = arguments(field, "required i32 a = 3", json).unwrap();
        // Neither engine writes defaults of containers, nor dynamicgo those that are integers of a double.
        if !(field.contains("list<i32>") || field.ends_with("double v = 1")) {
            assert_eq!(made, dynamic, "{field} {json}");
        }
        let schema = schema(&format!(
            "enum E {{ A = 1, B = 2 }} struct T {{ 1: required i32 a = 3 }} struct S {{ 1: {field} }}"
        ));
        let zero = JsonOptions { idl_defaults: false, ..lenient() };
        let made = parse(&schema, json, &zero).unwrap();
        assert_eq!(format!("0c0001{}00", hex(&made)), plain, "{field} {json}");
    }
    assert_eq!(rows, 72);
}
