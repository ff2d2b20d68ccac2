//! A call on the wire, whatever else its connection carries: what is sent, and what may come back
//! (ttheader.md §2, §4).

mod ints;

pub(super) use ints::LastInts;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{Code, Encoding, Error, Message, Metainfo, Phase, Result};
use crate::wire::frame::{self, Inbound, Layout, Outbound, Payload};
use crate::wire::keys;
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::{ApplicationException, BinaryReader, MessageType, TType};
use crate::wire::ttheader::HeaderWriter;
use crate::wire::{biz, kitex_protobuf, metainfo};

/// What a call puts on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The format to send; replies may come in any format.
    pub layout: Layout,
    /// Same number in header and payload; not 0.
    pub seq: i32,
    /// Whether no reply is expected.
    pub oneway: bool,
    /// IDL name of the service, for routing (`isn`); empty leaves it to the server.
    pub service: &'a str,
    /// Method name in the payload.
    pub method: &'a str,
    /// Name of the destination, for the peer's logs.
    pub to_service: &'a str,
    /// Name of the caller, for the peer's logs.
    pub from_service: &'a str,
    /// The call's timeout as it is told to the peer.
    pub timeout: Option<Duration>,
    /// When the caller gives up.
    pub deadline: Option<Instant>,
    /// Whether the payload is sent with its checksum (ttheader.md §9).
    pub checksum: bool,
    /// Pairs that travel with the call.
    pub metainfo: &'a Metainfo,
    /// The *args* struct.
    pub body: &'a Message,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// The *result* struct, unless the peer sent an exception instead.
    pub message: Option<Message>,
    /// Pairs that the handler sent back.
    pub metainfo: Metainfo,
    /// The peer's way of saying no: exception, declared exception or business status.
    pub error: Option<Error>,
    /// Bytes that the reply took on the wire.
    pub wire_bytes: usize,
}

impl Response {
    /// The end of a oneway call. A server reads what arrived before the end of a connection, and closing
    /// with nothing unread sends no reset, so there is nothing to wait for.
    pub fn of_oneway() -> Response {
        Response { message: None, metainfo: Metainfo::new(), error: None, wire_bytes: 0 }
    }
}

/// Appends a request to `out`, with these TTHeader flags and what `extend` adds to its header. `last` is the
/// connection's. On an error nothing was appended.
pub(super) fn encode(
    out: &mut OutBuf,
    request: &Request<'_>,
    flags: u16,
    last: &mut LastInts,
    extend: impl FnOnce(&mut HeaderWriter<'_>),
) -> Result<()> {
    // A protobuf message goes in the envelope that Kitex has for it (§5).
    let payload = match request.body.encoding() {
        Encoding::PROTOBUF => Payload::KitexProtobuf,
        _ => request.layout.payload,
    };
    let outbound = Outbound {
        layout: Layout { payload, ..request.layout },
        flags,
        seq: request.seq,
        kind: if request.oneway { MessageType::Oneway } else { MessageType::Call },
        name: request.method.as_bytes(),
        body: request.body,
    };
    let header = |header: &mut HeaderWriter<'_>| {
        extend(header);
        write_header(header, request, last);
    };
    frame::encode(out, &outbound, header).map_err(|e| e.at(Phase::Send))
}

/// The keys that Kitex's client meta handler writes (§2.1, §2.2).
fn write_header(header: &mut HeaderWriter<'_>, request: &Request<'_>, last: &mut LastInts) {
    if !request.service.is_empty() {
        header.string(b"", keys::IDL_SERVICE_NAME, request.service.as_bytes());
    }
    metainfo::write(request.metainfo, header);
    if request.checksum {
        header.checksum();
    }
    last.write(header, request);
}

/// A call under way: what its reply must say.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) seq: i32,
    pub(super) method: Bytes,
    pub(super) deadline: Option<Instant>,
}

impl Expected {
    pub(super) fn of(request: &Request<'_>, method: &Bytes) -> Expected {
        Expected { seq: request.seq, method: method.clone(), deadline: request.deadline }
    }

    /// Checks a reply against its call and says what the peer answered (§4.4–§4.6, §6, §11).
    pub(super) fn read(&self, inbound: Inbound, depth_limit: u8) -> Result<Response> {
        let wire_bytes = inbound.size();
        let biz = inbound.header.as_ref().and_then(biz::read);
        let metainfo = inbound.header.as_ref().map(metainfo::read_backward).unwrap_or_default();
        match inbound.kind {
            MessageType::Reply => {
                self.check(&inbound)?;
                let message = Message::new(inbound.layout.payload.encoding(), inbound.body);
                let error = biz.map(Error::biz).or(declared_exception(&message, depth_limit)?);
                Ok(Response { message: Some(message), metainfo, error, wire_bytes })
            }
            MessageType::Exception => {
                let exception = match inbound.layout.payload {
                    Payload::ThriftBinary => ApplicationException::read(&inbound.body, depth_limit)?,
                    Payload::KitexProtobuf => kitex_protobuf::read_exception(&inbound.body)?,
                };
                // Volo answers a business error with an exception of type 6 and the status beside it.
                let error = match biz {
                    Some(biz) if exception.type_id == 6 => Error::biz(biz),
                    _ => Error::remote(exception.type_id, exception.text()),
                };
                Ok(Response { message: None, metainfo, error: Some(error), wire_bytes })
            }
            kind => {
                Err(Error::new(Code::BadMessage, format!("client side, invalid message type {}", kind as u8)))
            }
        }
    }

    fn check(&self, inbound: &Inbound) -> Result<()> {
        if inbound.name != self.method {
            let [expect, actual] = [&self.method, &inbound.name].map(|name| String::from_utf8_lossy(name));
            let text = format!("wrong method name, expect={expect}, actual={actual}");
            return Err(Error::new(Code::WrongMethod, text));
        }
        if inbound.seq != self.seq {
            let text = format!(
                "method[{}] out of order sequence response, expect[{}], receive[{}]",
                String::from_utf8_lossy(&self.method),
                self.seq,
                inbound.seq
            );
            return Err(Error::new(Code::OutOfSequence, text));
        }
        Ok(())
    }
}

/// A result struct holds at most one field: 0 is the return value, any other a declared exception
/// (§4.2). Looks at the first field only, so a large return value is not walked.
fn declared_exception(result: &Message, depth_limit: u8) -> Result<Option<Error>> {
    let (Encoding::THRIFT_BINARY, [bytes]) = (result.encoding(), result.pieces()) else { return Ok(None) };
    let &[kind, high, low, ref exception @ ..] = &bytes[..] else { return Ok(None) };
    let field = i16::from_be_bytes([high, low]);
    if kind != TType::Struct as u8 || field == 0 {
        return Ok(None);
    }
    let mut reader = BinaryReader::with_depth_limit(exception, depth_limit);
    reader.skip(TType::Struct)?;
    let body = bytes.slice_ref(exception.get(..reader.position()).unwrap_or_default());
    Ok(Some(Error::declared(field, Message::new(Encoding::THRIFT_BINARY, body))))
}
