//! JSON text: a strict scanner and Go's escaper (RFC 8259). Bytes in, bytes out; strings need not be
//! UTF-8, because what Kitex puts into JSON need not be.

mod number;
mod plain;

use std::borrow::Cow;
use std::fmt;

use crate::base::{Code, Error, Result};

pub use number::Number;
pub use plain::{Run, plain_run};

/// Something else was expected: what, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syntax(Box<(usize, Cow<'static, str>)>);

impl Syntax {
    /// Position of the byte that should have been something else.
    pub fn at(&self) -> usize {
        self.0.0
    }

    /// What would have been right, for people.
    pub fn wanted(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.wanted())
    }
}

impl From<Syntax> for Error {
    fn from(syntax: Syntax) -> Error {
        Error::new(Code::Malformed, format!("JSON: {syntax} at byte {}", syntax.at()))
    }
}

/// What a value is, as its first byte tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `t` or `f`
    Bool,
    /// `n`
    Null,
}

impl Kind {
    /// With its article, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a bool",
            Kind::Null => "null",
        }
    }
}

/// Reads tokens one after the other.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    half_pairs: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0, half_pairs: false }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Back to a position that was read before.
    pub fn rewind(&mut self, position: usize) {
        self.at = position.min(self.at);
    }

    /// What was read since a position.
    pub fn since(&self, position: usize) -> &'a [u8] {
        self.text.get(position..self.at).unwrap_or_default()
    }

    /// Whether some escape read so far was half of a surrogate pair, and became U+FFFD.
    pub fn has_half_pairs(&self) -> bool {
        self.half_pairs
    }

    /// Steps over white space and looks at the byte behind it; `None` at the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        match self.text.get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_behind_space(),
        }
    }

    fn peek_behind_space(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => return Some(*byte),
            }
        }
        None
    }

    /// What the next value is.
    pub fn kind(&mut self) -> Result<Kind, Syntax> {
        Ok(match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.unexpected("a value")),
        })
    }

    /// Takes this punctuation mark if it comes next.
    #[inline]
    pub fn take(&mut self, mark: u8) -> bool {
        let found = self.peek() == Some(mark);
        self.at += usize::from(found);
        found
    }

    /// Takes this punctuation mark or fails.
    #[inline]
    pub fn expect(&mut self, mark: u8) -> Result<(), Syntax> {
        if self.take(mark) { Ok(()) } else { Err(self.unexpected_mark(mark)) }
    }

    #[cold]
    fn unexpected_mark(&self, mark: u8) -> Syntax {
        self.unexpected(format!("'{}'", mark.escape_ascii()))
    }

    /// After an element: whether another follows (a comma), or this closing mark was taken.
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, Syntax> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected_separator(close)),
        }
    }

    #[cold]
    fn unexpected_separator(&self, close: u8) -> Syntax {
        self.unexpected(format!("',' or '{}'", close.escape_ascii()))
    }

    /// Takes this word (`null`, `true`, `false`) if it comes next.
    #[inline]
    pub fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = rest.starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes `null` if it comes next; another word with `n` fails.
    #[inline]
    pub fn take_null(&mut self) -> Result<bool, Syntax> {
        match self.peek() {
            Some(b'n') if self.take_word("null") => Ok(true),
            Some(b'n') => Err(self.unexpected("null")),
            _ => Ok(false),
        }
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, Syntax> {
        if self.take_word("true") {
            Ok(true)
        } else if self.take_word("false") {
            Ok(false)
        } else {
            Err(self.unexpected("true or false"))
        }
    }

    /// Fails unless only white space is left.
    pub fn expect_end(&mut self) -> Result<(), Syntax> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    /// A string without its quotes, escapes resolved; borrowed if it has none. A surrogate without
    /// its other half becomes U+FFFD, as in Go; bytes that are not UTF-8 stay as they are.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Syntax> {
        if let Some(plain) = self.plain_string() {
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = Vec::new();
        self.string_into(&mut owned)?;
        Ok(Cow::Owned(owned))
    }

    /// The string that comes next, if it has no escapes; else nothing is taken.
    #[inline]
    pub fn plain_string(&mut self) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let rest = self.text.get(start..)?;
        let len = plain_run(rest).len;
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        self.at = start + len + 1;
        rest.get(..len)
    }

    /// Appends what [`Scanner::string`] would return.
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Syntax> {
        if !self.take(b'"') {
            return Err(self.unexpected("a string"));
        }
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let run = rest.get(..plain_run(rest).len).unwrap_or_default();
            out.extend_from_slice(run);
            self.at += run.len();
            if self.next_is(b'"') {
                return Ok(());
            }
            if !self.next_is(b'\\') {
                return Err(self.unexpected("the rest of a string"));
            }
            let character = self.escape()?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// A number.
    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>, Syntax> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        match Number::read(rest) {
            Ok(number) => {
                self.at += number.text().len();
                Ok(number)
            }
            Err((good, wanted)) => {
                self.at += good;
                Err(self.unexpected(wanted))
            }
        }
    }

    /// An integer of at most 18 digits that is written without fraction and exponent; else nothing is
    /// taken.
    #[inline]
    pub fn short_integer(&mut self) -> Option<i64> {
        self.peek();
        let rest = self.text.get(self.at..)?;
        let (value, len) = number::short_integer(rest)?;
        self.at += len;
        Some(value)
    }

    /// Steps over a value of any kind, with at most `depth` arrays and objects within each other. All
    /// of it is checked.
    pub fn skip(&mut self, depth: usize) -> Result<(), Skip> {
        // For each open array or object: its closing mark.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let closed = match self.kind()? {
                Kind::Object => self.open(b'}', depth, &mut open)?,
                Kind::Array => self.open(b']', depth, &mut open)?,
                _ => self.skip_scalar().map(|()| true)?,
            };
            if closed && !self.next_element(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Opens an array or object; whether it is closed again already.
    fn open(&mut self, close: u8, depth: usize, open: &mut Vec<u8>) -> Result<bool, Skip> {
        if open.len() >= depth {
            return Err(Skip::Depth(self.at));
        }
        self.at += 1;
        if self.take(close) {
            return Ok(true);
        }
        open.push(close);
        if close == b'}' {
            self.skip_key()?;
        }
        Ok(false)
    }

    /// Goes on behind an element; `false` if it was the outermost value.
    fn next_element(&mut self, open: &mut Vec<u8>) -> Result<bool, Syntax> {
        while let Some(close) = open.last() {
            if self.more(*close)? {
                if *close == b'}' {
                    self.skip_key()?;
                }
                return Ok(true);
            }
            open.pop();
        }
        Ok(false)
    }

    fn skip_key(&mut self) -> Result<(), Syntax> {
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_scalar(&mut self) -> Result<(), Syntax> {
        match self.kind()? {
            Kind::String => self.skip_string(),
            Kind::Number => self.number().map(drop),
            Kind::Null => self.take_null().map(drop),
            _ => self.bool().map(drop),
        }
    }

    fn skip_string(&mut self) -> Result<(), Syntax> {
        match self.plain_string() {
            Some(_) => Ok(()),
            None => self.string_into(&mut Vec::new()),
        }
    }

    /// What is wrong at the present position.
    #[cold]
    pub fn unexpected(&self, wanted: impl Into<Cow<'static, str>>) -> Syntax {
        Syntax(Box::new((self.at, wanted.into())))
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// The character behind a backslash.
    fn escape(&mut self) -> Result<char, Syntax> {
        let letter = self.text.get(self.at).copied();
        let character = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// The character behind `\u`, with the second escape of a surrogate pair.
    fn unicode(&mut self) -> Result<char, Syntax> {
        let unit = self.hex4()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let back = self.at;
        if (0xD800..0xDC00).contains(&unit) && self.next_is(b'\\') && self.next_is(b'u') {
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                let scalar = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        // What follows a lone surrogate is a character of its own.
        self.at = back;
        self.half_pairs = true;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, Syntax> {
        let digits = self.text.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let value = digits.and_then(|digits| {
            digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
        });
        let value = value.ok_or_else(|| self.unexpected("four hex digits"))?;
        self.at += 4;
        Ok(value)
    }
}

/// Why a value could not be stepped over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Skip {
    /// It is not JSON.
    Syntax(Syntax),
    /// It is nested too deeply, at this position.
    Depth(usize),
}

impl From<Syntax> for Skip {
    fn from(syntax: Syntax) -> Skip {
        Skip::Syntax(syntax)
    }
}

/// Keys and values of an object of strings, borrowed where they have no escapes.
pub type StringPairs<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// Reads an object whose values are all strings. As in Go, `null` stands for an empty string. Keys
/// may repeat; the caller decides.
pub fn read_string_object(text: &[u8]) -> Result<StringPairs<'_>> {
    let mut scanner = Scanner::new(text);
    let mut pairs = Vec::new();
    scanner.expect(b'{')?;
    if !scanner.take(b'}') {
        loop {
            let key = scanner.string()?;
            scanner.expect(b':')?;
            let value = if scanner.take_word("null") { Cow::Borrowed(&[][..]) } else { scanner.string()? };
            pairs.push((key, value));
            if !scanner.take(b',') {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    scanner.expect_end()?;
    Ok(pairs)
}

/// Appends an object of strings, its pairs in the order given.
pub fn write_string_object<'p>(out: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'p [u8], &'p [u8])>) {
    out.push(b'{');
    for (n, (key, value)) in pairs.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        write_string(out, value);
    }
    out.push(b'}');
}

/// Appends a quoted string with no more escapes than needed. Returns false, and appends nothing, if it is
/// not UTF-8.
#[inline]
pub fn push_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve(text.len() + 2);
    out.push(b'"');
    let first = plain_run(text);
    let mut ascii = first.ascii;
    out.extend_from_slice(text.get(..first.len).unwrap_or_default());
    let mut rest = text.get(first.len..).unwrap_or_default();
    while let Some((special, behind)) = rest.split_first() {
        escape_byte(*special, out);
        let run = plain_run(behind);
        ascii &= run.ascii;
        let (plain, behind) = behind.split_at_checked(run.len).unwrap_or_default();
        out.extend_from_slice(plain);
        rest = behind;
    }
    out.push(b'"');
    if !ascii && std::str::from_utf8(text).is_err() {
        out.truncate(start);
        return false;
    }
    true
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Appends a quoted string, escaped as Go does it: the characters that HTML and JavaScript stumble
/// over too, and U+FFFD for each byte that is not UTF-8.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        let mut plain = chunk.valid();
        while let Some(at) = plain.find(must_escape) {
            let (before, rest) = plain.split_at(at);
            out.extend_from_slice(before.as_bytes());
            let mut characters = rest.chars();
            if let Some(character) = characters.next() {
                escape(out, character);
            }
            plain = characters.as_str();
        }
        out.extend_from_slice(plain.as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn must_escape(character: char) -> bool {
    matches!(character, '\0'..='\x1F' | '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

fn escape(out: &mut Vec<u8>, character: char) {
    let letter = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        other => return out.extend_from_slice(format!("\\u{:04x}", u32::from(other)).as_bytes()),
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>> {
        let lossy = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        read_string_object(text.as_bytes())
            .map(|pairs| pairs.into_iter().map(|(key, value)| (lossy(key), lossy(value))).collect())
    }

    fn value(text: &str) -> String {
        read(&format!(r#"{{"k":"{text}"}}"#)).unwrap_or_else(|error| panic!("{text}: {error}"))[0].1.clone()
    }

    #[test]
    fn objects_are_read_with_any_spacing() {
        for text in ["{}", " { } ", "\t\r\n{\n}"] {
            assert_eq!(read(text).unwrap(), []);
        }
        let pairs = [("a", "1"), ("", ""), ("a", "2"), ("n", "")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(read(r#"{"a":"1","":"","a":"2","n":null}"#).unwrap(), pairs);
        assert_eq!(read(" { \"a\" : \"1\" ,\n\"\":\"\", \"a\":\"2\"\t, \"n\" : null } ").unwrap(), pairs);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(value(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(value(r"\u003c\u00E9\u4f60x"), "<é你x");
        assert_eq!(value(r"\ud83d\ude00"), "😀");
        assert_eq!(value(r"\uD83D"), "\u{FFFD}");
        assert_eq!(value(r"\uDE00\uD83D"), "\u{FFFD}\u{FFFD}");
        assert_eq!(value(r"\uD83D\n"), "\u{FFFD}\n");
        assert_eq!(value(r"\uD83D\u0041"), "\u{FFFD}A");
        assert_eq!(value(r"\uD83D\uD83D\uDE00"), "\u{FFFD}😀");
        assert_eq!(value(r"\u0000\uffff"), "\0\u{FFFF}");
        let raw = read_string_object(b"{\"\xFF\":\"\xC0\"}").unwrap();
        assert_eq!(raw, [(Cow::Borrowed(&b"\xFF"[..]), Cow::Borrowed(&b"\xC0"[..]))]);
    }

    #[test]
    fn anything_else_is_refused_with_its_position() {
        let cases = [
            ("", "'{' at byte 0"),
            ("null", "'{' at byte 0"),
            ("[]", "'{' at byte 0"),
            ("{", "a string at byte 1"),
            ("{,}", "a string at byte 1"),
            ("{\"a\"}", "':' at byte 4"),
            ("{\"a\":1}", "a string at byte 5"),
            ("{\"a\":nul}", "a string at byte 5"),
            ("{\"a\":{}}", "a string at byte 5"),
            ("{\"a\":\"b\"", "'}' at byte 8"),
            ("{\"a\":\"b\",}", "a string at byte 9"),
            ("{\"a\":\"b\" \"c\"}", "'}' at byte 9"),
            ("{} x", "the end at byte 3"),
            ("{\"a", "the rest of a string at byte 3"),
            ("{\"a\n\"", "the rest of a string at byte 3"),
            ("{\"\\x\"", "an escape at byte 3"),
            ("{\"\\", "an escape at byte 3"),
            ("{\"\\u12g4\"", "four hex digits at byte 4"),
            ("{\"\\u123", "four hex digits at byte 4"),
            ("{\"\\u+123\"", "four hex digits at byte 4"),
            ("{\"\\uD83D\\u1\"", "four hex digits at byte 10"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert_eq!(
                (error.code(), error.text()),
                (Code::Malformed, &format!("JSON: expected {expected}")[..])
            );
        }
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let mut out = vec![];
        write_string(
            &mut out,
            b"<a href=\"x\">&'/\\\n\r\t\x08\x0c\0\x1f\x7f\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xff\xe2\x80",
        );
        let expected = r#""\u003ca href=\"x\"\u003e\u0026'/\\\n\r\t\u0008\u000c\u0000\u001f"#.to_string()
            + "\x7f"
            + r"\u2028\u2029é\ufffd\ufffd\ufffd"
            + "\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..9)) {
            let mut out = vec![];
            write_string_object(&mut out, pairs.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())));
            prop_assert_eq!(read(std::str::from_utf8(&out).unwrap()).unwrap(), pairs);
        }

        #[test]
        fn any_text_is_decided(text in "[{}\":,\\\\undl0-9D\t\n ]{0,40}") {
            let _ = read(&text);
        }
    }
}
