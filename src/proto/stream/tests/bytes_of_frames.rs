//! The rows of §1.6, in our column of §12 (8, 10, 11): what a bad frame hurts. And §14 (3)–(8), (18).

use bytes::Buf;

use super::*;

/// A frame whose area after offset 14 is given.
fn raw(flags: u16, id: i32, area: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut area = area.to_vec();
    area.resize(area.len().next_multiple_of(4), 0);
    let mut out = ((10 + area.len() + payload.len()) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&[0x10, 0]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&((area.len() / 4) as u16).to_be_bytes());
    out.extend_from_slice(&area);
    out.extend_from_slice(payload);
    out
}

const TYPE_9: &[u8] = b"\x10\0\x10\0\x01\0\x1b\0\x019";
const BAD_ID: &[u8] = b"\x02\0\x10\0\x01\0\x1b\0\x013";
const BAD_BLOCK: &[u8] = b"\x10\0\x07";
const NO_TYPE: &[u8] = b"\x10\0";

/// Two streams; the first then gets `bad`.
fn with_two(bad: &[u8]) -> (Pair, [StreamKey; 2], [StreamKey; 2]) {
    let mut pair = Pair::new();
    let (one, server_one) = pair.opened();
    let (two, server_two) = pair.opened();
    pair.tap.take();
    pair.to_client.extend_from_slice(bad);
    pair.to_server.extend_from_slice(bad);
    (pair, [one, two], [server_one, server_two])
}

#[test]
fn a_bad_frame_with_a_certain_end_ends_its_own_stream() {
    for area in [TYPE_9, BAD_ID, BAD_BLOCK, NO_TYPE] {
        let (mut pair, clients, servers) = with_two(&raw(2, 1, area, b"payload"));
        pair.client.receive(&mut pair.to_client, pair.now).unwrap();
        let error = pair.client_error(clients[0]);
        assert_eq!((error.code(), reason(&error).0), (Code::StreamProtocol, 12004));
        assert_eq!(reason(&error).2, StreamSide::Client);
        pair.server.receive(&mut pair.to_server, pair.now).unwrap();
        assert_eq!(reason(&pair.server_error(servers[0])).0, 12004);
        pair.pump();
        // Both reset; neither knows the stream any more.
        assert_eq!(pair.tap.take(), ">RST >TRAILER <RST");
        assert_eq!((pair.client.counters().illegal, pair.server.counters().illegal), (1, 1));
        pair.client_send(clients[1], 1);
        pair.server_send(servers[1], 2);
        pair.pump();
        assert_eq!((number(pair.server_recv(servers[1])), number(pair.client_recv(clients[1]))), (1, 2));
    }
}

#[test]
fn a_bad_frame_of_no_stream_may_have_been_an_opening_one_and_is_answered() {
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.to_client.extend_from_slice(&raw(2, 9, TYPE_9, b""));
    pair.to_server.extend_from_slice(&raw(2, 9, TYPE_9, b""));
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER <RST");
    assert_eq!(pair.client.counters().unknown, 1);
    assert!(is_pending(&pair.client_recv(client)));
}

#[test]
fn bytes_out_of_step_end_the_connection_and_all_its_streams() {
    let no_streaming = raw(0, 1, b"\x10\0\x10\0\x01\0\x1b\0\x013", b"");
    let cases: [(&[u8], &str); 4] = [
        (&no_streaming, "unexpected header flags: 0"),
        (
            b"\0\0\0\x46\x80\x01\0\x01\0\0\0\x01\0\x0f",
            "not TTHeader protocol (first4Bytes=0x00000046, second4Bytes=0x80010001)",
        ),
        (b"\0\0\0\x05\x10\0\0\x02\0\0\0\x01\0\x0f", "LENGTH 5 cannot hold a header of 60 bytes"),
        (
            b"\xff\xff\xff\xff\x10\0\0\x02\0\0\0\x01\0\x0f",
            "invalid data: payload size(4294967295) larger than the limit(1073741823)",
        ),
    ];
    for (bytes, text) in cases {
        let (mut pair, clients, servers) = with_two(bytes);
        let error = pair.client.receive(&mut pair.to_client, pair.now).unwrap_err();
        assert_eq!(error.text(), text);
        for key in clients {
            let error = pair.client_error(key);
            assert_eq!((error.code(), reason(&error).0), (Code::StreamProtocol, 12004));
            assert_eq!(error.cause().unwrap().text(), text);
        }
        assert!(pair.server.receive(&mut pair.to_server, pair.now).is_err());
        for key in servers {
            let error = pair.server_error(key);
            assert_eq!(reason(&error).0, 12013);
            assert!(error.text().ends_with(text), "{error}");
        }
        assert!(pair.client.is_finished(pair.now) && pair.server.is_finished(pair.now));
        assert!(!pair.client.wants_bytes() && pair.client.wake_at().is_none());
    }
}

#[test]
fn what_was_finished_before_the_bytes_fell_out_of_step_is_still_written() {
    let (mut pair, clients, servers) = with_two(b"GET / HTTP/1.1\r\n");
    pair.server_send(servers[0], 1);
    pair.finish(servers[0], Finish::Ok);
    pair.server_send(servers[1], 2);
    assert!(pair.server.receive(&mut pair.to_server, pair.now).is_err());
    assert!(!pair.server.is_finished(pair.now));
    pair.write_server();
    assert!(pair.server.is_finished(pair.now));
    assert_eq!(pair.tap.take(), "<HEADER <DATA <TRAILER");
    pair.to_client.advance(16);
    pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    assert_eq!(number(pair.client_recv(clients[0])), 1);
    assert!(is_eof(&pair.client_recv(clients[0])) && is_pending(&pair.client_recv(clients[1])));
}

#[test]
fn every_truncation_waits_and_then_a_lost_connection_is_an_error() {
    let whole = frame_bytes(1, FrameType::Data, &[], b"\0");
    for cut in 0..whole.len() {
        let mut pair = Pair::new();
        let (client, _) = pair.opened();
        pair.to_client.extend_from_slice(&whole[..cut]);
        pair.client.receive(&mut pair.to_client, pair.now).unwrap();
        assert!(is_pending(&pair.client_recv(client)));
        let lost = pair.client.lost(&pair.to_client, None, pair.now);
        let expected =
            if cut > 0 { "connection closed by peer within a frame" } else { "connection closed by peer" };
        assert!(lost.text().starts_with(expected));
        assert_eq!(reason(&pair.client_error(client)).0, 12006);
    }
}

#[test]
fn a_frame_over_our_limit_ends_its_stream_and_is_never_kept() {
    let mut pair = Pair::with(|options| options.limits.frame_bytes = 1000, |_| {});
    let (one, server_one) = pair.opened();
    let (two, server_two) = pair.opened();
    assert!(matches!(pair.server.send(server_one, sized(5000), pair.now), Ok(Sent::Accepted)));
    pair.server_send(server_two, 1);
    pair.pump();
    let error = pair.client_error(one);
    assert_eq!((error.code(), reason(&error).0), (Code::StreamProtocol, 12004));
    assert!(error.text().ends_with("payload size(5030) larger than the limit(1000)"), "{error}");
    assert_eq!(number(pair.client_recv(two)), 1);
    assert!(pair.to_client.is_empty());
    assert_eq!(reason(&pair.server_error(server_one)).0, 12004);
}

#[test]
fn trailers_and_resets_that_cannot_be_read() {
    let reply = b"\x80\x01\0\x02\0\0\0\0\0\0\0\x01\0";
    for payload in [&b"x"[..], reply] {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        pair.feed_client(1, FrameType::Trailer, &[], payload);
        let error = pair.client_error(client);
        assert_eq!(reason(&error), (12004, StreamClass::Protocol, StreamSide::Client, String::new()));
        // Where the reference panics (§12 row 11): the handler still has its say.
        pair.feed_server(1, FrameType::Trailer, &[], payload);
        assert_eq!(reason(&pair.server_error(server)).0, 12004);
        pair.finish(server, Finish::Ok);
        let (client, _) = pair.opened();
        pair.feed_client(2, FrameType::Rst, &[], payload);
        let error = pair.client_error(client);
        assert_eq!(reason(&error), (13, StreamClass::Canceled, StreamSide::Client, String::new()));
        assert_eq!(error.text(), "[ttstream error, code=13] [client-side stream] rst");
    }
    let mut pair = Pair::new();
    let (_, server) = pair.opened();
    pair.feed_server(1, FrameType::Trailer, &[], &exception(6, "client says"));
    let error = pair.server_error(server);
    assert_eq!(reason(&error), (12001, StreamClass::None, StreamSide::Server, String::new()));
    pair.server_send(server, 1);
    let (_, server) = pair.opened();
    pair.feed_server(2, FrameType::Trailer, &[("biz-status", "3")], b"");
    assert_eq!(pair.server_error(server).biz_status().unwrap().code, 3);
    pair.server_send(server, 1);
}

#[test]
fn bytes_may_be_cut_anywhere() {
    for step in [1, 7, 64] {
        let mut pair = Pair::new();
        let client = pair.open();
        (0..5).for_each(|n| pair.client_send(client, n));
        pair.client.close_send(client).unwrap();
        pair.write_client();
        let bytes = pair.to_server.split();
        for part in bytes.chunks(step) {
            pair.to_server.extend_from_slice(part);
            pair.server.receive(&mut pair.to_server, pair.now).unwrap();
        }
        let server = pair.accepted();
        (0..5).for_each(|n| assert_eq!(number(pair.server_recv(server)), n));
        assert!(is_eof(&pair.server_recv(server)));
    }
}

#[test]
fn a_connection_of_streams_is_told_by_its_first_bytes() {
    use crate::wire::detect::{Protocol, detect};
    let mut pair = Pair::new();
    pair.open();
    pair.write_client();
    for n in 0..8 {
        assert_eq!(detect(&pair.to_server[..n]), None);
    }
    assert_eq!(detect(&pair.to_server), Some(Protocol::TtStreaming));
}
