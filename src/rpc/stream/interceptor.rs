//! Interceptors: code of the host's that stands around streams, apart from that around calls
//! (ttstream.md §9.3).
//!
//! A [`StreamInterceptor`] is asked when a stream opens, and gives a [`StreamHook`] that goes with that
//! stream, or none. Of several, the first that was added is the outermost: it sees openings and messages to
//! send first, and messages received and ends last.
//!
//! They run where it happens, which may be an I/O thread, and must not block. No lock is held. An error that
//! one returns ends the stream: the peer is told, what is asked of the stream afterwards gets that error.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Message, Metainfo, MetainfoKind, Result, StreamSide};
use crate::proto::stream::{Finish, Pairs};
use crate::rpc::stream::handle::merged;
use crate::rpc::stream::observer::StreamObserver;
use crate::rpc::stream::passage::finish_of;
use crate::wire::keys;

/// Which stream it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamInfo {
    /// Which end it is.
    pub side: StreamSide,
    /// The service's name; at a client as given, which may be empty.
    pub service: Bytes,
    /// The method's name.
    pub method: Bytes,
    /// The peer's address; empty before a connection is chosen.
    pub peer: Arc<str>,
    /// A number that no other stream of this process has.
    pub number: u64,
}

/// Asked when a stream opens.
pub trait StreamInterceptor: Send + Sync {
    /// Client: before a connection is asked for. Server: before the handler, when the stream may be handled.
    /// `None` leaves this stream alone. An error ends it: a client sends nothing, a server ends with it as
    /// [`Finish::of`] says.
    fn open(&self, opening: &mut StreamOpening<'_>) -> Result<Option<Box<dyn StreamHook>>>;
}

/// What goes with one stream. Sends and receives may come at once, on two threads; never two of a kind.
pub trait StreamHook: Send + Sync {
    /// A message on its way out, and what is sent for it.
    fn send(&self, _stream: &StreamInfo, message: Message) -> Result<Message> {
        Ok(message)
    }

    /// A message that the host is about to get, and what it gets for it.
    fn recv(&self, _stream: &StreamInfo, message: Message) -> Result<Message> {
        Ok(message)
    }

    /// Client: a META frame, which a proxy on the way has put in (§1.3): its pairs and what it carries.
    fn meta(&self, _stream: &StreamInfo, _pairs: &Pairs, _content: &Bytes) -> Result<()> {
        Ok(())
    }

    /// Server: the handler has ended, and its TRAILER is about to leave.
    fn finish(&self, _stream: &StreamInfo, _finishing: &mut Finishing) {}

    /// The stream is over. The last call, exactly once, also where the opening failed afterwards. No error
    /// means that the peer has said everything, at a server that the handler has ended well.
    fn end(&self, _stream: &StreamInfo, _error: Option<&Error>) {}
}

/// A stream that opens.
pub struct StreamOpening<'a> {
    pub(super) info: &'a StreamInfo,
    pub(super) side: OpeningSide<'a>,
}

pub(super) enum OpeningSide<'a> {
    /// What leaves with the HEADER.
    Client { metainfo: &'a mut Metainfo },
    /// What has come with the HEADER, and what the answer's HEADER is to hold.
    Server { metainfo: &'a Metainfo, header: &'a mut Pairs },
}

impl StreamOpening<'_> {
    /// Which stream.
    pub fn info(&self) -> &StreamInfo {
        self.info
    }

    /// Client: the pairs that leave with it. Server: those that came with it.
    pub fn metainfo(&self) -> &Metainfo {
        match &self.side {
            OpeningSide::Client { metainfo } => metainfo,
            OpeningSide::Server { metainfo, .. } => metainfo,
        }
    }

    /// Adds a pair. Client: TRANSIENT or PERSISTENT, which leaves with the opening. Server: BACKWARD, for the
    /// HEADER of the answer. INVALID_ARGUMENT for other kinds and for what fits into no frame.
    pub fn set(&mut self, kind: MetainfoKind, key: Bytes, value: Bytes) -> Result<()> {
        match (&mut self.side, kind) {
            (OpeningSide::Client { metainfo }, MetainfoKind::Transient | MetainfoKind::Persistent) => {
                metainfo.set(kind, key, value);
                Ok(())
            }
            (OpeningSide::Server { header, .. }, MetainfoKind::Backward) => {
                **header = merged("header", header, &[(key, value)])?;
                Ok(())
            }
            (OpeningSide::Client { .. }, _) => {
                Err(Error::invalid_argument("kind", "a client's opening takes TRANSIENT and PERSISTENT"))
            }
            (OpeningSide::Server { .. }, _) => {
                Err(Error::invalid_argument("kind", "a server's answer takes BACKWARD"))
            }
        }
    }
}

/// How a handler ends, and the pairs of its TRAILER.
pub struct Finishing {
    /// How it ends.
    pub finish: Finish,
    pub(super) trailer: Pairs,
}

impl Finishing {
    /// The pairs so far.
    pub fn trailer(&self) -> &Pairs {
        &self.trailer
    }

    /// Adds a pair; INVALID_ARGUMENT for `biz-*`, which belongs to business statuses, and for what fits into
    /// no frame.
    pub fn set(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        self.trailer = merged_trailer(&self.trailer, &[(key, value)])?;
        Ok(())
    }

    /// Ends it with an error instead.
    pub fn fail(&mut self, error: &Error) {
        self.finish = finish_of(error);
    }

    /// What the client will see, unless all is well.
    pub fn error(&self) -> Option<Error> {
        match &self.finish {
            Finish::Ok => None,
            Finish::Biz(status) => Some(Error::biz(status.clone())),
            Finish::Exception { type_id, text } => Some(Error::remote(*type_id, text.clone())),
        }
    }
}

/// A TRAILER with more pairs.
pub(super) fn merged_trailer(there: &[(Bytes, Bytes)], more: &[(Bytes, Bytes)]) -> Result<Pairs> {
    let reserved = [keys::BIZ_STATUS, keys::BIZ_MESSAGE, keys::BIZ_EXTRA];
    if let Some((name, _)) = more.iter().find(|(name, _)| reserved.contains(&&name[..])) {
        let why = format!("{} belongs to business statuses", String::from_utf8_lossy(name));
        return Err(Error::invalid_argument("trailer", why));
    }
    merged("trailer", there, more)
}

/// Who is told of the streams of a client, a server or a service.
#[derive(Clone, Default)]
pub struct StreamHooks {
    /// The first is the outermost.
    pub interceptors: Vec<Arc<dyn StreamInterceptor>>,
    /// Who hears of events, and counts.
    pub observer: Option<Arc<StreamObserver>>,
}

impl StreamHooks {
    /// Whether nobody wants to hear of anything.
    pub fn is_empty(&self) -> bool {
        self.interceptors.is_empty() && self.observer.is_none()
    }

    /// These around more.
    pub(in crate::rpc) fn around(&self, inner: &StreamHooks) -> StreamHooks {
        let interceptors = self.interceptors.iter().chain(&inner.interceptors).cloned().collect();
        StreamHooks { interceptors, observer: self.observer.clone().or_else(|| inner.observer.clone()) }
    }
}

impl fmt::Debug for StreamHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = if self.observer.is_some() { ", observed" } else { "" };
        write!(f, "StreamHooks({} interceptors{observed})", self.interceptors.len())
    }
}
