//! Tokens and comments, as ranges of the text.

use crate::idl::source::{FileId, Span};

/// What a token is. Keywords are names here: the grammar reserves them only where it needs them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    Name,
    Int,
    Double,
    Literal,
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `<`
    Less,
    /// `>`
    Greater,
    Comma,
    Semicolon,
    Colon,
    Equal,
    Star,
    Ampersand,
    /// Something that the lexer has already complained about.
    Bad,
    End,
}

impl TokenKind {
    /// The token's only spelling, or what it is.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            TokenKind::Name => "a name",
            TokenKind::Int => "an integer",
            TokenKind::Double => "a number",
            TokenKind::Literal => "a quoted string",
            TokenKind::OpenBrace => "`{`",
            TokenKind::CloseBrace => "`}`",
            TokenKind::OpenParen => "`(`",
            TokenKind::CloseParen => "`)`",
            TokenKind::OpenBracket => "`[`",
            TokenKind::CloseBracket => "`]`",
            TokenKind::Less => "`<`",
            TokenKind::Greater => "`>`",
            TokenKind::Comma => "`,`",
            TokenKind::Semicolon => "`;`",
            TokenKind::Colon => "`:`",
            TokenKind::Equal => "`=`",
            TokenKind::Star => "`*`",
            TokenKind::Ampersand => "`&`",
            TokenKind::Bad => "text that is not Thrift",
            TokenKind::End => "the end of the file",
        }
    }

    pub(crate) fn opens(self) -> bool {
        matches!(self, TokenKind::OpenBrace | TokenKind::OpenParen | TokenKind::OpenBracket)
    }

    pub(crate) fn closes(self) -> bool {
        matches!(self, TokenKind::CloseBrace | TokenKind::CloseParen | TokenKind::CloseBracket)
    }

    pub(crate) fn separates(self) -> bool {
        matches!(self, TokenKind::Comma | TokenKind::Semicolon)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Whether a line break stands between the previous token and this one.
    pub(crate) starts_line: bool,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Token {
    pub(crate) fn span(self, file: FileId) -> Span {
        Span { file, start: self.start, end: self.end }
    }
}

/// A comment with its markers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Where it stands.
    pub span: Span,
    /// Whether it ends with its line (`//` or `#`) rather than with `*/`.
    pub line: bool,
    /// Whether text stands before it on its first line.
    pub trailing: bool,
    /// Index of the token that follows.
    pub(crate) before: usize,
}
