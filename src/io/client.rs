//! Connections that a shard drives for callers who do not wait: any number of calls, no thread of
//! their own.
//!
//! A [`Driver`] belongs to one client and one shard. Callers leave their calls in its inbox, one wake-up
//! for a whole burst; its task hands each to an idle connection or to a fresh one.

mod driver;
mod exchange;
mod line;
mod mux;
mod waiting;
mod warm_up;

pub use driver::{Driver, DriverOptions};
pub use exchange::{Attempt, End, Exchange, Route};
