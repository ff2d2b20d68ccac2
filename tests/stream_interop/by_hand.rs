//! Openings that no client of ours or of Kitex's would send, and what each server makes of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use krpc::rpc::server::{MethodOptions, Request, ServerOptions, Service};

use crate::{peer, server};

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// The HEADER of a stream.
fn opening(id: u32, service: &str, method: &str) -> Vec<u8> {
    let strings = [&[1, 0, 1][..], &text("isn"), &text(service)].concat();
    let ints = [&[16, 0, 2, 0, 9][..], &text(method), &[0, 27], &text("2")].concat();
    let mut info = [&[16, 0][..], &strings, &ints].concat();
    info.resize(info.len().next_multiple_of(4), 0);
    let words = u16::try_from(info.len() / 4).unwrap().to_be_bytes();
    let rest = [&[16, 0, 0, 2][..], &id.to_be_bytes(), &words, &info].concat();
    [&u32::try_from(rest.len()).unwrap().to_be_bytes()[..], &rest].concat()
}

/// The next frame's stream, its type, and all of it.
fn frame(socket: &mut TcpStream) -> (u32, u8, Vec<u8>) {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame).unwrap();
    let at = frame.windows(4).position(|part| part == [0, 27, 0, 1]).expect("a type");
    (u32::from_be_bytes(frame[4..8].try_into().unwrap()), frame[at + 4], frame)
}

/// HEADER and TRAILER of a stream; the exception's type, and whether its text has a part.
fn refusal(socket: &mut TcpStream, id: u32, part: &str) -> (i32, bool) {
    let (header, trailer) = (frame(socket), frame(socket));
    assert_eq!((header.0, header.1, trailer.0, trailer.1), (id, b'2', id, b'4'));
    let bytes = trailer.2;
    let has = bytes.windows(part.len()).any(|window| window == part.as_bytes());
    // The last field: 2, i32; then the end.
    let (field, number) = bytes[bytes.len() - 8..bytes.len() - 1].split_at(3);
    assert_eq!(field, [8, 0, 2]);
    (i32::from_be_bytes(number.try_into().unwrap()), has)
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

/// A method of calls ends its stream with type 6, at Kitex as in a panic. Of a method that is not there Kitex says
/// nothing, and goes on (§12 row 2); we say type 1.
#[test]
fn kitex_answers_a_method_of_calls_as_we_do() {
    let Some(peer) = peer::build() else { return };
    let mut kitex = peer::Process::start(&peer, &["server"]);
    let address = kitex.heard("LISTENING ").expect("the peer listens");
    let mut socket = connect(&address);
    socket.write_all(&opening(1, "Interop", "Nowhere")).unwrap();
    socket.write_all(&opening(2, "Interop", "Add")).unwrap();
    assert_eq!(refusal(&mut socket, 2, "panic: [happened in biz handler"), (6, true));
    socket.write_all(&opening(3, "Interop", "Add")).unwrap();
    assert_eq!(refusal(&mut socket, 3, "panic: [happened in biz handler"), (6, true));

    let mut service = Service::new("Interop").unwrap();
    service.add_method("Add", MethodOptions::default(), Arc::new(|_: Request| {})).unwrap();
    let ours = server::start_of(ServerOptions { services: vec![service], ..ServerOptions::default() });
    let mut socket = connect(&ours.addresses()[0].to_string());
    socket.write_all(&opening(1, "Interop", "Nowhere")).unwrap();
    assert_eq!(refusal(&mut socket, 1, "unknown method Nowhere"), (1, true));
    socket.write_all(&opening(2, "Interop", "Add")).unwrap();
    assert_eq!(refusal(&mut socket, 2, "not a streaming method: Add"), (6, true));
    socket.write_all(&opening(3, "Nobody", "None")).unwrap();
    assert_eq!(refusal(&mut socket, 3, "unknown service Nobody"), (20, true));
}
