//! What a message costs in allocations, besides the memory that it lies in itself.

use std::collections::VecDeque;
use std::sync::Arc;

use krpc::base::{Message, Result};
use krpc::op::operation;
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::event::{Event, Queue};
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};

use crate::{allocations, raw};

const MESSAGES: usize = 20_000;
const WARM_UP: usize = 2_000;
/// Messages that are sent before the first is received; fewer than would be copied for waiting long.
const BURST: usize = 100;

fn serve(handler: impl Fn(&Stream) -> Result<()> + Send + Sync + 'static) -> Server {
    let mut service = Service::new("Stream").unwrap();
    let handler = Arc::new(Returning(handler));
    service.add_stream("Echo", StreamMode::Bidirectional, StreamMethodOptions::default(), handler).unwrap();
    let addresses = vec![Address::parse("127.0.0.1:0").unwrap()];
    Server::start(ServerOptions { addresses, services: vec![service], ..ServerOptions::default() }).unwrap()
}

fn open(server: &Server) -> (Arc<Client>, Stream) {
    let mut options = ClientOptions::new("test");
    options.addresses = server.addresses().to_vec();
    let client = Client::new(options).unwrap();
    let stream =
        client.open_stream(&Method::parse("Stream/Echo").unwrap(), &StreamOptions::default()).unwrap();
    (client, stream)
}

/// Allocations of each of many messages, once everything has grown to its size.
fn each(step: impl Fn(usize)) -> f64 {
    step(WARM_UP);
    let before = allocations::count();
    step(MESSAGES);
    (allocations::count() - before) as f64 / MESSAGES as f64
}

fn echo(stream: &Stream) -> Result<()> {
    while let Some(message) = stream.recv()? {
        stream.send(message)?;
    }
    Ok(())
}

/// What a read buffer costs, shared by all messages that fit into it: itself, and the count of who holds it.
/// Small messages come by dozens in the least of them, of 4 KiB.
const SMALL: usize = 64;
const OF_BUFFERS_SMALL: f64 = 0.1;

/// Lists that grew for a burst are given back after it: a few more for the whole of it.
const OF_BURSTS: f64 = 0.2;

/// Of these three come in one, so anything that each message needs for itself shows.
const MEDIUM: usize = 1024;
const OF_BUFFERS_MEDIUM: f64 = 0.75;

fn check(what: &str, each: f64, most: f64) {
    println!("{what}: {each:.3} allocations for each message");
    assert!(each <= most, "{what}: {each} allocations for each message, {most} are its buffers");
}

/// Each recv waits, at both ends.
#[test]
fn ping_pong() {
    let _alone = allocations::alone();
    let (server, message) = (serve(echo), raw::body(&[b'x'; SMALL]));
    let (_client, stream) = open(&server);
    let both = each(|count| {
        for _ in 0..count {
            stream.send(message.clone()).unwrap();
            stream.recv().unwrap().unwrap();
        }
    });
    check("ping-pong", both / 2.0, OF_BUFFERS_SMALL);
    stream.close_send().unwrap();
}

/// Each recv is started before there is anything: it costs its operation, which the host waits with.
#[test]
fn started_receives() {
    const OF_OPERATIONS: f64 = 1.0;
    let _alone = allocations::alone();
    let (server, message) = (serve(echo), raw::body(&[b'x'; SMALL]));
    let (_client, stream) = open(&server);
    let both = each(|count| {
        for _ in 0..count {
            let (operation, completer) = operation::new(None);
            stream.start_recv(completer);
            stream.send(message.clone()).unwrap();
            operation.wait(None);
            operation.take().unwrap().unwrap().unwrap();
        }
    });
    check("started receives", both, OF_OPERATIONS + 2.0 * OF_BUFFERS_SMALL);
    stream.close_send().unwrap();
}

/// Messages go into a queue, and others are sent as long as there is room: neither costs anything.
#[test]
fn deliveries() {
    let _alone = allocations::alone();
    let (server, message) = (serve(echo), raw::body(&[b'x'; SMALL]));
    let (_client, stream) = open(&server);
    let queue: Arc<Queue> = Queue::new(2, None);
    let events = std::cell::RefCell::new((Vec::new(), VecDeque::new()));
    let both = each(|count| {
        let (events, to_send) = &mut *events.borrow_mut();
        for _ in 0..count {
            stream.deliver(&queue, 1, 1).unwrap();
            to_send.push_back(message.clone());
            stream.try_send_many(to_send).unwrap();
            assert!(to_send.is_empty());
            assert_eq!(queue.take(events, 1, None).count, 1);
            let Some(Event::StreamMessage { delivered, .. }) = events.pop() else { panic!("another event") };
            delivered.result.unwrap().unwrap();
        }
    });
    check("deliveries", both / 2.0, OF_BUFFERS_SMALL);
    stream.close_send().unwrap();
}

/// Some recvs wait and some do not.
#[test]
fn bursts() {
    let _alone = allocations::alone();
    let (server, message) = (serve(echo), raw::body(&[b'x'; SMALL]));
    let (_client, stream) = open(&server);
    let both = each(|count| {
        for _ in 0..count / BURST {
            (0..BURST).for_each(|_| stream.send(message.clone()).unwrap());
            (0..BURST).for_each(|_| _ = stream.recv().unwrap().unwrap());
        }
    });
    check("bursts", both / 2.0, OF_BURSTS);
    stream.close_send().unwrap();
}

/// Some sends wait as well.
#[test]
fn one_way() {
    let _alone = allocations::alone();
    let message: Message = raw::body(&[b'x'; MEDIUM]);
    let copy = message.clone();
    let server = serve(move |stream| {
        loop {
            stream.send(copy.clone())?;
        }
    });
    let (_client, stream) = open(&server);
    let down = each(|count| (0..count).for_each(|_| _ = stream.recv().unwrap().unwrap()));
    stream.cancel("enough");
    check("download", down, OF_BUFFERS_MEDIUM);

    let server = serve(|stream| {
        while stream.recv()?.is_some() {}
        Ok(())
    });
    let (_client, stream) = open(&server);
    let up = each(|count| (0..count).for_each(|_| stream.send(message.clone()).unwrap()));
    stream.close_send().unwrap();
    check("upload", up, OF_BUFFERS_MEDIUM);
}
