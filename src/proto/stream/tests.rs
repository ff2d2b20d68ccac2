//! Two ends in memory, a clock that the test turns, and a tap on the wire. No sockets, no sleeps.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::*;
use crate::base::{Biz, Code, Encoding, Error, Message, Metainfo, MetainfoKind, StreamClass, StreamSide};
use crate::wire::OutBuf;
use crate::wire::ttheader::{Header, HeaderWriter};
use crate::wire::ttstream::{self, Decoded, Decoder, Frame, FrameType, Head};

mod bytes_of_frames;
mod cancels;
mod cases;
mod clocks;
mod flow;
mod life_cycle;
mod random;
mod stops;

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

/// A struct with one i32.
fn message(n: i32) -> Message {
    let bytes = [&b"\x08\0\x01"[..], &n.to_be_bytes(), &[0]].concat();
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

fn sized(len: usize) -> Message {
    Message::new(Encoding::THRIFT_BINARY, vec![7; len].into())
}

fn pair(key: &'static str, value: &'static str) -> (Bytes, Bytes) {
    (key.into(), value.into())
}

fn method() -> Bytes {
    Bytes::from_static(b"Bidi")
}

/// A client and a server connected by two byte streams.
struct Pair {
    client: ClientConn,
    server: ServerConn,
    client_out: OutBuf,
    server_out: OutBuf,
    /// On the wire and in the receivers' buffers.
    to_server: BytesMut,
    to_client: BytesMut,
    /// Every frame that was written, `>` by the client, `<` by the server.
    tap: Tap,
    now: Instant,
}

#[derive(Default)]
struct Tap {
    frames: Vec<(char, Frame)>,
    decoders: [Option<(Decoder, BytesMut)>; 2],
}

impl Tap {
    fn see(&mut self, side: char, bytes: &[u8]) {
        let slot = &mut self.decoders[usize::from(side == '<')];
        let (decoder, buf) = slot
            .get_or_insert_with(|| (Decoder::new(crate::base::Limits::DEFAULT, 262_140), BytesMut::new()));
        buf.extend_from_slice(bytes);
        while let Some(decoded) = decoder.decode(buf).expect("our own frames") {
            let Decoded::Frame(frame) = decoded else { panic!("{decoded:?}") };
            self.frames.push((side, frame));
        }
    }

    /// `>HEADER <DATA …` of one stream or of all, and starts anew.
    fn take(&mut self) -> String {
        let frames = std::mem::take(&mut self.frames);
        let text = frames
            .iter()
            .map(|(side, frame)| format!("{side}{}", format!("{:?}", frame.kind).to_uppercase()));
        text.collect::<Vec<_>>().join(" ")
    }

    fn last(&self, kind: FrameType) -> &Frame {
        &self.frames.iter().rev().find(|(_, frame)| frame.kind == kind).expect("such a frame").1
    }
}

fn drain(out: &mut OutBuf) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    out.move_to(&mut bytes);
    bytes.into()
}

impl Pair {
    fn new() -> Pair {
        Pair::with(|_| {}, |_| {})
    }

    fn with(client: impl FnOnce(&mut Options), server: impl FnOnce(&mut Options)) -> Pair {
        let now = Instant::now();
        let mut client_options = Options { name: "A".into(), ..Options::default() };
        let mut server_options = Options { name: "S".into(), ..Options::default() };
        client(&mut client_options);
        server(&mut server_options);
        Pair {
            client: ClientConn::new(client_options, now),
            server: ServerConn::new(server_options, now),
            client_out: OutBuf::new(),
            server_out: OutBuf::new(),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            tap: Tap::default(),
            now,
        }
    }

    fn write_client(&mut self) {
        while self.client.transmit(&mut self.client_out, self.now) {
            let bytes = drain(&mut self.client_out);
            self.tap.see('>', &bytes);
            self.to_server.extend_from_slice(&bytes);
            self.client.written(0, self.now);
        }
    }

    fn write_server(&mut self) {
        while self.server.transmit(&mut self.server_out, self.now) {
            let bytes = drain(&mut self.server_out);
            self.tap.see('<', &bytes);
            self.to_client.extend_from_slice(&bytes);
            self.server.written(0, self.now);
        }
    }

    /// Moves everything both ways until nothing moves.
    fn pump(&mut self) {
        for _ in 0..4 {
            self.write_client();
            self.server.receive(&mut self.to_server, self.now).expect("the server takes it");
            self.write_server();
            self.client.receive(&mut self.to_client, self.now).expect("the client takes it");
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.client.tick(self.now).expect("the client lives");
        self.server.tick(self.now).expect("the server lives");
    }

    fn open(&mut self) -> StreamKey {
        self.open_with(StreamTimeouts::default())
    }

    fn open_with(&mut self, timeouts: StreamTimeouts) -> StreamKey {
        let method = method();
        let open = Open { timeouts, ..Open::new(b"EchoService", &method) };
        self.client.open(&open, self.now).expect("a stream")
    }

    /// Opens a stream and lets it arrive: the client's key and the server's.
    fn opened(&mut self) -> (StreamKey, StreamKey) {
        self.opened_with(StreamTimeouts::default())
    }

    fn opened_with(&mut self, timeouts: StreamTimeouts) -> (StreamKey, StreamKey) {
        let client = self.open_with(timeouts);
        self.pump();
        (client, self.accepted())
    }

    fn accepted(&mut self) -> StreamKey {
        loop {
            let (key, ready) = self.server.poll_ready().expect("an opened stream");
            if ready.contains(Ready::OPENED) {
                return key;
            }
        }
    }

    fn client_send(&mut self, key: StreamKey, n: i32) {
        let sent = self.client.send(key, message(n), self.now);
        assert!(matches!(sent, Ok(Sent::Accepted)), "{sent:?}");
    }

    fn server_send(&mut self, key: StreamKey, n: i32) {
        let sent = self.server.send(key, message(n), self.now);
        assert!(matches!(sent, Ok(Sent::Accepted)), "{sent:?}");
    }

    fn finish(&mut self, key: StreamKey, finish: Finish) {
        self.server.finish(key, &finish, self.now).expect("finished once");
    }

    fn client_recv(&mut self, key: StreamKey) -> Recv {
        self.client.recv(key, self.now)
    }

    fn server_recv(&mut self, key: StreamKey) -> Recv {
        self.server.recv(key, self.now)
    }

    /// What the client's next recv fails with, twice the same.
    fn client_error(&mut self, key: StreamKey) -> Error {
        let [first, second] = [self.client_recv(key), self.client_recv(key)].map(failure);
        assert_eq!(first, second, "an end stays");
        first
    }

    fn server_error(&mut self, key: StreamKey) -> Error {
        let [first, second] = [self.server_recv(key), self.server_recv(key)].map(failure);
        assert_eq!(first, second, "an end stays");
        first
    }

    fn client_ready(&mut self) -> Vec<(StreamKey, Ready)> {
        std::iter::from_fn(|| self.client.poll_ready()).collect()
    }

    fn server_ready(&mut self) -> Vec<(StreamKey, Ready)> {
        std::iter::from_fn(|| self.server.poll_ready()).collect()
    }

    /// Feeds the client a frame of the server that our server would not send.
    fn feed_client(&mut self, id: i32, kind: FrameType, strings: &[(&str, &str)], payload: &[u8]) {
        let bytes = frame_bytes(id, kind, strings, payload);
        self.to_client.extend_from_slice(&bytes);
        self.client.receive(&mut self.to_client, self.now).expect("the client lives");
    }

    fn feed_server(&mut self, id: i32, kind: FrameType, strings: &[(&str, &str)], payload: &[u8]) {
        let bytes = frame_bytes(id, kind, strings, payload);
        self.to_server.extend_from_slice(&bytes);
        self.server.receive(&mut self.to_server, self.now).expect("the server lives");
    }
}

fn frame_bytes(id: i32, kind: FrameType, strings: &[(&str, &str)], payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let method = method();
    let head = Head { id, kind, method: &method, encoding: Encoding::THRIFT_BINARY, ints: &[] };
    let fill = |header: &mut HeaderWriter<'_>| {
        strings.iter().for_each(|(key, value)| _ = header.string(b"", key.as_bytes(), value.as_bytes()));
    };
    ttstream::encode(&mut out, head, fill, payload).unwrap();
    out
}

fn exception(type_id: i32, text: &'static str) -> BytesMut {
    let exception = crate::wire::thrift::ApplicationException::new(type_id, text);
    ttstream::exception::write(1, b"Bidi", &exception).unwrap()
}

fn failure(recv: Recv) -> Error {
    match recv {
        Recv::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn number(recv: Recv) -> i32 {
    match recv {
        Recv::Message(message) => i32::from_be_bytes(message.bytes()[3..7].try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn is_pending(recv: &Recv) -> bool {
    matches!(recv, Recv::Pending)
}

fn is_eof(recv: &Recv) -> bool {
    matches!(recv, Recv::Eof)
}

/// Number, class, side, path of an error.
fn reason(error: &Error) -> (i32, StreamClass, StreamSide, String) {
    let reason = error.stream_reason().unwrap_or_else(|| panic!("no reason: {error}"));
    (reason.code, reason.class, reason.side, String::from_utf8(reason.path.to_vec()).unwrap())
}

fn strings(header: &Header) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    header.strings().map(|(key, value)| (text(key), text(value))).collect()
}

fn has(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
