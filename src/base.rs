//! Words that every room shares: errors, limits, messages, metainfo, the log sink.
//! No I/O, no clock, no runtime.

pub mod error;
pub mod limits;
pub mod log;
pub mod message;
pub mod metainfo;

pub use error::{Biz, Code, Error, Phase, Remote, Result};
pub use limits::Limits;
pub use message::{Encoding, Message};
pub use metainfo::{Metainfo, MetainfoKind};
