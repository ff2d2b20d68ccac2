//! The formatter: spaces and indentation made uniform, line breaks left to the author.
//!
//! It works on tokens, so every token and comment of the text is in the result, in the same order. As with
//! gofmt, a struct that was written on one line stays on one line; blank lines shrink to one.

use std::collections::HashSet;

use crate::idl::ast::{Comment, DefinitionKind, Document};
use crate::idl::diagnostic::{Diagnostics, Report};
use crate::idl::lexer::{Lexed, lex};
use crate::idl::limits::IdlLimits;
use crate::idl::parser::parse;
use crate::idl::source::Sources;
use crate::idl::token::{Token, TokenKind};

const INDENT: &str = "  ";

/// The text in uniform layout. A text with syntax errors is refused: its structure is not known.
pub fn format(name: &str, text: &str) -> Result<String, Report> {
    let limits = IdlLimits::default();
    let mut diagnostics = Diagnostics::new(limits.diagnostics);
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let document = parse(file, text, &limits, &mut diagnostics);
    if diagnostics.errors() > 0 {
        diagnostics.sort();
        return Err(Report { sources, diagnostics });
    }
    let lexed = lex(file, text, &mut diagnostics);
    Ok(Formatter::new(text, &document).run(&lexed))
}

/// A token or a comment.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    /// `None` for a comment.
    kind: Option<TokenKind>,
    start: usize,
    end: usize,
}

/// A bracket that is open.
struct Open {
    /// Line of the result on which it stands: brackets opened on one line indent once.
    line: usize,
    /// Whether it holds the members of a definition, which are set off by spaces on a single line.
    body: bool,
}

struct Formatter<'a> {
    source: &'a str,
    out: String,
    /// Number of line breaks written.
    line: usize,
    open: Vec<Open>,
    /// Ends of function names: what follows them is an argument list, which takes no space.
    functions: HashSet<usize>,
    previous: Option<Piece<'a>>,
}

impl<'a> Formatter<'a> {
    fn new(source: &'a str, document: &Document) -> Formatter<'a> {
        let services = document.definitions.iter().filter_map(|definition| match &definition.kind {
            DefinitionKind::Service(service) => Some(service),
            _ => None,
        });
        let names = services.flat_map(|service| &service.functions).map(|function| &function.name);
        Formatter {
            source,
            out: String::with_capacity(source.len()),
            line: 0,
            open: Vec::new(),
            functions: names.map(|name| name.span.range().end).collect(),
            previous: None,
        }
    }

    fn run(mut self, lexed: &Lexed) -> String {
        let mut comments = lexed.comments.iter().peekable();
        for (index, token) in lexed.tokens.iter().enumerate() {
            while let Some(comment) = comments.next_if(|comment| comment.before <= index) {
                let piece = self.comment(comment);
                self.write(piece);
            }
            if token.kind != TokenKind::End {
                let piece = self.token(*token);
                self.write(piece);
            }
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }

    fn token(&self, token: Token) -> Piece<'a> {
        let (start, end) = (index(token.start), index(token.end));
        Piece { text: self.source.get(start..end).unwrap_or(""), kind: Some(token.kind), start, end }
    }

    fn comment(&self, comment: &Comment) -> Piece<'a> {
        let range = comment.span.range();
        let text = self.source.get(range.clone()).unwrap_or("").trim_end();
        Piece { text, kind: None, start: range.start, end: range.end }
    }

    fn write(&mut self, piece: Piece<'a>) {
        let closed = piece.kind.filter(|kind| is_closing(*kind)).and_then(|_| self.open.pop());
        match self.line_breaks(piece) {
            0 => self.space(piece, closed.as_ref()),
            breaks => self.new_line(piece, breaks, closed.as_ref()),
        }
        self.text(piece.text);
        if piece.kind.is_some_and(is_opening) {
            let body = self.previous.is_some_and(|before| before.kind == Some(TokenKind::Name));
            self.open.push(Open { line: self.line, body: body && piece.kind == Some(TokenKind::OpenBrace) });
        }
        self.previous = Some(piece);
    }

    /// A piece may have lines itself; they stay as they are, but for the author's line endings.
    fn text(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.out.push('\n');
                self.line += 1;
            }
            self.out.push_str(line.strip_suffix('\r').filter(|_| text.starts_with("/*")).unwrap_or(line));
        }
    }

    /// 0, 1, or 2 for a blank line. None of those at the ends of a bracket.
    fn line_breaks(&self, piece: Piece<'a>) -> usize {
        let Some(previous) = self.previous else { return 0 };
        let between = self.source.get(previous.end..piece.start).unwrap_or("");
        let breaks = between.bytes().filter(|byte| *byte == b'\n').count().min(2);
        let at_end = previous.kind.is_some_and(is_opening) || piece.kind.is_some_and(is_closing);
        if at_end { breaks.min(1) } else { breaks }
    }

    /// A closing bracket stands as deep as the line that opened it.
    fn new_line(&mut self, piece: Piece<'a>, breaks: usize, closed: Option<&Open>) {
        self.out.extend(std::iter::repeat_n('\n', breaks));
        self.line += breaks;
        let mut depth = 0;
        let mut last = None;
        for open in self.open.iter().filter(|open| closed.is_none_or(|closed| closed.line != open.line)) {
            depth += usize::from(last != Some(open.line));
            last = Some(open.line);
        }
        depth += usize::from(self.continues(piece));
        self.out.extend(std::iter::repeat_n(INDENT, depth));
    }

    /// Whether a line goes on with what the line before it began.
    fn continues(&self, piece: Piece<'a>) -> bool {
        let after_separator = self
            .previous
            .is_some_and(|before| before.kind.is_none_or(|kind| kind.separates() || is_opening(kind)));
        let word = piece.kind == Some(TokenKind::Name) && matches!(piece.text, "throws" | "extends");
        !after_separator && (word || matches!(piece.kind, Some(TokenKind::Equal | TokenKind::OpenParen)))
    }

    /// What stands between two pieces of a line.
    fn space(&mut self, piece: Piece<'a>, closed: Option<&Open>) {
        let Some(previous) = self.previous else { return };
        if self.is_spaced(previous, piece, closed) {
            self.out.push(' ');
        }
    }

    fn is_spaced(&self, previous: Piece<'a>, piece: Piece<'a>, closed: Option<&Open>) -> bool {
        use TokenKind as T;
        let (Some(before), Some(kind)) = (previous.kind, piece.kind) else { return true };
        if is_opening(before) && is_closing(kind) {
            return false;
        }
        match (before, kind) {
            (_, T::Comma | T::Semicolon | T::Colon) => false,
            (T::OpenBrace, _) => self.open.last().is_some_and(|open| open.body),
            (_, T::CloseBrace) => closed.is_some_and(|open| open.body),
            (T::OpenParen | T::OpenBracket | T::Less, _) => false,
            (_, T::CloseParen | T::CloseBracket | T::Greater) => false,
            (T::Name, T::Less) => false,
            (T::Name, T::OpenParen) => !self.functions.contains(&previous.end),
            _ => true,
        }
    }
}

fn is_opening(kind: TokenKind) -> bool {
    kind.opens() || kind == TokenKind::Less
}

fn is_closing(kind: TokenKind) -> bool {
    kind.closes() || kind == TokenKind::Greater
}

fn index(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::format;

    fn formatted(text: &str) -> String {
        let once = format("t.thrift", text).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(format("t.thrift", &once).unwrap(), once, "formatting again changes nothing");
        once
    }

    #[test]
    fn spaces_of_a_line() {
        let table = [
            ("struct  A{1:i32 a=1 ,2:  list < string >b}", "struct A { 1: i32 a = 1, 2: list<string> b }"),
            ("struct A{ }", "struct A {}"),
            ("const map<i32,list<i32>>A={ 1:[ 1,2 ] }", "const map<i32, list<i32>> A = {1: [1, 2]}"),
            (
                "service V extends W{oneway void f ( 1:i32 a ( x='y' ) )throws(1:X x)(k=\"v\")}",
                "service V extends W { oneway void f(1: i32 a (x = 'y')) throws (1: X x) (k = \"v\") }",
            ),
            ("namespace   *  a.b(c='d')//e ", "namespace * a.b (c = 'd') //e"),
            ("enum E{A=1;B}(k='v')", "enum E { A = 1; B } (k = 'v')"),
            ("typedef list<i32>cpp_type\"x\"T;", "typedef list<i32> cpp_type \"x\" T;"),
            ("struct A{1:i32(x='y')a/* b */}", "struct A { 1: i32 (x = 'y') a /* b */ }"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(formatted(text).trim_end_matches('\n'), expected, "{text}");
        }
    }

    #[test]
    fn lines_and_indentation() {
        let text = "\u{FEFF}include \"a\"\r\n\r\n\r\n\r\nstruct A {\r\n\r\n// c\r\n1: i32 a\r\n      /* d\r\n   e */\r\n2: i32 b = 1, // f\r\n\r\n}\r\nservice V\r\n{\r\nvoid f(\r\n1: i32 a,\r\n2: i32 b)\r\nthrows (1: X x)\r\n(k = 'v')\r\n}\r\nconst list<map<i32, i32>> L = [{\r\n1: 2\r\n}, {3: 4}]\r\n";
        let expected = "include \"a\"\n\nstruct A {\n  // c\n  1: i32 a\n  /* d\n   e */\n  2: i32 b = 1, // f\n}\nservice V\n{\n  void f(\n    1: i32 a,\n    2: i32 b)\n    throws (1: X x)\n    (k = 'v')\n}\nconst list<map<i32, i32>> L = [{\n  1: 2\n}, {3: 4}]\n";
        assert_eq!(formatted(text), expected);
    }

    #[test]
    fn syntax_errors_are_refused() {
        let report = format("t.thrift", "struct {").unwrap_err();
        assert!(report.to_string().contains("expected the name of the struct"), "{report}");
    }
}
