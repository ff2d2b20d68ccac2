//! Whole messages: decoding never holds much more than it was given, does not depend on how the
//! bytes were cut, and what was decoded can be sent again. The first byte of the input chooses limits
//! and step.
#![no_main]

use bytes::BytesMut;
use krpc::base::{Limits, Message};
use krpc::wire::frame::{Decoder, Inbound, Outbound, encode};
use krpc::wire::ttheader::Entry;
use krpc::wire::{OutBuf, Payload};
use libfuzzer_sys::fuzz_target;

const SLACK: usize = 64 << 10;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let limits = Limits { allow_old_style: choice & 1 != 0, ..Limits::DEFAULT };
    let step = usize::from(choice >> 1) + 1;

    let at_once = decode(limits, data, data.len().max(1));
    let stepwise = decode(limits, data, step);
    assert_eq!(at_once.len(), stepwise.len());
    for (a, b) in at_once.iter().zip(&stepwise) {
        assert_same(a, b);
        let again = send(a);
        let copies = decode(Limits { allow_old_style: false, ..limits }, &again, again.len());
        let [copy] = &copies[..] else { panic!("{} messages from {again:?}", copies.len()) };
        assert_same(a, copy);
        assert_eq!(copy.size(), again.len());
    }
});

fn decode(limits: Limits, data: &[u8], step: usize) -> Vec<Inbound> {
    let mut decoder = Decoder::new(limits);
    let mut buf = BytesMut::new();
    let mut messages = Vec::new();
    for part in data.chunks(step) {
        buf.extend_from_slice(part);
        loop {
            let before = buf.len();
            let result = decoder.decode(&mut buf);
            assert!(buf.capacity() <= data.len() + SLACK, "{} for {}", buf.capacity(), data.len());
            match result {
                Ok(Some(message)) => {
                    assert!(before - buf.len() >= message.body.len());
                    messages.push(message);
                }
                Ok(None) => {
                    assert!(decoder.missing(&buf) >= 1);
                    break;
                }
                Err(_) => return messages,
            }
        }
    }
    messages
}

fn send(message: &Inbound) -> Vec<u8> {
    let body = Message::new(message.layout.payload.encoding(), message.body.clone());
    let header = message.header.clone().unwrap_or_default();
    let frame = Outbound {
        layout: message.layout,
        flags: header.flags(),
        seq: message.seq,
        kind: message.kind,
        name: &message.name,
        body: &body,
    };
    let mut out = OutBuf::new();
    encode(&mut out, &frame, |writer| {
        for entry in header.entries() {
            match entry {
                Entry::String(key, value) => writer.string(b"", key, value),
                Entry::Int(key, value) => writer.int(key, value),
            };
        }
    })
    .unwrap();
    let mut bytes = Vec::new();
    while !out.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 1];
        assert_eq!(out.io_slices(&mut slices), 1);
        bytes.extend_from_slice(&slices[0]);
        let n = slices[0].len();
        out.advance(n);
    }
    bytes
}

fn assert_same(a: &Inbound, b: &Inbound) {
    assert_eq!((a.layout, a.kind, a.seq), (b.layout, b.kind, b.seq));
    assert_eq!((&a.name, &a.body), (&b.name, &b.body));
    assert!(!a.layout.framed || a.layout.payload == Payload::ThriftBinary || !a.name.is_empty());
    // A mesh header is never sent.
    if a.layout.ttheader {
        let (a, b) = (a.header.as_ref().unwrap(), b.header.as_ref().unwrap());
        assert_eq!(a.flags(), b.flags());
        assert!(a.entries().eq(b.entries()));
    }
}
