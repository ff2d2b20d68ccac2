//! Connections that carry streams, driven on a shard for hosts that call from any thread.
//!
//! One task owns a connection, at either end. A host reaches a stream through its [`Link`], where the two
//! meet: what is to be sent waits there for the task, what has arrived waits there for the host, a little
//! ahead of its asking. So most calls of a host neither wait nor wake anybody; a burst wakes the task once.

mod client;
mod link;
mod mailbox;
mod open;
mod server;
mod tally;
mod task;

pub use client::{Pool, PoolOptions, Stats};
/// For the fuzzer, which plays the order of events.
#[cfg(fuzzing)]
pub use link::world;
pub use link::{Done, Hook, Link, MetaHook, Received, Sent, Take, TakeAll, Taken, already, given_back};
pub use mailbox::Mailbox;
pub use open::{Opener, Opening};
pub use server::ServerSide;
pub(crate) use server::serve;
pub use server::{Dispatch, Incoming};
pub use tally::Tally;
