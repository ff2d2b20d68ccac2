//! State machines without I/O: bytes and events go in, actions and a wake-up time come out.
//! Time is always an argument; nothing here reads a clock, a socket or a thread.

pub mod call;
pub mod mux;
pub mod pingpong;
