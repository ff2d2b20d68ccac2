//! Definitions other than what is inside of a service.

use super::{Parsed, Parser};
use crate::idl::ast::{Annotation, Definition, DefinitionKind, EnumValue, Name, StructKind};
use crate::idl::token::TokenKind;

impl Parser<'_> {
    pub(super) fn definition(&mut self) -> Parsed<Definition> {
        let comments = self.leading_comments();
        let start = self.span();
        let Some(word) = self.word() else { return Err(self.unexpected("a definition")) };
        let (name, kind) = match word {
            "const" => self.constant()?,
            "typedef" => self.typedef()?,
            "enum" => self.enumeration()?,
            "struct" => self.structure(StructKind::Struct)?,
            "union" => self.structure(StructKind::Union)?,
            "exception" => self.structure(StructKind::Exception)?,
            "service" => {
                self.bump();
                let name = self.defined_name("the service's name")?;
                (name, DefinitionKind::Service(self.service()?))
            }
            _ => return Err(self.unknown_definition(word)),
        };
        let annotations = self.definition_end(word)?;
        let span = start.to(self.previous_span());
        // Comments behind a definition on its last line belong to nothing.
        self.trailing_comments();
        Ok(Definition { name, kind, annotations, comments, span })
    }

    /// Annotations, and the separator where the grammar has one: behind a constant, on either side of
    /// its annotations, and for Apache behind a typedef.
    fn definition_end(&mut self, word: &str) -> Parsed<Vec<Annotation>> {
        if word == "const" {
            self.separator();
        }
        let annotations = self.annotations()?;
        let span = self.span();
        match word {
            "const" => drop(self.separator()),
            "typedef" if self.separator() => {
                self.apache_only(span, "a separator after a typedef", "remove it");
            }
            _ => self.no_separator(word),
        }
        Ok(annotations)
    }

    fn constant(&mut self) -> Parsed<(Name, DefinitionKind)> {
        self.bump();
        let ty = self.type_ref("the constant's type")?;
        let name = self.defined_name("the constant's name")?;
        self.expect(TokenKind::Equal, "before the constant's value")?;
        let value = self.value()?;
        Ok((name, DefinitionKind::Const(ty, value)))
    }

    fn typedef(&mut self) -> Parsed<(Name, DefinitionKind)> {
        self.bump();
        let ty = self.type_ref("a type")?;
        let name = self.defined_name("the typedef's name")?;
        Ok((name, DefinitionKind::Typedef(ty)))
    }

    fn enumeration(&mut self) -> Parsed<(Name, DefinitionKind)> {
        self.bump();
        let name = self.defined_name("the enum's name")?;
        self.expect(TokenKind::OpenBrace, "before the enum's values")?;
        let values = self.items(TokenKind::CloseBrace, "an enum value", Parser::enum_value)?;
        Ok((name, DefinitionKind::Enum(values)))
    }

    fn enum_value(&mut self) -> Parsed<EnumValue> {
        let leading = self.leading_comments();
        let name = self.defined_name("the name of an enum value")?;
        let number = match self.eat(TokenKind::Equal) {
            true => Some(self.int("an integer")?),
            false => None,
        };
        let annotations = self.annotations()?;
        self.separator();
        let comments = self.node_comments(leading);
        Ok(EnumValue { name, number, annotations, comments })
    }

    fn structure(&mut self, kind: StructKind) -> Parsed<(Name, DefinitionKind)> {
        self.bump();
        let name = self.defined_name("the name of the struct")?;
        if self.word() == Some("xsd_all") {
            let span = self.bump().span(self.file);
            self.apache_only(span, "the obsolete `xsd_all`", "leave it out: it has no meaning");
        }
        self.expect(TokenKind::OpenBrace, "before the fields")?;
        let fields = self.items(TokenKind::CloseBrace, "a field", Parser::field)?;
        Ok((name, DefinitionKind::Struct(kind, fields)))
    }
}
