//! One request, one reply, in turn, on one connection (ttheader.md §3–§7): the client's and the
//! server's side.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::ClientConn;
pub use server::{Answer, Exception, Reply, ServerConn, Ticket, Timeouts};
