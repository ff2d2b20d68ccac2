//! Constants: numbers, literals, names, lists, maps.

use super::{Parsed, Parser};
use crate::idl::ast::{Value, ValueKind};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::literal::constant_text;
use crate::idl::token::TokenKind;

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Parsed<Value> {
        let start = self.span();
        let kind = match self.peek().kind {
            TokenKind::Int => ValueKind::Int(self.int("an integer")?.value),
            TokenKind::Double => ValueKind::Double(self.double()),
            TokenKind::Literal => {
                let token = self.bump();
                ValueKind::Literal(self.texts.text(&constant_text(self.spelling(token))))
            }
            TokenKind::Name => {
                let token = self.bump();
                ValueKind::Name(self.texts.text(self.spelling(token)))
            }
            TokenKind::OpenBracket => self.nested("values", Parser::list_value)?,
            TokenKind::OpenBrace => self.nested("values", Parser::map_value)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Value { kind, span: start.to(self.previous_span()) })
    }

    fn double(&mut self) -> f64 {
        let token = self.bump();
        let value = self.spelling(token).parse().unwrap_or(f64::INFINITY);
        if value.is_infinite() {
            let message = format!("the number `{}` is out of the range of a double", self.spelling(token));
            self.diagnostics.push(Diagnostic::error("bad-number", token.span(self.file), message));
        }
        value
    }

    fn list_value(&mut self) -> Parsed<ValueKind> {
        self.bump();
        let items = self.items(TokenKind::CloseBracket, "a value", |parser| {
            let value = parser.value()?;
            parser.separator();
            Ok(value)
        })?;
        Ok(ValueKind::List(items))
    }

    fn map_value(&mut self) -> Parsed<ValueKind> {
        self.bump();
        let entries = self.items(TokenKind::CloseBrace, "a map entry", |parser| {
            let key = parser.value()?;
            parser.expect(TokenKind::Colon, "between key and value")?;
            let value = parser.value()?;
            parser.separator();
            Ok((key, value))
        })?;
        Ok(ValueKind::Map(entries))
    }
}

/// Decimal, `0x…` or `0o…`, with an optional sign. Leading zeros do not make a number octal.
pub(super) fn parse_int(spelling: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match spelling.as_bytes().first() {
        Some(b'-') => (true, spelling.get(1..).unwrap_or("")),
        Some(b'+') => (false, spelling.get(1..).unwrap_or("")),
        _ => (false, spelling),
    };
    let prefixed = |lower: &str, upper: &str| digits.strip_prefix(lower).or(digits.strip_prefix(upper));
    let (radix, digits) = match (prefixed("0x", "0X"), prefixed("0o", "0O")) {
        (Some(hex), _) => (16, hex),
        (_, Some(octal)) => (8, octal),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(match radix {
            16 => "has a digit that is not hexadecimal, or none",
            _ => "has a digit that is not octal, or none",
        });
    }
    // Through i128, because -2^63 has no positive counterpart.
    let magnitude = i128::from_str_radix(digits, radix).map_err(|_| "does not fit 64 bits")?;
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| "does not fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::parse_int;

    #[test]
    fn integers_of_every_base() {
        let good = [
            ("0", 0),
            ("-0", 0),
            ("+7", 7),
            ("010", 10),
            ("0x1F", 31),
            ("-0X1f", -31),
            ("0o17", 15),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("0x7fffffffffffffff", i64::MAX),
        ];
        for (spelling, value) in good {
            assert_eq!(parse_int(spelling), Ok(value), "{spelling}");
        }
        let huge = "9".repeat(10_000);
        for spelling in ["0x", "0xG", "0o8", "9223372036854775808", "0xffffffffffffffff", &huge] {
            assert!(parse_int(spelling).is_err(), "{spelling}");
        }
    }
}
