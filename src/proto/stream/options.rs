//! What a connection and a stream are run with.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{Encoding, Limits, Metainfo, StreamLimits};

/// What a connection is run with, at either end.
#[derive(Clone, Debug)]
pub struct Options {
    /// Limits on a frame: `frame_bytes`, and `depth` for exceptions.
    pub limits: Limits,
    /// Limits on streams.
    pub streams: StreamLimits,
    /// Own service name, which a cancel leaves in its path (ttstream.md §4.3). Empty: none.
    pub name: Bytes,
    /// Whether the peer knows RST. Kitex before 0.15 does not, and closes the connection at the sight of
    /// one (§11); a cancel then sends TRAILER only. Default true.
    pub peer_knows_rst: bool,
    /// How long a stream whose messages nobody takes may keep the other streams of its connection
    /// waiting before it is reset. `None`: for ever. Default 5 s.
    pub slow_reader: Option<Duration>,
    /// When a connection without streams ends. `None`: never. Default 60 s, at a server 10 min: whoever
    /// opens streams should be the first to close.
    pub idle: Option<Duration>,
    /// When a connection ends whose peer takes no bytes. A peer that holds its sender back takes none
    /// either, so this is off by default.
    pub write: Option<Duration>,
    /// How long after the start of a graceful stop streams that were on their way are still accepted, and
    /// an idle connection is kept for them. Server only. Default 100 ms.
    pub drain: Duration,
    /// Whether an opening HEADER's timeout (int key 12) becomes the deadline of the stream. Server only.
    /// Default true.
    pub honour_timeout: bool,
    /// The first stream id. Client only; not 0. Default 1.
    pub first_id: i32,
    /// A number that peers can't guess, for tables of ids that they choose.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits::DEFAULT,
            streams: StreamLimits::DEFAULT,
            name: Bytes::new(),
            peer_knows_rst: true,
            slow_reader: Some(Duration::from_secs(5)),
            idle: Some(Duration::from_secs(60)),
            write: None,
            drain: Duration::from_millis(100),
            honour_timeout: true,
            first_id: 1,
            seed: 0,
        }
    }
}

impl Options {
    /// The defaults of a server.
    pub fn server() -> Options {
        Options { idle: Some(Duration::from_secs(600)), ..Options::default() }
    }
}

/// How long one recv waits, while nothing has arrived (ttstream.md §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvTimeout {
    /// From the start of the recv.
    pub timeout: Duration,
    /// Leave the stream as it is: recv fails once and may be called again. Otherwise the stream ends and
    /// the peer is told.
    pub keep_stream: bool,
}

/// The clocks of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamTimeouts {
    /// When the stream must have ended.
    pub deadline: Option<Instant>,
    /// For each recv.
    pub recv: Option<RecvTimeout>,
    /// When the stream ends if neither side sends anything.
    pub idle: Option<Duration>,
}

/// A stream to open.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// IDL name of the service (`isn`), by which the server routes; empty leaves it to the server.
    pub service: &'a [u8],
    /// Method name.
    pub method: &'a Bytes,
    /// Pairs that travel with the stream's context.
    pub metainfo: &'a Metainfo,
    /// Further string pairs of the HEADER.
    pub strings: &'a [(Bytes, Bytes)],
    /// Further int pairs of the HEADER, e.g. 12 for a timeout in milliseconds.
    pub ints: &'a [(u16, Bytes)],
    /// Encoding of the messages: Thrift Binary, or protobuf between our own (§1.5).
    pub encoding: Encoding,
    /// Its clocks.
    pub timeouts: StreamTimeouts,
    /// Tell the server the time that is left until the deadline (int key 12, §5). Kitex ignores it.
    pub tell_timeout: bool,
}

impl<'a> Open<'a> {
    /// A plain stream of Thrift messages.
    pub fn new(service: &'a [u8], method: &'a Bytes) -> Open<'a> {
        static NONE: Metainfo = Metainfo::new();
        Open {
            service,
            method,
            metainfo: &NONE,
            strings: &[],
            ints: &[],
            encoding: Encoding::THRIFT_BINARY,
            timeouts: StreamTimeouts::default(),
            tell_timeout: false,
        }
    }
}
