//! Definitions by name, for those who come with a name from outside: tools, reflection, typed messages.

use std::sync::Arc;

use super::{ConstId, EnumId, NameTable, Schema, SchemaFileId, ServiceId, StructId, TypedefId};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symbol {
    /// A typedef.
    Typedef(TypedefId),
    /// A constant.
    Const(ConstId),
    /// An enum.
    Enum(EnumId),
    /// A struct, union or exception.
    Struct(StructId),
    /// A service.
    Service(ServiceId),
}

impl Symbol {
    /// What it is, with its article.
    pub fn describe(self) -> &'static str {
        match self {
            Symbol::Typedef(_) => "a typedef",
            Symbol::Const(_) => "a constant",
            Symbol::Enum(_) => "an enum",
            Symbol::Struct(_) => "a struct",
            Symbol::Service(_) => "a service",
        }
    }

    /// Whether it can be the type of a field.
    pub fn is_type(self) -> bool {
        matches!(self, Symbol::Typedef(_) | Symbol::Enum(_) | Symbol::Struct(_))
    }
}

/// Every definition, by file.
#[derive(Debug, Default)]
pub(crate) struct Symbols(Box<[FileSymbols]>);

/// The definitions of a file.
#[derive(Debug)]
pub(crate) struct FileSymbols {
    pub(crate) all: Box<[(Arc<str>, Symbol)]>,
    pub(crate) names: NameTable,
}

impl Symbols {
    pub(crate) fn new(files: Box<[FileSymbols]>) -> Symbols {
        Symbols(files)
    }

    fn find(&self, file: SchemaFileId, name: &str) -> Option<Symbol> {
        let FileSymbols { all, names } = self.0.get(file.index())?;
        let found = names.find(name, |at| all.get(at).map_or("", |(name, _)| &**name))?;
        all.get(found).map(|(_, symbol)| *symbol)
    }
}

impl Schema {
    /// The definition of this name in a file.
    pub fn symbol_in(&self, file: SchemaFileId, name: &str) -> Option<Symbol> {
        self.symbols.find(file, name)
    }

    /// A definition as the main file would name it, or with the prefix of any other file, included
    /// directly or not. The first file of a prefix that has the name counts.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        match name.rsplit_once('.') {
            None => self.symbol_in(SchemaFileId::at(0), name),
            Some((prefix, name)) => {
                let files = self.files().filter(|(_, file)| &*file.prefix == prefix);
                files.map(|(id, _)| self.symbol_in(id, name)).find_map(|found| found)
            }
        }
    }
}
