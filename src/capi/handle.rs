//! Handles: how values of the core become opaque pointers and come back.
//!
//! Each handle has exactly one owner. A slot carries its type and whether the host owns it, so that a
//! wrong or borrowed pointer is refused instead of believed; debug builds also know every live address.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::base::{Error, Result};
use crate::observe::handles::{self, Kind};

/// Ties an opaque C type to the value behind it.
pub(super) trait Opaque {
    /// What the pointer leads to.
    type Inner;
    /// The registry's name for the type.
    const KIND: Kind;
}

/// What a handle really points to. Embedded slots ([`Slot::borrowed`]) belong to another handle.
/// In C's order, so that the tag is found before the type is known.
#[repr(C)]
pub(super) struct Slot<T> {
    tag: AtomicU32,
    value: T,
}

const MAGIC: u32 = 0x6b72_7000;
const OWNED: u32 = 0x80;
const FREED: u32 = 0xdead_0000;

const fn tag(kind: Kind) -> u32 {
    MAGIC | kind as u32
}

impl<T> Slot<T> {
    /// A slot inside another handle, whose pointer the host may use but not free.
    pub(super) fn borrowed<O: Opaque<Inner = T>>(value: T) -> Slot<T> {
        Slot { tag: AtomicU32::new(tag(O::KIND)), value }
    }

    /// The pointer that the host sees.
    pub(super) fn as_handle<O: Opaque<Inner = T>>(&self) -> *const O {
        std::ptr::from_ref(self).cast()
    }

    /// The value, for the handle that embeds this slot.
    pub(super) fn value(&self) -> &T {
        &self.value
    }
}

/// Gives a value to the host, as a handle that it must free.
pub(super) fn give<O: Opaque>(value: O::Inner) -> *mut O {
    let slot = Box::new(Slot { tag: AtomicU32::new(tag(O::KIND) | OWNED), value });
    handles::created(O::KIND);
    let pointer = Box::into_raw(slot);
    debug::born(pointer as usize, O::KIND);
    pointer.cast()
}

/// The value behind a handle. `parameter` is the name the header uses.
pub(super) unsafe fn get<'a, O: Opaque>(handle: *const O, parameter: &str) -> Result<&'a O::Inner> {
    let slot = check::<O>(handle, parameter)?;
    // SAFETY: checked; the caller vouches that the handle outlives its use.
    Ok(unsafe { &(*slot).value })
}

/// The value behind a handle that only one thread uses at a time (builders, writers, readers).
pub(super) unsafe fn get_mut<'a, O: Opaque>(handle: *mut O, parameter: &str) -> Result<&'a mut O::Inner> {
    let slot = check::<O>(handle, parameter)?;
    // SAFETY: as above, and the function's thread word demands exclusive use.
    Ok(unsafe { &mut (*slot).value })
}

/// Takes a value back from the host. The handle is gone, whatever happens next.
pub(super) unsafe fn take<O: Opaque>(handle: *mut O, parameter: &str) -> Result<O::Inner> {
    let slot = check::<O>(handle, parameter)?;
    // SAFETY: checked above.
    let state = unsafe { (*slot).tag.swap(FREED | O::KIND as u32, Ordering::AcqRel) };
    if state & OWNED == 0 {
        // SAFETY: checked above; a borrowed slot stays valid, so its tag is put back.
        unsafe { (*slot).tag.store(state, Ordering::Release) };
        return Err(Error::invalid_argument(parameter, "borrowed from another handle, not yours to free"));
    }
    debug::died(slot as usize);
    handles::freed(O::KIND);
    // SAFETY: owned, and given out by `give` as a box.
    Ok(unsafe { Box::from_raw(slot) }.value)
}

/// Frees a handle; NULL is fine, a wrong pointer is left alone.
pub(super) unsafe fn free<O: Opaque>(handle: *mut O) {
    if !handle.is_null() {
        // SAFETY: the caller vouches for the pointer.
        drop(unsafe { take(handle, "handle") });
    }
}

fn check<O: Opaque>(handle: *const O, parameter: &str) -> Result<*mut Slot<O::Inner>> {
    let slot = handle.cast::<Slot<O::Inner>>().cast_mut();
    if slot.is_null() {
        return Err(Error::invalid_argument(parameter, "is NULL"));
    }
    if !slot.is_aligned() {
        return Err(Error::invalid_argument(parameter, "is not a handle"));
    }
    debug::alive(slot as usize, parameter)?;
    // SAFETY: not NULL, aligned; the caller vouches that it is a handle of some type, whose first
    // field is the tag.
    let found = unsafe { (*slot).tag.load(Ordering::Acquire) };
    match found & !OWNED {
        found if found == tag(O::KIND) => Ok(slot),
        found if found & 0xffff_ff00 == FREED => Err(Error::invalid_argument(parameter, "was freed before")),
        _ => Err(Error::invalid_argument(parameter, format_args!("is not a krpc_{}", O::KIND.name()))),
    }
}

/// Debug builds remember freed addresses that have not been given out again, so that a double free
/// or a use after free is an error and not a crash.
#[cfg(debug_assertions)]
mod debug {
    use std::collections::HashMap;

    use parking_lot::Mutex;

    use crate::base::{Error, Result};
    use crate::observe::handles::Kind;

    static DEAD: Mutex<Option<HashMap<usize, Kind>>> = Mutex::new(None);
    static LIVE: Mutex<Option<HashMap<usize, Kind>>> = Mutex::new(None);

    pub(super) fn born(address: usize, kind: Kind) {
        if let Some(dead) = DEAD.lock().as_mut() {
            dead.remove(&address);
        }
        LIVE.lock().get_or_insert_default().insert(address, kind);
    }

    pub(super) fn died(address: usize) {
        if let Some(kind) = LIVE.lock().as_mut().and_then(|live| live.remove(&address)) {
            DEAD.lock().get_or_insert_default().insert(address, kind);
        }
    }

    pub(super) fn alive(address: usize, parameter: &str) -> Result<()> {
        match DEAD.lock().as_ref().and_then(|dead| dead.get(&address)) {
            Some(kind) => Err(Error::invalid_argument(
                parameter,
                format_args!("is a krpc_{} that was freed before", kind.name()),
            )),
            None => Ok(()),
        }
    }
}

#[cfg(not(debug_assertions))]
mod debug {
    use crate::base::Result;
    use crate::observe::handles::Kind;

    pub(super) fn born(_: usize, _: Kind) {}
    pub(super) fn died(_: usize) {}
    pub(super) fn alive(_: usize, _: &str) -> Result<()> {
        Ok(())
    }
}
