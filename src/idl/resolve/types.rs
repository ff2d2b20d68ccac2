//! Types as written to types as known.

use std::collections::HashMap;
use std::sync::Arc;

use super::scope::Entry;
use super::{Resolver, State};
use crate::idl::ast::{BaseType, DefinitionKind, TypeKind, TypeRef};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::parser::missing_space;
use crate::idl::schema::{Annotations, StructId, Symbol, Type, TypeId, TypeInfo, TypedefId};
use crate::idl::source::Span;

/// All types in use. Plain uses of the same type share an id.
#[derive(Default)]
pub(super) struct TypeArena {
    types: Vec<TypeInfo>,
    /// By the type's number on the wire.
    scalars: Vec<Option<TypeId>>,
    structs: Vec<Option<TypeId>>,
    enums: Vec<Option<TypeId>>,
    typedefs: Vec<Option<TypeId>>,
    containers: HashMap<Type, TypeId>,
}

impl TypeArena {
    pub(super) fn info(&self, id: TypeId) -> Option<&TypeInfo> {
        self.types.get(id.index())
    }

    /// What a type is. Every id was made by this arena, so the fallback is never seen.
    pub(super) fn ty(&self, id: TypeId) -> Type {
        self.info(id).map_or(Type::Bool, |info| info.ty)
    }

    pub(super) fn canonical(&self, id: TypeId) -> TypeId {
        self.info(id).map_or(id, |info| info.canonical)
    }

    pub(super) fn depth(&self, id: TypeId) -> u16 {
        self.info(id).map_or(0, |info| info.depth)
    }

    /// The id of a plain type.
    pub(super) fn intern(&mut self, ty: Type) -> TypeId {
        if let Some(known) = self.known(ty) {
            return known;
        }
        let (canonical, depth) = match ty {
            Type::List(element) => {
                (Type::List(self.canonical(element)), self.depth(element).saturating_add(1))
            }
            Type::Set(element) => (Type::Set(self.canonical(element)), self.depth(element).saturating_add(1)),
            Type::Map(key, value) => {
                let canonical = Type::Map(self.canonical(key), self.canonical(value));
                (canonical, self.depth(key).max(self.depth(value)).saturating_add(1))
            }
            plain => (plain, 0),
        };
        // A container's canonical form consists of canonical parts, so this ends after one step.
        let canonical = if canonical == ty { TypeId::at(self.types.len()) } else { self.intern(canonical) };
        let id = self.push(TypeInfo {
            ty,
            typedef: None,
            canonical,
            depth,
            annotations: Annotations::default(),
            cpp_type: None,
        });
        self.remember(ty, id);
        id
    }

    fn known(&self, ty: Type) -> Option<TypeId> {
        match ty {
            Type::Struct(id) => known_at(&self.structs, id.index()),
            Type::Enum(id) => known_at(&self.enums, id.index()),
            Type::List(_) | Type::Set(_) | Type::Map(..) => self.containers.get(&ty).copied(),
            scalar => known_at(&self.scalars, scalar_index(scalar)),
        }
    }

    fn remember(&mut self, ty: Type, id: TypeId) {
        match ty {
            Type::Struct(of) => remember_at(&mut self.structs, of.index(), id),
            Type::Enum(of) => remember_at(&mut self.enums, of.index(), id),
            Type::List(_) | Type::Set(_) | Type::Map(..) => drop(self.containers.insert(ty, id)),
            scalar => remember_at(&mut self.scalars, scalar_index(scalar), id),
        }
    }

    /// The id of a type under the name of a typedef.
    pub(super) fn named(&mut self, typedef: TypedefId, target: TypeId) -> TypeId {
        if let Some(known) = known_at(&self.typedefs, typedef.index()) {
            return known;
        }
        let id = self.push(TypeInfo {
            ty: self.ty(target),
            typedef: Some(typedef),
            canonical: self.canonical(target),
            depth: self.depth(target).saturating_add(1),
            annotations: Annotations::default(),
            cpp_type: None,
        });
        remember_at(&mut self.typedefs, typedef.index(), id);
        id
    }

    /// The same type with something attached to this one use.
    fn attach(&mut self, id: TypeId, annotations: Annotations, cpp_type: Option<Arc<str>>) -> TypeId {
        match self.info(id).cloned() {
            Some(info) => self.push(TypeInfo { annotations, cpp_type, ..info }),
            None => id,
        }
    }

    fn push(&mut self, info: TypeInfo) -> TypeId {
        self.types.push(info);
        TypeId::at(self.types.len() - 1)
    }

    pub(super) fn into_types(self) -> Box<[TypeInfo]> {
        self.types.into()
    }
}

fn known_at(ids: &[Option<TypeId>], index: usize) -> Option<TypeId> {
    ids.get(index).copied().flatten()
}

fn remember_at(ids: &mut Vec<Option<TypeId>>, index: usize, id: TypeId) {
    if ids.len() <= index {
        ids.resize(index + 1, None);
    }
    if let Some(place) = ids.get_mut(index) {
        *place = Some(id);
    }
}

/// A number of its own for every type without parts or definition.
fn scalar_index(ty: Type) -> usize {
    match ty {
        // On the wire the same as string.
        Type::Binary => 0,
        ty => usize::from(ty.wire_type()),
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn all_typedefs(&mut self) {
        for index in 0..self.typedefs.len() {
            self.typedef_target(TypedefId::at(index), None);
        }
    }

    /// The type that is written here. `None` after an error.
    pub(super) fn type_ref(&mut self, file: usize, written: &TypeRef) -> Option<TypeId> {
        let id = match &written.kind {
            TypeKind::Base(base) => self.types.intern(base_type(*base)),
            TypeKind::Named(name) => self.named_type(file, name, written.span)?,
            TypeKind::List(element) => {
                let element = self.type_ref(file, element)?;
                self.types.intern(Type::List(element))
            }
            TypeKind::Set(element) => {
                let element = self.type_ref(file, element)?;
                self.types.intern(Type::Set(element))
            }
            TypeKind::Map(parts) => {
                // Both, before giving up, so that two unknown types are two errors.
                let key = self.type_ref(file, &parts.0);
                let value = self.type_ref(file, &parts.1);
                self.check_map_key(key?, parts.0.span);
                self.types.intern(Type::Map(key?, value?))
            }
        };
        self.check_depth(id, written.span)?;
        if written.annotations.is_empty() && written.cpp_type.is_none() {
            return Some(id);
        }
        let annotations = self.annotations(&written.annotations);
        let cpp_type = written.cpp_type.as_ref().map(|literal| literal.text.clone());
        Some(self.types.attach(id, annotations, cpp_type))
    }

    fn named_type(&mut self, file: usize, name: &str, span: Span) -> Option<TypeId> {
        match self.scope.lookup(file, name, Symbol::is_type) {
            Some(Symbol::Struct(id)) => Some(self.types.intern(Type::Struct(id))),
            Some(Symbol::Enum(id)) => Some(self.types.intern(Type::Enum(id))),
            Some(Symbol::Typedef(id)) => {
                let target = self.typedef_target(id, Some(span))?;
                Some(self.types.named(id, target))
            }
            _ => {
                self.undefined_type(file, name, span);
                None
            }
        }
    }

    fn undefined_type(&mut self, file: usize, name: &str, span: Span) {
        if self.scope.may_be_missing(file, name) {
            return;
        }
        let found = Diagnostic::error("undefined-type", span, format!("undefined type: `{name}`"));
        let explanation = match name {
            "list" | "set" => Some(format!("write `{name}<element type>`")),
            "map" => Some("write `map<key type, value type>`".to_owned()),
            "void" => Some("only a function's result can be void".to_owned()),
            "int" | "float" | "long" | "short" | "int32" | "int64" | "float64" => {
                Some("numbers are i8, i16, i32, i64 and double".to_owned())
            }
            _ if self.diagnostics.is_full() => None,
            _ => missing_space(name).or_else(|| self.scope.explain(file, name, Symbol::is_type)),
        };
        self.diagnostics.push(match explanation {
            Some(words) => found.hint(words),
            None => found,
        });
    }

    /// What a typedef stands for; resolves it if that has not been done yet.
    fn typedef_target(&mut self, id: TypedefId, used: Option<Span>) -> Option<TypeId> {
        let entry = *self.scope.typedefs.get(id.index())?;
        match self.typedef_state(id)?.clone() {
            State::Done(target) => return target,
            State::Open => {
                self.typedef_cycle(entry, used);
                return None;
            }
            State::New => {}
        }
        let DefinitionKind::Typedef(written) = &entry.definition.kind else { return None };
        if !self.enter(written.span, "typedefs") {
            return None;
        }
        *self.typedef_state(id)? = State::Open;
        let target = self.type_ref(entry.file, written);
        self.leave();
        *self.typedef_state(id)? = State::Done(target);
        target
    }

    fn typedef_cycle(&mut self, entry: Entry<'a>, used: Option<Span>) {
        let name = &entry.definition.name;
        let message = format!("the typedef `{}` stands for itself", name.text);
        let found = Diagnostic::error("typedef-cycle", used.unwrap_or(name.span), message);
        self.diagnostics.push(found.related(name.span, "defined here"));
    }

    fn check_depth(&mut self, id: TypeId, span: Span) -> Option<()> {
        let limit = self.options.limits.nesting;
        if self.types.depth(id) <= limit {
            return Some(());
        }
        let message = format!("the type is nested deeper than {limit}");
        self.diagnostics.push(
            Diagnostic::error("nesting", span, message).hint("containers and typedefs count one level each"),
        );
        None
    }

    /// Other keys work on the wire.
    fn check_map_key(&mut self, key: TypeId, span: Span) {
        let what = match self.types.ty(key) {
            Type::Struct(_) => "a struct",
            Type::List(_) => "a list",
            Type::Set(_) => "a set",
            Type::Map(..) => "a map",
            _ => return,
        };
        let message = format!("{what} as map key has no form in JSON and no order in C++");
        self.diagnostics
            .push(Diagnostic::warning("map-key", span, message).hint("use a scalar or string key"));
    }

    /// The type for messages.
    pub(super) fn type_text(&self, id: TypeId) -> String {
        if let Some(typedef) = self.types.info(id).and_then(|info| info.typedef)
            && let Some(entry) = self.scope.typedefs.get(typedef.index())
        {
            return entry.definition.name.text.to_string();
        }
        match self.types.ty(id) {
            Type::List(element) => format!("list<{}>", self.type_text(element)),
            Type::Set(element) => format!("set<{}>", self.type_text(element)),
            Type::Map(key, value) => format!("map<{},{}>", self.type_text(key), self.type_text(value)),
            Type::Struct(id) => self.struct_name(id).to_owned(),
            Type::Enum(id) => self.enums.get(id.index()).map_or("enum", |found| &found.name).to_owned(),
            scalar => scalar.word().to_owned(),
        }
    }

    pub(super) fn struct_name(&self, id: StructId) -> &'a str {
        self.scope.structs.get(id.index()).map_or("struct", |entry| &*entry.definition.name.text)
    }
}

fn base_type(base: BaseType) -> Type {
    match base {
        BaseType::Bool => Type::Bool,
        BaseType::I8 => Type::I8,
        BaseType::I16 => Type::I16,
        BaseType::I32 => Type::I32,
        BaseType::I64 => Type::I64,
        BaseType::Double => Type::Double,
        BaseType::String => Type::String,
        BaseType::Binary => Type::Binary,
        BaseType::Uuid => Type::Uuid,
    }
}
