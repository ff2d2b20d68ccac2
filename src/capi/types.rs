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

/// An item of the host's arrays, whose size is passed beside them; fields are only ever appended.
///
/// # Safety
/// `repr(C)`, any bit pattern is a valid value, and `FIRST` is not more than its size.
pub(super) unsafe trait SizedItem: Copy {
    /// Its size in the first version: what every host has room for.
    const FIRST: usize;
}

/// Whether an array's items can be of this size: no smaller than any host's.
pub(super) fn check_item_size<T: SizedItem>(size: usize, parameter: &str) -> Result<()> {
    const { assert!(T::FIRST <= size_of::<T>()) };
    if size < T::FIRST || !size.is_multiple_of(align_of::<T>()) {
        let why = format_args!("{size} is not the size of the struct that it is about");
        return Err(Error::invalid_argument(parameter, why));
    }
    Ok(())
}

/// The place of an item in the host's array.
pub(super) unsafe fn item_at<T: SizedItem>(items: *mut T, size: usize, index: usize) -> *mut T {
    // SAFETY: the caller vouches for more than `index` items of that size.
    unsafe { items.byte_add(size * index) }
}

/// Reads an item of a size that was checked; fields that the host does not know are 0.
pub(super) unsafe fn read_item<T: SizedItem>(from: *const T, size: usize) -> T {
    let mut item = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both sides have as many bytes, and any bit pattern is a valid value.
    unsafe {
        from.cast::<u8>().copy_to_nonoverlapping(item.as_mut_ptr().cast(), size.min(size_of::<T>()));
        item.assume_init()
    }
}

/// Writes an item of a size that was checked: as far as the host has room; what only it knows is cleared.
pub(super) unsafe fn write_item<T: SizedItem>(to: *mut T, size: usize, item: T) {
    let known = size.min(size_of::<T>());
    // SAFETY: the host has `size` bytes there.
    unsafe {
        to.cast::<u8>().copy_from_nonoverlapping((&raw const item).cast(), known);
        to.cast::<u8>().add(known).write_bytes(0, size - known);
    }
}

/// Reads an array of items of `size` bytes each; NULL with count 0 is an empty one.
pub(super) unsafe fn read_many<T: SizedItem>(
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
            Ok((0..count).map(|index| unsafe { read_item(items.byte_add(size * index), size) }).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An item that had one field when it was new.
    #[repr(C)]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Grown {
        first: u64,
        later: u64,
    }

    // SAFETY: repr(C), integers only.
    unsafe impl SizedItem for Grown {
        const FIRST: usize = 8;
    }

    #[test]
    fn items_of_an_older_host_lack_what_came_later() {
        let theirs = [1_u64, 2, 3];
        // SAFETY: three items of 8 bytes.
        let read = unsafe { read_many(theirs.as_ptr().cast::<Grown>(), 8, 3, "items") }.unwrap();
        assert_eq!(read, [1, 2, 3].map(|first| Grown { first, later: 0 }));
        let mut place = [7_u64, 7];
        // SAFETY: two items of 8 bytes.
        unsafe { write_item(place.as_mut_ptr().cast(), 8, Grown { first: 1, later: 2 }) };
        assert_eq!(place, [1, 7], "what stands behind it is not ours");
    }

    #[test]
    fn items_of_a_newer_host_are_cleared_where_only_it_knows() {
        let mut place = [7_u64; 3];
        // SAFETY: one item of 24 bytes.
        unsafe { write_item(place.as_mut_ptr().cast(), 24, Grown { first: 1, later: 2 }) };
        assert_eq!(place, [1, 2, 0]);
        // SAFETY: as above.
        assert_eq!(unsafe { read_item(place.as_ptr().cast::<Grown>(), 24) }, Grown { first: 1, later: 2 });
    }

    #[test]
    fn items_smaller_than_the_first_or_out_of_line_are_refused() {
        for size in [0, 7, 12] {
            assert!(check_item_size::<Grown>(size, "size").is_err(), "{size}");
        }
    }
}
