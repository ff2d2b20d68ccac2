//! A multiplexing client under a program of calls, cancels, replies (sound, broken, late, for nobody), any
//! bytes and jumps of the clock: whoever waits comes back once, with his own reply or without one.
#![no_main]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use krpc::base::{Encoding, Limits, Message, Metainfo};
use krpc::proto::call::Request;
use krpc::proto::mux::{MuxClient, write_notice};
use krpc::wire::OutBuf;
use krpc::wire::frame::{Layout, Outbound, encode};
use krpc::wire::thrift::MessageType;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { frame_bytes: 4096, ..Limits::DEFAULT };

fn body(number: i32) -> Message {
    let bytes = [&b"\x08\0\x01"[..], &number.to_be_bytes(), &[0]].concat();
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

/// A reply to a call, or what looks like one.
fn reply(seq: i32, kind: u8, name: &[u8]) -> OutBuf {
    let kinds = [MessageType::Reply, MessageType::Reply, MessageType::Exception, MessageType::Call];
    let (layout, body) = (Layout::TTHEADER_FRAMED, body(seq));
    let kind = kinds[usize::from(kind) % kinds.len()];
    let frame = Outbound { layout, flags: 0, seq, kind, name, body: &body };
    let mut out = OutBuf::new();
    encode(&mut out, &frame, |_| ()).unwrap();
    out
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut client = MuxClient::new(LIMITS);
    let (mut input, mut lost) = (BytesMut::new(), false);
    let (mut waiting, mut next) = (BTreeSet::new(), 1);
    let mut bytes = data.iter().copied();
    while let (Some(op), Some(a), Some(b)) = (bytes.next(), bytes.next(), bytes.next()) {
        match op % 12 {
            0..=3 => {
                let (metainfo, body) = (Metainfo::new(), body(next));
                let request = Request {
                    layout: Layout::TTHEADER,
                    seq: if a == 255 { 0 } else { next },
                    oneway: a % 16 == 1,
                    service: "S",
                    method: "M",
                    to_service: "to",
                    from_service: "from",
                    timeout: None,
                    deadline: (b > 0).then(|| now + Duration::from_millis(u64::from(b))),
                    checksum: a & 2 == 2,
                    metainfo: &metainfo,
                    body: &body,
                };
                let mut out = OutBuf::new();
                match client.send(&mut out, &request, &Bytes::from_static(b"M")) {
                    Ok(sent) => {
                        assert!(client.is_open() && a != 255 && !out.is_empty());
                        if let Some(sent) = sent {
                            client.wait(sent, next);
                            waiting.insert(next);
                        }
                        next += 1;
                    }
                    Err(_) => assert!(out.is_empty() && (!client.is_open() || a == 255)),
                }
            }
            4 | 5 => reply(i32::from(a % 32), b, b"M").move_to(&mut input),
            6 => reply(i32::from(a % 32), b, b"Other").move_to(&mut input),
            7 => {
                // A sound frame with something broken in it.
                let mut frame = BytesMut::new();
                reply(i32::from(a % 32), 0, b"M").move_to(&mut frame);
                let at = 4 + usize::from(b) % (frame.len() - 4);
                frame[at] ^= a | 1;
                input.extend_from_slice(&frame);
            }
            8 => {
                let part: Vec<u8> = bytes.by_ref().take(usize::from(b % 64)).collect();
                input.extend_from_slice(&part);
            }
            9 if b < 32 => {
                let mut out = OutBuf::new();
                write_notice(&mut out).unwrap();
                out.move_to(&mut input);
            }
            10 => {
                let seq = i32::from(a % 32);
                let who = client.forget(seq);
                assert_eq!(who.is_some(), waiting.remove(&seq));
                assert_eq!(client.forget(seq), None);
            }
            _ => {
                now += Duration::from_millis(u64::from(a));
                for who in client.expire(now) {
                    assert!(waiting.remove(&who), "{who} came back twice");
                }
                assert!(client.wake_at().is_none_or(|at| at > now), "a clock that is due for ever");
            }
        }
        while !lost {
            assert!(client.missing(&input) >= 1);
            match client.receive(&mut input) {
                Ok(None) => break,
                Ok(Some((who, response))) => {
                    assert!(waiting.remove(&who), "{who} came back twice");
                    drop(response);
                }
                Err(_) => lost = true,
            }
        }
        if lost {
            let (who, _) = client.lose(None);
            who.into_iter().for_each(|who| assert!(waiting.remove(&who), "{who} came back twice"));
            assert!(waiting.is_empty() && !client.is_open());
        }
        assert_eq!(client.waiting(), waiting.len());
    }
});
