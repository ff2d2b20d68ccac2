//! The status numbers of C, one for each row of the core's error table.

use crate::base::Code;
use crate::capi::guard::guard_or;
use crate::capi::types::krpc_str;

/// Outcome of a function or call. 0 is success. Families: argument and state 1xx, resolve and connect
/// 2xx, transport 3xx, protocol 4xx, timeout and cancel 5xx, remote 6xx, policy 7xx, codec and IDL 8xx,
/// internal 9xx. New numbers may be added: treat unknown ones as `KRPC_STATUS_INTERNAL`.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_status {
    /// Success.
    KRPC_OK = 0,
    /// A parameter is NULL, out of range or malformed; the text names it.
    KRPC_STATUS_INVALID_ARGUMENT = 101,
    /// The call is not allowed in the object's present state.
    KRPC_STATUS_INVALID_STATE = 102,
    /// This build or version does not support what was asked for.
    KRPC_STATUS_UNSUPPORTED = 103,
    /// The client, server or runtime has been closed.
    KRPC_STATUS_CLOSED = 104,
    /// The request's caller is no longer there; the answer was dropped.
    KRPC_STATUS_GONE = 105,
    /// A blocking function was called on a thread that drives I/O.
    KRPC_STATUS_WOULD_DEADLOCK = 106,
    /// A completion queue has no room; after some events were taken it may have.
    KRPC_STATUS_QUEUE_FULL = 107,
    /// The handle was made before a fork and cannot be used in the child.
    KRPC_STATUS_FORKED = 108,
    /// An address could not be parsed or a host name could not be resolved.
    KRPC_STATUS_RESOLVE_FAILED = 201,
    /// The client has no address to call.
    KRPC_STATUS_NO_ADDRESS = 202,
    /// The connection could not be established.
    KRPC_STATUS_CONNECT_FAILED = 203,
    /// The connection was not established within the connect timeout.
    KRPC_STATUS_CONNECT_TIMEOUT = 204,
    /// The server could not listen on an address.
    KRPC_STATUS_LISTEN_FAILED = 205,
    /// The connection broke while the call was under way.
    KRPC_STATUS_CONNECTION_LOST = 301,
    /// Bytes could not be written within the write timeout.
    KRPC_STATUS_WRITE_TIMEOUT = 302,
    /// A started packet did not arrive within the read timeout.
    KRPC_STATUS_READ_TIMEOUT = 303,
    /// The connection was idle longer than the idle timeout.
    KRPC_STATUS_IDLE_TIMEOUT = 304,
    /// The TTHeader or mesh header is malformed.
    KRPC_STATUS_BAD_HEADER = 401,
    /// The payload is of no known protocol.
    KRPC_STATUS_BAD_PAYLOAD = 402,
    /// The message envelope is malformed or of a wrong type.
    KRPC_STATUS_BAD_MESSAGE = 403,
    /// A frame is larger than the configured limit.
    KRPC_STATUS_FRAME_TOO_LARGE = 404,
    /// The reply is for another method.
    KRPC_STATUS_WRONG_METHOD = 405,
    /// The reply carries another sequence id.
    KRPC_STATUS_OUT_OF_SEQUENCE = 406,
    /// A message or header cannot be encoded within the protocol's limits.
    KRPC_STATUS_ENCODE_FAILED = 407,
    /// A payload does not match its checksum.
    KRPC_STATUS_CHECKSUM_MISMATCH = 409,
    /// The call did not end within its timeout.
    KRPC_STATUS_TIMEOUT = 501,
    /// The call was cancelled.
    KRPC_STATUS_CANCELLED = 502,
    /// The peer answered with an application exception.
    KRPC_STATUS_REMOTE_EXCEPTION = 601,
    /// The peer threw an exception declared in the IDL.
    KRPC_STATUS_DECLARED_EXCEPTION = 602,
    /// The peer answered with a business status error.
    KRPC_STATUS_BIZ_STATUS = 603,
    /// The peer's service does not have the method.
    KRPC_STATUS_UNKNOWN_METHOD = 604,
    /// The peer does not have the service.
    KRPC_STATUS_UNKNOWN_SERVICE = 605,
    /// A limit on calls or connections was hit.
    KRPC_STATUS_OVERLOAD = 701,
    /// Encoded data is malformed or ends too early.
    KRPC_STATUS_MALFORMED = 801,
    /// Encoded data has another type than the reader asked for.
    KRPC_STATUS_TYPE_MISMATCH = 802,
    /// Encoded data exceeds a depth, size or count limit.
    KRPC_STATUS_CODEC_LIMIT = 803,
    /// A required field is missing.
    KRPC_STATUS_MISSING_FIELD = 804,
    /// The IDL does not know a field, and the options refuse unknown ones.
    KRPC_STATUS_UNKNOWN_FIELD = 805,
    /// An IDL has errors; the text shows them with their places.
    KRPC_STATUS_IDL_INVALID = 806,
    /// A failure inside the library; please report it with its text.
    KRPC_STATUS_INTERNAL = 901,
    /// The operating system refused a thread, descriptor or memory.
    KRPC_STATUS_OUT_OF_RESOURCES = 902,
}

impl From<Code> for krpc_status {
    fn from(code: Code) -> krpc_status {
        match code {
            Code::InvalidArgument => krpc_status::KRPC_STATUS_INVALID_ARGUMENT,
            Code::InvalidState => krpc_status::KRPC_STATUS_INVALID_STATE,
            Code::Unsupported => krpc_status::KRPC_STATUS_UNSUPPORTED,
            Code::Closed => krpc_status::KRPC_STATUS_CLOSED,
            Code::Gone => krpc_status::KRPC_STATUS_GONE,
            Code::WouldDeadlock => krpc_status::KRPC_STATUS_WOULD_DEADLOCK,
            Code::QueueFull => krpc_status::KRPC_STATUS_QUEUE_FULL,
            Code::Forked => krpc_status::KRPC_STATUS_FORKED,
            Code::ResolveFailed => krpc_status::KRPC_STATUS_RESOLVE_FAILED,
            Code::NoAddress => krpc_status::KRPC_STATUS_NO_ADDRESS,
            Code::ConnectFailed => krpc_status::KRPC_STATUS_CONNECT_FAILED,
            Code::ConnectTimeout => krpc_status::KRPC_STATUS_CONNECT_TIMEOUT,
            Code::ListenFailed => krpc_status::KRPC_STATUS_LISTEN_FAILED,
            Code::ConnectionLost => krpc_status::KRPC_STATUS_CONNECTION_LOST,
            Code::WriteTimeout => krpc_status::KRPC_STATUS_WRITE_TIMEOUT,
            Code::ReadTimeout => krpc_status::KRPC_STATUS_READ_TIMEOUT,
            Code::IdleTimeout => krpc_status::KRPC_STATUS_IDLE_TIMEOUT,
            Code::BadHeader => krpc_status::KRPC_STATUS_BAD_HEADER,
            Code::BadPayload => krpc_status::KRPC_STATUS_BAD_PAYLOAD,
            Code::BadMessage => krpc_status::KRPC_STATUS_BAD_MESSAGE,
            Code::FrameTooLarge => krpc_status::KRPC_STATUS_FRAME_TOO_LARGE,
            Code::WrongMethod => krpc_status::KRPC_STATUS_WRONG_METHOD,
            Code::OutOfSequence => krpc_status::KRPC_STATUS_OUT_OF_SEQUENCE,
            Code::EncodeFailed => krpc_status::KRPC_STATUS_ENCODE_FAILED,
            Code::ChecksumMismatch => krpc_status::KRPC_STATUS_CHECKSUM_MISMATCH,
            Code::Timeout => krpc_status::KRPC_STATUS_TIMEOUT,
            Code::Cancelled => krpc_status::KRPC_STATUS_CANCELLED,
            Code::RemoteException => krpc_status::KRPC_STATUS_REMOTE_EXCEPTION,
            Code::DeclaredException => krpc_status::KRPC_STATUS_DECLARED_EXCEPTION,
            Code::BizStatus => krpc_status::KRPC_STATUS_BIZ_STATUS,
            Code::UnknownMethod => krpc_status::KRPC_STATUS_UNKNOWN_METHOD,
            Code::UnknownService => krpc_status::KRPC_STATUS_UNKNOWN_SERVICE,
            Code::Overload => krpc_status::KRPC_STATUS_OVERLOAD,
            Code::Malformed => krpc_status::KRPC_STATUS_MALFORMED,
            Code::TypeMismatch => krpc_status::KRPC_STATUS_TYPE_MISMATCH,
            Code::CodecLimit => krpc_status::KRPC_STATUS_CODEC_LIMIT,
            Code::MissingField => krpc_status::KRPC_STATUS_MISSING_FIELD,
            Code::UnknownField => krpc_status::KRPC_STATUS_UNKNOWN_FIELD,
            Code::IdlInvalid => krpc_status::KRPC_STATUS_IDL_INVALID,
            Code::Internal => krpc_status::KRPC_STATUS_INTERNAL,
            Code::OutOfResources => krpc_status::KRPC_STATUS_OUT_OF_RESOURCES,
        }
    }
}

/// The status's name without prefix, e.g. "TIMEOUT"; "OK" for 0, "UNKNOWN" for a number that this
/// version does not know. Static; never freed.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_status_name(status: i32) -> krpc_str {
    guard_or(krpc_str::EMPTY, || describe(status, "OK", "UNKNOWN", Code::name))
}

/// One sentence that explains the status. Static; never freed.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_status_text(status: i32) -> krpc_str {
    guard_or(krpc_str::EMPTY, || describe(status, "Success.", "Unknown status.", Code::summary))
}

/// Whether a call that ended with this status may be sent again without risk of running twice.
///
/// Thread: any thread. Errors: none; unknown numbers are false. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_status_retryable(status: i32) -> bool {
    guard_or(false, || Code::from_number(status).is_some_and(Code::retryable))
}

fn describe(
    status: i32,
    ok: &'static str,
    unknown: &'static str,
    text: fn(Code) -> &'static str,
) -> krpc_str {
    let text = match Code::from_number(status) {
        Some(code) => text(code),
        None if status == 0 => ok,
        None => unknown,
    };
    krpc_str::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_number() {
        for code in Code::ALL {
            assert_eq!(krpc_status::from(*code) as i32, *code as i32, "{}", code.name());
        }
    }
}
