//! Any text as an IDL: diagnostics, or a schema whose structs can all be made from nothing.
#![no_main]

use krpc::codec::json::{Absent, JsonOptions, json_to_struct, struct_to_json};
use krpc::idl::{MemoryProvider, Options, Style, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = MemoryProvider::new().file("t.thrift", text).file("b.thrift", "struct Base { 1: i32 a }");
    let compiled = compile("t.thrift", &files, &Options::default());
    let _ = compiled.render(Style::Plain);
    let Ok(schema) = compiled.into_schema() else { return };
    let options = JsonOptions { fill_optional: true, absent: Absent::All, ..JsonOptions::default() };
    for (id, _) in schema.structs() {
        let (mut thrift, mut json) = (vec![], vec![]);
        // A default of the type uuid, keys that are structs: not everything has a form in JSON.
        if json_to_struct(&schema, id, b"{}", &options, &mut thrift).is_ok() {
            let _ = struct_to_json(&schema, id, &thrift, &options, &mut json);
        }
    }
});
