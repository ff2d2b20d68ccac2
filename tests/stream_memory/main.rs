//! What streams cost in memory, measured: idle ones, each message, a long export, and peers that flood us.
//!
//! An allocator that counts sees both ends of a connection, so tests that measure run one at a time, and where
//! only one end is to be seen the other is a plain socket.

mod allocations;
mod export;
mod floods;
mod idle;
mod raw;
mod steady;

#[global_allocator]
static COUNTING: allocations::Counting = allocations::Counting;
