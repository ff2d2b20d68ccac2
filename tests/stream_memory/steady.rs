//! What a message costs in allocations, besides the memory that it lies in itself.

use std::sync::Arc;

use krpc::base::{Message, Result};
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};

use crate::{allocations, raw};

const MESSAGES: usize = 20_000;
const WARM_UP: usize = 2_000;

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

#[test]
fn probe() {
    let _alone = allocations::alone();
    for size in [64, 1024] {
        let message: Message = raw::body(&vec![b'x'; size]);
        let server = serve(echo);
        let (_client, stream) = open(&server);
        let one = each(|count| {
            for _ in 0..count {
                stream.send(message.clone()).unwrap();
                stream.recv().unwrap().unwrap();
            }
        });
        println!("ping-pong {size}: {one}");
        stream.close_send().unwrap();
        let server = serve(|stream| {
            while stream.recv()?.is_some() {}
            Ok(())
        });
        let (_client, stream) = open(&server);
        let one = each(|count| {
            for _ in 0..count {
                stream.send(message.clone()).unwrap();
            }
        });
        println!("upload {size}: {one}");
        stream.close_send().unwrap();
        let copy = message.clone();
        let server = serve(move |stream| {
            loop {
                stream.send(copy.clone())?
            }
        });
        let (_client, stream) = open(&server);
        let one = each(|count| {
            for _ in 0..count {
                stream.recv().unwrap().unwrap();
            }
        });
        println!("download {size}: {one}");
        let one = each(|count| {
            let mut n = 0;
            while n < count {
                n += stream.recv_many(64).unwrap().len();
            }
        });
        println!("download many {size}: {one}");
    }
}
