//! Interceptors and observers of streams, in Rust: state that goes with a stream, panics, streams left alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use krpc::base::{Code, Error, Message, MetainfoKind, Result};
use krpc::rpc::call::{Client, Method, Transport};
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{
    Finishing, Returning, Stream, StreamEvent, StreamEventKind, StreamEvents, StreamHook, StreamHooks,
    StreamInfo, StreamInterceptor, StreamMethodOptions, StreamMode, StreamObserver, StreamOpening,
    StreamOptions,
};

use crate::support::*;

/// How many messages had passed at the end, and what it ended with.
type Ends = Arc<Mutex<Vec<(usize, Option<Code>)>>>;

/// Counts what passes, per stream; what it is told to do with messages that hold certain bytes it does.
#[derive(Default)]
struct Counting {
    ended: Ends,
    dropped: Arc<AtomicUsize>,
}

struct Counted {
    passed: AtomicUsize,
    ended: Ends,
    dropped: Arc<AtomicUsize>,
}

impl StreamInterceptor for Counting {
    fn open(&self, opening: &mut StreamOpening<'_>) -> Result<Option<Box<dyn StreamHook>>> {
        if opening.metainfo().iter().any(|(_, key, _)| key == "alone") {
            return Ok(None);
        }
        opening.set(MetainfoKind::Transient, "seen".into(), "1".into())?;
        let kind = opening.set(MetainfoKind::Backward, "no".into(), "1".into()).unwrap_err();
        assert_eq!(kind.code(), Code::InvalidArgument);
        let (ended, dropped) = (Arc::clone(&self.ended), Arc::clone(&self.dropped));
        Ok(Some(Box::new(Counted { passed: AtomicUsize::new(0), ended, dropped })))
    }
}

impl StreamHook for Counted {
    fn send(&self, _: &StreamInfo, message: Message) -> Result<Message> {
        let text = message.bytes();
        if text.windows(5).any(|part| part == b"panic") {
            panic!("an interceptor's own");
        }
        self.passed.fetch_add(1, Ordering::SeqCst);
        Ok(message)
    }

    fn recv(&self, stream: &StreamInfo, message: Message) -> Result<Message> {
        assert!(!stream.peer.is_empty());
        self.passed.fetch_add(1, Ordering::SeqCst);
        Ok(message)
    }

    fn end(&self, _: &StreamInfo, error: Option<&Error>) {
        self.ended.lock().unwrap().push((self.passed.load(Ordering::SeqCst), error.map(Error::code)));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Refuses the handler's answer to a client that asks for it.
struct Picky;

impl StreamInterceptor for Picky {
    fn open(&self, opening: &mut StreamOpening<'_>) -> Result<Option<Box<dyn StreamHook>>> {
        match opening.metainfo().get(MetainfoKind::Upstream, b"refuse") {
            Some(_) => Err(Error::biz(krpc::base::Biz { code: 42, ..Default::default() })),
            None => Ok(Some(Box::new(Picky))),
        }
    }
}

impl StreamHook for Picky {
    fn finish(&self, _: &StreamInfo, finishing: &mut Finishing) {
        finishing.set("picky".into(), "1".into()).unwrap();
        let error = finishing.set("biz-status".into(), "1".into()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(finishing.trailer().len(), 1);
    }
}

fn serve(seen: &Arc<Mutex<Vec<StreamEvent>>>) -> Server {
    let echo = |stream: &Stream| {
        while let Some(message) = stream.recv()? {
            stream.send(message)?;
        }
        Ok(())
    };
    let mut service = Service::new("Test").unwrap();
    let handler = Arc::new(Returning(echo));
    service.add_stream("Echo", StreamMode::Bidirectional, StreamMethodOptions::default(), handler).unwrap();
    service.add_stream_interceptor(Arc::new(Picky));
    let seen = Arc::clone(seen);
    let note = move |event: &StreamEvent| seen.lock().unwrap().push(event.clone());
    let kinds = StreamEventKind::ALL.iter().fold(0, |all, kind| all | kind.bit());
    let observer = StreamObserver::new(kinds, StreamEvents::Function(Box::new(note)));
    Server::start(ServerOptions {
        addresses: vec![krpc::rpc::Address::parse("127.0.0.1:0").unwrap()],
        services: vec![service],
        stream_hooks: StreamHooks { interceptors: Vec::new(), observer: Some(observer) },
        ..ServerOptions::default()
    })
    .unwrap()
}

/// What another thread is about to do has been done.
fn eventually(condition: impl Fn() -> bool) {
    let bound = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < bound, "did not come true");
        std::thread::yield_now();
    }
}

fn open(client: &Client, pairs: &[(&'static str, &'static str)]) -> Stream {
    let mut metainfo = krpc::base::Metainfo::new();
    pairs.iter().for_each(|(key, value)| metainfo.set(MetainfoKind::Transient, *key, *value));
    let options = StreamOptions { metainfo: Some(&metainfo), ..StreamOptions::default() };
    client.open_stream(&Method::parse("Test/Echo").unwrap(), &options).unwrap()
}

#[test]
fn hooks_go_with_their_stream_and_their_panics_end_only_it() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let server = serve(&events);
    let counting = Arc::new(Counting::default());
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.stream_hooks.interceptors.push(counting.clone());
    let client = Client::new(options).unwrap();

    let stream = open(&client, &[]);
    for _ in 0..3 {
        stream.send(body(b"hello")).unwrap();
        assert_eq!(stream.recv().unwrap().unwrap(), body(b"hello"));
    }
    stream.close_send().unwrap();
    assert_eq!(stream.recv().unwrap(), None);
    let trailer = stream.trailer().unwrap();
    assert_eq!(trailer, [(Bytes::from_static(b"picky"), Bytes::from_static(b"1"))]);
    drop(stream);
    eventually(|| counting.dropped.load(Ordering::SeqCst) == 1);
    assert_eq!(*counting.ended.lock().unwrap(), [(6, None)]);

    // Left alone: nothing passes, and nobody hears of its end.
    let alone = open(&client, &[("alone", "1")]);
    alone.send(body(b"panic")).unwrap();
    assert_eq!(alone.recv().unwrap().unwrap(), body(b"panic"));
    drop(alone);

    let (good, bad) = (open(&client, &[]), open(&client, &[]));
    let error = bad.send(body(b"panic")).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error}");
    assert!(error.text().contains("an interceptor's own"), "{error}");
    assert_eq!(bad.recv().unwrap_err().code(), Code::Internal);
    good.send(body(b"still here")).unwrap();
    assert_eq!(good.recv().unwrap().unwrap(), body(b"still here"));
    drop((good, bad));
    eventually(|| counting.dropped.load(Ordering::SeqCst) == 3);
    assert_eq!(counting.ended.lock().unwrap().len(), 3);

    // An interceptor's business status is one (ttstream.md §3.3); its stream never gets to the handler.
    let refused = open(&client, &[("refuse", "1")]);
    assert_eq!(refused.recv().unwrap_err().biz_status().unwrap().code, 42);
    drop(refused);
    let events = events.lock().unwrap();
    let kinds = |kind| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!(kinds(StreamEventKind::Start), 4, "what was refused is no event");
    assert!(events.iter().all(|event| event.stream.method == "Echo" && !event.stream.peer.is_empty()));
}
