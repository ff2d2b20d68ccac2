//! The C ABI: one file per handle, translation only. `include/krpc.h` is generated from here.
//!
//! Anatomy of a function: clear the outputs, reject NULL by parameter name, view or copy the inputs,
//! call one function of the core, turn its result into status, error and outputs. Every body runs
//! inside [`guard`], so no panic leaves the library. Nothing in the crate uses this room.
#![allow(non_camel_case_types)]
// Every exported function states in its own documentation, for C readers, what each pointer must be:
// NULL, or valid for its type and alive during the call. A Rust "Safety" section would repeat that.
#![allow(clippy::missing_safety_doc)]

pub mod client;
pub mod client_options;
pub mod completion;
pub mod context;
pub mod decision;
mod ending;
pub mod error;
pub mod foreign;
mod guard;
mod handle;
pub mod idl;
pub mod json;
pub mod log;
pub mod message;
pub mod metainfo;
pub mod method;
pub mod op;
pub mod process;
pub mod queue;
pub mod reader;
pub mod reply;
pub mod report;
pub mod request;
pub mod retry;
pub mod runtime;
pub mod server;
pub mod server_options;
pub mod service;
pub mod shape;
pub mod status;
pub mod stream;
pub mod stream_counters;
pub mod stream_event;
pub mod stream_finish;
pub mod stream_header;
pub mod stream_hook;
pub mod stream_interceptor;
pub mod stream_json;
pub mod stream_limits;
pub mod stream_options;
pub mod stream_recv;
pub mod stream_send;
pub mod stream_service;
pub mod stream_stats;
#[cfg(feature = "test-hooks")]
mod test_hooks;
pub mod types;
pub mod version;
pub mod writer;
