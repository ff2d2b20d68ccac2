//! Opening: what a client's stream is made of, and the way from a connection to its host.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{Encoding, Error, Metainfo, Result, StreamSide};
use crate::codec::CallShape;
use crate::io::stream::{Hook, Link, Opener, Opening};
use crate::op::operation::{Cause, Completer};
use crate::proto::stream::{RecvTimeout, StreamTimeouts};
use crate::rpc::Runtime;
use crate::rpc::context::{Context, Watch};
use crate::rpc::stream::handle::{About, Stream};
use crate::rpc::stream::interceptor::StreamHooks;
use crate::rpc::stream::tap::Tap;

/// What a stream is opened with. Nothing of a call's options applies to it.
#[derive(Clone, Copy)]
pub struct StreamOptions<'a> {
    /// For the whole stream, opening included. `None`: none but the parent's.
    pub timeout: Option<Duration>,
    /// Whether the server is told the time that is left (ttstream.md §5; Kitex ignores it). Default false.
    pub tell_timeout: bool,
    /// For each recv, while nothing has arrived. Default none.
    pub recv_timeout: Option<RecvTimeout>,
    /// The stream ends if neither side sends anything for so long. Default none.
    pub idle_timeout: Option<Duration>,
    /// Pairs that travel with the stream.
    pub metainfo: Option<&'a Metainfo>,
    /// Further string pairs of the opening HEADER.
    pub strings: &'a [(Bytes, Bytes)],
    /// Further int pairs of the opening HEADER (ttstream.md §1.4).
    pub ints: &'a [(u16, Bytes)],
    /// The work that the stream is part of: its end, deadline and metainfo are the stream's as well.
    pub parent: Option<&'a Context>,
    /// Encoding of the messages: Thrift Binary, or protobuf between two of our own.
    pub encoding: Encoding,
}

impl Default for StreamOptions<'_> {
    fn default() -> Self {
        StreamOptions {
            timeout: None,
            tell_timeout: false,
            recv_timeout: None,
            idle_timeout: None,
            metainfo: None,
            strings: &[],
            ints: &[],
            parent: None,
            encoding: Encoding::THRIFT_BINARY,
        }
    }
}

impl StreamOptions<'_> {
    /// The parent's pairs and the stream's own, which win.
    fn all_metainfo(&self) -> Metainfo {
        let inherited = self.parent.map(|parent| Cow::Borrowed(parent.metainfo()));
        let mut all = inherited.unwrap_or_default().into_owned();
        for (kind, key, value) in self.metainfo.into_iter().flat_map(Metainfo::iter) {
            all.set(kind, key.clone(), value.clone());
        }
        all
    }

    /// What is asked of a connection, and the frame of the stream's work.
    pub(in crate::rpc) fn opening(
        &self,
        service: &str,
        method: Bytes,
        now: Instant,
        hooks: &StreamHooks,
    ) -> Result<(Opening, Context, Option<Arc<Tap>>)> {
        let own = self.timeout.and_then(|timeout| now.checked_add(timeout));
        let deadline = [own, self.parent.and_then(Context::deadline)].into_iter().flatten().min();
        let mut metainfo = self.all_metainfo();
        let name = Bytes::copy_from_slice(service.as_bytes());
        let tap = Tap::client(hooks, &name, &method, &mut metainfo)?;
        let opening = Opening {
            service: service.to_owned(),
            method,
            metainfo,
            strings: self.strings.to_vec(),
            ints: self.ints.to_vec(),
            encoding: self.encoding,
            timeouts: StreamTimeouts { deadline, recv: self.recv_timeout, idle: self.idle_timeout },
            tell_timeout: self.tell_timeout,
        };
        let context = Context::below(self.parent, deadline, opening.metainfo.clone());
        Ok((opening, context, tap))
    }
}

/// Hears of an opening for an operation.
pub(in crate::rpc) struct Opened {
    pub(in crate::rpc) service: Bytes,
    pub(in crate::rpc) method: Bytes,
    pub(in crate::rpc) shape: Option<CallShape>,
    pub(in crate::rpc) context: Context,
    pub(in crate::rpc) timeouts: StreamTimeouts,
    pub(in crate::rpc) tap: Option<Arc<Tap>>,
    pub(in crate::rpc) runtime: Arc<Runtime>,
    pub(in crate::rpc) waiting: Waiting,
}

/// Who waits for a stream: the end of the work it belongs to is asked of the operation too.
pub(in crate::rpc) struct Waiting {
    completer: Completer<Result<Stream>>,
    _watch: Watch,
}

impl Waiting {
    pub(in crate::rpc) fn new(completer: Completer<Result<Stream>>, context: &Context) -> Waiting {
        let watch = context.watch(completer.canceller());
        Waiting { completer, _watch: watch }
    }
}

impl Opener for Opened {
    fn cancelled(&self) -> Option<Error> {
        self.waiting.completer.is_cancelled().or_else(|| self.context.cause()).map(Cause::error)
    }

    fn on_cancel(&self, hook: Hook) {
        self.waiting.completer.on_cancel(Box::new(move |_| hook()));
    }

    fn opened(self: Box<Self>, result: Result<Arc<Link>>, peer: Option<Arc<str>>) {
        let Opened { service, method, shape, context, timeouts, tap, runtime, waiting } = *self;
        let result = match result {
            Ok(link) => {
                let about = About {
                    side: StreamSide::Client,
                    service,
                    method,
                    shape,
                    opening: None,
                    context,
                    timeouts,
                    keep: Box::new(()),
                    threads: Arc::downgrade(&runtime),
                    runtime: Some(runtime),
                };
                let stream = Stream::new(link, about);
                if let Some(tap) = tap {
                    stream.set_tap(tap);
                }
                Ok(stream)
            }
            Err(error) => {
                let name = match service.is_empty() {
                    true => String::from_utf8_lossy(&method).into_owned(),
                    false => [&service, &method].map(|name| String::from_utf8_lossy(name)).join("/"),
                };
                // Given back before anybody hears of the end, as for calls.
                drop((context, runtime));
                let error = error.with_method(&name);
                let error = match peer {
                    Some(peer) => error.with_peer(&peer),
                    None => error,
                };
                if let Some(tap) = tap {
                    tap.failed(&error);
                }
                Err(error)
            }
        };
        waiting.completer.complete(result);
    }
}
