//! How streams end: by errors, cancels, clocks, lost connections and stops, at either end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use krpc::base::{Biz, Code, Error, Message, Metainfo, MetainfoKind, Result, StreamReason};
use krpc::op::operation::{self, Cause, Finished};
use krpc::rpc::call::{Client, ClientOptions, Method, Transport};
use krpc::rpc::server::{Server, Service};
use krpc::rpc::stream::{Finish, Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};
use krpc::rpc::{Address, Context, ContextOptions};

use crate::streams::*;
use crate::support::*;

fn number(error: &Error) -> i32 {
    error.stream_reason().expect("a stream's error").code
}

/// A server whose handler echoes once, waits for the end of its stream, and tells it.
fn waiting() -> (Server, Receiver<Error>) {
    let (told, ends) = channel();
    (serve(StreamMode::Bidirectional, wait_and_tell(told)), ends)
}

fn wait_and_tell(told: Sender<Error>) -> impl Fn(&Stream) -> Result<()> + Send + Sync + 'static {
    let told = Mutex::new(told);
    move |stream| {
        let first = stream.recv()?.unwrap();
        stream.send(first)?;
        let error = wait_for_end(stream);
        assert_eq!(stream.recv().unwrap_err(), error);
        assert_eq!(stream.send(body(b"late")).unwrap_err(), error);
        assert!(stream.context().cause().is_some());
        told.lock().unwrap().send(error.clone()).unwrap();
        Err(error)
    }
}

fn wait_for_end(stream: &Stream) -> Error {
    let (operation, completer) = operation::new(None);
    stream.start_trailer(completer);
    operation.wait(None);
    stream.end().unwrap().unwrap_err()
}

fn ping(stream: &Stream) {
    stream.send(body(b"ping")).unwrap();
    assert_eq!(stream.recv().unwrap(), Some(body(b"ping")));
}

#[test]
fn handlers_end_well_with_a_status_or_with_an_error() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        stream.set_header(&[("h".into(), "1".into())])?;
        stream.set_trailer(&[("t".into(), "2".into())])?;
        while let Some(message) = stream.recv()? {
            stream.send(message.clone())?;
            match &message {
                m if *m == body(b"biz") => {
                    return Err(Error::biz(Biz { code: 7, message: "no".into(), extra: Vec::new() }));
                }
                m if *m == body(b"fail") => return Err(Error::new(Code::Internal, "boom")),
                m if *m == body(b"own") => {
                    return stream.finish(Finish::Exception { type_id: 1234, text: "mine".into() });
                }
                m if *m == body(b"panic") => panic!("on purpose"),
                m if *m == body(b"return") => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    });
    let client = connect(&server, 1);
    let end = |word: &[u8]| {
        let stream = open(&client);
        stream.send(body(word)).unwrap();
        // What was sent before is received first, whatever follows.
        assert_eq!(stream.recv().unwrap(), Some(body(word)));
        let end = stream.recv();
        assert_eq!(stream.recv(), end);
        assert_eq!(stream.header().unwrap(), [("h".into(), "1".into())]);
        let trailer = stream.trailer().unwrap();
        assert!(trailer.contains(&("t".into(), "2".into())), "{trailer:?}");
        end.map(|_| ())
    };
    assert_eq!(end(b"return"), Ok(()));
    assert_eq!(end(b"biz").unwrap_err().biz_status().unwrap().code, 7);
    let remote = |error: Error| error.remote_exception().map(|remote| (remote.type_id, remote.text.clone()));
    assert_eq!(remote(end(b"fail").unwrap_err()), Some((6, "biz error: boom".into())));
    assert_eq!(remote(end(b"own").unwrap_err()), Some((1234, "mine".into())));
    let (type_id, text) = remote(end(b"panic").unwrap_err()).unwrap();
    let begins = b"panic: [happened in biz handler, method=Stream.Echo,";
    assert!(type_id == 6 && text.starts_with(begins), "{text:?}");
    assert_eq!(client.stream_stats().dialled, 1);
}

#[test]
fn a_handler_that_drops_its_stream_has_failed() {
    let server = serve_inline(drop);
    let error = open(&connect(&server, 1)).recv().unwrap_err();
    assert_eq!(error.code(), Code::RemoteException, "{error}");
}

#[test]
fn headers_and_trailers_have_their_time() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        stream.send_header(&[("a".into(), "1".into())])?;
        let late = stream.set_header(&[("b".into(), "2".into())]).unwrap_err();
        assert_eq!(late.code(), Code::InvalidState);
        assert_eq!(stream.header().unwrap()[0].0, "isn");
        let reserved = stream.set_trailer(&[("biz-status".into(), "2".into())]).unwrap_err();
        assert_eq!(reserved.code(), Code::InvalidArgument);
        let long = stream.set_trailer(&[("k".into(), vec![b'x'; 65536].into())]).unwrap_err();
        assert_eq!(long.code(), Code::InvalidArgument);
        stream.recv().map(|_| ())
    });
    let stream = open(&connect(&server, 1));
    assert_eq!(stream.header().unwrap(), [("a".into(), "1".into())], "before any message");
    assert_eq!(stream.set_header(&[]).unwrap_err().code(), Code::InvalidState);
    assert_eq!(stream.finish(Finish::Ok).unwrap_err().code(), Code::InvalidState);
    stream.close_send().unwrap();
    assert_eq!(stream.trailer().unwrap(), []);
    assert_eq!(stream.recv().unwrap(), None);
}

#[test]
fn a_cancel_reaches_the_handler_with_its_reason() {
    let (server, ends) = waiting();
    for multiplexed in [0, 1] {
        let client = connect(&server, multiplexed);
        let stream = open(&client);
        ping(&stream);
        let receiver = stream.clone();
        let receiving = std::thread::spawn(move || receiver.recv());
        stream.cancel("enough");
        let error = receiving.join().unwrap().unwrap_err();
        assert_eq!((error.code(), number(&error)), (Code::Cancelled, StreamReason::CANCEL));
        let seen = ends.recv().unwrap();
        assert_eq!((seen.code(), number(&seen)), (Code::Cancelled, StreamReason::CANCEL));
        assert!(seen.to_string().contains("enough"), "{seen}");
        let error = stream.send(body(b"late")).unwrap_err();
        assert_eq!(number(&error), StreamReason::CANCEL);
    }
}

#[test]
fn dropping_a_stream_cancels_it() {
    let (server, ends) = waiting();
    let stream = open(&connect(&server, 1));
    ping(&stream);
    drop(stream);
    assert_eq!(number(&ends.recv().unwrap()), StreamReason::CANCEL);
}

#[test]
fn deadlines_and_parents_end_streams() {
    let (server, ends) = waiting();
    let client = connect(&server, 1);
    let timeout = Some(Duration::from_millis(100));
    let stream =
        client.open_stream(&echo_stream(), &StreamOptions { timeout, ..Default::default() }).unwrap();
    ping(&stream);
    assert_eq!(number(&stream.recv().unwrap_err()), StreamReason::STREAM_TIMEOUT);
    assert_eq!(number(&ends.recv().unwrap()), StreamReason::STREAM_TIMEOUT);

    let parent = Context::new(None, ContextOptions::default());
    let options = StreamOptions { parent: Some(&parent), ..Default::default() };
    let stream = client.open_stream(&echo_stream(), &options).unwrap();
    ping(&stream);
    parent.cancel(Cause::ByHost);
    assert_eq!(number(&stream.recv().unwrap_err()), StreamReason::CANCEL);
    assert_eq!(number(&ends.recv().unwrap()), StreamReason::CANCEL);
    let error = client.open_stream(&echo_stream(), &options).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "nothing is opened for work that has ended");
}

/// Opens a stream to another server in the frame of its own, and waits for the end of both.
fn middle(next: Arc<Client>, told: Sender<Error>) -> impl Fn(&Stream) -> Result<()> + Send + Sync {
    let told = Mutex::new(told);
    move |stream| {
        let options = StreamOptions { parent: Some(stream.context()), ..Default::default() };
        let below = next.open_stream(&echo_stream(), &options)?;
        let first = stream.recv()?.unwrap();
        below.send(first)?;
        stream.send(below.recv()?.unwrap())?;
        let error = below.recv().unwrap_err();
        told.lock().unwrap().send(error).unwrap();
        Ok(())
    }
}

fn named(server: &Server, name: &str) -> Arc<Client> {
    let mut options = client_options(server, Transport::TtheaderFramed);
    options.caller = name.to_owned();
    Client::new(options).unwrap()
}

#[test]
fn a_cancel_travels_down_a_chain_with_its_path() {
    let (last, ends) = waiting();
    let (told, between) = channel();
    let first = serve(StreamMode::Bidirectional, middle(named(&last, "B"), told));
    let client = named(&first, "A");
    let stream = open(&client);
    ping(&stream);
    stream.cancel("from the head");
    let seen = ends.recv().unwrap();
    let reason = seen.stream_reason().unwrap();
    assert_eq!(
        (reason.code, &reason.path[..], &reason.text[..]),
        (12_007, &b"A,B"[..], &b"from the head"[..])
    );
    let reason = between.recv().unwrap().stream_reason().unwrap().clone();
    assert_eq!((reason.code, &reason.path[..]), (12_007, &b"A"[..]));
}

/// As handlers should: the stream below is in a frame of its own, with a time limit or something to cancel.
#[test]
fn a_cancel_keeps_its_path_through_derived_contexts() {
    let (last, ends) = waiting();
    let next = named(&last, "B");
    for timeout in [None, Some(Duration::from_secs(600))] {
        let next = Arc::clone(&next);
        let first = serve(StreamMode::Bidirectional, move |stream| {
            let options = ContextOptions { timeout, ..ContextOptions::default() };
            let derived = Context::new(Some(stream.context()), options);
            let twice = Context::new(Some(&derived), ContextOptions::default());
            let options = StreamOptions { parent: Some(&twice), ..Default::default() };
            let below = next.open_stream(&echo_stream(), &options)?;
            below.send(stream.recv()?.unwrap())?;
            stream.send(below.recv()?.unwrap())?;
            below.recv().map(|_| ())
        });
        let stream = open(&named(&first, "A"));
        ping(&stream);
        stream.cancel("from the head");
        let reason = ends.recv().unwrap().stream_reason().unwrap().clone();
        assert_eq!((reason.code, &reason.path[..]), (12_007, &b"A,B"[..]), "{timeout:?}");
        assert_eq!(reason.text, "from the head");
    }
}

#[test]
fn persistent_pairs_go_all_the_way_and_transient_ones_one_hop() {
    let seen = |stream: &Stream| {
        let all = stream.metainfo();
        let kinds = [MetainfoKind::Persistent, MetainfoKind::Transient, MetainfoKind::Upstream];
        let has = |kind| all.get(kind, b"k").is_some();
        body(format!("{:?}", kinds.map(has)).as_bytes())
    };
    let last = serve(StreamMode::Bidirectional, move |stream| stream.send(seen(stream)));
    let next = connect(&last, 1);
    let first = serve(StreamMode::Bidirectional, move |stream| {
        stream.send(seen(stream))?;
        let options = StreamOptions { parent: Some(stream.context()), ..Default::default() };
        stream.send(next.open_stream(&echo_stream(), &options)?.recv()?.unwrap())
    });
    let mut metainfo = Metainfo::new();
    metainfo.set(MetainfoKind::Persistent, "k", "p");
    metainfo.set(MetainfoKind::Transient, "k", "t");
    let options = StreamOptions { metainfo: Some(&metainfo), ..Default::default() };
    let stream = connect(&first, 1).open_stream(&echo_stream(), &options).unwrap();
    assert_eq!(texts(&stream), [body(b"[true, false, true]"), body(b"[true, false, false]")]);
}

#[test]
fn a_handler_that_returns_ends_what_it_opened() {
    let (last, ends) = waiting();
    let next = named(&last, "B");
    let kept = Mutex::new(Vec::new());
    let first = serve(StreamMode::Bidirectional, move |stream| {
        let options = StreamOptions { parent: Some(stream.context()), ..Default::default() };
        let below = next.open_stream(&echo_stream(), &options)?;
        ping(&below);
        kept.lock().unwrap().push(below);
        Ok(())
    });
    let stream = open(&named(&first, "A"));
    assert_eq!(stream.recv().unwrap(), None);
    assert_eq!(number(&ends.recv().unwrap()), StreamReason::HANDLER_RETURNED);
}

/// Carries bytes between a client and a server until it is cut.
struct Relay {
    address: Address,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn to(server: &Server) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let (sockets, target) = (Arc::new(Mutex::new(Vec::new())), server.addresses()[0].to_string());
        let all = Arc::clone(&sockets);
        std::thread::spawn(move || {
            let near = listener.accept().unwrap().0;
            let far = TcpStream::connect(target).unwrap();
            all.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
            let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || carry(near, far));
            carry(far2, near2);
        });
        Relay { address, sockets }
    }

    fn cut(&self) {
        self.sockets.lock().unwrap().iter().for_each(|socket| _ = socket.shutdown(Shutdown::Both));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

#[test]
fn a_lost_connection_never_looks_like_the_end() {
    let (server, ends) = waiting();
    let relay = Relay::to(&server);
    let mut options = ClientOptions::new("test");
    options.addresses = vec![relay.address.clone()];
    let client = Client::new(options).unwrap();
    let stream = open(&client);
    ping(&stream);
    let receiver = stream.clone();
    let receiving = std::thread::spawn(move || receiver.recv());
    relay.cut();
    let error = receiving.join().unwrap().unwrap_err();
    assert_eq!((error.code(), number(&error)), (Code::ConnectionLost, StreamReason::TRANSPORT), "{error}");
    assert_eq!(stream.recv().unwrap_err(), error);
    assert_eq!(stream.send(body(b"late")).unwrap_err(), error);
    assert!(stream.trailer().is_err());
    let seen = ends.recv().unwrap();
    assert_eq!(number(&seen), StreamReason::CONNECTION_CLOSED, "{seen}");
}

#[test]
fn what_arrived_before_the_loss_is_received() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        stream.send_many((0..1000u32).map(|number| body(&number.to_be_bytes())))?;
        stream.flush()?;
        stream.recv().map(|_| ())
    });
    let relay = Relay::to(&server);
    let mut options = ClientOptions::new("test");
    options.addresses = vec![relay.address.clone()];
    let client = Client::new(options).unwrap();
    let stream = open(&client);
    while stream.stats().messages_received < 1000 {
        std::thread::yield_now();
    }
    relay.cut();
    for number in 0..1000u32 {
        assert_eq!(stream.recv().unwrap(), Some(body(&number.to_be_bytes())));
    }
    assert_eq!(number(&stream.recv().unwrap_err()), StreamReason::TRANSPORT);
}

#[test]
fn a_stop_lets_handlers_say_a_last_word() {
    let server = serve(StreamMode::Bidirectional, |stream| {
        let first = stream.recv()?.unwrap();
        stream.send(first)?;
        while !stream.context().is_stopping() {
            std::thread::yield_now();
        }
        stream.send(body(b"goodbye"))
    });
    let client = connect(&server, 1);
    let stream = open(&client);
    ping(&stream);
    let stopping = std::thread::spawn(move || server.stop(Duration::from_secs(20)).unwrap());
    assert_eq!(stream.recv().unwrap(), Some(body(b"goodbye")));
    assert_eq!(stream.recv().unwrap(), None);
    let stopped = stopping.join().unwrap();
    assert_eq!((stopped.finished, stopped.cut_off), (1, 0));
    // The client may not have seen yet that the connection is gone.
    let again = client.open_stream(&echo_stream(), &StreamOptions::default());
    assert!(again.and_then(|stream| stream.recv()).is_err());
}

#[test]
fn what_outlives_the_stop_is_ended_with_an_error() {
    let (server, ends) = waiting();
    let stream = open(&connect(&server, 1));
    ping(&stream);
    let stopped = server.stop(Duration::from_millis(50)).unwrap();
    assert_eq!(stopped.cut_off, 1);
    let error = stream.recv().unwrap_err();
    assert!(error.text().contains("the server has stopped"), "{error}");
    assert_eq!(ends.recv().unwrap().code(), Code::Closed);
}

#[test]
fn closing_a_client_ends_its_streams_if_it_is_to() {
    let (server, ends) = waiting();
    let client = connect(&server, 1);
    let stream = open(&client);
    ping(&stream);
    client.close(false);
    assert_eq!(stream.end(), None, "it may go on");
    let error = client.open_stream(&echo_stream(), &StreamOptions::default()).unwrap_err();
    assert_eq!(error.code(), Code::Closed);
    client.close(true);
    assert_eq!(stream.recv().unwrap_err().code(), Code::Closed);
    assert_eq!(number(&ends.recv().unwrap()), StreamReason::CANCEL);
}

#[test]
fn a_cancelled_recv_leaves_its_message() {
    let server = serve_inline(echo_by_callback);
    let stream = open(&connect(&server, 1));
    for round in 0..100u32 {
        let (operation, completer) = operation::new(None);
        stream.start_recv(completer);
        stream.send(body(&round.to_be_bytes())).unwrap();
        operation.cancel(Cause::ByHost);
        operation.wait(None);
        let message = match operation.take().unwrap() {
            Ok(message) => message,
            Err(error) => {
                assert_eq!(error.code(), Code::Cancelled);
                stream.recv().unwrap()
            }
        };
        assert_eq!(message, Some(body(&round.to_be_bytes())));
    }
}

#[test]
fn one_recv_waits_at_a_time() {
    let server = serve_inline(echo_by_callback);
    let stream = open(&connect(&server, 1));
    let (operation, completer) = operation::new(None);
    stream.start_recv(completer);
    assert_eq!(stream.recv().unwrap_err().code(), Code::InvalidState);
    stream.send(body(b"x")).unwrap();
    operation.wait(None);
    assert_eq!(operation.take().unwrap().unwrap(), Some(body(b"x")));
}

#[test]
fn blocking_in_an_inline_handler_is_refused() {
    let server = serve_inline(|stream| {
        let errors = [stream.recv().map(|_| ()), stream.send(Message::empty_struct()), stream.flush()];
        let text = errors.map(|result| format!("{:?}", result.unwrap_err().code())).join(" ");
        stream.finish(Finish::Exception { type_id: 6, text: text.into() }).unwrap();
    });
    let error = open(&connect(&server, 1)).recv().unwrap_err();
    assert_eq!(error.text(), "WouldDeadlock WouldDeadlock WouldDeadlock");
}

#[test]
fn completions_come_by_callback() {
    let server = serve_inline(echo_by_callback);
    let client = connect(&server, 1);
    let (tell, told) = channel();
    let opened = move |finished: Finished<Result<Stream>>| tell.send(finished.take().unwrap()).unwrap();
    let (operation, completer) = operation::new(Some(Box::new(opened)));
    operation.forget_handle();
    client.start_open_stream(&echo_stream(), &StreamOptions::default(), completer);
    let stream = told.recv().unwrap().unwrap();
    ping(&stream);
}

#[test]
fn several_services_share_method_names() {
    let named = |name: &'static str| {
        let mut service = Service::new(name).unwrap();
        let handler = move |stream: &Stream| stream.send(body(name.as_bytes()));
        let options = StreamMethodOptions::default();
        service.add_stream("Name", StreamMode::Bidirectional, options, Arc::new(Returning(handler))).unwrap();
        service
    };
    let (a, mut b) = (named("A"), named("B"));
    b.set_fallback();
    let server = start("127.0.0.1:0", vec![a, b]);
    let client = connect(&server, 1);
    for (method, name) in [("A/Name", "A"), ("B/Name", "B"), ("Name", "B")] {
        let stream = client.open_stream(&Method::parse(method).unwrap(), &StreamOptions::default()).unwrap();
        assert_eq!(texts(&stream), [body(name.as_bytes())], "{method}");
    }
}
