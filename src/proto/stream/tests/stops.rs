//! The ends of connections: idle, graceful stop, close (§6.4, §6.5, §12 rows 12, 17; §14 (61), (65)).

use super::*;

#[test]
fn a_connection_without_streams_ends_and_one_with_a_stream_does_not() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.pass(3600 * SEC);
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert!(pair.client.is_idle());
    pair.pass(59 * SEC);
    assert_eq!(pair.client.wake_at(), Some(pair.now + SEC));
    pair.now += SEC;
    assert_eq!(pair.client.tick(pair.now).unwrap_err().code(), Code::IdleTimeout);
    assert!(pair.client.is_finished(pair.now));
    assert!(is_eof(&pair.client_recv(client)), "what was over stays as it was");
}

#[test]
fn a_write_that_nobody_takes_ends_the_connection_by_option() {
    let mut pair = Pair::with(|options| options.write = Some(SEC), |_| {});
    let client = pair.open();
    pair.client.transmit(&mut pair.client_out, pair.now);
    let left = pair.client_out.len();
    pair.now += 900 * MS;
    pair.client.written(left - 1, pair.now);
    pair.now += 900 * MS;
    pair.client.tick(pair.now).unwrap();
    pair.now += 100 * MS;
    // A cancel is heard at once, even so.
    assert_eq!(pair.client.tick(pair.now).unwrap_err().code(), Code::WriteTimeout);
    let error = pair.client_error(client);
    assert_eq!((error.code(), reason(&error).0), (Code::WriteTimeout, 12006));
}

#[test]
fn a_server_that_stops_lets_streams_end_within_the_window() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.server.drain(Some(5 * SEC), pair.now);
    assert_eq!(pair.server_ready(), [(server, Ready::STOPPING)]);
    // On their way when the stop began: still served, and told.
    let late = pair.open();
    pair.pump();
    let (late_server, ready) = pair.server.poll_ready().unwrap();
    assert!(ready.contains(Ready::OPENED) && ready.contains(Ready::STOPPING));
    pair.finish(late_server, Finish::Ok);
    pair.pump();
    assert!(is_eof(&pair.client_recv(late)));
    pair.pass(100 * MS);
    let refused = pair.open();
    pair.pump();
    let error = pair.client_error(refused);
    assert_eq!(&error.remote_exception().unwrap().text[..], b"the server is stopping");
    assert_eq!(pair.server.counters().refused, 1);
    // The handler says goodbye, and the client sees it before the end.
    assert!(!pair.server.is_finished(pair.now));
    pair.server_send(server, 7);
    pair.finish(server, Finish::Ok);
    assert!(!pair.server.is_finished(pair.now), "not before it is written");
    pair.pump();
    assert!(pair.server.is_finished(pair.now));
    assert_eq!(number(pair.client_recv(client)), 7);
    assert!(is_eof(&pair.client_recv(client)));
}

#[test]
fn what_outlives_the_window_is_ended_with_the_documented_error() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.server.drain(Some(5 * SEC), pair.now);
    pair.server_send(server, 7);
    assert_eq!(pair.server.wake_at(), Some(pair.now + 5 * SEC));
    pair.pass(5 * SEC);
    assert!(pair.server_ready().iter().any(|(_, ready)| ready.contains(Ready::ENDED)));
    let error = pair.server_error(server);
    assert_eq!((error.code(), reason(&error).0), (Code::Closed, 12013));
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER <HEADER <DATA <TRAILER >TRAILER");
    assert_eq!(number(pair.client_recv(client)), 7);
    let error = pair.client_error(client);
    let text = &error.remote_exception().unwrap().text[..];
    assert_eq!(text, b"the server has stopped before the stream ended");
    assert!(pair.server.is_finished(pair.now));
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert_eq!(pair.tap.take(), "");
}

#[test]
fn a_stopping_server_without_streams_waits_only_for_those_on_their_way() {
    let mut pair = Pair::new();
    pair.server.drain(None, pair.now);
    assert!(!pair.server.is_finished(pair.now));
    assert_eq!(pair.server.wake_at(), Some(pair.now + 100 * MS));
    pair.pass(100 * MS);
    assert!(pair.server.is_finished(pair.now));
}

#[test]
fn a_stop_whose_last_bytes_nobody_takes_does_not_ring_for_ever() {
    let mut pair = Pair::new();
    let (_, server) = pair.opened();
    pair.server.drain(Some(SEC), pair.now);
    pair.finish(server, Finish::Ok);
    pair.server.transmit(&mut pair.server_out, pair.now);
    pair.pass(100 * MS);
    assert_eq!(
        (pair.server.is_finished(pair.now), pair.server.wake_at()),
        (false, Some(pair.now + 900 * MS))
    );
    pair.pass(SEC);
    assert_eq!((pair.server.is_finished(pair.now), pair.server.wake_at()), (false, None));
    pair.server.written(0, pair.now);
    assert!(pair.server.is_finished(pair.now));
}

#[test]
fn a_client_that_closes_cancels_what_is_under_way() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.client.close(pair.now);
    assert_eq!(pair.client_error(client).code(), Code::Closed);
    assert_eq!(pair.client.open(&Open::new(b"", &method()), pair.now).unwrap_err().code(), Code::Closed);
    assert!(!pair.client.can_open(pair.now) && !pair.client.is_finished(pair.now));
    pair.pump();
    assert_eq!(pair.tap.take(), ">HEADER >RST >TRAILER");
    assert!(pair.client.is_finished(pair.now));
    let error = pair.server_error(server);
    assert_eq!(reason(&error), (12007, StreamClass::Canceled, StreamSide::Server, "A".into()));
    assert!(error.text().ends_with("the client was closed"));
}

#[test]
fn a_client_may_let_its_streams_end_first() {
    let mut pair = Pair::new();
    let (client, server) = pair.opened();
    pair.client.drain(Some(SEC), pair.now);
    assert!(pair.client.is_draining() && !pair.client.can_open(pair.now));
    pair.finish(server, Finish::Ok);
    pair.pump();
    assert!(is_eof(&pair.client_recv(client)));
    assert!(pair.client.is_finished(pair.now));
    let mut pair = Pair::new();
    let (client, _) = pair.opened();
    pair.client.drain(Some(SEC), pair.now);
    pair.pass(SEC);
    assert_eq!(pair.client_error(client).code(), Code::Closed);
}
