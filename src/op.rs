//! What four languages wait with: an operation, the queue its completion goes to, a question to the host.
//!
//! std only, no thread, no file, no protocol. An [`operation`] ends exactly once. A [`queue`] carries the
//! ends of many in batches, with room kept for each from its start, so that delivery neither blocks nor
//! allocates. A [`decision`] asks the host something that has an answer by default. Nothing of the host's
//! runs and nothing of it is dropped while a lock is held.

#![forbid(unsafe_code)]

pub mod decision;
pub mod operation;
pub mod queue;
pub mod spent;
pub mod turn;

mod queued;
pub(crate) mod sync;

pub use queued::queued;

#[cfg(all(test, krpc_loom))]
pub(crate) mod loom_tests;
