//! `krpc_stream_limits`: budgets of streams and of the connections that they share, for both builders.

use crate::base::{Error, Result};
use crate::capi::client_options::{self, duration, krpc_client_options};
use crate::capi::error::krpc_error;
use crate::capi::server_options::{self, krpc_server_options};
use crate::capi::status::krpc_status;
use crate::capi::types::{KRPC_FOREVER, SizedStruct, read_sized};
use crate::rpc::stream::ConnectionOptions;

/// Connections of streams to one address at most.
const MAX_CONNECTIONS: usize = 256;

/// Budgets of streams. A message weighs 64 bytes besides its own. 0 is the default everywhere. Sized struct: start
/// from `KRPC_STREAM_LIMITS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct krpc_stream_limits {
    /// `sizeof(krpc_stream_limits)` as the caller was compiled.
    pub struct_size: usize,
    /// Streams of one connection. Default 16,384.
    pub streams: usize,
    /// Received bytes of a stream that wait to be taken. Default 4 MiB.
    pub recv_bytes: usize,
    /// Received messages of a stream that wait to be taken. Default 4,096.
    pub recv_messages: usize,
    /// Received bytes of a connection that wait to be taken. Default 64 MiB.
    pub connection_recv_bytes: usize,
    /// Bytes of a stream that wait to be sent. Default 1 MiB.
    pub send_bytes: usize,
    /// Messages of a stream that wait to be sent. Default 4,096.
    pub send_messages: usize,
    /// Bytes of a connection that wait to be sent. Default 16 MiB.
    pub connection_send_bytes: usize,
    /// How long a stream whose messages nobody takes may keep the other streams of its connection waiting before
    /// it is reset, in milliseconds; `KRPC_FOREVER`: as long as it likes. Default 5000.
    pub slow_reader_timeout_ms: i64,
}

// SAFETY: repr(C), `struct_size` first, integers only.
unsafe impl SizedStruct for krpc_stream_limits {}

/// Sets the budgets of a client's streams. Some hundred KiB per stream and direction come on top, which the library
/// uses to work ahead.
///
/// `limits`: copied; NULL for the defaults.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_stream_limits(
    options: *mut krpc_client_options,
    limits: *const krpc_stream_limits,
    error: *mut *mut krpc_error,
) -> krpc_status {
    client_options::change(options, error, |options| {
        // SAFETY: the host vouches for a struct of the size that it says.
        apply(unsafe { read_sized(limits, "limits")? }, &mut options.streams.connection)
    })
}

/// Sets the budgets of a server's streams, as `krpc_client_options_set_stream_limits`.
///
/// `limits`: copied; NULL for the defaults.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_server_options_set_stream_limits(
    options: *mut krpc_server_options,
    limits: *const krpc_stream_limits,
    error: *mut *mut krpc_error,
) -> krpc_status {
    server_options::change(options, error, |options| {
        // SAFETY: the host vouches for a struct of the size that it says.
        apply(unsafe { read_sized(limits, "limits")? }, &mut options.streams)
    })
}

/// Sets how many connections to each address the client's streams share; more are made while these are saturated.
///
/// `connections`: 0 to 256. Default 1; 0 gives each stream a connection of its own while it lasts.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_stream_connections(
    options: *mut krpc_client_options,
    connections: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    client_options::change(options, error, |options| match connections {
        0..=MAX_CONNECTIONS => {
            options.streams.multiplexed = connections;
            Ok(())
        }
        _ => {
            let why = format_args!("{connections} is more than {MAX_CONNECTIONS}");
            Err(Error::invalid_argument("connections", why))
        }
    })
}

fn apply(given: krpc_stream_limits, to: &mut ConnectionOptions) -> Result<()> {
    let default = ConnectionOptions::default();
    let slow_reader = match given.slow_reader_timeout_ms {
        0 => default.slow_reader,
        KRPC_FOREVER => None,
        milliseconds => Some(duration(milliseconds, "limits.slow_reader_timeout_ms")?),
    };
    let or = |given: usize, default: usize| if given == 0 { default } else { given };
    let limits = &mut to.streams;
    limits.streams = or(given.streams, default.streams.streams);
    limits.recv_bytes = or(given.recv_bytes, default.streams.recv_bytes);
    limits.recv_messages = or(given.recv_messages, default.streams.recv_messages);
    limits.connection_recv_bytes = or(given.connection_recv_bytes, default.streams.connection_recv_bytes);
    limits.send_bytes = or(given.send_bytes, default.streams.send_bytes);
    limits.send_messages = or(given.send_messages, default.streams.send_messages);
    limits.connection_send_bytes = or(given.connection_send_bytes, default.streams.connection_send_bytes);
    to.slow_reader = slow_reader;
    Ok(())
}
