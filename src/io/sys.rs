//! The system calls that have no safe wrapper, each behind a safe function.

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use bytes::BytesMut;
use socket2::Socket;

use crate::base::fork;

/// The signals that a thread had blocked; they are so again when this is dropped.
pub struct Mask(libc::sigset_t);

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: a set that the system has filled, and a null old set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Blocks all signals in the current thread but those that report its own faults or profile it.
pub fn block_host_signals() -> Mask {
    const KEPT: [i32; 8] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGSYS,
        libc::SIGPROF,
    ];
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set, and the last call fills the one from before.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for signal in KEPT {
            libc::sigdelset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), before.as_mut_ptr());
        Mask(before.assume_init())
    }
}

/// What the system's monotonic clock shows, in nanoseconds; 0 if it cannot be read.
pub fn monotonic_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The same as of the timer's last tick.
#[cfg_attr(feature = "test-hooks", expect(dead_code, reason = "tests need every nanosecond"))]
pub fn coarse_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system fills the struct, which outlives the call.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec),
        _ => 0,
    }
}

/// Receives into the buffer's spare room, at most `limit` bytes; 0 means that the peer has ended.
pub fn receive(socket: &Socket, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
    buffer.reserve(limit);
    let room = buffer.spare_capacity_mut();
    let room = room.get_mut(..limit).unwrap_or_default();
    let received = socket.recv(room)?;
    // SAFETY: the system has filled that many bytes of the spare room.
    unsafe { buffer.set_len(buffer.len() + received) };
    Ok(received)
}

/// What [`wait`] saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    /// The socket can go on, or has failed: the next call on it says which.
    Socket,
    /// The bell was rung.
    Bell,
    /// The time is up.
    TimedOut,
}

/// What to wait for on a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Bytes to read.
    Read,
    /// Room to write.
    Write,
    /// Nothing: only the bells count.
    Nothing,
}

/// Waits until the socket is ready, the bell rings or the time is up (`None`: for ever). A signal of
/// the host ends the wait with [`io::ErrorKind::Interrupted`].
pub fn wait(
    socket: BorrowedFd<'_>,
    bells: [Option<&Bell>; 2],
    interest: Interest,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let events = match interest {
        Interest::Read => libc::POLLIN,
        Interest::Write => libc::POLLOUT,
        Interest::Nothing => 0,
    };
    // The system passes over negative descriptors.
    let bell = |bell: Option<&Bell>| bell.map_or(-1, |bell| bell.fd.as_raw_fd());
    let mut fds = [
        libc::pollfd { fd: if events == 0 { -1 } else { socket.as_raw_fd() }, events, revents: 0 },
        libc::pollfd { fd: bell(bells[0]), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: bell(bells[1]), events: libc::POLLIN, revents: 0 },
    ];
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: valid entries, a timeout that is null or lives through the call, no signal mask.
    match unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null()) } {
        0 => Ok(Ready::TimedOut),
        -1 => Err(io::Error::last_os_error()),
        _ if fds[0].revents != 0 => Ok(Ready::Socket),
        _ => Ok(Ready::Bell),
    }
}

/// Waits until one of the sockets at least can be written to, or has failed; which of them. None if the time
/// is up first.
pub fn wait_any_writable(sockets: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let entry =
        |socket: &BorrowedFd<'_>| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let mut fds: Vec<_> = sockets.iter().map(entry).collect();
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: valid entries, a timeout that is null or lives through the call, no signal mask.
    match unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(fds.iter().map(|fd| fd.revents != 0).collect()),
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    // More than what fits is for ever to any caller.
    let seconds = duration.as_secs().min(i32::MAX as u64);
    libc::timespec { tv_sec: seconds as libc::time_t, tv_nsec: duration.subsec_nanos() as libc::c_long }
}

/// A bell that, once rung, wakes everybody who waits with it, until it is silenced. A child of fork leaves
/// its parent's alone: the two would hear each other, and the descriptor's number may mean another file.
#[derive(Debug)]
pub struct Bell {
    fd: ManuallyDrop<OwnedFd>,
    epoch: u32,
}

impl Drop for Bell {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: dropped here only, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.fd) }
        }
    }
}

impl Bell {
    /// A silent bell.
    pub fn new() -> io::Result<Bell> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Bell { fd, epoch: fork::epoch() })
    }

    /// Whether this process made it.
    pub fn is_ours(&self) -> bool {
        self.epoch == fork::epoch()
    }

    /// Rings it.
    pub fn ring(&self) {
        let one = 1u64;
        // SAFETY: eight readable bytes. The only failure is a full counter: it rings already.
        unsafe { libc::write(self.fd.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) };
    }

    /// Silences it.
    pub fn silence(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes. The only failure is a silent bell.
        unsafe { libc::read(self.fd.as_raw_fd(), std::ptr::from_mut(&mut count).cast(), 8) };
    }

    /// Whether it rings now.
    pub fn is_ringing(&self) -> bool {
        let mut fd = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry; a timeout of 0 only looks.
        unsafe { libc::poll(&raw mut fd, 1, 0) == 1 }
    }

    /// The descriptor, to wait for.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor's number, for hosts.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// The inode of an open socket: no other file of the system has it as long as the socket lives.
pub fn socket_inode(fd: RawFd) -> Option<u64> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a place for the answer, which is there if the call succeeded.
    let status = unsafe {
        if libc::fstat(fd, status.as_mut_ptr()) != 0 {
            return None;
        }
        status.assume_init()
    };
    (status.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some(status.st_ino)
}

/// Closes a descriptor of nobody: one that came with a fork, while its owner stayed in the parent.
pub fn close_inherited(fd: RawFd) {
    // SAFETY: no pointers; the caller has found that it is one of ours in the parent, and here nothing
    // uses that any more.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests;
