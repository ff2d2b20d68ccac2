//! A large IDL, the same at every run: what a company's gateway or a monorepo's generator would read.

use std::fmt::Write;

/// How many services it has.
pub const SERVICES: usize = 2000;

const NOUNS: [&str; 16] = [
    "Order", "User", "Cart", "Price", "Stock", "Payment", "Refund", "Coupon", "Review", "Search", "Message",
    "Session", "Address", "Invoice", "Delivery", "Catalog",
];
const VERBS: [&str; 10] =
    ["Get", "List", "Create", "Update", "Delete", "Search", "Watch", "Count", "Check", "Sync"];

/// About 800 kB: 2000 services of 3 to 5 methods and what they share: structs, unions, exceptions, enums,
/// typedefs, constants, defaults, annotations, comments.
pub fn text() -> String {
    let mut out = String::with_capacity(820_000);
    out.push_str("namespace go shop.gateway\nnamespace py shop.gateway\n\n");
    out.push_str("typedef i64 Id\ntypedef map<string, string> Tags\n\n");
    out.push_str("exception Failure {\n    1: required i32 code\n    2: optional string reason\n}\n\n");
    for number in 0..SERVICES {
        // An IDL is written from the bottom up: types first, then the service that needs them.
        if number.is_multiple_of(4) {
            structure(&mut out, number);
        }
        if number % 16 == 4 {
            enumeration(&mut out, number);
        }
        if number % 16 == 9 {
            constants(&mut out, number);
        }
        if number % 32 == 20 {
            union(&mut out, number);
        }
        service(&mut out, number);
    }
    out
}

fn noun(number: usize) -> &'static str {
    NOUNS[number % NOUNS.len()]
}

/// The struct that a service uses: the last one that was written.
fn struct_name(number: usize) -> String {
    let number = number - number % 4;
    format!("{}Info{number}", noun(number))
}

fn structure(out: &mut String, number: usize) {
    let name = struct_name(number);
    let part = struct_name(number.saturating_sub(4));
    let extra = match number % 5 {
        0 => "4: optional bool hidden = false".to_owned(),
        1 => format!("4: optional list<{part}> parts"),
        2 => "4: double amount = 0.5 (api.js_conv = \"\")".to_owned(),
        3 => "4: map<i32, list<string>> index".to_owned(),
        _ => "4: binary body // as it came".to_owned(),
    };
    let doc =
        if number.is_multiple_of(8) { format!("// What is known about {name}.\n") } else { String::new() };
    let _ = writeln!(
        out,
        "{doc}struct {name} {{\n    1: required Id id\n    2: string name (api.key = \"Name\")\n    \
         3: optional Tags tags\n    {extra}\n}}\n"
    );
}

fn enumeration(out: &mut String, number: usize) {
    let _ = writeln!(
        out,
        "enum {0}State{number} {{\n    UNKNOWN = 0,\n    OPEN = 1, // may change\n    CLOSED = 2,\n    LOST = 10\n}}\n",
        noun(number)
    );
}

fn constants(out: &mut String, number: usize) {
    let state = format!("{}State{}", noun(number - 5), number - 5);
    let _ = writeln!(
        out,
        "const i32 LIMIT_{number} = {}\nconst list<string> WORDS_{number} = [\"a\", \"b\", 'c']\n\
         const {state} STATE_{number} = {state}.OPEN\nconst map<string, i64> SIZES_{number} = {{\"x\": 1, \"y\": LIMIT_{number}}}\n",
        number * 10
    );
}

fn union(out: &mut String, number: usize) {
    let _ = writeln!(
        out,
        "union {0}Key{number} {{\n    1: i64 number\n    2: string text\n    3: {1} info\n}}\n",
        noun(number),
        struct_name(number)
    );
}

fn service(out: &mut String, number: usize) {
    let base =
        if number % 10 == 7 { format!(" extends {}", service_name(number - 1)) } else { String::new() };
    if number.is_multiple_of(2) {
        let _ = writeln!(out, "/** Everything about {} {number}. */", noun(number));
    }
    let _ = writeln!(out, "service {}{base} {{", service_name(number));
    for method in 0..3 + number % 3 {
        function(out, number, method);
    }
    out.push_str("}\n\n");
}

fn service_name(number: usize) -> String {
    format!("{}Service{number}", noun(number))
}

fn function(out: &mut String, number: usize, method: usize) {
    // Different names within a service and its base.
    let verb = VERBS[(number % 2 * 5 + method) % VERBS.len()];
    let (noun, info) = (noun(number), struct_name(number));
    let _ = match method {
        0 => writeln!(out, "    {info} {verb}{noun}(1: Id id, 2: bool fresh) throws (1: Failure failure)"),
        1 => writeln!(out, "    list<{info}> {verb}{noun}s(1: string query, 2: i32 limit = 20),"),
        2 => writeln!(out, "    void {verb}{noun}(1: {info} info) (api.post = \"/{noun}/{verb}\")"),
        3 => writeln!(out, "    i64 {verb}{noun}(1: set<Id> ids, 2: Tags tags) // cheap"),
        _ => writeln!(out, "    oneway void {verb}{noun}(1: {info} info);"),
    };
}
