//! The only room with sockets, threads and a clock. Knows frames and connections, not services.

pub mod addr;
pub mod backoff;
pub mod chance;
pub mod client;
pub mod clock;
pub mod inline;
pub mod keepalive;
pub mod listener;
pub mod runtime;
pub mod seats;
pub mod stream;
pub mod sync;
pub mod thread;
pub mod timer;
pub mod workers;

mod conn;
mod inbox;
mod inherited;
#[cfg(all(test, krpc_loom))]
mod loom_task;
mod relay;
mod spare;
mod sys;
mod transport;

pub use addr::Address;
pub use backoff::Backoff;
pub use conn::{Counts, Dispatch, Responder, Setup};
pub use inherited::close as close_inherited_sockets;
pub use keepalive::Keepalive;
pub use sys::Bell;
pub use transport::Credentials;
