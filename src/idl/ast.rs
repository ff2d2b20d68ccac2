//! The syntax tree of one file: what was written, in the order it was written, with its places.
//!
//! Nothing is resolved or defaulted here. Comments are spans; [`crate::idl::comment`] makes text of them.

use std::sync::Arc;

use crate::idl::source::{FileId, Span};
pub use crate::idl::token::Comment;

/// A file.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Which file.
    pub file: FileId,
    /// `include "f"`, a repeated one once.
    pub includes: Vec<Literal>,
    /// `cpp_include "f"`.
    pub cpp_includes: Vec<Literal>,
    /// `namespace scope name`.
    pub namespaces: Vec<Namespace>,
    /// Everything else.
    pub definitions: Vec<Definition>,
    /// Names of definitions that could not be read: what uses them need not be complained about.
    pub broken: Vec<String>,
    /// Every comment of the file, also those that belong to no node.
    pub comments: Vec<Comment>,
}

/// A name and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// As written, dots included.
    pub text: Arc<str>,
    /// Where.
    pub span: Span,
}

/// A quoted string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Literal {
    /// What it means here: paths and annotations keep escapes, constants replace them.
    pub text: Arc<str>,
    /// Where, quotes included.
    pub span: Span,
}

/// `key = "value"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// The key, dots included.
    pub key: Name,
    /// The value; `"1"` if Apache's short form without a value was used.
    pub value: Literal,
}

/// `namespace scope name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// `*`, `go`, `py.twisted`, …
    pub scope: Name,
    /// The name.
    pub name: Name,
    /// Annotations.
    pub annotations: Vec<Annotation>,
}

/// A definition and what all definitions have.
#[derive(Clone, PartialEq, Debug)]
pub struct Definition {
    /// Its name.
    pub name: Name,
    /// What it defines.
    pub kind: DefinitionKind,
    /// Annotations after it.
    pub annotations: Vec<Annotation>,
    /// Comments before it.
    pub comments: Vec<Comment>,
    /// From its keyword to its end.
    pub span: Span,
}

/// What a definition defines.
#[derive(Clone, PartialEq, Debug)]
pub enum DefinitionKind {
    /// `const T n = v`
    Const(TypeRef, Value),
    /// `typedef T n`
    Typedef(TypeRef),
    /// `enum n { … }`
    Enum(Vec<EnumValue>),
    /// `struct`, `union` or `exception`
    Struct(StructKind, Vec<Field>),
    /// `service n extends b { … }`
    Service(Service),
}

/// The three kinds of struct that can be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StructKind {
    /// `struct`
    Struct,
    /// `union`
    Union,
    /// `exception`
    Exception,
}

/// `NAME = 1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnumValue {
    /// The name.
    pub name: Name,
    /// The number, if written.
    pub number: Option<Int>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// Comments before it or, if there are none, behind it on its line.
    pub comments: Vec<Comment>,
}

/// An integer and its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Int {
    /// The value.
    pub value: i64,
    /// Where.
    pub span: Span,
}

/// How a field is marked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Requiredness {
    /// `required`: checked on read.
    Required,
    /// `optional`: may be absent.
    Optional,
    /// Neither word: always written.
    Default,
}

/// A member, an argument or an exception of `throws`.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// `1:`, if written.
    pub id: Option<Int>,
    /// `required` or `optional`.
    pub requiredness: Requiredness,
    /// Where the word of `requiredness` stands, if there is one.
    pub requiredness_span: Option<Span>,
    /// The type.
    pub ty: TypeRef,
    /// The name.
    pub name: Name,
    /// `= value`.
    pub default: Option<Box<Value>>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// Comments before it or, if there are none, behind it on its line.
    pub comments: Vec<Comment>,
}

/// A service's own part.
#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    /// `extends Base`.
    pub base: Option<Name>,
    /// Its own functions.
    pub functions: Vec<Function>,
}

/// A function.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// `oneway`.
    pub oneway: bool,
    /// The result; `None` for `void`.
    pub response: Option<TypeRef>,
    /// The name.
    pub name: Name,
    /// Arguments.
    pub arguments: Vec<Field>,
    /// `throws ( … )`.
    pub throws: Vec<Field>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// Comments before it or, if there are none, behind it on its line.
    pub comments: Vec<Comment>,
}

/// A type as written.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeRef {
    /// Which.
    pub kind: TypeKind,
    /// Annotations behind it.
    pub annotations: Vec<Annotation>,
    /// `cpp_type "x"` of a container.
    pub cpp_type: Option<Box<Literal>>,
    /// Without its annotations.
    pub span: Span,
}

/// Which type was written.
#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// A base type.
    Base(BaseType),
    /// A defined type, with the include's prefix if it has one.
    Named(Arc<str>),
    /// `list<T>`
    List(Box<TypeRef>),
    /// `set<T>`
    Set(Box<TypeRef>),
    /// `map<K,V>`
    Map(Box<(TypeRef, TypeRef)>),
}

/// The types without a definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BaseType {
    /// `bool`
    Bool,
    /// `byte` or `i8`
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
}

impl BaseType {
    /// The base type of this name.
    pub fn from_name(name: &str) -> Option<BaseType> {
        Some(match name {
            "bool" => BaseType::Bool,
            "byte" | "i8" => BaseType::I8,
            "i16" => BaseType::I16,
            "i32" => BaseType::I32,
            "i64" => BaseType::I64,
            "double" => BaseType::Double,
            // An obsolete spelling that Apache still reads.
            "string" | "slist" => BaseType::String,
            "binary" => BaseType::Binary,
            "uuid" => BaseType::Uuid,
            _ => return None,
        })
    }
}

/// A constant as written.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Which.
    pub kind: ValueKind,
    /// Where.
    pub span: Span,
}

/// Which constant was written.
#[derive(Clone, PartialEq, Debug)]
pub enum ValueKind {
    /// `1`, `0x1F`
    Int(i64),
    /// `1.5`
    Double(f64),
    /// `"text"`
    Literal(Arc<str>),
    /// `true`, `CONST`, `Enum.VALUE`, `inc.CONST`, `inc.Enum.VALUE`
    Name(Arc<str>),
    /// `[ … ]`
    List(Vec<Value>),
    /// `{ k: v … }`
    Map(Vec<(Value, Value)>),
}
