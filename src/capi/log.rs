//! The process-wide log callback.

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use crate::base::log::{self, Level, Sink};
use crate::base::{Error, Result};
use crate::capi::error::krpc_error;
use crate::capi::foreign::{UserData, krpc_destroy_fn};
use crate::capi::guard::guard;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;

/// How much a log line matters.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_log_level {
    /// Something failed that nobody else reports, such as a panic inside the library.
    KRPC_LOG_LEVEL_ERROR = 1,
    /// A peer misbehaved, or a limit was hit.
    KRPC_LOG_LEVEL_WARN = 2,
    /// Start and end of servers and runtimes.
    KRPC_LOG_LEVEL_INFO = 3,
    /// Single connections and calls.
    KRPC_LOG_LEVEL_DEBUG = 4,
}

/// Takes a log line. `target`: the part of the library that speaks. `text`: UTF-8, without a final
/// newline. Both views are valid during the call only.
///
/// Called on any thread, on several at once, never with a lock of the library held. Must not block; may
/// call functions of the library that don't.
pub type krpc_log_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, level: krpc_log_level, target: krpc_str, text: krpc_str),
>;

/// Sets the function that takes the library's log lines, for the whole process. It replaces the one set
/// before; NULL removes that. Without one nothing is logged: the library itself never prints.
///
/// `level`: a `krpc_log_level`; lines that matter less are not even formatted. Ignored if `callback` is
/// NULL. `destroy` (optional): called once with `user_data` when `callback` has been replaced or removed
/// and its last call has returned; before this function returns, if it fails or `callback` is NULL. A
/// call that is under way on another thread may end after its replacement: wait for `destroy` before you
/// free what the callback uses.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; then the function set before stays. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_log_set(
    level: i32,
    callback: krpc_log_fn,
    user_data: *mut c_void,
    destroy: krpc_destroy_fn,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let user_data = UserData::new(user_data, destroy);
    guard(error, || {
        let sink = match callback {
            Some(callback) => Some(Arc::new(Callback { level: parse(level)?, callback, user_data }) as _),
            None => None,
        };
        log::set_global(sink);
        Ok(())
    })
}

/// The host's function as the core's sink.
struct Callback {
    level: Level,
    callback: unsafe extern "C" fn(*mut c_void, krpc_log_level, krpc_str, krpc_str),
    user_data: UserData,
}

impl Sink for Callback {
    fn level(&self) -> Level {
        self.level
    }

    fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>) {
        let (target, text) = (krpc_str::of(target.as_bytes()), text.to_string());
        // SAFETY: the host's function, with what it gave beside it and views that outlive the call.
        unsafe {
            (self.callback)(self.user_data.pointer(), level.into(), target, krpc_str::of(text.as_bytes()))
        }
    }
}

impl From<Level> for krpc_log_level {
    fn from(level: Level) -> krpc_log_level {
        match level {
            Level::Error => krpc_log_level::KRPC_LOG_LEVEL_ERROR,
            Level::Warn => krpc_log_level::KRPC_LOG_LEVEL_WARN,
            Level::Info => krpc_log_level::KRPC_LOG_LEVEL_INFO,
            Level::Debug => krpc_log_level::KRPC_LOG_LEVEL_DEBUG,
        }
    }
}

fn parse(level: i32) -> Result<Level> {
    Level::from_number(level)
        .ok_or_else(|| Error::invalid_argument("level", format_args!("{level} is no krpc_log_level")))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::base::log::tests::GLOBAL;
    use crate::capi::guard::{guard_new, guard_or};
    use crate::capi::message::krpc_message;

    #[derive(Default)]
    struct Host {
        lines: Mutex<Vec<(i32, String, String)>>,
        destroyed: Mutex<u32>,
    }

    unsafe extern "C" fn write(host: *mut c_void, level: krpc_log_level, target: krpc_str, text: krpc_str) {
        // SAFETY: the test's own pointer and the library's views.
        let (host, target, text) =
            unsafe { (&*host.cast::<Host>(), target.text("target").unwrap(), text.text("text").unwrap()) };
        assert_eq!(*host.destroyed.lock().unwrap(), 0, "called after destroy");
        host.lines.lock().unwrap().push((level as i32, target.to_owned(), text.to_owned()));
        if text == "last words" {
            set(&Host::default(), None);
            assert_eq!(*host.destroyed.lock().unwrap(), 0, "destroyed during its last call");
        }
    }

    unsafe extern "C" fn destroy(host: *mut c_void) {
        // SAFETY: the test's own pointer.
        *unsafe { &*host.cast::<Host>() }.destroyed.lock().unwrap() += 1;
    }

    fn set(host: &Host, callback: krpc_log_fn) {
        let (level, host) = (Level::Warn as i32, std::ptr::from_ref(host).cast_mut().cast());
        // SAFETY: the host outlives the callback.
        let status = unsafe { krpc_log_set(level, callback, host, Some(destroy), std::ptr::null_mut()) };
        assert_eq!(status, krpc_status::KRPC_OK);
    }

    #[test]
    fn lines_reach_the_host_until_it_is_replaced() {
        let _alone = GLOBAL.lock();
        let (first, second) = (Host::default(), Host::default());
        set(&first, Some(write));
        log::global().write(Level::Error, "io", format_args!("one {}", 1));
        log::global().write(Level::Info, "io", format_args!("matters too little"));
        set(&second, Some(write));
        assert_eq!((*first.destroyed.lock().unwrap(), *second.destroyed.lock().unwrap()), (1, 0));
        // A callback may remove itself; it is destroyed when it has returned.
        log::global().write(Level::Warn, "rpc", format_args!("last words"));
        assert_eq!(*second.destroyed.lock().unwrap(), 1);
        log::global().write(Level::Error, "rpc", format_args!("nobody listens"));
        assert_eq!(*first.lines.lock().unwrap(), [(1, "io".into(), "one 1".into())]);
        assert_eq!(*second.lines.lock().unwrap(), [(2, "rpc".into(), "last words".into())]);
    }

    #[test]
    fn a_panic_becomes_an_error_and_a_line_with_its_place() {
        let _alone = GLOBAL.lock();
        let host = Host::default();
        set(&host, Some(write));
        let status = guard(std::ptr::null_mut(), || panic!("first"));
        assert_eq!(status, krpc_status::KRPC_STATUS_INTERNAL);
        assert_eq!(guard_or(7, || panic!("{}", "second")), 7);
        assert!(guard_new::<krpc_message>(std::ptr::null_mut(), || std::panic::panic_any(3)).is_null());
        set(&Host::default(), None);
        let lines = host.lines.lock().unwrap();
        let place = |n: usize| lines[n].2.strip_prefix("panic in the library at src/capi/log.rs:").unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|(level, target, _)| *level == 1 && target == "capi"));
        assert!(place(0).ends_with(": first") && place(1).ends_with(": second"));
        assert!(place(2).ends_with(": unknown"), "{lines:?}");
    }
}
