//! Types and fields.

use super::{Parsed, Parser};
use crate::idl::ast::{BaseType, Field, Literal, Name, Requiredness, TypeKind, TypeRef};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::source::Span;
use crate::idl::token::TokenKind;

impl Parser<'_> {
    pub(super) fn type_ref(&mut self, what: &str) -> Parsed<TypeRef> {
        if !self.at(TokenKind::Name) {
            return Err(self.unexpected(what));
        }
        self.nested("types", |parser| {
            let start = parser.span();
            let (kind, cpp_type) = parser.type_kind()?;
            let span = start.to(parser.previous_span());
            let annotations = parser.annotations()?;
            Ok(TypeRef { kind, annotations, cpp_type, span })
        })
    }

    fn type_kind(&mut self) -> Parsed<(TypeKind, Option<Box<Literal>>)> {
        let token = self.bump();
        let spelling = self.spelling(token);
        // A container's word without `<` is a name like any other.
        let container = self.at(TokenKind::Less) || self.word() == Some("cpp_type");
        match spelling {
            "list" if container => self.list(),
            "set" if container => self.set(),
            "map" if container => self.map(),
            _ => Ok((self.simple_type(spelling, token.span(self.file)), None)),
        }
    }

    fn simple_type(&mut self, name: &str, span: Span) -> TypeKind {
        match name {
            "uuid" => self.apache_only(span, "the type uuid", "use `binary` or `string`"),
            "slist" => self.apache_only(span, "the obsolete type slist", "use `string`"),
            _ => {}
        }
        match BaseType::from_name(name) {
            Some(base) => TypeKind::Base(base),
            None => TypeKind::Named(self.texts.text(name)),
        }
    }

    /// Kitex takes `cpp_type` of a list behind the `>`; Apache before the `<` too.
    fn list(&mut self) -> Parsed<(TypeKind, Option<Box<Literal>>)> {
        let start = self.span();
        let before = self.cpp_type()?;
        if before.is_some() {
            self.apache_only(start, "`cpp_type` before a list's `<`", "write it behind the `>`");
        }
        self.expect(TokenKind::Less, "after `list`")?;
        let element = self.type_ref("the list's element type")?;
        self.expect(TokenKind::Greater, "after the list's element type")?;
        let after = self.cpp_type()?;
        Ok((TypeKind::List(Box::new(element)), before.or(after)))
    }

    fn set(&mut self) -> Parsed<(TypeKind, Option<Box<Literal>>)> {
        let cpp_type = self.cpp_type()?;
        self.expect(TokenKind::Less, "after `set`")?;
        let element = self.type_ref("the set's element type")?;
        self.expect(TokenKind::Greater, "after the set's element type")?;
        Ok((TypeKind::Set(Box::new(element)), cpp_type))
    }

    fn map(&mut self) -> Parsed<(TypeKind, Option<Box<Literal>>)> {
        let cpp_type = self.cpp_type()?;
        self.expect(TokenKind::Less, "after `map`")?;
        let key = self.type_ref("the map's key type")?;
        self.expect(TokenKind::Comma, "between key type and value type")?;
        let value = self.type_ref("the map's value type")?;
        self.expect(TokenKind::Greater, "after the map's value type")?;
        Ok((TypeKind::Map(Box::new((key, value))), cpp_type))
    }

    fn cpp_type(&mut self) -> Parsed<Option<Box<Literal>>> {
        match self.eat_word("cpp_type") {
            true => self.literal("cpp_type").map(|literal| Some(Box::new(literal))),
            false => Ok(None),
        }
    }

    /// `(id:)? (required/optional)? Type &? name (= value)? annotations? sep?`
    pub(super) fn field(&mut self) -> Parsed<Field> {
        let leading = self.leading_comments();
        let id = match self.at(TokenKind::Int) {
            true => {
                let id = self.int("a field id")?;
                self.expect(TokenKind::Colon, "after the field id")?;
                Some(id)
            }
            false => None,
        };
        let (requiredness, requiredness_span) = self.requiredness();
        let ty = self.type_ref(if id.is_some() { "a type" } else { "a field id or a type" })?;
        self.reference();
        let name = self.field_name(&ty)?;
        let default = match self.eat(TokenKind::Equal) {
            true => Some(Box::new(self.value()?)),
            false => None,
        };
        self.xsd_attributes()?;
        let annotations = self.annotations()?;
        self.separator();
        let comments = self.node_comments(leading);
        Ok(Field { id, requiredness, requiredness_span, ty, name, default, annotations, comments })
    }

    /// The reference reads `optionalFoo` as `optional Foo`; here a word is a word.
    fn requiredness(&mut self) -> (Requiredness, Option<Span>) {
        let found = match self.word() {
            Some("required") => Requiredness::Required,
            Some("optional") => Requiredness::Optional,
            _ => return (Requiredness::Default, None),
        };
        let span = self.bump().span(self.file);
        (found, Some(span))
    }

    fn field_name(&mut self, ty: &TypeRef) -> Parsed<Name> {
        if self.at(TokenKind::Less)
            && let TypeKind::Named(name) = &ty.kind
        {
            let message = format!("`{name}` does not take type parameters");
            let found = Diagnostic::error("syntax", self.span(), message);
            let hint = missing_space(name).unwrap_or_else(|| "only list, set and map do".to_owned());
            let reported = self.report(found.hint(hint));
            self.skip_type_parameters();
            return Err(reported);
        }
        self.defined_name("a field name")
    }

    /// Their commas would look like the ends of fields.
    fn skip_type_parameters(&mut self) {
        let mut open = 0usize;
        loop {
            match self.bump().kind {
                TokenKind::Less => open += 1,
                TokenKind::Greater => open = open.saturating_sub(1),
                _ => {}
            }
            let next = self.peek();
            if open == 0 || next.starts_line || next.kind.closes() || next.kind == TokenKind::End {
                return;
            }
        }
    }

    /// Apache's mark on a recursive member. Every language here boxes those by itself.
    fn reference(&mut self) {
        let span = self.span();
        if self.eat(TokenKind::Ampersand) {
            self.apache_only(span, "`&`", "leave it out: recursive structs need no mark");
        }
    }

    /// `xsd_optional`, `xsd_nillable`, `xsd_attrs { … }`: read by Apache, without meaning.
    fn xsd_attributes(&mut self) -> Parsed<()> {
        while let Some(word @ ("xsd_optional" | "xsd_nillable" | "xsd_attrs")) = self.word() {
            let span = self.bump().span(self.file);
            self.apache_only(span, &format!("the obsolete `{word}`"), "leave it out: it has no meaning");
            if word == "xsd_attrs" {
                self.expect(TokenKind::OpenBrace, "after `xsd_attrs`")?;
                // Fields inside of attributes could hold attributes again.
                self.nested("attributes", |parser| {
                    parser.items(TokenKind::CloseBrace, "a field", Parser::field)
                })?;
            }
        }
        Ok(())
    }
}

/// What to say to `optionalstring`, which the reference reads as `optional string`.
pub(crate) fn missing_space(name: &str) -> Option<String> {
    let glued = |word: &str| {
        name.strip_prefix(word).filter(|rest| !rest.is_empty()).map(|rest| format!("{word} {rest}"))
    };
    let spaced = glued("optional").or_else(|| glued("required"))?;
    Some(format!("did you mean `{spaced}`?"))
}
