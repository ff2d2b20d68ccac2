//! Servers, clients and messages that the tests share.

use std::net::TcpListener;
use std::sync::Arc;

use krpc::base::lock::{Condvar, Mutex};
use krpc::base::{Biz, Encoding, Message};
use krpc::rpc::Address;
use krpc::rpc::call::{Client, ClientOptions, Method, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};

pub const TRANSPORTS: [Transport; 4] =
    [Transport::Buffered, Transport::Framed, Transport::Ttheader, Transport::TtheaderFramed];

/// A struct with one binary field.
pub fn body(text: &[u8]) -> Message {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let bytes = [&[11, 0, 1], &length[..], text, &[0]].concat();
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

pub fn echo() -> Method {
    Method::parse("Echo/Echo").unwrap()
}

/// Answers with the arguments as they came.
pub fn echo_server(address: &str, inline: bool) -> Server {
    start(address, vec![echo_service(inline)])
}

pub fn echo_service(inline: bool) -> Service {
    let mut service = Service::new("Echo").unwrap();
    let handler = |mut request: Request| {
        let message = request.message().clone();
        request.reply(message).unwrap();
    };
    service.add_method("Echo", MethodOptions { inline, oneway: false }, Arc::new(handler)).unwrap();
    service
}

pub fn failing_service() -> Service {
    let mut service = Service::new("Fail").unwrap();
    let mut add = |name: &str, handler: fn(Request)| {
        service.add_method(name, MethodOptions::default(), Arc::new(handler)).unwrap();
    };
    add("Biz", |mut request| {
        let status = Biz { code: 404, message: "not found".into(), extra: vec![("k".into(), "v".into())] };
        request.fail_biz(status).unwrap();
    });
    add("Throw", |mut request| request.throw(3, body(b"thrown")).unwrap());
    add("Fail", |mut request| request.fail(6, b"went wrong").unwrap());
    add("Panic", |_| panic!("on purpose"));
    add("Drop", drop);
    service
}

pub fn start(address: &str, services: Vec<Service>) -> Server {
    start_with(ServerOptions::default(), address, services)
}

pub fn start_with(mut options: ServerOptions, address: &str, services: Vec<Service>) -> Server {
    options.addresses.push(Address::parse(address).unwrap());
    options.services.extend(services);
    Server::start(options).unwrap()
}

pub fn client_options(server: &Server, transport: Transport) -> ClientOptions {
    let mut options = ClientOptions::new("test");
    options.addresses.push(server.addresses()[0].clone());
    options.transport = transport;
    options.timeout = Some(std::time::Duration::from_secs(30));
    options
}

pub fn client(server: &Server, transport: Transport) -> Arc<Client> {
    Client::new(client_options(server, transport)).unwrap()
}

/// A port that nobody listens on.
pub fn refused_address() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Address::Ip(listener.local_addr().unwrap())
}

/// A listener that has as many connections as it can hold: more get no answer.
pub fn full() -> (socket2::Socket, Vec<socket2::Socket>, Address) {
    let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = new();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..4).map(|_| {
        let socket = new();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting, Address::Ip(address.as_socket().unwrap()))
}

pub fn unix_path(name: &str) -> String {
    format!("unix:{}/krpc-{}-{name}", std::env::temp_dir().display(), std::process::id())
}

/// Holds handlers back until the test lets them go.
#[derive(Default)]
pub struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    pub fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        *self.state.lock() = (0, false);
    }

    pub fn wait_for_entry(&self) {
        self.wait_for_entries(1);
    }

    pub fn wait_for_entries(&self, count: usize) {
        let mut state = self.state.lock();
        while state.0 < count {
            state = self.changed.wait(state);
        }
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.0 += 1;
        self.changed.notify_all();
        while !state.1 {
            state = self.changed.wait(state);
        }
    }
}

/// `Gate/Wait` echoes once the gate is open.
pub fn gated_service(gate: &Arc<Gate>) -> Service {
    let mut service = Service::new("Gate").unwrap();
    let gate = Arc::clone(gate);
    let handler = move |mut request: Request| {
        gate.pass();
        let message = request.message().clone();
        // The caller may have gone: that is what some tests are about.
        let _ = request.reply(message);
    };
    service.add_method("Wait", MethodOptions::default(), Arc::new(handler)).unwrap();
    service
}
