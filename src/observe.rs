//! Counters and the registry of live handles: what the library knows about itself. No I/O.

pub mod handles;
