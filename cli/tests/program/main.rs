//! The built program from end to end: `krpc` against `krpc serve`, and against Kitex.

mod bad_input;
mod bench;
mod call;
mod config;
mod docs;
mod idl;
mod kitex;
mod kitexcall;
mod serve;
mod signals;
mod stream;
mod support;
mod types;
