//! Views of text and bytes, and sized structs, as C passes them.

use std::ffi::c_char;

use bytes::Bytes;

use crate::base::{Code, Error, Result};

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

/// A struct whose first field is its size as the host was compiled; fields are only ever appended.
///
/// # Safety
/// `repr(C)`, first field `struct_size: usize`, and any bit pattern is a valid value.
pub(super) unsafe trait SizedStruct: Copy + Default {}

/// Reads a sized struct: fields that the host does not know are 0; a larger struct from a newer host is
/// accepted if what this version does not know is 0. NULL gives the defaults.
pub(super) unsafe fn read_sized<T: SizedStruct>(from: *const T, parameter: &str) -> Result<T> {
    // SAFETY: the caller vouches for the struct.
    let (value, rest) = unsafe { read_known(from, parameter)? };
    rest.map(|()| value)
}

/// The same for a struct that must be honoured in part even if it can't be accepted: what is known, and
/// whether the rest is.
pub(super) unsafe fn read_known<T: SizedStruct>(from: *const T, parameter: &str) -> Result<(T, Result<()>)> {
    let mut value = T::default();
    if from.is_null() {
        return Ok((value, Ok(())));
    }
    // SAFETY: not NULL; the first field is the size.
    let size = unsafe { from.cast::<usize>().read() };
    check_size(size, parameter)?;
    let known = size.min(size_of::<T>());
    // SAFETY: both sides have `known` bytes, and any bit pattern is valid.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    // SAFETY: the host vouches for `size` readable bytes.
    let tail = unsafe { std::slice::from_raw_parts(from.cast::<u8>().add(known), size - known) };
    let unknown = tail.iter().any(|byte| *byte != 0);
    let text = || format!("{parameter}: sets options that this version does not know");
    let rest = if unknown { Err(Error::new(Code::Unsupported, text())) } else { Ok(()) };
    Ok((value, rest))
}

/// Fills a sized struct, as far as the host has room.
pub(super) unsafe fn write_sized<T: SizedStruct>(to: *mut T, parameter: &str, value: T) -> Result<()> {
    if to.is_null() {
        return Err(Error::invalid_argument(parameter, "is NULL"));
    }
    // SAFETY: not NULL; the first field is the size, which stays as it is.
    let size = unsafe { to.cast::<usize>().read() };
    check_size(size, parameter)?;
    let skip = size_of::<usize>();
    let known = size.min(size_of::<T>()) - skip;
    // SAFETY: both sides have `skip + known` bytes.
    unsafe {
        let from = (&raw const value).cast::<u8>().add(skip);
        std::ptr::copy_nonoverlapping(from, to.cast::<u8>().add(skip), known);
    }
    Ok(())
}

/// Whether an array's items are as large as this version's, or larger by what a newer host knows.
pub(super) fn check_item_size<T>(size: usize, parameter: &str) -> Result<()> {
    if size < size_of::<T>() || !size.is_multiple_of(align_of::<T>()) {
        let why = format_args!("{size} is not the size of the struct that it is about");
        return Err(Error::invalid_argument(parameter, why));
    }
    Ok(())
}

/// Reads an array of plain structs of `size` bytes each; NULL with count 0 is an empty one.
pub(super) unsafe fn read_many<T: Copy>(
    items: *const T,
    size: usize,
    count: usize,
    parameter: &str,
) -> Result<Vec<T>> {
    match (items.is_null(), count) {
        (_, 0) => Ok(Vec::new()),
        (true, _) => Err(Error::invalid_argument(parameter, "is NULL but count is not 0")),
        (false, _) => {
            check_item_size::<T>(size, "call_size")?;
            // SAFETY: not NULL, and the host vouches for `count` items of `size` bytes.
            Ok((0..count).map(|index| unsafe { items.byte_add(size * index).read() }).collect())
        }
    }
}

fn check_size(size: usize, parameter: &str) -> Result<()> {
    // Nothing real is larger; more is an uninitialised struct.
    const LARGEST: usize = 4096;
    match size {
        size if size < size_of::<usize>() || size > LARGEST => {
            let why = format_args!("struct_size is {size}; initialise it with sizeof or its _INIT macro");
            Err(Error::invalid_argument(parameter, why))
        }
        _ => Ok(()),
    }
}
