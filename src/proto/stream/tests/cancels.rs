//! Cancels, their numbers, classes and paths: §4, and §14 (43)–(48), (53)–(56).

use super::*;

const BY_CALLER: &str = "user code invoking stream RPC with context processed by context.WithCancel or \
                         context.WithTimeout, then invoking cancel() actively";

#[test]
fn a_cancel_is_an_rst_and_the_one_trailer() {
    for half_closed in [false, true] {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        if half_closed {
            pair.client.close_send(client).unwrap();
            pair.pump();
        }
        pair.tap.take();
        assert!(
            is_pending(&pair.client_recv(client)) && is_pending(&pair.server_recv(server)) || half_closed
        );
        pair.client.cancel(client, &Cancel::by_host(""), pair.now);
        // At once, on both directions, whoever waits (§12 row 6).
        let ready = pair.client_ready();
        assert!(ready.iter().any(|(key, r)| *key == client && r.contains(Ready::ENDED)), "{ready:?}");
        assert!(ready.iter().any(|(_, r)| r.contains(Ready::READABLE)));
        let error = pair.client_error(client);
        assert_eq!(reason(&error), (12007, StreamClass::Canceled, StreamSide::Client, String::new()));
        assert_eq!(error.code(), Code::Cancelled);
        assert_eq!(error.text(), format!("[ttstream error, code=12007] [client-side stream] {BY_CALLER}"));
        assert_eq!(pair.client.send(client, message(1), pair.now).unwrap_err(), error);
        pair.write_client();
        let rst = pair.tap.last(FrameType::Rst).clone();
        assert_eq!(strings(&rst.header), has(&[("ttscp", "A")]));
        assert_eq!(rst.payload, exception(12007, BY_CALLER));
        assert_eq!(pair.tap.take(), if half_closed { ">RST" } else { ">RST >TRAILER" });
        pair.pump();
        assert!(pair.server_ready().iter().any(|(key, r)| *key == server && r.contains(Ready::ENDED)));
        let expected = (12007, StreamClass::Canceled, StreamSide::Server, "A".to_owned());
        let end = pair.server.end(server).unwrap().error().unwrap().clone();
        assert_eq!(reason(&end), expected);
        assert_eq!(
            end.text(),
            format!("[ttstream error, code=12007] [server-side stream] [canceled path: A] {BY_CALLER}")
        );
        if half_closed {
            // Its end of messages had come before.
            assert!(is_eof(&pair.server_recv(server)));
        } else {
            assert_eq!(pair.server_error(server), end);
        }
        assert_eq!(pair.server.send(server, message(1), pair.now).unwrap_err(), end);
        // The handler's HEADER and TRAILER follow late, and the client drops them.
        pair.finish(server, Finish::Ok);
        pair.pump();
        assert_eq!(pair.tap.take(), "<HEADER <TRAILER");
        assert_eq!(pair.client.counters().unknown, 2);
    }
}

#[test]
fn a_cancel_says_the_hosts_words_and_leaves_no_name_that_is_empty() {
    let mut pair = Pair::with(|options| options.name = Bytes::new(), |_| {});
    let (client, server) = pair.opened();
    pair.client.cancel(client, &Cancel::by_host("no longer needed"), pair.now);
    pair.pump();
    assert_eq!(strings(&pair.tap.last(FrameType::Rst).header), has(&[]));
    let error = pair.server_error(server);
    assert_eq!(error.text(), "[ttstream error, code=12007] [server-side stream] no longer needed");
}

#[test]
fn a_cancel_before_the_header_has_left_sends_nothing() {
    let mut pair = Pair::new();
    let client = pair.open();
    pair.client_send(client, 1);
    pair.client.cancel(client, &Cancel::by_host(""), pair.now);
    pair.client.release(client, pair.now);
    pair.pump();
    assert_eq!((pair.tap.take(), pair.client.kept_streams()), (String::new(), 0));
    assert_eq!(pair.client.waiting_bytes(), (0, 0));
}

#[test]
fn unsent_messages_are_dropped_and_an_unsent_trailer_is_still_the_only_one() {
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.tap.take();
    pair.client_send(client, 1);
    pair.client.close_send(client).unwrap();
    pair.client.cancel(client, &Cancel::by_host(""), pair.now);
    pair.pump();
    assert_eq!(pair.tap.take(), ">RST >TRAILER");
}

/// A → B → C: B's handler opens a stream at C for the stream of A.
struct Chain {
    first: Pair,
    second: Pair,
    a: StreamKey,
    b_server: StreamKey,
    b_client: StreamKey,
    c: StreamKey,
}

impl Chain {
    fn new() -> Chain {
        let mut first = Pair::new();
        let mut second = Pair::with(|options| options.name = "B".into(), |_| {});
        let (a, b_server) = first.opened();
        let (b_client, c) = second.opened();
        Chain { first, second, a, b_server, b_client, c }
    }

    /// What rpc does when the context of B's handler ends.
    fn cascade(&mut self) {
        self.first.pump();
        let end = self.first.server.end(self.b_server).unwrap().error().unwrap().clone();
        self.second.client.cancel(self.b_client, &Cancel::inherited(&end), self.second.now);
        self.second.pump();
    }
}

#[test]
fn a_cancel_cascades_with_number_text_and_path() {
    let mut chain = Chain::new();
    chain.first.client.cancel(chain.a, &Cancel::by_host("stop"), chain.first.now);
    chain.cascade();
    let b = chain.second.client_error(chain.b_client);
    assert_eq!(reason(&b), (12007, StreamClass::Canceled, StreamSide::Client, "A".into()));
    let c = chain.second.server_error(chain.c);
    assert_eq!(reason(&c), (12007, StreamClass::Canceled, StreamSide::Server, "A,B".into()));
    assert_eq!(c.text(), "[ttstream error, code=12007] [server-side stream] [canceled path: A -> B] stop");
}

#[test]
fn a_timeout_cascades_as_what_it_is() {
    let mut chain = Chain::new();
    let timeouts = StreamTimeouts {
        recv: Some(RecvTimeout { timeout: 50 * MS, keep_stream: false }),
        ..StreamTimeouts::default()
    };
    chain.first.client.set_timeouts(chain.a, timeouts);
    assert!(is_pending(&chain.first.client_recv(chain.a)));
    chain.first.pass(50 * MS);
    chain.cascade();
    let c = chain.second.server_error(chain.c);
    assert_eq!(reason(&c), (12014, StreamClass::Canceled, StreamSide::Server, "A,B".into()));
    let rst = chain.second.tap.last(FrameType::Rst);
    let mut golden = crate::wire::ttstream::tests::golden::bytes("F12");
    assert_eq!(rst.payload, golden.split_off(golden.len() - 107));
}

#[test]
fn a_handler_that_returns_cancels_what_it_opened() {
    let mut chain = Chain::new();
    chain.first.finish(chain.b_server, Finish::Ok);
    chain.cascade();
    let b = chain.second.client_error(chain.b_client);
    assert_eq!(reason(&b), (12012, StreamClass::Canceled, StreamSide::Client, String::new()));
    let c = chain.second.server_error(chain.c);
    assert_eq!(reason(&c), (12012, StreamClass::Canceled, StreamSide::Server, "B".into()));
}

#[test]
fn a_lost_connection_cascades_as_12013() {
    let mut chain = Chain::new();
    chain.first.server.lost(&BytesMut::new(), None, chain.first.now);
    chain.cascade();
    let c = chain.second.server_error(chain.c);
    assert_eq!(reason(&c), (12013, StreamClass::Canceled, StreamSide::Server, "B".into()));
}

#[test]
fn a_foreign_end_is_12011() {
    let mut chain = Chain::new();
    let foreign = Error::new(Code::Cancelled, "the gRPC call was cancelled");
    chain.second.client.cancel(chain.b_client, &Cancel::inherited(&foreign), chain.second.now);
    chain.second.pump();
    let c = chain.second.server_error(chain.c);
    assert_eq!(reason(&c).0, 12011);
    let path = "[canceled path: non-ttstream path -> B] CANCELLED: the gRPC call was cancelled";
    assert!(c.text().ends_with(path), "{c}");
}

#[test]
fn what_peers_and_proxies_send_is_a_cancel_with_their_number() {
    for (strings, payload, code, path, text) in [
        (vec![("ttscp", "Egress")], exception(1204, "proxy timeout"), 1204, "Egress", "proxy timeout"),
        (vec![("ttscp", "A,")], exception(12015, "late"), 12015, "A,", "late"),
        (vec![], BytesMut::new(), 13, "", "rst"),
    ] {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        pair.feed_client(1, FrameType::Rst, &strings, &payload);
        pair.feed_server(1, FrameType::Rst, &strings, &payload);
        let error = pair.client_error(client);
        assert_eq!(error.code(), Code::Cancelled);
        assert_eq!(reason(&error), (code, StreamClass::Canceled, StreamSide::Client, path.to_owned()));
        assert!(error.text().ends_with(text));
        let error = pair.server_error(server);
        assert_eq!(reason(&error), (code, StreamClass::Canceled, StreamSide::Server, path.to_owned()));
        // The client still ends its side.
        pair.tap.take();
        pair.write_client();
        assert_eq!(pair.tap.take(), ">TRAILER");
    }
}

#[test]
fn resets_that_cross_are_tolerated() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.client.cancel(client, &Cancel::by_host(""), pair.now);
    pair.server.cancel(server, &Cancel::with_code(77, "mine"), pair.now);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >RST >TRAILER <RST");
    assert_eq!(reason(&pair.client_error(client)).0, 12007);
    assert_eq!(reason(&pair.server_error(server)).0, 77);
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!(pair.tap.take(), "", "a reset is the server's last word");
}

#[test]
fn peers_that_do_not_know_rst_are_sent_trailers_only() {
    let mut pair = Pair::with(|o| o.peer_knows_rst = false, |o| o.peer_knows_rst = false);
    let (client, server) = pair.opened();
    pair.client.cancel(client, &Cancel::by_host(""), pair.now);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >TRAILER");
    assert!(is_eof(&pair.server_recv(server)), "which is all that an old peer can be told");
    let (client, server) = pair.opened();
    pair.server_send(server, 1);
    pair.server.cancel(server, &Cancel::by_host("enough"), pair.now);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER <TRAILER >TRAILER");
    let error = pair.client_error(client);
    assert_eq!(error.remote_exception().unwrap().type_id, 12007);
}

#[test]
fn a_stream_that_its_owner_gives_up_ends() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.client.release(client, pair.now);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >RST >TRAILER");
    assert_eq!((reason(&pair.server_error(server)).0, pair.client.kept_streams()), (12007, 0));
    let (client, server) = pair.opened();
    pair.server.release(server, pair.now);
    pair.pump();
    let error = pair.client_error(client);
    assert_eq!(&error.remote_exception().unwrap().text[..], b"handler gave no answer");
    // Only the handler of the first stream, which was not told to give it back.
    assert_eq!(pair.server.kept_streams(), 1);
}

#[test]
fn a_recv_that_was_withdrawn_leaves_its_message() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    assert!(is_pending(&pair.client_recv(client)));
    pair.client.cancel_recv(client);
    pair.server_send(server, 1);
    pair.pump();
    assert!(!pair.client_ready().iter().any(|(_, ready)| ready.contains(Ready::READABLE)));
    assert_eq!((pair.client.waiting(client), number(pair.client_recv(client))), (1, 1));
}

/// A proxy resets the server's side only. What the handler had sent was dropped, so its client must not take
/// the handler's good end for the end of all messages.
#[test]
fn a_handler_that_ends_well_after_a_reset_has_not_ended_well_for_its_client() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.server_send(server, 1);
    pair.feed_server(1, FrameType::Rst, &[], &exception(9, "by a proxy"));
    pair.finish(server, Finish::Ok);
    pair.pump();
    let error = pair.client_error(client);
    assert_eq!(error.code(), Code::RemoteException);
    assert!(error.text().starts_with("biz error: ") && error.text().contains("by a proxy"), "{error}");
}

/// The client had said everything and then cancels; the handler ends without having received it.
#[test]
fn what_a_handler_did_not_receive_never_looks_like_an_end_of_messages() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.client_send(client, 1);
    pair.client.close_send(client).unwrap();
    pair.pump();
    pair.client.cancel(client, &Cancel::by_host("enough"), pair.now);
    pair.pump();
    pair.finish(server, Finish::Ok);
    assert_eq!(reason(&pair.server_error(server)).0, 12_007);
}
