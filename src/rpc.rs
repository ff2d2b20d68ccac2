//! What a Rust user sees: clients that call methods, servers that answer them.

pub mod call;
pub mod server;

pub use crate::io::Address;
pub use crate::io::runtime::{Runtime, RuntimeOptions};
