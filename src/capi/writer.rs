//! `krpc_writer`: builds a message in Thrift Binary, value by value.

use crate::base::{Code, Encoding, Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::message::krpc_message;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::types::{krpc_bytes, krpc_str};
use crate::codec::{Builder, TType};
use crate::observe::handles::Kind;

/// Builds a message: one struct in Thrift Binary.
///
/// The outermost struct is open from the start; `krpc_writer_finish` ends it. A field is announced with
/// `krpc_writer_field`, then its value follows; `krpc_writer_field_i32` and its sisters do both. A list,
/// set or map says its count first and ends by itself with its last element. A struct that is a value is
/// begun and ended.
///
/// Every step is checked: type, order, count, depth (64). The first failure sticks, so that the status
/// of single steps may be ignored: `krpc_writer_finish` reports it, with the field it was in.
///
/// ```c
/// krpc_writer *w = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
/// krpc_writer_field_struct_begin(w, 1);                    // argument 1: Message
/// krpc_writer_field_string(w, 1, KRPC_STR("hi"));          //   1: string text
/// krpc_writer_field_list(w, 3, KRPC_TYPE_I32, 2);          //   3: list<i32> marks
/// krpc_writer_i32(w, 7);
/// krpc_writer_i32(w, 8);
/// krpc_writer_struct_end(w);
/// krpc_message *args = krpc_writer_finish(w, &error);      // consumes w
/// ```
pub struct krpc_writer {
    _opaque: [u8; 0],
}

impl Opaque for krpc_writer {
    type Inner = Builder;
    const KIND: Kind = Kind::Writer;
}

/// Type of a Thrift value, as on the wire. Other numbers are not types.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_type {
    /// No type: ends a struct; stands for the element type of an empty container that names none.
    KRPC_TYPE_STOP = 0,
    /// What some servers answer for `void`. Can be skipped, not written.
    KRPC_TYPE_VOID = 1,
    /// A bool.
    KRPC_TYPE_BOOL = 2,
    /// An i8 (`byte`).
    KRPC_TYPE_I8 = 3,
    /// A double.
    KRPC_TYPE_DOUBLE = 4,
    /// An i16.
    KRPC_TYPE_I16 = 6,
    /// An i32, or an enum.
    KRPC_TYPE_I32 = 8,
    /// An i64.
    KRPC_TYPE_I64 = 10,
    /// A string or binary.
    KRPC_TYPE_STRING = 11,
    /// A struct, union or exception.
    KRPC_TYPE_STRUCT = 12,
    /// A map.
    KRPC_TYPE_MAP = 13,
    /// A set.
    KRPC_TYPE_SET = 14,
    /// A list.
    KRPC_TYPE_LIST = 15,
}

/// A writer whose outermost struct has no fields yet.
///
/// `encoding`: `KRPC_ENCODING_THRIFT_BINARY`; no other is supported yet.
/// Returns an owned writer, or NULL and an error.
///
/// Thread: any thread. Errors: UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_new(encoding: i32, error: *mut *mut krpc_error) -> *mut krpc_writer {
    guard_new(error, || match Encoding(encoding) {
        Encoding::THRIFT_BINARY => Ok(handle::give(Builder::new())),
        _ => {
            let text = format!("encoding: no writer for {encoding}, only for KRPC_ENCODING_THRIFT_BINARY");
            Err(Error::new(Code::Unsupported, text))
        }
    })
}

/// A writer for messages of a shape. Fields can be announced by name (`krpc_writer_field_name`). More is
/// checked: each field is in the IDL, has the IDL's type, and is written once; a struct ends with its
/// required fields, a union with one field. Fields that are not optional are written with their default or
/// zero if nothing else is, as in JSON; required ones only if they have a default.
///
/// A request whose only argument is a struct begins inside of that, a result inside of the returned struct;
/// where the value is no struct, it is due at once. Without arguments or with several, the arguments are the
/// fields. `krpc_writer_finish` ends what was begun here.
///
/// ```c
/// krpc_writer *w = krpc_writer_new_typed(krpc_method_request_shape(say), NULL);
/// krpc_writer_field_name(w, KRPC_STR("text"));
/// krpc_writer_string(w, KRPC_STR("hi"));
/// krpc_writer_field_name(w, KRPC_STR("marks"));
/// krpc_writer_list(w, 0, 2);                               // elements as in the IDL
/// krpc_writer_i32(w, 7);
/// krpc_writer_i32(w, 8);
/// krpc_message *request = krpc_writer_finish(w, &error);
/// ```
/// Returns an owned writer, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_new_typed(
    shape: *const krpc_shape,
    error: *mut *mut krpc_error,
) -> *mut krpc_writer {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let shape = unsafe { handle::get(shape, "shape")? };
        Builder::typed(shape).map(handle::give)
    })
}

/// Announces a field of the current struct by its name in the IDL; its value, of the type in the IDL, must
/// follow. For writers with a shape.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, and the text says what name may have been meant;
/// INVALID_STATE, UNSUPPORTED for a uuid; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_name(writer: *mut krpc_writer, name: krpc_str) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write(writer, |b| b.field_named(name.text("name")?)) }
}

/// Writes an enum by the name of its value in the IDL. For writers with a shape.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH also for a name that the
/// enum does not have; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_enum(writer: *mut krpc_writer, name: krpc_str) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write(writer, |b| b.enum_named(name.text("name")?)) }
}

/// Announces a field of the current struct; its value must follow.
///
/// `id`: as in the IDL; ids are not checked for being used twice. `type`: a `krpc_type`.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field(writer: *mut krpc_writer, id: i16, r#type: i32) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.field(id, ttype(r#type, "type")?)) }
}

/// Writes a bool, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_bool(writer: *mut krpc_writer, value: bool) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.bool(value)) }
}

/// Writes an i8, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_i8(writer: *mut krpc_writer, value: i8) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.i8(value)) }
}

/// Writes an i16, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_i16(writer: *mut krpc_writer, value: i16) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.i16(value)) }
}

/// Writes an i32, or an enum's number, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_i32(writer: *mut krpc_writer, value: i32) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.i32(value)) }
}

/// Writes an i64, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_i64(writer: *mut krpc_writer, value: i64) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.i64(value)) }
}

/// Writes a double, as a value.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_double(writer: *mut krpc_writer, value: f64) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.double(value)) }
}

/// Writes text, which is copied and not checked for being UTF-8, as a value.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
/// ENCODE_FAILED if no frame could carry it; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_string(writer: *mut krpc_writer, value: krpc_str) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write(writer, |b| b.bytes(value.bytes("value")?)) }
}

/// Writes bytes, which are copied, as a value.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
/// ENCODE_FAILED if no frame could carry it; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_binary(writer: *mut krpc_writer, value: krpc_bytes) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write(writer, |b| b.bytes(value.slice("value")?)) }
}

/// Begins a list as a value: `count` elements of one type must follow.
///
/// `element_type`: a `krpc_type`; 0 in a writer with a shape: as in the IDL.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
/// CODEC_LIMIT, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_list(
    writer: *mut krpc_writer,
    element_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.list(ttype(element_type, "element_type")?, count)) }
}

/// Begins a set as a value: `count` elements of one type must follow. They are not compared.
///
/// `element_type`: a `krpc_type`; 0 in a writer with a shape: as in the IDL.
///
/// Thread: one at a time. Errors: as `krpc_writer_list`; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_set(
    writer: *mut krpc_writer,
    element_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.set(ttype(element_type, "element_type")?, count)) }
}

/// Begins a map as a value: `count` pairs must follow, each a key and then its value. Keys are not
/// compared.
///
/// `key_type` and `value_type`: a `krpc_type` each; 0 in a writer with a shape: as in the IDL.
///
/// Thread: one at a time. Errors: as `krpc_writer_list`; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_map(
    writer: *mut krpc_writer,
    key_type: i32,
    value_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.map(ttype(key_type, "key_type")?, ttype(value_type, "value_type")?, count)) }
}

/// Begins a struct as a value: its fields follow, up to `krpc_writer_struct_end`.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_struct_begin(writer: *mut krpc_writer) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, Builder::struct_begin) }
}

/// Ends the struct begun last. Not for the outermost struct, which `krpc_writer_finish` ends.
///
/// Thread: one at a time. Errors: INVALID_STATE, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_struct_end(writer: *mut krpc_writer) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, Builder::struct_end) }
}

/// Writes the struct that is in a message as a value, e.g. one that `krpc_reader_struct` gave.
///
/// `message`: one struct in Thrift Binary, which is checked for being well-formed and copied. A shape does
/// not look into it.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
/// UNSUPPORTED for other encodings, MALFORMED, CODEC_LIMIT, ENCODE_FAILED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_struct(
    writer: *mut krpc_writer,
    message: *const krpc_message,
) -> krpc_status {
    // SAFETY: the host vouches for the handles.
    unsafe { write(writer, |b| b.encoded_struct(handle::get(message, "message")?)) }
}

/// `krpc_writer_field` and `krpc_writer_bool`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_bool(
    writer: *mut krpc_writer,
    id: i16,
    value: bool,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::Bool, |b| b.bool(value)) }
}

/// `krpc_writer_field` and `krpc_writer_i8`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_i8(writer: *mut krpc_writer, id: i16, value: i8) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::I8, |b| b.i8(value)) }
}

/// `krpc_writer_field` and `krpc_writer_i16`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_i16(writer: *mut krpc_writer, id: i16, value: i16) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::I16, |b| b.i16(value)) }
}

/// `krpc_writer_field` and `krpc_writer_i32`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_i32(writer: *mut krpc_writer, id: i16, value: i32) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::I32, |b| b.i32(value)) }
}

/// `krpc_writer_field` and `krpc_writer_i64`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_i64(writer: *mut krpc_writer, id: i16, value: i64) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::I64, |b| b.i64(value)) }
}

/// `krpc_writer_field` and `krpc_writer_double`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_double(
    writer: *mut krpc_writer,
    id: i16,
    value: f64,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::Double, |b| b.double(value)) }
}

/// `krpc_writer_field` and `krpc_writer_string`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_string(
    writer: *mut krpc_writer,
    id: i16,
    value: krpc_str,
) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write_field(writer, id, TType::String, |b| b.bytes(value.bytes("value")?)) }
}

/// `krpc_writer_field` and `krpc_writer_binary`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_binary(
    writer: *mut krpc_writer,
    id: i16,
    value: krpc_bytes,
) -> krpc_status {
    // SAFETY: the host vouches for the handle and the view.
    unsafe { write_field(writer, id, TType::String, |b| b.bytes(value.slice("value")?)) }
}

/// `krpc_writer_field` and `krpc_writer_list`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_list(
    writer: *mut krpc_writer,
    id: i16,
    element_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::List, |b| b.list(ttype(element_type, "element_type")?, count)) }
}

/// `krpc_writer_field` and `krpc_writer_set`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_set(
    writer: *mut krpc_writer,
    id: i16,
    element_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::Set, |b| b.set(ttype(element_type, "element_type")?, count)) }
}

/// `krpc_writer_field` and `krpc_writer_map`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_map(
    writer: *mut krpc_writer,
    id: i16,
    key_type: i32,
    value_type: i32,
    count: usize,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe {
        write_field(writer, id, TType::Map, |b| {
            b.map(ttype(key_type, "key_type")?, ttype(value_type, "value_type")?, count)
        })
    }
}

/// `krpc_writer_field` and `krpc_writer_struct_begin`. `krpc_writer_struct_end` ends it.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_struct_begin(writer: *mut krpc_writer, id: i16) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write_field(writer, id, TType::Struct, Builder::struct_begin) }
}

/// `krpc_writer_field` and `krpc_writer_struct`.
///
/// Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_field_struct(
    writer: *mut krpc_writer,
    id: i16,
    message: *const krpc_message,
) -> krpc_status {
    // SAFETY: the host vouches for the handles.
    unsafe { write_field(writer, id, TType::Struct, |b| b.encoded_struct(handle::get(message, "message")?)) }
}

/// The status of the first failure; `KRPC_OK` while there is none. INVALID_ARGUMENT if `writer` is NULL.
///
/// Thread: one at a time. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_status(writer: *const krpc_writer) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let builder = unsafe { handle::get(writer, "writer")? };
        builder.failure().map_or(Ok(()), |error| Err(error.clone()))
    })
}

/// Ends the outermost struct and makes the message.
///
/// `writer`: taken. Returns an owned message, or NULL and an error: the first failure of any step, or
/// what is still missing.
///
/// Thread: one at a time, once. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT,
/// ENCODE_FAILED; with a shape UNKNOWN_FIELD, MISSING_FIELD. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_finish(
    writer: *mut krpc_writer,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let builder = unsafe { handle::take(writer, "writer")? };
        builder.finish().map(handle::give)
    })
}

/// Frees a writer whose message is not wanted. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_writer_free(writer: *mut krpc_writer) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(writer) });
}

/// A step; what is wrong with its arguments sticks too.
unsafe fn write(writer: *mut krpc_writer, step: impl FnOnce(&mut Builder) -> Result<()>) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let builder = unsafe { handle::get_mut(writer, "writer")? };
        builder.attempt(step)
    })
}

/// A field and the step that writes its value.
unsafe fn write_field(
    writer: *mut krpc_writer,
    id: i16,
    ttype: TType,
    step: impl FnOnce(&mut Builder) -> Result<()>,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { write(writer, |b| b.field(id, ttype).and_then(|()| step(b))) }
}

fn ttype(number: i32, parameter: &str) -> Result<TType> {
    u8::try_from(number)
        .ok()
        .and_then(|byte| TType::from_byte(byte).ok())
        .ok_or_else(|| Error::invalid_argument(parameter, format_args!("{number} is no krpc_type")))
}
