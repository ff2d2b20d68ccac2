//! The sockets that a child of fork has by accident, and how it gets rid of them.
//!
//! Every socket of the core is noted when it is made: number and inode. Nothing is crossed out when it is
//! closed: the number then means nothing or another file, whose inode differs. So a note is one store,
//! and the child, which may not take the parent's locks, can read all of them.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::fork::PerProcess;
use crate::io::sys;

/// Descriptors in a part of the table, and parts: beyond a million nothing is noted.
const PART: usize = 1024;
const PARTS: usize = 1024;

static NOTES: PerProcess<Notes> = PerProcess::new();

/// Inodes by number of the descriptor, 0 where there never was a socket of ours.
struct Notes(Box<[OnceLock<Box<[AtomicU64]>>]>);

impl Default for Notes {
    fn default() -> Notes {
        Notes((0..PARTS).map(|_| OnceLock::new()).collect())
    }
}

/// Notes a socket that was just made.
pub fn note(socket: &impl AsRawFd) {
    let fd = socket.as_raw_fd();
    let Some((index, inode)) = usize::try_from(fd).ok().zip(sys::socket_inode(fd)) else { return };
    if let Some(part) = NOTES.get().0.get(index / PART) {
        let part = part.get_or_init(|| (0..PART).map(|_| AtomicU64::new(0)).collect());
        part[index % PART].store(inode, Ordering::Relaxed);
    }
}

/// Closes what this process has of its ancestors' sockets, and returns how many there were. Their epoll and
/// event descriptors stay: closing those frees no address and ends no connection.
pub fn close() -> usize {
    let mut closed = 0;
    for notes in NOTES.inherited() {
        for (part, inodes) in notes.0.iter().enumerate() {
            for (place, inode) in inodes.get().into_iter().flatten().enumerate() {
                let (fd, inode) = ((part * PART + place) as RawFd, inode.load(Ordering::Relaxed));
                if inode != 0 && sys::socket_inode(fd) == Some(inode) {
                    sys::close_inherited(fd);
                    closed += 1;
                }
            }
        }
    }
    closed
}
