//! Dynamic values: a struct of an IDL as a tree that is filled and read by field names (generic.md §8).
//!
//! Every value is checked when it is set: integers of any width fit where their number does, everything
//! else must have the field's type.
//!
//! ```
//! use krpc::codec::value::{Record, Value};
//! use krpc::idl::{MemoryProvider, Options, compile};
//!
//! let idl = "struct Item { 1: required string name, 2: i8 rank = 3 } struct Box { 1: list<Item> items }";
//! let files = MemoryProvider::new().file("box.thrift", idl);
//! let schema = compile("box.thrift", &files, &Options::default()).into_schema().expect("no errors");
//!
//! let mut item = Record::named(&schema, "Item")?;
//! item.set("name", "pen")?;
//! let mut all = Record::named(&schema, "Box")?;
//! all.set("items", vec![Value::from(item)])?;
//! let message = all.encode()?;
//!
//! let read = Record::decode(&schema, all.id(), &message)?;
//! let Some(Value::List(items)) = read.get("items")? else { panic!() };
//! let Value::Struct(item) = &items[0] else { panic!() };
//! assert_eq!(item.get(&schema, "rank")?, Some(&Value::I8(3)));
//! # Ok::<(), krpc::base::Error>(())
//! ```

mod decode;
mod encode;
mod fit;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::idl::Schema;
use crate::idl::schema::{Field, StructId};

/// A value of any type.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a bool.
    Bool(bool),
    /// Of an i8.
    I8(i8),
    /// Of an i16.
    I16(i16),
    /// Of an i32 or enum.
    I32(i32),
    /// Of an i64.
    I64(i64),
    /// Of a double.
    Double(f64),
    /// Of a string or binary. A string need not be UTF-8 on the wire.
    Bytes(Bytes),
    /// Of a list or set. Equal elements of a set are not looked for.
    List(Vec<Value>),
    /// Of a map, in the order of the wire. Equal keys are not looked for.
    Map(Vec<(Value, Value)>),
    /// Of a struct, union or exception.
    Struct(Fields),
}

impl Value {
    /// What it is, for messages.
    pub const fn word(&self) -> &'static str {
        match self {
            Value::Bool(_) => "bool",
            Value::I8(_) => "i8",
            Value::I16(_) => "i16",
            Value::I32(_) => "i32",
            Value::I64(_) => "i64",
            Value::Double(_) => "double",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Struct(_) => "struct",
        }
    }

    /// The number of an integer of any width.
    pub fn as_integer(&self) -> Option<i64> {
        Some(match self {
            Value::I8(value) => (*value).into(),
            Value::I16(value) => (*value).into(),
            Value::I32(value) => (*value).into(),
            Value::I64(value) => *value,
            _ => return None,
        })
    }

    /// The text of a string that is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($ty:ty, $value:ident => $made:expr;)+) => {$(
        impl From<$ty> for Value {
            fn from($value: $ty) -> Value {
                $made
            }
        }
    )+};
}

from! {
    bool, value => Value::Bool(value);
    i8, value => Value::I8(value);
    i16, value => Value::I16(value);
    i32, value => Value::I32(value);
    i64, value => Value::I64(value);
    f64, value => Value::Double(value);
    &str, text => Value::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    String, text => Value::Bytes(text.into());
    Bytes, bytes => Value::Bytes(bytes);
    Vec<Value>, items => Value::List(items);
    Vec<(Value, Value)>, pairs => Value::Map(pairs);
    Fields, fields => Value::Struct(fields);
    Record, record => Value::Struct(record.fields);
}

/// The fields of a struct that are set, by ascending id.
#[derive(Clone, PartialEq, Debug)]
pub struct Fields {
    id: StructId,
    values: Vec<(i16, Value)>,
    /// Fields that the IDL does not know, as on the wire.
    unknown: Bytes,
}

impl Fields {
    fn new(id: StructId) -> Fields {
        Fields { id, values: Vec::new(), unknown: Bytes::new() }
    }

    /// The struct's type.
    pub fn id(&self) -> StructId {
        self.id
    }

    /// The value of a field, if it is set. A name that the struct does not have is an error.
    pub fn get(&self, schema: &Schema, name: &str) -> Result<Option<&Value>> {
        Ok(self.by_id(field(schema, self.id, name)?.id))
    }

    /// The value of the field with this id, if it is set.
    pub fn by_id(&self, id: i16) -> Option<&Value> {
        let found = self.values.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.values.get(found).map(|(_, value)| value)
    }

    /// Ids and values, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = (i16, &Value)> {
        self.values.iter().map(|(id, value)| (*id, value))
    }

    /// Fields that the IDL does not know, as on the wire; they are written back.
    pub fn unknown(&self) -> &Bytes {
        &self.unknown
    }

    fn put(&mut self, id: i16, value: Value) {
        match self.values.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(found) => {
                if let Some((_, slot)) = self.values.get_mut(found) {
                    *slot = value;
                }
            }
            Err(at) => self.values.insert(at, (id, value)),
        }
    }
}

/// A struct with its schema: what is built, sent and received.
#[derive(Clone, Debug)]
pub struct Record {
    schema: Arc<Schema>,
    fields: Fields,
}

impl Record {
    /// A struct without fields.
    ///
    /// # Panics
    /// If the id is of another schema.
    pub fn new(schema: &Arc<Schema>, id: StructId) -> Record {
        schema.structure(id);
        Record { schema: schema.clone(), fields: Fields::new(id) }
    }

    /// A struct without fields, by the name of its type.
    pub fn named(schema: &Arc<Schema>, name: &str) -> Result<Record> {
        let found = schema.structs().find(|(_, structure)| &*structure.name == name);
        let (id, _) =
            found.ok_or_else(|| Error::invalid_argument("name", format_args!("no struct {name}")))?;
        Ok(Record::new(schema, id))
    }

    /// The struct's type.
    pub fn id(&self) -> StructId {
        self.fields.id
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Sets a field. The value must fit the field's type, all the way down; a list of `Value`s or pairs
    /// may hold integers of any width. Setting a member of a union unsets the others.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        let field = field(&self.schema, self.fields.id, name)?;
        let value = fit::fit(&self.schema, field.ty, value.into())
            .map_err(|misfit| misfit.into_error(&field.name))?;
        if self.schema.structure(self.fields.id).category == crate::idl::schema::Category::Union {
            self.fields.values.clear();
            self.fields.unknown = Bytes::new();
        }
        self.fields.put(field.id, value);
        Ok(())
    }

    /// Unsets a field; its value.
    pub fn unset(&mut self, name: &str) -> Result<Option<Value>> {
        let id = field(&self.schema, self.fields.id, name)?.id;
        let found = self.fields.values.binary_search_by_key(&id, |(id, _)| *id).ok();
        Ok(found.map(|at| self.fields.values.remove(at).1))
    }

    /// The value of a field, if it is set.
    pub fn get(&self, name: &str) -> Result<Option<&Value>> {
        self.fields.get(&self.schema, name)
    }

    /// All fields that are set.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

fn field<'s>(schema: &'s Schema, id: StructId, name: &str) -> Result<&'s Field> {
    let structure = schema.structure(id);
    structure.field_by_name(name).ok_or_else(|| {
        let text = format!("{} {} has no field {name}", structure.category.name(), structure.name);
        Error::invalid_argument("name", text)
    })
}

#[cfg(test)]
mod tests;
