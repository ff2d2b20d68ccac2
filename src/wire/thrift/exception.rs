//! Application exceptions: what a peer sends instead of an answer (ttheader.md §4.5).

use bytes::{Bytes, BytesMut};

use super::{BinaryReader, BinaryWriter, TType};
use crate::base::Result;

/// The body of an EXCEPTION message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApplicationException {
    /// What kind of failure; a handler may choose numbers of its own.
    pub type_id: i32,
    /// The peer's text, unchanged; may be empty and need not be UTF-8.
    pub message: Bytes,
}

impl ApplicationException {
    /// Not said.
    pub const UNKNOWN: i32 = 0;
    /// The service does not have the method.
    pub const UNKNOWN_METHOD: i32 = 1;
    /// A message type the receiver has no use for.
    pub const INVALID_MESSAGE_TYPE: i32 = 2;
    /// The reply is for another method.
    pub const WRONG_METHOD_NAME: i32 = 3;
    /// The reply carries another sequence id.
    pub const BAD_SEQUENCE_ID: i32 = 4;
    /// The result struct has nothing set.
    pub const MISSING_RESULT: i32 = 5;
    /// The handler failed.
    pub const INTERNAL_ERROR: i32 = 6;
    /// The argument struct cannot be decoded.
    pub const PROTOCOL_ERROR: i32 = 7;
    /// The payload codec does not fit the method's types.
    pub const INVALID_PROTOCOL: i32 = 9;
    /// The server does not have the service; Kitex's own number.
    pub const UNKNOWN_SERVICE: i32 = 20;

    /// An exception with its text.
    pub fn new(type_id: i32, message: impl Into<Bytes>) -> ApplicationException {
        ApplicationException { type_id, message: message.into() }
    }

    /// Reads the struct at the front of a body. Fields may come in any order, be missing or be
    /// unknown; bytes after the STOP are ignored. The message is a slice of `body`.
    pub fn read(body: &Bytes, depth_limit: u8) -> Result<ApplicationException> {
        let mut reader = BinaryReader::with_depth_limit(body, depth_limit);
        let mut exception = ApplicationException::default();
        reader.enter()?;
        while let Some((ttype, id)) = reader.read_field_begin()? {
            match (ttype, id) {
                (TType::String, 1) => exception.message = body.slice_ref(reader.read_bytes()?),
                (TType::I32, 2) => exception.type_id = reader.read_i32()?,
                // The reader goes on behind the skipped field, unlike Go's (codec.md §3 rule 15).
                (other, _) => reader.skip(other)?,
            }
        }
        Ok(exception)
    }

    /// Appends the struct: exactly the two fields, message first, because Go's reader miscounts
    /// when it meets any other.
    pub fn write(&self, out: &mut BytesMut) -> Result<()> {
        let mut writer = BinaryWriter::new(out);
        writer.write_field_begin(TType::String, 1);
        writer.write_bytes(&self.message)?;
        writer.write_field_begin(TType::I32, 2);
        writer.write_i32(self.type_id);
        writer.write_stop();
        Ok(())
    }

    /// The message, or the default text of the number when the peer sent none.
    pub fn text(&self) -> Bytes {
        if !self.message.is_empty() {
            return self.message.clone();
        }
        Bytes::from_static(match self.type_id {
            0 => b"unknown application exception",
            1 => b"unknown method",
            2 => b"invalid message type",
            3 => b"wrong method name",
            4 => b"bad sequence ID",
            5 => b"missing result",
            6 => b"unknown internal error",
            7 => b"unknown protocol error",
            8 => b"Invalid transform",
            9 => b"Invalid protocol",
            10 => b"Unsupported client type",
            other => return Bytes::from(format!("unknown exception type [{other}]")),
        })
    }
}
