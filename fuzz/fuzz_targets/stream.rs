//! Both ends of a connection of streams under a program of calls, frames (sound and broken), lost bytes and
//! jumps of the clock. Nothing panics, ends stay, budgets hold, and all that is given back is forgotten.
#![no_main]

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use krpc::base::{Encoding, Message};
use krpc::proto::stream::{
    Cancel, ClientConn, Connection, Finish, Open, Options, Ready, Recv, RecvTimeout, Role, Sent, ServerConn,
    StreamKey, StreamTimeouts,
};
use krpc::wire::OutBuf;
use krpc::wire::ttstream::{FrameType, Head, encode};
use libfuzzer_sys::fuzz_target;

struct End<R> {
    conn: Connection<R>,
    keys: Vec<StreamKey>,
    input: BytesMut,
    dead: bool,
}

impl<R: Role> End<R> {
    fn key(&self, n: u8) -> Option<StreamKey> {
        (!self.keys.is_empty()).then(|| self.keys[usize::from(n) % self.keys.len()])
    }

    fn recv(&mut self, n: u8, now: Instant) {
        let Some(key) = self.key(n) else { return };
        let ended = self.conn.end(key).is_some() && self.conn.waiting(key) == 0;
        let first = self.conn.recv(key, now);
        if ended {
            let (first, second) = (format!("{first:?}"), format!("{:?}", self.conn.recv(key, now)));
            assert_eq!(first, second);
            assert_ne!(first, "Pending");
        }
    }

    fn send(&mut self, n: u8, len: usize, now: Instant) {
        let Some(key) = self.key(n) else { return };
        let message = Message::new(Encoding::THRIFT_BINARY, vec![0; len].into());
        if let Ok(Sent::Full(back)) = self.conn.send(key, message, now) {
            assert_eq!(back.len(), len);
        }
    }

    fn take(&mut self, now: Instant) {
        if !self.dead {
            self.dead = self.conn.receive(&mut self.input, now).is_err();
        }
        while let Some((key, ready)) = self.conn.poll_ready() {
            if ready.contains(Ready::OPENED) {
                self.keys.push(key);
            }
        }
        let (inbox, outbox) = self.conn.waiting_bytes();
        assert!(inbox <= 5_000 + 70_000 && outbox <= 3_000 + 320, "{inbox} {outbox}");
    }

    fn write(&mut self, to: &mut BytesMut, now: Instant) {
        let mut out = OutBuf::new();
        while self.conn.transmit(&mut out, now) {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = out.io_slices(&mut slices);
            let len = slices[..count].iter().map(|slice| slice.len()).sum();
            slices[..count].iter().for_each(|slice| to.extend_from_slice(slice));
            out.advance(len);
            self.conn.written(out.len(), now);
        }
    }
}

fn frame(id: i32, kind: u8, string: &[u8], payload: &[u8]) -> BytesMut {
    let kinds = [FrameType::Meta, FrameType::Header, FrameType::Data, FrameType::Trailer, FrameType::Rst];
    let kind = kinds[usize::from(kind) % kinds.len()];
    let head = Head { id, kind, method: b"M", encoding: Encoding::THRIFT_BINARY, ints: &[] };
    let mut out = BytesMut::new();
    let keys: [&[u8]; 4] = [b"ttscp", b"biz-status", b"biz-extra", b"isn"];
    let fill = |header: &mut krpc::wire::HeaderWriter<'_>| {
        if let Some((first, rest)) = string.split_first() {
            header.string(b"", keys[usize::from(*first) % keys.len()], rest);
        }
    };
    encode(&mut out, head, fill, payload).unwrap();
    out
}

fuzz_target!(|data: &[u8]| {
    let start = Instant::now();
    let mut now = start;
    let mut options = Options { name: "N".into(), ..Options::default() };
    options.limits.frame_bytes = 64 << 10;
    options.streams.streams = 6;
    options.streams.recv_bytes = 2_000;
    options.streams.recv_messages = 8;
    options.streams.connection_recv_bytes = 5_000;
    options.streams.send_bytes = 1_000;
    options.streams.connection_send_bytes = 3_000;
    options.streams.empty_frames = 10;
    let method = Bytes::from_static(b"M");
    let new = ClientConn::new(options.clone(), now);
    let mut client = End { conn: new, keys: vec![], input: BytesMut::new(), dead: false };
    let new = ServerConn::new(options, now);
    let mut server = End { conn: new, keys: vec![], input: BytesMut::new(), dead: false };

    let mut bytes = data.iter().copied();
    while let (Some(op), Some(a), Some(b)) = (bytes.next(), bytes.next(), bytes.next()) {
        match op % 24 {
            0 | 1 => {
                let timeouts = StreamTimeouts {
                    deadline: (a & 1 == 1).then(|| now + Duration::from_secs(u64::from(b) + 1)),
                    recv: (a & 2 == 2).then_some(RecvTimeout {
                        timeout: Duration::from_millis(u64::from(b)),
                        keep_stream: a & 4 == 4,
                    }),
                    idle: (a & 8 == 8).then_some(Duration::from_secs(u64::from(b))),
                };
                let open = Open { timeouts, tell_timeout: a & 16 == 16, ..Open::new(b"S", &method) };
                client.keys.extend(client.conn.open(&open, now));
            }
            2..=4 => client.send(a, usize::from(b), now),
            5..=7 => server.send(a, usize::from(b), now),
            8 => client.recv(a, now),
            9 => server.recv(a, now),
            10 => _ = client.key(a).map(|key| client.conn.close_send(key)),
            11 => _ = client.key(a).map(|key| client.conn.cancel(key, &Cancel::by_host("x"), now)),
            12 => _ = server.key(a).map(|key| server.conn.cancel(key, &Cancel::with_code(7, "y"), now)),
            13 => {
                let finish = if b & 1 == 0 { Finish::Ok } else { Finish::failed("z") };
                _ = server.key(a).map(|key| server.conn.finish(key, &finish, now));
            }
            14 => {
                _ = server.key(a).map(|key| server.conn.send_header(key, &[("k".into(), vec![b; 3].into())]))
            }
            15 => _ = client.key(a).map(|key| (client.conn.flush(key), client.conn.cancel_recv(key))),
            16 => {
                if let Some(key) = client.key(a) {
                    client.conn.release(key, now);
                    client.keys.retain(|kept| *kept != key);
                }
            }
            17 => {
                if let Some(key) = server.key(a) {
                    server.conn.release(key, now);
                    server.keys.retain(|kept| *kept != key);
                }
            }
            18 | 19 => {
                // A sound frame that our own ends would not send.
                let len = usize::from(b % 16);
                let payload: Vec<u8> = bytes.by_ref().take(len).collect();
                let to = if op & 32 == 0 { &mut client.input } else { &mut server.input };
                to.extend_from_slice(&frame(i32::from(a % 8), b >> 4, &payload, &payload));
            }
            20 => {
                // Any bytes at all.
                let part: Vec<u8> = bytes.by_ref().take(usize::from(b % 64)).collect();
                let to = if a & 1 == 0 { &mut client.input } else { &mut server.input };
                to.extend_from_slice(&part);
            }
            21 => {
                now += Duration::from_millis(u64::from(a) * u64::from(b));
                client.dead |= client.conn.tick(now).is_err();
                server.dead |= server.conn.tick(now).is_err();
                assert!(client.conn.wake_at().is_none_or(|at| at > now), "a clock that is due for ever");
                assert!(server.conn.wake_at().is_none_or(|at| at > now), "a clock that is due for ever");
            }
            22 if b < 8 => match a % 4 {
                0 => server.conn.drain(Some(Duration::from_secs(1)), now),
                1 => client.conn.close(now),
                2 => _ = client.conn.lost(&client.input, None, now),
                _ => _ = server.conn.lost(&server.input, None, now),
            },
            _ => {
                client.write(&mut server.input, now);
                server.write(&mut client.input, now);
            }
        }
        client.take(now);
        server.take(now);
    }

    client.conn.lost(&client.input, None, now);
    server.conn.lost(&server.input, None, now);
    client.take(now);
    server.take(now);
    for key in client.keys.drain(..) {
        assert!(client.conn.end(key).is_some());
        while let Recv::Message(_) = client.conn.recv(key, now) {}
        assert!(!matches!(client.conn.recv(key, now), Recv::Pending));
        client.conn.release(key, now);
    }
    for key in server.keys.drain(..) {
        assert!(server.conn.end(key).is_some());
        server.conn.release(key, now);
    }
    assert_eq!((client.conn.kept_streams(), server.conn.kept_streams()), (0, 0));
    assert_eq!((client.conn.waiting_bytes(), server.conn.waiting_bytes()), ((0, 0), (0, 0)));
});
