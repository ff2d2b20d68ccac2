//! What the host lends together with a function that gives it back.

use std::ffi::c_void;

/// Releases what the host lent: memory behind a message, or the state of a callback. Called exactly
/// once, on any thread, with the `user_data` given beside it; also if the function it was given to
/// fails. Nothing uses `user_data` afterwards. Must not block.
pub type krpc_destroy_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The host's pointer, given back by calling `destroy` when this value is dropped. Made first thing in
/// a function, so that every way out of it gives the pointer back.
pub(super) struct UserData {
    pointer: *mut c_void,
    destroy: krpc_destroy_fn,
}

// SAFETY: whoever passes a pointer with a destroy function promises that both may be used on any thread,
// as the functions that take them document.
unsafe impl Send for UserData {}
// SAFETY: as above; the library never looks behind the pointer.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, destroy: krpc_destroy_fn) -> UserData {
        UserData { pointer, destroy }
    }

    /// What the host's functions get.
    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the host's function, called once, with what it gave beside it.
            unsafe { destroy(self.pointer) }
        }
    }
}
