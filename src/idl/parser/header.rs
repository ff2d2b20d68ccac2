//! The document and its headers: includes and namespaces.

use super::{Parsed, Parser, Reported};
use crate::idl::ast::{Document, Literal, Name, Namespace};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::similar::nearest;
use crate::idl::source::Span;
use crate::idl::token::TokenKind;

/// Words that Apache's compiler once took instead of `namespace <scope>`, and the scope they meant.
const OLD_NAMESPACES: &[(&str, &str)] = &[
    ("cpp_namespace", "cpp"),
    ("php_namespace", "php"),
    ("py_module", "py"),
    ("perl_package", "perl"),
    ("ruby_namespace", "rb"),
    ("smalltalk_category", "smalltalk.category"),
    ("smalltalk_prefix", "smalltalk.prefix"),
    ("java_package", "java"),
    ("cocoa_prefix", "cocoa"),
    ("csharp_namespace", "csharp"),
    ("delphi_namespace", "delphi"),
    ("xsd_namespace", "xsd"),
];

impl Parser<'_> {
    pub(super) fn document(&mut self) -> Document {
        let mut document = Document {
            file: self.file,
            includes: Vec::new(),
            cpp_includes: Vec::new(),
            namespaces: Vec::new(),
            definitions: Vec::new(),
            broken: Vec::new(),
            comments: Vec::new(),
        };
        while !self.at(TokenKind::End) {
            let start = self.at;
            if self.top_level(&mut document).is_err() {
                self.skip_to_top_level(start);
            }
        }
        document
    }

    fn top_level(&mut self, document: &mut Document) -> Parsed<()> {
        let Some(word) = self.word() else {
            return Err(self.unexpected("a header or a definition"));
        };
        match word {
            "include" | "cpp_include" | "namespace" => self.header(word, document),
            _ => match OLD_NAMESPACES.iter().find(|(old, _)| *old == word) {
                Some((_, scope)) => self.old_namespace(word, scope, document),
                None => self.one_definition(document),
            },
        }
    }

    fn one_definition(&mut self, document: &mut Document) -> Parsed<()> {
        let name = self.word_at(1);
        match self.definition() {
            Ok(definition) => document.definitions.push(definition),
            Err(reported) => {
                document.broken.extend(name.map(str::to_owned));
                return Err(reported);
            }
        }
        Ok(())
    }

    fn header(&mut self, word: &str, document: &mut Document) -> Parsed<()> {
        let keyword = self.bump().span(self.file);
        self.check_order(word, keyword, document);
        match word {
            "include" => {
                let path = self.literal("the included file")?;
                self.add_include(path, document);
            }
            "cpp_include" => document.cpp_includes.push(self.literal("the included file")?),
            _ => document.namespaces.push(self.namespace()?),
        }
        self.no_separator(word);
        Ok(())
    }

    fn add_include(&mut self, path: Literal, document: &mut Document) {
        // A few more than there can be files, so that the loader reports the limit on those.
        if document.includes.len() > self.limits.files
            || document.includes.iter().any(|known| known.text == path.text)
        {
            return;
        }
        document.includes.push(path);
    }

    fn check_order(&mut self, word: &str, span: Span, document: &Document) {
        if let Some(first) = document.definitions.first() {
            self.diagnostics.push(
                Diagnostic::error("header-order", span, format!("`{word}` after a definition"))
                    .related(first.name.span, "the first definition")
                    .hint("move all headers to the top of the file"),
            );
        }
    }

    /// Behind `namespace`: `scope name annotations?`
    fn namespace(&mut self) -> Parsed<Namespace> {
        let scope = match self.at(TokenKind::Star) {
            true => {
                let span = self.bump().span(self.file);
                Name { text: "*".into(), span }
            }
            false => self.name("a language or `*`")?,
        };
        let name = self.name("the namespace's name")?;
        let annotations = self.annotations()?;
        Ok(Namespace { scope, name, annotations })
    }

    fn old_namespace(&mut self, word: &str, scope: &str, document: &mut Document) -> Parsed<()> {
        let span = self.bump().span(self.file);
        self.check_order(word, span, document);
        self.apache_only(span, &format!("the obsolete `{word}`"), &format!("write `namespace {scope}`"));
        let name = match self.at(TokenKind::Literal) {
            true => {
                let literal = self.literal("the namespace")?;
                Name { text: literal.text, span: literal.span }
            }
            false => self.name("the namespace's name")?,
        };
        let scope = Name { text: scope.into(), span };
        document.namespaces.push(Namespace { scope, name, annotations: Vec::new() });
        Ok(())
    }

    /// Reports a `,` or `;` where the grammar has none, and goes on behind it.
    pub(super) fn no_separator(&mut self, what: &str) {
        let span = self.span();
        if self.separator() {
            let spelling = self.previous().map_or("", |token| self.spelling(token));
            let message = format!("`{spelling}` is not allowed after `{what}`");
            self.diagnostics.push(Diagnostic::error("syntax", span, message).hint("remove it"));
        }
    }

    /// Skips to the next line that starts like a header or a definition.
    fn skip_to_top_level(&mut self, start: usize) {
        while !self.at(TokenKind::End) {
            let starts = self.peek().starts_line && self.word().is_some_and(is_top_level_word);
            if starts && self.at > start {
                return;
            }
            self.bump();
        }
    }
}

impl Parser<'_> {
    /// Reports a word that starts nothing.
    pub(super) fn unknown_definition(&mut self, word: &str) -> Reported {
        let found = self.unexpected_diagnostic("a definition");
        let found = match word {
            "senum" => found.hint("senum was removed from Thrift; use `enum`, or `const string`"),
            _ => match nearest(word, TOP_LEVEL_WORDS.iter().copied()) {
                Some(known) => found.hint(format!("did you mean `{known}`?")),
                None => found.hint(
                    "a definition starts with const, typedef, enum, struct, union, exception or service",
                ),
            },
        };
        self.report(found)
    }
}

const TOP_LEVEL_WORDS: &[&str] = &[
    "include",
    "cpp_include",
    "namespace",
    "const",
    "typedef",
    "enum",
    "struct",
    "union",
    "exception",
    "service",
];

fn is_top_level_word(word: &str) -> bool {
    TOP_LEVEL_WORDS.contains(&word)
}
