//! Connections that a blocking caller drives on its own thread: no hand-over, no other thread.
//!
//! Their sockets are not registered with a shard. A [`Pool`] keeps one address's idle connections;
//! a call takes one, drives it to its reply and puts it back.

mod conn;
mod pool;

pub use conn::{Conn, Sent};
pub use pool::{Pool, PoolOptions, Stats};
