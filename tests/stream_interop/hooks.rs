//! Interceptors, events and META frames where the peer is Kitex.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use krpc::base::{Error, Message, MetainfoKind, Result, StreamSide};
use krpc::op::operation;
use krpc::rpc::server::ServerOptions;
use krpc::rpc::stream::{
    Finishing, Pairs, StreamCounters, StreamEvent, StreamEventKind, StreamEvents, StreamHook, StreamHooks,
    StreamInfo, StreamInterceptor, StreamObserver, StreamOpening, StreamOptions, rejection,
};

use crate::client::{Cases, at_end, client, client_with, recv};
use crate::item::Item;
use crate::{peer, proxy, server};

const POOLS: [(&str, usize); 2] = [("mux", 1), ("long", 0)];

/// Adds pairs, turns "plain" into "replaced" on its way to the handler, puts "!" behind what the client gets, and
/// refuses who asks for it; the same at either end.
#[derive(Clone, Default)]
struct Changing {
    metas: Arc<Mutex<Vec<Pairs>>>,
    ends: Arc<AtomicUsize>,
}

impl StreamInterceptor for Changing {
    fn open(&self, opening: &mut StreamOpening<'_>) -> Result<Option<Box<dyn StreamHook>>> {
        if opening.metainfo().get(MetainfoKind::Upstream, b"refuse").is_some() {
            return Err(rejection(StreamSide::Server, 0, "not this one".into()));
        }
        if opening.info().side == StreamSide::Server {
            opening.set(MetainfoKind::Backward, "opened".into(), "1".into())?;
        } else {
            opening.set(MetainfoKind::Persistent, "K".into(), "kept".into())?;
            opening.set(MetainfoKind::Transient, "K".into(), "once".into())?;
        }
        Ok(Some(Box::new(self.clone())))
    }
}

impl Changing {
    fn to_handler(message: &Message) -> Message {
        let item = Item::read(message);
        let text = if item.text == "plain" { "replaced" } else { &item.text };
        Item { text: text.to_owned(), ..item.clone() }.message()
    }

    fn to_client(message: &Message) -> Message {
        let mut item = Item::read(message);
        item.text.push('!');
        item.message()
    }
}

impl StreamHook for Changing {
    fn send(&self, stream: &StreamInfo, message: Message) -> Result<Message> {
        let is_client = stream.side == StreamSide::Client;
        Ok(if is_client { Self::to_handler(&message) } else { Self::to_client(&message) })
    }

    fn recv(&self, stream: &StreamInfo, message: Message) -> Result<Message> {
        let is_client = stream.side == StreamSide::Client;
        Ok(if is_client { Self::to_client(&message) } else { Self::to_handler(&message) })
    }

    fn meta(&self, _: &StreamInfo, pairs: &Pairs, _: &Bytes) -> Result<()> {
        self.metas.lock().unwrap().push(pairs.clone());
        Ok(())
    }

    fn finish(&self, _: &StreamInfo, finishing: &mut Finishing) {
        finishing.set("finished".into(), "1".into()).unwrap();
    }

    fn end(&self, _: &StreamInfo, error: Option<&Error>) {
        assert!(error.is_none(), "{error:?}");
        self.ends.fetch_add(1, Ordering::SeqCst);
    }
}

/// Hooks, and the kinds of events that were told.
fn hooks(changing: &Changing) -> (StreamHooks, Arc<Mutex<Vec<StreamEventKind>>>) {
    let told = Arc::<Mutex<Vec<_>>>::default();
    let kinds = StreamEventKind::ALL.iter().fold(0, |all, kind| all | kind.bit());
    let events = Arc::clone(&told);
    let note = move |event: &StreamEvent| events.lock().unwrap().push(event.kind);
    let observer = StreamObserver::new(kinds, StreamEvents::Function(Box::new(note)));
    (StreamHooks { interceptors: vec![Arc::new(changing.clone())], observer: Some(observer) }, told)
}

/// What was counted of `Bidi`.
fn counted(hooks: &StreamHooks) -> StreamCounters {
    let observer = hooks.observer.as_ref().unwrap();
    let mut methods = (0..observer.method_count()).filter_map(|index| observer.method_at(index));
    methods.find(|method| method.method() == b"Bidi").expect("it was called").read()
}

/// Messages that Kitex's handlers of `Bidi` have received in streams that are over.
fn received_by_kitex(address: &str) -> i64 {
    let stream = Cases::with(client(address, 1, "interop.asks")).open("Watch", &StreamOptions::default());
    stream.send(Item::text("received").message()).unwrap();
    stream.close_send().unwrap();
    let count = recv(&stream).n;
    at_end(&stream);
    count
}

fn eventually(condition: impl Fn() -> bool) {
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < give_up, "did not come true");
        std::thread::yield_now();
    }
}

#[test]
fn what_interceptors_add_and_replace_reaches_kitex() {
    let Some(peer) = peer::build() else { return };
    for (pool, multiplexed) in POOLS {
        let kitex = peer::Server::start(&peer, &[]);
        let changing = Changing::default();
        let (hooks, told) = hooks(&changing);
        let cases = Cases::with(client_with(&kitex.address, multiplexed, "interop.client", hooks.clone()));
        let stream = cases.bidi();
        let words = [("meta K", "kept,once!"), ("plain", "replaced!"), ("other", "other!")];
        for (said, heard) in words {
            stream.send(Item::text(said).message()).unwrap();
            assert_eq!(recv(&stream).text, heard, "{pool}");
        }
        stream.close_send().unwrap();
        at_end(&stream);
        drop(stream);
        eventually(|| changing.ends.load(Ordering::SeqCst) == 1 && counted(&hooks).ended == 1);
        let counted = counted(&hooks);
        assert_eq!((counted.started, counted.failed, counted.recv_errors), (1, 0, 0), "{pool}");
        eventually(|| received_by_kitex(&kitex.address) == 3);
        assert_eq!((counted.messages.messages_sent, counted.messages.messages_received), (3, 3), "{pool}");
        // Sizes are of what was on the wire: "replaced" and not "plain"; and what had no "!" yet.
        let on_the_way =
            |texts: [&str; 3]| texts.map(|text| Item::text(text).message().len() as u64).iter().sum();
        assert_eq!(counted.messages.bytes_sent, on_the_way(["meta K", "replaced", "other"]), "{pool}");
        assert_eq!(counted.messages.bytes_received, on_the_way(["kept,once", "replaced", "other"]), "{pool}");
        let told = told.lock().unwrap();
        let count = |kind| told.iter().filter(|other| **other == kind).count();
        let kinds = [StreamEventKind::Start, StreamEventKind::Header, StreamEventKind::Send];
        assert_eq!(kinds.map(count), [1, 1, 3], "{pool}");
        assert_eq!([StreamEventKind::Recv, StreamEventKind::End].map(count), [3, 1], "{pool}");
    }
}

#[test]
fn kitex_sees_what_our_interceptors_add_and_replace() {
    let Some(peer) = peer::build() else { return };
    for (pool, _) in POOLS {
        let changing = Changing::default();
        let (hooks, told) = hooks(&changing);
        let services = vec![server::service(None)];
        let server = server::start_of(ServerOptions {
            services,
            stream_hooks: hooks.clone(),
            ..ServerOptions::default()
        });
        let address = server.addresses()[0].to_string();
        let arguments = ["stream-client", "-addr", &address, "-pool", pool, "-case", "hooked"];
        let (ok, said) = peer::run(&peer, &arguments);
        assert!(ok && said.contains("1 passed"), "{pool}:\n{said}");
        eventually(|| changing.ends.load(Ordering::SeqCst) == 1);
        // What was refused is no stream of theirs.
        let counted = counted(&hooks);
        let messages = (counted.messages.messages_sent, counted.messages.messages_received);
        assert_eq!((counted.started, counted.ended, counted.failed, messages), (1, 1, 0, (3, 3)), "{pool}");
        let sends = told.lock().unwrap().iter().filter(|kind| **kind == StreamEventKind::Send).count();
        assert_eq!(sends, 3, "{pool}");
    }
}

#[test]
fn many_messages_of_kitex_come_as_one_completion() {
    let Some(peer) = peer::build() else { return };
    let kitex = peer::Server::start(&peer, &[]);
    for (_, multiplexed) in POOLS {
        let cases = Cases::with(client(&kitex.address, multiplexed, "interop.client"));
        let stream = cases.open("Watch", &StreamOptions::default());
        stream.send(Item::numbered(1000, b"d".to_vec()).message()).unwrap();
        stream.close_send().unwrap();
        let (mut count, mut completions) = (0, 0);
        loop {
            let (operation, completer) = operation::new(None);
            stream.start_recv_many(64, completer);
            assert!(operation.wait(None));
            let messages = operation.take().unwrap().unwrap();
            if messages.is_empty() {
                break;
            }
            assert!(messages.len() <= 64);
            for message in messages {
                assert_eq!(Item::read(&message).n, count);
                count += 1;
            }
            completions += 1;
        }
        assert_eq!(count, 1000);
        assert!((16..=1000).contains(&completions), "{completions}");
        at_end(&stream);
    }
}

/// A proxy's META reaches the client's interceptor before the message that came behind it; servers, Kitex's and
/// ours, go on as if there were none, and so does Kitex's client.
#[test]
fn metas_of_a_proxy_go_to_clients_only() {
    let Some(peer) = peer::build() else { return };
    let kitex = peer::Server::start(&peer, &[]);
    for (pool, multiplexed) in POOLS {
        let changing = Changing::default();
        let (hooks, told) = hooks(&changing);
        let between = proxy::start(&kitex.address);
        let cases = Cases::with(client_with(&between, multiplexed, "interop.client", hooks));
        for round in 1..=2 {
            let stream = cases.bidi();
            for n in 0..3 {
                stream.send(Item::numbered(n, Vec::new()).message()).unwrap();
                assert_eq!(recv(&stream).n, n, "{pool}");
                assert_eq!(changing.metas.lock().unwrap().len(), round, "{pool}");
            }
            stream.close_send().unwrap();
            at_end(&stream);
        }
        let pair = (Bytes::from_static(b"rip"), Bytes::from_static(b"10.0.0.1:8888"));
        assert!(changing.metas.lock().unwrap().iter().all(|pairs| pairs.contains(&pair)), "{pool}");
        let metas = told.lock().unwrap().iter().filter(|kind| **kind == StreamEventKind::Meta).count();
        assert_eq!(metas, 2, "{pool}");

        let server = server::start();
        let between = proxy::start(&server.addresses()[0].to_string());
        let arguments = ["stream-client", "-addr", &between, "-pool", pool, "-case", "bidi,upload,biz"];
        let (ok, said) = peer::run(&peer, &arguments);
        assert!(ok && said.contains("3 passed"), "{pool}:\n{said}");
        eventually(|| server.stream_counters().opened == 3);
        assert_eq!(server.stream_counters().illegal, 0, "{pool}");
    }
}

#[test]
fn a_catch_all_takes_the_streams_of_kitex() {
    let Some(peer) = peer::build() else { return };
    for (pool, _) in POOLS {
        let server = server::start_catch_all();
        let address = server.addresses()[0].to_string();
        let cases = "bidi,large,together,biz,fail,panic,return,meta,header";
        let (ok, said) =
            peer::run(&peer, &["stream-client", "-addr", &address, "-pool", pool, "-case", cases]);
        assert!(ok && said.contains("9 passed"), "{pool}:\n{said}");
    }
}
