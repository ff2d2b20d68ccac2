//! A multiplexing client and a server in memory, with a clock that the test turns.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::base::{Code, Encoding, Limits, Message, Metainfo, Result};
use crate::proto::call::{Request, Response};
use crate::proto::pingpong::{Answer, Exception, ServerConn, Ticket, Timeouts};
use crate::wire::frame::Layout;
use crate::wire::outbuf::OutBuf;

const SAY: Bytes = Bytes::from_static(b"Say");

/// A struct with one i32 field.
fn body(number: i32) -> Message {
    let mut bytes = BytesMut::from(&b"\x08\x00\x01"[..]);
    bytes.put_i32(number);
    bytes.put_u8(0);
    Message::new(Encoding::THRIFT_BINARY, bytes.freeze())
}

struct Pair {
    client: MuxClient<i32>,
    server: ServerConn,
    to_server: BytesMut,
    to_client: BytesMut,
    now: Instant,
}

impl Pair {
    fn new() -> Pair {
        let now = Instant::now();
        Pair {
            client: MuxClient::new(Limits::DEFAULT),
            server: ServerConn::new(Limits::DEFAULT, Timeouts::default(), now),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            now,
        }
    }

    /// The caller's name is his sequence id. True if nobody waits.
    fn call(&mut self, seq: i32, change: impl FnOnce(&mut Request<'_>)) -> std::result::Result<bool, Code> {
        let (metainfo, body) = (Metainfo::new(), body(seq));
        let mut request = Request {
            layout: Layout::TTHEADER_FRAMED,
            seq,
            oneway: false,
            service: "Chat",
            method: "Say",
            to_service: "chat",
            from_service: "test",
            timeout: None,
            deadline: None,
            checksum: false,
            metainfo: &metainfo,
            body: &body,
        };
        change(&mut request);
        let mut out = OutBuf::new();
        let sent = self.client.send(&mut out, &request, &SAY).map_err(|error| error.code())?;
        out.move_to(&mut self.to_server);
        let is_oneway = sent.is_none();
        if let Some(sent) = sent {
            self.client.wait(sent, seq);
        }
        Ok(is_oneway)
    }

    fn calls(&mut self, seqs: impl IntoIterator<Item = i32>) {
        seqs.into_iter().for_each(|seq| assert_eq!(self.call(seq, |_| ()), Ok(false)));
    }

    /// All requests that can be handled now, by their sequence ids.
    fn take_requests(&mut self) -> HashMap<i32, Ticket> {
        let mut taken = HashMap::new();
        while let Some((ticket, request)) = self.server.receive(&mut self.to_server, self.now).unwrap() {
            assert_eq!(taken.insert(request.seq, ticket), None);
        }
        taken
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let mut out = OutBuf::new();
        self.server.reply(&mut out, ticket, &answer.into(), self.now).unwrap();
        out.move_to(&mut self.to_client);
        self.server.written(0, self.now);
    }

    fn drain(&mut self) {
        let mut out = OutBuf::new();
        self.server.drain(&mut out, self.now).unwrap();
        out.move_to(&mut self.to_client);
        self.server.written(0, self.now);
    }

    fn receive(&mut self) -> Option<(i32, Result<Response>)> {
        self.client.receive(&mut self.to_client).unwrap()
    }

    /// Who was answered, in this order.
    fn answered(&mut self) -> Vec<i32> {
        let mut seen = Vec::new();
        while let Some((who, response)) = self.receive() {
            assert_eq!(response.unwrap().message, Some(body(-who)), "a reply went astray");
            seen.push(who);
        }
        seen
    }
}

#[test]
fn replies_come_in_any_order() {
    let mut pair = Pair::new();
    pair.calls(1..=5);
    let tickets = pair.take_requests();
    assert_eq!((tickets.len(), pair.client.waiting()), (5, 5));
    for seq in [4, 1, 5] {
        pair.answer(tickets[&seq], Answer::Message(body(-seq)));
    }
    assert_eq!(pair.answered(), [4, 1, 5]);
    pair.calls([6, -7]);
    let more = pair.take_requests();
    pair.answer(more[&-7], Answer::Message(body(7)));
    pair.answer(tickets[&2], Answer::Message(body(-2)));
    assert_eq!(pair.answered(), [-7, 2]);
    assert_eq!((pair.client.waiting(), pair.client.is_open()), (2, true));
}

#[test]
fn a_client_that_did_not_ask_for_it_is_served_in_turn() {
    let mut pair = Pair::new();
    pair.calls([1, 2]);
    // Without the flag: bytes 6 and 7 of each frame.
    let frame = pair.to_server.len() / 2;
    [0, frame].into_iter().for_each(|at| pair.to_server[at + 7] = 0);
    let first = pair.take_requests();
    assert_eq!(first.len(), 1);
    pair.answer(first[&1], Answer::Message(body(-1)));
    assert_eq!(pair.take_requests().len(), 1);
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut pair = Pair::new();
    pair.calls([1, 2]);
    let mut tickets = HashMap::new();
    for byte in std::mem::take(&mut pair.to_server) {
        pair.to_server.put_u8(byte);
        tickets.extend(pair.take_requests());
    }
    for (seq, ticket) in [(2, tickets[&2]), (1, tickets[&1])] {
        pair.answer(ticket, Answer::Message(body(-seq)));
    }
    let mut seen = Vec::new();
    for byte in std::mem::take(&mut pair.to_client) {
        assert!(pair.client.missing(&pair.to_client) >= 1);
        pair.to_client.put_u8(byte);
        seen.extend(pair.answered());
    }
    assert_eq!(seen, [2, 1]);
}

#[test]
fn a_late_reply_meets_nobody() {
    let mut pair = Pair::new();
    let deadline = pair.now + Duration::from_millis(10);
    pair.calls([1]);
    assert_eq!(pair.call(2, |request| request.deadline = Some(deadline)), Ok(false));
    assert_eq!(pair.client.wake_at(), Some(deadline));
    assert!(pair.client.expire(pair.now).is_empty());
    assert_eq!(pair.client.expire(deadline), [2]);
    assert_eq!((pair.client.wake_at(), pair.client.waiting()), (None, 1));
    let tickets = pair.take_requests();
    pair.answer(tickets[&2], Answer::Message(body(-2)));
    pair.answer(tickets[&1], Answer::Message(body(-1)));
    assert_eq!(pair.answered(), [1]);
    assert_eq!(pair.client.dropped(), 1);

    pair.calls([3]);
    assert_eq!((pair.client.forget(3), pair.client.forget(3)), (Some(3), None));
    let tickets = pair.take_requests();
    pair.answer(tickets[&3], Answer::Message(body(-3)));
    assert_eq!((pair.answered(), pair.client.dropped()), (vec![], 2));
}

#[test]
fn a_look_at_the_deadlines_may_be_in_vain() {
    let mut pair = Pair::new();
    let at = |milliseconds| pair.now + Duration::from_millis(milliseconds);
    let (first, second) = (at(10), at(30));
    for (seq, deadline) in [(1, second), (2, first)] {
        assert_eq!(pair.call(seq, |request| request.deadline = Some(deadline)), Ok(false));
    }
    let tickets = pair.take_requests();
    pair.answer(tickets[&2], Answer::Message(body(-2)));
    assert_eq!(pair.answered(), [2]);
    assert_eq!((pair.client.wake_at(), pair.client.expire(first)), (Some(first), vec![]));
    assert_eq!((pair.client.wake_at(), pair.client.expire(second)), (Some(second), vec![1]));
}

#[test]
fn a_frame_that_makes_no_sense_fails_its_own_call_only() {
    let mut pair = Pair::new();
    pair.calls([1, 2, 3]);
    let tickets = pair.take_requests();
    for seq in [1, 2, 3] {
        let begin = pair.to_client.len();
        pair.answer(tickets[&seq], Answer::Message(body(-seq)));
        match seq {
            // The payload's magic: behind the frame's header and length.
            1 => {
                let header = 14 + 4 * usize::from(pair.to_client[begin + 13]);
                pair.to_client[begin + header + 4] = 0x77;
            }
            // The payload's sequence id: the last but eight bytes of body and four of its own.
            2 => {
                let end = pair.to_client.len();
                pair.to_client[end - 9] ^= 0x40;
            }
            _ => {}
        }
    }
    let (who, response) = pair.receive().expect("a reply");
    assert_eq!((who, response.unwrap_err().code()), (1, Code::BadPayload));
    let (who, response) = pair.receive().expect("a reply");
    assert_eq!((who, response.unwrap_err().code()), (2, Code::OutOfSequence));
    assert_eq!(pair.answered(), [3]);
}

#[test]
fn a_request_that_makes_no_sense_leaves_the_others_alone() {
    let mut pair = Pair::new();
    pair.calls([1]);
    let first = pair.take_requests();
    pair.calls([2]);
    let header = 14 + 4 * usize::from(pair.to_server[13]);
    pair.to_server[header + 4] = 0x77;
    pair.calls([3]);
    let tickets = pair.take_requests();
    assert_eq!((tickets.len(), tickets.contains_key(&3), pair.server.passed_over()), (1, true, 1));
    pair.answer(tickets[&3], Answer::Message(body(-3)));
    pair.answer(first[&1], Answer::Message(body(-1)));
    assert_eq!(pair.answered(), [3, 1]);
}

#[test]
fn bytes_that_are_no_frame_end_the_connection() {
    for bytes in [&b"\x80\x01\x00\x01\x00\x00\x00\x03Say\x00\x00\x00\x01\x00"[..], b"HTTP/1.1 200 OK\r\n\r\n"]
    {
        let mut pair = Pair::new();
        pair.calls([1]);
        pair.take_requests();
        pair.to_client.put_slice(bytes);
        assert_eq!(pair.client.receive(&mut pair.to_client).unwrap_err().code(), Code::BadHeader);
        pair.to_server.put_slice(bytes);
        assert!(pair.server.receive(&mut pair.to_server, pair.now).is_err());
    }
}

#[test]
fn a_length_that_lies_reserves_nothing() {
    let mut pair = Pair::new();
    pair.to_client.put_slice(b"\x7f\xff\xff\xff\x10\x00\x00\x00");
    pair.to_client.put_slice(&[0; 6]);
    assert_eq!(pair.client.receive(&mut pair.to_client).unwrap_err().code(), Code::BadHeader);
    let mut pair = Pair::new();
    pair.to_client.put_slice(b"\x03\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x01\x00\x01");
    assert!(pair.client.receive(&mut pair.to_client).unwrap().is_none());
    assert_eq!(pair.client.missing(&pair.to_client), 16 << 10);
}

#[test]
fn an_exception_keeps_the_connection() {
    let mut pair = Pair::new();
    pair.calls([1, 2]);
    let tickets = pair.take_requests();
    pair.answer(tickets[&1], Answer::Exception(Exception { type_id: 1, text: "no".into(), close: true }));
    assert!(!pair.server.is_closing());
    let (who, response) = pair.receive().expect("a reply");
    assert_eq!((who, response.unwrap().error.unwrap().code()), (1, Code::UnknownMethod));
    assert!(pair.client.is_open());
    pair.answer(tickets[&2], Answer::Message(body(-2)));
    assert_eq!(pair.answered(), [2]);
}

#[test]
fn a_oneway_call_waits_for_nothing() {
    let mut pair = Pair::new();
    assert_eq!(pair.call(1, |request| request.oneway = true), Ok(true));
    assert_eq!((pair.client.waiting(), pair.client.is_open()), (0, true));
    let tickets = pair.take_requests();
    pair.answer(tickets[&1], Answer::Oneway);
    assert!(pair.to_client.is_empty());
}

#[test]
fn what_cannot_be_sent_comes_back() {
    let mut pair = Pair::new();
    assert_eq!(pair.call(1, |request| request.layout = Layout::FRAMED), Err(Code::InvalidState));
    assert_eq!(pair.call(0, |_| ()), Err(Code::InvalidState));
    pair.calls([1]);
    assert_eq!(pair.call(1, |_| ()), Err(Code::InvalidState));
    assert_eq!(pair.take_requests().len(), 1);
}

#[test]
fn a_stop_is_announced_and_what_runs_is_finished() {
    let mut pair = Pair::new();
    pair.calls([1, 2]);
    let tickets = pair.take_requests();
    pair.drain();
    pair.drain();
    // Example L of ttheader.md, once: seq 0, `crrst`, REPLY "none".
    let notice = b"\0\0\0\x2b\x10\0\0\0\0\0\0\0\0\x04\0\0\x01\0\x01\0\x05crrst\0\x011\0\x80\x01\0\x02\0\0\0\x04none\0\0\0\0\0";
    assert_eq!(pair.to_client, notice[..]);
    assert!(pair.client.is_open() && pair.receive().is_none() && !pair.client.is_open());
    assert_eq!(pair.call(3, |_| ()), Err(Code::InvalidState));
    pair.answer(tickets[&1], Answer::Message(body(-1)));
    assert_eq!(pair.answered(), [1]);

    pair.now += Timeouts::default().drain * 10;
    assert_eq!(pair.server.expired(pair.now).map(|error| error.code()), None, "a handler is at work");
    pair.answer(tickets[&2], Answer::Message(body(-2)));
    assert_eq!((pair.answered(), pair.client.waiting()), (vec![2], 0));
    assert_eq!(pair.server.expired(pair.now).map(|error| error.code()), Some(Code::IdleTimeout));
}

/// Its first request, which says that it takes a notice, comes when the stop is old.
#[test]
fn a_client_that_hears_late_of_a_stop_has_the_same_time() {
    let mut pair = Pair::new();
    let drain = Timeouts::default().drain;
    pair.drain();
    pair.calls([1]);
    pair.now += drain * 2;
    let tickets = pair.take_requests();
    pair.answer(tickets[&1], Answer::Message(body(-1)));
    pair.drain();
    assert_eq!((pair.answered(), pair.client.is_open()), (vec![1], false));
    pair.now += drain / 2;
    assert!(pair.server.expired(pair.now).is_none(), "calls may be on their way");
    pair.now += drain;
    assert_eq!(pair.server.expired(pair.now).map(|error| error.code()), Some(Code::IdleTimeout));
}

#[test]
fn who_does_not_take_a_notice_gets_none() {
    let mut pair = Pair::new();
    pair.calls([1]);
    let at = pair.to_server.windows(5).position(|bytes| bytes == b"krpc-").expect("the client's word");
    pair.to_server[at] = b'x';
    pair.calls([2]);
    let tickets = pair.take_requests();
    pair.drain();
    assert!(pair.to_client.is_empty());
    [1, 2].into_iter().for_each(|seq| pair.answer(tickets[&seq], Answer::Message(body(-seq))));
    assert_eq!((pair.answered(), pair.client.is_open()), (vec![1, 2], true));
}

#[test]
fn control_frames_without_the_mark_mean_nothing() {
    let mut pair = Pair::new();
    pair.calls([1]);
    pair.to_client.put_slice(
        b"\0\0\0\x2a\x10\0\0\0\0\0\0\0\0\x04\0\0\x01\0\x01\0\x05crrst\0\0\0\0\x80\x01\0\x02\0\0\0\x04none\0\0\0\0",
    );
    pair.to_client.put_u8(0);
    pair.to_client[3] = 0x2b;
    assert!(pair.receive().is_none() && pair.client.is_open() && pair.client.waiting() == 1);
    assert!(pair.to_client.is_empty());
}

#[test]
fn a_loss_wakes_everybody() {
    for reason in [None, Some(io::Error::from(io::ErrorKind::ConnectionReset))] {
        let mut pair = Pair::new();
        pair.calls(1..=3);
        let (mut who, error) = pair.client.lose(reason.as_ref());
        who.sort_unstable();
        assert_eq!((who, error.code()), (vec![1, 2, 3], Code::ConnectionLost));
        assert!(!pair.client.is_open() && pair.client.waiting() == 0);
        assert_eq!(pair.call(4, |_| ()), Err(Code::InvalidState));
    }
}

#[test]
fn a_connection_has_so_many_requests_at_work_and_no_more() {
    let mut pair = Pair::new();
    pair.calls(1..=1100);
    let tickets = pair.take_requests();
    assert_eq!((tickets.len(), pair.server.can_receive()), (1024, false));
    pair.answer(tickets[&7], Answer::Message(body(-7)));
    assert!(pair.server.can_receive());
    let next = pair.take_requests();
    assert_eq!(next.len(), 1);
    assert_eq!(next[&1025], tickets[&7], "a ticket is used again once it is answered");
}

#[test]
fn a_request_in_pieces_has_the_read_timeout_while_others_are_at_work() {
    let mut pair = Pair::new();
    pair.calls([1]);
    pair.take_requests();
    assert_eq!(pair.server.wake_at(), None, "who waits for an answer is not idle");
    pair.calls([2]);
    pair.to_server.truncate(20);
    pair.take_requests();
    let at = pair.now + Timeouts::default().read;
    assert_eq!(pair.server.wake_at(), Some(at));
    assert_eq!(pair.server.expired(at).map(|error| error.code()), Some(Code::ReadTimeout));
}
