//! A server's connection under a program of requests (sound and broken, in every layout, one at a time and
//! multiplexed), answers by ticket in any order, stops, slow writes and jumps of the clock. Nothing panics,
//! each ticket is good for one answer, and no clock is due for ever.
#![no_main]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use krpc::base::{Biz, Code, Encoding, Limits, Message};
use krpc::proto::mux::OUT_OF_ORDER;
use krpc::proto::pingpong::{Answer, Exception, Reply, ServerConn, Ticket, Timeouts};
use krpc::wire::OutBuf;
use krpc::wire::frame::{Decoder, Layout, Outbound, encode};
use krpc::wire::thrift::MessageType;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { frame_bytes: 4096, ..Limits::DEFAULT };

fn request(a: u8, b: u8) -> BytesMut {
    let layouts = [Layout::TTHEADER, Layout::TTHEADER_FRAMED, Layout::FRAMED, Layout::BUFFERED];
    let kinds = [MessageType::Call, MessageType::Call, MessageType::Oneway, MessageType::Reply];
    let body = Message::new(Encoding::THRIFT_BINARY, vec![0].into());
    let frame = Outbound {
        layout: layouts[usize::from(a) % 4],
        flags: if a & 4 == 4 { OUT_OF_ORDER } else { 0 },
        seq: i32::from(b),
        kind: kinds[usize::from(a >> 3) % 4],
        name: if a & 128 == 128 { b"" } else { b"M" },
        body: &body,
    };
    let (mut out, mut bytes) = (OutBuf::new(), BytesMut::new());
    let takes_notice = a & 64 == 64;
    let fill = |header: &mut krpc::wire::HeaderWriter<'_>| {
        if takes_notice {
            header.string(b"", krpc::wire::keys::TAKES_NOTICE, b"1");
        }
    };
    if encode(&mut out, &frame, fill).is_ok() {
        out.move_to(&mut bytes);
    }
    bytes
}

fn answer(kind: u8) -> Reply {
    let exception = |close| Answer::Exception(Exception { type_id: 6, text: "x".into(), close });
    let answer = match kind % 5 {
        0 => Answer::Message(Message::empty_struct()),
        1 => Answer::Biz(Biz { code: 7, message: "m".into(), extra: vec![] }),
        2 => exception(false),
        3 => exception(true),
        _ => Answer::Oneway,
    };
    answer.into()
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut conn = ServerConn::new(LIMITS, Timeouts::default(), now);
    let (mut input, mut output) = (BytesMut::new(), OutBuf::new());
    let mut tickets: Vec<Ticket> = Vec::new();
    let mut written = BytesMut::new();
    let mut bytes = data.iter().copied();
    while let (Some(op), Some(a), Some(b)) = (bytes.next(), bytes.next(), bytes.next()) {
        match op % 12 {
            0..=3 => input.extend_from_slice(&request(a, b)),
            4 => {
                let mut frame = request(a, b);
                if let Some(byte) = frame.len().checked_sub(1).map(|last| usize::from(b) % (last + 1)) {
                    frame[byte] ^= a | 1;
                }
                input.extend_from_slice(&frame);
            }
            5 => {
                let part: Vec<u8> = bytes.by_ref().take(usize::from(b % 64)).collect();
                input.extend_from_slice(&part);
            }
            6..=8 if !tickets.is_empty() => {
                let ticket = tickets.swap_remove(usize::from(a) % tickets.len());
                conn.reply(&mut output, ticket, &answer(b), now).expect("a good ticket");
                let again = conn.reply(&mut output, ticket, &answer(b), now);
                assert_eq!(again.map_err(|error| error.code()), Err(Code::InvalidState));
            }
            9 => {
                let before = output.len();
                output.move_to(&mut written);
                if before > 0 {
                    conn.written(0, now);
                }
            }
            10 if b < 16 => conn.drain(&mut output, now).unwrap(),
            _ => {
                now += Duration::from_millis(u64::from(a) * 8);
                if conn.expired(now).is_some() {
                    break;
                }
                assert!(conn.wake_at().is_none_or(|at| at > now), "a clock that is due for ever");
            }
        }
        let mut broken = false;
        loop {
            assert!(conn.missing(&input) >= 1);
            let could = conn.can_receive();
            match conn.receive(&mut input, now) {
                Ok(Some((ticket, inbound))) => {
                    assert!(could && !tickets.contains(&ticket) && !inbound.name.is_empty());
                    tickets.push(ticket);
                }
                Ok(None) => break,
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        assert_eq!(conn.is_handling(), !tickets.is_empty());
        if broken {
            break;
        }
    }
    output.move_to(&mut written);
    // What was written can be read again.
    let mut decoder = Decoder::new(Limits::DEFAULT);
    while decoder.decode(&mut written).expect("our own replies").is_some() {}
});
