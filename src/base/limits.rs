//! Limits that bound what others can make us hold, each with its unit and default.

/// Calls that may wait for a connection to one address, if their number is limited; more end as OVERLOAD.
pub const MAX_WAITING_CALLS: usize = 10_000;

/// Requests in flight of a service or method with worker threads of its own, unless its options say otherwise.
pub const MAX_IN_FLIGHT_OF_OWN_WORKERS: usize = 1000;

/// Limits on what is read from a peer. Checked before memory is reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest frame in bytes: TTHeader LENGTH, inner frame length, or all bytes of a message
    /// without a length. Default 64 MiB; at most [`Limits::MAX_FRAME_BYTES`].
    pub frame_bytes: usize,
    /// Deepest nesting of structs and containers. Default 64 (ttheader.md §4.6).
    pub depth: u8,
    /// Read messages without the strict version word (old Apache peers). Default false.
    pub allow_old_style: bool,
    /// Check each payload behind a TTHeader against the checksum that comes with it, before it is parsed, and
    /// send one along (ttheader.md §9). Default false, as in Kitex.
    pub checksum: bool,
}

impl Limits {
    /// The protocol's own frame limit (ttheader.md §1.5).
    pub const MAX_FRAME_BYTES: usize = 0x3FFF_FFFF;

    /// The defaults, as a constant.
    pub const DEFAULT: Limits =
        Limits { frame_bytes: 64 << 20, depth: 64, allow_old_style: false, checksum: false };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// Limits on one connection of streams and on each stream of it.
///
/// A budget is a high-water mark: the message that crosses it is still taken, so a budget holds at most
/// one message more than it says, and none is too small for any message. Where a budget is in bytes, each
/// message weighs [`StreamLimits::PER_MESSAGE`] besides, so that it bounds their number as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamLimits {
    /// Streams of a connection that have not been given back by the host, ended ones included.
    /// Default 16,384.
    pub streams: usize,
    /// Metadata of one frame in bytes. Default 262,140, which is the protocol's own limit.
    pub header_bytes: usize,
    /// Received bytes of a stream that wait to be taken. Default 4 MiB.
    pub recv_bytes: usize,
    /// Received messages of a stream that wait to be taken. Default 4,096.
    pub recv_messages: usize,
    /// Received bytes of a connection that wait to be taken; headers that streams keep may take a quarter
    /// as much besides. Default 64 MiB.
    pub connection_recv_bytes: usize,
    /// Bytes of a stream that wait to be sent. Default 1 MiB.
    pub send_bytes: usize,
    /// Messages of a stream that wait to be sent. Default 4,096.
    pub send_messages: usize,
    /// Bytes of a connection that wait to be sent. Default 16 MiB.
    pub connection_send_bytes: usize,
    /// Frames without content (META, empty DATA) in a row on one stream. Default 1,000.
    pub empty_frames: u32,
    /// META frames of a stream that wait for the host; more are dropped. Default 16.
    pub metas: usize,
}

impl StreamLimits {
    /// What a message weighs in a budget besides its bytes.
    pub const PER_MESSAGE: usize = 64;

    /// The defaults, as a constant.
    pub const DEFAULT: StreamLimits = StreamLimits {
        streams: 16_384,
        header_bytes: 262_140,
        recv_bytes: 4 << 20,
        recv_messages: 4_096,
        connection_recv_bytes: 64 << 20,
        send_bytes: 1 << 20,
        send_messages: 4_096,
        connection_send_bytes: 16 << 20,
        empty_frames: 1_000,
        metas: 16,
    };
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits::DEFAULT
    }
}
