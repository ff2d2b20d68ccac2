//! Cancelling: what is said to the peer and to the own side, and the path that grows from hop to hop
//! (ttstream.md §4.3).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::{Code, Error, StreamClass, StreamReason, StreamSide};

/// Why a stream is cancelled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cancel {
    status: Code,
    class: StreamClass,
    code: i32,
    text: Bytes,
    /// The services it has come through before.
    path: Bytes,
}

impl Cancel {
    const BY_CALLER: &'static [u8] = b"user code invoking stream RPC with context processed by \
context.WithCancel or context.WithTimeout, then invoking cancel() actively";

    /// By the host: 12007. Without words of its own the reference's are sent.
    pub fn by_host(text: impl Into<Bytes>) -> Cancel {
        let text = text.into();
        let text = if text.is_empty() { Bytes::from_static(Cancel::BY_CALLER) } else { text };
        Cancel::new(Code::Cancelled, StreamClass::Canceled, StreamReason::CANCEL, text)
    }

    /// Because what the stream was opened for has ended with `error`: a cancel or timeout of another
    /// stream goes on with its number, text and path; anything else becomes 12011.
    pub fn inherited(error: &Error) -> Cancel {
        match error.stream_reason() {
            Some(reason) if reason.code != StreamReason::APPLICATION => Cancel {
                status: error.code(),
                class: reason.class,
                code: reason.code,
                text: reason.text.clone(),
                path: reason.path.clone(),
            },
            _ => Cancel {
                path: Bytes::from_static(b"non-ttstream path"),
                ..Cancel::internal(error.to_string())
            },
        }
    }

    /// Because the handler that opened the stream has returned: 12012.
    pub fn handler_returned() -> Cancel {
        let text = "canceled by business handler returning";
        Cancel::new(Code::Cancelled, StreamClass::Canceled, StreamReason::HANDLER_RETURNED, text)
    }

    /// With a number of the host's own, e.g. that of a proxy.
    pub fn with_code(code: i32, text: impl Into<Bytes>) -> Cancel {
        Cancel::new(Code::Cancelled, StreamClass::Canceled, code, text)
    }

    /// Because the deadline of what the stream belongs to has passed: 12015.
    pub fn deadline(timeout: Option<Duration>) -> Cancel {
        let text = match timeout {
            Some(timeout) => format!("stream timeout, timeout in ctx: {}", go_duration(timeout)),
            None => "stream timeout, no explicit timeout set in stream ctx".to_owned(),
        };
        Cancel::new(Code::Timeout, StreamClass::Timeout, StreamReason::STREAM_TIMEOUT, text)
    }

    pub(super) fn recv_timeout(timeout: Duration, keep_stream: bool) -> Cancel {
        let text = format!(
            "stream Recv timeout, timeout config={{Timeout:{} DisableCancelRemote:{keep_stream}}}",
            go_duration(timeout)
        );
        Cancel::new(Code::RecvTimeout, StreamClass::Timeout, StreamReason::RECV_TIMEOUT, text)
    }

    pub(super) fn idle(idle: Duration) -> Cancel {
        let text = format!("stream timeout, idle for {}", go_duration(idle));
        Cancel::new(Code::IdleTimeout, StreamClass::Timeout, StreamReason::STREAM_TIMEOUT, text)
    }

    /// A limit or rule of ours was broken; typed here, 12011 for the peer.
    pub(super) fn limit(status: Code, text: impl Into<Bytes>) -> Cancel {
        Cancel { status, ..Cancel::internal(text) }
    }

    /// A frame of the peer breaks the protocol.
    pub(super) fn protocol(code: i32, text: impl Into<Bytes>) -> Cancel {
        Cancel::new(Code::StreamProtocol, StreamClass::Protocol, code, text)
    }

    pub(super) fn closed(text: &'static str) -> Cancel {
        Cancel { status: Code::Closed, ..Cancel::by_host(text) }
    }

    fn internal(text: impl Into<Bytes>) -> Cancel {
        Cancel::new(Code::Cancelled, StreamClass::Canceled, StreamReason::INTERNAL, text)
    }

    fn new(status: Code, class: StreamClass, code: i32, text: impl Into<Bytes>) -> Cancel {
        Cancel { status, class, code, text: text.into(), path: Bytes::new() }
    }

    /// What the own side sees: the path as it was received.
    pub(super) fn error(&self, side: StreamSide) -> Error {
        let reason = StreamReason::new(self.code, self.class, side, self.text.clone());
        Error::stream(self.status, StreamReason { path: self.path.clone(), ..reason })
    }

    /// Number and text for the peer.
    pub(super) fn exception(&self) -> (i32, Bytes) {
        (self.code, self.text.clone())
    }

    /// The path for the peer: one hop longer.
    pub(super) fn path_through(&self, name: &[u8]) -> Bytes {
        if self.path.is_empty() {
            return Bytes::copy_from_slice(name);
        }
        let mut path = BytesMut::with_capacity(self.path.len() + 1 + name.len());
        path.put_slice(&self.path);
        path.put_u8(b',');
        path.put_slice(name);
        path.freeze()
    }
}

/// A duration in Go's words: `1.5s`, `50ms`, `1h0m0.25s`.
fn go_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(u64::from(nanos / 1_000), nanos % 1_000, 3)),
            _ => format!("{}ms", decimal(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// A number with a fraction of `digits` digits, without zeros at its end.
fn decimal(whole: u64, fraction: u32, digits: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (50_000_000, "50ms"),
            (1_000_001, "1.000001ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_600_250_000_000, "1h0m0.25s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_path_grows_by_one_name_a_hop() {
        let first = Cancel::by_host("");
        assert_eq!(first.path_through(b"A"), "A");
        assert_eq!(first.path_through(b""), "");
        let reason = StreamReason { path: "A".into(), ..StreamReason::default() };
        let second = Cancel::inherited(&Error::stream(Code::Cancelled, reason));
        assert_eq!(second.path_through(b"B"), "A,B");
        assert_eq!(second.path_through(b""), "A,");
        let foreign = Cancel::inherited(&Error::new(Code::Internal, "x"));
        assert_eq!(foreign.path_through(b"B"), "non-ttstream path,B");
        assert_eq!(foreign.exception(), (12_011, "INTERNAL: x".into()));
    }
}
