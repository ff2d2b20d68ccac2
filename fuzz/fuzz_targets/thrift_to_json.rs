//! Any bytes as a struct: an error, or JSON that can be read and says the same. The first byte of the
//! input chooses options.
#![no_main]

mod json_schema;

use krpc::codec::json::struct_to_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, thrift)) = data.split_first() else { return };
    let options = json_schema::options(*choice);
    let (schema, id) = json_schema::schema();
    let mut json = vec![];
    match struct_to_json(schema, *id, thrift, &options, &mut json) {
        Ok(()) => json_schema::check_stable(thrift, &options),
        Err(error) => {
            assert!(json.is_empty());
            assert!(error.text().starts_with('$') && error.text().contains("(byte "), "{error}");
        }
    }
});
