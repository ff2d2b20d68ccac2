//! Decisions without I/O: which attempts a call makes, where they go, when they end, and what is refused.
//!
//! Everything here is values and state machines: events and [`Time`] go in, actions, verdicts and wake-up
//! times come out. Nothing reads a clock, draws a random number, waits or locks on the path of a call;
//! ARCHITECTURE.md, "How a driver uses `policy`", has the order of calls. Behaviour is that of
//! governance.md. Where the reference has a defect, the better behaviour is the default, and
//! [`Mode::Compat`] gives the reference's.

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

pub mod attempt;
pub mod balance;
pub mod breaker;
pub mod budget;
mod document;
pub mod fallback;
pub mod gate;
mod keyed;
pub mod latency;
pub mod limit;
mod number;
pub mod retry;
pub mod time;
pub mod timeout;
pub mod window;

pub use time::Time;

/// Whose behaviour counts where the reference's is a defect (rows marked [Q] in governance.md, and §1.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// The better behaviour.
    #[default]
    Better,
    /// The reference's, defects included.
    Compat,
}
