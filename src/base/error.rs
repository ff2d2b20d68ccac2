//! The one error table, and the error value that carries a failure from the wire to the caller.
//!
//! Every surface (Rust, C, docs, bindings) is made from [`Code::ALL`]; `tests/errors.rs` compares them.
//! Numbers are stable: families of 100, a number is never given a second meaning.

use std::fmt;

use bytes::Bytes;

use crate::base::message::Message;
use crate::base::reason::StreamReason;

/// Shorthand for results whose failure is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! error_table {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, retryable: $retryable:literal;)+) => {
        /// What went wrong, as a stable number. Families: argument and state 1xx, resolve and
        /// connect 2xx, transport 3xx, protocol 4xx, timeout and cancel 5xx, remote 6xx, policy 7xx,
        /// codec and IDL 8xx, internal 9xx.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(i32)]
        pub enum Code { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl Code {
            /// Every code, in numeric order.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code's stable upper-case name, as in C without its `KRPC_STATUS_` prefix.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// One sentence for people, from the table's documentation.
            pub const fn summary(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc,)+).trim_ascii_start(),)+ }
            }

            /// Whether the same call may be sent again without risk of running twice.
            pub const fn retryable(self) -> bool {
                match self { $(Code::$variant => $retryable,)+ }
            }

            /// The code with this number, if the table has it.
            pub const fn from_number(number: i32) -> Option<Code> {
                match number { $($number => Some(Code::$variant),)+ _ => None }
            }
        }
    };
}

error_table! {
    /// A parameter is NULL, out of range or malformed; the text names it.
    InvalidArgument = 101, "INVALID_ARGUMENT", retryable: false;
    /// The call is not allowed in the object's present state.
    InvalidState = 102, "INVALID_STATE", retryable: false;
    /// This build or version does not support what was asked for.
    Unsupported = 103, "UNSUPPORTED", retryable: false;
    /// The client, server or runtime has been closed.
    Closed = 104, "CLOSED", retryable: false;
    /// The request's caller is no longer there; the answer was dropped.
    Gone = 105, "GONE", retryable: false;
    /// A blocking function was called on a thread that drives I/O.
    WouldDeadlock = 106, "WOULD_DEADLOCK", retryable: false;
    /// A completion queue has no room; after some events were taken it may have.
    QueueFull = 107, "QUEUE_FULL", retryable: true;
    /// The handle was made before a fork and cannot be used in the child.
    Forked = 108, "FORKED", retryable: false;
    /// An address could not be parsed or a host name could not be resolved.
    ResolveFailed = 201, "RESOLVE_FAILED", retryable: true;
    /// The client has no address to call.
    NoAddress = 202, "NO_ADDRESS", retryable: false;
    /// The connection could not be established.
    ConnectFailed = 203, "CONNECT_FAILED", retryable: true;
    /// The connection was not established within the connect timeout.
    ConnectTimeout = 204, "CONNECT_TIMEOUT", retryable: true;
    /// The server could not listen on an address.
    ListenFailed = 205, "LISTEN_FAILED", retryable: false;
    /// The connection broke while the call was under way.
    ConnectionLost = 301, "CONNECTION_LOST", retryable: false;
    /// Bytes could not be written within the write timeout.
    WriteTimeout = 302, "WRITE_TIMEOUT", retryable: false;
    /// A started packet did not arrive within the read timeout.
    ReadTimeout = 303, "READ_TIMEOUT", retryable: false;
    /// The connection was idle longer than the idle timeout.
    IdleTimeout = 304, "IDLE_TIMEOUT", retryable: false;
    /// The TTHeader or mesh header is malformed.
    BadHeader = 401, "BAD_HEADER", retryable: false;
    /// The payload is of no known protocol.
    BadPayload = 402, "BAD_PAYLOAD", retryable: false;
    /// The message envelope is malformed or of a wrong type.
    BadMessage = 403, "BAD_MESSAGE", retryable: false;
    /// A frame is larger than the configured limit.
    FrameTooLarge = 404, "FRAME_TOO_LARGE", retryable: false;
    /// The reply is for another method.
    WrongMethod = 405, "WRONG_METHOD", retryable: false;
    /// The reply carries another sequence id.
    OutOfSequence = 406, "OUT_OF_SEQUENCE", retryable: false;
    /// A message or header cannot be encoded within the protocol's limits.
    EncodeFailed = 407, "ENCODE_FAILED", retryable: false;
    /// A frame breaks the rules of its stream.
    StreamProtocol = 408, "STREAM_PROTOCOL", retryable: false;
    /// A payload does not match its checksum.
    ChecksumMismatch = 409, "CHECKSUM_MISMATCH", retryable: false;
    /// The call did not end within its timeout.
    Timeout = 501, "TIMEOUT", retryable: false;
    /// The call was cancelled.
    Cancelled = 502, "CANCELLED", retryable: false;
    /// No message came within the stream's receive timeout.
    RecvTimeout = 503, "RECV_TIMEOUT", retryable: false;
    /// The peer answered with an application exception.
    RemoteException = 601, "REMOTE_EXCEPTION", retryable: false;
    /// The peer threw an exception declared in the IDL.
    DeclaredException = 602, "DECLARED_EXCEPTION", retryable: false;
    /// The peer answered with a business status error.
    BizStatus = 603, "BIZ_STATUS", retryable: false;
    /// The peer's service does not have the method.
    UnknownMethod = 604, "UNKNOWN_METHOD", retryable: false;
    /// The peer does not have the service.
    UnknownService = 605, "UNKNOWN_SERVICE", retryable: false;
    /// A limit on calls or connections was hit.
    Overload = 701, "OVERLOAD", retryable: true;
    /// The stream was reset because its messages were not taken in time.
    SlowReader = 702, "SLOW_READER", retryable: false;
    /// The stream was reset because its peer sent too many frames that carry nothing.
    Flood = 703, "FLOOD", retryable: false;
    /// Encoded data is malformed or ends too early.
    Malformed = 801, "MALFORMED", retryable: false;
    /// Encoded data has another type than the reader asked for.
    TypeMismatch = 802, "TYPE_MISMATCH", retryable: false;
    /// Encoded data exceeds a depth, size or count limit.
    CodecLimit = 803, "CODEC_LIMIT", retryable: false;
    /// A required field is missing.
    MissingField = 804, "MISSING_FIELD", retryable: false;
    /// The IDL does not know a field, and the options refuse unknown ones.
    UnknownField = 805, "UNKNOWN_FIELD", retryable: false;
    /// An IDL has errors; the text shows them with their places.
    IdlInvalid = 806, "IDL_INVALID", retryable: false;
    /// A failure inside the library; please report it with its text.
    Internal = 901, "INTERNAL", retryable: false;
    /// The operating system refused a thread, descriptor or memory.
    OutOfResources = 902, "OUT_OF_RESOURCES", retryable: true;
}

/// Where in a call's life it failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(i32)]
pub enum Phase {
    /// Not tied to a phase of a call.
    #[default]
    None = 0,
    /// Finding an address.
    Resolve = 1,
    /// Getting a connection.
    Connect = 2,
    /// Encoding or writing the request.
    Send = 3,
    /// Waiting for the reply.
    Wait = 4,
    /// Decoding what arrived.
    Decode = 5,
    /// In the peer's or our handler.
    Handler = 6,
}

impl Phase {
    /// The phase's lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::None => "none",
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Send => "send",
            Phase::Wait => "wait",
            Phase::Decode => "decode",
            Phase::Handler => "handler",
        }
    }
}

/// An application exception sent by the peer: its number (ttheader.md §4.5) and its own words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// TApplicationException type id, e.g. 1 unknown method, 6 internal error, 20 unknown service.
    pub type_id: i32,
    /// The peer's text, unchanged; not necessarily UTF-8.
    pub text: Bytes,
}

/// A business status error (ttheader.md §6): the RPC worked, the business said no.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Biz {
    /// Status, never 0.
    pub code: i32,
    /// Message for people; may be empty.
    pub message: Bytes,
    /// Extra pairs, in the order received.
    pub extra: Vec<(Bytes, Bytes)>,
}

/// A failure: stable code, clear text, and all that is known about where it happened.
/// One pointer wide, so that `Result` stays cheap on the path without failures.
#[derive(Clone, PartialEq, Debug)]
pub struct Error(Box<Detail>);

#[derive(Clone, PartialEq, Debug)]
struct Detail {
    code: Code,
    phase: Phase,
    text: String,
    peer: Option<String>,
    method: Option<String>,
    remote: Option<Remote>,
    biz: Option<Biz>,
    declared: Option<(i16, Message)>,
    stream: Option<StreamReason>,
    cause: Option<Error>,
}

impl Error {
    /// An error with its text; context is added by the `with_` and `at` methods as it travels up.
    #[cold]
    pub fn new(code: Code, text: impl Into<String>) -> Error {
        Error(Box::new(Detail {
            code,
            phase: Phase::None,
            text: text.into(),
            peer: None,
            method: None,
            remote: None,
            biz: None,
            declared: None,
            stream: None,
            cause: None,
        }))
    }

    /// A caller's mistake, naming the parameter.
    #[cold]
    pub fn invalid_argument(parameter: &str, why: impl fmt::Display) -> Error {
        Error::new(Code::InvalidArgument, format!("{parameter}: {why}"))
    }

    /// An exception the peer sent; unknown method and service get codes of their own.
    #[cold]
    pub fn remote(type_id: i32, text: Bytes) -> Error {
        let code = match type_id {
            1 => Code::UnknownMethod,
            20 => Code::UnknownService,
            _ => Code::RemoteException,
        };
        let mut error = Error::new(code, String::from_utf8_lossy(&text));
        error.0.phase = Phase::Handler;
        error.0.remote = Some(Remote { type_id, text });
        error
    }

    /// A business status error.
    #[cold]
    pub fn biz(biz: Biz) -> Error {
        let text = format!("biz error: code={}, msg={}", biz.code, String::from_utf8_lossy(&biz.message));
        let mut error = Error::new(Code::BizStatus, text);
        error.0.phase = Phase::Handler;
        error.0.biz = Some(biz);
        error
    }

    /// An exception declared in the IDL: its field id in the result struct and its own struct.
    #[cold]
    pub fn declared(field_id: i16, exception: Message) -> Error {
        let text = format!("declared exception, field {field_id} of the result");
        let mut error = Error::new(Code::DeclaredException, text);
        error.0.phase = Phase::Handler;
        error.0.declared = Some((field_id, exception));
        error
    }

    /// How a stream ended; the text is the reference's, with number, side and path.
    #[cold]
    pub fn stream(code: Code, reason: StreamReason) -> Error {
        let mut error = Error::new(code, reason.to_string());
        error.0.stream = Some(reason);
        error
    }

    /// Adds what the stream says about an error that has words of its own.
    pub fn with_stream_reason(mut self, reason: StreamReason) -> Error {
        self.0.stream = Some(reason);
        self
    }

    /// Sets the phase, unless a deeper layer already did.
    pub fn at(mut self, phase: Phase) -> Error {
        if self.0.phase == Phase::None {
            self.0.phase = phase;
        }
        self
    }

    /// Names the peer, unless a deeper layer already did.
    pub fn with_peer(mut self, peer: impl fmt::Display) -> Error {
        self.0.peer.get_or_insert_with(|| peer.to_string());
        self
    }

    /// Names the method, unless a deeper layer already did.
    pub fn with_method(mut self, method: impl fmt::Display) -> Error {
        self.0.method.get_or_insert_with(|| method.to_string());
        self
    }

    /// Adds the error that led to this one.
    pub fn with_cause(mut self, cause: Error) -> Error {
        self.0.cause = Some(cause);
        self
    }

    /// Adds a remark behind the text, in brackets.
    pub fn annotated(mut self, remark: impl fmt::Display) -> Error {
        self.0.text = format!("{} [{remark}]", self.0.text);
        self
    }

    /// Stable number and name.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Where in the call's life it happened.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// What failed, without the context that [`fmt::Display`] adds.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The peer's address, if one was involved.
    pub fn peer(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    /// `Service/Method`, if a call was involved.
    pub fn method(&self) -> Option<&str> {
        self.0.method.as_deref()
    }

    /// The exception that the peer sent.
    pub fn remote_exception(&self) -> Option<&Remote> {
        self.0.remote.as_ref()
    }

    /// The business status that the peer sent.
    pub fn biz_status(&self) -> Option<&Biz> {
        self.0.biz.as_ref()
    }

    /// The declared exception: field id in the result struct, and the exception's own struct.
    pub fn declared_exception(&self) -> Option<(i16, &Message)> {
        self.0.declared.as_ref().map(|(id, message)| (*id, message))
    }

    /// How the stream ended: the number that peers exchange, the side, the cancel path.
    pub fn stream_reason(&self) -> Option<&StreamReason> {
        self.0.stream.as_ref()
    }

    /// The error that led to this one.
    pub fn cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }

    /// Whether the same call may be sent again without risk of running twice.
    pub fn retryable(&self) -> bool {
        self.0.code.retryable()
    }
}

/// `CODE: text [method=…, peer=…, phase=…]: cause`, one line, for logs and people.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.text)?;
        let mut separator = " [";
        let phase = (self.0.phase != Phase::None).then(|| self.0.phase.name());
        for (key, value) in [("method", self.method()), ("peer", self.peer()), ("phase", phase)] {
            if let Some(value) = value {
                write!(f, "{separator}{key}={value}")?;
                separator = ", ";
            }
        }
        if separator == ", " {
            f.write_str("]")?;
        }
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ordered_and_in_a_family() {
        let numbers: Vec<i32> = Code::ALL.iter().map(|code| *code as i32).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert!(numbers.iter().all(|number| (101..=999).contains(number)));
        for code in Code::ALL {
            assert_eq!(Code::from_number(*code as i32), Some(*code));
            assert!(code.summary().ends_with('.'), "{}", code.name());
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn text_names_method_peer_phase_and_cause() {
        let cause = Error::new(Code::ConnectFailed, "connection refused");
        let error = Error::new(Code::Timeout, "no reply within 50 ms")
            .at(Phase::Wait)
            .at(Phase::Send)
            .with_method("Chat/Say")
            .with_peer("127.0.0.1:1")
            .with_cause(cause);
        assert_eq!(
            error.to_string(),
            "TIMEOUT: no reply within 50 ms [method=Chat/Say, peer=127.0.0.1:1, phase=wait]: \
             CONNECT_FAILED: connection refused"
        );
        assert_eq!(Error::new(Code::Closed, "client").to_string(), "CLOSED: client");
    }
}
