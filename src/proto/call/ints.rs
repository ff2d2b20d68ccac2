//! The int block of a request's header, written once for many requests.

use std::time::Duration;

use super::Request;
use crate::wire::keys::int;
use crate::wire::ttheader::HeaderWriter;

/// The int block of a connection's last request. Most requests of a connection say the same of themselves, so that
/// their block is the same, byte for byte, and is copied instead of being put together.
#[derive(Debug, Default)]
pub(in crate::proto) struct LastInts {
    /// What the block depends on.
    facts: Facts,
    method: String,
    from_service: String,
    to_service: String,
    /// The block; empty if there is none to copy.
    block: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Facts {
    framed: bool,
    oneway: bool,
    timeout: Option<Duration>,
}

impl LastInts {
    /// A longer block is not kept: connections that wait for work hold on to theirs.
    const KEEP_BYTES: usize = 1024;

    /// Adds what Kitex's client meta handler says in ints (ttheader.md §2.1).
    pub(super) fn write(&mut self, header: &mut HeaderWriter<'_>, request: &Request<'_>) {
        if self.is_of(request) {
            header.block(&self.block);
            return;
        }
        let begin = header.end_block();
        put(header, request);
        header.end_block();
        self.keep(header.since(begin), request);
    }

    fn is_of(&self, request: &Request<'_>) -> bool {
        !self.block.is_empty()
            && self.facts == Facts::of(request)
            && self.method == request.method
            && self.from_service == request.from_service
            && self.to_service == request.to_service
    }

    fn keep(&mut self, block: Option<&[u8]>, request: &Request<'_>) {
        self.block.clear();
        let Some(block) = block.filter(|block| block.len() <= LastInts::KEEP_BYTES) else { return };
        self.block.extend_from_slice(block);
        self.facts = Facts::of(request);
        for (kept, name) in [
            (&mut self.method, request.method),
            (&mut self.from_service, request.from_service),
            (&mut self.to_service, request.to_service),
        ] {
            kept.clear();
            kept.push_str(name);
        }
    }
}

impl Facts {
    fn of(request: &Request<'_>) -> Facts {
        Facts { framed: request.layout.framed, oneway: request.oneway, timeout: request.timeout }
    }
}

fn put(header: &mut HeaderWriter<'_>, request: &Request<'_>) {
    let transport = if request.layout.framed { "framed" } else { "unframed" };
    header.int(int::TRANSPORT_TYPE, transport.as_bytes());
    header.int(int::FROM_SERVICE, request.from_service.as_bytes());
    header.int(int::TO_SERVICE, request.to_service.as_bytes());
    header.int(int::TO_METHOD, request.method.as_bytes());
    if let Some(timeout) = request.timeout {
        header.int(int::RPC_TIMEOUT, timeout.as_millis().to_string().as_bytes());
    }
    header.int(int::MSG_TYPE, if request.oneway { b"4" } else { b"1" });
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::base::{Code, Message, Metainfo};
    use crate::wire::frame::Layout;

    fn written(last: &mut LastInts, request: &Request<'_>) -> crate::base::Result<BytesMut> {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut header = HeaderWriter::begin(&mut out, 0, 1);
        header.string(b"", b"key", b"value");
        last.write(&mut header, request);
        header.finish(0).map(|()| out)
    }

    #[test]
    fn a_copied_block_is_the_one_that_would_be_written() {
        let (metainfo, body) = (Metainfo::new(), Message::empty_struct());
        let plain = Request {
            layout: Layout::TTHEADER,
            seq: 1,
            oneway: false,
            service: "S",
            method: "m",
            to_service: "to",
            from_service: "from",
            timeout: None,
            deadline: None,
            checksum: false,
            metainfo: &metainfo,
            body: &body,
        };
        let long = "x".repeat(LastInts::KEEP_BYTES);
        let requests = [
            plain,
            Request { method: "other", ..plain },
            Request { to_service: "other", ..plain },
            Request { from_service: "", ..plain },
            Request { from_service: "fromt", to_service: "o", ..plain },
            Request { oneway: true, ..plain },
            Request { layout: Layout::TTHEADER_FRAMED, ..plain },
            Request { timeout: Some(Duration::from_millis(1)), ..plain },
            Request { timeout: Some(Duration::from_millis(10)), ..plain },
            Request { method: &long, ..plain },
        ];
        let mut last = LastInts::default();
        for first in &requests {
            for second in &requests {
                written(&mut last, first).unwrap();
                let fresh = written(&mut LastInts::default(), second).unwrap();
                assert_eq!(written(&mut last, second).unwrap(), fresh);
                assert_eq!(written(&mut last, second).unwrap(), fresh, "again");
                assert_eq!(last.is_of(second), second.method != long);
            }
        }
    }

    #[test]
    fn a_block_that_broke_a_limit_is_not_kept() {
        let (metainfo, body, name) = (Metainfo::new(), Message::empty_struct(), "x".repeat(65_536));
        let request = Request {
            layout: Layout::TTHEADER,
            seq: 1,
            oneway: false,
            service: "S",
            method: &name,
            to_service: "to",
            from_service: "from",
            timeout: None,
            deadline: None,
            checksum: false,
            metainfo: &metainfo,
            body: &body,
        };
        let mut last = LastInts::default();
        for _ in 0..2 {
            assert_eq!(written(&mut last, &request).unwrap_err().code(), Code::EncodeFailed);
            assert!(!last.is_of(&request));
        }
    }
}
