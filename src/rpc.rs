//! What a Rust user sees: clients that call methods, servers that answer them.

pub mod call;
mod callbacks;
pub mod context;
pub mod event;
pub mod server;
pub mod stream;

#[cfg(feature = "test-hooks")]
pub use crate::io::clock;
pub use crate::io::clock::monotonic_ns;
pub use crate::io::runtime::{Runtime, RuntimeOptions};
pub use crate::io::thread::may_block;
pub use crate::io::{Address, Backoff, Bell, Keepalive, close_inherited_sockets};
pub use callbacks::Callbacks;
pub use context::{Context, ContextOptions};
