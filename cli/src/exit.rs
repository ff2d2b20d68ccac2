//! How a command ends: exit codes, and failures with what there is to say about them.

use std::fmt::Display;

use krpc::base::{Code, Error};

/// The exit codes; scripts rely on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// Wrong usage, input or IDL: nothing was sent.
    Usage = 1,
    /// No connection, a lost one, or no answer in time.
    Network = 2,
    /// The peer answered with an exception, or with something that is no answer.
    Rpc = 3,
    /// The peer answered with a business error.
    Biz = 4,
    Interrupted = 130,
}

impl Exit {
    /// The exit code of a call that failed.
    pub fn of_call(code: Code) -> Exit {
        match code {
            Code::BizStatus => Exit::Biz,
            Code::InvalidArgument | Code::InvalidState | Code::Unsupported | Code::EncodeFailed => {
                Exit::Usage
            }
            Code::Timeout | Code::RecvTimeout | Code::Cancelled | Code::Closed | Code::OutOfResources => {
                Exit::Network
            }
            // Families: resolve and connect 2xx, transport 3xx.
            other if (200..400).contains(&(other as i32)) => Exit::Network,
            _ => Exit::Rpc,
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Stable name for scripts: `USAGE`, `IDL`, or the name of the library's code.
    pub code: &'static str,
    pub text: String,
    /// The text is laid out already (diagnostics of an IDL), so that nothing is put before it.
    pub laid_out: bool,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Wrong usage; the text says what to do.
    pub fn usage(text: impl Display) -> Failure {
        Failure { exit: Exit::Usage, code: "USAGE", text: text.to_string(), laid_out: false }
    }

    /// Something this version cannot do yet.
    pub fn unsupported(text: impl Display) -> Failure {
        Failure {
            exit: Exit::Usage,
            code: "UNSUPPORTED",
            text: format!("UNSUPPORTED: {text}"),
            laid_out: false,
        }
    }

    /// An IDL that is wrong, with its diagnostics.
    pub fn idl(diagnostics: String) -> Failure {
        let text = diagnostics.trim_end().to_owned();
        Failure { exit: Exit::Usage, code: "IDL", text, laid_out: true }
    }

    pub fn interrupted() -> Failure {
        Failure { exit: Exit::Interrupted, code: "CANCELLED", text: "cancelled".to_owned(), laid_out: false }
    }

    /// An error of the library, `what` being what was tried.
    pub fn library(exit: Exit, what: &str, error: &Error) -> Failure {
        Failure { exit, code: error.code().name(), text: format!("{what}: {error}"), laid_out: false }
    }
}
