//! Where a stream's messages pass its tap, if it has one.

use std::sync::{Arc, Weak};

use crate::base::{Error, Message, Result, StreamClass, StreamReason, StreamSide};
use crate::io::stream::Received;
use crate::proto::stream::{Cancel, Finish, Pairs};
use crate::rpc::stream::handle::{Inner, Stream};
use crate::rpc::stream::interceptor::StreamHooks;
use crate::rpc::stream::tap::Tap;

/// A stream's tap and how the stream is ended, for calls that outlive their caller. It does not keep the
/// stream.
#[derive(Clone)]
pub(super) struct Passage {
    tap: Arc<Tap>,
    stream: Weak<Inner>,
}

impl Stream {
    /// Everything passes the tap from now on. Before any message does.
    pub(super) fn set_tap(&self, tap: Arc<Tap>) {
        let (link, weak) = (self.link(), Arc::downgrade(self.link()));
        if self.inner.tap.set(Arc::clone(&tap)).is_err() {
            return;
        }
        tap.started(link.peer());
        if !self.is_server() {
            let (tap, link) = (Arc::clone(&tap), weak.clone());
            self.link()
                .on_header(Box::new(move || tap.header(link.upgrade().and_then(|link| link.header()))));
            if let Some(passage) = self.passage() {
                self.link().on_meta(Arc::new(move |header, content| passage.meta(header, content)));
            }
        }
        link.on_end(Box::new(move || {
            let link = weak.upgrade();
            let end = link.as_ref().and_then(|link| link.end());
            let sent = link.as_ref().map(|link| link.stats()).unwrap_or_default();
            tap.ended(end, link.and_then(|link| link.trailer()), sent);
        }));
    }

    /// Asks who is to be asked before the handler runs. False: the stream has ended.
    pub(in crate::rpc) fn tap_served(&self, hooks: &StreamHooks) -> bool {
        let mut header = Pairs::new();
        let about = (self.service_bytes(), self.method_bytes(), Arc::clone(self.link().peer()));
        match Tap::server(hooks, about, self.metainfo(), &mut header) {
            Ok(None) => return true,
            Ok(Some(tap)) if header.is_empty() => {
                self.set_tap(tap);
                return true;
            }
            Ok(Some(tap)) => match self.set_header(&header) {
                Ok(()) => {
                    self.set_tap(tap);
                    return true;
                }
                Err(error) => {
                    tap.failed(&error);
                    drop(self.finish(finish_of(&error)));
                }
            },
            Err(error) => drop(self.finish(finish_of(&error))),
        }
        false
    }

    /// What it passes, if anybody looks. All that a message costs where nobody does.
    #[inline(always)]
    pub(super) fn tap(&self) -> Option<&Arc<Tap>> {
        self.inner.tap.get()
    }

    pub(super) fn passage(&self) -> Option<Passage> {
        let tap = Arc::clone(self.tap()?);
        Some(Passage { tap, stream: Arc::downgrade(&self.inner) })
    }

    /// A message as it leaves.
    #[inline(always)]
    pub(super) fn outgoing(&self, message: Message) -> Result<Message> {
        match self.tap() {
            None => Ok(message),
            Some(tap) => self.tapped_out(tap, message),
        }
    }

    #[inline(never)]
    fn tapped_out(&self, tap: &Tap, message: Message) -> Result<Message> {
        let bytes = message.len();
        tap.outgoing(message).inspect_err(|error| {
            tap.sent(bytes, Some(error));
            self.inner.refuse(error);
        })
    }

    /// What became of it.
    #[inline(always)]
    pub(super) fn sent(&self, bytes: usize, error: Option<&Error>) {
        if let Some(tap) = self.tap() {
            tap.sent(bytes, error);
        }
    }

    /// What was received as the host gets it.
    #[inline(always)]
    pub(super) fn incoming(&self, received: Received) -> Received {
        match self.tap() {
            None => received,
            Some(tap) => self.tapped_in(tap, received),
        }
    }

    #[inline(never)]
    fn tapped_in(&self, tap: &Tap, received: Received) -> Received {
        let received = tap.incoming(received);
        self.inner.end_if_refused(tap);
        received
    }
}

impl Passage {
    pub(super) fn sent(&self, bytes: usize, error: Option<&Error>) {
        self.tap.sent(bytes, error);
    }

    pub(super) fn incoming(&self, received: Received) -> Received {
        let received = self.tap.incoming(received);
        if let Some(stream) = self.stream.upgrade() {
            stream.end_if_refused(&self.tap);
        }
        received
    }

    fn meta(&self, header: &crate::wire::ttheader::Header, content: &bytes::Bytes) {
        if let (Err(error), Some(stream)) = (self.tap.meta(header, content), self.stream.upgrade()) {
            stream.refuse(&error);
        }
    }
}

impl Inner {
    fn end_if_refused(self: &Arc<Self>, tap: &Tap) {
        if let Some(error) = tap.refusal() {
            self.refuse(error);
        }
    }

    /// An interceptor has ended the stream: the peer is told its words. Does nothing the second time.
    fn refuse(self: &Arc<Self>, error: &Error) {
        match self.about.side {
            StreamSide::Server => {
                let _ = Stream { inner: Arc::clone(self) }.finish(finish_of(error));
            }
            StreamSide::Client | StreamSide::None => self.link.cancel(refused(error)),
        }
    }
}

/// What the client is told. A rejection has words and a number of its own, anything else is as an
/// interceptor's error (ttstream.md §3.3).
pub(super) fn finish_of(error: &Error) -> Finish {
    match error.stream_reason() {
        Some(reason) if (reason.side, reason.class) == (StreamSide::Server, StreamClass::None) => {
            Finish::Exception { type_id: reason.code, text: reason.text.clone() }
        }
        _ => Finish::of(error),
    }
}

/// What the server is told.
fn refused(error: &Error) -> Cancel {
    let code = error.stream_reason().map_or(StreamReason::CANCEL, |reason| reason.code);
    let text = error.stream_reason().map(|reason| reason.text.clone());
    Cancel::with_code(code, text.unwrap_or_else(|| error.text().to_owned().into()))
}
