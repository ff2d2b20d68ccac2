//! Enums: numbers given and checked.

use std::fmt;

use super::Resolver;
use super::firsts::Firsts;
use crate::idl::ast::{self, DefinitionKind};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{Enum, EnumValue, NameTable, SchemaFileId};
use crate::idl::source::{Span, offset};

impl Resolver<'_> {
    pub(super) fn enums(&mut self) {
        for entry in self.scope.enums.clone() {
            let DefinitionKind::Enum(written) = &entry.definition.kind else { continue };
            let values = self.enum_values(&entry.definition.name.text, written);
            let mut by_number: Vec<usize> = (0..values.len()).collect();
            by_number.sort_by_key(|at| values.get(*at).map(|value| value.number));
            self.enums.push(Enum {
                name: entry.definition.name.text.clone(),
                file: SchemaFileId::at(entry.file),
                names: NameTable::new(values.iter().map(|value| &*value.name)),
                by_number: by_number.into_iter().map(offset).collect(),
                values: values.into(),
                annotations: self.annotations(&entry.definition.annotations),
                doc: self.doc(&entry.definition.comments),
            });
        }
    }

    /// A value without a number is one more than the value before it; the first is 0.
    fn enum_values(&mut self, owner: &str, written: &[ast::EnumValue]) -> Vec<EnumValue> {
        let mut values = Vec::with_capacity(written.len());
        let mut names = Firsts::new();
        let mut numbers = Firsts::new();
        let mut next = 0i64;
        for value in written {
            let wanted = value.number.map_or(next, |number| number.value);
            next = wanted.saturating_add(1);
            let Some(number) = self.enum_number(value, wanted) else { continue };
            let name = &value.name;
            if let Some(first) = names.insert(&*name.text, name.span) {
                self.duplicate_in(owner, "enum value", name, first);
                continue;
            }
            if let Some(first) = numbers.insert(number, name) {
                self.duplicate_number(name, number, first);
            }
            values.push(EnumValue {
                name: name.text.clone(),
                number,
                annotations: self.annotations(&value.annotations),
                doc: self.doc(&value.comments),
            });
        }
        values
    }

    fn enum_number(&mut self, value: &ast::EnumValue, number: i64) -> Option<i32> {
        if let Ok(number) = i32::try_from(number) {
            return Some(number);
        }
        let span = value.number.map_or(value.name.span, |number| number.span);
        let message = format!("enum overflow: {} is {number}, which does not fit an i32", value.name.text);
        self.diagnostics.push(
            Diagnostic::error("enum-overflow", span, message)
                .hint("enums are i32 on the wire; use `const i64` for big numbers"),
        );
        None
    }

    fn duplicate_number(&mut self, name: &ast::Name, number: i32, first: &ast::Name) {
        let message = format!("`{}` and `{}` have the same number {number}", first.text, name.text);
        self.diagnostics.push(
            Diagnostic::error("duplicate-enum-number", name.span, message)
                .related(first.span, format!("also {number}")),
        );
    }

    /// Reports a second member of the same name.
    pub(super) fn duplicate_in(
        &mut self,
        owner: impl fmt::Display,
        what: &str,
        name: &ast::Name,
        first: Span,
    ) {
        let message = format!("`{owner}` has more than one {what} `{}`", name.text);
        self.diagnostics.push(
            Diagnostic::error("duplicate-member", name.span, message).related(first, "first defined here"),
        );
    }
}
