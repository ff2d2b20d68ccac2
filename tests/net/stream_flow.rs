//! How much of a stream waits where: back-pressure, slow readers, credit, connections that are given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use krpc::base::{Code, Message, Result, StreamReason};
use krpc::op::operation::{self, Cause, Operation};
use krpc::op::queue::Queue;
use krpc::rpc::call::{Client, Transport};
use krpc::rpc::event::Event;
use krpc::rpc::server::ServerOptions;
use krpc::rpc::stream::{Finish, Stream, StreamMode, StreamOptions, StreamQueueHandler};

use crate::streams::*;
use crate::support::*;

/// Far more than any buffer on the way holds, the system's included.
const MANY: usize = 4_000;
const LARGE: usize = 64 << 10;

/// Waits until a number has not changed for a while.
fn settled(number: impl Fn() -> usize) -> usize {
    let (mut last, mut since) = (number(), Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(10));
        if number() != last {
            (last, since) = (number(), Instant::now());
        }
    }
    last
}

fn large() -> Message {
    body(&vec![b'x'; LARGE])
}

#[test]
fn a_slow_reader_stops_its_sender_and_loses_nothing() {
    let (go, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let may_read = Arc::clone(&go);
    let server = serve(StreamMode::Client, move |stream| {
        while !may_read.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut count = 0usize;
        while let Some(message) = stream.recv()? {
            count += message.len();
        }
        stream.send(body(&count.to_be_bytes()))
    });
    let stream = open(&connect(&server, 0));
    let (sender, sent) = (stream.clone(), Arc::clone(&gone));
    let sending = std::thread::spawn(move || {
        for _ in 0..MANY {
            sender.send(large()).unwrap();
            sent.fetch_add(1, Ordering::AcqRel);
        }
        sender.close_send().unwrap();
    });
    let accepted = settled(|| gone.load(Ordering::Acquire)) * LARGE;
    assert!(accepted < 32 << 20, "{accepted} bytes were taken of a sender whose reader sleeps");
    go.store(true, Ordering::Release);
    assert_eq!(stream.recv().unwrap(), Some(body(&(MANY * large().len()).to_be_bytes())));
    sending.join().unwrap();
}

#[test]
fn a_slow_client_stops_its_server() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let server = serve(StreamMode::Bidirectional, move |stream| {
        for _ in 0..MANY {
            stream.send(large())?;
            counter.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    });
    let stream = open(&connect(&server, 0));
    let accepted = settled(|| sent.load(Ordering::Acquire)) * LARGE;
    assert!(accepted < 32 << 20, "{accepted} bytes were taken of a sender whose reader sleeps");
    assert_eq!(texts(&stream).len(), MANY);
}

#[test]
fn whoever_keeps_others_waiting_is_reset() {
    let server = serve_inline(|stream| {
        // Nobody reads a stream that begins with "slow".
        let (next, kept) = (stream.clone(), stream.clone());
        let taken = move |finished: operation::Finished<_>| match finished.take().unwrap() {
            Ok(Some(message)) if message == body(b"slow") => std::mem::forget(kept),
            Ok(Some(message)) => {
                let (operation, completer) = operation::new(None);
                next.start_send(message, completer);
                operation.forget_handle();
                echo_by_callback(next);
            }
            _ => {}
        };
        let (operation, completer) = operation::new(Some(Box::new(taken)));
        operation.forget_handle();
        stream.start_recv(completer);
    });
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.streams.connection.write = None;
    let client = Client::new(options).unwrap();
    let other = open(&client);
    other.send(body(b"quick")).unwrap();
    assert_eq!(other.recv().unwrap(), Some(body(b"quick")));
    let slow = open(&client);
    slow.send(body(b"slow")).unwrap();
    let error = (0..MANY).find_map(|_| slow.send(large()).err()).expect("an end");
    assert_eq!(error.stream_reason().unwrap().code, StreamReason::INTERNAL, "{error}");
    assert!(error.to_string().contains("its messages were not taken"), "{error}");
    other.send(body(b"still here")).unwrap();
    assert_eq!(other.recv().unwrap(), Some(body(b"still here")));
}

/// Sends until a send has to wait.
fn until_pending(stream: &Stream) -> Operation<Result<()>> {
    loop {
        let (operation, completer) = operation::new(None);
        stream.start_send(large(), completer);
        if !operation.wait(Some(Duration::from_millis(300))) {
            return operation;
        }
        operation.take().unwrap().unwrap();
    }
}

#[test]
fn a_pending_send_can_be_cancelled() {
    let server = serve_inline(std::mem::forget);
    let stream = open(&connect(&server, 0));
    let pending = until_pending(&stream);
    assert_eq!(stream.send(large()).unwrap_err().code(), Code::InvalidState, "one waits already");
    pending.cancel(Cause::ByHost);
    assert!(pending.wait(Some(Duration::from_secs(10))));
    assert_eq!(pending.take().unwrap().unwrap_err().code(), Code::Cancelled);

    let pending = until_pending(&stream);
    stream.cancel("");
    assert!(pending.wait(Some(Duration::from_secs(10))), "a cancel wakes a send");
    assert_eq!(pending.take().unwrap().unwrap_err().code(), Code::Cancelled);
}

#[test]
fn messages_come_to_a_queue_by_credit() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        stream.send_many((0..1000u32).map(|number| body(&number.to_be_bytes())))
    });
    let stream = open(&connect(&server, 1));
    let queue = Queue::new(64, None);
    let full = stream.deliver(&queue, 7, 64).unwrap_err();
    assert_eq!(full.code(), Code::QueueFull, "one more is kept for the end");
    stream.deliver(&queue, 7, 10).unwrap();
    let other = Queue::new(64, None);
    assert_eq!(stream.deliver(&other, 7, 1).unwrap_err().code(), Code::InvalidState);
    let (mut events, mut next) = (Vec::new(), 0u32);
    loop {
        queue.take(&mut events, 64, Some(Duration::from_secs(20)));
        assert!(!events.is_empty() && events.len() <= 11, "{}", events.len());
        let count = events.len();
        for event in events.drain(..) {
            let Event::StreamMessage { tag: 7, delivered } = event else { panic!("another event") };
            assert_eq!(delivered.sequence, u64::from(next));
            match delivered.result.unwrap() {
                Some(message) => assert_eq!(message, body(&next.to_be_bytes())),
                None => return assert_eq!(next, 1000),
            }
            next += 1;
        }
        stream.deliver(&queue, 7, count).unwrap();
    }
}

#[test]
fn the_end_needs_no_credit() {
    let server = serve(StreamMode::Bidirectional, |stream| stream.send(body(b"x")));
    let stream = open(&connect(&server, 1));
    let queue = Queue::new(4, None);
    stream.deliver(&queue, 1, 1).unwrap();
    let mut events = Vec::new();
    while events.len() < 2 {
        queue.take(&mut events, 2, Some(Duration::from_secs(20)));
    }
    let Event::StreamMessage { delivered, .. } = &events[1] else { panic!("another event") };
    assert_eq!((delivered.sequence, &delivered.result), (1, &Ok(None)));
    drop(stream);
    assert!(delivered.is_stale());
    let stats = queue.stats();
    assert_eq!((stats.reserved, stats.queued), (0, 0));
}

#[test]
fn streams_come_from_a_queue() {
    let queue: Arc<Queue<Event>> = Queue::new(4, None);
    let mut service = krpc::rpc::server::Service::new("Stream").unwrap();
    let handler = Arc::new(StreamQueueHandler::new(Arc::clone(&queue), 9));
    service.add_stream("Echo", StreamMode::Bidirectional, Default::default(), handler).unwrap();
    let server = start("127.0.0.1:0", vec![service]);
    let client = connect(&server, 1);
    let streams: Vec<_> = (0..5).map(|_| open(&client)).collect();
    let refused = streams[4].recv().unwrap_err();
    assert!(refused.text().contains("the server's queue is full"), "{refused}");
    let mut events = Vec::new();
    while events.len() < 4 {
        queue.take(&mut events, 4, Some(Duration::from_secs(20)));
    }
    for event in events {
        let Event::Stream { tag: 9, stream } = event else { panic!("another event") };
        stream.send(body(stream.peer().as_bytes())).unwrap();
        stream.finish(Finish::Ok).unwrap();
    }
    assert!(streams[..4].iter().all(|stream| texts(stream).len() == 1));
}

#[test]
fn too_many_streams_are_refused() {
    let mut options = ServerOptions { max_in_flight: 2, ..ServerOptions::default() };
    options.streams.streams.streams = 4;
    let server = start_with(options, "127.0.0.1:0", vec![service(StreamMode::Bidirectional, echo_back)]);
    let client = connect(&server, 1);
    let streams: Vec<_> = (0..6).map(|_| open(&client)).collect();
    let over = |stream: &Stream| stream.recv().unwrap_err().text().to_owned();
    for stream in &streams[..2] {
        stream.send(body(b"x")).unwrap();
        assert_eq!(stream.recv().unwrap(), Some(body(b"x")));
    }
    assert!(over(&streams[2]).contains("request over limit"), "{}", over(&streams[2]));
}

#[test]
fn idle_connections_end_and_the_next_stream_dials() {
    let server = serve_inline(echo_by_callback);
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.streams.connection.idle = Some(Duration::from_millis(50));
    let client = Client::new(options).unwrap();
    for round in 1..=2 {
        let stream = open(&client);
        stream.close_send().unwrap();
        assert_eq!(stream.recv().unwrap(), None);
        drop(stream);
        let give_up = Instant::now() + Duration::from_secs(20);
        while client.stream_stats().open > 0 || server.connection_count() > 0 {
            assert!(Instant::now() < give_up, "the idle connection stays");
            std::thread::yield_now();
        }
        assert_eq!(client.stream_stats().dialled, round);
    }
}

#[test]
fn a_connection_that_the_server_closed_is_not_used_again() {
    let server = serve_inline(echo_by_callback);
    let address = server.addresses()[0].to_string();
    let client = connect(&server, 1);
    let stream = open(&client);
    stream.close_send().unwrap();
    assert_eq!(stream.recv().unwrap(), None);
    drop(stream);
    server.stop(Duration::from_secs(10)).unwrap();
    while client.stream_stats().open > 0 {
        std::thread::yield_now();
    }
    let _again = start(&address, vec![service(StreamMode::Bidirectional, echo_back)]);
    let stream = open(&client);
    stream.send(body(b"x")).unwrap();
    assert_eq!(stream.recv().unwrap(), Some(body(b"x")));
}

#[test]
fn own_connections_carry_one_stream_at_a_time() {
    let server = serve_inline(echo_by_callback);
    let client = connect(&server, 0);
    let streams: Vec<_> = (0..20).map(|_| open(&client)).collect();
    assert_eq!(client.stream_stats().dialled, 20);
    drop(streams);
    let _streams: Vec<_> = (0..20).map(|_| open(&client)).collect();
    assert_eq!((client.stream_stats().dialled, client.stream_stats().reused), (20, 20));
}

#[test]
fn many_threads_open_and_end_streams() {
    let server = serve_inline(echo_by_callback);
    let client = connect(&server, 2);
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let (client, tell) = (&client, tell.clone());
            scope.spawn(move || {
                for round in 0..100u32 {
                    let stream = client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap();
                    let message = body(&(thread * 1000 + round).to_be_bytes());
                    stream.send(message.clone()).unwrap();
                    assert_eq!(stream.recv().unwrap(), Some(message));
                    match round % 3 {
                        0 => stream.cancel("random"),
                        1 => stream.close_send().unwrap(),
                        _ => {}
                    }
                }
                tell.send(()).unwrap();
            });
        }
    });
    assert_eq!(told.try_iter().count(), 8);
    assert_eq!(client.stream_stats().streams, 0);
    let stopped = server.stop(Duration::from_secs(10)).unwrap();
    assert_eq!((stopped.cut_off, server.in_flight()), (0, 0));
}
