//! The rows of §3.2 and §3.3, and §14 (14)–(42) as far as they need no socket.

use super::*;
use crate::wire::ttstream::tests::golden;

#[test]
fn a_bidirectional_exchange_is_the_worked_one_byte_for_byte() {
    let mut pair = Pair::new();
    let mut metainfo = Metainfo::new();
    metainfo.set(MetainfoKind::Persistent, "lid", "42");
    let method = method();
    let open = Open { metainfo: &metainfo, ..Open::new(b"EchoService", &method) };
    let client = pair.client.open(&open, pair.now).unwrap();
    let send = |n: &[u8]| {
        let text = [&b"\x08\0\x01\0\0\0\x01\x0b\0\x02\0\0\0\x04"[..], n, b"\0"].concat();
        Message::new(Encoding::THRIFT_BINARY, text.into())
    };
    assert!(matches!(pair.client.send(client, send(b"ping"), pair.now), Ok(Sent::Accepted)));
    pair.write_client();
    assert_eq!(pair.to_server, [golden::bytes("F1"), golden::bytes("F2")].concat());
    pair.pump();
    let server = pair.accepted();
    let opening = pair.server.opening(server).unwrap();
    assert_eq!((&opening.service[..], &opening.method[..]), (&b"EchoService"[..], &b"Bidi"[..]));
    assert_eq!(opening.metainfo.get(MetainfoKind::Persistent, b"lid").unwrap(), "42");
    assert_eq!((opening.deadline, opening.encoding), (None, Encoding::THRIFT_BINARY));
    assert!(matches!(pair.server_recv(server), Recv::Message(_)));
    pair.server.set_header(server, &[super::pair("h1", "v1")]).unwrap();
    pair.server.set_trailer(server, &[super::pair("t1", "v1")]).unwrap();
    assert!(matches!(pair.server.send(server, send(b"pong"), pair.now), Ok(Sent::Accepted)));
    pair.write_server();
    assert_eq!(pair.to_client, [golden::bytes("F3"), golden::bytes("F4")].concat());
    pair.pump();
    pair.client.close_send(client).unwrap();
    pair.write_client();
    assert_eq!(pair.to_server, golden::bytes("F5"));
    pair.pump();
    assert!(is_eof(&pair.server_recv(server)));
    pair.finish(server, Finish::Ok);
    pair.write_server();
    assert_eq!(pair.to_client, golden::bytes("F6"));
    pair.pump();
    assert!(matches!(pair.client_recv(client), Recv::Message(_)));
    assert!(is_eof(&pair.client_recv(client)) && is_eof(&pair.client_recv(client)));
    assert_eq!(strings(pair.client.header(client).unwrap()), has(&[("h1", "v1")]));
    assert_eq!(strings(pair.client.trailer(client).unwrap()), has(&[("t1", "v1")]));
    assert_eq!(pair.tap.take(), ">HEADER >DATA <HEADER <DATA >TRAILER <TRAILER");
    assert_eq!(pair.client.stats(client).bytes_sent, 19);
    assert_eq!(pair.client.stats(client).messages_received, 1);
    pair.client.release(client, pair.now);
    pair.server.release(server, pair.now);
    assert_eq!((pair.client.kept_streams(), pair.server.kept_streams()), (0, 0));
    assert!(pair.client.is_idle() && pair.server.is_idle());
}

#[test]
fn client_streaming_and_server_streaming_are_orders_of_the_same_calls() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    (1..=3).for_each(|n| pair.client_send(client, n));
    pair.client.close_send(client).unwrap();
    pair.pump();
    assert_eq!((1..=3).map(|_| number(pair.server_recv(server))).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(is_eof(&pair.server_recv(server)));
    pair.server_send(server, 6);
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!(number(pair.client_recv(client)), 6);
    assert!(is_eof(&pair.client_recv(client)));
    assert_eq!(pair.tap.take(), ">HEADER >DATA >DATA >DATA >TRAILER <HEADER <DATA <TRAILER");

    let client = pair.open();
    pair.client_send(client, 1);
    pair.client.close_send(client).unwrap();
    pair.write_client();
    assert_eq!(pair.tap.take(), ">HEADER >DATA >TRAILER", "all in one batch");
    pair.pump();
    let server = pair.accepted();
    assert_eq!(number(pair.server_recv(server)), 1);
    (1..=3).for_each(|n| pair.server_send(server, n));
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!((1..=3).map(|_| number(pair.client_recv(client))).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(is_eof(&pair.client_recv(client)));
    assert_eq!(pair.tap.take(), "<HEADER <DATA <DATA <DATA <TRAILER");
}

#[test]
fn a_handler_that_returns_at_once_sends_header_and_trailer_and_the_client_one_trailer() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER <HEADER <TRAILER >TRAILER");
    assert!(is_eof(&pair.client_recv(client)));
    assert_eq!(reason(&pair.client.send(client, message(1), pair.now).unwrap_err()).0, 12005);
    // Half closed already: nothing follows.
    let (client, server) = pair.opened();
    pair.client.close_send(client).unwrap();
    pair.client.close_send(client).unwrap();
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >TRAILER");
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!(pair.tap.take(), "<HEADER <TRAILER");
    pair.client.close_send(client).unwrap();
    pair.pump();
    assert_eq!(pair.tap.take(), "");
}

#[test]
fn old_servers_may_send_a_lone_trailer_or_data_before_their_header() {
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.feed_client(1, FrameType::Trailer, &[], b"");
    assert!(is_eof(&pair.client_recv(client)));
    assert!(matches!(pair.client.header_result(client), Some(Ok(None))));
    let (client, _) = pair.opened();
    pair.feed_client(2, FrameType::Data, &[], &message(5).bytes());
    pair.feed_client(2, FrameType::Header, &[("h", "v")], b"");
    assert_eq!(number(pair.client_recv(client)), 5);
    assert_eq!(strings(pair.client.header(client).unwrap()), has(&[("h", "v")]));
}

#[test]
fn sending_after_the_end_says_which_end_it_was() {
    let send = |pair: &mut Pair, key| pair.client.send(key, message(1), pair.now).unwrap_err();
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.client.close_send(client).unwrap();
    let error = send(&mut pair, client);
    assert_eq!((error.code(), reason(&error).0), (Code::InvalidState, 12005));
    assert_eq!(error.text(), "[ttstream error, code=12005] [client-side stream] stream is closed send");

    let (client, _) = pair.opened();
    pair.feed_client(2, FrameType::Rst, &[], &exception(1204, "proxy timeout"));
    assert_eq!(reason(&send(&mut pair, client)).0, 1204);

    let (client, server) = pair.opened();
    pair.finish(server, Finish::Biz(Biz { code: 404, ..Biz::default() }));
    pair.pump();
    let error = send(&mut pair, client);
    assert_eq!(error.biz_status().unwrap().code, 404);
    assert_eq!(pair.client_error(client), error);
}

#[test]
fn what_has_arrived_is_delivered_before_any_end_and_the_end_stays() {
    type EndOf = fn(&mut Pair);
    let ends: [(EndOf, &str); 5] = [
        (|pair| pair.feed_client(1, FrameType::Trailer, &[], b""), "eof"),
        (|pair| pair.feed_client(1, FrameType::Rst, &[], b""), "13"),
        (|pair| pair.feed_client(1, FrameType::Trailer, &[("biz-status", "7")], b""), "biz 7"),
        (|pair| pair.feed_client(1, FrameType::Trailer, &[], &exception(6, "boom")), "12001"),
        (|pair| _ = pair.client.lost(&BytesMut::new(), None, pair.now), "12006"),
    ];
    for (end, expected) in ends {
        let mut pair = Pair::new();
        let client = pair.open();
        pair.pump();
        (1..=3).for_each(|n| pair.feed_client(1, FrameType::Data, &[], &message(n).bytes()));
        end(&mut pair);
        assert_eq!((1..=3).map(|_| number(pair.client_recv(client))).collect::<Vec<_>>(), [1, 2, 3]);
        for _ in 0..3 {
            let seen = match pair.client_recv(client) {
                Recv::Eof => "eof".to_owned(),
                Recv::Failed(error) => match error.biz_status() {
                    Some(status) => format!("biz {}", status.code),
                    None => reason(&error).0.to_string(),
                },
                other => panic!("{other:?}"),
            };
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn a_lost_connection_never_looks_like_an_end_of_messages() {
    for cut in [0, 20] {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        pair.server_send(server, 1);
        pair.write_server();
        pair.to_client.truncate(cut);
        pair.client.receive(&mut pair.to_client, pair.now).unwrap();
        let lost = pair.client.lost(&pair.to_client, None, pair.now);
        assert_eq!(lost.code(), Code::ConnectionLost);
        let error = pair.client_error(client);
        assert_eq!((error.code(), reason(&error).0), (Code::ConnectionLost, 12006));
        assert_eq!(reason(&pair.client.send(client, message(1), pair.now).unwrap_err()).0, 12006);
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        pair.server.lost(&pair.to_server, Some(&io), pair.now);
        let error = pair.server_error(server);
        assert_eq!((error.code(), reason(&error).0), (Code::ConnectionLost, 12013));
        assert!(error.text().contains("connection reset"), "{error}");
        assert_eq!(pair.server.end(server).unwrap().error(), Some(&error));
        // The handler ends as always.
        pair.finish(server, Finish::Ok);
        pair.server.release(server, pair.now);
        pair.client.release(client, pair.now);
        assert_eq!((pair.client.kept_streams(), pair.server.kept_streams()), (0, 0));
        assert!(pair.client.is_finished(pair.now) && !pair.client.can_open(pair.now));
    }
}

#[test]
fn the_server_may_send_after_the_client_has_closed() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    assert!(is_pending(&pair.server_recv(server)));
    pair.client.close_send(client).unwrap();
    pair.pump();
    assert_eq!(pair.server_ready(), [(server, Ready::READABLE)]);
    assert!(is_eof(&pair.server_recv(server)) && is_eof(&pair.server_recv(server)));
    pair.server_send(server, 1);
    pair.pump();
    assert_eq!(number(pair.client_recv(client)), 1);
}

#[test]
fn what_comes_after_the_clients_trailer_is_dropped_and_counted() {
    let mut pair = Pair::new();
    let (_, server) = pair.opened();
    pair.feed_server(1, FrameType::Trailer, &[], b"");
    pair.feed_server(1, FrameType::Data, &[], &message(1).bytes());
    pair.feed_server(1, FrameType::Trailer, &[], &exception(6, "x"));
    assert!(is_eof(&pair.server_recv(server)));
    assert_eq!((pair.server.counters().late, pair.server.waiting_bytes()), (2, (0, 0)));
}

#[test]
fn an_id_that_is_used_anew_is_left_alone_by_the_handler_before() {
    let mut pair = Pair::new();
    let (_, before) = pair.opened();
    pair.feed_server(1, FrameType::Rst, &[], b"");
    pair.feed_server(1, FrameType::Header, &[], b"");
    let after = pair.accepted();
    pair.tap.take();
    pair.finish(before, Finish::failed("late"));
    pair.write_server();
    assert_eq!(pair.tap.take(), "");
    pair.feed_server(1, FrameType::Data, &[], &message(1).bytes());
    assert_eq!(number(pair.server_recv(after)), 1);
    pair.finish(after, Finish::Ok);
    pair.write_server();
    assert_eq!(pair.tap.take(), "<HEADER <TRAILER");
}

#[test]
fn after_the_handler_has_ended_every_use_is_12012() {
    let mut pair = Pair::new();
    let (_, server) = pair.opened();
    pair.feed_server(1, FrameType::Data, &[], &message(1).bytes());
    pair.finish(server, Finish::Ok);
    let error = pair.server_error(server);
    assert_eq!(reason(&error), (12012, StreamClass::Canceled, StreamSide::Server, String::new()));
    assert_eq!(pair.server.send(server, message(1), pair.now).unwrap_err(), error);
    assert_eq!(pair.server.set_trailer(server, &[]).unwrap_err(), error);
    assert_eq!(pair.server.end(server).unwrap().error(), Some(&error));
    let twice = pair.server.finish(server, &Finish::Ok, pair.now).unwrap_err();
    assert_eq!(twice.code(), Code::InvalidState);
}

#[test]
fn a_second_header_ends_only_its_own_stream() {
    let mut pair = Pair::new();
    let (one, _) = pair.opened();
    let (two, server_two) = pair.opened();
    pair.tap.take();
    pair.feed_client(1, FrameType::Header, &[], b"");
    pair.feed_client(1, FrameType::Header, &[], b"");
    let error = pair.client_error(one);
    assert_eq!((error.code(), reason(&error).0), (Code::StreamProtocol, 12002));
    pair.pump();
    assert_eq!(pair.tap.take(), ">RST >TRAILER");
    pair.server_send(server_two, 1);
    pair.pump();
    assert_eq!(number(pair.client_recv(two)), 1);
    // And at the server.
    pair.feed_server(2, FrameType::Header, &[], b"");
    let error = pair.server_error(server_two);
    assert_eq!(reason(&error), (12002, StreamClass::Protocol, StreamSide::Server, String::new()));
    pair.pump();
    assert_eq!(
        reason(&pair.client_error(two)),
        (12002, StreamClass::Canceled, StreamSide::Client, "S".into())
    );
}

#[test]
fn header_and_trailer_answer_the_same_every_time() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    assert_eq!(pair.client.header_result(client).map(|_| ()), None);
    assert_eq!(pair.client.trailer_result(client).map(|_| ()), None);
    pair.server.set_header(server, &[super::pair("a", "1"), super::pair("b", "1")]).unwrap();
    pair.server.send_header(server, &[super::pair("b", "2"), super::pair("c", "3")]).unwrap();
    pair.pump();
    let expected = has(&[("a", "1"), ("b", "2"), ("c", "3")]);
    for _ in 0..2 {
        assert_eq!(strings(pair.client.header_result(client).unwrap().unwrap().unwrap()), expected);
    }
    for result in [pair.server.set_header(server, &[]), pair.server.send_header(server, &[])] {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.text()), (Code::InvalidState, "stream header already sent"));
    }
    pair.finish(server, Finish::Ok);
    pair.pump();
    for _ in 0..2 {
        // A normal end without pairs is an empty answer, not an error (§12 row 14).
        assert_eq!(pair.client.trailer_result(client).unwrap().unwrap().strings().count(), 0);
        assert!(is_eof(&pair.client_recv(client)));
    }

    let (client, _) = pair.opened();
    pair.client.lost(&BytesMut::new(), None, pair.now);
    for _ in 0..2 {
        assert_eq!(reason(pair.client.header_result(client).unwrap().unwrap_err()).0, 12006);
        assert_eq!(reason(pair.client.trailer_result(client).unwrap().unwrap_err()).0, 12006);
    }
}

#[test]
fn a_message_takes_the_header_along() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.server.set_header(server, &[super::pair("h", "v")]).unwrap();
    pair.server_send(server, 1);
    pair.server_send(server, 2);
    assert!(pair.server.set_header(server, &[]).is_err());
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER <HEADER <DATA <DATA");
    assert_eq!(strings(pair.client.header(client).unwrap()), has(&[("h", "v")]));
    assert!(pair.client_ready().iter().any(|(key, ready)| *key == client && ready.contains(Ready::HEADER)));
}

#[test]
fn each_end_of_a_handler_has_its_words() {
    let cases = [
        (Finish::failed("boom"), 6, "biz error: boom", Code::RemoteException),
        (
            Finish::panicked("S", "M", "why"),
            6,
            "panic: [happened in biz handler, method=S.M, please check the panic at the server side] why",
            Code::RemoteException,
        ),
        (Finish::unknown_service("X"), 20, "unknown service X", Code::UnknownService),
        (Finish::unknown_method("m"), 1, "unknown method m", Code::UnknownMethod),
        (Finish::not_streaming("m"), 6, "not a streaming method: m", Code::RemoteException),
        (Finish::Exception { type_id: 1000, text: "own".into() }, 1000, "own", Code::RemoteException),
    ];
    for (finish, type_id, text, code) in cases {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        pair.server_send(server, 1);
        pair.server.set_trailer(server, &[super::pair("t", "v")]).unwrap();
        pair.finish(server, finish);
        pair.server.release(server, pair.now);
        pair.pump();
        assert_eq!(pair.tap.take(), ">HEADER <HEADER <DATA <TRAILER >TRAILER");
        assert_eq!(number(pair.client_recv(client)), 1);
        let error = pair.client_error(client);
        let remote = error.remote_exception().unwrap();
        assert_eq!((remote.type_id, &remote.text[..], error.code()), (type_id, text.as_bytes(), code));
        assert_eq!(reason(&error), (12001, StreamClass::None, StreamSide::Client, String::new()));
        let expected = format!("[ttstream error, code=12001] [client-side stream] {text}");
        assert_eq!(error.stream_reason().unwrap().to_string(), expected);
        assert_eq!(strings(pair.client.trailer_result(client).unwrap().unwrap()), has(&[("t", "v")]));
        assert_eq!((pair.server.live_streams(), pair.server.kept_streams()), (0, 0));
    }
}

#[test]
fn an_interceptors_error_keeps_its_number() {
    let exception = |type_id, text: &'static str| Finish::Exception { type_id, text: text.into() };
    let status = Biz { code: 5, ..Biz::default() };
    assert_eq!(Finish::of(&Error::biz(status.clone())), Finish::Biz(status));
    assert_eq!(Finish::of(&Error::remote(20, "no".into())), exception(20, "no"));
    let text = "[ttstream error, code=12012] [server-side stream] canceled by business handler returning";
    let late = Cancel::handler_returned().error(StreamSide::Server);
    assert_eq!(Finish::of(&late), exception(12012, text));
    assert_eq!(Finish::of(&Error::new(Code::Closed, "x")), exception(6, "CLOSED: x"));
}

#[test]
fn connections_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let pair = Pair::new();
    is_send(&pair.client);
    is_send(&pair.server);
}

#[test]
fn business_errors_travel_in_trailers_beside_the_handlers_pairs() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    let status = Biz { code: 404, message: "not found".into(), extra: vec![super::pair("k", "<")] };
    pair.server_send(server, 1);
    pair.server_send(server, 2);
    pair.server.set_trailer(server, &[super::pair("t", "v")]).unwrap();
    let reserved = pair.server.set_trailer(server, &[super::pair("biz-status", "1")]).unwrap_err();
    assert_eq!(reserved.code(), Code::InvalidArgument);
    pair.finish(server, Finish::Biz(status.clone()));
    pair.pump();
    assert_eq!([number(pair.client_recv(client)), number(pair.client_recv(client))], [1, 2]);
    assert_eq!(pair.client_error(client).biz_status(), Some(&status));
    let trailer = strings(pair.client.trailer(client).unwrap());
    let extra = r#"{"k":"\u003c"}"#;
    let expected = [("t", "v"), ("biz-status", "404"), ("biz-message", "not found"), ("biz-extra", extra)];
    assert_eq!(trailer, has(&expected));

    for (status, extra, expected) in
        [("0", "{", None), ("abc", "{", None), ("2147483648", "{", None), ("5", "{", Some(12003))]
    {
        let mut pair = Pair::new();
        let (client, _) = pair.opened();
        pair.feed_client(1, FrameType::Trailer, &[("biz-status", status), ("biz-extra", extra)], b"");
        match expected {
            None => assert!(is_eof(&pair.client_recv(client))),
            Some(code) => {
                let error = pair.client_error(client);
                assert_eq!((error.code(), reason(&error).0), (Code::StreamProtocol, code));
            }
        }
    }
}

#[test]
fn what_does_not_fit_fails_that_call_only() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    let long: Bytes = vec![b'x'; 65_536].into();
    let fits = long.slice(1..);
    for result in [
        pair.server.set_header(server, &[("k".into(), long.clone())]),
        pair.server.set_trailer(server, &[("k".into(), long.clone())]),
        pair.server
            .set_trailer(server, &(0..5).map(|n| (format!("{n}").into(), fits.clone())).collect::<Vec<_>>()),
    ] {
        assert_eq!(result.unwrap_err().code(), Code::EncodeFailed);
    }
    pair.server.set_header(server, &[("k".into(), fits.clone())]).unwrap();
    pair.server_send(server, 1);
    // A status that does not fit is an exception that says so.
    pair.finish(server, Finish::Biz(Biz { code: 9, message: long.clone(), extra: vec![] }));
    pair.pump();
    assert_eq!(number(pair.client_recv(client)), 1);
    let error = pair.client_error(client);
    assert_eq!(error.remote_exception().unwrap().type_id, 6);
    assert!(error.text().starts_with("biz error 9: string exceeded"), "{error}");
    // The client's side: the stream is not opened, the next is.
    let method = method();
    let strings = [(Bytes::from_static(b"k"), long)];
    let error =
        pair.client.open(&Open { strings: &strings, ..Open::new(b"", &method) }, pair.now).unwrap_err();
    assert_eq!(error.code(), Code::EncodeFailed);
    let (client, server) = pair.opened();
    pair.client_send(client, 1);
    pair.pump();
    assert_eq!(number(pair.server_recv(server)), 1);
}

#[test]
fn ids_wrap_to_the_negative_and_work_there() {
    let mut pair = Pair::with(|options| options.first_id = i32::MAX, |_| {});
    let (one, server_one) = pair.opened();
    let (two, server_two) = pair.opened();
    assert_eq!([one, two].map(|key| pair.client.id(key)), [Some(i32::MAX), Some(i32::MIN)]);
    for (client, server, n) in [(one, server_one, 1), (two, server_two, 2)] {
        pair.client_send(client, n);
        pair.pump();
        assert_eq!(number(pair.server_recv(server)), n);
        pair.server_send(server, n);
        pair.finish(server, Finish::Ok);
        pair.pump();
        assert_eq!(number(pair.client_recv(client)), n);
        assert!(is_eof(&pair.client_recv(client)));
    }
}

#[test]
fn frames_of_unknown_streams_are_dropped() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    for kind in [FrameType::Data, FrameType::Trailer, FrameType::Rst, FrameType::Meta] {
        pair.feed_client(77, kind, &[], b"");
        pair.feed_server(77, kind, &[], b"");
    }
    pair.feed_client(77, FrameType::Header, &[], b"");
    assert_eq!(pair.client.counters().unknown, 5);
    assert_eq!(pair.server.counters().unknown, 4);
    pair.client_send(client, 1);
    pair.pump();
    assert_eq!(number(pair.server_recv(server)), 1);
    assert_eq!(pair.tap.take(), ">HEADER >DATA");
}

#[test]
fn meta_frames_reach_the_client_and_are_ignored_by_the_server() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.feed_client(1, FrameType::Meta, &[("rip", "10.0.0.1:8888")], b"opaque");
    assert_eq!(pair.client_ready(), [(client, Ready::META)]);
    let meta = pair.client.take_meta(client).unwrap();
    assert_eq!(
        (strings(&meta.header), &meta.payload[..]),
        (has(&[("rip", "10.0.0.1:8888")]), &b"opaque"[..])
    );
    assert!(pair.client.take_meta(client).is_none());
    pair.feed_server(1, FrameType::Meta, &[("rip", "x")], b"");
    assert_eq!(pair.server_ready(), []);
    pair.client_send(client, 1);
    pair.pump();
    assert_eq!(number(pair.server_recv(server)), 1);
    for _ in 0..100 {
        pair.feed_client(1, FrameType::Meta, &[], b"");
    }
    assert_eq!(std::iter::from_fn(|| pair.client.take_meta(client)).count(), 16);
    assert_eq!(pair.client.counters().metas_dropped, 84);
}

#[test]
fn an_empty_message_is_delivered_and_so_is_the_next() {
    // Whether no bytes are a message is the codec's question (§1.5).
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.feed_client(1, FrameType::Data, &[], b"");
    pair.feed_client(1, FrameType::Data, &[], &message(2).bytes());
    assert!(matches!(pair.client_recv(client), Recv::Message(empty) if empty.is_empty()));
    assert_eq!(number(pair.client_recv(client)), 2);
}

#[test]
fn the_acl_token_and_transient_pairs_travel_one_hop() {
    let mut pair = Pair::new();
    let mut metainfo = Metainfo::new();
    metainfo.set(MetainfoKind::Transient, "k", "v");
    metainfo.set(MetainfoKind::Transient, "gdpr-token", "tok");
    let method = method();
    let open = Open { metainfo: &metainfo, ..Open::new(b"EchoService", &method) };
    pair.client.open(&open, pair.now).unwrap();
    pair.write_client();
    let mut expected = golden::bytes("F16");
    expected[8..12].copy_from_slice(&1i32.to_be_bytes());
    assert_eq!(pair.to_server, expected);
    pair.pump();
    let server = pair.accepted();
    let arrived = pair.server.opening(server).unwrap().metainfo;
    for (key, value) in [("k", "v"), ("gdpr-token", "tok")] {
        assert_eq!(arrived.get(MetainfoKind::Upstream, key.as_bytes()).unwrap(), value);
    }
}

#[test]
fn a_key_that_was_given_back_means_nothing() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.finish(server, Finish::Ok);
    pair.server.release(server, pair.now);
    pair.pump();
    pair.client.release(client, pair.now);
    let (next, _) = pair.opened();
    assert_ne!(next, client);
    assert!(matches!(pair.client_recv(client), Recv::Failed(_)));
    assert_eq!(pair.client.send(client, message(1), pair.now).unwrap_err().code(), Code::InvalidState);
    assert!(pair.client.end(client).is_none() && pair.client.id(client).is_none());
    assert_eq!(pair.server.finish(server, &Finish::Ok, pair.now).unwrap_err().code(), Code::InvalidState);
}

#[test]
fn ten_thousand_streams_leave_nothing_behind_and_idle_ones_are_small() {
    let mut pair = Pair::new();
    let keys: Vec<_> = (0..10_000).map(|_| pair.open()).collect();
    pair.pump();
    let servers: Vec<_> = (0..10_000).map(|_| pair.accepted()).collect();
    assert_eq!((pair.client.live_streams(), pair.server.live_streams()), (10_000, 10_000));
    assert!(std::mem::size_of::<super::super::state::Stream>() < 1024);
    for (n, key) in servers.iter().enumerate() {
        match n % 3 {
            0 => pair.finish(*key, Finish::Ok),
            1 => pair.finish(*key, Finish::failed("x")),
            _ => {
                pair.client.cancel(keys[n], &Cancel::by_host(""), pair.now);
                pair.finish(*key, Finish::Ok);
            }
        }
        pair.server.release(*key, pair.now);
    }
    pair.pump();
    keys.iter().for_each(|key| pair.client.release(*key, pair.now));
    pair.pump();
    assert_eq!((pair.client.kept_streams(), pair.server.kept_streams()), (0, 0));
    assert_eq!((pair.client.live_streams(), pair.server.live_streams()), (0, 0));
    assert_eq!((pair.client.waiting_bytes(), pair.server.waiting_bytes()), ((0, 0), (0, 0)));
}
