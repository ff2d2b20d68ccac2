//! Calling: a [`Client`], its [`Method`]s, and the [`Reply`] that every call ends with.

mod client;
mod method;
mod reply;

pub use client::{CallOptions, Client, ClientOptions, Transport};
pub use method::Method;
pub use reply::{Facts, Reply};
