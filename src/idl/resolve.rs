//! Syntax trees to schema: names looked up, defaults applied, every rule of the language checked.
//!
//! Order: names of all files; enums, which need nothing else; typedefs; fields of structs; services;
//! constants and defaults, which need fields to be known. Typedefs and constants that need one another are
//! resolved when they are met. An error makes its own part missing and the rest goes on, so that one run
//! finds them all; the schema is given out only if there was none.

mod attach;
mod enums;
mod firsts;
mod index;
mod keywords;
mod references;
mod scope;
mod services;
mod structs;
mod types;
mod values;

use std::sync::Arc;

use crate::idl::Options;
use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::loader::{ParsedFile, Program, prefix};
use crate::idl::schema::{
    Const, Enum, Method, Schema, SchemaFile, SchemaFileId, Service, Struct, Texts, TypeId, Typedef, TypedefId,
};
use crate::idl::source::Span;
use scope::Scope;
use types::TypeArena;
use values::Evaluated;

/// Makes the schema of a program. `None` if there is any error, also an earlier one.
pub fn resolve(program: &Program, options: &Options, diagnostics: &mut Diagnostics) -> Option<Schema> {
    let scope = Scope::new(program, diagnostics);
    let mut resolver = Resolver {
        program,
        options,
        types: TypeArena::default(),
        typedefs: vec![State::New; scope.typedefs.len()],
        consts: vec![State::New; scope.consts.len()],
        enums: Vec::new(),
        structs: Vec::new(),
        services: Vec::new(),
        methods: Vec::new(),
        method_spans: Vec::new(),
        demanded: Vec::new(),
        success: "success".into(),
        scope,
        diagnostics,
        value_nodes: 0,
        depth: 0,
    };
    resolver.enums();
    resolver.all_typedefs();
    resolver.structs();
    resolver.services();
    resolver.all_consts();
    resolver.defaults();
    resolver.keywords();
    resolver.finish()
}

/// How far a definition that may need others of its kind has come.
#[derive(Clone, Debug)]
enum State<T> {
    New,
    /// Under way: meeting it again is a cycle.
    Open,
    /// `None` after an error, which has been reported.
    Done(Option<T>),
}

struct Resolver<'a> {
    program: &'a Program,
    options: &'a Options,
    scope: Scope<'a>,
    types: TypeArena,
    typedefs: Vec<State<TypeId>>,
    consts: Vec<State<Evaluated>>,
    enums: Vec<Enum>,
    structs: Vec<Struct>,
    services: Vec<Service>,
    methods: Vec<Method>,
    /// Where each method is named.
    method_spans: Vec<Span>,
    /// By struct, the ids of required fields without a default.
    demanded: Vec<Box<[i16]>>,
    /// The name of every field 0 of a result.
    success: Arc<str>,
    diagnostics: &'a mut Diagnostics,
    /// Parts of all constants and defaults so far.
    value_nodes: usize,
    /// How many typedefs or constants are open.
    depth: u16,
}

impl<'a> Resolver<'a> {
    fn finish(mut self) -> Option<Schema> {
        let index = self.index();
        if self.diagnostics.errors() > 0 {
            return None;
        }
        let typedefs = self.typedef_list();
        let consts = self.const_list();
        let files = self.files();
        Some(Schema {
            files,
            types: self.types.into_types(),
            structs: self.structs.into(),
            enums: self.enums.into(),
            typedefs,
            consts,
            services: self.services.into(),
            methods: self.methods.into(),
            index,
            symbols: self.scope.into_symbols(),
            texts: Texts::default(),
        })
    }

    fn files(&self) -> Box<[SchemaFile]> {
        let file = |(index, parsed): (usize, &'a ParsedFile)| {
            let path = self.program.sources.name(parsed.document.file);
            let cpp_includes = parsed.document.cpp_includes.iter().map(|path| path.text.clone());
            SchemaFile {
                path: path.into(),
                prefix: prefix(path).into(),
                includes: parsed
                    .includes
                    .iter()
                    .map(|include| SchemaFileId::at(include.file.index()))
                    .collect(),
                cpp_includes: cpp_includes.collect(),
                namespaces: self.namespaces(index),
            }
        };
        self.program.files.iter().enumerate().map(file).collect()
    }

    fn typedef_list(&self) -> Box<[Typedef]> {
        let known = self.typedefs.iter().zip(&self.scope.typedefs).filter_map(|(state, entry)| match state {
            State::Done(Some(target)) => Some((*target, entry)),
            _ => None,
        });
        let typedef = |(target, entry): (TypeId, &scope::Entry<'a>)| Typedef {
            name: entry.definition.name.text.clone(),
            file: SchemaFileId::at(entry.file),
            target,
            annotations: self.annotations(&entry.definition.annotations),
            doc: self.doc(&entry.definition.comments),
        };
        known.map(typedef).collect()
    }

    fn const_list(&mut self) -> Box<[Const]> {
        let entries = self.scope.consts.clone();
        let states = std::mem::take(&mut self.consts);
        let mut consts = Vec::with_capacity(entries.len());
        for (state, entry) in states.into_iter().zip(entries) {
            if let State::Done(Some(evaluated)) = state {
                consts.push(Const {
                    name: entry.definition.name.text.clone(),
                    file: SchemaFileId::at(entry.file),
                    ty: evaluated.ty,
                    value: evaluated.value,
                    annotations: self.annotations(&entry.definition.annotations),
                    doc: self.doc(&entry.definition.comments),
                });
            }
        }
        consts.into()
    }

    /// Whether a typedef or constant may be opened within another one.
    fn enter(&mut self, span: Span, what: &str) -> bool {
        let limit = self.options.limits.nesting;
        if self.depth >= limit {
            let message = format!("{what} refer to each other over more than {limit} steps");
            self.diagnostics.push(Diagnostic::error("nesting", span, message));
            return false;
        }
        self.depth += 1;
        true
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    fn typedef_state(&mut self, id: TypedefId) -> Option<&mut State<TypeId>> {
        self.typedefs.get_mut(id.index())
    }
}
