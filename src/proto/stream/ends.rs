//! How streams end: the errors of ttstream.md §4.1 that are not cancels of our own.

use bytes::Bytes;

use crate::base::{Code, Error, Limits, StreamClass, StreamReason, StreamSide};
use crate::wire::thrift::ApplicationException;
use crate::wire::ttheader::Header;
use crate::wire::{biz, keys, ttstream};

/// The end of what a side receives. It stays: every later recv gives it again.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// The peer has said everything. Nothing else looks like this, least of all a lost connection.
    Eof,
    /// Anything else.
    Failed(Error),
}

impl End {
    /// The error, unless all went well.
    pub fn error(&self) -> Option<&Error> {
        match self {
            End::Eof => None,
            End::Failed(error) => Some(error),
        }
    }
}

/// What a TRAILER says (§3.2, §8): an exception, a business status, or the plain end.
pub(super) fn of_trailer(side: StreamSide, header: &Header, payload: &Bytes, limits: &Limits) -> End {
    if !payload.is_empty() {
        return End::Failed(match ttstream::exception::read(payload, limits) {
            Ok(exception) => application(side, &exception),
            Err(cause) => protocol(side, StreamReason::ILLEGAL_FRAME, &cause),
        });
    }
    match biz::read_strict(header) {
        Ok(None) => End::Eof,
        Ok(Some(status)) => End::Failed(Error::biz(status)),
        Err(cause) => End::Failed(protocol(side, StreamReason::ILLEGAL_BIZ, &cause)),
    }
}

/// What an RST says: always a cancel, with the peer's own number (§4.4).
pub(super) fn of_rst(side: StreamSide, header: &Header, payload: &Bytes, limits: &Limits) -> Error {
    let (code, text) = match ttstream::exception::read(payload, limits) {
        Ok(exception) => (exception.type_id, exception.text()),
        Err(_) => (StreamReason::BARE_RST, Bytes::from_static(b"rst")),
    };
    let path = header.string(keys::CANCEL_PATH).map(|path| header.slice(path)).unwrap_or_default();
    let reason = StreamReason::new(code, StreamClass::Canceled, side, text);
    Error::stream(Code::Cancelled, StreamReason { path, ..reason })
}

/// The peer's handler failed: its own type and words, and number 12001 beside them.
fn application(side: StreamSide, exception: &ApplicationException) -> Error {
    let text = exception.text();
    let reason = StreamReason::new(StreamReason::APPLICATION, StreamClass::None, side, text.clone());
    Error::remote(exception.type_id, text).with_stream_reason(reason)
}

/// A frame breaks the protocol.
#[cold]
pub(super) fn protocol(side: StreamSide, code: i32, cause: &Error) -> Error {
    let text = cause.text().to_owned();
    Error::stream(Code::StreamProtocol, StreamReason::new(code, StreamClass::Protocol, side, text))
}

/// Sending after the end of sending.
#[cold]
pub(super) fn closed_send(side: StreamSide) -> Error {
    let text = "stream is closed send";
    let reason = StreamReason::new(StreamReason::ILLEGAL_OPERATION, StreamClass::Protocol, side, text);
    Error::stream(Code::InvalidState, reason)
}

/// The connection has ended under a client's streams: 12006, or 12004 where bytes were illegal.
#[cold]
pub(super) fn lost_at_client(cause: &Error) -> Error {
    let illegal = cause.code() == Code::BadHeader || cause.code() == Code::FrameTooLarge;
    let (status, code) = match illegal {
        true => (Code::StreamProtocol, StreamReason::ILLEGAL_FRAME),
        false => (cause.code(), StreamReason::TRANSPORT),
    };
    let text = cause.text().to_owned();
    let reason = StreamReason::new(code, StreamClass::Protocol, StreamSide::None, text);
    Error::stream(status, reason).with_cause(cause.clone())
}

/// The connection has ended under a server's streams: 12013.
#[cold]
pub(super) fn lost_at_server(cause: &Error) -> Error {
    let code = StreamReason::CONNECTION_CLOSED;
    let text = format!("canceled by connection closed: {}", cause.text());
    let reason = StreamReason::new(code, StreamClass::Canceled, StreamSide::None, text);
    Error::stream(cause.code(), reason).with_cause(cause.clone())
}

/// The key of a stream that has been given back.
#[cold]
pub(super) fn no_stream() -> Error {
    Error::new(Code::InvalidState, "the stream has been given back")
}
