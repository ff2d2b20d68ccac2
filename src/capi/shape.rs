//! `krpc_shape`: what a message has to look like, by an IDL.

use crate::base::{Error, Result};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::codec::Shape;
use crate::idl::Schema;
use crate::idl::schema::{Field, Requiredness};
use crate::observe::handles::Kind;

/// The shape of messages: a struct of an IDL, or the request or result of a method. JSON, readers and
/// writers with a shape know fields by name and check them against the IDL.
///
/// A request is seen as the value of its only argument, or as a struct of all arguments if there are none
/// or several; a result is the return value. The *args* or *result* struct that is around them on the wire
/// is neither seen nor written by hand.
///
/// Immutable. Borrowed from a method or request, or owned: free that with `krpc_shape_free`.
pub struct krpc_shape {
    _opaque: [u8; 0],
}

impl Opaque for krpc_shape {
    type Inner = Shape;
    const KIND: Kind = Kind::Shape;
}

/// Whether a field may or must be absent.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_requiredness {
    /// The IDL does not say: it may be absent, but is usually written.
    KRPC_REQUIREDNESS_DEFAULT = 0,
    /// It must be there.
    KRPC_REQUIREDNESS_REQUIRED = 1,
    /// It may be absent.
    KRPC_REQUIREDNESS_OPTIONAL = 2,
}

/// What an IDL says of a field. Texts are borrowed from the `krpc_shape`. Sized struct: start from
/// `KRPC_FIELD_INFO_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_field_info {
    /// `sizeof(krpc_field_info)` as the caller was compiled.
    pub struct_size: usize,
    /// Its name.
    pub name: krpc_str,
    /// Its name in JSON: another one if an annotation says so.
    pub key: krpc_str,
    /// Its type, as written, e.g. "list<base.Item>".
    pub type_name: krpc_str,
    /// Its number on the wire.
    pub id: i32,
    /// Its type on the wire: a `krpc_type`.
    pub r#type: i32,
    /// Whether it may or must be absent: a `krpc_requiredness`.
    pub requiredness: i32,
    /// 1 if it has a default, else 0.
    pub has_default: u32,
}

impl Default for krpc_field_info {
    fn default() -> krpc_field_info {
        krpc_field_info {
            struct_size: 0,
            name: krpc_str::EMPTY,
            key: krpc_str::EMPTY,
            type_name: krpc_str::EMPTY,
            id: 0,
            r#type: 0,
            requiredness: 0,
            has_default: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and views.
unsafe impl SizedStruct for krpc_field_info {}

/// Number of fields. 0 if the value is no struct (a method's only argument may be text), or if `shape` is
/// NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_shape_field_count(shape: *const krpc_shape) -> usize {
    guard_or(0, || {
        // SAFETY: the host vouches for the handle.
        let structure = unsafe { handle::get(shape, "shape") }.ok().and_then(Shape::structure);
        structure.map_or(0, |structure| structure.fields().len())
    })
}

/// What the IDL says of a field, 0 ≤ `index` < `krpc_shape_field_count`, in the order written.
///
/// `info`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_shape_field_at(
    shape: *const krpc_shape,
    index: usize,
    info: *mut krpc_field_info,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let shape = unsafe { handle::get(shape, "shape")? };
        let field = field_at(shape, index)?;
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(info, "info", describe(shape.schema(), field)) }
    })
}

/// Frees a shape that you own. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_shape_free(shape: *mut krpc_shape) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(shape) });
}

fn field_at(shape: &Shape, index: usize) -> Result<&Field> {
    let field = shape.structure().and_then(|structure| structure.declared().nth(index));
    field.ok_or_else(|| Error::invalid_argument("index", format_args!("there is no field {index}")))
}

fn describe(schema: &Schema, field: &Field) -> krpc_field_info {
    krpc_field_info {
        struct_size: 0,
        name: krpc_str::of(field.name.as_bytes()),
        key: krpc_str::of(field.key.as_bytes()),
        type_name: krpc_str::of(schema.type_text(field.type_id).as_bytes()),
        id: i32::from(field.id),
        r#type: i32::from(field.ty.wire_type()),
        requiredness: krpc_requiredness::from(field.requiredness) as i32,
        has_default: u32::from(field.default.is_some()),
    }
}

impl From<Requiredness> for krpc_requiredness {
    fn from(requiredness: Requiredness) -> krpc_requiredness {
        match requiredness {
            Requiredness::Default => krpc_requiredness::KRPC_REQUIREDNESS_DEFAULT,
            Requiredness::Required => krpc_requiredness::KRPC_REQUIREDNESS_REQUIRED,
            Requiredness::Optional => krpc_requiredness::KRPC_REQUIREDNESS_OPTIONAL,
        }
    }
}
