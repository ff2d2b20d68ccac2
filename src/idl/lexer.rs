//! Text to tokens. Never fails: what is no token becomes a diagnostic and [`TokenKind::Bad`].

use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::source::{FileId, Span, offset};
use crate::idl::token::{Comment, Token, TokenKind};

/// The tokens of a file, closed by one [`TokenKind::End`], and its comments beside them.
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Comment>,
}

pub(crate) fn lex(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Lexed {
    let lexer = Lexer {
        file,
        bytes: text.as_bytes(),
        at: 0,
        new_line: true,
        tokens: Vec::with_capacity(text.len() / 5),
        comments: Vec::new(),
        diagnostics,
    };
    lexer.run()
}

struct Lexer<'a> {
    file: FileId,
    bytes: &'a [u8],
    at: usize,
    /// Whether a line break has been passed since the last token.
    new_line: bool,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
    diagnostics: &'a mut Diagnostics,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Lexer<'_> {
    fn run(mut self) -> Lexed {
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        }
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => {
                    self.new_line = true;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | b'\x0B' | b'\x0C' => self.at += 1,
                b'#' => self.line_comment(),
                b'/' if self.peek(1) == Some(b'/') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                _ => self.token(byte),
            }
        }
        self.push(TokenKind::End, self.at);
        Lexed { tokens: self.tokens, comments: self.comments }
    }

    fn token(&mut self, byte: u8) {
        let start = self.at;
        let kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.skip_while(is_name);
                TokenKind::Name
            }
            b'0'..=b'9' | b'+' | b'-' | b'.' => self.number(),
            b'"' | b'\'' => self.literal(byte),
            _ => match punctuation(byte) {
                Some(kind) => {
                    self.at += 1;
                    kind
                }
                None => self.unknown(),
            },
        };
        self.push(kind, start);
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let token = Token { kind, starts_line: self.new_line, start: offset(start), end: offset(self.at) };
        self.new_line = false;
        self.tokens.push(token);
    }

    /// `[+-]? ( 0x… | 0o… | digits | digits? . digits exponent? | digits exponent )`
    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.at += usize::from(matches!(self.peek(0), Some(b'+' | b'-')));
        if self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X' | b'o' | b'O')) {
            self.skip_while(|byte| byte.is_ascii_alphanumeric());
            return TokenKind::Int;
        }
        let whole = self.skip_while(|byte| byte.is_ascii_digit());
        let dot = self.peek(0) == Some(b'.');
        self.at += usize::from(dot);
        let fraction = dot && self.skip_while(|byte| byte.is_ascii_digit()) > 0;
        let exponent = (whole > 0 || fraction) && self.exponent();

        let complete = if dot { fraction } else { whole > 0 };
        let junk = self.skip_while(is_name) > 0;
        match (complete && !junk, dot || exponent) {
            (true, true) => TokenKind::Double,
            (true, false) => TokenKind::Int,
            (false, _) => self.bad_number(start, dot && !junk),
        }
    }

    /// Consumes an exponent only if it is complete.
    fn exponent(&mut self) -> bool {
        if !matches!(self.peek(0), Some(b'e' | b'E')) {
            return false;
        }
        let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
        if !self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
            return false;
        }
        self.at += 1 + sign;
        self.skip_while(|byte| byte.is_ascii_digit());
        true
    }

    fn bad_number(&mut self, start: usize, ends_in_dot: bool) -> TokenKind {
        let text = String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default());
        let mut found =
            Diagnostic::error("bad-number", self.span(start), format!("`{text}` is not a number"));
        if ends_in_dot {
            found = found.hint(format!("a digit must follow the dot, as in `{text}0`"));
        }
        self.diagnostics.push(found);
        TokenKind::Bad
    }

    /// A backslash keeps the next character from ending the literal; see [`crate::idl::literal`].
    fn literal(&mut self, quote: u8) -> TokenKind {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' if matches!(self.peek(0), Some(b'\\' | b'"' | b'\'')) => self.at += 1,
                _ if byte == quote => return TokenKind::Literal,
                _ => {}
            }
        }
        // Only the opening quote is marked: the rest of the file is not what is wrong.
        let span = Span { end: offset(start + 1), ..self.span(start) };
        self.diagnostics.push(
            Diagnostic::error("unclosed-literal", span, "this quoted string is never closed")
                .hint(format!("close it with {}", char::from(quote))),
        );
        TokenKind::Bad
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(|byte| byte != b'\n' && byte != b'\r') {
            self.at += 1;
        }
        self.comment(start, true);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let body = self.bytes.get(start + 2..).unwrap_or_default();
        match body.windows(2).position(|pair| pair == b"*/") {
            Some(length) => self.at = start + 2 + length + 2,
            None => {
                self.at = self.bytes.len();
                let span = Span { end: offset(start + 2), ..self.span(start) };
                self.diagnostics.push(
                    Diagnostic::error("unclosed-comment", span, "this comment is never closed")
                        .hint("close it with */"),
                );
            }
        }
        self.comment(start, false);
    }

    fn comment(&mut self, start: usize, line: bool) {
        let trailing = !self.new_line;
        self.comments.push(Comment { span: self.span(start), line, trailing, before: self.tokens.len() });
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        self.new_line |= text.contains(&b'\n');
    }

    /// One whole character, so that tokens never end inside of one.
    fn unknown(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        self.skip_while(|byte| byte & 0xC0 == 0x80);
        let text = String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default());
        let mut found =
            Diagnostic::error("bad-character", self.span(start), format!("unexpected character `{text}`"));
        if matches!(text.chars().next(), Some('“' | '”' | '‘' | '’')) {
            found = found.hint("use the plain quotes \" or '");
        }
        self.diagnostics.push(found);
        TokenKind::Bad
    }

    fn span(&self, start: usize) -> Span {
        Span { file: self.file, start: offset(start), end: offset(self.at) }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Returns how many bytes were skipped.
    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at += count;
        count
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

fn punctuation(byte: u8) -> Option<TokenKind> {
    Some(match byte {
        b'{' => TokenKind::OpenBrace,
        b'}' => TokenKind::CloseBrace,
        b'(' => TokenKind::OpenParen,
        b')' => TokenKind::CloseParen,
        b'[' => TokenKind::OpenBracket,
        b']' => TokenKind::CloseBracket,
        b'<' => TokenKind::Less,
        b'>' => TokenKind::Greater,
        b',' => TokenKind::Comma,
        b';' => TokenKind::Semicolon,
        b':' => TokenKind::Colon,
        b'=' => TokenKind::Equal,
        b'*' => TokenKind::Star,
        b'&' => TokenKind::Ampersand,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idl::source::Sources;

    fn kinds(text: &str) -> (Vec<TokenKind>, usize) {
        let file = Sources::default().add("t", text);
        let mut diagnostics = Diagnostics::new(10);
        let lexed = lex(file, text, &mut diagnostics);
        let kinds = lexed.tokens.iter().map(|token| token.kind).filter(|kind| *kind != TokenKind::End);
        (kinds.collect(), diagnostics.errors())
    }

    #[test]
    fn every_number_form() {
        let good: &[(&str, TokenKind)] = &[
            ("0", TokenKind::Int),
            ("007", TokenKind::Int),
            ("-1", TokenKind::Int),
            ("+1", TokenKind::Int),
            ("0x1F", TokenKind::Int),
            ("0X1f", TokenKind::Int),
            ("-0x1F", TokenKind::Int),
            ("0o17", TokenKind::Int),
            ("1.5", TokenKind::Double),
            (".5", TokenKind::Double),
            ("-.5", TokenKind::Double),
            ("+1.5e3", TokenKind::Double),
            ("1e10", TokenKind::Double),
            ("1E-10", TokenKind::Double),
        ];
        for (text, kind) in good {
            assert_eq!(kinds(text), (vec![*kind], 0), "{text}");
        }
        for text in ["1.", ".", "-", "+", "1.e5", "12ab", "1e", "1.5.6", "-x"] {
            let (found, errors) = kinds(text);
            assert_eq!((found.first(), errors), (Some(&TokenKind::Bad), 1), "{text}: {found:?}");
        }
    }

    #[test]
    fn literals_keep_quotes_and_lines() {
        for text in [r#""a""#, r"'a'", r#""a'b""#, r#"'a\'b'"#, r#""a\\""#, "'a\nb'", r#""\n""#, "\"é\""] {
            assert_eq!(kinds(text), (vec![TokenKind::Literal], 0), "{text}");
        }
        for text in ["'a", r#""a\""#, r#"'a\\\'"#] {
            assert_eq!(kinds(text), (vec![TokenKind::Bad], 1), "{text}");
        }
    }

    #[test]
    fn comments_are_no_tokens() {
        for text in ["// a", "# a", "/* a\n b */", "/**/", "//", "#", "/* /* */", "\u{FEFF}// a\r\n"] {
            assert_eq!(kinds(text), (vec![], 0), "{text}");
        }
        for text in ["/*", "/* *", "/*/"] {
            assert_eq!(kinds(text), (vec![], 1), "{text}");
        }
    }

    #[test]
    fn unknown_characters_are_reported_whole() {
        assert_eq!(kinds("é$"), (vec![TokenKind::Bad, TokenKind::Bad], 2));
        assert_eq!(kinds("a/b").1, 1);
    }
}
