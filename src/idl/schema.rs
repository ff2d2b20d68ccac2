//! The resolved description of everything an IDL defines: what codecs, generators and reflection read.
//!
//! Immutable, and shared between threads as `Arc<Schema>`. Everything lives in arenas and is named by a
//! small id; looking up a type, a field or a method allocates nothing.

mod method;
mod names;
mod structure;
mod symbol;
mod table;
mod types;

pub use method::{Method, MethodError, Service, Streaming};
pub use names::NameError;
pub use structure::{Category, Field, Struct};
pub use symbol::Symbol;
pub use types::{Const, Enum, EnumValue, Type, TypeInfo, Typedef, Value};

pub(crate) use method::Index;
pub(crate) use names::Texts;
pub(crate) use symbol::{FileSymbols, Symbols};
pub(crate) use table::{NameTable, hash};

use std::sync::Arc;

pub use crate::idl::ast::Requiredness;

macro_rules! id {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// Position in its arena.
            pub fn index(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }

            pub(crate) fn at(index: usize) -> $name {
                $name(crate::idl::source::offset(index))
            }
        }
    )+};
}

id! {
    /// A type, as used somewhere: see [`Schema::type_info`].
    TypeId;
    /// A struct, union, exception, or the arguments or result of a method.
    StructId;
    /// An enum.
    EnumId;
    /// A typedef.
    TypedefId;
    /// A constant.
    ConstId;
    /// A service.
    ServiceId;
    /// A method, shared by the service that declares it and its heirs.
    MethodId;
    /// A file.
    SchemaFileId;
}

/// One annotation key with all its values, in the order written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// The key, dots included.
    pub key: Arc<str>,
    /// At least one value.
    pub values: Box<[Arc<str>]>,
}

/// Annotations by key, in the order of their first appearance. Mostly empty, then one pointer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotations(pub(crate) Option<Arc<[Annotation]>>);

impl Annotations {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Annotation> {
        self.0.as_deref().unwrap_or_default().iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All values of a key; empty if it is absent.
    pub fn all(&self, key: &str) -> &[Arc<str>] {
        self.iter().find(|annotation| &*annotation.key == key).map_or(&[], |annotation| &annotation.values)
    }

    /// The first value of a key.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(|value| &**value)
    }
}

/// A `namespace` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// Language, or `*`.
    pub scope: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Annotations.
    pub annotations: Annotations,
}

/// A file and what it gives to others.
#[derive(Clone, Debug)]
pub struct SchemaFile {
    /// The path under which it was found.
    pub path: Arc<str>,
    /// What its names are prefixed with in files that include it.
    pub prefix: Arc<str>,
    /// Direct includes.
    pub includes: Box<[SchemaFileId]>,
    /// `cpp_include` lines.
    pub cpp_includes: Box<[Arc<str>]>,
    /// Namespaces.
    pub namespaces: Box<[Namespace]>,
}

impl SchemaFile {
    /// The namespace for a language: its own scope, then `*`, the last line of each winning.
    pub fn namespace(&self, language: &str) -> Option<&str> {
        let of = |scope: &str| self.namespaces.iter().rev().find(|line| &*line.scope == scope);
        of(language).or_else(|| of("*")).map(|line| &*line.name)
    }
}

/// Everything that an IDL and its includes define.
#[derive(Debug)]
pub struct Schema {
    pub(crate) files: Box<[SchemaFile]>,
    pub(crate) types: Box<[TypeInfo]>,
    pub(crate) structs: Box<[Struct]>,
    pub(crate) enums: Box<[Enum]>,
    pub(crate) typedefs: Box<[Typedef]>,
    pub(crate) consts: Box<[Const]>,
    pub(crate) services: Box<[Service]>,
    pub(crate) methods: Box<[Method]>,
    pub(crate) index: Index,
    pub(crate) symbols: Symbols,
    pub(crate) texts: Texts,
}

/// An id belongs to the schema that gave it out. An id of another schema may panic or name something else.
macro_rules! arena {
    ($($(#[doc = $doc:literal])+ $one:ident, $all:ident: $id:ident => $item:ty;)+) => {$(
        $(#[doc = $doc])+
        ///
        /// # Panics
        /// If the id is of another schema.
        #[allow(clippy::indexing_slicing, reason = "ids are made by this crate only, never from input")]
        #[inline]
        pub fn $one(&self, id: $id) -> &$item {
            &self.$all[id.index()]
        }

        /// All of them, in the order of files and definitions.
        pub fn $all(&self) -> impl ExactSizeIterator<Item = ($id, &$item)> {
            self.$all.iter().enumerate().map(|(index, item)| ($id::at(index), item))
        }
    )+};
}

impl Schema {
    arena! {
        /// A file. The main file is the first.
        file, files: SchemaFileId => SchemaFile;
        /// A type as used: its kind, its typedef, its annotations.
        type_info, types: TypeId => TypeInfo;
        /// A struct.
        structure, structs: StructId => Struct;
        /// An enum.
        enumeration, enums: EnumId => Enum;
        /// A typedef.
        typedef, typedefs: TypedefId => Typedef;
        /// A constant.
        constant, consts: ConstId => Const;
        /// A service.
        service, services: ServiceId => Service;
        /// A method.
        method, methods: MethodId => Method;
    }

    /// What a type is, typedefs resolved.
    #[inline]
    pub fn ty(&self, id: TypeId) -> Type {
        self.type_info(id).ty
    }

    /// The type as it would be written, with the include's prefix where it is defined elsewhere.
    pub fn type_name(&self, id: TypeId) -> String {
        let info = self.type_info(id);
        if let Some(typedef) = info.typedef {
            let typedef = self.typedef(typedef);
            return self.qualified(typedef.file, &typedef.name);
        }
        match info.ty {
            Type::List(element) => format!("list<{}>", self.type_name(element)),
            Type::Set(element) => format!("set<{}>", self.type_name(element)),
            Type::Map(key, value) => format!("map<{},{}>", self.type_name(key), self.type_name(value)),
            Type::Struct(id) => self.qualified(self.structure(id).file, &self.structure(id).name),
            Type::Enum(id) => self.qualified(self.enumeration(id).file, &self.enumeration(id).name),
            scalar => scalar.word().to_owned(),
        }
    }

    fn qualified(&self, file: SchemaFileId, name: &str) -> String {
        match file.index() {
            0 => name.to_owned(),
            _ => format!("{}.{name}", self.file(file).prefix),
        }
    }
}

// Shared between threads as it is.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Schema>();
};
