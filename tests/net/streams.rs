//! Streams between our own two ends, on real sockets.

use std::sync::Arc;
use std::time::Duration;

use krpc::base::{Code, Message, Phase, Result, StreamReason};
use krpc::op::operation::{self, Finished};
use krpc::rpc::call::{Client, Method, Transport};
use krpc::rpc::server::{Server, Service};
use krpc::rpc::stream::{Finish, Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};

use crate::support::*;

pub fn echo_stream() -> Method {
    Method::parse("Stream/Echo").unwrap()
}

pub fn service(mode: StreamMode, handler: impl Fn(&Stream) -> Result<()> + Send + Sync + 'static) -> Service {
    let mut service = Service::new("Stream").unwrap();
    service.add_stream("Echo", mode, StreamMethodOptions::default(), Arc::new(Returning(handler))).unwrap();
    service
}

pub fn serve(mode: StreamMode, handler: impl Fn(&Stream) -> Result<()> + Send + Sync + 'static) -> Server {
    start("127.0.0.1:0", vec![service(mode, handler)])
}

pub fn echo_back(stream: &Stream) -> Result<()> {
    while let Some(message) = stream.recv()? {
        stream.send(message)?;
    }
    Ok(())
}

pub fn connect(server: &Server, multiplexed: usize) -> Arc<Client> {
    let mut options = client_options(server, Transport::TtheaderFramed);
    options.streams.multiplexed = multiplexed;
    Client::new(options).unwrap()
}

pub fn open(client: &Client) -> Stream {
    client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap()
}

pub fn texts(stream: &Stream) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(message) = stream.recv().unwrap() {
        all.push(message);
    }
    all
}

/// Serves with a handler that never blocks a thread.
pub fn serve_inline(handler: impl Fn(Stream) + Send + Sync + 'static) -> Server {
    let mut service = Service::new("Stream").unwrap();
    let options = StreamMethodOptions { inline: true };
    service.add_stream("Echo", StreamMode::Bidirectional, options, Arc::new(handler)).unwrap();
    start("127.0.0.1:0", vec![service])
}

/// Echoes by callbacks, and finishes with what ended it.
pub fn echo_by_callback(stream: Stream) {
    let next = stream.clone();
    let received = move |finished: Finished<Result<Option<Message>>>| match finished.take().unwrap() {
        Ok(Some(message)) => {
            let after = next.clone();
            let sent = move |_: Finished<Result<()>>| echo_by_callback(after);
            let (operation, completer) = operation::new(Some(Box::new(sent)));
            operation.forget_handle();
            next.start_send(message, completer);
        }
        Ok(None) => next.finish(Finish::Ok).unwrap(),
        Err(error) => drop(next.finish(Finish::failed(error.text()))),
    };
    let (operation, completer) = operation::new(Some(Box::new(received)));
    operation.forget_handle();
    stream.start_recv(completer);
}

#[test]
fn an_echo_both_ways() {
    for multiplexed in [0, 1] {
        let server = serve(StreamMode::Bidirectional, echo_back);
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
            assert_eq!(stream.end(), Some(Ok(())));
            let error = stream.send(body(b"late")).unwrap_err();
            assert_eq!(error.code(), Code::InvalidState);
            assert_eq!(error.stream_reason().unwrap().code, StreamReason::ILLEGAL_OPERATION);
        }
        assert_eq!((client.stream_stats().dialled, client.stream_stats().reused), (1, 2));
    }
}

#[test]
fn over_every_kind_of_socket() {
    for address in ["[::1]:0", &unix_path("streams")] {
        let server = start(address, vec![service(StreamMode::Bidirectional, echo_back)]);
        let stream = open(&connect(&server, 1));
        stream.send(body(b"a")).unwrap();
        stream.close_send().unwrap();
        assert_eq!(texts(&stream), [body(b"a")]);
    }
}

#[test]
fn ten_thousand_messages_in_order() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let stream = open(&connect(&server, 1));
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
fn large_messages() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let stream = open(&connect(&server, 1));
    for size in [1, 4096, 100_000, 1 << 20, 5 << 20] {
        let large = body(&vec![b'x'; size]);
        stream.send(large.clone()).unwrap();
        stream.flush().unwrap();
        assert!(stream.recv().unwrap() == Some(large), "{size}");
    }
}

#[test]
fn uploads_and_watches() {
    let server = serve(StreamMode::Client, |stream| {
        let mut count = 0u32;
        while stream.recv()?.is_some() {
            count += 1;
        }
        stream.send(body(&count.to_be_bytes()))
    });
    let stream = open(&connect(&server, 1));
    stream.send_many((0..5000).map(|_| body(b"x"))).unwrap();
    stream.close_send().unwrap();
    assert_eq!(texts(&stream), [body(&5000u32.to_be_bytes())]);

    let server = serve(StreamMode::Server, |stream| {
        let request = stream.request().cloned().unwrap();
        stream.send_many((0..5000).map(|_| request.clone()))
    });
    let stream = open(&connect(&server, 1));
    stream.send(body(b"y")).unwrap();
    stream.close_send().unwrap();
    let mut count = 0;
    loop {
        let some = stream.recv_many(100).unwrap();
        assert!(some.len() <= 100);
        count += some.len();
        if some.is_empty() {
            break;
        }
    }
    assert_eq!(count, 5000);

    let stream = open(&connect(&server, 1));
    stream.close_send().unwrap();
    assert_eq!(stream.recv().unwrap_err().text(), "biz error: EOF", "a request is needed");
}

#[test]
fn a_thousand_streams_on_one_connection() {
    let server = serve_inline(echo_by_callback);
    let client = connect(&server, 1);
    let streams: Vec<_> = (0..1000).map(|_| open(&client)).collect();
    for round in 0..5u32 {
        for (number, stream) in streams.iter().enumerate() {
            stream.send(body(format!("{round}/{number}").as_bytes())).unwrap();
        }
        for (number, stream) in streams.iter().enumerate() {
            let expected = body(format!("{round}/{number}").as_bytes());
            assert_eq!(stream.recv().unwrap(), Some(expected));
        }
    }
    assert_eq!((client.stream_stats().dialled, client.stream_stats().streams), (1, 1000));
    assert_eq!((server.in_flight(), server.connection_count()), (1000, 1));
    streams.iter().for_each(|stream| stream.close_send().unwrap());
    streams.iter().for_each(|stream| assert_eq!(stream.recv().unwrap(), None));
    drop(streams);
    assert_eq!(client.stream_stats().streams, 0);
    let stopped = server.stop(Duration::from_secs(10)).unwrap();
    assert_eq!((stopped.cut_off, server.in_flight()), (0, 0));
}

#[test]
fn a_saturated_connection_gets_a_second_beside_it() {
    let server = serve_inline(echo_by_callback);
    let mut options = client_options(&server, Transport::TtheaderFramed);
    options.streams.connection.streams.streams = 10;
    let client = Client::new(options).unwrap();
    let streams: Vec<_> = (0..35).map(|_| open(&client)).collect();
    for stream in &streams {
        stream.send(body(b"x")).unwrap();
        assert_eq!(stream.recv().unwrap(), Some(body(b"x")));
    }
    assert_eq!(client.stream_stats().open, 4);
}

#[test]
fn calls_and_streams_share_a_port() {
    let mut service = service(StreamMode::Bidirectional, echo_back);
    let handler = |mut request: krpc::rpc::server::Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Call", Default::default(), Arc::new(handler)).unwrap();
    assert!(
        service.add_method("Echo", Default::default(), Arc::new(handler)).is_err(),
        "a name is taken once"
    );
    let server = start("127.0.0.1:0", vec![service]);
    let client = connect(&server, 1);
    let stream = open(&client);
    for transport in TRANSPORTS {
        let reply = crate::support::client(&server, transport).call(
            &Method::parse("Stream/Call").unwrap(),
            &body(b"call"),
            &Default::default(),
        );
        assert_eq!(reply.message(), Some(&body(b"call")));
        stream.send(body(b"stream")).unwrap();
        assert_eq!(stream.recv().unwrap(), Some(body(b"stream")));
    }
}

#[test]
fn unknown_services_and_methods_are_told() {
    let server = serve(StreamMode::Bidirectional, echo_back);
    let client = connect(&server, 1);
    let end = |method: &str| {
        let stream = client.open_stream(&Method::parse(method).unwrap(), &StreamOptions::default()).unwrap();
        stream.recv().unwrap_err()
    };
    assert_eq!(end("Stream/None").code(), Code::UnknownMethod);
    assert_eq!(end("Nobody/None").code(), Code::UnknownService);
    assert_eq!(end("None").code(), Code::UnknownService);
    // A single service that has the method takes it, whatever the caller calls it.
    let stream =
        client.open_stream(&Method::parse("Other/Echo").unwrap(), &StreamOptions::default()).unwrap();
    stream.close_send().unwrap();
    assert_eq!(stream.recv().unwrap(), None);
    assert_eq!(client.stream_stats().dialled, 1, "the connection lives on");
}

#[test]
fn nobody_listens() {
    let mut options = krpc::rpc::call::ClientOptions::new("test");
    options.addresses = vec![refused_address(), refused_address()];
    let client = Client::new(options).unwrap();
    let error = client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap_err();
    assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect), "{error}");
    client.close(false);
    let error = client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap_err();
    assert_eq!(error.code(), Code::Closed);
}
