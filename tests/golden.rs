//! Bytes that Kitex put on the wire (tests/golden/README.md), read by both state machines: what a request
//! says, what a reply means, and what becomes of the connection.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use krpc::base::{Code, Error, Limits, Message, Metainfo, MetainfoKind};
use krpc::proto::call::{Request, Response};
use krpc::proto::pingpong::{Answer, ClientConn, ServerConn, Timeouts};
use krpc::wire::frame::{self, Inbound, Layout, Outbound};
use krpc::wire::keys;
use krpc::wire::outbuf::OutBuf;
use krpc::wire::thrift::MessageType;

struct Recording {
    transport: String,
    case: String,
    seq: i32,
    request: Vec<u8>,
    reply: Vec<u8>,
    kind: String,
    server_closes: bool,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kitex")
}

fn recordings() -> Vec<Recording> {
    let index = std::fs::read_to_string(folder().join("index.tsv")).unwrap();
    let rows: Vec<_> = index.lines().skip(1).map(read_row).collect();
    assert_eq!(rows.len(), 30);
    rows
}

fn read_row(line: &str) -> Recording {
    let fields: Vec<&str> = line.split('\t').collect();
    let [transport, case, seq, request_bytes, kind, reply_bytes, server_then] = fields[..] else {
        panic!("{line}")
    };
    let file = |end: &str| std::fs::read(folder().join(transport).join(format!("{case}.{end}.bin")));
    let recording = Recording {
        transport: transport.into(),
        case: case.into(),
        seq: seq.parse().unwrap(),
        request: file("request").unwrap(),
        reply: file("reply").unwrap_or_default(),
        kind: kind.into(),
        server_closes: server_then == "closes",
    };
    assert_eq!(recording.request.len().to_string(), request_bytes, "{transport}/{case}");
    assert_eq!(recording.reply.len().to_string(), reply_bytes, "{transport}/{case}");
    recording
}

impl Recording {
    fn name(&self) -> String {
        format!("{}/{}", self.transport, self.case)
    }

    fn layout(&self) -> Layout {
        match self.transport.as_str() {
            "framed" => Layout::FRAMED,
            "buffered" => Layout::BUFFERED,
            "ttheader" => Layout::TTHEADER,
            "ttheader-framed" => Layout::TTHEADER_FRAMED,
            other => panic!("{other}"),
        }
    }

    fn server(&self) -> ServerConn {
        ServerConn::new(Limits::DEFAULT, Timeouts::default(), Instant::now())
    }

    /// The request as our server reads it, when it comes in pieces of `piece` bytes.
    fn read_request(&self, server: &mut ServerConn, piece: usize) -> Inbound {
        let mut buffer = BytesMut::new();
        let mut found = None;
        for part in self.request.chunks(piece) {
            assert!(found.is_none(), "{}: complete too early", self.name());
            buffer.extend_from_slice(part);
            found = server.receive(&mut buffer, Instant::now()).unwrap();
        }
        assert!(buffer.is_empty(), "{}", self.name());
        found.unwrap_or_else(|| panic!("{}: incomplete", self.name())).1
    }

    /// The reply as our client reads it, and whether it would use the connection again.
    fn read_reply(&self, piece: usize) -> (Response, bool) {
        let request = self.read_request(&mut self.server(), self.request.len());
        let mut client = ClientConn::new(Limits::DEFAULT);
        self.ask_again(&mut client, &request);
        let mut buffer = BytesMut::new();
        let mut found = None;
        for part in self.reply.chunks(piece) {
            assert!(found.is_none(), "{}: complete too early", self.name());
            buffer.extend_from_slice(part);
            found = client.receive(&mut buffer).unwrap();
        }
        (found.unwrap_or_else(|| panic!("{}: incomplete", self.name())), client.is_reusable())
    }

    fn ask_again(&self, client: &mut ClientConn, request: &Inbound) {
        let metainfo = Metainfo::new();
        let again = Request {
            layout: request.layout,
            seq: request.seq,
            oneway: request.kind == MessageType::Oneway,
            service: "",
            method: std::str::from_utf8(&request.name).unwrap(),
            to_service: "",
            from_service: "",
            timeout: None,
            deadline: None,
            checksum: false,
            metainfo: &metainfo,
            body: &Message::new(request.layout.payload.encoding(), request.body.clone()),
        };
        client.send(&mut OutBuf::new(), &again, &request.name).unwrap();
    }
}

fn error_of(recording: &Recording) -> Option<Error> {
    recording.read_reply(recording.reply.len()).0.error
}

#[test]
fn requests_say_what_kitex_was_asked() {
    for recording in recordings() {
        for piece in [recording.request.len(), 1, 7] {
            let request = recording.read_request(&mut recording.server(), piece);
            let name = recording.name();
            assert_eq!((request.layout, request.seq), (recording.layout(), recording.seq), "{name}");
            let method: &[u8] = match recording.case.as_str() {
                "echo" => b"Echo",
                "types" => b"EchoTypes",
                "void" => b"Void",
                "oneway" => b"Fire",
                "add" => b"Add",
                "metainfo" => b"Meta",
                "unknown-method" | "unknown-service" => b"Missing",
                _ => b"Fail",
            };
            assert_eq!(&request.name[..], method, "{name}");
            let oneway = recording.case == "oneway";
            assert_eq!(request.kind == MessageType::Oneway, oneway, "{name}");
            if request.layout.ttheader {
                let header = request.header.as_ref().unwrap();
                assert_eq!(header.int(keys::int::FROM_SERVICE), Some(&b"interop.client"[..]), "{name}");
                assert_eq!(header.int(keys::int::RPC_TIMEOUT), Some(&b"10000"[..]), "{name}");
                assert_eq!(header.int(keys::int::TO_METHOD), Some(method), "{name}");
            }
        }
    }
}

#[test]
fn replies_mean_what_kitex_said() {
    for recording in recordings().iter().filter(|recording| recording.kind != "none") {
        let name = recording.name();
        for piece in [recording.reply.len(), 1, 7] {
            let (response, reusable) = recording.read_reply(piece);
            assert_eq!(response.wire_bytes, recording.reply.len(), "{name}");
            let exception = recording.kind == "exception";
            let remote = response.error.as_ref().and_then(Error::remote_exception);
            assert_eq!(remote.is_some(), exception, "{name}: {:?}", response.error);
            // A client drops a connection after any exception, whatever the server does with it.
            assert_eq!(reusable, !exception, "{name}");
        }
    }
}

#[test]
fn failures_have_kitexs_numbers_and_words() {
    for recording in &recordings() {
        let name = recording.name();
        let with_header = recording.layout().ttheader;
        let error = if recording.kind == "none" { None } else { error_of(recording) };
        let text = error.as_ref().map(|error| error.text().to_owned()).unwrap_or_default();
        let code = error.as_ref().map(Error::code);
        match recording.case.as_str() {
            "declared" => {
                let (field, exception) = error.as_ref().unwrap().declared_exception().unwrap();
                assert_eq!(field, 1, "{name}");
                assert!(exception.bytes().ends_with(b"declared\0"), "{name}");
            }
            "biz" if with_header => {
                let status = error.as_ref().unwrap().biz_status().unwrap();
                assert_eq!((status.code, &status.message[..]), (404, &b"not found"[..]), "{name}");
                let mut extra = status.extra.clone();
                extra.sort();
                let expected: [(Bytes, Bytes); 2] =
                    [("k".into(), "v".into()), ("quote".into(), "<\"é>".into())];
                assert_eq!(extra, expected, "{name}");
            }
            "error" => assert_eq!((code, &text[..]), (Some(Code::RemoteException), "biz error: plain error")),
            "trans" => {
                assert_eq!(error.as_ref().unwrap().remote_exception().unwrap().type_id, 9001);
                assert_eq!(text, "own code [biz error]");
            }
            "panic" => assert!(text.starts_with("panic: [happened in biz handler"), "{text}"),
            "unknown-method" if with_header => {
                assert_eq!(
                    (code, &text[..]),
                    (Some(Code::UnknownMethod), "unknown method Missing (service Interop)")
                );
            }
            "unknown-method" => {
                assert_eq!(
                    (code, &text[..]),
                    (Some(Code::UnknownService), "unknown service , method Missing")
                );
            }
            "unknown-service" => {
                assert_eq!(
                    (code, &text[..]),
                    (Some(Code::UnknownService), "unknown service Unknown, method Missing")
                );
            }
            _ => assert_eq!(error, None, "{name}"),
        }
    }
}

#[test]
fn metainfo_is_found_where_kitex_puts_it() {
    for recording in recordings().iter().filter(|recording| recording.case == "metainfo") {
        let request = recording.read_request(&mut recording.server(), recording.request.len());
        let (response, _) = recording.read_reply(recording.reply.len());
        if !recording.layout().ttheader {
            assert!(request.header.is_none() && response.metainfo.is_empty());
            continue;
        }
        let pairs = krpc::wire::metainfo::read_request(request.header.as_ref().unwrap());
        assert_eq!(pairs.get(MetainfoKind::Upstream, b"TRACE").unwrap(), "t-1");
        assert_eq!(pairs.get(MetainfoKind::Persistent, b"USER_ID").unwrap(), "u-1");
        assert_eq!(response.metainfo.get(MetainfoKind::Backward, b"BACK").unwrap(), "b-1");
    }
}

/// Our own answer with the same content has the size of Kitex's: no key is missing, none is too many.
#[test]
fn our_replies_are_as_long_as_kitexs() {
    for recording in recordings().iter().filter(|recording| recording.kind != "none") {
        let mut server = recording.server();
        recording.read_request(&mut server, recording.request.len());
        let (response, _) = recording.read_reply(recording.reply.len());
        let answer = match (&response.error, response.message) {
            (Some(error), message) => match (error.biz_status(), error.remote_exception()) {
                (Some(status), _) => Answer::Biz(status.clone()),
                (_, Some(remote)) => Answer::Exception(krpc::proto::pingpong::Exception {
                    type_id: remote.type_id,
                    text: remote.text.clone(),
                    close: recording.server_closes,
                }),
                _ => Answer::Message(message.unwrap()),
            },
            (None, message) => Answer::Message(message.unwrap()),
        };
        let reply = krpc::proto::pingpong::Reply { answer, metainfo: response.metainfo };
        let mut out = OutBuf::new();
        server.reply(&mut out, 0, &reply, Instant::now()).unwrap();
        assert_eq!(out.len(), recording.reply.len(), "{}", recording.name());
        assert_eq!(server.is_closing(), recording.server_closes, "{}", recording.name());
    }
}

#[test]
fn messages_without_a_header_are_written_byte_for_byte() {
    for recording in recordings().iter().filter(|recording| !recording.layout().ttheader) {
        let request = recording.read_request(&mut recording.server(), recording.request.len());
        let mut out = OutBuf::new();
        let body = Message::new(request.layout.payload.encoding(), request.body.clone());
        let outbound = Outbound {
            layout: request.layout,
            flags: 0,
            seq: request.seq,
            kind: request.kind,
            name: &request.name,
            body: &body,
        };
        frame::encode(&mut out, &outbound, |_| {}).unwrap();
        let mut written = BytesMut::new();
        out.move_to(&mut written);
        assert_eq!(written, recording.request, "{}", recording.name());
    }
}
