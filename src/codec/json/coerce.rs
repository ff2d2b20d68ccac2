//! Scalars from JSON: exactly what was written, or, unless strict, what the reference makes of values
//! of another kind (generic.md §4).

use std::borrow::Cow;

use super::fault::{Fault, Result};
use super::parse::Parser;
use crate::base::Code;
use crate::base::json::{Kind, Number};
use crate::idl::schema::{EnumId, Type};

/// All integers of smaller magnitude are exact as f64.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'a> Parser<'a, '_> {
    pub(super) fn bool(&mut self) -> Result<bool> {
        match self.scan.kind()? {
            Kind::Bool => Ok(self.scan.bool()?),
            found if self.options.strict => Err(self.mismatch("true or false", found)),
            Kind::Number => Ok(self.scan.number()?.as_f64() != 0.0),
            Kind::String => {
                let text = self.scan.string()?.to_ascii_lowercase();
                Ok(matches!(&text[..], b"1" | b"t" | b"true"))
            }
            _ => self.skip().map(|()| false),
        }
    }

    /// An integer; only its low bytes fit the type if it is out of range.
    #[inline]
    pub(super) fn integer(&mut self, ty: Type) -> Result<i64> {
        let at = self.next();
        let value = match self.scan.short_integer() {
            Some(value) => value,
            None => self.other_integer(ty)?,
        };
        if self.options.strict && !fits(ty, value) && !self.is_unsigned_i8(ty, value) {
            return Err(out_of_range(ty, at));
        }
        Ok(value)
    }

    /// What stands for a negative i8 where they are written without sign.
    pub(super) fn is_unsigned_i8(&self, ty: Type, value: i64) -> bool {
        self.options.i8_unsigned && ty == Type::I8 && (0..256).contains(&value)
    }

    fn other_integer(&mut self, ty: Type) -> Result<i64> {
        let at = self.next();
        let strict = self.options.strict;
        match self.scan.kind()? {
            Kind::Number => {
                let number = self.scan.number()?;
                match strict {
                    true => exact(&number, ty, at),
                    false => Ok(truncated(&number)),
                }
            }
            // Text of digits is the way around JavaScript's doubles, so i64 may always be text (§6).
            Kind::String if !strict || ty == Type::I64 => {
                let text = self.scan.string()?;
                match digits(&text) {
                    Some(value) => Ok(value),
                    None if strict => Err(Fault::new(Code::TypeMismatch, at, "text that is no i64")),
                    None => Ok(wrapped_digits(&text)),
                }
            }
            found if strict => Err(self.mismatch("a number", found)),
            Kind::Bool => Ok(i64::from(self.scan.bool()?)),
            _ => self.skip().map(|()| 0),
        }
    }

    /// An enum's number, also by its name.
    pub(super) fn enumeration(&mut self, id: EnumId) -> Result<i64> {
        if self.scan.peek() != Some(b'"') {
            return self.integer(Type::Enum(id));
        }
        let at = self.scan.position();
        let text = self.scan.string()?;
        self.enum_text(id, &text, at)
    }

    /// An enum by its name or, unless strict, its number as text.
    pub(super) fn enum_text(&self, id: EnumId, text: &[u8], at: usize) -> Result<i64> {
        let enumeration = self.schema.enumeration(id);
        let named = std::str::from_utf8(text).ok().and_then(|name| enumeration.by_name(name));
        if let Some(value) = named {
            return Ok(i64::from(value.number));
        }
        // The reference makes zero of names, because it knows none. A wrong one is no zero here.
        match digits(text).filter(|_| !self.options.strict) {
            Some(number) => Ok(number),
            None => {
                let text = format!("the enum {} has no value of this name", enumeration.name);
                Err(Fault::new(Code::TypeMismatch, at, text))
            }
        }
    }

    pub(super) fn double(&mut self) -> Result<f64> {
        let at = self.next();
        let strict = self.options.strict;
        let value = match self.scan.kind()? {
            Kind::Number => self.scan.number()?.as_f64(),
            found if strict => return Err(self.mismatch("a number", found)),
            Kind::String => {
                let text = self.scan.string()?;
                return Ok(float_text(&text).unwrap_or(0.0));
            }
            Kind::Bool => return Ok(f64::from(u8::from(self.scan.bool()?))),
            _ => return self.skip().map(|()| 0.0),
        };
        // JSON has no infinity, so a number is not allowed to become one, either.
        match value.is_finite() {
            true => Ok(value),
            false => Err(out_of_range(Type::Double, at)),
        }
    }

    /// A string that is not one in JSON: its text.
    pub(super) fn coerce_string(&mut self) -> Result<()> {
        let text = self.coerce_text()?;
        let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(&text);
        Ok(())
    }

    /// The text of a value that is no string: that of `null` is empty, numbers have no exponent.
    pub(super) fn coerce_text(&mut self) -> Result<Cow<'a, [u8]>> {
        let found = self.scan.kind()?;
        if self.options.strict {
            return Err(self.mismatch("a string", found));
        }
        if found == Kind::Number {
            let number = self.scan.number()?;
            return Ok(match number.is_integer() {
                true => number.text().into(),
                false => number.as_f64().to_string().into_bytes().into(),
            });
        }
        let at = self.next();
        self.skip()?;
        Ok(if found == Kind::Null { Cow::Borrowed(&[]) } else { self.text_since(at).into() })
    }

    /// Skips a value that is not of the wanted kind and counts as empty.
    pub(super) fn coerce(&mut self, wanted: Kind) -> Result<()> {
        let found = self.scan.kind()?;
        match self.options.strict {
            true => Err(self.mismatch(wanted.name(), found)),
            false => self.skip(),
        }
    }

    /// What is no array: whether it is the only element of one (else it was null, and is empty).
    pub(super) fn coerce_list(&mut self) -> Result<bool> {
        let found = self.scan.kind()?;
        if self.options.strict {
            return Err(self.mismatch("an array", found));
        }
        Ok(!self.scan.take_null()?)
    }

    #[cold]
    fn mismatch(&mut self, wanted: &str, found: Kind) -> Fault {
        let text = format!("expected {wanted}, found {}", found.name());
        Fault::new(Code::TypeMismatch, self.next(), text)
    }
}

#[inline]
fn fits(ty: Type, value: i64) -> bool {
    match ty {
        Type::I8 => i8::try_from(value).is_ok(),
        Type::I16 => i16::try_from(value).is_ok(),
        Type::I32 | Type::Enum(_) => i32::try_from(value).is_ok(),
        _ => true,
    }
}

#[cold]
pub(super) fn out_of_range(ty: Type, at: usize) -> Fault {
    Fault::new(Code::TypeMismatch, at, format!("the number is out of the range of {}", ty.word()))
}

/// An integer that may be written with a point or exponent, but has no fraction.
fn exact(number: &Number<'_>, ty: Type, at: usize) -> Result<i64> {
    if let Some(value) = number.as_i64() {
        return Ok(value);
    }
    let value = number.as_f64();
    if number.is_integer() || value.abs() >= EXACT {
        return Err(out_of_range(ty, at));
    }
    if value.fract() != 0.0 {
        let text = format!("a number with a fraction is no {}", ty.word());
        return Err(Fault::new(Code::TypeMismatch, at, text));
    }
    Ok(truncate(value))
}

/// As the reference does it: without the fraction, and modulo 2^64 if it is an integer.
fn truncated(number: &Number<'_>) -> i64 {
    match number.as_i64() {
        Some(value) => value,
        None if number.is_integer() => wrapped_digits(number.text()),
        None => truncate(number.as_f64()),
    }
}

/// What amd64 makes of it: all that is too large becomes the smallest integer.
#[allow(clippy::cast_possible_truncation, reason = "checked")]
fn truncate(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// An integer in decimal, with a sign perhaps, and nothing else.
pub(super) fn digits(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Digits modulo 2^64; zero for any other text.
fn wrapped_digits(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let value = digits.iter().try_fold(0i64, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(value.wrapping_mul(10).wrapping_add(i64::from(digit)))
    });
    let value = value.unwrap_or(0);
    if negative { value.wrapping_neg() } else { value }
}

/// A double in decimal.
pub(super) fn float_text(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
