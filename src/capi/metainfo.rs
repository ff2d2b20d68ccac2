//! `krpc_metainfo`: key-value pairs that travel beside a call.

use crate::base::{Error, Metainfo, MetainfoKind};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_or, put};
use crate::capi::handle::{self, Opaque};
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;

/// Key-value pairs that travel beside a call. A key is unique within its kind; keys and values are text
/// that passes unchanged. Only TTHeader carries them: framed and buffered connections drop them.
///
/// Make one with `krpc_metainfo_new` to send it; those of requests and replies are borrowed and read
/// only. Free an owned one with `krpc_metainfo_free`.
pub struct krpc_metainfo {
    _opaque: [u8; 0],
}

impl Opaque for krpc_metainfo {
    type Inner = Metainfo;
    const KIND: Kind = Kind::Metainfo;
}

/// How far a pair travels. If A calls B, and B calls C while it answers A:
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_metainfo_kind {
    /// From A to B, where it arrives as UPSTREAM; C does not see it.
    KRPC_METAINFO_KIND_TRANSIENT = 1,
    /// From A to B, and from there to C and every service below.
    KRPC_METAINFO_KIND_PERSISTENT = 2,
    /// From B's handler back to A, beside the reply; no further.
    KRPC_METAINFO_KIND_BACKWARD = 3,
    /// What arrived in B as TRANSIENT: readable there, never sent on.
    KRPC_METAINFO_KIND_UPSTREAM = 4,
}

/// An empty set of pairs, owned by the caller.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_metainfo_new() -> *mut krpc_metainfo {
    guard_or(std::ptr::null_mut(), || handle::give(Metainfo::new()))
}

/// Sets a pair; replaces the value of a key that is there already.
///
/// `kind`: a `krpc_metainfo_kind`. `key`: not empty. `value`: may be empty, but receivers ignore pairs
/// with an empty value. Both are copied.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_set(
    metainfo: *mut krpc_metainfo,
    kind: i32,
    key: krpc_str,
    value: krpc_str,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for the handle and the views.
        let (metainfo, key, value) =
            unsafe { (handle::get_mut(metainfo, "metainfo")?, key.copy("key")?, value.copy("value")?) };
        let Some(kind) = MetainfoKind::from_number(kind) else {
            return Err(Error::invalid_argument("kind", format_args!("{kind} is no krpc_metainfo_kind")));
        };
        if key.is_empty() {
            return Err(Error::invalid_argument("key", "is empty: receivers would ignore the pair"));
        }
        metainfo.set(kind, key, value);
        Ok(())
    })
}

/// The value of a key.
///
/// `kind`: a `krpc_metainfo_kind`. `key`: borrowed for the call. `value` (optional): borrowed from
/// `metainfo`, valid until it is changed or freed.
/// Returns false, and sets an empty value, if there is no such pair.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_get(
    metainfo: *const krpc_metainfo,
    kind: i32,
    key: krpc_str,
    value: *mut krpc_str,
) -> bool {
    put(value, krpc_str::EMPTY);
    guard_or(false, || {
        // SAFETY: the host vouches for the handle and the view.
        let (metainfo, key) = unsafe { (handle::get(metainfo, "metainfo"), key.bytes("key")) };
        let (Ok(metainfo), Ok(key), Some(kind)) = (metainfo, key, MetainfoKind::from_number(kind)) else {
            return false;
        };
        let found = metainfo.get(kind, key);
        put(value, found.map_or(krpc_str::EMPTY, |found| krpc_str::of(found)));
        found.is_some()
    })
}

/// Number of pairs, of all kinds. 0 if `metainfo` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_count(metainfo: *const krpc_metainfo) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { handle::get(metainfo, "metainfo") }.map_or(0, Metainfo::len))
}

/// One pair, in the order they were set or received, 0 ≤ `index` < `krpc_metainfo_count`.
///
/// `kind` (optional): receives a `krpc_metainfo_kind`. `key` and `value` (both optional): borrowed from
/// `metainfo`, valid until it is changed or freed.
/// Returns false, and sets 0 and empty, if there is no such pair.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_at(
    metainfo: *const krpc_metainfo,
    index: usize,
    kind: *mut i32,
    key: *mut krpc_str,
    value: *mut krpc_str,
) -> bool {
    guard_or(false, || {
        // SAFETY: the host vouches for the handle.
        let pair = unsafe { handle::get(metainfo, "metainfo") }.ok().and_then(|metainfo| metainfo.at(index));
        put(kind, pair.map_or(0, |(kind, _, _)| kind as i32));
        put(key, pair.map_or(krpc_str::EMPTY, |(_, key, _)| krpc_str::of(key)));
        put(value, pair.map_or(krpc_str::EMPTY, |(_, _, value)| krpc_str::of(value)));
        pair.is_some()
    })
}

/// The same pairs in a set of their own, owned by the caller: for passing on, or keeping, what is
/// borrowed. NULL if `metainfo` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_copy(metainfo: *const krpc_metainfo) -> *mut krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null_mut(), || match unsafe { handle::get(metainfo, "metainfo") } {
        Ok(metainfo) => handle::give(metainfo.clone()),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Frees metainfo that you own. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_metainfo_free(metainfo: *mut krpc_metainfo) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(metainfo) });
}
