//! What stands for fields that are absent: their defaults, or zero.

use super::options::{Absent, JsonOptions};
use crate::idl::Schema;
use crate::idl::schema::{Category, Field, Requiredness, Struct, Type, TypeId, Value};

/// Whether a field that is absent in JSON is written all the same; `None` if it must not be absent.
pub(super) fn is_filled(structure: &Struct, field: &Field, options: &JsonOptions) -> Option<bool> {
    let alternatives = matches!(structure.category, Category::Union | Category::Result);
    match field.requiredness {
        Requiredness::Optional => Some(options.fill_optional && !alternatives),
        Requiredness::Default => Some(true),
        Requiredness::Required => options.fill_required.then_some(true),
    }
}

/// Writes an absent field: header, and the default of the IDL or zero.
pub(super) fn write_field(schema: &Schema, field: &Field, options: &JsonOptions, out: &mut Vec<u8>) {
    write_header(field, out);
    match &field.default {
        Some(default) if options.idl_defaults => write_value(schema, field.ty, default, out),
        _ => write_zero(schema, field.ty, out),
    }
}

/// Writes an absent field with the default of the IDL or zero.
pub(crate) fn write_absent(schema: &Schema, field: &Field, out: &mut Vec<u8>) {
    write_field(schema, field, &JsonOptions::default(), out);
}

/// Writes the types that stand at the head of a container; a map has two, a list one.
pub(crate) fn write_element_types(schema: &Schema, ty: Type, out: &mut Vec<u8>) -> [Type; 2] {
    match ty {
        Type::Map(key, value) => {
            let types = [schema.ty(key), schema.ty(value)];
            out.extend_from_slice(&types.map(Type::wire_type));
            types
        }
        Type::List(element) | Type::Set(element) => {
            let element = schema.ty(element);
            out.push(element.wire_type());
            [element, element]
        }
        scalar => [scalar, scalar],
    }
}

fn write_header(field: &Field, out: &mut Vec<u8>) {
    let [a, b] = field.id.to_be_bytes();
    out.extend_from_slice(&[field.ty.wire_type(), a, b]);
}

/// What an absent field is in JSON.
pub(super) enum Shown<'a> {
    Default(&'a Value),
    Zero,
}

/// What is written to JSON for a field that is absent on the wire, if anything.
pub(super) fn shown<'a>(structure: &Struct, field: &'a Field, options: &JsonOptions) -> Option<Shown<'a>> {
    if matches!(structure.category, Category::Union | Category::Result) {
        return None;
    }
    match (&field.default, options.absent) {
        (_, Absent::Omit) => None,
        (Some(default), _) => Some(Shown::Default(default)),
        (None, Absent::All) if field.requiredness != Requiredness::Optional => Some(Shown::Zero),
        (None, _) => None,
    }
}

/// Writes the zero of a type. That of a struct has no fields.
pub(super) fn write_zero(schema: &Schema, ty: Type, out: &mut Vec<u8>) {
    match ty {
        Type::Bool | Type::I8 | Type::Struct(_) => out.push(0),
        Type::I16 => out.extend_from_slice(&[0; 2]),
        Type::I32 | Type::Enum(_) | Type::String | Type::Binary => out.extend_from_slice(&[0; 4]),
        Type::I64 | Type::Double => out.extend_from_slice(&[0; 8]),
        Type::Uuid => out.extend_from_slice(&[0; 16]),
        Type::List(element) | Type::Set(element) => write_list_header(schema, element, 0, out),
        Type::Map(key, value) => write_map_header(schema, (key, value), 0, out),
    }
}

/// Writes a constant of the IDL, which fits its type. Constants are bounded in depth and size by
/// [`IdlLimits`](crate::idl::IdlLimits).
pub(super) fn write_value(schema: &Schema, ty: Type, value: &Value, out: &mut Vec<u8>) {
    match (value, ty) {
        (Value::Bool(flag), _) => out.push(u8::from(*flag)),
        (Value::Int(number), Type::Bool) => out.push(u8::from(*number != 0)),
        (Value::Int(number), _) => write_integer(ty, *number, out),
        (Value::Enum(number), _) => write_integer(ty, i64::from(*number), out),
        (Value::Double(number), _) => out.extend_from_slice(&number.to_be_bytes()),
        (Value::String(text), _) => write_bytes(text.as_bytes(), out),
        (Value::Binary(bytes), _) => write_bytes(bytes, out),
        (Value::Uuid(bytes), _) => out.extend_from_slice(bytes),
        (Value::List(items), Type::List(element) | Type::Set(element)) => {
            write_list_header(schema, element, items.len(), out);
            items.iter().for_each(|item| write_value(schema, schema.ty(element), item, out));
        }
        (Value::Map(pairs), Type::Map(key, item)) => {
            write_map_header(schema, (key, item), pairs.len(), out);
            for (first, second) in pairs.iter() {
                write_value(schema, schema.ty(key), first, out);
                write_value(schema, schema.ty(item), second, out);
            }
        }
        (Value::Struct(fields), Type::Struct(id)) => {
            let structure = schema.structure(id);
            for (number, value) in fields.iter() {
                if let Some(field) = structure.field(*number) {
                    write_header(field, out);
                    write_value(schema, field.ty, value, out);
                }
            }
            let given = |field: &Field| fields.iter().any(|(number, _)| *number == field.id);
            let required = |field: &&Field| field.requiredness == Requiredness::Required && !given(field);
            for field in structure.fields().iter().filter(required) {
                write_header(field, out);
                write_zero(schema, field.ty, out);
            }
            out.push(0);
        }
        // The IDL's checks leave no such pair.
        (_, other) => write_zero(schema, other, out),
    }
}

fn write_integer(ty: Type, number: i64, out: &mut Vec<u8>) {
    let [e, f, g, h, a, b, c, d] = number.to_be_bytes();
    match ty {
        Type::I8 => out.push(d),
        Type::I16 => out.extend_from_slice(&[c, d]),
        Type::I64 => out.extend_from_slice(&[e, f, g, h, a, b, c, d]),
        _ => out.extend_from_slice(&[a, b, c, d]),
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_list_header(schema: &Schema, element: TypeId, count: usize, out: &mut Vec<u8>) {
    out.push(schema.ty(element).wire_type());
    write_count(count, out);
}

fn write_map_header(schema: &Schema, (key, value): (TypeId, TypeId), count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[schema.ty(key).wire_type(), schema.ty(value).wire_type()]);
    write_count(count, out);
}

/// Constants are far smaller than what a count can hold.
fn write_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&i32::try_from(count).unwrap_or(0).to_be_bytes());
}
