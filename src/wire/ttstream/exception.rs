//! The payload of a TRAILER or RST that says what went wrong (ttstream.md §1.5).

use bytes::{Buf, Bytes, BytesMut};

use crate::base::{Code, Error, Limits, Result};
use crate::wire::thrift::message::{self, Head};
use crate::wire::thrift::{ApplicationException, Envelope, MessageType};

/// Reads an exception. Anything else, even another kind of message, is an error: the reference panics
/// there (§12 row 11). The method name may be empty and means nothing.
pub fn read(payload: &Bytes, limits: &Limits) -> Result<ApplicationException> {
    let strict = Limits { allow_old_style: false, ..*limits };
    let Some(head) = Head::peek(payload, &strict)? else {
        return Err(Error::new(Code::BadMessage, "ReadMessageBegin: buf too small"));
    };
    if head.kind != MessageType::Exception {
        let text = format!("thrift message type want Exception, but got {}", head.kind as u8);
        return Err(Error::new(Code::BadMessage, text));
    }
    let mut body = payload.clone();
    body.advance(head.len.min(body.len()));
    ApplicationException::read(&body, limits.depth)
}

/// An exception as the payload of a frame.
pub fn write(id: i32, method: &[u8], exception: &ApplicationException) -> Result<BytesMut> {
    let mut out = BytesMut::new();
    message::write(&mut out, Envelope::VERSION, MessageType::Exception, method, id)?;
    exception.write(&mut out)?;
    Ok(out)
}
