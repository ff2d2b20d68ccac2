//! The stream itself: what both ends have, and what only one may do.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Message, Metainfo, Result, StreamReason, StreamSide};
use crate::codec::{CallShape, Shape};
use crate::io::stream::{Link, given_back};
use crate::op::operation::{self, Cause};
use crate::proto::stream::{Cancel, End, Finish, Pairs, RecvTimeout, StreamStats, StreamTimeouts};
use crate::rpc::context::{Context, Watch};
use crate::rpc::stream::delivery::Delivery;
use crate::rpc::stream::ends;
use crate::rpc::stream::interceptor::merged_trailer;
use crate::rpc::stream::stopping::Stopping;
use crate::rpc::stream::tap::Tap;
use crate::rpc::{Callbacks, Runtime};
use crate::wire::ttheader::Header;

/// Most bytes of the pairs of a HEADER or TRAILER: what one may hold, less what is in it besides.
const PAIRS_BYTES: usize = 190_000;

/// A stream, at either end. Cloning shares it; when the last clone goes, a client's stream that is not over
/// is cancelled, a server's that was not finished ends with an exception.
#[derive(Clone)]
pub struct Stream {
    pub(super) inner: Arc<Inner>,
}

/// What a stream is known by.
pub(super) struct About {
    pub(super) side: StreamSide,
    pub(super) service: Bytes,
    pub(super) method: Bytes,
    /// What the IDL says of the messages, if the method is from one.
    pub(super) shape: Option<CallShape>,
    /// Server: what came with the opening.
    pub(super) opening: Option<(Header, Metainfo)>,
    pub(super) context: Context,
    /// As it was opened.
    pub(super) timeouts: StreamTimeouts,
    /// Given back when the stream is.
    pub(super) keep: Box<dyn Send + Sync>,
    /// Client: its threads serve the stream.
    pub(super) runtime: Option<Arc<Runtime>>,
    /// Whose threads run completion callbacks.
    pub(super) threads: Weak<Runtime>,
}

pub(super) struct Inner {
    pub(super) link: Arc<Link>,
    pub(super) about: About,
    /// Who looks at it, if anybody does.
    pub(super) tap: OnceLock<Arc<Tap>>,
    /// Who waits for its server to be stopped.
    pub(super) stopping: OnceLock<Arc<Stopping>>,
    timeouts: Mutex<StreamTimeouts>,
    /// Of a server stream; boxed, for few have one.
    request: OnceLock<Box<Message>>,
    reply: Mutex<Reply>,
    delivery: Mutex<Option<Arc<Delivery>>>,
    /// The work it belongs to: its end is the stream's.
    watch: Mutex<Option<Watch>>,
}

/// What a server has to say besides messages.
#[derive(Default)]
struct Reply {
    header: Pairs,
    header_sent: bool,
    trailer: Pairs,
    finished: bool,
}

impl Stream {
    pub(super) fn new(link: Arc<Link>, about: About) -> Stream {
        let timeouts = StreamTimeouts { deadline: about.context.deadline(), ..about.timeouts };
        let inner = Arc::new(Inner {
            link,
            about,
            tap: OnceLock::new(),
            stopping: OnceLock::new(),
            timeouts: Mutex::new(timeouts),
            request: OnceLock::new(),
            reply: Mutex::default(),
            delivery: Mutex::new(None),
            watch: Mutex::new(None),
        });
        let context = inner.about.context.clone();
        if inner.about.side == StreamSide::Client {
            let watcher: Arc<dyn operation::Cancel> = Arc::clone(&inner) as _;
            *inner.watch.lock() = Some(context.watch(Arc::downgrade(&watcher)));
        }
        let (link, stopping) = (Arc::downgrade(&inner.link), context.clone());
        inner.link.on_end(Box::new(move || {
            if let Some(end) = link.upgrade().and_then(|link| link.end()) {
                context.cancel_for(ends::cause(&end), end.error().cloned());
            }
        }));
        inner.link.on_stopping(Box::new(move || stopping.set_stopping()));
        Stream { inner }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.inner.link
    }

    pub(super) fn delivery(&self) -> &Mutex<Option<Arc<Delivery>>> {
        &self.inner.delivery
    }

    pub(super) fn opening_header(&self) -> Option<&Header> {
        self.inner.about.opening.as_ref().map(|(header, _)| header)
    }

    pub(super) fn set_request(&self, request: Message) {
        let _ = self.inner.request.set(Box::new(request));
    }

    /// Whether it is the server's end.
    pub fn is_server(&self) -> bool {
        self.inner.about.side == StreamSide::Server
    }

    /// The method's name.
    pub fn method(&self) -> &[u8] {
        &self.inner.about.method
    }

    pub(super) fn method_bytes(&self) -> &Bytes {
        &self.inner.about.method
    }

    pub(super) fn service_bytes(&self) -> &Bytes {
        &self.inner.about.service
    }

    /// The service's name: at a server of the one that took the stream, at a client as given.
    pub fn service(&self) -> &[u8] {
        &self.inner.about.service
    }

    /// What the IDL says of its messages: at a client that of the method it was opened with, at a server
    /// that of the service that took it, if they are from an IDL.
    pub fn shape(&self) -> Option<&CallShape> {
        self.inner.about.shape.as_ref()
    }

    /// The shape of messages to send; `None` without an IDL. JSON goes both ways by it.
    pub fn shape_to_send(&self) -> Option<Shape> {
        match self.is_server() {
            true => self.shape()?.result().ok(),
            false => Some(self.shape()?.request()),
        }
    }

    /// The shape of messages that are received; `None` without an IDL.
    pub fn shape_to_recv(&self) -> Option<Shape> {
        match self.is_server() {
            true => Some(self.shape()?.request()),
            false => self.shape()?.result().ok(),
        }
    }

    /// The peer's address.
    pub fn peer(&self) -> &str {
        self.inner.link.peer()
    }

    /// The stream's number on its connection, for logs.
    pub fn id(&self) -> i32 {
        self.inner.link.id()
    }

    /// The frame of the work: it ends when the stream does, with the same error, and, at a client, ends the
    /// stream when it is cancelled. Calls and streams that a handler opens in it take its metainfo along
    /// and are told of its end, with cause and path. It may outlive the stream.
    pub fn context(&self) -> &Context {
        &self.inner.about.context
    }

    /// Server: pairs that came with the opening; a client has none.
    pub fn metainfo(&self) -> &Metainfo {
        static NONE: Metainfo = Metainfo::new();
        self.inner.about.opening.as_ref().map_or(&NONE, |(_, metainfo)| metainfo)
    }

    /// Server: the request of a method that streams only its answers.
    pub fn request(&self) -> Option<&Message> {
        self.inner.request.get().map(Box::as_ref)
    }

    /// How the stream ended, once it is over in both directions: `Ok` if the peer has said everything.
    pub fn end(&self) -> Option<Result<()>> {
        self.inner.link.end().map(|end| match end {
            End::Eof => Ok(()),
            End::Failed(error) => Err(error),
        })
    }

    /// The threads for completion callbacks.
    pub fn callbacks(&self) -> Result<Callbacks> {
        let runtime = self.inner.about.threads.upgrade().filter(|runtime| !runtime.has_ended());
        let runtime = runtime.ok_or_else(|| Cause::Shutdown.error())?;
        Ok(Callbacks::new(&runtime))
    }

    /// Nothing is delivered into a queue any more, and what is there is stale.
    pub fn end_delivery(&self) {
        if let Some(delivery) = self.inner.delivery.lock().take() {
            delivery.release();
        }
    }

    /// Messages and bytes so far, as the connection has handled them.
    pub fn stats(&self) -> StreamStats {
        self.inner.link.stats()
    }

    /// Client: nothing more will be sent; receiving goes on. Does nothing the second time, or when the
    /// stream is over. INVALID_STATE while a send waits, and at a server, which finishes instead.
    pub fn close_send(&self) -> Result<()> {
        match self.is_server() {
            true => Err(invalid("a server ends its sending with finish")),
            false => self.inner.link.close_send(closed_send(StreamSide::Client)),
        }
    }

    /// Ends the stream in both directions: the peer is told the reason, which may be empty; what waits to be
    /// sent is dropped, what has arrived can still be received. From any thread; does nothing once the
    /// stream is over.
    pub fn cancel(&self, reason: impl Into<Bytes>) {
        self.cancel_with(Cancel::by_host(reason));
    }

    /// The same with a number of the host's own.
    pub fn cancel_with_code(&self, code: i32, reason: impl Into<Bytes>) {
        self.cancel_with(Cancel::with_code(code, reason));
    }

    fn cancel_with(&self, cancel: Cancel) {
        self.inner.link.cancel(cancel);
    }

    /// Changes the stream's clocks; a recv that waits keeps its own.
    pub fn set_timeouts(&self, timeouts: StreamTimeouts) {
        self.change_timeouts(|now| *now = timeouts);
    }

    /// Limits how long each recv waits from now on, at either end, while nothing has arrived; a recv that
    /// waits keeps its own limit.
    pub fn set_recv_timeout(&self, recv: Option<RecvTimeout>) {
        self.change_timeouts(|now| now.recv = recv);
    }

    fn change_timeouts(&self, change: impl FnOnce(&mut StreamTimeouts)) {
        let mut timeouts = self.inner.timeouts.lock();
        change(&mut timeouts);
        // With the lock held, so that the last to change them is the last to be heard.
        self.inner.link.set_timeouts(*timeouts);
    }

    /// Server: adds pairs to the HEADER, which leaves before the first message or the end. A key that is
    /// there already gets the new value. INVALID_STATE once the HEADER has left, and at a client.
    pub fn set_header(&self, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        self.expect_server()?;
        self.inner.reply.lock().add_header(pairs)
    }

    /// Server: sends the HEADER now, with these pairs too.
    pub fn send_header(&self, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        self.expect_server()?;
        let mut reply = self.inner.reply.lock();
        reply.add_header(pairs)?;
        // With the lock held, so that no message overtakes it; the link calls nobody here.
        if let Some(header) = reply.take_header() {
            self.inner.link.send_header(header);
        }
        Ok(())
    }

    /// Server: adds pairs to the TRAILER, which leaves at the end. INVALID_STATE after that, and at a
    /// client; INVALID_ARGUMENT for `biz-*`, which belongs to business statuses.
    pub fn set_trailer(&self, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        self.expect_server()?;
        let mut reply = self.inner.reply.lock();
        if reply.finished {
            return Err(invalid("stream trailer already sent"));
        }
        reply.trailer = merged_trailer(&reply.trailer, pairs)?;
        Ok(())
    }

    /// Server: the handler has ended. What was sent before still reaches the client, then this. Exactly
    /// once, INVALID_STATE afterwards and at a client; the context ends with it.
    pub fn finish(&self, finish: Finish) -> Result<()> {
        self.expect_server()?;
        let mut reply = self.inner.reply.lock();
        if std::mem::replace(&mut reply.finished, true) {
            return Err(invalid("the stream has been finished already"));
        }
        let (header, mut trailer) = (reply.take_header(), std::mem::take(&mut reply.trailer));
        drop(reply);
        let mut finish = finish;
        if let Some(tap) = self.tap() {
            (finish, trailer) = tap.finishing(finish, trailer);
        }
        if let Some(header) = header.filter(|header| !header.is_empty()) {
            self.inner.link.send_header(header);
        }
        self.inner.link.finish(finish, trailer, handler_returned());
        Ok(())
    }

    /// Server: whether [`Stream::finish`] has been called.
    pub fn is_finished(&self) -> bool {
        self.inner.reply.lock().finished
    }

    /// Puts the HEADER before the first message, if it holds anything.
    pub(super) fn before_send(&self) {
        if !self.is_server() {
            return;
        }
        let mut reply = self.inner.reply.lock();
        if let Some(header) = reply.take_header()
            && !header.is_empty()
        {
            self.inner.link.send_header(header);
        }
    }

    fn expect_server(&self) -> Result<()> {
        match self.is_server() {
            true => Ok(()),
            false => Err(invalid("only a server's end of a stream can do this")),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [service, method] = [self.service(), self.method()].map(String::from_utf8_lossy);
        write!(f, "Stream({} {service}/{method} with {})", self.id(), self.peer())
    }
}

impl Reply {
    fn add_header(&mut self, pairs: &[(Bytes, Bytes)]) -> Result<()> {
        if self.header_sent {
            return Err(invalid("stream header already sent"));
        }
        self.header = merged("header", &self.header, pairs)?;
        Ok(())
    }

    /// The HEADER, the first time.
    fn take_header(&mut self) -> Option<Pairs> {
        let first = !std::mem::replace(&mut self.header_sent, true);
        first.then(|| std::mem::take(&mut self.header))
    }
}

/// What is there with more pairs, if that fits into a frame.
pub(super) fn merged(what: &str, there: &[(Bytes, Bytes)], more: &[(Bytes, Bytes)]) -> Result<Pairs> {
    let merged = crate::base::last_wins(there.iter().chain(more).cloned());
    let longest = merged.iter().map(|(key, value)| key.len().max(value.len())).max().unwrap_or(0);
    let total: usize = merged.iter().map(|(key, value)| 4 + key.len() + value.len()).sum();
    if longest > usize::from(u16::MAX) || total > PAIRS_BYTES {
        let why = format!("keys and values are at most 65535 bytes long, all together {PAIRS_BYTES}");
        return Err(Error::invalid_argument(what, why));
    }
    Ok(merged)
}

fn invalid(text: &'static str) -> Error {
    Error::new(Code::InvalidState, text)
}

fn closed_send(side: StreamSide) -> Error {
    let text = "stream is closed send";
    let reason =
        StreamReason::new(StreamReason::ILLEGAL_OPERATION, crate::base::StreamClass::Protocol, side, text);
    Error::stream(Code::InvalidState, reason)
}

fn handler_returned() -> Error {
    let (class, side) = (crate::base::StreamClass::Canceled, StreamSide::Server);
    let text = "canceled by business handler returning";
    Error::stream(Code::Cancelled, StreamReason::new(StreamReason::HANDLER_RETURNED, class, side, text))
}

/// The context of a client's stream has ended.
impl operation::Cancel for Inner {
    fn cancel(&self, cause: Cause) {
        self.link.cancel(ends::inherited(&self.about.context, cause));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.lock().take() {
            delivery.release();
        }
        if let Some(stopping) = self.stopping.get() {
            stopping.tell(Err(given_back()));
        }
        self.link.release();
        // What was opened in it ends as well, unless the end has been told already.
        let reason = (self.about.side == StreamSide::Server).then(handler_returned);
        self.about.context.cancel_for(Cause::Closed, reason);
        // The keepers go after that: a host that waits for them finds the stream given back.
        let _ = (&self.about.keep, &self.about.runtime);
    }
}
