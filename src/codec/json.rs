//! JSON to Thrift Binary and back, by the types of an IDL (generic.md §3 to §6).
//!
//! One pass over the text or the bytes, without a tree in between. [`JsonOptions::default`] behaves as
//! Kitex's JSON generic does, [`JsonOptions::strict`] refuses whatever the former would silently change.
//! Errors name the place: `$.items[3].name: expected a string, found a number (line 1, column 17, byte
//! 16)`.
//!
//! ```
//! use krpc::codec::json::{JsonOptions, ReplyJson, reply_from_json, reply_to_json, request_from_json};
//! use krpc::idl::{MemoryProvider, Options, compile};
//!
//! let idl = "struct Req { 1: string text, 2: list<i32> marks } service Chat { i64 Say(1: Req req) }";
//! let files = MemoryProvider::new().file("chat.thrift", idl);
//! let schema = compile("chat.thrift", &files, &Options::default()).into_schema().expect("no errors");
//! let method = schema.method(schema.find_method("Say").expect("is there"));
//!
//! let options = JsonOptions::strict();
//! let request = request_from_json(&schema, method, br#"{"text": "hi", "marks": [1, 2]}"#, &options)?;
//! assert_eq!(request.len(), 30);
//! let reply = reply_from_json(&schema, method, b"42", &options)?;
//! assert_eq!(reply_to_json(&schema, method, &reply, &options)?, ReplyJson::Success(b"42".to_vec()));
//!
//! let error = request_from_json(&schema, method, br#"{"text": "hi", "marks": [1, "x"]}"#, &options);
//! assert_eq!(
//!     error.unwrap_err().text(),
//!     "$.marks[1]: expected a number, found a string (line 1, column 29, byte 28)"
//! );
//! # Ok::<(), krpc::base::Error>(())
//! ```

mod absent;
mod call;
mod coerce;
mod fault;
mod keys;
mod options;
mod parse;
mod print;
pub(super) mod seen;
mod text;

pub(crate) use absent::{write_absent, write_element_types};
pub use call::{
    ReplyJson, exception_from_json, reply_from_json, reply_to_json, request_from_json, request_to_json,
};
pub use options::{Absent, Binary, Duplicates, Enums, Int64, JsonLimits, JsonOptions, NonFinite, Unknown};
pub use parse::{json_to_struct, json_to_value};
pub use print::{struct_to_json, value_to_json};

/// The key under which fields that the IDL does not know are kept: their bytes, headers included, in
/// base64. See [`Unknown::Keep`].
pub const UNKNOWN_KEY: &str = "$unknown";

#[cfg(test)]
mod tests;
