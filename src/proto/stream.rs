//! Streams over TTHeader (ttstream.md): many on one connection, in both directions, without I/O.
//!
//! A [`ClientConn`] opens streams, a [`ServerConn`] is given them; the stream itself is the same machine at
//! both ends. The four modes of the IDL are not on the wire and not here: all of them are
//! orders of `send`, `recv`, `close_send` and `finish`.
//!
//! # How a connection is driven
//!
//! ```text
//! loop {
//!     calls of the host: open, send, recv, close_send, cancel, finish, release …
//!     conn.receive(&mut input, now)?           also when nothing new was read: a recv may have made room
//!     while let Some((key, ready)) = conn.poll_ready() { tell the host }
//!     while conn.transmit(&mut output, now) { writev(output); conn.written(output.len(), now) }
//!     if conn.is_finished(now) { close }
//!     if conn.wants_bytes() { read, at least conn.missing(&input) }
//!     sleep until the socket is ready, the host calls, or conn.wake_at(); then conn.tick(now)?
//! }
//! on the end of the socket: conn.lost(reason); then poll_ready once more
//! ```
//!
//! An error of `receive` or `tick` means: write what `transmit` still gives, then close. All streams have
//! been told by then. What has arrived can be received, and ends can be asked for, as long as the host
//! keeps its keys; each key is given back with `release`.
//!
//! # Back-pressure
//!
//! `send` takes messages while the stream and the connection are below their budgets, then says
//! [`Sent::Full`] and later [`Ready::WRITABLE`]. A stream whose messages nobody takes stops the reading of
//! its connection at its budget; when others share the connection, it is reset after
//! [`Options::slow_reader`]. Nothing is dropped without an error.

mod cancel;
mod client;
mod connection;
mod counters;
mod ends;
mod id;
mod inbox;
mod inflow;
mod life;
mod options;
mod outbox;
mod outflow;
mod ready;
mod server;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod timers;

pub use cancel::Cancel;
pub use client::{Client, ClientConn};
pub use connection::{Connection, Recv, Role, Sent};
pub use counters::Counters;
pub use ends::End;
pub use id::StreamKey;
pub use options::{Open, Options, RecvTimeout, StreamTimeouts};
pub use ready::Ready;
pub use server::{Finish, Opening, Server, ServerConn};
pub use state::{Pairs, StreamStats};
