//! A Rust host shares its panic hook with the library, which must only keep quiet about its own panics.

use std::panic::{catch_unwind, set_hook};
use std::sync::{Arc, Mutex};

use krpc::base::Message;
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method};
use krpc::rpc::server::{MethodOptions, Server, ServerOptions, Service};

/// What the host's hook was told, by the first word of the panic.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn the_host_hears_of_its_own_panics_and_of_no_others() {
    set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("?").to_owned();
        TOLD.lock().unwrap().push(text);
    }));
    let mut service = Service::new("Host").unwrap();
    service.add_method("Die", MethodOptions::default(), Arc::new(|_| panic!("handler"))).unwrap();
    let mut options = ServerOptions::default();
    options.addresses.push(Address::parse("127.0.0.1:0").unwrap());
    options.services.push(service);
    let server = Server::start(options).unwrap();
    let mut options = ClientOptions::new("host");
    options.addresses.push(server.addresses()[0].clone());
    let client = Client::new(options).unwrap();

    let reply =
        client.call(&Method::parse("Host/Die").unwrap(), &Message::empty_struct(), &CallOptions::default());
    assert!(reply.error().unwrap().text().starts_with("panic: "), "{:?}", reply.error());
    catch_unwind(|| panic!("host")).unwrap_err();
    assert_eq!(*TOLD.lock().unwrap(), ["host"]);
}
