//! The other end of a connection, without the library's memory: frames and a socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bytes::BytesMut;
use krpc::base::{Encoding, Limits, Message, StreamLimits};
use krpc::rpc::Address;
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{Stream, StreamMethodOptions, StreamMode};
use krpc::wire::ttstream::{Decoded, Decoder, Frame, FrameType, Head, encode};

/// A struct with one binary field.
pub fn body(text: &[u8]) -> Message {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let bytes = [&[11, 0, 1], &length[..], text, &[0]].concat();
    Message::new(Encoding::THRIFT_BINARY, bytes.into())
}

/// Serves `Stream/Echo` with a handler on the I/O thread.
pub fn serve(mut options: ServerOptions, handler: impl Fn(Stream) + Send + Sync + 'static) -> Server {
    let mut service = Service::new("Stream").unwrap();
    let inline = StreamMethodOptions { inline: true };
    service.add_stream("Echo", StreamMode::Bidirectional, inline, Arc::new(handler)).unwrap();
    options.addresses.push(Address::parse("127.0.0.1:0").unwrap());
    options.services.push(service);
    Server::start(options).unwrap()
}

/// Appends a frame.
pub fn put(out: &mut BytesMut, id: i32, kind: FrameType, strings: &[(&str, &[u8])], payload: &[u8]) {
    let head = Head { id, kind, method: b"Echo", encoding: Encoding::THRIFT_BINARY, ints: &[] };
    let fill = |header: &mut krpc::wire::ttheader::HeaderWriter<'_>| {
        strings.iter().for_each(|(key, value)| _ = header.string(b"", key.as_bytes(), value));
    };
    encode(out, head, fill, payload).unwrap();
}

/// Appends the opening of a stream.
pub fn open(out: &mut BytesMut, id: i32) {
    put(out, id, FrameType::Header, &[("isn", b"Stream")], b"");
}

/// A client that is only a socket.
pub struct Peer {
    socket: TcpStream,
    input: BytesMut,
    decoder: Decoder,
}

impl Peer {
    pub fn of(server: &Server) -> Peer {
        let Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let decoder = Decoder::new(Limits::DEFAULT, StreamLimits::DEFAULT.header_bytes);
        Peer { socket, input: BytesMut::with_capacity(65536), decoder }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// A handle that only writes.
    pub fn writer(&self) -> TcpStream {
        self.socket.try_clone().unwrap()
    }

    /// The next frame.
    pub fn read(&mut self) -> Frame {
        loop {
            match self.decoder.decode(&mut self.input).unwrap() {
                Some(Decoded::Frame(frame)) => return frame,
                Some(Decoded::Refused { id, error }) => panic!("frame of {id}: {error}"),
                None => {}
            }
            let mut more = [0; 16384];
            let count = self.socket.read(&mut more).unwrap();
            assert!(count > 0, "the server has closed the connection");
            self.input.extend_from_slice(&more[..count]);
        }
    }

    /// The next frame of a stream; what others get is passed over.
    pub fn read_of(&mut self, id: i32) -> Frame {
        loop {
            let frame = self.read();
            if frame.id == id {
                return frame;
            }
        }
    }

    /// Sends a message on a stream whose handler echoes, and waits for its echo.
    pub fn echo(&mut self, id: i32, text: &[u8]) {
        let mut out = BytesMut::new();
        put(&mut out, id, FrameType::Data, &[], &body(text).bytes());
        self.write(&out);
        loop {
            let frame = self.read_of(id);
            if frame.kind == FrameType::Data {
                return assert_eq!(frame.payload, body(text).bytes());
            }
            assert_eq!(frame.kind, FrameType::Header, "{frame:?}");
        }
    }
}

/// Echoes by callbacks until the peer has said everything.
pub fn echo(stream: Stream) {
    use krpc::base::Result;
    use krpc::op::operation::{self, Finished};
    use krpc::rpc::stream::Finish;

    let next = stream.clone();
    let received = move |finished: Finished<Result<Option<Message>>>| match finished.take() {
        Some(Ok(Some(message))) => {
            let after = next.clone();
            let sent = move |_: Finished<Result<()>>| echo(after);
            let (operation, completer) = operation::new(Some(Box::new(sent)));
            operation.forget_handle();
            next.start_send(message, completer);
        }
        _ => drop(next.finish(Finish::Ok)),
    };
    let (operation, completer) = operation::new(Some(Box::new(received)));
    operation.forget_handle();
    stream.start_recv(completer);
}
