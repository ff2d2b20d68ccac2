//! The process: what a child of fork may do.

use crate::capi::guard::guard_or;

/// Closes the sockets that a child has inherited from its parent's libraries: listeners and connections of
/// servers and clients, as far as they are still the same files. Without it the parent's addresses stay in
/// use and its peers see no end until the child has exited as well. Other descriptors stay: those of event
/// loops and queues. Returns how many were closed; 0 in a process that is no child. Sockets that the child
/// has made itself stay open.
///
/// Thread: any thread of a child. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_fork_close_inherited() -> usize {
    guard_or(0, crate::rpc::close_inherited_sockets)
}
