//! State machines without I/O: bytes and events go in, actions and a wake-up time come out.
//! Time is always an argument; nothing here reads a clock, a socket or a thread.

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

pub mod call;
pub mod mux;
pub mod pingpong;
pub mod stream;
