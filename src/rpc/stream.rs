//! Streams: messages in one or both directions under one method (ttstream.md).
//!
//! A [`Stream`] is the same at the client, which opens it, and at the server, whose handler is given it:
//! send, recv, cancel, header and trailer. The client closes its sending; the server finishes the stream.
//! Which of these follow each other is the [`StreamMode`]'s business, and that of both ends: the mode is
//! not on the wire.
//!
//! # What is promised
//!
//! - A send that succeeds has its message in the stream's budget, not yet with the peer; one that finds no
//!   room waits, which is how a slow reader holds its sender back. [`Stream::flush`] waits for the socket.
//! - Messages that have arrived are received before the end. The end stays: every later recv gives it
//!   again. `None` means that the peer has said everything; nothing else looks like it, least of all a lost
//!   connection.
//! - At most one send and one recv wait at a time; one thread may send while another receives.
//! - A recv that is cancelled leaves its message to the next. Only [`Stream::cancel`] ends the stream.

mod delivery;
mod ends;
mod handle;
mod handler;
mod here;
mod hook_call;
mod interceptor;
mod observer;
mod open;
mod passage;
mod stopping;
mod tap;
mod waits;

pub use crate::io::stream::{PoolOptions, Stats};
pub use crate::proto::stream::{
    Counters, Finish, Options as ConnectionOptions, Pairs, RecvTimeout, StreamStats, StreamTimeouts,
};
pub use delivery::Delivered;
pub use handle::Stream;
pub(super) use handler::refusal;
pub use handler::{Returning, StreamHandler, StreamMethodOptions, StreamMode, StreamQueueHandler};
pub use hook_call::{HookCall, HookMoment, HostState, rejection};
pub use interceptor::{Finishing, StreamHook, StreamHooks, StreamInfo, StreamInterceptor, StreamOpening};
pub use observer::{
    MethodCounts, Observed, StreamCounters, StreamEvent, StreamEventFn, StreamEventKind, StreamEvents,
    StreamObserver,
};
pub use open::StreamOptions;
pub(super) use open::{Opened, Waiting};
