//! Handles: how values of the core become opaque pointers and come back.
//!
//! Each handle has exactly one owner. A slot carries its type, whether the host owns it and the process
//! that made it, so that a wrong or borrowed pointer is refused instead of believed, and one from before a
//! fork is FORKED; debug builds also know every address, and which functions made and freed it.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{Code, Error, Result, fork};
use crate::observe::handles::{self, Kind};

/// Ties an opaque C type to the value behind it.
pub(super) trait Opaque {
    /// What the pointer leads to.
    type Inner;
    /// The registry's name for the type.
    const KIND: Kind;
}

/// What a handle really points to. Embedded slots ([`Slot::borrowed`]) belong to another handle.
/// `repr(C)` keeps the tag first, where [`check`] looks for it before it knows the type.
#[repr(C)]
pub(super) struct Slot<T> {
    tag: AtomicU64,
    value: T,
}

// A tag, from the top: the number of the process that made the handle (32 bits), MAGIC or FREED (24), OWNED,
// the type.
const MAGIC: u64 = 0x6b72_7000;
const OWNED: u64 = 0x80;
const FREED: u64 = 0xdead_0000;
const STATE: u64 = 0xffff_ff00;
const TYPE: u64 = 0x7f;

/// The tag of this process's handles of a type.
fn tag(kind: Kind) -> u64 {
    u64::from(fork::epoch()) << 32 | MAGIC | kind as u64
}

impl<T> Slot<T> {
    /// A slot inside another handle, whose pointer the host may use but not free.
    pub(super) fn borrowed<O: Opaque<Inner = T>>(value: T) -> Slot<T> {
        Slot { tag: AtomicU64::new(tag(O::KIND)), value }
    }

    /// What is behind it.
    pub(super) fn value(&self) -> &T {
        &self.value
    }

    /// The host may not use it any more, though it is dropped later.
    pub(super) fn bury(&self) {
        debug::died(std::ptr::from_ref(self) as usize);
    }

    /// The pointer that the host sees.
    pub(super) fn as_handle<O: Opaque<Inner = T>>(&self) -> *const O {
        let slot = std::ptr::from_ref(self);
        debug::born(slot as usize, O::KIND, false);
        slot.cast()
    }
}

/// A slot dies where it stands, so that a pointer to it is refused as long as nothing overwrites it.
impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let tag = self.tag.get_mut();
        *tag = FREED | *tag & TYPE;
        debug::died(std::ptr::from_ref(self) as usize);
    }
}

/// Gives a value to the host, as a handle that it must free.
pub(super) fn give<O: Opaque>(value: O::Inner) -> *mut O {
    give_ready(ready::<O>(value))
}

/// A handle that is made before it is given, perhaps by another thread. The host does not have it yet.
pub(super) fn ready<O: Opaque>(value: O::Inner) -> Box<Slot<O::Inner>> {
    Box::new(Slot { tag: AtomicU64::new(tag(O::KIND) | OWNED), value })
}

/// Gives the host a handle that was ready. Touches nothing of it.
pub(super) fn give_ready<O: Opaque>(slot: Box<Slot<O::Inner>>) -> *mut O {
    handles::created(O::KIND);
    let pointer = Box::into_raw(slot);
    debug::born(pointer as usize, O::KIND, true);
    pointer.cast()
}

/// The value behind a handle. `parameter` is the name the header uses.
pub(super) unsafe fn get<'a, O: Opaque>(handle: *const O, parameter: &str) -> Result<&'a O::Inner> {
    let slot = check::<O>(handle, parameter)?;
    // SAFETY: checked; the caller vouches that the handle outlives its use.
    Ok(unsafe { &(*slot).value })
}

/// The value behind a handle that only one thread uses at a time (builders, writers, readers).
/// Refuses borrowed ones: what belongs to another handle is read only.
pub(super) unsafe fn get_mut<'a, O: Opaque>(handle: *mut O, parameter: &str) -> Result<&'a mut O::Inner> {
    let slot = check::<O>(handle, parameter)?;
    // SAFETY: checked above.
    if unsafe { (*slot).tag.load(Ordering::Acquire) } & OWNED == 0 {
        return Err(Error::invalid_argument(parameter, "borrowed from another handle, not yours to change"));
    }
    // SAFETY: as above, and the function's thread word demands exclusive use.
    Ok(unsafe { &mut (*slot).value })
}

/// The value behind a handle that may be NULL.
pub(super) unsafe fn optional<'a, O: Opaque>(
    handle: *const O,
    parameter: &str,
) -> Result<Option<&'a O::Inner>> {
    match handle.is_null() {
        true => Ok(None),
        // SAFETY: the caller vouches for the pointer.
        false => unsafe { get(handle, parameter) }.map(Some),
    }
}

/// The host's array; NULL with count 0 is an empty one.
pub(super) unsafe fn slice<'a, T>(items: *const T, count: usize, parameter: &str) -> Result<&'a [T]> {
    match (items.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Error::invalid_argument(parameter, "is NULL but count is not 0")),
        // SAFETY: not NULL, and the caller vouches for `count` items.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(items, count) }),
    }
}

/// Takes a value back from the host. The handle is gone, whatever happens next.
pub(super) unsafe fn take<O: Opaque>(handle: *mut O, parameter: &str) -> Result<O::Inner> {
    // SAFETY: the caller vouches for the pointer.
    let slot = unsafe { reclaim(handle, parameter)? };
    debug::died(std::ptr::from_ref(&*slot) as usize);
    // SAFETY: the value is read once, and the box is then freed without running the slot's drop.
    unsafe {
        let value = std::ptr::read(&raw const slot.value);
        drop(Box::from_raw(Box::into_raw(slot).cast::<ManuallyDrop<Slot<O::Inner>>>()));
        Ok(value)
    }
}

/// Frees a handle; NULL is fine, a wrong pointer is left alone. Of one from before a fork only the note
/// that the host had it goes: what is behind it may be locked, and its sockets are the parent's.
pub(super) unsafe fn free<O: Opaque>(handle: *mut O) {
    // The box is dropped in place: slots embedded in the value die at the address the host knows.
    // SAFETY: the caller vouches for the pointer.
    drop(unsafe { take_back(handle) });
}

/// Takes a handle back from the host, with what is behind it where it is; `None` for NULL and wrong pointers.
pub(super) unsafe fn take_back<O: Opaque>(handle: *mut O) -> Option<Box<Slot<O::Inner>>> {
    if handle.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for the pointer.
    unsafe { reclaim(handle, "handle") }.ok()
}

/// The box behind an owned handle, no longer the host's. Of two threads that try, one wins.
unsafe fn reclaim<O: Opaque>(handle: *mut O, parameter: &str) -> Result<Box<Slot<O::Inner>>> {
    let slot = pointer::<O>(handle, parameter)?;
    debug::claim(slot as usize, O::KIND, parameter)?;
    if let Err(error) = check_tag::<O>(slot, parameter) {
        if error.code() == Code::Forked {
            leave_behind::<O>(slot);
        }
        return Err(error);
    }
    match disown::<O>(slot, tag(O::KIND)) {
        Ok(_) => {
            handles::freed(O::KIND);
            // SAFETY: owned, hence given out by `give` as a box.
            Ok(unsafe { Box::from_raw(slot) })
        }
        Err(found) if found == tag(O::KIND) => {
            Err(Error::invalid_argument(parameter, "borrowed from another handle, not yours to free"))
        }
        Err(_) => Err(Error::invalid_argument(parameter, "was freed before")),
    }
}

/// Of two threads that try, one wins; the other gets the tag that is there. `tag` is the borrowed one's.
fn disown<O: Opaque>(slot: *mut Slot<O::Inner>, tag: u64) -> Result<u64, u64> {
    let freed = FREED | O::KIND as u64;
    // SAFETY: the caller has checked the slot.
    unsafe { (*slot).tag.compare_exchange(tag | OWNED, freed, Ordering::AcqRel, Ordering::Acquire) }
}

/// A handle from before a fork is no longer the host's, and leaks.
fn leave_behind<O: Opaque>(slot: *mut Slot<O::Inner>) {
    // SAFETY: as above.
    let tag = unsafe { (*slot).tag.load(Ordering::Acquire) } & !OWNED;
    if disown::<O>(slot, tag).is_ok() {
        handles::left_behind(O::KIND);
    }
}

fn check<O: Opaque>(handle: *const O, parameter: &str) -> Result<*mut Slot<O::Inner>> {
    let slot = pointer::<O>(handle, parameter)?;
    debug::alive(slot as usize, parameter)?;
    check_tag::<O>(slot, parameter)?;
    Ok(slot)
}

/// What a handle points to, if it can be one at all.
fn pointer<O: Opaque>(handle: *const O, parameter: &str) -> Result<*mut Slot<O::Inner>> {
    let slot = handle.cast::<Slot<O::Inner>>().cast_mut();
    if slot.is_null() {
        return Err(Error::invalid_argument(parameter, "is NULL"));
    }
    if !slot.is_aligned() {
        return Err(Error::invalid_argument(parameter, "is not a handle of this library"));
    }
    Ok(slot)
}

fn check_tag<O: Opaque>(slot: *mut Slot<O::Inner>, parameter: &str) -> Result<()> {
    // SAFETY: not NULL, aligned; the caller vouches that it is a handle of some type, whose first
    // field is the tag.
    let found = unsafe { (*slot).tag.load(Ordering::Acquire) };
    match found & !OWNED {
        found if found == tag(O::KIND) => Ok(()),
        found => Err(refusal(found, O::KIND, slot as usize, parameter)),
    }
}

/// Why a pointer with this tag is not a handle that can be used.
#[cold]
fn refusal(found: u64, wanted: Kind, address: usize, parameter: &str) -> Error {
    if found as u32 == tag(wanted) as u32 {
        let text = format!("{parameter}: the krpc_{} was made before a fork", wanted.name());
        return Error::new(Code::Forked, text);
    }
    if found & STATE == FREED {
        return Error::invalid_argument(parameter, "was freed before");
    }
    let really = debug::description(address);
    Error::invalid_argument(parameter, format_args!("is not a krpc_{}{really}", wanted.name()))
}

/// Debug builds remember every address that was given out, so that a double free, a use after free or a
/// pointer from elsewhere is an error and not a crash. Its memory is not even looked at.
#[cfg(debug_assertions)]
mod debug {
    use std::collections::BTreeMap;

    use crate::base::fork::PerProcess;
    use crate::base::lock::Mutex;
    use crate::base::{Error, Result};
    use crate::capi::guard::current_function;
    use crate::observe::handles::Kind;

    struct Seen {
        kind: Kind,
        owned: bool,
        made_by: &'static str,
        freed_by: Option<&'static str>,
    }

    static SEEN: PerProcess<Mutex<BTreeMap<usize, Seen>>> = PerProcess::new();

    pub(super) fn born(address: usize, kind: Kind, owned: bool) {
        let seen = Seen { kind, owned, made_by: current_function(), freed_by: None };
        SEEN.get().lock().insert(address, seen);
    }

    pub(super) fn died(address: usize) {
        if let Some(seen) = SEEN.get().lock().get_mut(&address) {
            seen.freed_by.get_or_insert(current_function());
        }
    }

    pub(super) fn alive(address: usize, parameter: &str) -> Result<()> {
        match SEEN.get().lock().get(&address) {
            Some(Seen { freed_by: None, .. }) => Ok(()),
            Some(Seen { kind, made_by, freed_by: Some(freed_by), .. }) => Err(Error::invalid_argument(
                parameter,
                format_args!(
                    "is a krpc_{} that was freed before (made by {made_by}, freed by {freed_by})",
                    kind.name()
                ),
            )),
            // The parent knew its own, but its notes may be locked for ever: the memory has to tell.
            None if SEEN.inherited().next().is_some() => Ok(()),
            None => Err(Error::invalid_argument(parameter, "is not a handle of this library")),
        }
    }

    /// Before an owned handle is freed. Of two threads that try, one is told so before it has touched the
    /// memory, which may be gone by then.
    pub(super) fn claim(address: usize, kind: Kind, parameter: &str) -> Result<()> {
        if let Some(seen) = SEEN.get().lock().get_mut(&address)
            && (seen.kind, seen.owned, seen.freed_by) == (kind, true, None)
        {
            seen.freed_by = Some(current_function());
            return Ok(());
        }
        alive(address, parameter)
    }

    /// What an address really is.
    pub(super) fn description(address: usize) -> String {
        match SEEN.get().lock().get(&address) {
            Some(Seen { kind, made_by, .. }) => format!(" but a krpc_{}, made by {made_by}", kind.name()),
            None => String::new(),
        }
    }
}

#[cfg(not(debug_assertions))]
mod debug {
    use crate::base::Result;
    use crate::observe::handles::Kind;

    pub(super) fn born(_: usize, _: Kind, _: bool) {}
    pub(super) fn died(_: usize) {}
    pub(super) fn alive(_: usize, _: &str) -> Result<()> {
        Ok(())
    }
    pub(super) fn claim(_: usize, _: Kind, _: &str) -> Result<()> {
        Ok(())
    }
    pub(super) fn description(_: usize) -> &'static str {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Message, Metainfo, MetainfoKind};
    use crate::capi::message::krpc_message;
    use crate::capi::metainfo::krpc_metainfo;

    #[test]
    fn a_borrowed_handle_is_read_but_neither_changed_nor_freed() {
        let mut pairs = Metainfo::new();
        pairs.set(MetainfoKind::Backward, "k", "v");
        let slot = Box::new(Slot::borrowed::<krpc_metainfo>(pairs));
        let handle = slot.as_handle::<krpc_metainfo>().cast_mut();
        // SAFETY: each pointer is alive, or known to be dead by the debug registry.
        unsafe {
            assert_eq!(get(handle, "metainfo").unwrap().len(), 1);
            let error = get_mut(handle, "metainfo").unwrap_err();
            assert_eq!(error.text(), "metainfo: borrowed from another handle, not yours to change");
            let error = take(handle, "metainfo").unwrap_err();
            assert_eq!(error.text(), "metainfo: borrowed from another handle, not yours to free");
            free(handle);
            assert_eq!(get(handle, "metainfo").unwrap().len(), 1);
            let error = get(handle.cast::<krpc_message>(), "message").unwrap_err();
            assert!(error.text().starts_with("message: is not a krpc_message"));
            drop(slot);
            #[cfg(debug_assertions)]
            assert!(get(handle, "metainfo").unwrap_err().text().contains("that was freed before"));
        }
    }

    #[test]
    fn an_owned_handle_is_taken_once() {
        let message = Message::empty_struct();
        let handle = give::<krpc_message>(message.clone());
        // SAFETY: as above.
        unsafe {
            assert_eq!(take(handle, "message").unwrap(), message);
            #[cfg(debug_assertions)]
            assert!(take(handle, "message").unwrap_err().text().contains("that was freed before"));
        }
    }
}
