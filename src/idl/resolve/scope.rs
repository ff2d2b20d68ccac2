//! Which names there are, and what a name means in a file.

use std::collections::HashSet;

use crate::idl::ast::{Definition, DefinitionKind};
use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::loader::{Include, Program};
use crate::idl::schema::{
    ConstId, EnumId, FileSymbols, NameTable, ServiceId, StructId, Symbol, Symbols, TypedefId,
};
use crate::idl::similar::nearest;

/// A definition and its file's index.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) file: usize,
    pub(super) definition: &'a Definition,
}

/// All definitions by kind, which gives them their ids, and all names by file.
pub(super) struct Scope<'a> {
    program: &'a Program,
    tables: Vec<Table<'a>>,
    /// By file, the names of definitions that could not be read.
    broken: Vec<HashSet<&'a str>>,
    pub(super) typedefs: Vec<Entry<'a>>,
    pub(super) consts: Vec<Entry<'a>>,
    pub(super) enums: Vec<Entry<'a>>,
    pub(super) structs: Vec<Entry<'a>>,
    pub(super) services: Vec<Entry<'a>>,
}

impl<'a> Scope<'a> {
    /// Reports names that are defined twice in a file; the first definition counts.
    pub(super) fn new(program: &'a Program, diagnostics: &mut Diagnostics) -> Scope<'a> {
        let mut scope = Scope {
            program,
            tables: Vec::new(),
            broken: Vec::new(),
            typedefs: Vec::new(),
            consts: Vec::new(),
            enums: Vec::new(),
            structs: Vec::new(),
            services: Vec::new(),
        };
        for (file, parsed) in program.files.iter().enumerate() {
            scope.broken.push(parsed.document.broken.iter().map(String::as_str).collect());
            scope.add_file(file, &parsed.document.definitions, diagnostics);
        }
        scope
    }

    fn add_file(&mut self, file: usize, definitions: &'a [Definition], diagnostics: &mut Diagnostics) {
        let symbols = definitions.iter().map(|definition| self.add(Entry { file, definition })).collect();
        let table = Table::new(definitions, symbols);
        for (position, definition) in definitions.iter().enumerate() {
            let name = &definition.name.text;
            let first = table.position(name).filter(|first| *first != position);
            if let Some(first) = first.and_then(|first| definitions.get(first)) {
                let message = format!("`{name}` is defined more than once");
                let found = Diagnostic::error("duplicate-name", definition.name.span, message);
                diagnostics.push(found.related(first.name.span, "first defined here"));
            }
        }
        self.tables.push(table);
    }

    fn add(&mut self, entry: Entry<'a>) -> Symbol {
        match entry.definition.kind {
            DefinitionKind::Const(..) => Symbol::Const(ConstId::at(push(&mut self.consts, entry))),
            DefinitionKind::Typedef(_) => Symbol::Typedef(TypedefId::at(push(&mut self.typedefs, entry))),
            DefinitionKind::Enum(_) => Symbol::Enum(EnumId::at(push(&mut self.enums, entry))),
            DefinitionKind::Struct(..) => Symbol::Struct(StructId::at(push(&mut self.structs, entry))),
            DefinitionKind::Service(_) => Symbol::Service(ServiceId::at(push(&mut self.services, entry))),
        }
    }

    /// All names of all files. Looking them up in this scope is over.
    pub(super) fn into_symbols(self) -> Symbols {
        Symbols::new(self.tables.into_iter().map(Table::into_symbols).collect())
    }

    pub(super) fn includes(&self, file: usize) -> &'a [Include] {
        self.program.files.get(file).map(|parsed| parsed.includes.as_slice()).unwrap_or_default()
    }

    /// A name of this very file.
    pub(super) fn local(&self, file: usize, name: &str) -> Option<Symbol> {
        self.tables.get(file)?.get(name)
    }

    /// What `prefix.name` means in each include of that prefix, in order.
    pub(super) fn included(
        &self,
        file: usize,
        prefix: &str,
        name: &str,
    ) -> impl Iterator<Item = (usize, Symbol)> {
        let includes = self.includes(file).iter().filter(move |include| include.prefix == prefix);
        includes.filter_map(move |include| {
            let file = include.file.index();
            Some((file, self.local(file, name)?))
        })
    }

    /// A type or service: `Name`, or `prefix.Name` split at the last dot. Only direct includes are seen.
    pub(super) fn lookup(&self, file: usize, name: &str, wanted: impl Fn(Symbol) -> bool) -> Option<Symbol> {
        match name.rsplit_once('.') {
            None => self.local(file, name).filter(|symbol| wanted(*symbol)),
            Some((prefix, name)) => {
                self.included(file, prefix, name).map(|(_, symbol)| symbol).find(|symbol| wanted(*symbol))
            }
        }
    }

    /// Whether a name may be one of a file or a definition that could not be read, which has been
    /// reported.
    pub(super) fn may_be_missing(&self, file: usize, name: &str) -> bool {
        let Some(parsed) = self.program.files.get(file) else { return false };
        let is_broken =
            |file: usize, name: &str| self.broken.get(file).is_some_and(|names| names.contains(name));
        if name.split('.').next().is_some_and(|first| is_broken(file, first)) {
            return true;
        }
        if let Some((prefix, name)) = name.rsplit_once('.')
            && self.includes(file).iter().any(|to| to.prefix == prefix && is_broken(to.file.index(), name))
        {
            return true;
        }
        let starts =
            |prefix: &String| name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('.'));
        parsed.missing.iter().any(starts)
    }

    /// Explains why `name` means nothing in this file.
    pub(super) fn explain(&self, file: usize, name: &str, wanted: impl Fn(Symbol) -> bool) -> Option<String> {
        if let Some((prefix, rest)) = name.rsplit_once('.') {
            return self.explain_prefixed(file, prefix, rest, wanted);
        }
        if let Some(other) = self.local(file, name) {
            return Some(format!("`{name}` is {}", other.describe()));
        }
        let table = self.tables.get(file)?;
        let similar = nearest(name, table.names(&wanted)).map(|near| format!("did you mean `{near}`?"));
        similar.or_else(|| self.elsewhere(file, name, &wanted))
    }

    fn explain_prefixed(
        &self,
        file: usize,
        prefix: &str,
        name: &str,
        wanted: impl Fn(Symbol) -> bool,
    ) -> Option<String> {
        let Some(include) = self.includes(file).iter().find(|include| include.prefix == prefix) else {
            let known = self.program.files.iter().find(|other| {
                crate::idl::loader::prefix(self.program.sources.name(other.document.file)) == prefix
            });
            let path = known.map(|other| self.program.sources.name(other.document.file));
            return Some(match path {
                Some(path) => format!("`{path}` is not included here; only direct includes are visible"),
                None => format!("no include has the prefix `{prefix}`"),
            });
        };
        let path = &include.path;
        let there = include.file.index();
        if let Some(other) = self.local(there, name) {
            return Some(format!("`{name}` in `{path}` is {}", other.describe()));
        }
        let table = self.tables.get(there)?;
        Some(match nearest(name, table.names(&wanted)) {
            Some(near) => format!("did you mean `{prefix}.{near}`?"),
            None => format!("`{path}` defines no `{name}`"),
        })
    }

    /// The prefix may have been forgotten.
    fn elsewhere(&self, file: usize, name: &str, wanted: &impl Fn(Symbol) -> bool) -> Option<String> {
        let has = |include: &&Include| self.local(include.file.index(), name).is_some_and(wanted);
        let include = self.includes(file).iter().find(has)?;
        Some(format!("did you mean `{}.{name}`?", include.prefix))
    }
}

/// The names of one file.
struct Table<'a> {
    definitions: &'a [Definition],
    /// Of each definition.
    symbols: Vec<Symbol>,
    names: NameTable,
}

impl<'a> Table<'a> {
    fn new(definitions: &'a [Definition], symbols: Vec<Symbol>) -> Table<'a> {
        let names = NameTable::new(definitions.iter().map(|definition| &*definition.name.text));
        Table { definitions, symbols, names }
    }

    /// Of the first definition with this name.
    fn position(&self, name: &str) -> Option<usize> {
        self.names.find(name, |at| self.definitions.get(at).map_or("", |found| &*found.name.text))
    }

    fn get(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(self.position(name)?).copied()
    }

    /// The names of all that is wanted.
    fn names(&self, wanted: impl Fn(Symbol) -> bool) -> impl Iterator<Item = &'a str> {
        let all = self.definitions.iter().zip(&self.symbols);
        all.filter(move |(_, symbol)| wanted(**symbol)).map(|(definition, _)| &*definition.name.text)
    }

    fn into_symbols(self) -> FileSymbols {
        let names = self.definitions.iter().map(|definition| definition.name.text.clone());
        FileSymbols { all: names.zip(self.symbols).collect(), names: self.names }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> usize {
    list.push(item);
    list.len() - 1
}
