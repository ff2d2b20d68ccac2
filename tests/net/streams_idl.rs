//! Streams of an IDL: methods and handlers know their messages' shapes, and JSON goes both ways.

use std::sync::Arc;

use krpc::base::Code;
use krpc::codec::json::JsonOptions;
use krpc::idl::{MemoryProvider, Options, Schema, compile};
use krpc::rpc::call::{CallOptions, Client, Method, Transport};
use krpc::rpc::server::{Server, Service};
use krpc::rpc::stream::{Returning, Stream, StreamHandler, StreamMethodOptions, StreamMode, StreamOptions};

use crate::support::*;

const IDL: &str = "
    struct Part { 1: required string text, 2: optional i64 at }
    struct Sum { 1: i32 count, 2: string texts }
    service Chat {
        Part Say(1: Part part)
        Sum Talk(1: Part part) (streaming.mode = 'bidirectional')
        Sum Watch(1: Part part) (streaming.mode = 'server')
        Sum Upload(1: Part part) (streaming.mode = 'client')
    }";

fn schema() -> Arc<Schema> {
    let files = MemoryProvider::new().file("chat.thrift", IDL);
    compile("chat.thrift", &files, &Options::default()).into_schema().unwrap()
}

fn json(stream: &Stream, message: &krpc::base::Message) -> String {
    let json = stream.shape_to_recv().unwrap().to_json(message, &JsonOptions::default()).unwrap();
    String::from_utf8(json).unwrap()
}

fn send(stream: &Stream, json: &str) {
    let shape = stream.shape_to_send().unwrap();
    stream.send(shape.from_json(json.as_bytes(), &JsonOptions::strict()).unwrap()).unwrap();
}

/// One handler for every mode; it knows which by the shape of its stream.
fn serve_all(schema: &Arc<Schema>) -> Server {
    let handler = |stream: &Stream| {
        let mode = StreamMode::of(stream.shape().unwrap().method().streaming).unwrap();
        if let (StreamMode::Server, Some(request)) = (mode, stream.request()) {
            let texts = json(stream, request).replace('"', "'");
            (0..3).for_each(|count| send(stream, &format!(r#"{{"count":{count},"texts":"{texts}"}}"#)));
        }
        let mut count = 0;
        while let (true, Some(message)) = (mode != StreamMode::Server, stream.recv()?) {
            count += 1;
            if mode == StreamMode::Bidirectional {
                let texts = json(stream, &message).replace('"', "'");
                send(stream, &format!(r#"{{"count":{count},"texts":"{texts}"}}"#));
            }
        }
        if mode == StreamMode::Client {
            send(stream, &format!(r#"{{"count":{count},"texts":""}}"#));
        }
        Ok(())
    };
    let mut service = Service::from_schema(schema, "").unwrap();
    let handler: Arc<dyn StreamHandler> = Arc::new(Returning(handler));
    service.add_other_streams(StreamMethodOptions::default(), &handler).unwrap();
    start("127.0.0.1:0", vec![service])
}

fn exchange(client: &Arc<Client>, method: &Method, requests: &[&str]) -> Vec<String> {
    let stream = client.open_stream(method, &StreamOptions::default()).unwrap();
    requests.iter().for_each(|request| send(&stream, request));
    stream.close_send().unwrap();
    let mut answers = Vec::new();
    while let Some(message) = stream.recv().unwrap() {
        answers.push(json(&stream, &message));
    }
    answers
}

#[test]
fn json_goes_both_ways_in_every_mode() {
    let schema = schema();
    let server = serve_all(&schema);
    let client = Client::new(client_options(&server, Transport::TtheaderFramed)).unwrap();
    let method = |path: &str| Method::stream_from_schema(&schema, path).unwrap().0;
    let requests = [r#"{"text":"a","at":9223372036854775807}"#, r#"{"text":"b"}"#];
    assert_eq!(
        exchange(&client, &method("Talk"), &requests),
        [
            r#"{"count":1,"texts":"{'text':'a','at':9223372036854775807}"}"#,
            r#"{"count":2,"texts":"{'text':'b'}"}"#
        ]
    );
    assert_eq!(exchange(&client, &method("Upload"), &requests), [r#"{"count":2,"texts":""}"#]);
    assert_eq!(
        exchange(&client, &method("Watch"), &requests[1..]),
        [0, 1, 2].map(|n| format!(r#"{{"count":{n},"texts":"{{'text':'b'}}"}}"#))
    );
}

#[test]
fn calls_and_streams_are_told_apart_before_anything_is_sent() {
    let schema = schema();
    let server = serve_all(&schema);
    let (talk, _) = Method::stream_from_schema(&schema, "Talk").unwrap();
    for multiplexed in [0, 1] {
        let mut options = client_options(&server, Transport::TtheaderFramed);
        options.pool.multiplexed = multiplexed;
        let client = Client::new(options).unwrap();
        let reply = client.call(&talk, &body(b""), &CallOptions::default());
        let error = reply.error().unwrap();
        assert_eq!((error.code(), client.stats().dialled), (Code::Unsupported, 0), "{error}");
        assert!(error.text().contains("Talk is a streaming method (bidirectional)"), "{error}");
        let say = Method::from_schema(&schema, "Say").unwrap();
        let error = client.open_stream(&say, &StreamOptions::default()).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported, "{error}");
    }
}

#[test]
fn a_service_takes_streams_as_its_idl_has_them() {
    let schema = schema();
    let mut service = Service::from_schema(&schema, "Chat").unwrap();
    let handler: Arc<dyn StreamHandler> = Arc::new(Returning(|_: &Stream| Ok(())));
    let mut add = |name, mode| {
        let added = service.add_stream(name, mode, StreamMethodOptions::default(), Arc::clone(&handler));
        added.map_err(|error| error.text().to_owned())
    };
    assert!(add("Talk", StreamMode::Client).unwrap_err().contains("does not stream so"));
    assert!(add("Say", StreamMode::Server).unwrap_err().contains("does not stream so"));
    assert!(add("Tlak", StreamMode::Server).unwrap_err().contains("did you mean Talk?"));
    add("Talk", StreamMode::Bidirectional).unwrap();
    assert!(add("Talk", StreamMode::Bidirectional).unwrap_err().contains("already"));
    service.add_other_streams(StreamMethodOptions::default(), &handler).unwrap();
    assert!(service.add_other_streams(StreamMethodOptions::default(), &handler).is_ok());
    let mut plain = Service::new("Plain").unwrap();
    let error = plain.add_other_streams(StreamMethodOptions::default(), &handler).unwrap_err();
    assert_eq!(error.code(), Code::InvalidState);
}
