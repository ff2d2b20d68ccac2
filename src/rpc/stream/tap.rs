//! What a stream passes everything through when somebody wants to see it: interceptors first, then events
//! and counters. A stream that nobody looks at has none.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::log;
use crate::base::{Code, Error, Message, Metainfo, MetainfoKind, Result, StreamReason, StreamSide, panic};
use crate::io::stream::Received;
use crate::io::{clock, inline, thread};
use crate::proto::stream::{End, Finish, Pairs, StreamStats};
use crate::rpc::stream::interceptor::{
    Finishing, OpeningSide, StreamHook, StreamHooks, StreamInfo, StreamOpening,
};
use crate::rpc::stream::observer::{MethodCounts, StreamEvent, StreamEventKind, StreamObserver};
use crate::rpc::stream::passage::finish_of;
use crate::wire::ttheader::Header;

/// The number of the next stream that is looked at.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One stream's interceptors and watcher.
pub(in crate::rpc) struct Tap {
    /// Without the peer at a client whose stream has no connection yet.
    asked: Arc<StreamInfo>,
    opened: OnceLock<Arc<StreamInfo>>,
    /// The first is the outermost.
    hooks: Vec<Box<dyn StreamHook>>,
    watcher: Option<Watcher>,
    /// What an interceptor has ended the stream with.
    refusal: OnceLock<Error>,
    /// Server: how the handler has ended.
    finished: Mutex<Option<Option<Error>>>,
    has_ended: AtomicBool,
}

struct Watcher {
    observer: Arc<StreamObserver>,
    counts: Arc<MethodCounts>,
    sequence: AtomicU64,
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
}

/// What an event is about, besides its kind.
#[derive(Default)]
struct What {
    message: u64,
    bytes: u64,
    error: Option<Error>,
    pairs: Metainfo,
    sent: StreamStats,
}

impl Tap {
    /// Asks the interceptors about a client's stream before anything is sent. `None`: nobody looks.
    pub(in crate::rpc) fn client(
        hooks: &StreamHooks,
        service: &Bytes,
        method: &Bytes,
        metainfo: &mut Metainfo,
    ) -> Result<Option<Arc<Tap>>> {
        if hooks.is_empty() {
            return Ok(None);
        }
        let info = info(StreamSide::Client, service, method, "".into());
        let side = OpeningSide::Client { metainfo };
        Tap::open(hooks, info, side).map(Some)
    }

    /// The same about a server's before it is handled; `header` is what its answer's HEADER gets.
    pub(super) fn server(
        hooks: &StreamHooks,
        (service, method, peer): (&Bytes, &Bytes, Arc<str>),
        metainfo: &Metainfo,
        header: &mut Pairs,
    ) -> Result<Option<Arc<Tap>>> {
        if hooks.is_empty() {
            return Ok(None);
        }
        let info = info(StreamSide::Server, service, method, peer);
        let side = OpeningSide::Server { metainfo, header };
        Tap::open(hooks, info, side).map(Some)
    }

    fn open(hooks: &StreamHooks, info: StreamInfo, side: OpeningSide<'_>) -> Result<Arc<Tap>> {
        let asked = Arc::new(info);
        let watcher = hooks.observer.as_ref().map(|observer| Watcher {
            observer: Arc::clone(observer),
            counts: observer.counts_of(&asked.service, &asked.method),
            sequence: AtomicU64::new(0),
            messages_sent: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            messages_received: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
        });
        let opened = OnceLock::new();
        if asked.side == StreamSide::Server {
            let _ = opened.set(Arc::clone(&asked));
        }
        let mut tap = Tap {
            asked: Arc::clone(&asked),
            opened,
            hooks: Vec::new(),
            watcher,
            refusal: OnceLock::new(),
            finished: Mutex::new(None),
            has_ended: AtomicBool::new(false),
        };
        let mut opening = StreamOpening { info: &asked, side };
        for interceptor in &hooks.interceptors {
            match foreign("a stream interceptor", || interceptor.open(&mut opening)) {
                Ok(Some(hook)) => tap.hooks.push(hook),
                Ok(None) => {}
                Err(error) => {
                    tap.end(Some(&error), Metainfo::new(), StreamStats::default());
                    return Err(error);
                }
            }
        }
        Ok(Arc::new(tap))
    }

    fn info(&self) -> &Arc<StreamInfo> {
        self.opened.get().unwrap_or(&self.asked)
    }

    /// The stream has a connection, or a handler.
    pub(super) fn started(&self, peer: &Arc<str>) {
        let known = || Arc::new(StreamInfo { peer: Arc::clone(peer), ..(*self.asked).clone() });
        self.opened.get_or_init(known);
        self.tell(StreamEventKind::Start, What::default());
    }

    /// The error that an interceptor has ended the stream with.
    pub(super) fn refusal(&self) -> Option<&Error> {
        self.refusal.get()
    }

    /// A message on its way out.
    pub(super) fn outgoing(&self, message: Message) -> Result<Message> {
        if let Some(error) = self.refusal() {
            return Err(error.clone());
        }
        let pass = |message, hook: &dyn StreamHook| {
            foreign("a stream interceptor", || hook.send(self.info(), message))
        };
        self.hooks.iter().map(Box::as_ref).try_fold(message, pass).inspect_err(|error| self.refuse(error))
    }

    /// What became of a message to send.
    pub(super) fn sent(&self, bytes: usize, error: Option<&Error>) {
        let Some(watcher) = &self.watcher else { return };
        let message = match error {
            Some(_) => watcher.messages_sent.load(Ordering::Relaxed),
            None => {
                watcher.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
                watcher.messages_sent.fetch_add(1, Ordering::Relaxed)
            }
        };
        let what = What { message, bytes: bytes as u64, error: error.cloned(), ..What::default() };
        self.tell(StreamEventKind::Send, what);
    }

    /// What the host is about to get. Messages before one that an interceptor refuses are still its.
    pub(super) fn incoming(&self, received: Received) -> Received {
        match (self.refusal(), received) {
            (Some(error), _) => Received::Failed(error.clone()),
            (None, Received::Message(message)) => {
                self.take_in(message).map_or_else(Received::Failed, Received::Message)
            }
            (None, Received::Messages(mut messages)) => {
                let mut good = std::mem::take(&mut messages);
                for at in 0..good.len() {
                    let Some(place) = good.get_mut(at) else { break };
                    match self.take_in(place.clone()) {
                        Ok(message) => *place = message,
                        Err(error) => {
                            good.truncate(at);
                            return if at == 0 { Received::Failed(error) } else { Received::Messages(good) };
                        }
                    }
                }
                Received::Messages(good)
            }
            (None, Received::Failed(error)) => {
                self.received(0, Some(&error));
                Received::Failed(error)
            }
            (None, received @ (Received::Nothing | Received::Eof)) => received,
        }
    }

    fn take_in(&self, message: Message) -> Result<Message> {
        let bytes = message.len();
        let pass = |message, hook: &dyn StreamHook| {
            foreign("a stream interceptor", || hook.recv(self.info(), message))
        };
        let passed = self.hooks.iter().rev().map(Box::as_ref).try_fold(message, pass);
        passed.inspect(|_| self.received(bytes, None)).inspect_err(|error| {
            self.refuse(error);
            self.received(bytes, Some(error));
        })
    }

    fn received(&self, bytes: usize, error: Option<&Error>) {
        let Some(watcher) = &self.watcher else { return };
        let message = match error {
            Some(_) => watcher.messages_received.load(Ordering::Relaxed),
            None => {
                watcher.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
                watcher.messages_received.fetch_add(1, Ordering::Relaxed)
            }
        };
        let what = What { message, bytes: bytes as u64, error: error.cloned(), ..What::default() };
        self.tell(StreamEventKind::Recv, what);
    }

    /// The server's HEADER.
    pub(super) fn header(&self, header: Option<Result<Option<Header>>>) {
        if let Some(Ok(Some(header))) = header {
            self.tell(StreamEventKind::Header, What { pairs: backward(&header), ..What::default() });
        }
    }

    /// A META frame; an interceptor that refuses it ends this stream only.
    pub(super) fn meta(&self, header: &Header, content: &Bytes) -> Result<()> {
        let pairs = backward(header);
        let listed = pairs.backward();
        for hook in &self.hooks {
            foreign("a stream interceptor", || hook.meta(self.info(), &listed, content))
                .inspect_err(|error| self.refuse(error))?;
        }
        self.tell(StreamEventKind::Meta, What { bytes: content.len() as u64, pairs, ..What::default() });
        Ok(())
    }

    /// Server: the handler has ended, and its TRAILER is about to leave.
    pub(super) fn finishing(&self, finish: Finish, trailer: Pairs) -> (Finish, Pairs) {
        let mut finishing = Finishing { finish, trailer };
        for hook in self.hooks.iter().rev() {
            let asked = foreign("a stream interceptor", || {
                hook.finish(self.info(), &mut finishing);
                Ok(())
            });
            if let Err(error) = asked {
                finishing.finish = finish_of(&error);
            }
        }
        *self.finished.lock() = Some(finishing.error());
        (finishing.finish, finishing.trailer)
    }

    /// The stream is over in both directions.
    pub(super) fn ended(&self, end: Option<End>, trailer: Option<Result<Option<Header>>>, sent: StreamStats) {
        let returned = |error: &Error| {
            error.stream_reason().is_some_and(|reason| reason.code == StreamReason::HANDLER_RETURNED)
        };
        let error = match end {
            None | Some(End::Eof) => None,
            Some(End::Failed(error)) if self.asked.side == StreamSide::Server && returned(&error) => {
                let unfinished = || Some(Error::new(Code::Gone, "the handler gave no answer"));
                self.finished.lock().clone().unwrap_or_else(unfinished)
            }
            Some(End::Failed(error)) => Some(error),
        };
        let pairs = match trailer {
            Some(Ok(Some(trailer))) if self.asked.side == StreamSide::Client => backward(&trailer),
            _ => Metainfo::new(),
        };
        self.end(self.refusal().cloned().or(error).as_ref(), pairs, sent);
    }

    /// There is no stream.
    pub(in crate::rpc) fn failed(&self, error: &Error) {
        self.end(Some(error), Metainfo::new(), StreamStats::default());
    }

    /// `sent`: as the connection knows it, for a sender's thread may be about to count its last message.
    fn end(&self, error: Option<&Error>, pairs: Metainfo, sent: StreamStats) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.tell(StreamEventKind::End, What { error: error.cloned(), pairs, sent, ..What::default() });
        for hook in self.hooks.iter().rev() {
            let _ = foreign("a stream interceptor", || {
                hook.end(self.info(), error);
                Ok(())
            });
        }
    }

    fn refuse(&self, error: &Error) {
        let _ = self.refusal.set(error.clone());
    }

    fn tell(&self, kind: StreamEventKind, what: What) {
        let Some(watcher) = &self.watcher else { return };
        let sequence = watcher.sequence.fetch_add(1, Ordering::Relaxed);
        let What { message, bytes, error, pairs, sent } = what;
        let failed = error.as_ref().is_some_and(|error| error.code() != Code::BizStatus);
        let has_begun = kind != StreamEventKind::End || sequence > 0;
        watcher.counts.count(kind, bytes, failed, has_begun);
        if !watcher.observer.wants(kind) {
            return;
        }
        let stream = Arc::clone(self.info());
        let (at, totals) = (clock::now(), watcher.totals(sent));
        let event = StreamEvent { kind, at, stream, sequence, message, bytes, error, pairs, totals };
        let _ = foreign("an observer of streams", || {
            watcher.observer.tell(event);
            Ok(())
        });
    }
}

/// Nobody has heard of an end that never came: the connection's thread has gone before.
impl Drop for Tap {
    fn drop(&mut self) {
        if !*self.has_ended.get_mut() {
            let error = Error::new(Code::Closed, "the stream was given up");
            self.end(Some(&error), Metainfo::new(), StreamStats::default());
        }
    }
}

impl Watcher {
    fn totals(&self, sent: StreamStats) -> StreamStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StreamStats {
            messages_sent: read(&self.messages_sent).max(sent.messages_sent),
            bytes_sent: read(&self.bytes_sent).max(sent.bytes_sent),
            messages_received: read(&self.messages_received),
            bytes_received: read(&self.bytes_received),
        }
    }
}

fn info(side: StreamSide, service: &Bytes, method: &Bytes, peer: Arc<str>) -> StreamInfo {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    StreamInfo { side, service: service.clone(), method: method.clone(), peer, number }
}

/// The pairs of a frame as they are shown.
fn backward(header: &Header) -> Metainfo {
    let slices = |(key, value)| (MetainfoKind::Backward, header.slice(key), header.slice(value));
    header.strings().map(slices).collect()
}

/// Runs code of the host's where it may be in the way of others; a panic is its error.
fn foreign<T>(what: &'static str, code: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut result = Err(Error::new(Code::Internal, "not called"));
    let run = || result = panic::caught_in(what, code).and_then(|result| result);
    match thread::role() {
        Some(thread::Role::Io) => inline::run(&log::Log::default(), "stream", || what, run),
        _ => run(),
    }
    result
}
