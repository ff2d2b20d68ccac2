//! `krpc_client_options`: the builder of a client.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Error, Limits, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::runtime::krpc_runtime;
use crate::capi::status::krpc_status;
use crate::capi::types::{KRPC_FOREVER, krpc_str};
use crate::observe::handles::Kind;
use crate::rpc::call::{ClientOptions, Transport};
use crate::rpc::{Address, Backoff, Keepalive};

/// Builder of a client. Consumed by `krpc_client_build`, also on failure; else free it with
/// `krpc_client_options_free`.
pub struct krpc_client_options {
    _opaque: [u8; 0],
}

impl Opaque for krpc_client_options {
    type Inner = ClientOptions;
    const KIND: Kind = Kind::ClientOptions;
}

/// How requests are framed. Replies may come in any of these forms, and servers accept all of them on
/// one port.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_transport {
    /// TTHeader around a framed payload: what Kitex clients send. Carries metainfo. The default.
    KRPC_TRANSPORT_TTHEADER_FRAMED = 1,
    /// TTHeader around a bare payload. Carries metainfo.
    KRPC_TRANSPORT_TTHEADER = 2,
    /// Thrift framed. Carries no metainfo and no business status.
    KRPC_TRANSPORT_FRAMED = 3,
    /// Thrift buffered. Carries no metainfo and no business status.
    KRPC_TRANSPORT_BUFFERED = 4,
}

/// A builder for a client of one destination.
///
/// `destination`: the destination's name, for the peer's logs; UTF-8, copied.
/// Returns an owned builder, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_new(
    destination: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_client_options {
    guard_new(error, || {
        // SAFETY: the host vouches for the view.
        let destination = unsafe { destination.text("destination")? };
        Ok(handle::give(ClientOptions::new(destination)))
    })
}

/// Longest that a caller may spin, in microseconds.
const MAX_SPIN_US: u32 = 1000;

/// Multiplexed connections to one address at most.
const MAX_MULTIPLEXED: usize = 256;

/// Adds an address; calls take them in turn.
///
/// `address`: "127.0.0.1:8888", "[::1]:8888", "host:8888" or "unix:/path"; UTF-8, copied. Host names
/// are resolved by the system whenever a connection is made.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_add_address(
    options: *mut krpc_client_options,
    address: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the view.
        let address = Address::parse(unsafe { address.text("address")? })?;
        options.addresses.push(address);
        Ok(())
    })
}

/// Names this program, for the peer's logs. Default empty.
///
/// `caller`: UTF-8, copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_caller(
    options: *mut krpc_client_options,
    caller: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the view.
        options.caller = unsafe { caller.text("caller")? }.to_owned();
        Ok(())
    })
}

/// Chooses how requests are framed: a `krpc_transport`. Default `KRPC_TRANSPORT_TTHEADER_FRAMED`.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_transport(
    options: *mut krpc_client_options,
    transport: i32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.transport = Transport::from_number(transport).ok_or_else(|| {
            Error::invalid_argument("transport", format_args!("{transport} is no krpc_transport"))
        })?;
        Ok(())
    })
}

/// Sets the timeout of calls that set none, in milliseconds, connecting included. 0 or `KRPC_FOREVER`:
/// none, which is the default.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_timeout_ms(
    options: *mut krpc_client_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.timeout = call_timeout(timeout_ms, "timeout_ms")?;
        Ok(())
    })
}

/// Sets how long establishing a connection may take, in milliseconds, at least 1. Default 1000. A call's
/// own timeout holds as well.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_connect_timeout_ms(
    options: *mut krpc_client_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.connect_timeout = duration(timeout_ms, "timeout_ms")?;
        options.streams.connect_timeout = options.pool.connect_timeout;
        Ok(())
    })
}

/// Sets how long an address that could not be reached is left alone, in milliseconds.
///
/// `initial_ms`: after the first failed dial, at least 0; each further one doubles it, up to `max_ms`, at least
/// `initial_ms`; all vary by a fifth, by chance. Default 100 and 5000. A success starts it anew; three
/// connections in a row that end before their first reply count as a failed dial too. Meanwhile warm-ups do not
/// dial it, and calls go to other addresses. A call that has no other left dials at once: it never fails on news
/// that is older than itself, so a server that is up again loses no call by this. Of such dials one at a time is
/// under way to each address, and calls that came before it began share its outcome: many callers of a server
/// that is down dial one after the other, at most as often as one that never pauses, besides one dial for each
/// that was under way when the first failed. `initial_ms` 0: every call that needs a connection dials.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_backoff_ms(
    options: *mut krpc_client_options,
    initial_ms: i64,
    max_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        let initial = if initial_ms == 0 { Duration::ZERO } else { duration(initial_ms, "initial_ms")? };
        let max = if max_ms == 0 { Duration::ZERO } else { duration(max_ms, "max_ms")? };
        if max < initial {
            return Err(Error::invalid_argument(
                "max_ms",
                format_args!("{max_ms} ms is less than initial_ms"),
            ));
        }
        options.pool.backoff = Backoff { initial, max };
        Ok(())
    })
}

/// Sets how long an idle connection is kept for reuse, in milliseconds, at least 1. Default 60,000. Keep
/// it below the server's idle timeout (Kitex: 10 minutes). Blocking calls have no thread of their own that would
/// close outdated connections: other blocking calls of the process do, or a runtime that runs already.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_idle_timeout_ms(
    options: *mut krpc_client_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.idle_timeout = duration(timeout_ms, "timeout_ms")?;
        options.streams.connection.idle = Some(options.pool.idle_timeout);
        Ok(())
    })
}

/// Sets how many idle connections of calls are kept per address. Default 256; 0: every call makes its own.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_max_idle_connections(
    options: *mut krpc_client_options,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.max_idle = count;
        Ok(())
    })
}

/// Sets how many idle connections per address are kept however long they are idle: `krpc_client_warm_up` or
/// calls make them. Default 0. A server that ends idle connections ends these as well.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; also from `krpc_client_build` if it is more than are kept
/// idle at most. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_min_idle_connections(
    options: *mut krpc_client_options,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.min_idle = count;
        Ok(())
    })
}

/// Limits how many calls may use connections to one address at once, blocking and started ones together. A
/// call above that waits for its turn, within its timeout, and then ends as OVERLOAD; the next free
/// connection goes to the call that has waited longest. Without a meaning for multiplexed connections.
///
/// `count`: 0, the default, is no limit. Idle connections of blocking calls and of started ones are kept
/// apart: a client that makes both may have some idle beyond the limit.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_max_connections(
    options: *mut krpc_client_options,
    count: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.max_connections = count;
        Ok(())
    })
}

/// Lets a blocking caller look for its reply for some microseconds before it sleeps. It saves a wake-up where
/// replies come that fast and the peer has a CPU of its own, and costs CPU time. A connection on which it was
/// in vain lets ever more calls pass before it is tried again.
///
/// `microseconds`: 0 to 1000; 0, the default, sleeps at once. Two or three times what a reply takes, such as 50,
/// is enough; much more takes CPU time from a peer on the same CPU.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_spin_us(
    options: *mut krpc_client_options,
    microseconds: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| match microseconds {
        0..=MAX_SPIN_US => {
            options.pool.spin = Duration::from_micros(microseconds.into());
            Ok(())
        }
        _ => Err(Error::invalid_argument(
            "microseconds",
            format_args!("{microseconds} is more than {MAX_SPIN_US}"),
        )),
    })
}

/// Lets all calls to an address share some connections, whose answers come in any order (TTHeader only; the
/// peer must be a multiplexing server: of Kitex's, or of this library). Blocking calls then wait for a shard.
///
/// `connections`: for each address, 0 to 256; 0, the default, gives each call under way one of its own.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; also from `krpc_client_build` with a transport that is
/// not TTHeader. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_multiplexed(
    options: *mut krpc_client_options,
    connections: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| match connections {
        0..=MAX_MULTIPLEXED => {
            options.pool.multiplexed = connections;
            Ok(())
        }
        _ => Err(Error::invalid_argument(
            "connections",
            format_args!("{connections} is more than {MAX_MULTIPLEXED}"),
        )),
    })
}

/// Sets the largest reply or message of a stream in bytes, 1 to 0x3FFFFFFF. Default 64 MiB. Larger ones end their
/// call as FRAME_TOO_LARGE, or their stream, before memory is reserved.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_max_frame_bytes(
    options: *mut krpc_client_options,
    bytes: usize,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.limits.frame_bytes = frame_bytes(bytes)?;
        options.streams.connection.limits.frame_bytes = options.pool.limits.frame_bytes;
        Ok(())
    })
}

/// Chooses whether requests are sent with a CRC-32C of their payload, and replies that bring one are checked
/// against it before they are read (TTHeader only; Kitex's `WithCodec` with `CRC32Check`). A reply that does
/// not match ends its call as CHECKSUM_MISMATCH. Default false: the peer's checksums are ignored.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_checksum(
    options: *mut krpc_client_options,
    checksum: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.limits.checksum = checksum;
        Ok(())
    })
}

/// Sets when a peer that has vanished without a word is looked for: its host died, or a device between lost
/// the connection. TCP only. Default: 30,000, 10,000 and 3.
///
/// `time_ms`: silence before the first probe, at least 1; rounded up to seconds; `KRPC_FOREVER`: no probes.
/// `interval_ms`: between probes, at least 1; rounded up to seconds. `count`: probes without an answer, 1 to
/// 127; counts only without a user timeout (`krpc_client_options_set_tcp_user_timeout_ms`).
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_tcp_keepalive(
    options: *mut krpc_client_options,
    time_ms: i64,
    interval_ms: i64,
    count: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        set_keepalive(&mut options.pool.keepalive, time_ms, interval_ms, count)?;
        options.streams.keepalive = options.pool.keepalive;
        Ok(())
    })
}

/// Sets for how long bytes may stay unacknowledged, or find no room at the peer, before the connection counts
/// as lost, in milliseconds, at least 1. `KRPC_FOREVER`: the system's, about 15 minutes. TCP only. Default
/// 60,000. Keep it above the time and the interval of the probes, or one lost probe ends the connection.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_tcp_user_timeout_ms(
    options: *mut krpc_client_options,
    timeout_ms: i64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.pool.keepalive.user_timeout = unless_forever(timeout_ms, "timeout_ms")?;
        options.streams.keepalive = options.pool.keepalive;
        Ok(())
    })
}

/// Chooses the runtime for calls started by `krpc_client_start`, kept alive by the client. Default: the
/// shared one, made with the first such call. Blocking calls use none.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_runtime(
    options: *mut krpc_client_options,
    runtime: *const krpc_runtime,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        // SAFETY: the host vouches for the handle.
        options.runtime = Some(Arc::clone(unsafe { handle::get(runtime, "runtime")? }));
        Ok(())
    })
}

/// Chooses whether the peer is told the call's timeout (TTHeader only), so that a server that follows it
/// can give up in time. Default true, as Kitex's client does.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_tell_timeout(
    options: *mut krpc_client_options,
    tell: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(options, error, |options| {
        options.tell_timeout = tell;
        Ok(())
    })
}

/// Frees a builder that was not consumed. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_free(options: *mut krpc_client_options) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(options) });
}

pub(super) fn change(
    options: *mut krpc_client_options,
    error: *mut *mut krpc_error,
    apply: impl FnOnce(&mut ClientOptions) -> Result<()>,
) -> krpc_status {
    // SAFETY: the host vouches for the handle and uses it from one thread at a time.
    guard(error, || apply(unsafe { handle::get_mut(options, "options")? }))
}

/// 0 inherits, `KRPC_FOREVER` is none.
pub(super) fn call_timeout(timeout_ms: i64, parameter: &str) -> Result<Option<Duration>> {
    match timeout_ms {
        0 => Ok(None),
        KRPC_FOREVER => Ok(Some(Duration::MAX)),
        _ => duration(timeout_ms, parameter).map(Some),
    }
}

/// A time that must be positive.
pub(super) fn duration(milliseconds: i64, parameter: &str) -> Result<Duration> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(Error::invalid_argument(parameter, format_args!("{milliseconds} ms is not positive"))),
    }
}

/// A time that must be positive; `KRPC_FOREVER` is none.
pub(super) fn unless_forever(milliseconds: i64, parameter: &str) -> Result<Option<Duration>> {
    match milliseconds {
        KRPC_FOREVER => Ok(None),
        _ => duration(milliseconds, parameter).map(Some),
    }
}

pub(super) fn set_keepalive(
    keepalive: &mut Keepalive,
    time_ms: i64,
    interval_ms: i64,
    count: u32,
) -> Result<()> {
    let time = unless_forever(time_ms, "time_ms")?;
    let interval = duration(interval_ms, "interval_ms")?;
    if !(1..=127).contains(&count) {
        return Err(Error::invalid_argument("count", format_args!("{count} is not within 1 and 127")));
    }
    *keepalive = Keepalive { time, interval, count, ..*keepalive };
    Ok(())
}

pub(super) fn frame_bytes(bytes: usize) -> Result<usize> {
    match bytes {
        1..=Limits::MAX_FRAME_BYTES => Ok(bytes),
        _ => Err(Error::invalid_argument("bytes", format_args!("{bytes} is not within 1 and 0x3FFFFFFF"))),
    }
}
