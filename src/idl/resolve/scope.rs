//! Which names there are, and what a name means in a file.

use std::collections::{HashMap, HashSet};

use crate::idl::ast::{Definition, DefinitionKind};
use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::loader::{Include, Program};
use crate::idl::schema::{ConstId, EnumId, ServiceId, StructId, Symbol, TypedefId};
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
    tables: Vec<HashMap<&'a str, Symbol>>,
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
        let mut table: HashMap<&str, Symbol> = HashMap::new();
        let mut first: HashMap<&str, &Definition> = HashMap::new();
        for definition in definitions {
            let symbol = self.add(Entry { file, definition });
            let name = definition.name.text.as_str();
            match first.get(name) {
                Some(first) => diagnostics.push(
                    Diagnostic::error(
                        "duplicate-name",
                        definition.name.span,
                        format!("`{name}` is defined more than once"),
                    )
                    .related(first.name.span, "first defined here"),
                ),
                None => {
                    first.insert(name, definition);
                    table.insert(name, symbol);
                }
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

    /// All names of a file.
    pub(super) fn names(&self, file: usize) -> impl Iterator<Item = (&'a str, Symbol)> {
        self.tables.get(file).into_iter().flatten().map(|(name, symbol)| (*name, *symbol))
    }

    pub(super) fn includes(&self, file: usize) -> &'a [Include] {
        self.program.files.get(file).map(|parsed| parsed.includes.as_slice()).unwrap_or_default()
    }

    /// A name of this very file.
    pub(super) fn local(&self, file: usize, name: &str) -> Option<Symbol> {
        self.tables.get(file)?.get(name).copied()
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
        let names = || table.iter().filter(|(_, symbol)| wanted(**symbol)).map(|(name, _)| *name);
        let similar = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
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
        let names = table.iter().filter(|(_, symbol)| wanted(**symbol)).map(|(name, _)| *name);
        Some(match nearest(name, names) {
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

fn push<T>(list: &mut Vec<T>, item: T) -> usize {
    list.push(item);
    list.len() - 1
}
