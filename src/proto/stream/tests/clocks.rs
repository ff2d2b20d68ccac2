//! Timeouts of §5, and §14 (49)–(52).

use super::*;

fn recv(keep_stream: bool) -> StreamTimeouts {
    let recv = Some(RecvTimeout { timeout: 50 * MS, keep_stream });
    StreamTimeouts { recv, ..StreamTimeouts::default() }
}

#[test]
fn a_recv_timeout_ends_the_stream() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened_with(recv(false));
    pair.pass(SEC);
    assert!(is_pending(&pair.client_recv(client)), "it runs from the recv, not from the opening");
    assert_eq!(pair.client.wake_at(), Some(pair.now + 50 * MS));
    pair.pass(49 * MS);
    assert!(pair.client.end(client).is_none());
    pair.pass(MS);
    let error = pair.client_error(client);
    assert_eq!(error.code(), Code::RecvTimeout);
    assert_eq!(reason(&error), (12014, StreamClass::Timeout, StreamSide::Client, String::new()));
    assert!(
        error
            .text()
            .ends_with("stream Recv timeout, timeout config={Timeout:50ms DisableCancelRemote:false}")
    );
    assert_eq!(pair.client.send(client, message(1), pair.now).unwrap_err(), error);
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >RST >TRAILER");
    // At the server it is a cancel (§4.4 KEEP).
    let error = pair.server_error(server);
    assert_eq!(reason(&error), (12014, StreamClass::Canceled, StreamSide::Server, "A".into()));
}

#[test]
fn a_recv_timeout_may_leave_the_stream_alone() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened_with(recv(true));
    for _ in 0..2 {
        assert!(is_pending(&pair.client_recv(client)));
        pair.client_ready();
        pair.pass(50 * MS);
        assert_eq!(pair.client_ready(), [(client, Ready::READABLE)]);
        let error = failure(pair.client_recv(client));
        assert_eq!((error.code(), reason(&error).0), (Code::RecvTimeout, 12014));
        assert!(error.stream_reason().unwrap().can_retry);
    }
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER");
    pair.client_send(client, 1);
    pair.server_send(server, 2);
    assert!(is_pending(&pair.client_recv(client)));
    pair.pump();
    pair.pass(SEC);
    assert_eq!(number(pair.client_recv(client)), 2);
    assert!(is_pending(&pair.client_recv(client)));
}

#[test]
fn an_earlier_clock_comes_before_a_later_one_that_was_set_first() {
    let mut pair = Pair::new();
    let deadline = Some(pair.now + 10 * SEC);
    let (client, _) = pair.opened_with(StreamTimeouts { deadline, ..recv(true) });
    for _ in 0..100 {
        assert!(is_pending(&pair.client_recv(client)));
        assert_eq!(pair.client.wake_at(), Some(pair.now + 50 * MS));
        pair.pass(50 * MS);
        assert_eq!(failure(pair.client_recv(client)).code(), Code::RecvTimeout);
    }
    assert_eq!(pair.client.wake_at(), deadline);
    pair.pass(5 * SEC);
    assert_eq!(pair.client_error(client).code(), Code::Timeout);
}

#[test]
fn a_message_in_time_stops_the_clock_of_its_recv() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened_with(recv(false));
    for n in 0..20 {
        assert!(is_pending(&pair.client_recv(client)));
        pair.pass(40 * MS);
        pair.server_send(server, n);
        pair.pump();
        assert_eq!(number(pair.client_recv(client)), n);
        pair.pass(30 * MS);
    }
    assert!(pair.client.end(client).is_none());
}

#[test]
fn a_deadline_ends_the_stream_whatever_it_does() {
    let mut pair = Pair::new();
    let timeouts = StreamTimeouts { deadline: Some(pair.now + 50 * MS), ..StreamTimeouts::default() };
    let (client, server) = pair.opened_with(timeouts);
    pair.server_send(server, 1);
    pair.pump();
    pair.pass(50 * MS);
    assert_eq!(number(pair.client_recv(client)), 1, "what has arrived is delivered before");
    let error = pair.client_error(client);
    assert_eq!((error.code(), reason(&error).0), (Code::Timeout, 12015));
    assert!(error.text().ends_with("stream timeout, timeout in ctx: 50ms"), "{error}");
    pair.pump();
    let rst = pair.tap.last(FrameType::Rst).clone();
    let golden = crate::wire::ttstream::tests::golden::bytes("F11");
    assert_eq!(frame_bytes(1, FrameType::Rst, &[("ttscp", "A")], &rst.payload), golden);
    assert_eq!(reason(&pair.server_error(server)).0, 12015);
}

#[test]
fn a_deadline_that_has_passed_opens_nothing() {
    let mut pair = Pair::new();
    let method = method();
    let timeouts = StreamTimeouts { deadline: Some(pair.now), ..StreamTimeouts::default() };
    let error = pair.client.open(&Open { timeouts, ..Open::new(b"", &method) }, pair.now).unwrap_err();
    assert_eq!(error.code(), Code::Timeout);
    pair.pump();
    assert_eq!(pair.tap.take(), "");
}

#[test]
fn a_told_timeout_is_the_servers_deadline() {
    for honoured in [true, false] {
        let mut pair = Pair::with(|_| {}, |options| options.honour_timeout = honoured);
        let method = method();
        let timeouts = StreamTimeouts { deadline: Some(pair.now + 80 * MS), ..StreamTimeouts::default() };
        let open = Open { timeouts, tell_timeout: true, ..Open::new(b"S", &method) };
        let client = pair.client.open(&open, pair.now).unwrap();
        pair.pump();
        assert_eq!(pair.tap.last(FrameType::Header).header.int(12), Some(&b"80"[..]));
        let server = pair.accepted();
        let deadline = pair.server.opening(server).unwrap().deadline;
        assert_eq!(deadline, honoured.then(|| pair.now + 80 * MS));
        if !honoured {
            continue;
        }
        pair.now += 80 * MS;
        pair.server.tick(pair.now).unwrap();
        let error = pair.server_error(server);
        assert_eq!(reason(&error), (12015, StreamClass::Timeout, StreamSide::Server, String::new()));
        assert_eq!(pair.server.send(server, message(1), pair.now).unwrap_err(), error);
        pair.tap.take();
        pair.write_server();
        assert_eq!(pair.tap.take(), "", "the handler has the last word");
        pair.finish(server, Finish::failed("too late"));
        pair.pump();
        assert_eq!(pair.tap.take(), "<HEADER <TRAILER >TRAILER");
        assert_eq!(pair.client_error(client).remote_exception().unwrap().type_id, 6);
    }
    for (text, expected) in
        [("0", false), ("-5", false), ("x", false), ("18446744073709551616", false), ("1", true)]
    {
        let mut pair = Pair::new();
        let (method, ints) = (method(), [(12, Bytes::copy_from_slice(text.as_bytes()))]);
        pair.client.open(&Open { ints: &ints, ..Open::new(b"S", &method) }, pair.now).unwrap();
        pair.pump();
        let server = pair.accepted();
        assert_eq!(pair.server.opening(server).unwrap().deadline.is_some(), expected, "{text}");
    }
}

#[test]
fn a_silent_stream_ends_when_it_is_told_to() {
    let mut pair = Pair::new();
    let timeouts = StreamTimeouts { idle: Some(SEC), ..StreamTimeouts::default() };
    let (client, server) = pair.opened_with(timeouts);
    for n in 0..5 {
        pair.pass(900 * MS);
        if n % 2 == 0 {
            pair.client_send(client, n)
        } else {
            pair.server_send(server, n)
        }
        pair.pump();
    }
    pair.pass(SEC);
    let ends = [number(pair.client_recv(client)), number(pair.client_recv(client))];
    assert_eq!(ends, [1, 3]);
    assert_eq!(pair.client_error(client).code(), Code::IdleTimeout);
}

#[test]
fn clocks_of_many_streams_ring_in_order() {
    let mut pair = Pair::new();
    let keys: Vec<_> = (1..=50)
        .rev()
        .map(|n| {
            let deadline = Some(pair.now + n * MS);
            pair.open_with(StreamTimeouts { deadline, ..StreamTimeouts::default() })
        })
        .collect();
    for n in 1..=50usize {
        assert_eq!(pair.client.wake_at(), Some(pair.now + MS));
        pair.pass(MS);
        let ended = keys.iter().filter(|key| pair.client.end(**key).is_some()).count();
        assert_eq!(ended, n);
    }
    keys.iter().for_each(|key| pair.client.release(*key, pair.now));
    pair.pump();
    assert_eq!(pair.client.kept_streams(), 0);
    assert_eq!(pair.client.wake_at(), Some(pair.now + Options::default().idle.unwrap()));
}
