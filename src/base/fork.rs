//! In which process we are: a number that is another one in the child of a fork.
//!
//! The number stands alone in a page that the kernel wipes when a child is made (`MADV_WIPEONFORK`, Linux
//! 4.14), so asking for it costs two loads and no system call, and no fork handler of ours ever runs. Who
//! reads 0 is in a new process, or the first to ask, and picks the next number. Older kernels refuse the
//! advice: then the number goes with the process id, which costs a system call each time.
//!
//! In the child there is one thread, and what others held at the fork stays held for ever: locks, and
//! whatever was half changed behind them. Hence the rules of this library:
//!
//! - What belongs to somebody (a handle, an event descriptor) keeps the number of the process that made it.
//!   Of another process it is only looked at: no lock is taken, no descriptor touched, nothing dropped.
//! - What belongs to the process (the log's sink, the shared runtime, the list of sockets) is a
//!   [`PerProcess`]: the child starts with a new one, and never opens the parent's.
//! - Locks keep their state in themselves ([`crate::base::lock`]), so that new ones work in the child
//!   whatever the parent did.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Leads to the word in the wiped page; until there is one, to a word that is always 0.
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const UNKNOWN).cast_mut());
static UNKNOWN: AtomicU32 = AtomicU32::new(0);

/// The highest number picked in this process and its ancestors. Never below what the word says.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The number of this process, never 0. Handles made before a fork have another one.
#[inline]
pub fn epoch() -> u32 {
    // SAFETY: the pointer leads to a static or to a page that is never unmapped.
    match unsafe { &*WORD.load(Ordering::Relaxed) }.load(Ordering::Relaxed) {
        0 => find_epoch(),
        epoch => epoch,
    }
}

#[cold]
#[inline(never)]
fn find_epoch() -> u32 {
    match wiped_word() {
        Some(word) => {
            // First the note, then the word: a fork in between skips a number but repeats none.
            let next = LAST.load(Ordering::Relaxed) + 1;
            LAST.fetch_max(next, Ordering::AcqRel);
            match word.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => next,
                Err(found) => found,
            }
        }
        None => by_process_id(std::process::id()),
    }
}

/// The word in the wiped page; `None` if the kernel cannot wipe pages.
fn wiped_word() -> Option<&'static AtomicU32> {
    static REFUSED: AtomicBool = AtomicBool::new(false);
    let known = WORD.load(Ordering::Acquire);
    if known.cast_const() != &raw const UNKNOWN {
        // SAFETY: a page that is never unmapped.
        return Some(unsafe { &*known });
    }
    if REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    let Some(page) = map_wiped_page() else {
        REFUSED.store(true, Ordering::Relaxed);
        return None;
    };
    let unknown = (&raw const UNKNOWN).cast_mut();
    match WORD.compare_exchange(unknown, page, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: the new page, which stays.
        Ok(_) => Some(unsafe { &*page }),
        Err(found) => {
            // SAFETY: our page, which nobody else has seen; the other one stays.
            unsafe {
                libc::munmap(page.cast(), PAGE_BYTES);
                Some(&*found)
            }
        }
    }
}

/// Rounded up by the kernel to its own size of a page.
const PAGE_BYTES: usize = 4096;

fn map_wiped_page() -> Option<*mut AtomicU32> {
    // SAFETY: a new mapping of our own; its address is checked.
    unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let page = libc::mmap(ptr::null_mut(), PAGE_BYTES, access, kind, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, PAGE_BYTES);
            return None;
        }
        Some(page.cast())
    }
}

/// The number by process id. A child has another id than all its living ancestors.
fn by_process_id(id: u32) -> u32 {
    /// Process id and number, together.
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let mut seen = SEEN.load(Ordering::Acquire);
    loop {
        let epoch = seen as u32;
        if (seen >> 32) as u32 == id && epoch != 0 {
            return epoch;
        }
        let next = u64::from(id) << 32 | u64::from(epoch + 1);
        match SEEN.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return epoch + 1,
            Err(found) => seen = found,
        }
    }
}

/// A value that each process has for itself, made when it is first asked for. A child's is a new one; the
/// parent's stays as the fork found it, for those few who can read it without its locks.
pub struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
    // Values are used from any thread; the pointer alone would not say so.
    values: PhantomData<T>,
}

/// Never freed: there is one for each generation of forks, and only for those that used it.
struct Node<T> {
    epoch: u32,
    value: T,
    earlier: *const Node<T>,
}

impl<T: Default + Send + Sync> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

impl<T: Default + Send + Sync> PerProcess<T> {
    /// No value yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess { newest: AtomicPtr::new(ptr::null_mut()), values: PhantomData }
    }

    /// This process's value.
    pub fn get(&'static self) -> &'static T {
        let epoch = epoch();
        let mut newest = self.newest.load(Ordering::Acquire);
        loop {
            // SAFETY: null or a node, which is never freed.
            match unsafe { newest.as_ref() } {
                Some(node) if node.epoch == epoch => return &node.value,
                _ => {}
            }
            let made = Box::into_raw(Box::new(Node { epoch, value: T::default(), earlier: newest }));
            match self.newest.compare_exchange(newest, made, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: the new node, which is never freed.
                Ok(_) => return unsafe { &(*made).value },
                Err(found) => {
                    // SAFETY: our node, which nobody else has seen.
                    drop(unsafe { Box::from_raw(made) });
                    newest = found;
                }
            }
        }
    }

    /// The values of the process's ancestors, the nearest first. Their locks may be held for ever.
    pub fn inherited(&'static self) -> impl Iterator<Item = &'static T> {
        let epoch = epoch();
        // SAFETY: null or a node, which is never freed.
        let newest: Option<&'static Node<T>> =
            unsafe { self.newest.load(Ordering::Acquire).cast_const().as_ref() };
        // SAFETY: as above.
        let nodes = std::iter::successors(newest, |node| unsafe { node.earlier.as_ref() });
        nodes.filter(move |node| node.epoch != epoch).map(|node| &node.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static VALUE: PerProcess<AtomicU32> = PerProcess::new();

    /// Runs a check in a child, which may not allocate much nor print: it only says yes or no.
    fn in_a_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child calls nothing but the check and `_exit`.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(if check() { 0 } else { 1 });
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }

    #[test]
    fn a_child_has_another_number_and_its_own_values() {
        let parent = epoch();
        assert_eq!(epoch(), parent);
        VALUE.get().store(7, Ordering::Relaxed);
        assert_eq!(VALUE.inherited().count(), 0);
        assert!(in_a_child(|| {
            let child = epoch();
            let own = VALUE.get().load(Ordering::Relaxed);
            let before = VALUE.inherited().next().map(|value| value.load(Ordering::Relaxed));
            let below = in_a_child(|| epoch() > child && VALUE.inherited().count() == 2);
            child > parent && epoch() == child && own == 0 && before == Some(7) && below
        }));
        assert_eq!((epoch(), VALUE.get().load(Ordering::Relaxed)), (parent, 7));
    }

    #[test]
    fn without_wiped_pages_the_process_id_decides() {
        let id = std::process::id();
        let parent = by_process_id(id);
        assert_eq!(by_process_id(id), parent);
        assert!(in_a_child(|| by_process_id(std::process::id()) == parent + 1));
    }
}
