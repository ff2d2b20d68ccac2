//! Back-pressure, fairness and floods: §12 rows 3–5, §14 (63), and the limits of base::StreamLimits.

use super::*;

fn small(options: &mut Options) {
    options.streams.recv_bytes = 10_000;
    options.streams.send_bytes = 10_000;
    options.streams.connection_send_bytes = 30_000;
    options.streams.connection_recv_bytes = 50_000;
}

/// Sends 1,000-byte messages until there is no room; how many went.
fn fill(pair: &mut Pair, key: StreamKey) -> usize {
    let mut sent = 0;
    while let Sent::Accepted = pair.server.send(key, sized(1000), pair.now).unwrap() {
        sent += 1;
        assert!(sent < 10_000, "no limit");
    }
    sent
}

#[test]
fn a_sender_is_held_back_at_its_budget_and_called_again_at_half() {
    let mut pair = Pair::with(small, small);
    let (client, server) = pair.opened();
    pair.server_ready();
    assert_eq!(fill(&mut pair, server), 10, "the message that crosses the mark is taken");
    let Ok(Sent::Full(back)) = pair.server.send(server, sized(77), pair.now) else { panic!() };
    assert_eq!(back.len(), 77);
    pair.write_server();
    assert_eq!(pair.server_ready(), [(server, Ready::WRITABLE)]);
    assert_eq!(pair.server.waiting_bytes(), (0, 0));
    pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    assert_eq!(pair.client.waiting(client), 10);
    // One message is never too large for an empty budget.
    assert!(matches!(pair.server.send(server, sized(1 << 20), pair.now), Ok(Sent::Accepted)));
    assert!(matches!(pair.server.send(server, sized(1), pair.now), Ok(Sent::Full(_))));
}

#[test]
fn the_connections_budget_holds_all_senders_back_and_calls_them_in_order() {
    let mut pair = Pair::with(small, small);
    let streams: Vec<_> = (0..5).map(|_| pair.opened()).collect();
    pair.server_ready();
    let sent: Vec<_> = streams.iter().map(|(_, server)| fill(&mut pair, *server)).collect();
    assert_eq!(sent, [10, 10, 9, 0, 0]);
    pair.write_server();
    let called = pair.server_ready();
    let keys: Vec<_> = called.iter().map(|(key, _)| *key).collect();
    assert!(called.iter().all(|(_, ready)| *ready == Ready::WRITABLE));
    assert_eq!(keys.len(), 5);
    assert!(keys.contains(&streams[3].1) && keys.contains(&streams[4].1));
}

#[test]
fn a_lone_slow_reader_stops_its_sender_for_as_long_as_it_likes() {
    let mut pair = Pair::with(small, small);
    let (client, server) = pair.opened();
    let mut sent = 0;
    for _ in 0..100 {
        sent += fill(&mut pair, server);
        pair.write_server();
        // As io does: bytes are read only while they are wanted.
        if pair.client.wants_bytes() {
            pair.client.receive(&mut pair.to_client, pair.now).unwrap();
        }
        pair.pass(SEC);
        if !pair.client.wants_bytes() {
            break;
        }
    }
    assert!(!pair.client.wants_bytes());
    assert!(pair.client.waiting_bytes().0 <= 10_000 + 1064);
    pair.pass(3600 * SEC);
    assert!(pair.client.end(client).is_none() && pair.client.counters().slow_readers == 0);
    let mut taken = 0;
    while taken < sent {
        match pair.client_recv(client) {
            Recv::Message(_) => taken += 1,
            Recv::Pending => pair.client.receive(&mut pair.to_client, pair.now).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert!(pair.client.wants_bytes());
    assert!(pair.client.counters().pauses >= 1);
}

#[test]
fn a_slow_reader_that_keeps_others_waiting_is_reset() {
    let mut pair = Pair::with(small, small);
    let (slow, server_slow) = pair.opened();
    let (other, server_other) = pair.opened();
    fill(&mut pair, server_slow);
    pair.write_server();
    pair.server_send(server_other, 1);
    pair.server_send(server_slow, 2);
    pair.write_server();
    pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    assert!(!pair.client.wants_bytes());
    assert!(is_pending(&pair.client_recv(other)), "it waits behind the slow one");
    assert_eq!(pair.client.wake_at(), Some(pair.now + 5 * SEC));
    pair.pass(5 * SEC);
    let error = pair.client.end(slow).unwrap().error().unwrap().clone();
    assert_eq!((error.code(), reason(&error).0), (Code::SlowReader, 12011));
    pair.pump();
    assert_eq!(number(pair.client_recv(other)), 1);
    assert_eq!(pair.client.counters().slow_readers, 1);
    // What it has not read yet is its own, then comes the end.
    for _ in 0..10 {
        assert!(matches!(pair.client_recv(slow), Recv::Message(_)));
    }
    assert_eq!(pair.client_error(slow), error);
    assert_eq!(reason(&pair.server_error(server_slow)).0, 12011);
}

#[test]
fn a_reader_that_is_only_late_is_not_reset() {
    let mut pair = Pair::with(small, small);
    let (slow, server_slow) = pair.opened();
    pair.opened();
    for _ in 0..5 {
        fill(&mut pair, server_slow);
        pair.pump();
        assert!(!pair.client.wants_bytes());
        pair.pass(4 * SEC);
        while pair.client.waiting(slow) > 0 {
            assert!(matches!(pair.client_recv(slow), Recv::Message(_)));
        }
        pair.pump();
        assert!(pair.client.wants_bytes());
    }
    assert_eq!(pair.client.counters().slow_readers, 0);
}

#[test]
fn another_stream_that_comes_later_gives_the_slow_one_its_time() {
    let mut pair = Pair::with(small, small);
    let (slow, server_slow) = pair.opened();
    fill(&mut pair, server_slow);
    pair.pump();
    pair.pass(3600 * SEC);
    pair.open();
    pair.pass(4 * SEC);
    assert!(pair.client.end(slow).is_none());
    pair.pass(SEC);
    assert!(pair.client.end(slow).is_some());
}

#[test]
fn the_connections_budget_pauses_too_and_what_the_worst_holds_is_dropped() {
    let mut pair = Pair::with(
        |options| {
            small(options);
            options.streams.recv_bytes = 1 << 20;
        },
        small,
    );
    let streams: Vec<_> = (0..3).map(|_| pair.opened()).collect();
    for round in 0..30 {
        let (_, server) = streams[if round % 5 == 0 { 1 } else { 0 }];
        fill(&mut pair, server);
        pair.write_server();
        pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    }
    assert!(!pair.client.wants_bytes());
    assert!(pair.client.waiting_bytes().0 < 50_000 + 1064);
    pair.pass(5 * SEC);
    let worst = streams[0].0;
    let error = pair.client_error(worst);
    assert_eq!(error.code(), Code::SlowReader, "its messages are gone, and it is told");
    assert!(pair.client.wants_bytes());
    assert!(matches!(pair.client_recv(streams[1].0), Recv::Message(_)));
}

#[test]
fn a_pause_of_the_connection_ends_when_half_of_it_is_taken() {
    let mut pair = Pair::with(
        |options| {
            small(options);
            options.streams.recv_bytes = 1 << 20;
        },
        small,
    );
    let (client, server) = pair.opened();
    for _ in 0..10 {
        fill(&mut pair, server);
        pair.write_server();
        pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    }
    assert!(!pair.client.wants_bytes());
    while !pair.client.wants_bytes() {
        assert!(pair.client.waiting_bytes().0 > 25_000);
        assert!(matches!(pair.client_recv(client), Recv::Message(_)));
    }
    assert!(pair.client.waiting_bytes().0 > 23_000);
}

#[test]
fn what_is_given_back_makes_room_at_once() {
    for finish in [false, true] {
        let mut pair = Pair::with(small, |options| {
            small(options);
            options.streams.recv_bytes = 1 << 20;
        });
        let (client, server) = pair.opened();
        let (other, server_other) = pair.opened();
        for _ in 0..10 {
            while let Sent::Accepted = pair.client.send(client, sized(1000), pair.now).unwrap() {}
            pair.write_client();
            pair.server.receive(&mut pair.to_server, pair.now).unwrap();
        }
        assert!(!pair.server.wants_bytes());
        if finish {
            pair.finish(server, Finish::Ok);
        } else {
            pair.server.release(server, pair.now);
        }
        assert!(pair.server.wants_bytes());
        pair.client_send(other, 1);
        pair.pump();
        assert_eq!(number(pair.server_recv(server_other)), 1);
    }
}

#[test]
fn streams_take_turns_by_bytes() {
    let mut pair = Pair::new();
    let streams: Vec<_> = (0..4).map(|_| pair.opened()).collect();
    pair.tap.take();
    // One stream has a megabyte to send before the others say a word.
    for _ in 0..16 {
        assert!(matches!(pair.server.send(streams[0].1, sized(64 << 10), pair.now), Ok(Sent::Accepted)));
    }
    for n in 0..100 {
        streams[1..].iter().for_each(|(_, server)| pair.server_send(*server, n));
    }
    pair.server.transmit(&mut pair.server_out, pair.now);
    let bytes = drain(&mut pair.server_out);
    pair.tap.see('<', &bytes);
    let ids: Vec<_> = pair.tap.frames.iter().map(|(_, frame)| (frame.id, frame.payload.len())).collect();
    let small_done = ids.iter().rposition(|(id, _)| *id != 1).unwrap();
    let big_before = ids[..small_done].iter().filter(|(id, len)| *id == 1 && *len > 0).count();
    assert_eq!(ids.iter().filter(|(id, len)| *id != 1 && *len > 0).count(), 300, "all in the first batch");
    assert!(big_before <= 2, "{big_before} big messages went before them");
    pair.server.written(0, pair.now);
    pair.write_server();
    assert_eq!(
        pair.tap.frames.iter().filter(|(_, frame)| frame.id == 1 && !frame.payload.is_empty()).count(),
        16
    );
}

#[test]
fn frames_of_all_streams_leave_in_one_write_and_large_ones_are_not_copied() {
    let mut pair = Pair::new();
    let streams: Vec<_> = (0..100).map(|_| pair.opened()).collect();
    streams.iter().for_each(|(client, _)| pair.client_send(*client, 1));
    let large = sized(100_000);
    assert!(matches!(pair.client.send(streams[0].0, large.clone(), pair.now), Ok(Sent::Accepted)));
    assert!(pair.client.transmit(&mut pair.client_out, pair.now));
    let mut slices = [IoSlice::new(&[]); 8];
    let count = pair.client_out.io_slices(&mut slices);
    assert!(count <= 3, "{count}");
    assert!(slices.iter().any(|slice| slice.as_ptr() == large.pieces()[0].as_ptr()));
}

#[test]
fn a_flush_waits_for_the_socket() {
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.client_ready();
    pair.client_send(client, 1);
    pair.client.flush(client).unwrap();
    assert_eq!(pair.client_ready(), []);
    pair.client.transmit(&mut pair.client_out, pair.now);
    let len = pair.client_out.len();
    pair.client.written(1, pair.now);
    assert_eq!(pair.client_ready(), []);
    pair.client_out.advance(len);
    pair.client.written(0, pair.now);
    assert_eq!(pair.client_ready(), [(client, Ready::FLUSHED)]);
    pair.client.flush(client).unwrap();
    assert_eq!(pair.client_ready(), [(client, Ready::FLUSHED)], "nothing to wait for");
}

#[test]
fn openings_beyond_the_limit_are_refused_and_the_others_live_on() {
    let mut pair = Pair::with(|_| {}, |options| options.streams.streams = 3);
    let streams: Vec<_> = (0..3).map(|_| pair.opened()).collect();
    // Reset and opened anew: a handler that still runs counts (rapid reset).
    pair.client.cancel(streams[0].0, &Cancel::by_host(""), pair.now);
    for _ in 0..1000 {
        let client = pair.open();
        pair.pump();
        let error = pair.client_error(client);
        assert_eq!(error.remote_exception().unwrap().type_id, 6);
        assert!(error.stream_reason().unwrap().text.starts_with(b"too many streams"), "{error}");
        pair.client.release(client, pair.now);
    }
    assert_eq!(pair.server.counters().refused, 1000);
    assert_eq!(pair.server.kept_streams(), 3);
    pair.client_send(streams[1].0, 1);
    pair.pump();
    assert_eq!(number(pair.server_recv(streams[1].1)), 1);
    pair.finish(streams[0].1, Finish::Ok);
    pair.server.release(streams[0].1, pair.now);
    pair.pump();
    pair.opened();
    // Our own side knows its limit before it sends.
    let mut pair = Pair::with(|options| options.streams.streams = 1, |_| {});
    pair.open();
    assert!(!pair.client.can_open(pair.now));
    let error = pair.client.open(&Open::new(b"", &method()), pair.now).unwrap_err();
    assert_eq!((error.code(), error.retryable()), (Code::Overload, true));
}

#[test]
fn a_peer_that_takes_no_answers_is_not_read_from() {
    let mut pair = Pair::with(|_| {}, |options| options.streams.streams = 0);
    for id in 1..5000 {
        pair.to_server.extend_from_slice(&frame_bytes(id, FrameType::Header, &[], b""));
    }
    let all = pair.to_server.len();
    pair.server.receive(&mut pair.to_server, pair.now).unwrap();
    assert!(!pair.server.wants_bytes() && pair.to_server.len() > all / 2);
    pair.write_server();
    assert!(pair.server.wants_bytes());

    // Nor when its answers are put out and the socket takes none of them.
    pair.server.transmit(&mut pair.server_out, pair.now);
    for round in 0..1000 {
        for id in 1..1000 {
            pair.to_server.extend_from_slice(&frame_bytes(id, FrameType::Header, &[], b""));
        }
        pair.server.receive(&mut pair.to_server, pair.now).unwrap();
        pair.server.transmit(&mut pair.server_out, pair.now);
        if !pair.server.wants_bytes() {
            break;
        }
        assert!(round < 20 && pair.server_out.len() < 512 << 10, "{} bytes wait", pair.server_out.len());
    }
    assert!(!pair.server.wants_bytes() && pair.server_out.len() < 512 << 10);
}

#[test]
fn frames_without_content_end_their_stream_when_they_never_stop() {
    for kind in [FrameType::Data, FrameType::Meta] {
        let mut pair = Pair::new();
        let (client, server) = pair.opened();
        let (_, other) = pair.opened();
        for n in 0..5_000 {
            // One that has content starts the count anew.
            let content = if n % 900 == 0 && n < 3_000 { &b"\0"[..] } else { b"" };
            pair.feed_server(1, if content.is_empty() { kind } else { FrameType::Data }, &[], content);
            while let Recv::Message(_) = pair.server_recv(server) {}
            if n < 3_000 {
                assert!(pair.server.end(server).is_none(), "{n}");
            }
        }
        let error = pair.server_error(server);
        assert_eq!((error.code(), reason(&error).0), (Code::Flood, 12011));
        assert_eq!(pair.server.counters().floods, 1);
        pair.pump();
        assert_eq!(reason(&pair.client_error(client)).0, 12011);
        pair.feed_server(2, FrameType::Data, &[], &message(1).bytes());
        assert_eq!(number(pair.server_recv(other)), 1);
    }
}

#[test]
fn headers_are_bounded_in_size_and_in_sum() {
    let value: String = "x".repeat(60_000);
    let mut pair = Pair::with(|_| {}, |options| options.streams.header_bytes = 1000);
    pair.to_server.extend_from_slice(&frame_bytes(5, FrameType::Header, &[("k", &value)], b""));
    pair.pump();
    assert_eq!((pair.tap.take(), pair.server.kept_streams()), ("<RST".to_owned(), 0));

    let mut pair = Pair::with(|_| {}, |options| options.streams.connection_recv_bytes = 1 << 20);
    for id in 1..=20 {
        pair.to_server.extend_from_slice(&frame_bytes(id, FrameType::Header, &[("k", &value)], b""));
    }
    pair.pump();
    assert_eq!(pair.server.kept_streams(), 4);
    assert_eq!(pair.server.counters().refused, 16);
    // Its memory comes back with its streams.
    for _ in 0..4 {
        let key = pair.accepted();
        pair.finish(key, Finish::Ok);
        pair.server.release(key, pair.now);
    }
    pair.pump();
    pair.to_server.extend_from_slice(&frame_bytes(30, FrameType::Header, &[("k", &value)], b""));
    pair.pump();
    pair.accepted();
}

#[test]
fn an_export_of_gigabytes_keeps_little_in_memory() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    let (mut sent, mut taken, mut most) = (0u32, 0u32, 0);
    let chunk = sized(1 << 20);
    while taken < 10_240 {
        while sent < 10_240
            && let Ok(Sent::Accepted) = pair.server.send(server, chunk.clone(), pair.now)
        {
            sent += 1;
        }
        pair.server.transmit(&mut pair.server_out, pair.now);
        let mut slices = [IoSlice::new(&[]); 8];
        let count = pair.server_out.io_slices(&mut slices);
        // Only lengths matter here: the reader is given a frame as long as the sender's.
        let bytes: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        pair.server_out.advance(bytes);
        pair.server.written(0, pair.now);
        let (_, unsent) = pair.server.waiting_bytes();
        most = most.max(bytes + unsent);
        taken += u32::try_from(bytes >> 20).unwrap();
    }
    assert!(most <= 4 << 20, "{most}");
    let _ = client;
}

#[test]
fn small_messages_do_not_hold_on_to_what_was_read_with_them() {
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    for _ in 0..300 {
        pair.to_client.extend_from_slice(&frame_bytes(1, FrameType::Data, &[], b"\0"));
    }
    let range = pair.to_client.as_ptr_range();
    let (start, end) = (range.start as usize, range.end as usize);
    pair.client.receive(&mut pair.to_client, pair.now).unwrap();
    let shared = (0..300)
        .filter(|_| match pair.client_recv(client) {
            Recv::Message(message) => (start..end).contains(&(message.pieces()[0].as_ptr() as usize)),
            other => panic!("{other:?}"),
        })
        .count();
    assert_eq!(shared, 256);
}
