//! Why a stream ended, in the numbers that peers exchange (ttstream.md §4).

use std::fmt;

use bytes::Bytes;

/// Which end of a stream an error was made at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum StreamSide {
    /// At neither: the connection failed.
    #[default]
    None,
    /// At the client's.
    Client,
    /// At the server's.
    Server,
}

/// What kind of end it was (ttstream.md §4.4). A peer's timeout arrives as a cancel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum StreamClass {
    /// The peer's own words: an exception.
    #[default]
    None,
    /// Somebody broke the protocol, or the connection broke.
    Protocol,
    /// Cancelled, here or by the peer.
    Canceled,
    /// A timeout that was noticed here.
    Timeout,
}

/// Number, text, side and path of a stream's end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamReason {
    /// The number; peers and proxies may have private ones.
    pub code: i32,
    /// What kind of end it was.
    pub class: StreamClass,
    /// Where it was noticed.
    pub side: StreamSide,
    /// Names of the services that a cancel has come through, joined by commas; empty at its first hop.
    pub path: Bytes,
    /// The words for people, as they travel; not necessarily UTF-8.
    pub text: Bytes,
    /// Whether recv may be called again on the same stream.
    pub can_retry: bool,
}

impl StreamReason {
    /// The server's handler failed; its exception is beside this.
    pub const APPLICATION: i32 = 12_001;
    /// A second HEADER.
    pub const UNEXPECTED_HEADER: i32 = 12_002;
    /// A business status that cannot be read.
    pub const ILLEGAL_BIZ: i32 = 12_003;
    /// A frame that cannot be read.
    pub const ILLEGAL_FRAME: i32 = 12_004;
    /// Sending after the end of sending.
    pub const ILLEGAL_OPERATION: i32 = 12_005;
    /// The connection is lost.
    pub const TRANSPORT: i32 = 12_006;
    /// The caller cancelled.
    pub const CANCEL: i32 = 12_007;
    /// Reset without a readable reason came from the server.
    pub const DOWNSTREAM: i32 = 12_009;
    /// Reset without a readable reason came from the client.
    pub const UPSTREAM: i32 = 12_010;
    /// Cancelled for a reason that is none of these.
    pub const INTERNAL: i32 = 12_011;
    /// The handler that opened or served the stream has returned.
    pub const HANDLER_RETURNED: i32 = 12_012;
    /// The connection to the client was lost.
    pub const CONNECTION_CLOSED: i32 = 12_013;
    /// No message came in time.
    pub const RECV_TIMEOUT: i32 = 12_014;
    /// The stream did not end in time.
    pub const STREAM_TIMEOUT: i32 = 12_015;
    /// What an RST without a readable exception says.
    pub const BARE_RST: i32 = 13;

    /// A reason without a path.
    pub fn new(code: i32, class: StreamClass, side: StreamSide, text: impl Into<Bytes>) -> StreamReason {
        StreamReason { code, class, side, path: Bytes::new(), text: text.into(), can_retry: false }
    }

    /// The names of the path, in the order the cancel has come.
    pub fn path_names(&self) -> impl Iterator<Item = &[u8]> {
        let names = (!self.path.is_empty()).then(|| self.path.split(|byte| *byte == b','));
        names.into_iter().flatten()
    }
}

/// The reference's text (ttstream.md §4.2).
impl fmt::Display for StreamReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ttstream error, code={}] ", self.code)?;
        f.write_str(match self.side {
            StreamSide::None => "",
            StreamSide::Client => "[client-side stream] ",
            StreamSide::Server => "[server-side stream] ",
        })?;
        if !self.path.is_empty() {
            f.write_str("[canceled path: ")?;
            for (n, name) in self.path_names().enumerate() {
                let arrow = if n > 0 { " -> " } else { "" };
                write!(f, "{arrow}{}", String::from_utf8_lossy(name))?;
            }
            f.write_str("] ")?;
        }
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_references() {
        let mut reason = StreamReason::new(12_007, StreamClass::Canceled, StreamSide::Server, &b"gone"[..]);
        assert_eq!(reason.to_string(), "[ttstream error, code=12007] [server-side stream] gone");
        for (path, shown) in [("A", "A"), ("A,B", "A -> B"), ("A,", "A -> ")] {
            reason.path = path.into();
            let text =
                format!("[ttstream error, code=12007] [server-side stream] [canceled path: {shown}] gone");
            assert_eq!(reason.to_string(), text);
        }
        let reason = StreamReason::new(12_006, StreamClass::Protocol, StreamSide::None, &b"x"[..]);
        assert_eq!(reason.to_string(), "[ttstream error, code=12006] x");
        assert_eq!(reason.path_names().count(), 0);
    }
}
