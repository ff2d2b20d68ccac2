//! Bytes to frames and back: Thrift Binary, TTHeader, framed and buffered messages, frames of streams.
//! Pure functions and resumable parsers; no I/O, no clock, no unsafe.
//!
//! A connection owns a [`frame::Decoder`] for what arrives and an [`outbuf::OutBuf`] for what
//! leaves; [`frame::encode()`] fills the latter. Everything here decides hostile input: lengths are
//! checked before memory is reserved, and a malformed byte is a typed error, never a panic.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

mod be;
pub mod biz;
pub mod checksum;
pub mod detect;
pub mod frame;
pub mod keys;
pub mod kitex_protobuf;
pub mod mesh;
pub mod metainfo;
pub mod outbuf;
pub mod thrift;
pub mod ttheader;
pub mod ttstream;

pub use frame::{Decoder, Inbound, Layout, Outbound, Payload};
pub use outbuf::OutBuf;
pub use ttheader::{Header, HeaderWriter};
