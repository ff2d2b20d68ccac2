//! A proxy between two peers that puts a META frame before the first message of each stream, both ways.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

/// F15 of ttstream.md §13: the real peer, `rip` = `10.0.0.1:8888`, of stream 1.
const META: &[u8; 58] = b"\0\0\0\x36\x10\0\0\x02\0\0\0\x01\0\x0b\x10\0\x01\0\x01\0\x03rip\0\x0d10.0.0.1:8888\
    \x10\0\x02\0\x09\0\x04Bidi\0\x1b\0\x011\0\0\0";

/// Starts one in front of a server; its address. It lives as long as this process.
pub fn start(server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, server) = (listener.local_addr().unwrap().to_string(), server.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).unwrap();
            let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || forward(client, to_server));
            std::thread::spawn(move || forward(server, to_client));
        }
    });
    address
}

/// Frame by frame, until one of them has no more.
fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut seen = HashSet::new();
    let mut frame = vec![0; 4];
    while from.read_exact(&mut frame[..4]).is_ok() {
        let rest = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        frame.resize(4 + rest, 0);
        if from.read_exact(&mut frame[4..]).is_err() {
            break;
        }
        let is_message = frame.windows(5).any(|part| part == [0, 27, 0, 1, b'3']);
        if is_message && seen.insert(frame[8..12].to_vec()) {
            let mut meta = META.to_vec();
            meta[8..12].copy_from_slice(&frame[8..12]);
            frame.splice(0..0, meta);
        }
        if to.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
