//! JSON: messages from it and to it, by a shape.

use crate::base::{Encoding, Error, Message, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::guard_new;
use crate::capi::handle;
use crate::capi::message::krpc_message;
use crate::capi::shape::krpc_shape;
use crate::capi::types::{SizedStruct, krpc_str, read_sized};
use crate::codec::json::{Absent, Binary, Duplicates, Enums, Int64, JsonOptions, NonFinite, Unknown};

/// A choice that has a default.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_choice {
    /// What the field's text says, or `strict`.
    KRPC_CHOICE_DEFAULT = 0,
    /// Yes.
    KRPC_CHOICE_YES = 1,
    /// No.
    KRPC_CHOICE_NO = 2,
}

/// What a `binary` is in JSON.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_binary {
    /// Base64 with the standard alphabet and padding.
    KRPC_JSON_BINARY_BASE64 = 1,
    /// The bytes as text.
    KRPC_JSON_BINARY_TEXT = 2,
}

/// How enums are written to JSON. Both are read.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_enums {
    /// As numbers.
    KRPC_JSON_ENUMS_NUMBER = 1,
    /// By name; a number that has none stays a number.
    KRPC_JSON_ENUMS_NAME = 2,
}

/// How i64 are written to JSON. Numbers and text are both read, exactly.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_int64 {
    /// As numbers, except in fields with the annotation `api.js_conv`: as text there.
    KRPC_JSON_INT64_ANNOTATED = 1,
    /// As numbers.
    KRPC_JSON_INT64_NUMBER = 2,
    /// As text.
    KRPC_JSON_INT64_TEXT = 3,
}

/// What happens to members of JSON and fields of messages that the IDL does not know.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_unknown {
    /// They are left out.
    KRPC_JSON_UNKNOWN_SKIP = 1,
    /// They are UNKNOWN_FIELD.
    KRPC_JSON_UNKNOWN_REFUSE = 2,
    /// Fields of messages are kept in JSON, all of a struct together as base64 under "$unknown", and
    /// written back from there. Other members of JSON are left out.
    KRPC_JSON_UNKNOWN_KEEP = 3,
}

/// Which of several members with the same key counts.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_duplicates {
    /// The first.
    KRPC_JSON_DUPLICATES_FIRST = 1,
    /// The last.
    KRPC_JSON_DUPLICATES_LAST = 2,
    /// They are refused, also in maps.
    KRPC_JSON_DUPLICATES_REFUSE = 3,
}

/// Which fields that a message does not have are written to JSON.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_absent {
    /// None.
    KRPC_JSON_ABSENT_OMIT = 1,
    /// Those with a default in the IDL.
    KRPC_JSON_ABSENT_DECLARED = 2,
    /// Those too that are not optional, with zero.
    KRPC_JSON_ABSENT_ALL = 3,
}

/// What a double that is no number becomes in JSON.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_json_non_finite {
    /// An error.
    KRPC_JSON_NON_FINITE_REFUSE = 1,
    /// `null`.
    KRPC_JSON_NON_FINITE_NULL = 2,
}

/// How JSON and messages become each other; 0 is the default in every field, and behaves as Kitex's JSON
/// generic does. Sized struct: start from `KRPC_JSON_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_json_options {
    /// `sizeof(krpc_json_options)` as the caller was compiled.
    pub struct_size: usize,
    /// Bytes of output. 0: as many as a frame can carry.
    pub max_bytes: usize,
    /// Elements or pairs of one container. 0: as many as the protocol can count.
    pub max_elements: usize,
    /// Structs and containers within each other, 1 to 255. 0: 64.
    pub max_depth: u32,
    /// 1: refuse what would otherwise be changed silently: values of another kind than their type ("12" for
    /// an i32), numbers out of range or with a fraction, null inside containers, strings that are not UTF-8,
    /// unknown and repeated members, absent required fields, bare strings. The fields below decide on their
    /// own where they are not 0.
    pub strict: u32,
    /// What a `binary` is: a `krpc_json_binary`. 0: base64.
    pub binary: i32,
    /// How enums are written to JSON: a `krpc_json_enums`. 0: as numbers.
    pub enums: i32,
    /// How i64 are written to JSON: a `krpc_json_int64`. 0: by annotation.
    pub int64: i32,
    /// Unknown members and fields: a `krpc_json_unknown`. 0: skip; strict: refuse.
    pub unknown: i32,
    /// Repeated members: a `krpc_json_duplicates`. 0: the first; strict: refuse.
    pub duplicates: i32,
    /// Absent fields in JSON: a `krpc_json_absent`. 0: those with a default in the IDL.
    pub absent: i32,
    /// NaN and infinities in JSON: a `krpc_json_non_finite`. 0: refuse.
    pub non_finite: i32,
    /// Whether i8 are written to JSON as 0 to 255: a `krpc_choice`. 0: no.
    pub i8_unsigned: i32,
    /// Whether a required field that is absent in JSON is written with its default or zero, instead of
    /// being an error: a `krpc_choice`. 0: yes; strict: no.
    pub fill_required: i32,
    /// Whether an optional field that is absent in JSON is written with its default or zero: a
    /// `krpc_choice`. 0: no.
    pub fill_optional: i32,
    /// Whether fields that are filled get the default of the IDL instead of zero: a `krpc_choice`. 0: yes.
    pub idl_defaults: i32,
    /// Whether the absence of a required field in a message is tolerated: a `krpc_choice`. 0: no.
    pub tolerate_missing: i32,
    /// Whether `<`, `>`, `&`, U+2028 and U+2029 are escaped in JSON: a `krpc_choice`. 0: no.
    pub escape_html: i32,
    /// Whether an argument or result that is a string itself is bare text instead of a JSON string; when
    /// read, a JSON string is understood too: a `krpc_choice`. 0: yes; strict: no.
    pub bare_strings: i32,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_json_options {}

/// Makes the message of a shape from JSON.
///
/// `json`: UTF-8, borrowed for the call. Of a request: the value of the only argument, or an object with a
/// member for each; of a result: the return value, `null` for void. `options`: NULL for the defaults.
/// Returns an owned message in Thrift Binary, or NULL and an error with the place, e.g. "$.items[3].name:
/// expected a string, found a number (line 1, column 17, byte 16)".
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD,
/// CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_from_json(
    json: krpc_str,
    shape: *const krpc_shape,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for view and handle.
        let (json, shape) = unsafe { (json.bytes("json")?, handle::get(shape, "shape")?) };
        // SAFETY: the host vouches for a struct of the size that it says.
        let options = unsafe { json_options(options)? };
        shape.from_json(json, &options).map(handle::give)
    })
}

/// Writes the message of a shape as JSON, the one that `krpc_message_from_json` takes.
///
/// `message`: in Thrift Binary, e.g. from `krpc_reply_message`. `options`: NULL for the defaults.
/// Returns an owned message in `KRPC_ENCODING_JSON`, of one segment; or NULL and an error with the place.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD,
/// CODEC_LIMIT, UNSUPPORTED, DECLARED_EXCEPTION if it is an exception instead of a result. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_to_json(
    message: *const krpc_message,
    shape: *const krpc_shape,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the handles.
        let (message, shape) = unsafe { (handle::get(message, "message")?, handle::get(shape, "shape")?) };
        // SAFETY: the host vouches for a struct of the size that it says.
        let options = unsafe { json_options(options)? };
        shape.to_json(message, &options).map(give_json)
    })
}

/// JSON for the host.
pub(super) fn give_json(json: Vec<u8>) -> *mut krpc_message {
    handle::give(Message::new(Encoding::JSON, json.into()))
}

/// The options that the host gave, checked.
pub(super) unsafe fn json_options(options: *const krpc_json_options) -> Result<JsonOptions> {
    // SAFETY: the host vouches for a struct of the size that it says.
    let given = unsafe { read_sized(options, "options")? };
    let mut chosen = match given.strict {
        0 => JsonOptions::default(),
        1 => JsonOptions::strict(),
        other => {
            return Err(Error::invalid_argument("options.strict", format_args!("{other} is not 0 or 1")));
        }
    };
    choose("binary", given.binary, &[Binary::Base64, Binary::Text], &mut chosen.binary)?;
    choose("enums", given.enums, &[Enums::Number, Enums::Name], &mut chosen.enums)?;
    choose("int64", given.int64, &[Int64::Annotated, Int64::Number, Int64::Text], &mut chosen.int64)?;
    let unknown = [Unknown::Skip, Unknown::Refuse, Unknown::Keep];
    choose("unknown", given.unknown, &unknown, &mut chosen.unknown)?;
    let duplicates = [Duplicates::First, Duplicates::Last, Duplicates::Refuse];
    choose("duplicates", given.duplicates, &duplicates, &mut chosen.duplicates)?;
    let absent = [Absent::Omit, Absent::Declared, Absent::All];
    choose("absent", given.absent, &absent, &mut chosen.absent)?;
    choose("non_finite", given.non_finite, &[NonFinite::Refuse, NonFinite::Null], &mut chosen.non_finite)?;
    yes_or_no(&given, &mut chosen)?;
    limits(&given, &mut chosen)?;
    Ok(chosen)
}

fn yes_or_no(given: &krpc_json_options, chosen: &mut JsonOptions) -> Result<()> {
    const YES_NO: &[bool] = &[true, false];
    choose("i8_unsigned", given.i8_unsigned, YES_NO, &mut chosen.i8_unsigned)?;
    choose("fill_required", given.fill_required, YES_NO, &mut chosen.fill_required)?;
    choose("fill_optional", given.fill_optional, YES_NO, &mut chosen.fill_optional)?;
    choose("idl_defaults", given.idl_defaults, YES_NO, &mut chosen.idl_defaults)?;
    choose("tolerate_missing", given.tolerate_missing, YES_NO, &mut chosen.tolerate_missing)?;
    choose("escape_html", given.escape_html, YES_NO, &mut chosen.escape_html)?;
    choose("bare_strings", given.bare_strings, YES_NO, &mut chosen.bare_strings)
}

fn limits(given: &krpc_json_options, chosen: &mut JsonOptions) -> Result<()> {
    if given.max_depth != 0 {
        chosen.limits.depth = u8::try_from(given.max_depth).map_err(|_| {
            Error::invalid_argument("options.max_depth", format_args!("{} exceeds 255", given.max_depth))
        })?;
    }
    if given.max_bytes != 0 {
        chosen.limits.bytes = given.max_bytes.min(chosen.limits.bytes);
    }
    if given.max_elements != 0 {
        chosen.limits.elements = given.max_elements.min(chosen.limits.elements);
    }
    Ok(())
}

/// Sets what a number chooses, counted from 1; 0 leaves it as it is.
fn choose<T: Copy>(field: &str, number: i32, choices: &[T], chosen: &mut T) -> Result<()> {
    if number == 0 {
        return Ok(());
    }
    let choice = usize::try_from(number).ok().and_then(|number| choices.get(number - 1));
    *chosen = *choice.ok_or_else(|| {
        let parameter = format!("options.{field}");
        Error::invalid_argument(&parameter, format_args!("{number} is not a choice"))
    })?;
    Ok(())
}
