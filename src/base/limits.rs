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
