//! Services and their functions.

use super::{Parsed, Parser};
use crate::idl::ast::{Field, Function, Service, TypeRef};
use crate::idl::token::TokenKind;

impl Parser<'_> {
    /// Behind `service Name`.
    pub(super) fn service(&mut self) -> Parsed<Service> {
        let base = match self.eat_word("extends") {
            true => Some(self.name("the base service's name")?),
            false => None,
        };
        self.expect(TokenKind::OpenBrace, "before the service's functions")?;
        let functions = self.items(TokenKind::CloseBrace, "a function", Parser::function)?;
        Ok(Service { base, functions })
    }

    fn function(&mut self) -> Parsed<Function> {
        let leading = self.leading_comments();
        let oneway = self.oneway();
        let response = self.response()?;
        let name = self.defined_name("a function name")?;
        self.expect(TokenKind::OpenParen, "before the function's arguments")?;
        let arguments = self.items(TokenKind::CloseParen, "an argument", Parser::field)?;
        let throws = self.throws()?;
        let annotations = self.annotations()?;
        self.separator();
        let comments = self.node_comments(leading);
        Ok(Function { oneway, response, name, arguments, throws, annotations, comments })
    }

    fn oneway(&mut self) -> bool {
        if self.word() == Some("async") && self.word_at(1) == Some("void") {
            let span = self.bump().span(self.file);
            self.apache_only(span, "the obsolete `async`", "write `oneway`");
            return true;
        }
        self.eat_word("oneway")
    }

    fn response(&mut self) -> Parsed<Option<TypeRef>> {
        match self.eat_word("void") {
            true => Ok(None),
            false => self.type_ref("`void` or a result type").map(Some),
        }
    }

    fn throws(&mut self) -> Parsed<Vec<Field>> {
        if !self.eat_word("throws") {
            return Ok(Vec::new());
        }
        self.expect(TokenKind::OpenParen, "after `throws`")?;
        self.items(TokenKind::CloseParen, "an exception", Parser::field)
    }
}
