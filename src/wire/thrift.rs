//! Thrift Binary: values, skipping, the message envelope and application exceptions
//! (codec.md §1, ttheader.md §4).

pub mod binary;
pub mod exception;
pub mod message;
pub mod skip;

pub use binary::{BinaryReader, BinaryWriter};
pub use exception::ApplicationException;
pub use message::{Envelope, MessageType};
pub use skip::Skipper;

use crate::base::{Code, Error, Result};

/// Type of a Thrift value, as on the wire (codec.md §1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TType {
    /// Ends a struct; never the type of a value.
    Stop = 0,
    /// What generic servers answer for `void`: a field whose value is one STOP byte.
    Void = 1,
    /// One byte; only 1 is true.
    Bool = 2,
    /// One byte.
    I8 = 3,
    /// IEEE 754, eight bytes.
    Double = 4,
    /// Two bytes.
    I16 = 6,
    /// Four bytes; enums too.
    I32 = 8,
    /// Eight bytes.
    I64 = 10,
    /// i32 length and bytes; `binary` too.
    String = 11,
    /// Fields up to STOP; unions and exceptions too.
    Struct = 12,
    /// Key type, value type, i32 count, pairs.
    Map = 13,
    /// Element type, i32 count, elements.
    Set = 14,
    /// Element type, i32 count, elements.
    List = 15,
}

impl TType {
    /// The type with this wire number.
    pub fn from_byte(byte: u8) -> Result<TType> {
        TType::lookup(byte).ok_or_else(|| unknown_type(byte))
    }

    /// Lower-case name, as in an IDL.
    pub const fn name(self) -> &'static str {
        match self {
            TType::Stop => "stop",
            TType::Void => "void",
            TType::Bool => "bool",
            TType::I8 => "i8",
            TType::Double => "double",
            TType::I16 => "i16",
            TType::I32 => "i32",
            TType::I64 => "i64",
            TType::String => "string",
            TType::Struct => "struct",
            TType::Map => "map",
            TType::Set => "set",
            TType::List => "list",
        }
    }

    /// Size in bytes if all values of the type have the same.
    pub const fn fixed_size(self) -> Option<usize> {
        match self {
            TType::Bool | TType::I8 => Some(1),
            TType::I16 => Some(2),
            TType::I32 => Some(4),
            TType::I64 | TType::Double => Some(8),
            _ => None,
        }
    }

    /// Size in bytes of the smallest value.
    pub const fn min_size(self) -> usize {
        match self {
            TType::Stop => 0,
            TType::Void | TType::Bool | TType::I8 | TType::Struct => 1,
            TType::I16 => 2,
            TType::I32 | TType::String => 4,
            TType::Set | TType::List => 5,
            TType::Map => 6,
            TType::I64 | TType::Double => 8,
        }
    }

    const fn lookup(byte: u8) -> Option<TType> {
        Some(match byte {
            0 => TType::Stop,
            1 => TType::Void,
            2 => TType::Bool,
            3 => TType::I8,
            4 => TType::Double,
            6 => TType::I16,
            8 => TType::I32,
            10 => TType::I64,
            11 => TType::String,
            12 => TType::Struct,
            13 => TType::Map,
            14 => TType::Set,
            15 => TType::List,
            _ => return None,
        })
    }

    /// The type of a container's elements. An empty container may name any type, and `Stop` stands
    /// for the unknown ones (codec.md §3 rule 8). Elements without a size of their own are refused:
    /// a few bytes could claim billions of them.
    fn of_elements(byte: u8, count: usize) -> Result<TType> {
        match TType::lookup(byte) {
            Some(TType::Stop | TType::Void) | None if count > 0 => Err(unknown_type(byte)),
            Some(known) => Ok(known),
            None => Ok(TType::Stop),
        }
    }
}

#[cold]
fn unknown_type(byte: u8) -> Error {
    Error::new(Code::Malformed, format!("unknown data type {byte}"))
}

#[cold]
fn too_short(at: usize) -> Error {
    Error::new(Code::Malformed, format!("buffer too short at byte {at}"))
}

#[cold]
fn bad_length(at: usize) -> Error {
    Error::new(Code::Malformed, format!("invalid data length at byte {at}"))
}

#[cold]
fn too_deep(at: usize) -> Error {
    Error::new(Code::CodecLimit, format!("depth limit exceeded at byte {at}"))
}

/// An i32 length or count; negative ones are malformed.
fn count(value: i32, at: usize) -> Result<usize> {
    usize::try_from(value).map_err(|_| bad_length(at))
}

#[cfg(test)]
pub(crate) mod tests;
