//! `krpc_reader`: reads a message in Thrift Binary, value by value.

use crate::base::{Error, Result};
use crate::capi::error::{Failure, krpc_error};
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::message::krpc_message;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::types::{krpc_bytes, krpc_str};
use crate::codec::Cursor;
use crate::observe::handles::Kind;

/// Reads a message: one struct in Thrift Binary, in the order of its bytes.
///
/// The outermost struct is open from the start. `krpc_reader_field` goes from field to field and skips
/// the value of one that was not read. A list, set or map tells its count, and ends by itself with its
/// last element. A struct that is a value is begun and ended.
///
/// Every step is checked: against the types that the bytes announce, the end of the message, and depth
/// 64. A count is never larger than the bytes that are left, so loops over it end soon even if a peer
/// lies. The first failure sticks: later steps fail with it, `krpc_reader_field` returns false, counts
/// are 0; so the status of single steps may be ignored, and `krpc_reader_end` reports it. Outputs of a
/// step that fails are 0, false or empty.
///
/// Strings are views. They live as long as the reader; if the message has one segment, as every received
/// one has, also as long as the message.
///
/// ```c
/// krpc_reader *r = krpc_reader_new(message, &error);
/// int16_t id;
/// int32_t type;
/// while (krpc_reader_field(r, &id, &type)) {
///     switch (id) {                                         // fields not named here are skipped
///     case 1: krpc_reader_string(r, &text); break;
///     case 2: krpc_reader_i64(r, &at_ms); break;
///     }
/// }
/// krpc_status status = krpc_reader_end(r, &error);          // the first failure, if any
/// krpc_reader_free(r);                                      // text ends here
/// ```
pub struct krpc_reader {
    _opaque: [u8; 0],
}

impl Opaque for krpc_reader {
    type Inner = Reader;
    const KIND: Kind = Kind::Reader;
}

/// The core's cursor, and its failure once C has asked for it.
pub(super) struct Reader {
    cursor: Cursor,
    error: Option<Box<Slot<Failure>>>,
}

/// A reader at the start of a message, which it retains. A message of several segments is joined, by one
/// copy.
///
/// Returns an owned reader, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED if the message is not Thrift Binary.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_new(
    message: *const krpc_message,
    error: *mut *mut krpc_error,
) -> *mut krpc_reader {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let message = unsafe { handle::get(message, "message")? };
        Ok(handle::give(Reader { cursor: Cursor::new(message)?, error: None }))
    })
}

/// A reader for messages of a shape. Fields can be looked for by name, in any order
/// (`krpc_reader_find_name`). More is checked: each field that the IDL knows has the IDL's type, and structs
/// that were opened have their required fields, at their end. Unknown fields are read as without a shape.
///
/// A request whose only argument is a struct is opened inside of that, a result inside of the returned
/// struct; where the value is no struct, it is due at once. Without arguments or with several, the arguments
/// are the fields. `krpc_reader_end` ends what was opened here.
///
/// ```c
/// krpc_reader *r = krpc_reader_new_typed(krpc_reply_message(reply), krpc_method_result_shape(say), NULL);
/// if (krpc_reader_find_name(r, KRPC_STR("text"), NULL))
///     krpc_reader_string(r, &text);
/// krpc_status status = krpc_reader_end(r, &error);
/// ```
/// Returns an owned reader, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED if the message is not Thrift Binary,
/// MISSING_FIELD without the argument or result, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_new_typed(
    message: *const krpc_message,
    shape: *const krpc_shape,
    error: *mut *mut krpc_error,
) -> *mut krpc_reader {
    guard_new(error, || {
        // SAFETY: the host vouches for the handles.
        let (message, shape) = unsafe { (handle::get(message, "message")?, handle::get(shape, "shape")?) };
        Ok(handle::give(Reader { cursor: Cursor::typed(message, shape)?, error: None }))
    })
}

/// Goes to the field of this name in the current struct, wherever it is. For readers with a shape.
///
/// `name`: as in the IDL. `type` (optional): its `krpc_type`.
/// Returns false, and sets 0, if the message does not have it, and if a step has failed. A name that the IDL
/// does not have is a failure, whose text says what may have been meant. Takes time with the size of the
/// struct; for many fields of a large one use `krpc_reader_field`.
///
/// Thread: one at a time. Errors: as `krpc_reader_field`, INVALID_ARGUMENT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_find_name(
    reader: *mut krpc_reader,
    name: krpc_str,
    r#type: *mut i32,
) -> bool {
    // SAFETY: the host vouches for handle and view.
    let find = || unsafe { step(reader, |c| c.attempt(|c| c.find_named(name.text("name")?))) };
    let ttype = guard_or(None, || find().ok().flatten());
    put(r#type, ttype.map_or(0, |ttype| ttype as i32));
    ttype.is_some()
}

/// The name of the current field. Borrowed from `reader`; empty without a shape, and if the IDL does not
/// know the field.
///
/// Thread: one at a time. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_field_name(reader: *const krpc_reader) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        let name =
            unsafe { handle::get(reader, "reader") }.ok().and_then(|reader| reader.cursor.field_name());
        name.map_or(krpc_str::EMPTY, |name| krpc_str::of(name.as_bytes()))
    })
}

/// Reads an enum. For readers with a shape.
///
/// `number` (optional). `name` (optional): that of the number in the IDL, borrowed from `reader`; empty if
/// it has none.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_enum(
    reader: *mut krpc_reader,
    number: *mut i32,
    name: *mut krpc_str,
) -> krpc_status {
    put(number, 0);
    put(name, krpc_str::EMPTY);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let (found, known) = unsafe { step(reader, Cursor::enumeration)? };
        put(number, found);
        // The schema, which the reader keeps, has the name too.
        put(name, known.map_or(krpc_str::EMPTY, |known| krpc_str::of(known.as_bytes())));
        Ok(())
    })
}

/// Goes on to the next field of the current struct.
///
/// `id` and `type` (both optional): the field's id, and its `krpc_type`.
/// Returns false, and sets both 0, at the end of the struct, and if a step has failed.
///
/// Thread: one at a time. Errors: INVALID_STATE inside a container, MALFORMED, CODEC_LIMIT; they stick.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_field(reader: *mut krpc_reader, id: *mut i16, r#type: *mut i32) -> bool {
    // SAFETY: the host vouches for the handle.
    let field = guard_or(None, || unsafe { step(reader, Cursor::field) }.ok().flatten());
    put(id, field.map_or(0, |(id, _)| id));
    put(r#type, field.map_or(0, |(_, ttype)| ttype as i32));
    field.is_some()
}

/// Goes on to the next field with this id, and skips those before it. Fields that have passed are not
/// found again: fields may come in any order, so look for several with `krpc_reader_field`.
///
/// `type` (optional): its `krpc_type`.
/// Returns false, and sets 0, if the struct ends before, and if a step has failed.
///
/// Thread: one at a time. Errors: as `krpc_reader_field`; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_find(reader: *mut krpc_reader, id: i16, r#type: *mut i32) -> bool {
    // SAFETY: the host vouches for the handle.
    let ttype = guard_or(None, || unsafe { step(reader, |c| c.find(id)) }.ok().flatten());
    put(r#type, ttype.map_or(0, |ttype| ttype as i32));
    ttype.is_some()
}

/// Reads a bool. Only byte 1 is true.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_bool(reader: *mut krpc_reader, value: *mut bool) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, false, Cursor::bool) }
}

/// Reads an i8.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_i8(reader: *mut krpc_reader, value: *mut i8) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, 0, Cursor::i8) }
}

/// Reads an i16.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_i16(reader: *mut krpc_reader, value: *mut i16) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, 0, Cursor::i16) }
}

/// Reads an i32, or an enum's number.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_i32(reader: *mut krpc_reader, value: *mut i32) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, 0, Cursor::i32) }
}

/// Reads an i64.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_i64(reader: *mut krpc_reader, value: *mut i64) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, 0, Cursor::i64) }
}

/// Reads a double.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_double(reader: *mut krpc_reader, value: *mut f64) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, 0.0, Cursor::double) }
}

/// Reads text, which need not be UTF-8.
///
/// `value` (optional): borrowed from `reader`.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_string(reader: *mut krpc_reader, value: *mut krpc_str) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, krpc_str::EMPTY, |c| c.bytes().map(krpc_str::of)) }
}

/// Reads bytes.
///
/// `value` (optional): borrowed from `reader`.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_binary(reader: *mut krpc_reader, value: *mut krpc_bytes) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    unsafe { read(reader, value, krpc_bytes::EMPTY, |c| c.bytes().map(krpc_bytes::of)) }
}

/// Opens a list: its elements follow, `count` of them.
///
/// `element_type` (optional): a `krpc_type`; means nothing if the list is empty. `count` (optional).
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_list(
    reader: *mut krpc_reader,
    element_type: *mut i32,
    count: *mut usize,
) -> krpc_status {
    put(element_type, 0);
    put(count, 0);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let (element, n) = unsafe { step(reader, Cursor::list)? };
        put(element_type, element as i32);
        put(count, n);
        Ok(())
    })
}

/// Opens a set: its elements follow, `count` of them.
///
/// `element_type` (optional): a `krpc_type`; means nothing if the set is empty. `count` (optional).
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_set(
    reader: *mut krpc_reader,
    element_type: *mut i32,
    count: *mut usize,
) -> krpc_status {
    put(element_type, 0);
    put(count, 0);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let (element, n) = unsafe { step(reader, Cursor::set)? };
        put(element_type, element as i32);
        put(count, n);
        Ok(())
    })
}

/// Opens a map: its pairs follow, `count` of them, each a key and then its value.
///
/// `key_type` and `value_type` (both optional): a `krpc_type` each; mean nothing if the map is empty.
/// `count` (optional).
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_map(
    reader: *mut krpc_reader,
    key_type: *mut i32,
    value_type: *mut i32,
    count: *mut usize,
) -> krpc_status {
    put(key_type, 0);
    put(value_type, 0);
    put(count, 0);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let (key, value, n) = unsafe { step(reader, Cursor::map)? };
        put(key_type, key as i32);
        put(value_type, value as i32);
        put(count, n);
        Ok(())
    })
}

/// Opens a struct that is a value: its fields follow.
///
/// Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_struct_begin(reader: *mut krpc_reader) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(std::ptr::null_mut(), || unsafe { step(reader, Cursor::struct_begin) })
}

/// Leaves the struct opened last; fields that were not read are skipped. Not for the outermost struct.
///
/// Thread: one at a time. Errors: INVALID_STATE, MALFORMED, CODEC_LIMIT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_struct_end(reader: *mut krpc_reader) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(std::ptr::null_mut(), || unsafe { step(reader, Cursor::struct_end) })
}

/// Reads a whole struct that is a value as a message of its own, which shares the bytes: to keep it, to
/// pass it on with `krpc_writer_struct`, or to read it with a reader of its own.
///
/// `message`: receives an owned message; NULL on failure.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH, MALFORMED,
/// CODEC_LIMIT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_struct(
    reader: *mut krpc_reader,
    message: *mut *mut krpc_message,
) -> krpc_status {
    put(message, std::ptr::null_mut());
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let value = unsafe {
            step(reader, |c| {
                c.attempt(|c| match message.is_null() {
                    true => Err(Error::invalid_argument("message", "is NULL")),
                    false => c.encoded_struct(),
                })
            })?
        };
        put(message, handle::give(value));
        Ok(())
    })
}

/// Skips the value that is due: of the current field, or the next element, key or value of a container.
///
/// Thread: one at a time. Errors: INVALID_STATE, MALFORMED, CODEC_LIMIT; they stick. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_skip(reader: *mut krpc_reader) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(std::ptr::null_mut(), || unsafe { step(reader, |c| c.skip().map(|_| ())) })
}

/// The status of the first failure; `KRPC_OK` while there is none. INVALID_ARGUMENT if `reader` is NULL.
///
/// Thread: one at a time. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_status(reader: *const krpc_reader) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let reader = unsafe { handle::get(reader, "reader")? };
        reader.cursor.failure().map_or(Ok(()), |error| Err(error.clone()))
    })
}

/// The first failure, with the field and the byte it was at; NULL while there is none. Borrowed from
/// `reader`.
///
/// Thread: one at a time. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_error(reader: *mut krpc_reader) -> *const krpc_error {
    guard_or(std::ptr::null(), || {
        // SAFETY: the host vouches for the handle.
        let Ok(reader) = (unsafe { handle::get_mut(reader, "reader") }) else { return std::ptr::null() };
        let Some(error) = reader.cursor.failure() else { return std::ptr::null() };
        let slot = || Box::new(Slot::borrowed::<krpc_error>(Failure::from(error.clone())));
        reader.error.get_or_insert_with(slot).as_handle()
    })
}

/// Checks that the message was well-formed to its end: skips what was not read of the outermost struct,
/// and fails if a nested struct or container was left unfinished or if anything comes after the struct.
/// The reader and its views stay.
///
/// Thread: one at a time. Errors: the first failure of any step; INVALID_ARGUMENT, INVALID_STATE,
/// MALFORMED, CODEC_LIMIT; with a shape TYPE_MISMATCH, MISSING_FIELD. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_end(
    reader: *mut krpc_reader,
    error: *mut *mut krpc_error,
) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(error, || unsafe { step(reader, Cursor::end) })
}

/// Frees a reader, and with it the views it gave. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_reader_free(reader: *mut krpc_reader) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(reader) });
}

unsafe fn step<T>(reader: *mut krpc_reader, step: impl FnOnce(&mut Cursor) -> Result<T>) -> Result<T> {
    // SAFETY: the host vouches for the handle.
    let reader = unsafe { handle::get_mut(reader, "reader")? };
    step(&mut reader.cursor)
}

/// A step that gives one value; `none` stands for it if the step fails.
unsafe fn read<T>(
    reader: *mut krpc_reader,
    value: *mut T,
    none: T,
    read: impl FnOnce(&mut Cursor) -> Result<T>,
) -> krpc_status {
    put(value, none);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        put(value, unsafe { step(reader, read)? });
        Ok(())
    })
}
