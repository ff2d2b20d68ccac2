//! Words that every room shares: errors, limits, messages, metainfo, the log sink.
//! No I/O, no clock, no runtime.

pub(crate) mod base64;
pub mod error;
pub mod fault;
pub mod fork;
pub mod json;
pub mod limits;
pub mod lock;
pub mod log;
pub mod message;
pub mod metainfo;
mod pairs;
pub mod panic;
pub mod reason;

pub use error::{Biz, Code, Error, Phase, Remote, Result};
pub use limits::{Limits, StreamLimits};
pub use message::{Encoding, Message};
pub use metainfo::{Metainfo, MetainfoKind};
pub(crate) use pairs::last_wins;
pub use reason::{StreamClass, StreamReason, StreamSide};
