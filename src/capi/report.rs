//! What the library knows about itself: live handles, for leak checks and operators.

use bytes::Bytes;

use crate::base::{Encoding, Error, Message};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard_new, guard_or};
use crate::capi::handle;
use crate::capi::message::krpc_message;
use crate::observe::handles;

/// How a report is written.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_report_format {
    /// One line for people, e.g. "3 live handles: 2 message, 1 reply"; in a child of fork also how many of
    /// the parent's handles it has freed, whose memory stays.
    KRPC_REPORT_FORMAT_TEXT = 1,
    /// A JSON object with the live and created handles of every type, and how many were freed after a fork
    /// (`left_behind`).
    KRPC_REPORT_FORMAT_JSON = 2,
}

/// Number of handles that you own now, over the whole process. 0 at the end of a program that frees all.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn krpc_live_handles() -> usize {
    guard_or(0, || handles::live() as usize)
}

/// A report on the handles of the whole process, not counting the returned message itself.
///
/// `format`: a `krpc_report_format`. The message's encoding is `KRPC_ENCODING_RAW` for text,
/// `KRPC_ENCODING_JSON` for JSON; read it with `krpc_message_bytes`.
/// Returns an owned message, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_runtime_report(format: i32, error: *mut *mut krpc_error) -> *mut krpc_message {
    const TEXT: i32 = krpc_report_format::KRPC_REPORT_FORMAT_TEXT as i32;
    const JSON: i32 = krpc_report_format::KRPC_REPORT_FORMAT_JSON as i32;
    guard_new(error, || {
        let (encoding, report) = match format {
            TEXT => (Encoding::RAW, handles::report_text()),
            JSON => (Encoding::JSON, handles::report_json()),
            _ => {
                return Err(Error::invalid_argument(
                    "format",
                    format_args!("{format} is no krpc_report_format"),
                ));
            }
        };
        Ok(handle::give(Message::new(encoding, Bytes::from(report))))
    })
}
