//! Keys of maps: text in JSON, a scalar in Thrift (generic.md §4, §5). Structs and containers cannot be
//! keys; the reference makes empty text of them, which loses all but one.

use super::coerce::{digits, float_text, out_of_range};
use super::fault::{Fault, Result};
use super::parse::Parser;
use super::print::Printer;
use crate::base::Code;
use crate::idl::schema::Type;

impl Parser<'_, '_> {
    pub(super) fn check_key_type(&mut self, ty: Type) -> Result<()> {
        if has_text(ty) { Ok(()) } else { Err(no_text(ty, self.next())) }
    }

    /// Writes a key. Unlike values, keys are never bent to fit, by the reference neither.
    #[inline]
    pub(super) fn key(&mut self, ty: Type, text: &[u8], at: usize) -> Result<()> {
        match ty {
            Type::String => {
                let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
                self.out.extend_from_slice(&length.to_be_bytes());
                self.out.extend_from_slice(text);
                Ok(())
            }
            Type::Binary => self.binary_text(text, at),
            _ => self.number_key(ty, text, at),
        }
    }

    fn number_key(&mut self, ty: Type, text: &[u8], at: usize) -> Result<()> {
        let number = || match digits(text) {
            Some(value) => Ok(value),
            None if wrapped(text) => Err(out_of_range(ty, at)),
            None => Err(wrong(ty, at)),
        };
        match ty {
            Type::Bool => match text {
                b"true" => self.out.push(1),
                b"false" => self.out.push(0),
                _ => return Err(wrong(ty, at)),
            },
            Type::Double => {
                let value = float_text(text).filter(|value| value.is_finite() || !self.options.strict);
                let value = value.ok_or_else(|| wrong(ty, at))?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::I8 => {
                let value = number()?;
                if i8::try_from(value).is_err() && !self.is_unsigned_i8(ty, value) {
                    return Err(out_of_range(ty, at));
                }
                let [.., low] = value.to_be_bytes();
                self.out.push(low);
            }
            Type::I16 => {
                let value = i16::try_from(number()?).map_err(|_| out_of_range(ty, at))?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::I64 => {
                let value = number()?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::I32 => {
                let value = i32::try_from(number()?).map_err(|_| out_of_range(ty, at))?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::Enum(id) => {
                let value = match digits(text) {
                    Some(value) => value,
                    None => self.enum_text(id, text, at)?,
                };
                let value = i32::try_from(value).map_err(|_| out_of_range(ty, at))?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            other => return Err(no_text(other, at)),
        }
        Ok(())
    }
}

impl Printer<'_, '_> {
    pub(super) fn check_key_type(&self, ty: Type) -> Result<()> {
        if has_text(ty) { Ok(()) } else { Err(no_text(ty, self.position())) }
    }

    /// Writes a key with its quotes and colon.
    pub(super) fn key(&mut self, ty: Type) -> Result<()> {
        match ty {
            Type::String | Type::Binary => self.value(ty, false)?,
            Type::Enum(_) if self.names_enums() => self.quoted_enum(ty)?,
            _ => {
                self.out.push(b'"');
                self.value(ty, false)?;
                self.out.push(b'"');
            }
        }
        self.out.push(b':');
        Ok(())
    }
}

fn has_text(ty: Type) -> bool {
    !matches!(ty, Type::Struct(_) | Type::List(_) | Type::Set(_) | Type::Map(..) | Type::Uuid)
}

/// Whether it would be a number, if there were no limits.
fn wrapped(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cold]
fn no_text(ty: Type, at: usize) -> Fault {
    let text = format!("{} as key of a map has no form in JSON", ty.word());
    Fault::new(Code::Unsupported, at, text)
}

#[cold]
fn wrong(ty: Type, at: usize) -> Fault {
    Fault::new(Code::TypeMismatch, at, format!("the key is no {}", ty.word()))
}
