//! Counts, for each thread of this process, what it allocates and how often it calls the system.
//!
//! Allocations pass the global allocator. System calls pass the functions below: the program's own symbols come
//! before libc's, so Rust's library, tokio and libkrpc call these. Whatever goes around libc is not seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};

const THREADS: usize = 1024;

struct Slot {
    thread: AtomicI32,
    allocations: AtomicU64,
    /// Into and out of sockets, and all others: waits, wake-ups, descriptors.
    transfers: AtomicU64,
    others: AtomicU64,
}

static SLOTS: [Slot; THREADS] = [const {
    Slot {
        thread: AtomicI32::new(0),
        allocations: AtomicU64::new(0),
        transfers: AtomicU64::new(0),
        others: AtomicU64::new(0),
    }
}; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(0) };
}

/// The current thread's slot; the last threads share one.
fn slot() -> &'static Slot {
    let at = SLOT.with(|slot| {
        if slot.get() == 0 {
            slot.set(NEXT.fetch_add(1, Relaxed).min(THREADS - 1));
            SLOTS[slot.get()].thread.store(thread_id(), Relaxed);
        }
        slot.get()
    });
    &SLOTS[at]
}

/// What some threads have done so far.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Count {
    pub allocations: u64,
    pub transfers: u64,
    pub others: u64,
}

impl Count {
    /// The sum over the threads for which `belongs` is true, dead ones included.
    pub fn of(belongs: impl Fn(i32) -> bool) -> Count {
        let used = &SLOTS[1..NEXT.load(Relaxed).min(THREADS)];
        let mut sum = Count::default();
        for slot in used.iter().filter(|slot| belongs(slot.thread.load(Relaxed))) {
            sum.allocations += slot.allocations.load(Relaxed);
            sum.transfers += slot.transfers.load(Relaxed);
            sum.others += slot.others.load(Relaxed);
        }
        sum
    }

    pub fn since(self, before: Count) -> Count {
        Count {
            allocations: self.allocations - before.allocations,
            transfers: self.transfers - before.transfers,
            others: self.others - before.others,
        }
    }
}

/// How often those threads have slept for which `belongs` is true; one that has ended takes its number along. Itself
/// allocates and calls the system.
pub fn waits(belongs: impl Fn(i32) -> bool) -> u64 {
    threads().into_iter().filter(|thread| belongs(*thread)).filter_map(waits_of).sum()
}

/// `None` if it has just ended.
fn waits_of(thread: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
}

/// The threads that live now.
pub fn threads() -> Vec<i32> {
    let names = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_str().unwrap().parse().unwrap()).collect()
}

// ---- allocations --------------------------------------------------------------------------------

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does all the work; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        slot().allocations.fetch_add(1, Relaxed);
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        slot().allocations.fetch_add(1, Relaxed);
        // SAFETY: what the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        slot().allocations.fetch_add(1, Relaxed);
        // SAFETY: what the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

// ---- system calls -------------------------------------------------------------------------------

type Arguments = [c_long; 6];

#[cfg(target_arch = "x86_64")]
fn enter(number: c_long, a: Arguments) -> c_long {
    let result;
    // SAFETY: the system checks its arguments; the caller of the function below answers for pointers.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") number => result, in("rdi") a[0], in("rsi") a[1],
            in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5], out("rcx") _, out("r11") _);
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn enter(number: c_long, a: Arguments) -> c_long {
    let result;
    // SAFETY: the system checks its arguments; the caller of the function below answers for pointers.
    unsafe {
        std::arch::asm!("svc 0", in("x8") number, inlateout("x0") a[0] => result, in("x1") a[1],
            in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5]);
    }
    result
}

fn thread_id() -> i32 {
    enter(libc::SYS_gettid, [0; 6]) as i32
}

/// As libc's: -1 and `errno` on a failure.
fn finish(result: c_long) -> c_long {
    if (-4095..0).contains(&result) {
        // SAFETY: each thread has its own.
        unsafe { *libc::__errno_location() = -result as c_int };
        return -1;
    }
    result
}

fn transfer(number: c_long, a: Arguments) -> isize {
    slot().transfers.fetch_add(1, Relaxed);
    finish(enter(number, a)) as isize
}

fn other(number: c_long, a: Arguments) -> c_long {
    slot().others.fetch_add(1, Relaxed);
    finish(enter(number, a))
}

macro_rules! replaced {
    ($($count:ident $name:ident($($argument:ident: $ty:ty),*) -> $result:ty = $number:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $ty),*) -> $result {
            let mut arguments = [0; 6];
            for (at, argument) in arguments.iter_mut().zip([$($argument as c_long),*]) {
                *at = argument;
            }
            $count($number, arguments) as $result
        }
    )*};
}

type Pointer = *mut c_void;

replaced! {
    transfer read(fd: c_int, bytes: Pointer, len: usize) -> isize = libc::SYS_read;
    transfer write(fd: c_int, bytes: Pointer, len: usize) -> isize = libc::SYS_write;
    transfer readv(fd: c_int, parts: Pointer, count: c_int) -> isize = libc::SYS_readv;
    transfer writev(fd: c_int, parts: Pointer, count: c_int) -> isize = libc::SYS_writev;
    transfer recvfrom(fd: c_int, bytes: Pointer, len: usize, flags: c_int, from: Pointer, size: Pointer) -> isize = libc::SYS_recvfrom;
    transfer sendto(fd: c_int, bytes: Pointer, len: usize, flags: c_int, to: Pointer, size: c_int) -> isize = libc::SYS_sendto;
    transfer recvmsg(fd: c_int, message: Pointer, flags: c_int) -> isize = libc::SYS_recvmsg;
    transfer sendmsg(fd: c_int, message: Pointer, flags: c_int) -> isize = libc::SYS_sendmsg;
    other epoll_ctl(epoll: c_int, what: c_int, fd: c_int, event: Pointer) -> c_int = libc::SYS_epoll_ctl;
    other ppoll(fds: Pointer, count: u64, timeout: Pointer, mask: Pointer, size: usize) -> c_int = libc::SYS_ppoll;
    other setsockopt(fd: c_int, level: c_int, name: c_int, value: Pointer, size: c_int) -> c_int = libc::SYS_setsockopt;
    other getsockopt(fd: c_int, level: c_int, name: c_int, value: Pointer, size: Pointer) -> c_int = libc::SYS_getsockopt;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recv(fd: c_int, bytes: Pointer, len: usize, flags: c_int) -> isize {
    transfer(libc::SYS_recvfrom, [fd as c_long, bytes as c_long, len as c_long, flags as c_long, 0, 0])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, bytes: Pointer, len: usize, flags: c_int) -> isize {
    transfer(libc::SYS_sendto, [fd as c_long, bytes as c_long, len as c_long, flags as c_long, 0, 0])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(epoll: c_int, events: Pointer, count: c_int, timeout: c_int) -> c_int {
    let arguments = [epoll as c_long, events as c_long, count as c_long, timeout as c_long, 0, 8];
    other(libc::SYS_epoll_pwait, arguments) as c_int
}

/// Futexes come this way. Reading the clock does not, and is none on most systems.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    other(number, [a, b, c, d, e, f])
}
