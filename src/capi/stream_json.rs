//! What an IDL says of a `krpc_stream`, and its messages as JSON.

use crate::base::{Code, Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard_or, put};
use crate::capi::handle;
use crate::capi::idl::krpc_streaming;
use crate::capi::json::{give_json, json_options, krpc_json_options};
use crate::capi::message::krpc_message;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::stream::{Streaming, blocking, get, krpc_stream};
use crate::capi::types::krpc_str;
use crate::codec::Shape;
use crate::rpc::stream::Stream;

/// How many messages the stream's method takes and gives, as its IDL says: a `krpc_streaming`. `KRPC_STREAMING_NONE`
/// if its method or service was not made from an IDL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_mode(stream: *const krpc_stream) -> krpc_streaming {
    guard_or(krpc_streaming::KRPC_STREAMING_NONE, || {
        // SAFETY: the host vouches for the handle.
        let shape = unsafe { get(stream) }.ok().and_then(Stream::shape);
        shape.map_or(krpc_streaming::KRPC_STREAMING_NONE, |shape| shape.method().streaming.into())
    })
}

/// The shape of messages to send, for `krpc_message_from_json` and `krpc_writer_new_typed`. Borrowed from `stream`;
/// NULL if its method or service was not made from an IDL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_send_shape(stream: *const krpc_stream) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(stream, "stream") } {
        Ok(Streaming { to_send: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// The shape of messages that are received, and of `krpc_stream_request`, for `krpc_message_to_json` and
/// `krpc_reader_new_typed`. Borrowed from `stream`; NULL if its method or service was not made from an IDL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_recv_shape(stream: *const krpc_stream) -> *const krpc_shape {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(stream, "stream") } {
        Ok(Streaming { to_recv: Some(shape), .. }) => shape.as_handle(),
        _ => std::ptr::null(),
    })
}

/// Sends a message that is made from JSON, as `krpc_stream_send`. JSON that does not fit sends nothing, and leaves the
/// stream as it is.
///
/// `json`: UTF-8, borrowed for the call. `options`: NULL for the defaults.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: as of `krpc_message_from_json` and `krpc_stream_send`; INVALID_STATE without an IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_send_json(
    stream: *const krpc_stream,
    json: krpc_str,
    options: *const krpc_json_options,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let body = |own: &Stream| {
        // SAFETY: the host vouches for view and struct.
        let (json, options) = unsafe { (json.bytes("json")?, json_options(options)?) };
        own.send(known(own.shape_to_send())?.from_json(json, &options)?)
    };
    // SAFETY: as above.
    unsafe { blocking(stream, error, body) }
}

/// Waits for the next message and writes it as JSON, as `krpc_stream_recv`. A message that does not fit the IDL is
/// gone, but the stream goes on.
///
/// `options`: NULL for the defaults. `json`: receives an owned message in `KRPC_ENCODING_JSON`, of one segment; NULL
/// with status OK when the peer has said everything.
///
/// Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
/// Errors: as of `krpc_stream_recv`; 8xx for a message that does not fit; INVALID_STATE without an IDL. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_stream_recv_json(
    stream: *const krpc_stream,
    options: *const krpc_json_options,
    json: *mut *mut krpc_message,
    error: *mut *mut krpc_error,
) -> krpc_status {
    put(json, std::ptr::null_mut());
    let body = |own: &Stream| {
        if json.is_null() {
            return Err(Error::invalid_argument("json", "is NULL"));
        }
        // SAFETY: the host vouches for the struct.
        let options = unsafe { json_options(options)? };
        let shape = known(own.shape_to_recv())?;
        let received = own.recv()?.map(|message| shape.to_json(&message, &options)).transpose()?;
        put(json, received.map_or(std::ptr::null_mut(), give_json));
        Ok(())
    };
    // SAFETY: as above.
    unsafe { blocking(stream, error, body) }
}

fn known(shape: Option<Shape>) -> Result<Shape> {
    let missing = || Error::new(Code::InvalidState, "the stream's method was not made from an IDL");
    shape.ok_or_else(missing)
}
