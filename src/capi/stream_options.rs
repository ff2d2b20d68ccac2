//! `krpc_stream_options`: what a stream is opened with.

use std::time::Duration;

use crate::base::{Error, Result};
use crate::capi::client_options::duration;
use crate::capi::context::krpc_context;
use crate::capi::handle;
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::method::krpc_method;
use crate::capi::types::{KRPC_FOREVER, SizedStruct, read_sized};
use crate::rpc::call::Method;
use crate::rpc::stream::{RecvTimeout, StreamOptions};

/// Bit of `krpc_stream_options.flags`: the server is told the time that is left, and this library's ends the
/// stream then. Kitex ignores it.
pub const KRPC_STREAM_FLAG_TELL_TIMEOUT: u32 = 1;

/// Bit of `krpc_stream_options.flags`: a receive timeout leaves the stream as it is. The recv fails once, and
/// may be called again. Without it the stream ends, and the server is told.
pub const KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT: u32 = 2;

/// What a stream is opened with. Nothing of a client's timeouts for calls applies. Sized struct: start from
/// `KRPC_STREAM_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_stream_options {
    /// `sizeof(krpc_stream_options)` as the caller was compiled.
    pub struct_size: usize,
    /// For the whole stream, opening included, in milliseconds. 0 or `KRPC_FOREVER`: none but the parent's.
    pub timeout_ms: i64,
    /// For each recv, while nothing has arrived, in milliseconds. 0 or `KRPC_FOREVER`: none.
    pub recv_timeout_ms: i64,
    /// The stream ends if neither side sends anything for so long, in milliseconds. 0 or `KRPC_FOREVER`: none.
    pub idle_timeout_ms: i64,
    /// Pairs that travel with the stream, or NULL. Borrowed for the call.
    pub metainfo: *const krpc_metainfo,
    /// The work that the stream is part of, or NULL: its end, deadline and pairs are the stream's as well.
    /// Borrowed for the call.
    pub parent: *const krpc_context,
    /// 0, or bits `KRPC_STREAM_FLAG_...`.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

impl Default for krpc_stream_options {
    fn default() -> krpc_stream_options {
        krpc_stream_options {
            struct_size: 0,
            timeout_ms: 0,
            recv_timeout_ms: 0,
            idle_timeout_ms: 0,
            metainfo: std::ptr::null(),
            parent: std::ptr::null(),
            flags: 0,
            reserved: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and pointers that are checked before use.
unsafe impl SizedStruct for krpc_stream_options {}

/// The options as read and checked; borrows what the host lent.
pub(super) unsafe fn stream_options_of<'a>(options: *const krpc_stream_options) -> Result<StreamOptions<'a>> {
    // SAFETY: the host vouches for a struct of the size that it says, and for the handles in it.
    let (given, metainfo, parent) = unsafe {
        let given = read_sized(options, "options")?;
        let metainfo = handle::optional(given.metainfo, "options.metainfo")?;
        (given, metainfo, handle::optional(given.parent, "options.parent")?)
    };
    check_flags(&given)?;
    let keep_stream = given.flags & KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT != 0;
    let recv_timeout = limit(given.recv_timeout_ms, "options.recv_timeout_ms")?;
    Ok(StreamOptions {
        timeout: limit(given.timeout_ms, "options.timeout_ms")?,
        tell_timeout: given.flags & KRPC_STREAM_FLAG_TELL_TIMEOUT != 0,
        recv_timeout: recv_timeout.map(|timeout| RecvTimeout { timeout, keep_stream }),
        idle_timeout: limit(given.idle_timeout_ms, "options.idle_timeout_ms")?,
        metainfo,
        parent: parent.map(|parent| &parent.context),
        ..StreamOptions::default()
    })
}

fn check_flags(given: &krpc_stream_options) -> Result<()> {
    let known = KRPC_STREAM_FLAG_TELL_TIMEOUT | KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT;
    match (given.flags & !known, given.reserved) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::invalid_argument("options.reserved", "is not 0")),
        _ => {
            let why = format_args!("{} has unknown bits", given.flags);
            Err(Error::invalid_argument("options.flags", why))
        }
    }
}

pub(super) fn limit(milliseconds: i64, parameter: &str) -> Result<Option<Duration>> {
    match milliseconds {
        0 | KRPC_FOREVER => Ok(None),
        _ => duration(milliseconds, parameter).map(Some),
    }
}

/// A method that can be a stream's.
pub(super) unsafe fn streaming_method<'a>(method: *const krpc_method) -> Result<&'a Method> {
    // SAFETY: the host vouches for the handle.
    let method = unsafe { &handle::get(method, "method")?.method };
    match method.is_oneway() {
        true => Err(Error::invalid_argument("method", format_args!("{method} is oneway, no stream"))),
        false => Ok(method),
    }
}
