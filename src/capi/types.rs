//! Views of text and bytes, and sized structs, as C passes them.

use std::ffi::c_char;

use bytes::Bytes;

use crate::base::{Error, Result};

/// As a time or a timeout: never.
pub const KRPC_FOREVER: i64 = i64::MAX;

/// A view of text: pointer and length in bytes, not NUL-terminated. NULL with length 0 is the empty
/// string. Text that the library makes is UTF-8; text of peers passes unchanged.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_str {
    /// First byte; may be NULL if `len` is 0.
    pub ptr: *const c_char,
    /// Length in bytes.
    pub len: usize,
}

/// A view of bytes. NULL with length 0 is legal.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_bytes {
    /// First byte; may be NULL if `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl krpc_str {
    pub(super) const EMPTY: krpc_str = krpc_str { ptr: std::ptr::null(), len: 0 };

    /// The text of a slice that outlives the view.
    pub(super) fn of(bytes: &[u8]) -> krpc_str {
        krpc_str { ptr: bytes.as_ptr().cast(), len: bytes.len() }
    }

    /// The bytes behind the view.
    pub(super) unsafe fn bytes<'a>(self, parameter: &str) -> Result<&'a [u8]> {
        // SAFETY: same shape; the caller vouches for pointer and length.
        unsafe { krpc_bytes { ptr: self.ptr.cast(), len: self.len }.slice(parameter) }
    }

    /// A copy of the bytes behind the view.
    pub(super) unsafe fn copy(self, parameter: &str) -> Result<Bytes> {
        // SAFETY: as above.
        unsafe { self.bytes(parameter).map(Bytes::copy_from_slice) }
    }

    /// The text behind the view, which must be UTF-8: names and addresses.
    pub(super) unsafe fn text<'a>(self, parameter: &str) -> Result<&'a str> {
        // SAFETY: as above.
        let bytes = unsafe { self.bytes(parameter)? };
        std::str::from_utf8(bytes).map_err(|_| Error::invalid_argument(parameter, "not valid UTF-8"))
    }
}

impl krpc_bytes {
    pub(super) const EMPTY: krpc_bytes = krpc_bytes { ptr: std::ptr::null(), len: 0 };

    /// A view of a slice that outlives it.
    pub(super) fn of(bytes: &[u8]) -> krpc_bytes {
        krpc_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The slice behind the view; the pointer is ignored when the length is 0.
    pub(super) unsafe fn slice<'a>(self, parameter: &str) -> Result<&'a [u8]> {
        match (self.ptr.is_null(), self.len) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(Error::invalid_argument(parameter, "pointer is NULL but length is not 0")),
            (false, len) if len > isize::MAX as usize => {
                Err(Error::invalid_argument(parameter, "length exceeds the address space"))
            }
            // SAFETY: not NULL, and the caller vouches for `len` readable bytes.
            (false, len) => Ok(unsafe { std::slice::from_raw_parts(self.ptr, len) }),
        }
    }

    /// A copy of the bytes behind the view.
    pub(super) unsafe fn copy(self, parameter: &str) -> Result<Bytes> {
        // SAFETY: as above.
        unsafe { self.slice(parameter).map(Bytes::copy_from_slice) }
    }
}
