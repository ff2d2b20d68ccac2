//! Any text as JSON of a struct: an error with its place, or bytes that are well formed and stay the
//! same. The first byte of the input chooses options.
#![no_main]

mod json_schema;

use krpc::base::json::Scanner;
use krpc::codec::json::json_to_struct;
use krpc::wire::thrift::{BinaryReader, TType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, json)) = data.split_first() else { return };
    let options = json_schema::options(*choice);
    let (schema, id) = json_schema::schema();
    let mut thrift = vec![];
    match json_to_struct(schema, *id, json, &options, &mut thrift) {
        Ok(()) => {
            let mut reader = BinaryReader::new(&thrift);
            reader.skip(TType::Struct).unwrap();
            assert_eq!(reader.remaining(), 0);
            assert!(Scanner::new(json).skip(64).is_ok());
            json_schema::check_stable(&thrift, &options);
        }
        Err(error) => {
            assert!(thrift.is_empty());
            assert!(error.text().starts_with('$') && error.text().contains("(line "), "{error}");
        }
    }
});
