//! Fields: ids given and checked, types resolved, requiredness settled, defaults evaluated.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Resolver;
use super::firsts::Firsts;
use crate::idl::ast::{self, DefinitionKind, StructKind};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{Category, Field, Requiredness, SchemaFileId, Struct, StructId, Type};
use crate::idl::source::Span;

/// Whose fields are being read, for rules and messages.
pub(super) struct Owner<'o> {
    pub(super) file: usize,
    pub(super) category: Category,
    pub(super) name: OwnerName<'o>,
}

/// The name of a struct, or of a service and its function: `Chat.Say`.
#[derive(Clone, Copy)]
pub(super) struct OwnerName<'o>(pub(super) &'o str, pub(super) Option<&'o str>);

impl fmt::Display for OwnerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.map_or(Ok(()), |function| write!(f, ".{function}"))
    }
}

impl<'a> Resolver<'a> {
    /// All structs without their defaults, which may need structs that come later.
    pub(super) fn structs(&mut self) {
        for entry in self.scope.structs.clone() {
            let DefinitionKind::Struct(kind, written) = &entry.definition.kind else { continue };
            let category = match kind {
                StructKind::Struct => Category::Struct,
                StructKind::Union => Category::Union,
                StructKind::Exception => Category::Exception,
            };
            let text = &entry.definition.name.text;
            let name = OwnerName(text, None);
            let fields = self.fields(&Owner { file: entry.file, category, name }, written);
            let mut structure = Struct::new(text.clone(), SchemaFileId::at(entry.file), category, fields);
            structure.annotations = self.annotations(&entry.definition.annotations);
            structure.doc = self.doc(&entry.definition.comments);
            self.demanded.push(demanded(&structure, written));
            self.structs.push(structure);
        }
    }

    /// Fields in the order written. A field with an error is left out.
    pub(super) fn fields(&mut self, owner: &Owner<'_>, written: &[ast::Field]) -> Vec<Field> {
        if written.is_empty() {
            return Vec::new();
        }
        let mut fields = Vec::with_capacity(written.len());
        let mut ids = Firsts::new();
        let mut names = Firsts::new();
        let mut last_id = 0i64;
        for field in written {
            let id = field.id.map_or(last_id.saturating_add(1), |id| id.value);
            last_id = id;
            let id = self.field_id(field, id);
            let id = id.filter(|id| self.unique_id(owner, field, *id, &mut ids));
            if let Some(first) = names.insert(&*field.name.text, field.name.span) {
                self.duplicate_in(owner.name, "field", &field.name, first);
                continue;
            }
            let Some(made) = self.field(owner, field, id) else { continue };
            fields.push(made);
        }
        self.check_keys(&fields, written);
        self.check_implicit_ids(owner, written);
        self.check_union(owner, written);
        fields
    }

    fn field(&mut self, owner: &Owner<'_>, field: &ast::Field, id: Option<i16>) -> Option<Field> {
        let type_id = self.type_ref(owner.file, &field.ty)?;
        let ty = self.types.ty(type_id);
        let name = field.name.text.clone();
        let annotations = self.annotations(&field.annotations);
        Some(Field {
            id: id?,
            key: self.json_key(&name, &annotations),
            name,
            type_id,
            ty,
            requiredness: self.requiredness(owner, field),
            default: None,
            js_conv: !annotations.all("api.js_conv").is_empty(),
            is_base: matches!(ty, Type::Struct(_)) && written_as(&field.ty, "base.Base"),
            annotations,
            doc: self.doc(&field.comments),
        })
    }

    fn field_id(&mut self, field: &ast::Field, id: i64) -> Option<i16> {
        let span = field.id.map_or(field.name.span, |id| id.span);
        let Ok(fitting) = i16::try_from(id) else {
            let message = format!("the field id {id} is outside of {} to {}", i16::MIN, i16::MAX);
            self.diagnostics.push(Diagnostic::error("field-id-range", span, message));
            return None;
        };
        if id <= 0 {
            let message = format!("the field id {id} of `{}` is not positive", field.name.text);
            self.diagnostics.push(Diagnostic::warning("field-id-sign", span, message).hint("count from 1"));
        }
        Some(fitting)
    }

    fn unique_id(
        &mut self,
        owner: &Owner<'_>,
        field: &ast::Field,
        id: i16,
        ids: &mut Firsts<i16, Span>,
    ) -> bool {
        let span = field.id.map_or(field.name.span, |id| id.span);
        let Some(first) = ids.insert(id, span) else { return true };
        let message = format!("duplicate field id {id} in the {} `{}`", owner.category.name(), owner.name);
        let found = Diagnostic::error("duplicate-field-id", span, message).related(first, "first used here");
        self.diagnostics.push(match field.id {
            Some(_) => found,
            None => found.hint("a field without an id has the id of the field before it, plus 1"),
        });
        false
    }

    /// Two fields of one key: JSON reaches only the first. Without an alias, a key is as unique as a name.
    fn check_keys(&mut self, fields: &[Field], written: &[ast::Field]) {
        if fields.iter().all(|field| Arc::ptr_eq(&field.key, &field.name)) {
            return;
        }
        let span_of: HashMap<&str, Span> =
            written.iter().rev().map(|field| (&*field.name.text, field.name.span)).collect();
        let mut keys = Firsts::new();
        for field in fields {
            let Some(span) = span_of.get(&*field.name).copied() else { continue };
            if let Some(first) = keys.insert(&*field.key, span) {
                let message = format!("two fields have the JSON key `{}`", field.key);
                let found = Diagnostic::warning("duplicate-key", span, message);
                self.diagnostics.push(found.related(first, "the first one"));
            }
        }
    }

    fn requiredness(&mut self, owner: &Owner<'_>, field: &ast::Field) -> Requiredness {
        let written = field.requiredness;
        let (settled, rule) = match (owner.category, written) {
            (Category::Union, Requiredness::Required) => {
                (Requiredness::Optional, Some("members of a union are always optional"))
            }
            (Category::Result, Requiredness::Required) => {
                (Requiredness::Optional, Some("exceptions in `throws` are always optional"))
            }
            (Category::Union | Category::Result, _) => (Requiredness::Optional, None),
            (Category::Arguments, Requiredness::Optional) => {
                (Requiredness::Default, Some("arguments are always written"))
            }
            _ => (written, None),
        };
        if let (Some(rule), Some(span)) = (rule, field.requiredness_span) {
            let word = if written == Requiredness::Required { "required" } else { "optional" };
            let message = format!("`{word}` is ignored: {rule}");
            self.diagnostics.push(Diagnostic::warning("requiredness", span, message).hint("remove the word"));
        }
        settled
    }

    fn check_implicit_ids(&mut self, owner: &Owner<'_>, written: &[ast::Field]) {
        let mut implicit = written.iter().filter(|field| field.id.is_none());
        if let Some(first) = implicit.next() {
            let message = match implicit.count() {
                0 => format!("`{}` of `{}` has no id", first.name.text, owner.name),
                more => format!("{} fields of `{}` have no id", more + 1, owner.name),
            };
            self.diagnostics.push(
                Diagnostic::warning("implicit-field-id", first.name.span, message)
                    .hint("write ids: adding a field in the middle would change the wire"),
            );
        }
    }

    fn check_union(&mut self, owner: &Owner<'_>, written: &[ast::Field]) {
        if owner.category != Category::Union {
            return;
        }
        let mut defaults = written.iter().filter(|field| field.default.is_some());
        let Some(first) = defaults.next() else { return };
        for field in defaults {
            let message = format!("the union `{}` has more than one default value", owner.name);
            self.diagnostics.push(
                Diagnostic::error("union-defaults", field.name.span, message)
                    .related(first.name.span, "the first one"),
            );
        }
    }

    /// Evaluates the defaults of all structs and of all methods' arguments.
    pub(super) fn defaults(&mut self) {
        for (index, entry) in self.scope.structs.clone().into_iter().enumerate() {
            if let DefinitionKind::Struct(_, written) = &entry.definition.kind {
                self.struct_defaults(StructId::at(index), entry.file, written);
            }
        }
    }

    pub(super) fn struct_defaults(&mut self, id: StructId, file: usize, written: &[ast::Field]) {
        for field in written {
            let Some(default) = &field.default else { continue };
            let structure = self.structs.get(id.index());
            let target = structure.and_then(|found| found.field_by_name(&field.name.text));
            let Some((field_id, type_id)) = target.map(|field| (field.id, field.type_id)) else { continue };
            let value = self.counted(file, default, type_id).map(|evaluated| evaluated.value);
            if let Some(field) = self.structs.get_mut(id.index()).and_then(|found| found.field_mut(field_id))
            {
                field.default = value;
            }
        }
    }
}

/// The required fields that a value has to give.
fn demanded(structure: &Struct, written: &[ast::Field]) -> Box<[i16]> {
    let has_no_default = written.iter().filter(|field| field.default.is_none());
    let made = has_no_default.filter_map(|field| structure.field_by_name(&field.name.text));
    made.filter(|field| field.requiredness == Requiredness::Required).map(|field| field.id).collect()
}

fn written_as(ty: &ast::TypeRef, name: &str) -> bool {
    matches!(&ty.kind, ast::TypeKind::Named(written) if **written == *name)
}
