//! Types, enums, typedefs, constants and their values.

use std::sync::Arc;

use super::{Annotations, EnumId, NameTable, SchemaFileId, StructId, TypeId, TypedefId};

/// What a type is, typedefs resolved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// `bool`
    Bool,
    /// `byte`, `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `double`
    Double,
    /// `string`
    String,
    /// `binary`
    Binary,
    /// `uuid`, Apache only
    Uuid,
    /// An enum, on the wire an i32.
    Enum(EnumId),
    /// A struct, union or exception.
    Struct(StructId),
    /// `list<T>`
    List(TypeId),
    /// `set<T>`
    Set(TypeId),
    /// `map<K,V>`
    Map(TypeId, TypeId),
}

impl Type {
    /// The type's number in field and container headers of Thrift Binary.
    pub const fn wire_type(self) -> u8 {
        match self {
            Type::Bool => 2,
            Type::I8 => 3,
            Type::Double => 4,
            Type::I16 => 6,
            Type::I32 | Type::Enum(_) => 8,
            Type::I64 => 10,
            Type::String | Type::Binary => 11,
            Type::Struct(_) => 12,
            Type::Map(..) => 13,
            Type::Set(_) => 14,
            Type::List(_) => 15,
            Type::Uuid => 16,
        }
    }

    /// The type's keyword, or the kind of a type that is defined.
    pub const fn word(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::I8 => "i8",
            Type::I16 => "i16",
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::Double => "double",
            Type::String => "string",
            Type::Binary => "binary",
            Type::Uuid => "uuid",
            Type::Enum(_) => "enum",
            Type::Struct(_) => "struct",
            Type::List(_) => "list",
            Type::Set(_) => "set",
            Type::Map(..) => "map",
        }
    }
}

/// A type as it is used in some place.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    /// What it is.
    pub ty: Type,
    /// The typedef under whose name it is used.
    pub typedef: Option<TypedefId>,
    /// The same type without typedefs and annotations anywhere in it: equal types have equal ids.
    pub canonical: TypeId,
    /// How deep containers and typedefs are nested in it; 0 for a plain type.
    pub depth: u16,
    /// Annotations of this use.
    pub annotations: Annotations,
    /// `cpp_type` of this use.
    pub cpp_type: Option<Arc<str>>,
}

/// An enum.
#[derive(Debug)]
pub struct Enum {
    /// Its name without a prefix.
    pub name: Arc<str>,
    /// Its file.
    pub file: SchemaFileId,
    /// Values in the order written.
    pub values: Box<[EnumValue]>,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
    pub(crate) names: NameTable,
    /// Positions in `values`, by number.
    pub(crate) by_number: Box<[u32]>,
}

/// A name for a number.
#[derive(Debug)]
pub struct EnumValue {
    /// The name.
    pub name: Arc<str>,
    /// The number.
    pub number: i32,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
}

impl Enum {
    /// The value of this name.
    pub fn by_name(&self, name: &str) -> Option<&EnumValue> {
        let found = self.names.find(name, |at| self.values.get(at).map_or("", |value| &value.name))?;
        self.values.get(found)
    }

    /// The value of this number.
    pub fn by_number(&self, number: i32) -> Option<&EnumValue> {
        let value_at = |at: &u32| usize::try_from(*at).ok().and_then(|at| self.values.get(at));
        let number_at = |at: &u32| value_at(at).map_or(i32::MAX, |value| value.number);
        let found = self.by_number.binary_search_by_key(&number, number_at).ok()?;
        self.by_number.get(found).and_then(value_at)
    }
}

/// A typedef.
#[derive(Debug)]
pub struct Typedef {
    /// Its name without a prefix.
    pub name: Arc<str>,
    /// Its file.
    pub file: SchemaFileId,
    /// What it stands for; itself perhaps under the name of a typedef.
    pub target: TypeId,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
}

/// A constant.
#[derive(Debug)]
pub struct Const {
    /// Its name without a prefix.
    pub name: Arc<str>,
    /// Its file.
    pub file: SchemaFileId,
    /// Its type.
    pub ty: TypeId,
    /// Its value.
    pub value: Value,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
}

/// A value that fits the type beside which it stands. Parts are shared, so cloning is cheap.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a bool.
    Bool(bool),
    /// Of i8 to i64, within the type's range.
    Int(i64),
    /// Of a double.
    Double(f64),
    /// Of a string.
    String(Arc<str>),
    /// Of a binary.
    Binary(Arc<[u8]>),
    /// Of a uuid.
    Uuid([u8; 16]),
    /// Of an enum; perhaps a number that has no name.
    Enum(i32),
    /// Of a list or set.
    List(Arc<[Value]>),
    /// Of a map.
    Map(Arc<[(Value, Value)]>),
    /// Of a struct: field ids with values, only those that were written.
    Struct(Arc<[(i16, Value)]>),
}
