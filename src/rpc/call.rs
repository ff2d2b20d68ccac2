//! Calling: a [`Client`], its [`Method`]s, and the [`Reply`] that every call ends with.

mod client;
mod method;
mod open;
mod reply;
mod retried;
mod start;

pub use client::{CallOptions, Client, ClientOptions, Transport};
pub use method::Method;
pub use reply::{AttemptFact, Facts, Reply, ReplyParts};
pub use start::Start;

/// Retry policies, as hosts make them. Their rules are those of `policy`.
pub mod retry {
    pub use crate::policy::attempt::End as AttemptEnd;
    pub use crate::policy::retry::{
        Backoff, CallPolicy, OnError, Options, Policies, Predicate, Quantile, RetryPolicy, parse, parse_all,
    };
}
