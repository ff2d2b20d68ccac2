//! Calling: a [`Client`], its [`Method`]s, and the [`Reply`] that every call ends with.

mod client;
mod method;
mod open;
mod reply;
mod start;

pub use client::{CallOptions, Client, ClientOptions, Transport};
pub use method::Method;
pub use reply::{Facts, Reply, ReplyParts};
pub use start::Start;
