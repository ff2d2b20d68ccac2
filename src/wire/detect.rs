//! Which protocol a server's connection speaks, from its first bytes (ttheader.md §3.1).

use crate::wire::keys::flags;
use crate::wire::ttheader::Preamble;

/// What a connection is handed to, once and for its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Http2,
    /// TTHeader streaming.
    TtStreaming,
    /// Messages for [`Decoder`](crate::wire::frame::Decoder), which may still refuse them.
    Default,
}

impl Protocol {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Http2 => "gRPC over HTTP/2",
            Protocol::TtStreaming => "TTHeader streaming",
            Protocol::Default => "Thrift",
        }
    }
}

/// How many bytes always suffice.
pub const BYTES: usize = 8;

/// The first 8 of the 24 bytes with which every HTTP/2 connection starts.
const HTTP2_PREFACE: &[u8; BYTES] = b"PRI * HT";

/// Decides on a connection's first bytes; `None` while fewer than 8 leave more than one answer
/// possible. More than 8 bytes may be passed.
pub fn detect(first: &[u8]) -> Option<Protocol> {
    let first = first.get(..BYTES).unwrap_or(first);
    let http2 = HTTP2_PREFACE.starts_with(first);
    let magic = Preamble::MAGIC.to_be_bytes();
    let streaming = match first.get(4..) {
        None => true,
        Some([high, low, _, flag]) => [*high, *low] == magic && u16::from(*flag) & flags::STREAMING != 0,
        Some(part) => magic.starts_with(part.get(..2).unwrap_or(part)),
    };
    match (http2, streaming) {
        (false, false) => Some(Protocol::Default),
        (true, false) if first.len() == BYTES => Some(Protocol::Http2),
        (false, true) if first.len() == BYTES => Some(Protocol::TtStreaming),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        let cases: &[(&[u8], Option<Protocol>)] = &[
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Protocol::Http2)),
            (b"PRI * HT", Some(Protocol::Http2)),
            (b"PRI * H", None),
            (b"PRI * HX", Some(Protocol::Default)),
            (b"PRI *X", Some(Protocol::Default)),
            (b"", None),
            (b"GET ", None),
            (b"GET /", Some(Protocol::Default)),
            (b"\0\0\0\x2c\x10", None),
            (b"\0\0\0\x2c\x10\0", None),
            (b"\0\0\0\x2c\x10\0\0", None),
            (b"\0\0\0\x2c\x10\x01", Some(Protocol::Default)),
            (b"\0\0\0\x2c\x10\0\0\0", Some(Protocol::Default)),
            (b"\0\0\0\x2c\x10\0\0\x01", Some(Protocol::Default)),
            (b"\0\0\0\x2c\x10\0\0\x02", Some(Protocol::TtStreaming)),
            (b"\0\0\0\x2c\x10\0\xff\xff\xff", Some(Protocol::TtStreaming)),
            (b"\0\0\0\x1e\x80\x01\0\x01", Some(Protocol::Default)),
            (b"\x80\x01\0\x01\0", Some(Protocol::Default)),
            (b"\xff\xf4\xff\xfd\x06", Some(Protocol::Default)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(detect(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_early_answer_is_the_final_one() {
        for whole in [b"PRI * HT", b"\0\0\0\x2c\x10\0\0\x02", b"PRIx\x10\0\0\x02", b"\x82!\x01\0\0\0\0\0"] {
            let last = detect(whole);
            assert!(last.is_some());
            for n in 0..8 {
                assert!(detect(&whole[..n]).is_none_or(|early| Some(early) == last));
            }
        }
    }
}
