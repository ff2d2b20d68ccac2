//! Many calls at a time on one connection, answered in any order (ttheader.md §7.3): the client's side,
//! and what both sides share. The server's side is [`crate::proto::pingpong::ServerConn`], which goes over
//! to it when a request asks for that.

mod client;
mod frames;
#[cfg(test)]
mod tests;

pub use client::MuxClient;
pub use frames::{Frames, write_notice};

/// The flag of a request whose answer may overtake others (ttheader.md §1.2).
pub const OUT_OF_ORDER: u16 = 0x0001;
