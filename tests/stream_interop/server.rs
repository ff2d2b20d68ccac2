//! Our server of the service `Streams`: it does what the handler of the Kitex peer does.

use std::sync::{Arc, Mutex};

use krpc::base::{Biz, Code, Error, MetainfoKind, Result};
use krpc::op::operation;
use krpc::rpc::call::{Client, Method};
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{Returning, Stream, StreamHandler, StreamMethodOptions, StreamMode, StreamOptions};
use krpc::rpc::{Runtime, RuntimeOptions};

use crate::item::Item;

/// How the last stream ended that was told to wait.
type Last = Arc<Mutex<String>>;

/// What handlers share.
#[derive(Clone, Default)]
struct Shared {
    last: Last,
    /// Where `relay` opens its streams.
    next: Option<Arc<Client>>,
}

pub fn start() -> Server {
    start_with(None)
}

pub fn start_with(next: Option<Arc<Client>>) -> Server {
    start_of(ServerOptions { services: vec![service(next)], ..ServerOptions::default() })
}

/// A server with no service, whose catch-all does what `Bidi` does for any method of any name.
pub fn start_catch_all() -> Server {
    let shared = Shared::default();
    let handler: Arc<dyn StreamHandler> = Arc::new(Returning(move |stream: &Stream| bidi(stream, &shared)));
    let catch_all = Some((handler, StreamMethodOptions::default()));
    start_of(ServerOptions { stream_catch_all: catch_all, ..ServerOptions::default() })
}

pub fn service(next: Option<Arc<Client>>) -> Service {
    let shared = Shared { next, ..Shared::default() };
    let last = Arc::clone(&shared.last);
    let mut service = Service::new("Streams").unwrap();
    let mut add = |name, mode, handler: Arc<dyn StreamHandler>| {
        service.add_stream(name, mode, StreamMethodOptions::default(), handler).unwrap();
    };
    add("Bidi", StreamMode::Bidirectional, Arc::new(Returning(move |stream: &Stream| bidi(stream, &shared))));
    add("Upload", StreamMode::Client, Arc::new(Returning(upload)));
    add("Watch", StreamMode::Server, Arc::new(Returning(move |stream: &Stream| watch(stream, &last))));
    service
}

/// On a port of its own.
pub fn start_of(options: ServerOptions) -> Server {
    // A thread for each of a thousand handlers that block.
    let runtime =
        Runtime::start(&RuntimeOptions { worker_threads: 1100, ..RuntimeOptions::default() }).unwrap();
    Server::start(ServerOptions {
        addresses: vec![krpc::rpc::Address::parse("127.0.0.1:0").unwrap()],
        runtime: Some(runtime),
        ..options
    })
    .unwrap()
}

fn bidi(stream: &Stream, shared: &Shared) -> Result<()> {
    while let Some(message) = stream.recv()? {
        let mut item = Item::read(&message);
        let (word, rest) = item.text.split_once(' ').unwrap_or((&item.text, ""));
        match word {
            "biz" => {
                let extra = vec![("k".into(), "v".into())];
                return Err(Error::biz(Biz { code: 404, message: "not found".into(), extra }));
            }
            "fail" => return Err(Error::new(Code::Internal, "boom")),
            "panic" => panic!("oh no"),
            "return" => return Ok(()),
            "wait" => {
                stream.send(message)?;
                return wait(stream, &shared.last);
            }
            "stop" => {
                stream.send(message)?;
                return say_goodbye(stream);
            }
            "relay" => return relay(stream, shared, rest),
            "silent" => continue,
            "meta" => {
                let metainfo = stream.metainfo();
                let kinds = [MetainfoKind::Persistent, MetainfoKind::Upstream];
                let values =
                    kinds.map(|kind| metainfo.get(kind, rest.as_bytes()).cloned().unwrap_or_default());
                item.text = values.map(|value| String::from_utf8(value.to_vec()).unwrap()).join(",");
            }
            "header" => {
                stream.set_header(&[("set".into(), "1".into())])?;
                stream.send_header(&[("sent".into(), "2".into())])?;
                stream.set_trailer(&[("end".into(), "3".into())])?;
            }
            _ => {}
        }
        stream.send(item.message())?;
    }
    Ok(())
}

fn wait(stream: &Stream, last: &Last) -> Result<()> {
    let (operation, completer) = operation::new(None);
    stream.start_trailer(completer);
    operation.wait(None);
    let reason = stream.context().reason().expect("a reason");
    *last.lock().unwrap() = reason.to_string();
    Err(reason)
}

fn say_goodbye(stream: &Stream) -> Result<()> {
    while !stream.context().is_stopping() {
        std::thread::yield_now();
    }
    stream.send(Item::text("goodbye").message())
}

/// Opens a stream to the next server in the frame of its own, and waits for its end.
fn relay(stream: &Stream, shared: &Shared, word: &str) -> Result<()> {
    let next = shared.next.as_ref().expect("a next server");
    let options = StreamOptions { parent: Some(stream.context()), ..StreamOptions::default() };
    let below = next.open_stream(&Method::parse("Streams/Bidi").unwrap(), &options)?;
    below.send(Item::text(word).message())?;
    stream.send(below.recv()?.expect("an answer"))?;
    let error = below.recv().expect_err("an end");
    *shared.last.lock().unwrap() = error.to_string();
    Err(error)
}

fn upload(stream: &Stream) -> Result<()> {
    let mut sum = Item::default();
    while let Some(message) = stream.recv()? {
        let item = Item::read(&message);
        sum.n += item.n;
        if item.text == "enough" {
            break;
        }
        sum.data.extend(item.data);
    }
    stream.send(sum.message())
}

fn watch(stream: &Stream, last: &Last) -> Result<()> {
    let request = Item::read(stream.request().expect("the request"));
    if request.text == "last" {
        let text = std::mem::take(&mut *last.lock().unwrap());
        return stream.send(Item::text(&text).message());
    }
    (0..request.n).try_for_each(|n| stream.send(Item::numbered(n, request.data.clone()).message()))
}
