//! Tokens to syntax tree: recursive descent with recovery, so that one run finds several errors.
//!
//! The grammar is the union of thriftgo's (Kitex's compiler, "the reference") and Apache's; what only
//! Apache reads is accepted with the warning `apache-only`.

mod definition;
mod header;
mod service;
mod types;
mod value;

pub(crate) use types::missing_space;

use crate::idl::ast::{Annotation, Comment, Document, Int, Literal, Name};
use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::intern::Interner;
use crate::idl::lexer::lex;
use crate::idl::limits::IdlLimits;
use crate::idl::literal::annotation_text;
use crate::idl::source::{FileId, Span, offset};
use crate::idl::token::{Token, TokenKind};

/// Parses one file. The document holds what could be read, also if there were errors.
pub fn parse(file: FileId, text: &str, limits: &IdlLimits, diagnostics: &mut Diagnostics) -> Document {
    let lexed = lex(file, text, diagnostics);
    let mut parser = Parser {
        file,
        text,
        tokens: &lexed.tokens,
        comments: &lexed.comments,
        at: 0,
        comment_at: 0,
        nesting: 0,
        texts: Interner::new(text.len()),
        limits,
        diagnostics,
    };
    let mut document = parser.document();
    document.comments = lexed.comments;
    document
}

/// A diagnostic has been recorded; the caller recovers.
struct Reported;

type Parsed<T> = Result<T, Reported>;

struct Parser<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    comments: &'a [Comment],
    at: usize,
    /// Comments before this one belong to a node already or to none.
    comment_at: usize,
    /// How many types or values are open.
    nesting: u16,
    texts: Interner,
    limits: &'a IdlLimits,
    diagnostics: &'a mut Diagnostics,
}

// Looking at tokens.
impl<'a> Parser<'a> {
    fn peek_at(&self, ahead: usize) -> Token {
        let end = offset(self.text.len());
        let past_end = Token { kind: TokenKind::End, starts_line: true, start: end, end };
        self.tokens.get(self.at + ahead).copied().unwrap_or(past_end)
    }

    fn peek(&self) -> Token {
        self.peek_at(0)
    }

    fn bump(&mut self) -> Token {
        let token = self.peek();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.peek().kind == kind
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.bump();
        }
        found
    }

    fn spelling(&self, token: Token) -> &'a str {
        self.text.get(token.span(self.file).range()).unwrap_or("")
    }

    /// The word `ahead` tokens from here, if it is one.
    fn word_at(&self, ahead: usize) -> Option<&'a str> {
        let token = self.peek_at(ahead);
        (token.kind == TokenKind::Name).then(|| self.spelling(token))
    }

    fn word(&self) -> Option<&'a str> {
        self.word_at(0)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        if found {
            self.bump();
        }
        found
    }

    fn span(&self) -> Span {
        self.peek().span(self.file)
    }

    /// The last token consumed.
    fn previous(&self) -> Option<Token> {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).copied()
    }

    fn previous_span(&self) -> Span {
        self.previous().map_or(Span { file: self.file, start: 0, end: 0 }, |token| token.span(self.file))
    }
}

// Expecting tokens.
impl Parser<'_> {
    fn expect(&mut self, kind: TokenKind, context: &str) -> Parsed<Token> {
        if self.at(kind) {
            return Ok(self.bump());
        }
        Err(self.unexpected(&format!("{} {context}", kind.describe())))
    }

    fn name(&mut self, what: &str) -> Parsed<Name> {
        if !self.at(TokenKind::Name) {
            return Err(self.unexpected(what));
        }
        let token = self.bump();
        Ok(Name { text: self.texts.text(self.spelling(token)), span: token.span(self.file) })
    }

    /// The name of something that is defined here: a dot would make it impossible to refer to.
    fn defined_name(&mut self, what: &str) -> Parsed<Name> {
        let name = self.name(what)?;
        if name.text.contains('.') {
            let message = format!("the name `{}` has a dot", name.text);
            self.diagnostics.push(
                Diagnostic::error("dotted-name", name.span, message)
                    .label("a dot separates an include's name from a name in it"),
            );
        }
        Ok(name)
    }

    /// Reports that something else was expected here.
    fn unexpected(&mut self, expected: &str) -> Reported {
        let found = self.unexpected_diagnostic(expected);
        self.report(found)
    }

    fn unexpected_diagnostic(&self, expected: &str) -> Diagnostic {
        let token = self.peek();
        let found = match token.kind {
            TokenKind::Name | TokenKind::Int | TokenKind::Double => format!("`{}`", self.spelling(token)),
            kind => kind.describe().to_owned(),
        };
        // What is missing at the end of a line is missing there, not on the next one.
        let span = match token.starts_line && self.at > 0 {
            true => self.previous_span().after(),
            false => token.span(self.file),
        };
        Diagnostic::error("syntax", span, format!("expected {expected}, found {found}"))
            .label(format!("expected {expected}"))
    }

    fn report(&mut self, found: Diagnostic) -> Reported {
        // The lexer has reported this place already.
        if self.peek().kind != TokenKind::Bad {
            self.diagnostics.push(found);
        }
        Reported
    }

    /// Something that Apache's compiler reads and Kitex's does not.
    fn apache_only(&mut self, span: Span, what: &str, hint: &str) {
        let message = format!("{what} is read by Apache's compiler only, not by Kitex's");
        self.diagnostics.push(Diagnostic::warning("apache-only", span, message).hint(hint));
    }

    /// Runs a parser of something that can contain itself, within the limit.
    fn nested<T>(&mut self, what: &str, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= self.limits.nesting {
            let message = format!("{what} are nested deeper than {}", self.limits.nesting);
            return Err(self.report(Diagnostic::error("nesting", self.span(), message)));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }
}

// Lists and recovery.
impl Parser<'_> {
    /// Items up to `close`, whose opening bracket has just been consumed. A bad item is skipped.
    fn items<T>(
        &mut self,
        close: TokenKind,
        expected: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let open = self.previous_span();
        let mut items = Vec::new();
        loop {
            if self.eat(close) {
                return Ok(items);
            }
            if self.at(TokenKind::End) || self.at_definition() {
                return Err(self.unclosed(close, expected, open));
            }
            let start = self.at;
            match item(self) {
                Ok(item) => {
                    // Nodes are large and lists short: the usual growth would waste most of the memory.
                    if items.len() == items.capacity() {
                        items.reserve_exact(items.len().max(1));
                    }
                    items.push(item);
                }
                Err(Reported) => self.skip_item(start),
            }
        }
    }

    fn unclosed(&mut self, close: TokenKind, expected: &str, open: Span) -> Reported {
        let found = self.unexpected_diagnostic(&format!("{expected} or {}", close.describe()));
        self.report(found.related(open, "this is never closed"))
    }

    /// Skips to where the next item may start: behind a separator, at a new line, at a closing bracket.
    fn skip_item(&mut self, start: usize) {
        let mut open = 0usize;
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::End => return,
                kind if kind.opens() => open += 1,
                kind if kind.closes() && open == 0 => return self.ensure_progress(start),
                kind if kind.closes() => open -= 1,
                kind if kind.separates() && open == 0 => {
                    self.bump();
                    return;
                }
                _ if token.starts_line && self.at > start && (open == 0 || self.at_definition()) => return,
                _ => {}
            }
            self.bump();
        }
    }

    /// A bracket of another kind would stop every try at the same place.
    fn ensure_progress(&mut self, start: usize) {
        if self.at == start {
            self.bump();
        }
    }

    /// Whether a line starts here that can only be the head of a definition: a bracket was forgotten.
    fn at_definition(&self) -> bool {
        let keyword = || matches!(self.word(), Some("struct" | "union" | "exception" | "enum" | "service"));
        let next = self.peek_at(2);
        let body = || next.kind == TokenKind::OpenBrace || self.spelling(next) == "extends";
        self.peek().starts_line && keyword() && self.word_at(1).is_some() && body()
    }

    fn separator(&mut self) -> bool {
        let found = self.peek().kind.separates();
        if found {
            self.bump();
        }
        found
    }
}

// Comments.
impl Parser<'_> {
    /// The comments right before the next token.
    fn leading_comments(&mut self) -> Vec<Comment> {
        let passed = self.passed_comments();
        let rest = self.comments.get(passed..).unwrap_or_default();
        let here = rest.iter().take_while(|comment| comment.before == self.at).count();
        self.comment_at = passed + here;
        rest.get(..here).map(<[Comment]>::to_vec).unwrap_or_default()
    }

    /// The comments behind the last token on its line.
    fn trailing_comments(&mut self) -> Vec<Comment> {
        let passed = self.passed_comments();
        let rest = self.comments.get(passed..).unwrap_or_default();
        let here = rest.iter().take_while(|comment| comment.before == self.at && comment.trailing).count();
        self.comment_at = passed + here;
        rest.get(..here).map(<[Comment]>::to_vec).unwrap_or_default()
    }

    /// Where the comments before the next token begin.
    fn passed_comments(&self) -> usize {
        let rest = self.comments.get(self.comment_at..).unwrap_or_default();
        self.comment_at + rest.iter().take_while(|comment| comment.before < self.at).count()
    }

    /// The comments of a node that ends here: those before it win.
    fn node_comments(&mut self, leading: Vec<Comment>) -> Vec<Comment> {
        let trailing = self.trailing_comments();
        if leading.is_empty() { trailing } else { leading }
    }
}

// What many rules share.
impl Parser<'_> {
    /// `( key = "literal" sep? … )?`
    fn annotations(&mut self) -> Parsed<Vec<Annotation>> {
        if !self.eat(TokenKind::OpenParen) {
            return Ok(Vec::new());
        }
        self.items(TokenKind::CloseParen, "an annotation", Parser::annotation)
    }

    fn annotation(&mut self) -> Parsed<Annotation> {
        let key = self.name("an annotation's key")?;
        let value = match self.eat(TokenKind::Equal) {
            true => self.annotation_value()?,
            false => self.annotation_without_value(&key),
        };
        self.separator();
        Ok(Annotation { key, value })
    }

    fn annotation_value(&mut self) -> Parsed<Literal> {
        if self.at(TokenKind::Literal) {
            return self.literal("an annotation's value");
        }
        let found = self.unexpected_diagnostic("a quoted string");
        let spelling = self.spelling(self.peek());
        let bare = matches!(self.peek().kind, TokenKind::Name | TokenKind::Int | TokenKind::Double);
        Err(self.report(match bare {
            true => found.hint(format!("annotation values are strings: write \"{spelling}\"")),
            false => found,
        }))
    }

    fn annotation_without_value(&mut self, key: &Name) -> Literal {
        self.apache_only(
            key.span,
            "an annotation without a value",
            &format!("write `{} = \"1\"`, which means the same", key.text),
        );
        Literal { text: self.texts.text("1"), span: key.span }
    }

    /// A literal whose escapes are kept.
    fn literal(&mut self, context: &str) -> Parsed<Literal> {
        if !self.at(TokenKind::Literal) {
            return Err(self.unexpected(&format!("a quoted string for {context}")));
        }
        let token = self.bump();
        let text = self.texts.text(&annotation_text(self.spelling(token)));
        Ok(Literal { text, span: token.span(self.file) })
    }

    /// An integer of any base and sign.
    fn int(&mut self, what: &str) -> Parsed<Int> {
        if !self.at(TokenKind::Int) {
            return Err(self.unexpected(what));
        }
        let token = self.bump();
        let span = token.span(self.file);
        let spelling = self.spelling(token);
        let value = match value::parse_int(spelling) {
            Ok(value) => value,
            Err(problem) => {
                let message = format!("the integer `{spelling}` {problem}");
                self.diagnostics.push(Diagnostic::error("bad-integer", span, message));
                0
            }
        };
        if spelling.contains(['x', 'X']) && spelling.starts_with(['+', '-']) {
            self.apache_only(span, "a sign before 0x", "write the number in decimal");
        }
        Ok(Int { value, span })
    }
}
