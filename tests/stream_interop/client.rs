//! Our client's cases, the same against every server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use krpc::base::{Code, Metainfo, MetainfoKind, StreamReason};
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::stream::{RecvTimeout, Stream, StreamHooks, StreamOptions};
use krpc::rpc::{Context, ContextOptions};

use crate::item::Item;

pub struct Cases {
    client: Arc<Client>,
}

/// A client that calls itself `caller`.
pub fn client(address: &str, multiplexed: usize, caller: &str) -> Arc<Client> {
    client_with(address, multiplexed, caller, StreamHooks::default())
}

/// The same with somebody around its streams.
pub fn client_with(address: &str, multiplexed: usize, caller: &str, hooks: StreamHooks) -> Arc<Client> {
    let mut options = ClientOptions::new("interop.server");
    options.addresses = vec![krpc::rpc::Address::parse(address).unwrap()];
    options.caller = caller.to_owned();
    options.streams.multiplexed = multiplexed;
    options.stream_hooks = hooks;
    Client::new(options).unwrap()
}

pub fn all_cases(address: &str, multiplexed: usize) {
    let cases = Cases::with(client(address, multiplexed, "interop.client"));
    cases.exchange(10, 10);
    cases.exchange(10_000, 100);
    cases.exchange(10, 1 << 20);
    cases.upload();
    cases.watch();
    cases.together(1000, multiplexed == 1);
    cases.biz();
    cases.failures();
    cases.early_return();
    cases.enough();
    cases.meta();
    cases.header_and_trailer();
    cases.cancel();
    cases.deadline();
    cases.recv_timeout();
}

impl Cases {
    pub fn with(client: Arc<Client>) -> Cases {
        Cases { client }
    }

    pub fn open(&self, method: &str, options: &StreamOptions<'_>) -> Stream {
        self.client.open_stream(&Method::parse(&format!("Streams/{method}")).unwrap(), options).unwrap()
    }

    pub fn bidi(&self) -> Stream {
        self.open("Bidi", &StreamOptions::default())
    }

    fn exchange(&self, count: i64, size: usize) {
        let stream = self.bidi();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let item = |n| Item::numbered(n, vec![b'x'; size]).message();
                (0..count).for_each(|n| stream.send(item(n)).unwrap());
                stream.close_send().unwrap();
            });
            for n in 0..count {
                let item = recv(&stream);
                assert_eq!((item.n, item.data.len()), (n, size));
            }
            sender.join().unwrap();
        });
        at_end(&stream);
        assert_eq!(stream.end(), Some(Ok(())));
    }

    /// As many streams at the same time, one after the other in each step; on one connection if they share.
    fn together(&self, count: i64, share: bool) {
        let streams: Vec<_> = (0..count).map(|_| self.bidi()).collect();
        for round in 0..4 {
            let number = |stream: usize| stream as i64 + round;
            for (n, stream) in streams.iter().enumerate() {
                stream.send(Item::numbered(number(n), Vec::new()).message()).unwrap();
            }
            streams.iter().enumerate().for_each(|(n, stream)| assert_eq!(recv(stream).n, number(n)));
        }
        streams.iter().for_each(|stream| stream.close_send().unwrap());
        streams.iter().for_each(at_end);
        assert_eq!(self.client.stream_stats().dialled == 1, share);
    }

    fn upload(&self) {
        let stream = self.open("Upload", &StreamOptions::default());
        stream.send_many((1..=100).map(|n| Item::numbered(n, Vec::new()).message())).unwrap();
        stream.close_send().unwrap();
        assert_eq!(recv(&stream).n, 5050);
        at_end(&stream);
    }

    fn watch(&self) {
        let stream = self.open("Watch", &StreamOptions::default());
        stream.send(Item::numbered(100, b"d".to_vec()).message()).unwrap();
        stream.close_send().unwrap();
        (0..100).for_each(|n| assert_eq!(recv(&stream), Item::numbered(n, b"d".to_vec())));
        at_end(&stream);
    }

    /// Sends a message that must not be lost, then one that ends the stream.
    fn ended_by(&self, text: &str) -> Stream {
        let stream = self.bidi();
        stream.send(Item::text("first").message()).unwrap();
        stream.send(Item::text(text).message()).unwrap();
        assert_eq!(recv(&stream).text, "first");
        stream
    }

    fn biz(&self) {
        let stream = self.ended_by("biz");
        let error = stream.recv().unwrap_err();
        let status = error.biz_status().expect("a status");
        assert_eq!((status.code, &status.message[..]), (404, &b"not found"[..]));
        assert_eq!(status.extra, [("k".into(), "v".into())]);
        assert_eq!(stream.recv().unwrap_err(), error, "the end stays");
    }

    fn failures(&self) {
        for (text, says) in [("fail", "biz error: boom"), ("panic", "panic: [happened in biz handler")] {
            let error = self.ended_by(text).recv().unwrap_err();
            assert_eq!(error.stream_reason().unwrap().code, StreamReason::APPLICATION);
            let remote = error.remote_exception().unwrap();
            assert_eq!(remote.type_id, 6);
            assert!(remote.text.starts_with(says.as_bytes()), "{error}");
        }
    }

    fn early_return(&self) {
        let stream = self.ended_by("return");
        at_end(&stream);
        let error = stream.send(Item::default().message()).unwrap_err();
        assert_eq!(error.stream_reason().unwrap().code, StreamReason::ILLEGAL_OPERATION, "{error}");
    }

    /// Goes on sending while the handler has answered and left.
    fn enough(&self) {
        let stream = self.open("Upload", &StreamOptions::default());
        stream.send(Item { n: 7, text: "enough".to_owned(), ..Item::default() }.message()).unwrap();
        let more = Item::numbered(1, vec![0; 1000]).message();
        let error = loop {
            if let Err(error) = stream.send(more.clone()) {
                break error;
            }
        };
        assert_eq!(error.stream_reason().unwrap().code, StreamReason::ILLEGAL_OPERATION, "{error}");
        assert_eq!(recv(&stream).n, 7);
        at_end(&stream);
    }

    fn meta(&self) {
        let mut metainfo = Metainfo::new();
        metainfo.set(MetainfoKind::Persistent, "K", "persistent");
        metainfo.set(MetainfoKind::Transient, "K", "transient");
        let stream =
            self.open("Bidi", &StreamOptions { metainfo: Some(&metainfo), ..StreamOptions::default() });
        stream.send(Item::text("meta K").message()).unwrap();
        assert_eq!(recv(&stream).text, "persistent,transient");
        stream.close_send().unwrap();
        at_end(&stream);
    }

    fn header_and_trailer(&self) {
        let stream = self.bidi();
        stream.send(Item::text("header").message()).unwrap();
        let mut header = stream.header().unwrap();
        header.sort();
        assert_eq!(header, [("sent".into(), "2".into()), ("set".into(), "1".into())]);
        recv(&stream);
        stream.close_send().unwrap();
        at_end(&stream);
        for _ in 0..2 {
            assert_eq!(stream.trailer().unwrap(), [("end".into(), "3".into())]);
            assert_eq!(stream.header().unwrap().len(), 2);
        }
    }

    /// A stream whose handler waits for its end.
    fn waiting(&self, options: &StreamOptions<'_>) -> Stream {
        self.told(options, "wait")
    }

    /// A stream whose handler has heard a word, and answered.
    pub fn told(&self, options: &StreamOptions<'_>, word: &str) -> Stream {
        let stream = self.open("Bidi", options);
        stream.send(Item::text(word).message()).unwrap();
        recv(&stream);
        stream
    }

    /// What the handler saw, which it knows a little later.
    pub fn last_end(&self) -> String {
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            let stream = self.open("Watch", &StreamOptions::default());
            stream.send(Item::text("last").message()).unwrap();
            stream.close_send().unwrap();
            let text = recv(&stream).text;
            at_end(&stream);
            if !text.is_empty() {
                return text;
            }
            assert!(Instant::now() < give_up, "the handler never heard of the end");
            std::thread::yield_now();
        }
    }

    fn cancel(&self) {
        let stream = self.waiting(&StreamOptions::default());
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| stream.recv());
            stream.cancel("enough");
            let error = receiver.join().unwrap().unwrap_err();
            assert_eq!(
                (error.code(), error.stream_reason().unwrap().code),
                (Code::Cancelled, 12_007),
                "{error}"
            );
        });
        let seen = self.last_end();
        assert!(seen.contains("code=12007") && seen.contains("[canceled path: interop.client]"), "{seen}");
        assert!(seen.contains("enough"), "{seen}");

        let parent = Context::new(None, ContextOptions::default());
        let stream = self.waiting(&StreamOptions { parent: Some(&parent), ..StreamOptions::default() });
        parent.cancel(krpc::op::operation::Cause::ByHost);
        assert_eq!(stream.recv().unwrap_err().stream_reason().unwrap().code, 12_007);
        let seen = self.last_end();
        assert!(seen.contains("code=12007") && seen.contains("invoking cancel() actively"), "{seen}");
    }

    fn deadline(&self) {
        let timeout = Some(Duration::from_millis(300));
        let stream = self.waiting(&StreamOptions { timeout, ..StreamOptions::default() });
        let error = stream.recv().unwrap_err();
        assert_eq!((error.code(), error.stream_reason().unwrap().code), (Code::Timeout, 12_015), "{error}");
        let seen = self.last_end();
        assert!(seen.contains("code=12015") && seen.contains("stream timeout"), "{seen}");
    }

    fn recv_timeout(&self) {
        let recv_timeout =
            |keep_stream| Some(RecvTimeout { timeout: Duration::from_millis(50), keep_stream });
        let stream =
            self.waiting(&StreamOptions { recv_timeout: recv_timeout(false), ..StreamOptions::default() });
        let error = stream.recv().unwrap_err();
        assert_eq!(
            (error.code(), error.stream_reason().unwrap().code),
            (Code::RecvTimeout, 12_014),
            "{error}"
        );
        assert_eq!(stream.recv().unwrap_err(), error);
        let seen = self.last_end();
        assert!(seen.contains("code=12014") && seen.contains("[canceled path: interop.client]"), "{seen}");

        let stream = self
            .open("Bidi", &StreamOptions { recv_timeout: recv_timeout(true), ..StreamOptions::default() });
        stream.send(Item::text("silent").message()).unwrap();
        for _ in 0..2 {
            let error = stream.recv().unwrap_err();
            assert!(error.stream_reason().unwrap().can_retry, "{error}");
        }
        stream.send(Item::text("loud").message()).unwrap();
        assert_eq!(recv(&stream).text, "loud");
    }
}

pub fn recv(stream: &Stream) -> Item {
    Item::read(&stream.recv().unwrap().expect("a message"))
}

pub fn at_end(stream: &Stream) {
    for _ in 0..2 {
        assert_eq!(stream.recv().unwrap(), None);
    }
}
