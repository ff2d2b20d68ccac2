//! `krpc_message`: immutable bytes and their encoding.

use std::ffi::c_void;

use bytes::Bytes;

use crate::base::{Encoding, Error, Message};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::{guard, guard_new, guard_or, put};
use crate::capi::handle::{self, Opaque};
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_bytes;
use crate::observe::handles::Kind;

/// Immutable, reference-counted bytes and their encoding.
///
/// Without a schema the message of a unary call is the *args* struct, the message of its reply the
/// *result* struct (field 0 is the return value). Sharing a message costs no copy.
/// Free an owned one with `krpc_message_free`.
pub struct krpc_message {
    _opaque: [u8; 0],
}

impl Opaque for krpc_message {
    type Inner = Message;
    const KIND: Kind = Kind::Message;
}

/// How a message's bytes are encoded. An open number: other values pass through unchanged.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_encoding {
    /// Bytes of no declared form.
    KRPC_ENCODING_RAW = 0,
    /// A struct in Thrift Binary.
    KRPC_ENCODING_THRIFT_BINARY = 1,
    /// A struct in Thrift Compact.
    KRPC_ENCODING_THRIFT_COMPACT = 2,
    /// A protobuf message.
    KRPC_ENCODING_PROTOBUF = 3,
    /// JSON text in UTF-8.
    KRPC_ENCODING_JSON = 4,
}

/// Makes a message from a copy of `bytes`.
///
/// `encoding`: a `krpc_encoding`. `bytes`: borrowed for the call.
/// Returns an owned message, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_copy(
    encoding: i32,
    bytes: krpc_bytes,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the view.
        let bytes = unsafe { bytes.copy("bytes")? };
        Ok(handle::give(Message::new(Encoding(encoding), bytes)))
    })
}

/// Makes a message from the host's memory without copying it.
///
/// `encoding`: a `krpc_encoding`. `bytes`: must stay valid and unchanged until `destroy` is called.
/// `destroy` (optional): called once with `user_data` when the last reference is gone; also before
/// this function returns, if it fails.
/// Returns an owned message, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_wrap(
    encoding: i32,
    bytes: krpc_bytes,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    let lent = Lent { bytes, _owner: UserData::new(user_data, destroy) };
    guard_new(error, || {
        // SAFETY: the host vouches for the view.
        unsafe { bytes.slice("bytes")? };
        Ok(handle::give(Message::new(Encoding(encoding), Bytes::from_owner(lent))))
    })
}

/// Makes a message from several pieces, each copied, that are sent one after the other.
///
/// `encoding`: a `krpc_encoding`. `segments`: `count` views, borrowed for the call.
/// Returns an owned message, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_from_segments(
    encoding: i32,
    segments: *const krpc_bytes,
    count: usize,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for `count` views.
        let views = unsafe { handle::slice(segments, count, "segments")? };
        // No list of slices for the usual two or three.
        const FEW: usize = 4;
        let (mut few, mut more) = ([&[][..]; FEW], Vec::new());
        let slices = match few.get_mut(..count) {
            Some(few) => few,
            None => {
                more.resize(count, &[][..]);
                &mut more[..]
            }
        };
        for (slice, view) in slices.iter_mut().zip(views) {
            // SAFETY: the host vouches for each view.
            *slice = unsafe { view.slice("segments")? };
        }
        Ok(handle::give(Message::copy_segments(Encoding(encoding), slices)))
    })
}

/// Another reference to the same bytes, owned by the caller. NULL if `message` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_retain(message: *const krpc_message) -> *mut krpc_message {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { handle::get(message, "message") } {
        Ok(message) => handle::give(message.clone()),
        Err(_) => std::ptr::null_mut(),
    })
}

/// How the message is encoded: a `krpc_encoding`, or another number that passed through.
///
/// Thread: any thread. Errors: none; NULL gives `KRPC_ENCODING_RAW`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_encoding(message: *const krpc_message) -> i32 {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(message, "message") }.map_or(0, |message| message.encoding().0))
}

/// Size in bytes over all segments. 0 if `message` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_size(message: *const krpc_message) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(message, "message") }.map_or(0, Message::len))
}

/// The segments, without copying.
///
/// `segments`: receives up to `capacity` views, borrowed from `message`. `count` (optional): receives
/// the number of segments that there are, which may be larger than `capacity`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_segments(
    message: *const krpc_message,
    segments: *mut krpc_bytes,
    capacity: usize,
    count: *mut usize,
) -> krpc_status {
    put(count, 0);
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for the handle.
        let message = unsafe { handle::get(message, "message")? };
        if segments.is_null() && capacity > 0 {
            return Err(Error::invalid_argument("segments", "is NULL but capacity is not 0"));
        }
        for index in 0..message.segment_count().min(capacity) {
            let segment = message.segment(index).unwrap_or_default();
            // SAFETY: the host vouches for `capacity` writable views.
            unsafe { segments.add(index).write(krpc_bytes::of(segment)) };
        }
        put(count, message.segment_count());
        Ok(())
    })
}

/// All bytes as a message of one segment, owned by the caller: the same bytes if there is just one
/// segment already, else one copy. Read it with `krpc_message_bytes`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_join(
    message: *const krpc_message,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let message = unsafe { handle::get(message, "message")? };
        Ok(handle::give(Message::new(message.encoding(), message.bytes())))
    })
}

/// The bytes of a message of one segment (as every received one is), borrowed from it. Empty if
/// `message` is NULL or has several segments: see `krpc_message_join`.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_bytes(message: *const krpc_message) -> krpc_bytes {
    guard_or(krpc_bytes::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        match unsafe { handle::get(message, "message") } {
            Ok(message) if message.segment_count() == 1 => {
                message.segment(0).map_or(krpc_bytes::EMPTY, krpc_bytes::of)
            }
            _ => krpc_bytes::EMPTY,
        }
    })
}

/// Makes a request that carries what the caller's framework says of itself, as Kitex clients do.
///
/// The field of the request's first argument whose type is written `base.Base` gets the fields of `base`;
/// those that `base` does not have stay, and so do pairs of its field 6 (`Extra`) with other keys. A request
/// without such a field, or without that argument, stays as it is.
/// `message`: a request in Thrift Binary, e.g. from `krpc_message_from_json`. `shape`: of that request, or
/// of a struct that is sent bare. `base`: a struct `base.Base` in Thrift Binary.
/// Returns an owned message, or NULL and an error. Both messages are only read.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, also for the shape of a result, MALFORMED, TYPE_MISMATCH,
/// CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_with_base(
    message: *const krpc_message,
    shape: *const krpc_shape,
    base: *const krpc_message,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the handles.
        let (message, shape) = unsafe { (handle::get(message, "message")?, handle::get(shape, "shape")?) };
        // SAFETY: as above.
        let base = unsafe { handle::get(base, "base")? };
        shape.with_base(message, base).map(handle::give)
    })
}

/// Frees a message that you own. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_message_free(message: *mut krpc_message) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(message) });
}

/// The host's memory behind a message; dropping it calls `destroy`.
struct Lent {
    bytes: krpc_bytes,
    _owner: UserData,
}

// SAFETY: the host promised that the bytes stay unchanged until `destroy` runs, on whatever thread.
unsafe impl Send for Lent {}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: checked before the first use, and valid until `destroy` runs in `drop`.
        unsafe { self.bytes.slice("bytes") }.unwrap_or(&[])
    }
}
