//! What a name in a constant refers to: `CONST`, `Enum.VALUE`, `inc.CONST`, `inc.Enum.VALUE`.

use super::Resolver;
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{ConstId, EnumId, Symbol, Type, TypeId};
use crate::idl::similar::nearest;
use crate::idl::source::Span;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Referent {
    Const(ConstId),
    Enum(EnumId, i32),
}

impl Resolver<'_> {
    /// Looks a name up in a place where a value of type `expected` is wanted.
    pub(super) fn reference(
        &mut self,
        file: usize,
        name: &str,
        expected: TypeId,
        span: Span,
    ) -> Option<Referent> {
        let found = self.readings(file, name);
        match found.as_slice() {
            [one] => Some(*one),
            [] => self.apache_reference(name, expected, span).or_else(|| {
                self.undefined_value(file, name, expected, span);
                None
            }),
            many => {
                let message = format!("ambiguous value `{name}`: {} possible meanings", many.len());
                self.diagnostics.push(
                    Diagnostic::error("ambiguous-value", span, message)
                        .hint("rename the enum, or the file whose name is its name"),
                );
                None
            }
        }
    }

    /// Every reading of a name. Prefixes may have dots themselves, so the last ones count.
    fn readings(&self, file: usize, name: &str) -> Vec<Referent> {
        let Some((owner, last)) = name.rsplit_once('.') else {
            return self.scope.local(file, name).and_then(constant).into_iter().collect();
        };
        let mut found: Vec<Referent> =
            self.enum_value(self.scope.local(file, owner), last).into_iter().collect();
        found.extend(self.scope.included(file, owner, last).filter_map(|(_, symbol)| constant(symbol)));
        if let Some((prefix, owner)) = owner.rsplit_once('.') {
            let symbols = self.scope.included(file, prefix, owner);
            found.extend(symbols.filter_map(|(_, symbol)| self.enum_value(Some(symbol), last)));
        }
        found
    }

    fn enum_value(&self, owner: Option<Symbol>, value: &str) -> Option<Referent> {
        let id = self.enum_of(owner?)?;
        let value = self.enums.get(id.index())?.by_name(value)?;
        Some(Referent::Enum(id, value.number))
    }

    /// An enum itself or by a typedef. Typedefs are resolved before any value is.
    fn enum_of(&self, symbol: Symbol) -> Option<EnumId> {
        match symbol {
            Symbol::Enum(id) => Some(id),
            Symbol::Typedef(id) => match self.typedefs.get(id.index())? {
                super::State::Done(Some(target)) => match self.types.ty(*target) {
                    Type::Enum(id) => Some(id),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Apache's compiler also takes a value of the expected enum with less in front of it than needed:
    /// `VALUE`, or `Enum.VALUE` and `inc.VALUE` for an enum of another file.
    fn apache_reference(&mut self, name: &str, expected: TypeId, span: Span) -> Option<Referent> {
        let Type::Enum(id) = self.types.ty(expected) else { return None };
        let found = self.enums.get(id.index())?;
        let (owner, last) = name.rsplit_once('.').map_or((None, name), |(owner, last)| (Some(owner), last));
        let number = found.by_name(last)?.number;
        let path = self.program.sources.files().nth(found.file.index()).map_or("", |(_, file)| file.name());
        let prefix = crate::idl::loader::prefix(path);
        if owner.is_some_and(|owner| owner != &*found.name && owner != prefix) {
            return None;
        }
        let full = format!("{}.{last}", found.name);
        let message = format!("`{name}` is understood by Apache's compiler only, not by Kitex's");
        let hint = format!("write `{full}`, with the include's prefix if it is of another file");
        self.diagnostics.push(Diagnostic::warning("apache-only", span, message).hint(hint));
        Some(Referent::Enum(id, number))
    }

    fn undefined_value(&mut self, file: usize, name: &str, expected: TypeId, span: Span) {
        if self.scope.may_be_missing(file, name) {
            return;
        }
        let found = Diagnostic::error("undefined-value", span, format!("undefined value: `{name}`"));
        let explanation = match self.diagnostics.is_full() {
            true => None,
            false => self.explain_value(file, name, expected),
        };
        self.diagnostics.push(match explanation {
            Some(words) => found.hint(words),
            None => found,
        });
    }

    fn explain_value(&self, file: usize, name: &str, expected: TypeId) -> Option<String> {
        if let Some((owner, last)) = name.rsplit_once('.')
            && let Some(symbol) = self.scope.lookup(file, owner, Symbol::is_type)
            && let Some(id) = self.enum_of(symbol)
        {
            let found = self.enums.get(id.index())?;
            let near = nearest(last, found.values.iter().map(|value| &*value.name));
            return Some(match near {
                Some(near) => format!("did you mean `{owner}.{near}`?"),
                None => format!("the enum `{}` has no value `{last}`", found.name),
            });
        }
        if !name.contains('.')
            && let Some(owner) = self.enum_with(file, name)
        {
            return Some(format!("did you mean `{owner}.{name}`?"));
        }
        let quoted = matches!(self.types.ty(expected), Type::String | Type::Binary);
        if quoted && !name.contains('.') {
            return Some(format!("a text is written in quotes: \"{name}\""));
        }
        self.scope.explain(file, name, |symbol| matches!(symbol, Symbol::Const(_)))
    }
}

impl<'a> Resolver<'a> {
    /// An enum of this file that has the value.
    fn enum_with(&self, file: usize, value: &str) -> Option<&'a str> {
        let here = self.scope.enums.iter().zip(&self.enums).filter(|(entry, _)| entry.file == file);
        let mut having = here.filter(|(_, found)| found.by_name(value).is_some());
        having.next().map(|(entry, _)| &*entry.definition.name.text)
    }
}

fn constant(symbol: Symbol) -> Option<Referent> {
    match symbol {
        Symbol::Const(id) => Some(Referent::Const(id)),
        _ => None,
    }
}
