//! A stream that is to be opened, on its way to a connection.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::base::{Encoding, Error, Metainfo, Result};
use crate::io::stream::link::{Hook, Link};
use crate::proto::stream::{Open, Pairs, StreamTimeouts};

/// What a stream is opened with (ttstream.md §3.2).
#[derive(Clone, Debug)]
pub struct Opening {
    /// IDL name of the service; empty leaves it to the server.
    pub service: String,
    /// Method name.
    pub method: Bytes,
    /// Pairs that travel with the stream's context.
    pub metainfo: Metainfo,
    /// Further string pairs of the HEADER.
    pub strings: Pairs,
    /// Further int pairs of the HEADER.
    pub ints: Vec<(u16, Bytes)>,
    /// Encoding of the messages.
    pub encoding: Encoding,
    /// Its clocks.
    pub timeouts: StreamTimeouts,
    /// Whether the server is told the time that is left until the deadline.
    pub tell_timeout: bool,
}

impl Opening {
    pub(super) fn as_open(&self) -> Open<'_> {
        Open {
            metainfo: &self.metainfo,
            strings: &self.strings,
            ints: &self.ints,
            encoding: self.encoding,
            timeouts: self.timeouts,
            tell_timeout: self.tell_timeout,
            ..Open::new(self.service.as_bytes(), &self.method)
        }
    }
}

/// Who hears how the opening ended. Called once, on an I/O thread or by whoever asked, without a lock.
pub trait Opener: Send {
    /// Why somebody wants the opening to end, if so.
    fn cancelled(&self) -> Option<Error>;
    /// Calls this when somebody wants that, which may be at once. A later one takes its place.
    fn on_cancel(&self, hook: Hook);
    /// The stream, or why there is none; with the last address that was tried.
    fn opened(self: Box<Self>, result: Result<Arc<Link>>, peer: Option<Arc<str>>);
}

/// An opening between the pool and a connection.
pub(super) struct OpenJob {
    pub(super) opening: Box<Opening>,
    pub(super) opener: Box<dyn Opener>,
    pub(super) attempts: u32,
    /// Its place in the order of the addresses, from its first attempt on.
    pub(super) turn: usize,
}

impl OpenJob {
    pub(super) fn fail(self, peer: Option<Arc<str>>, error: Error) {
        self.opener.opened(Err(error), peer);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.opening.timeouts.deadline
    }
}
