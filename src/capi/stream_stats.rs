//! `krpc_client_stream_stats`, `krpc_server_stream_stats`: what connections of streams have seen.

use crate::capi::client::krpc_client;
use crate::capi::guard::guard;
use crate::capi::handle;
use crate::capi::server::krpc_server;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, write_sized};

/// The connections of a client's streams: how many there are, and what they have seen since the client was made,
/// those that have ended included. Sized struct: start from `KRPC_CLIENT_STREAM_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_client_stream_stats {
    /// `sizeof(krpc_client_stream_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Connections established for streams.
    pub dialled: u64,
    /// Streams that took a connection which was there.
    pub reused: u64,
    /// Connections that are there now.
    pub connections: u64,
    /// Streams on them now.
    pub streams: u64,
    /// Streams opened.
    pub opened: u64,
    /// Openings that were refused: too many streams, too much memory, or an end that stops.
    pub refused: u64,
    /// Frames received. May lag behind the other numbers, as may `frames_sent`.
    pub frames_received: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Frames for streams that are not known: normal where ends cross.
    pub unknown_frames: u64,
    /// Frames for streams whose receiving side was over.
    pub late_frames: u64,
    /// Frames that broke the protocol or a limit.
    pub illegal_frames: u64,
    /// META frames that were dropped.
    pub dropped_metas: u64,
    /// RST received for live streams.
    pub resets_received: u64,
    /// RST sent.
    pub resets_sent: u64,
    /// Streams reset because nobody took their messages (SLOW_READER).
    pub slow_readers: u64,
    /// Streams reset because of too many frames without content.
    pub floods: u64,
    /// Times that the reading of a connection was stopped by a full budget.
    pub pauses: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_client_stream_stats {}

/// What the connections of a server's streams have seen since it was started, those that have ended included:
/// what was refused, broke the rules or was too much. Sized struct: start from `KRPC_SERVER_STREAM_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_server_stream_stats {
    /// `sizeof(krpc_server_stream_stats)` as the caller was compiled.
    pub struct_size: usize,
    /// Streams opened.
    pub opened: u64,
    /// Openings that were refused: too many streams, too much memory, or an end that stops.
    pub refused: u64,
    /// Frames received. May lag behind the other numbers, as may `frames_sent`.
    pub frames_received: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Frames for streams that are not known: normal where ends cross.
    pub unknown_frames: u64,
    /// Frames for streams whose receiving side was over.
    pub late_frames: u64,
    /// Frames that broke the protocol or a limit.
    pub illegal_frames: u64,
    /// META frames that were dropped.
    pub dropped_metas: u64,
    /// RST received for live streams.
    pub resets_received: u64,
    /// RST sent.
    pub resets_sent: u64,
    /// Streams reset because nobody took their messages (SLOW_READER).
    pub slow_readers: u64,
    /// Streams reset because of too many frames without content.
    pub floods: u64,
    /// Times that the reading of a connection was stopped by a full budget.
    pub pauses: u64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_server_stream_stats {}

/// Reads what the connections of a client's streams have seen, over all addresses. Calls are counted apart, see
/// `krpc_client_read_stats`. All 0 before the first stream.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_read_stream_stats(
    client: *const krpc_client,
    stats: *mut krpc_client_stream_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let pool = unsafe { handle::get(client, "client")? }.stream_stats();
        let filled = krpc_client_stream_stats {
            struct_size: 0,
            dialled: pool.dialled,
            reused: pool.reused,
            connections: pool.open as u64,
            streams: pool.streams as u64,
            opened: pool.seen.opened,
            refused: pool.seen.refused,
            frames_received: pool.seen.frames_received,
            frames_sent: pool.seen.frames_sent,
            unknown_frames: pool.seen.unknown,
            late_frames: pool.seen.late,
            illegal_frames: pool.seen.illegal,
            dropped_metas: pool.seen.metas_dropped,
            resets_received: pool.seen.resets_received,
            resets_sent: pool.seen.resets_sent,
            slow_readers: pool.seen.slow_readers,
            floods: pool.seen.floods,
            pauses: pool.seen.pauses,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}

/// Reads what the connections of a server's streams have seen. It may still be read after the server has stopped.
///
/// `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_read_stream_stats(
    server: *const krpc_server,
    stats: *mut krpc_server_stream_stats,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let seen = unsafe { handle::get(server, "server")? }.server.stream_counters();
        let filled = krpc_server_stream_stats {
            struct_size: 0,
            opened: seen.opened,
            refused: seen.refused,
            frames_received: seen.frames_received,
            frames_sent: seen.frames_sent,
            unknown_frames: seen.unknown,
            late_frames: seen.late,
            illegal_frames: seen.illegal,
            dropped_metas: seen.metas_dropped,
            resets_received: seen.resets_received,
            resets_sent: seen.resets_sent,
            slow_readers: seen.slow_readers,
            floods: seen.floods,
            pauses: seen.pauses,
        };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(stats, "stats", filled) }
    })
}
