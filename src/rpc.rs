//! What a Rust user sees: clients that call methods, servers that answer them.

pub mod call;
pub mod server;
