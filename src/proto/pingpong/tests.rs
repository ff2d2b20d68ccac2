//! Two ends in memory, a clock that the test turns. No sockets, no sleeps.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::*;
use crate::base::{Biz, Code, Encoding, Limits, Message, Metainfo, MetainfoKind};
use crate::proto::call::{Request, Response};
use crate::wire::frame::{Inbound, Layout, Payload};
use crate::wire::outbuf::OutBuf;

const LAYOUTS: [Layout; 4] = [Layout::BUFFERED, Layout::FRAMED, Layout::TTHEADER, Layout::TTHEADER_FRAMED];

/// A struct with one string field.
const BODY: &[u8] = b"\x0b\x00\x01\x00\x00\x00\x02hi\x00";

/// A client and a server connected by two buffers.
struct Pair {
    client: ClientConn,
    server: ServerConn,
    to_server: BytesMut,
    to_client: BytesMut,
    now: Instant,
}

impl Pair {
    fn new() -> Pair {
        let now = Instant::now();
        Pair {
            client: ClientConn::new(Limits::DEFAULT),
            server: ServerConn::new(Limits::DEFAULT, Timeouts::default(), now),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn send(&mut self, layout: Layout) {
        self.send_with(layout, |request| request);
    }

    fn send_with(&mut self, layout: Layout, change: impl FnOnce(Request<'static>) -> Request<'static>) {
        let request = change(request(layout));
        let method = Bytes::from_static(request.method.as_bytes());
        let mut out = OutBuf::new();
        self.client.send(&mut out, &request, &method).unwrap();
        out.move_to(&mut self.to_server);
    }

    fn take_request(&mut self) -> Inbound {
        self.server.receive(&mut self.to_server, self.now).unwrap().expect("a request").1
    }

    fn reply(&mut self, reply: impl Into<Reply>) {
        let mut out = OutBuf::new();
        self.server.reply(&mut out, 0, &reply.into(), self.now).unwrap();
        out.move_to(&mut self.to_client);
        self.server.written(0, self.now);
    }

    fn drain(&mut self) {
        let mut out = OutBuf::new();
        self.server.drain(&mut out, self.now).unwrap();
        assert!(out.is_empty(), "only clients of multiplexed connections get a notice");
    }

    fn take_response(&mut self) -> Response {
        self.client.receive(&mut self.to_client).unwrap().expect("a response")
    }
}

fn request(layout: Layout) -> Request<'static> {
    static EMPTY: Metainfo = Metainfo::new();
    Request {
        layout,
        seq: 7,
        oneway: false,
        service: "Chat",
        method: "Say",
        to_service: "chat",
        from_service: "test",
        timeout: None,
        deadline: None,
        checksum: false,
        metainfo: &EMPTY,
        body: Box::leak(Box::new(message(BODY))),
    }
}

fn message(bytes: &'static [u8]) -> Message {
    Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(bytes))
}

fn exception(type_id: i32, close: bool) -> Answer {
    Answer::Exception(Exception { type_id, text: "no".into(), close })
}

#[test]
fn a_call_and_its_reply_in_every_layout() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.send(layout);
            assert!(!pair.client.is_reusable());
            let inbound = pair.take_request();
            assert_eq!((inbound.layout, &inbound.name[..], &inbound.body[..]), (layout, &b"Say"[..], BODY));
            pair.reply(Answer::Message(message(BODY)));
            let response = pair.take_response();
            assert_eq!(response.message, Some(message(BODY)));
            assert!(response.error.is_none() && pair.client.is_reusable());
        }
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        pair.send(layout);
        let bytes = pair.to_server.split();
        let mut found = None;
        for byte in bytes {
            assert!(found.is_none());
            pair.to_server.extend_from_slice(&[byte]);
            found = pair.server.receive(&mut pair.to_server, pair.now).unwrap();
        }
        assert_eq!(&found.unwrap().1.body[..], BODY);
        pair.reply(Answer::Message(message(BODY)));
        let bytes = pair.to_client.split();
        let mut found = None;
        for byte in bytes {
            assert!(found.is_none());
            pair.to_client.extend_from_slice(&[byte]);
            found = pair.client.receive(&mut pair.to_client).unwrap();
        }
        assert_eq!(found.unwrap().message, Some(message(BODY)));
    }
}

#[test]
fn pipelined_requests_wait_for_their_turn() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    let copy = pair.to_server.clone();
    pair.to_server.extend_from_slice(&copy);
    pair.take_request();
    assert!(pair.server.receive(&mut pair.to_server, pair.now).unwrap().is_none());
    pair.reply(Answer::Message(message(BODY)));
    pair.take_request();
    assert!(pair.to_server.is_empty());
}

#[test]
fn formats_may_change_from_message_to_message() {
    let mut pair = Pair::new();
    for layout in LAYOUTS {
        pair.send(layout);
        assert_eq!(pair.take_request().layout, layout);
        pair.reply(Answer::Message(message(BODY)));
        assert!(pair.take_response().error.is_none());
    }
}

#[test]
fn metainfo_travels_both_ways_with_ttheader_only() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        let mut metainfo = Metainfo::new();
        metainfo.set(MetainfoKind::Transient, "t", "1");
        metainfo.set(MetainfoKind::Persistent, "p", "2");
        metainfo.set(MetainfoKind::Upstream, "u", "3");
        let metainfo: &'static Metainfo = Box::leak(Box::new(metainfo));
        pair.send_with(layout, |request| Request { metainfo, ..request });
        let inbound = pair.take_request();
        let received = inbound.header.as_ref().map(crate::wire::metainfo::read_request).unwrap_or_default();
        let mut backward = Metainfo::new();
        backward.set(MetainfoKind::Backward, "b", "4");
        pair.reply(Reply { answer: Answer::Message(message(BODY)), metainfo: backward });
        let response = pair.take_response();
        let (forward, back) = if layout.ttheader { (2, 1) } else { (0, 0) };
        assert_eq!((received.len(), response.metainfo.len()), (forward, back), "{layout:?}");
        if layout.ttheader {
            assert_eq!(received.get(MetainfoKind::Upstream, b"t").unwrap(), "1");
            assert_eq!(received.get(MetainfoKind::Persistent, b"p").unwrap(), "2");
            assert_eq!(response.metainfo.get(MetainfoKind::Backward, b"b").unwrap(), "4");
        }
    }
}

#[test]
fn an_exception_ends_the_clients_connection_but_not_always_the_servers() {
    for layout in LAYOUTS {
        for (type_id, close, code) in [
            (6, false, Code::RemoteException),
            (1, true, Code::UnknownMethod),
            (20, true, Code::UnknownService),
        ] {
            let mut pair = Pair::new();
            pair.send(layout);
            pair.take_request();
            pair.reply(exception(type_id, close));
            let error = pair.take_response().error.unwrap();
            assert_eq!((error.code(), error.text()), (code, "no"));
            assert_eq!(error.remote_exception().unwrap().type_id, type_id);
            assert_eq!((pair.server.is_closing(), pair.client.is_reusable()), (close, false));
        }
    }
}

#[test]
fn a_business_status_keeps_the_connection_and_needs_ttheader() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        pair.send(layout);
        pair.take_request();
        let status = Biz { code: -4, message: "no <way>".into(), extra: vec![("k".into(), "\"v\"".into())] };
        pair.reply(Answer::Biz(status.clone()));
        let response = pair.take_response();
        assert_eq!(response.message, Some(Message::empty_struct()));
        let seen = response.error.as_ref().and_then(|error| error.biz_status());
        assert_eq!(seen, layout.ttheader.then_some(&status), "{layout:?}");
        assert!(pair.client.is_reusable());
    }
}

#[test]
fn a_declared_exception_is_told_from_a_return_value() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.reply(Answer::Message(message(b"\x0c\x00\x02\x08\x00\x01\x00\x00\x00\x07\x00\x00")));
    let error = pair.take_response().error.unwrap();
    let (field, exception) = error.declared_exception().unwrap();
    assert_eq!((field, &exception.bytes()[..]), (2, &b"\x08\x00\x01\x00\x00\x00\x07\x00"[..]));
    assert!(pair.client.is_reusable());

    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.reply(Answer::Message(message(b"\x0c\x00\x00\x08\x00\x01\x00\x00\x00\x07\x00\x00")));
    assert!(pair.take_response().error.is_none());
}

#[test]
fn oneway_is_never_answered() {
    let mut pair = Pair::new();
    pair.send_with(Layout::TTHEADER, |request| Request { oneway: true, ..request });
    assert!(!pair.client.is_reusable(), "a connection ends with its oneway call");
    pair.take_request();
    pair.reply(Answer::Oneway);
    assert!(pair.to_client.is_empty());
    assert!(!pair.server.is_handling());
}

#[test]
fn a_reply_must_match_its_call() {
    let other = |change: fn(Request<'static>) -> Request<'static>| {
        let mut pair = Pair::new();
        pair.send(Layout::TTHEADER);
        let mut answering = Pair::new();
        answering.send_with(Layout::TTHEADER, change);
        answering.take_request();
        answering.reply(Answer::Message(message(BODY)));
        pair.client.receive(&mut answering.to_client).unwrap_err().code()
    };
    assert_eq!(other(|request| Request { method: "Sell", ..request }), Code::WrongMethod);
    assert_eq!(other(|request| Request { seq: 8, ..request }), Code::OutOfSequence);
}

#[test]
fn an_exception_may_carry_any_name_and_number() {
    let mut pair = Pair::new();
    pair.send(Layout::TTHEADER);
    let mut proxy = Pair::new();
    proxy.send_with(Layout::TTHEADER, |request| Request { method: "none", seq: 0, ..request });
    proxy.take_request();
    proxy.reply(exception(6, false));
    let response = pair.client.receive(&mut proxy.to_client).unwrap().unwrap();
    assert_eq!(response.error.unwrap().code(), Code::RemoteException);
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let mut pair = Pair::new();
    pair.to_client.extend_from_slice(b"hello there");
    assert_eq!(pair.client.receive(&mut pair.to_client).unwrap_err().code(), Code::BadMessage);
    assert!(!pair.client.is_reusable());

    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.reply(Answer::Message(message(BODY)));
    pair.to_client.extend_from_slice(b"x");
    assert!(pair.take_response().error.is_none(), "the reply itself is whole");
    assert!(!pair.client.is_reusable(), "but what follows it would meet the next call");
}

#[test]
fn a_server_refuses_what_is_no_call() {
    let refused = |bytes: &[u8]| {
        let mut pair = Pair::new();
        pair.to_server.extend_from_slice(bytes);
        pair.server.receive(&mut pair.to_server, pair.now).map(|found| found.map(|_| ())).unwrap_err().code()
    };
    let envelope = |kind: u8, name: &[u8]| {
        [&[0x80, 1, 0, kind, 0, 0, 0, name.len() as u8], name, &[0, 0, 0, 1, 0]].concat()
    };
    for kind in [0, 2, 3, 6] {
        assert_eq!(refused(&envelope(kind, b"m")), Code::BadMessage, "type {kind}");
    }
    assert_eq!(refused(&envelope(1, b"")), Code::BadMessage);
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\n"), Code::Unsupported);
    assert_eq!(refused(&[0, 0, 0, 14, 0x10, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]), Code::Unsupported);
    assert_eq!(refused(b"GET / HTTP/1.1\r\n"), Code::BadPayload);
}

#[test]
fn only_the_first_bytes_choose_the_protocol() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.reply(Answer::Message(message(BODY)));
    pair.take_response();
    pair.send(Layout::TTHEADER);
    // The streaming flag on a later message means nothing.
    pair.to_server[7] |= 2;
    pair.take_request();
}

#[test]
fn a_protobuf_call_is_passed_through_and_refused_in_its_own_words() {
    let mut pair = Pair::new();
    let layout = Layout { payload: Payload::KitexProtobuf, ..Layout::TTHEADER_FRAMED };
    let body: &'static Message =
        Box::leak(Box::new(Message::new(Encoding::PROTOBUF, Bytes::from_static(b"\x0a\x02hi"))));
    pair.send_with(layout, |request| Request { body, ..request });
    let inbound = pair.take_request();
    assert_eq!((inbound.layout, &inbound.body[..]), (layout, &b"\x0a\x02hi"[..]));
    pair.reply(exception(6, false));
    let error = pair.take_response().error.unwrap();
    assert_eq!((error.remote_exception().unwrap().type_id, error.text()), (6, "no"));
}

#[test]
fn a_started_packet_must_arrive_in_time_and_an_idle_peer_may_wait_longer() {
    let timeouts = Timeouts::default();
    let mut pair = Pair::new();
    assert_eq!(pair.server.wake_at(), Some(pair.now + timeouts.idle));
    pair.pass(Duration::from_secs(100));
    pair.send(Layout::TTHEADER);
    let rest = pair.to_server.split_off(20);
    assert!(pair.server.receive(&mut pair.to_server, pair.now).unwrap().is_none());
    let limit = pair.now + timeouts.read;
    assert_eq!(pair.server.wake_at(), Some(limit));

    // More bytes of the same packet do not buy more time: a slow client is not a patient one.
    pair.pass(Duration::from_secs(3));
    pair.to_server.extend_from_slice(&rest[..1]);
    assert!(pair.server.receive(&mut pair.to_server, pair.now).unwrap().is_none());
    assert_eq!(pair.server.wake_at(), Some(limit));
    assert!(pair.server.expired(pair.now).is_none());
    assert_eq!(pair.server.expired(limit).unwrap().code(), Code::ReadTimeout);
}

#[test]
fn the_first_bytes_have_the_read_timeout_too() {
    let mut pair = Pair::new();
    pair.to_server.extend_from_slice(b"\0\0");
    assert!(pair.server.receive(&mut pair.to_server, pair.now).unwrap().is_none());
    pair.pass(Timeouts::default().read);
    assert_eq!(pair.server.expired(pair.now).unwrap().code(), Code::ReadTimeout);
}

#[test]
fn a_handler_has_all_the_time_and_an_idle_connection_ends() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    assert_eq!(pair.server.wake_at(), None);
    pair.pass(Duration::from_secs(10_000));
    assert!(pair.server.expired(pair.now).is_none());
    pair.reply(Answer::Message(message(BODY)));
    pair.pass(Timeouts::default().idle);
    assert_eq!(pair.server.expired(pair.now).unwrap().code(), Code::IdleTimeout);
}

#[test]
fn a_peer_that_takes_no_bytes_is_given_up() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    let mut out = OutBuf::new();
    pair.server.reply(&mut out, 0, &Answer::Message(message(BODY)).into(), pair.now).unwrap();
    pair.pass(Duration::from_secs(3));
    pair.server.written(10, pair.now);
    pair.pass(Duration::from_secs(3));
    assert!(pair.server.expired(pair.now).is_none(), "some bytes were taken");
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.server.expired(pair.now).unwrap().code(), Code::WriteTimeout);
}

#[test]
fn draining_serves_what_is_on_its_way_and_sends_the_client_elsewhere() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        pair.drain();
        pair.pass(Timeouts::default().drain / 2);
        pair.send(layout);
        pair.take_request();
        pair.reply(Answer::Message(message(BODY)));
        assert!(pair.take_response().error.is_none());
        assert_eq!(pair.client.is_reusable(), !layout.ttheader, "crrst needs a header");
        assert!(!pair.server.is_closing(), "the client is the one to close");
        pair.pass(Timeouts::default().drain);
        assert_eq!(pair.server.expired(pair.now).unwrap().code(), Code::IdleTimeout);
    }
}

#[test]
fn draining_ends_a_busy_connection_between_two_requests() {
    for layout in LAYOUTS {
        let mut pair = Pair::new();
        pair.drain();
        pair.pass(Timeouts::default().drain / 2);
        pair.send(layout);
        pair.take_request();
        pair.pass(Timeouts::default().drain);
        assert!(pair.server.expired(pair.now).is_none(), "a handler works on a request");
        pair.reply(Answer::Message(message(BODY)));
        assert_eq!(pair.server.expired(pair.now).unwrap().code(), Code::IdleTimeout);
    }
}

#[test]
fn draining_waits_until_a_reply_was_taken() {
    let mut pair = Pair::new();
    let mut out = OutBuf::new();
    pair.drain();
    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.server.reply(&mut out, 0, &Answer::Message(message(BODY)).into(), pair.now).unwrap();
    pair.pass(Timeouts::default().drain * 2);
    assert!(pair.server.expired(pair.now).is_none(), "its bytes are still waiting");
    pair.server.written(0, pair.now);
    assert!(pair.server.expired(pair.now).is_some());
}

#[test]
fn a_deadline_takes_the_connection_with_it() {
    let mut pair = Pair::new();
    let deadline = pair.now + Duration::from_millis(50);
    pair.send_with(Layout::TTHEADER, |request| Request {
        deadline: Some(deadline),
        timeout: Some(Duration::from_millis(50)),
        ..request
    });
    let inbound = pair.take_request();
    let told = inbound.header.as_ref().and_then(|header| header.int(crate::wire::keys::int::RPC_TIMEOUT));
    assert_eq!(told, Some(&b"50"[..]));
    assert_eq!(pair.client.wake_at(), Some(deadline));
    assert!(!pair.client.expired(pair.now));
    pair.pass(Duration::from_millis(50));
    assert!(pair.client.expired(pair.now));
    assert!(!pair.client.is_reusable(), "the late reply must not meet another call");
}

#[test]
fn a_request_that_cannot_be_encoded_leaves_the_connection_as_it_was() {
    let mut pair = Pair::new();
    let long: &'static str = Box::leak("x".repeat(70_000).into_boxed_str());
    let mut out = OutBuf::new();
    let request = Request { to_service: long, ..request(Layout::TTHEADER) };
    let error = pair.client.send(&mut out, &request, &Bytes::from_static(b"Say")).unwrap_err();
    assert_eq!(error.code(), Code::EncodeFailed);
    assert!(out.is_empty() && pair.client.is_reusable());
}

#[test]
fn answering_twice_is_refused() {
    let mut pair = Pair::new();
    pair.send(Layout::FRAMED);
    pair.take_request();
    pair.reply(Answer::Message(message(BODY)));
    let mut out = OutBuf::new();
    let again = pair.server.reply(&mut out, 0, &Answer::Message(message(BODY)).into(), pair.now);
    assert_eq!(again.unwrap_err().code(), Code::InvalidState);
}
