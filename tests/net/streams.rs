//! Streams between our own two ends, on real sockets.

use std::sync::Arc;

use krpc::base::Message;
use krpc::rpc::call::{Client, Method, Transport};
use krpc::rpc::server::{Server, Service};
use krpc::rpc::stream::{Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};

use crate::support::*;

fn echo_stream() -> Method {
    Method::parse("Stream/Echo").unwrap()
}

fn service(
    mode: StreamMode,
    handler: impl Fn(&Stream) -> krpc::base::Result<()> + Send + Sync + 'static,
) -> Service {
    let mut service = Service::new("Stream").unwrap();
    service.add_stream("Echo", mode, StreamMethodOptions::default(), Arc::new(Returning(handler))).unwrap();
    service
}

fn serve(
    mode: StreamMode,
    handler: impl Fn(&Stream) -> krpc::base::Result<()> + Send + Sync + 'static,
) -> Server {
    start("127.0.0.1:0", vec![service(mode, handler)])
}

fn echo(stream: &Stream) -> krpc::base::Result<()> {
    while let Some(message) = stream.recv()? {
        stream.send(message)?;
    }
    Ok(())
}

fn connect(server: &Server, multiplexed: usize) -> Arc<Client> {
    let mut options = client_options(server, Transport::TtheaderFramed);
    options.streams.multiplexed = multiplexed;
    Client::new(options).unwrap()
}

fn open(client: &Client) -> Stream {
    client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap()
}

fn texts(stream: &Stream) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(message) = stream.recv().unwrap() {
        all.push(message);
    }
    all
}

#[test]
fn an_echo_both_ways() {
    for multiplexed in [0, 1] {
        let server = serve(StreamMode::Bidirectional, echo);
        let client = connect(&server, multiplexed);
        for _ in 0..3 {
            let stream = open(&client);
            for text in ["a", "b", "c"] {
                stream.send(body(text.as_bytes())).unwrap();
                assert_eq!(stream.recv().unwrap(), Some(body(text.as_bytes())));
            }
            stream.close_send().unwrap();
            assert_eq!(stream.recv().unwrap(), None);
            assert_eq!(stream.recv().unwrap(), None);
            assert!(stream.send(body(b"late")).is_err());
        }
        assert_eq!((client.stream_stats().dialled, client.stream_stats().reused), (1, 2));
    }
}

#[test]
fn ten_thousand_messages_in_order() {
    let server = serve(StreamMode::Bidirectional, echo);
    let client = connect(&server, 1);
    let stream = open(&client);
    let sender = stream.clone();
    let sending = std::thread::spawn(move || {
        for number in 0..10_000u32 {
            sender.send(body(&number.to_be_bytes())).unwrap();
        }
        sender.close_send().unwrap();
    });
    let all = texts(&stream);
    sending.join().unwrap();
    assert_eq!(all.len(), 10_000);
    assert!(all.iter().enumerate().all(|(number, message)| *message == body(&(number as u32).to_be_bytes())));
}

#[test]
fn a_server_speaks_first_to_a_client_that_only_listens() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        (0..10u8).try_for_each(|number| stream.send(body(&[number])))
    });
    let client = connect(&server, 1);
    let stream = open(&client);
    let expected: Vec<_> = (0..10u8).map(|number| body(&[number])).collect();
    assert_eq!(texts(&stream), expected);
}

/// What waits on a stream that is given back ends, and so does what was opened in its context.
#[test]
fn a_stream_that_is_given_back_ends_what_waits() {
    let (sender, contexts) = std::sync::mpsc::channel();
    let server = serve(StreamMode::Bidirectional, move |stream| {
        sender.send(stream.context().clone()).unwrap();
        Ok(())
    });
    let client = connect(&server, 1);
    let stream = open(&client);
    let (header, completer) = krpc::op::operation::new(None);
    stream.start_header(completer);
    drop(stream);
    assert!(header.wait(Some(std::time::Duration::from_secs(20))));
    let ended = header.take().unwrap();
    assert!(ended.is_ok() || ended.is_err_and(|error| error.code() == krpc::base::Code::Closed));
    let context = contexts.recv().unwrap();
    let begun = std::time::Instant::now();
    while context.cause().is_none() && begun.elapsed().as_secs() < 20 {
        std::thread::yield_now();
    }
    assert!(context.cause().is_some());
}
