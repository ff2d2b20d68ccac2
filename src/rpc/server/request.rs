//! A request in the hands of a handler: read it, answer it exactly once, from any thread.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::log::{Level, Log};
use crate::base::{Biz, Code, Encoding, Error, Message, Metainfo, MetainfoKind, Result};
use crate::codec::CallShape;
use crate::codec::json::JsonOptions;
use crate::io::{Credentials, Responder, clock};
use crate::op::operation::Cause;
use crate::proto::pingpong::{Answer, Exception, Reply};
use crate::rpc::context::Context;
use crate::rpc::server::in_flight::Permit;
use crate::wire::frame::Inbound;
use crate::wire::thrift::{ApplicationException, TType};
use crate::wire::ttheader::Header;
use crate::wire::{keys, metainfo};

/// A call to be answered: reply, throw, business failure, failure, or dropping it, which answers
/// "handler gave no answer". The first answer counts, later ones are INVALID_STATE.
pub struct Request {
    service: Bytes,
    method: Bytes,
    /// Read when somebody asks: most handlers don't.
    header: Option<Header>,
    body: Message,
    metainfo: Metainfo,
    backward: Metainfo,
    oneway: bool,
    peer: Arc<str>,
    credentials: Option<Credentials>,
    responder: Option<Responder>,
    deadline: Option<Instant>,
    context: OnceLock<Context>,
    shape: Option<CallShape>,
    /// Why the arguments could not be read, if they could not.
    unreadable: Option<Error>,
    log: Log,
    // Counted as in flight until the request is gone: by the server, and by its method's own threads.
    _permits: (Permit, Option<Permit>),
}

/// What a server gives a request that it takes.
pub(super) struct Admission {
    pub(super) permits: (Permit, Option<Permit>),
    pub(super) shape: Option<CallShape>,
    pub(super) log: Log,
}

impl Request {
    pub(super) fn new(
        service: Bytes,
        inbound: Inbound,
        responder: Responder,
        oneway: bool,
        admission: Admission,
    ) -> Request {
        Request {
            service,
            metainfo: inbound.header.as_ref().map(metainfo::read_request).unwrap_or_default(),
            header: inbound.header,
            deadline: None,
            context: OnceLock::new(),
            shape: admission.shape,
            unreadable: None,
            method: inbound.name,
            body: Message::new(inbound.layout.payload.encoding(), inbound.body),
            backward: Metainfo::new(),
            oneway,
            peer: Arc::clone(responder.peer()),
            credentials: responder.credentials(),
            responder: Some(responder),
            log: admission.log,
            _permits: admission.permits,
        }
    }

    /// Makes the caller's timeout the deadline of the request's context.
    pub(super) fn follow_caller_timeout(&mut self) {
        self.deadline = self.caller_timeout().and_then(|timeout| clock::now().checked_add(timeout));
    }

    pub(super) fn service_name(&self) -> Bytes {
        self.service.clone()
    }

    pub(super) fn method_name(&self) -> Bytes {
        self.method.clone()
    }

    pub(super) fn peer_name(&self) -> Arc<str> {
        Arc::clone(&self.peer)
    }

    /// The method's name, as the caller sent it.
    pub fn method(&self) -> &[u8] {
        &self.method
    }

    /// The name of the service that takes the call; for a catch-all as the caller sent it, which may be
    /// empty.
    pub fn service(&self) -> &[u8] {
        &self.service
    }

    /// The name that the caller gives itself, for logs; empty if it gives none. Carried by TTHeader only.
    pub fn caller(&self) -> &[u8] {
        let header = self.header.as_ref();
        header.and_then(|header| header.int(keys::int::FROM_SERVICE)).unwrap_or_default()
    }

    /// What the IDL says of its messages, if its service was made from one.
    pub fn shape(&self) -> Option<&CallShape> {
        self.shape.as_ref()
    }

    /// The request as JSON. If it does not fit the IDL, that is also what the caller is told, should the
    /// request be dropped without an answer.
    pub fn to_json(&mut self, options: &JsonOptions) -> Result<Vec<u8>> {
        let json = self.expect_shape()?.request().to_json(&self.body, options);
        if let Err(error) = &json {
            self.unreadable = Some(error.clone());
        }
        json
    }

    /// Answers with the result of this JSON. If the JSON does not fit the IDL, the request stays
    /// unanswered.
    pub fn reply_json(&mut self, json: &[u8], options: &JsonOptions) -> Result<()> {
        let shape = self.expect_shape()?;
        let result = match self.oneway {
            true => Message::empty_struct(),
            false => shape.result()?.from_json(json, options)?,
        };
        self.reply(result)
    }

    /// Throws an exception, given by its name in `throws`, its type or its field id. If that or the JSON
    /// does not fit the IDL, the request stays unanswered.
    pub fn throw_json(&mut self, exception: &str, json: &[u8], options: &JsonOptions) -> Result<()> {
        let result = self.expect_shape()?.exception_from_json(exception, json, options)?;
        self.reply(result)
    }

    fn expect_shape(&self) -> Result<&CallShape> {
        self.shape
            .as_ref()
            .ok_or_else(|| Error::new(Code::InvalidState, "the request's service was not made from an IDL"))
    }

    /// The *args* struct.
    pub fn message(&self) -> &Message {
        &self.body
    }

    /// Pairs that came with the call; hand them on to calls below.
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }

    /// The caller's address.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Which process and user made the caller's connection; UNSUPPORTED unless that is a unix socket.
    pub fn peer_credentials(&self) -> Result<Credentials> {
        self.credentials.ok_or_else(|| {
            let text = "only callers through a unix socket have credentials";
            Error::new(Code::Unsupported, text).with_peer(&self.peer)
        })
    }

    /// Whether the caller waits for no answer.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// How long the caller waits, as it told; counted from its own start.
    pub fn caller_timeout(&self) -> Option<Duration> {
        self.header.as_ref().and_then(caller_timeout)
    }

    /// The frame of the work for this request: it ends when the caller is seen to leave, and has the
    /// request's metainfo. Calls made in it travel on as they must. It may outlive the request.
    pub fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let context = Context::with(self.deadline, self.metainfo.clone());
            // A oneway caller leaves at once, and means no harm by it.
            if let Some(responder) = self.responder.as_ref().filter(|_| !self.oneway) {
                let gone = context.clone();
                responder.on_gone(Box::new(move || gone.cancel(Cause::CallerGone)));
            }
            context
        })
    }

    /// Whether the caller has been seen to leave: nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        !self.oneway && self.responder.as_ref().is_some_and(Responder::is_gone)
    }

    /// Whether the server is being stopped: an answer is still sent, but long work should end.
    pub fn is_stopping(&self) -> bool {
        self.responder.as_ref().is_some_and(Responder::is_stopping)
    }

    /// Whether it has been answered.
    pub fn is_answered(&self) -> bool {
        self.responder.is_none()
    }

    /// Sends a pair back with the answer. Carried by TTHeader only.
    pub fn set_backward(&mut self, key: Bytes, value: Bytes) {
        self.backward.set(MetainfoKind::Backward, key, value);
    }

    /// Answers with the *result* struct: field 0 is the return value, `void` is an empty struct.
    pub fn reply(&mut self, result: Message) -> Result<()> {
        self.answer(Answer::Message(result))
    }

    /// Throws an exception declared in the IDL: its field in the result struct, and its own struct.
    pub fn throw(&mut self, field_id: i16, exception: Message) -> Result<()> {
        if field_id == 0 {
            return Err(Error::invalid_argument("field_id", "0 is the return value, not an exception"));
        }
        let [high, low] = field_id.to_be_bytes();
        let field = Bytes::copy_from_slice(&[TType::Struct as u8, high, low]);
        let mut segments = Vec::with_capacity(exception.pieces().len() + 2);
        segments.push(field);
        segments.extend_from_slice(exception.pieces());
        segments.push(Bytes::from_static(&[TType::Stop as u8]));
        self.answer(Answer::Message(Message::from_segments(Encoding::THRIFT_BINARY, segments)))
    }

    /// Answers with a business status (ttheader.md §6). Carried by TTHeader only: other callers see an
    /// empty success.
    pub fn fail_biz(&mut self, status: Biz) -> Result<()> {
        if status.code == 0 {
            return Err(Error::invalid_argument("code", "0 is success, not a business error"));
        }
        self.answer(Answer::Biz(status))
    }

    /// Answers with an application exception, in Kitex's words: type 6 says `biz error: text`, others
    /// `text [biz error]`. Type 7, arguments that cannot be read, ends the connection.
    pub fn fail(&mut self, type_id: i32, text: &[u8]) -> Result<()> {
        let text = match type_id {
            ApplicationException::PROTOCOL_ERROR => text.to_vec(),
            ApplicationException::INTERNAL_ERROR => [b"biz error: ", text].concat(),
            _ => [text, b" [biz error]"].concat(),
        };
        self.exception(type_id, text.into())
    }

    /// Answers in the server's own name; the connection stays.
    pub(super) fn refuse(mut self, text: &'static str) {
        let _ = self.exception(ApplicationException::INTERNAL_ERROR, Bytes::from_static(text.as_bytes()));
    }

    /// Answers that an access check said no.
    pub(super) fn forbid(mut self, reason: &[u8]) {
        let text = [b"request forbidden: ", reason].concat();
        let _ = self.exception(ApplicationException::INTERNAL_ERROR, text.into());
    }

    fn exception(&mut self, type_id: i32, text: Bytes) -> Result<()> {
        self.answer(Answer::Exception(Exception {
            type_id,
            text,
            close: type_id == ApplicationException::PROTOCOL_ERROR,
        }))
    }

    fn answer(&mut self, answer: Answer) -> Result<()> {
        let Some(responder) = self.responder.take() else {
            return Err(Error::new(Code::InvalidState, "the request was answered before"));
        };
        if self.oneway {
            // Its caller left at once and waits for nothing, so there is nobody to miss.
            let _ = responder.send(Answer::Oneway.into());
            return Ok(());
        }
        responder.send(Reply { answer, metainfo: std::mem::take(&mut self.backward) })
    }

    /// What a caller is told whose request was dropped without an answer.
    fn excuse(&self) -> (i32, String) {
        if let Some(error) = &self.unreadable {
            return (ApplicationException::PROTOCOL_ERROR, error.text().to_owned());
        }
        if !std::thread::panicking() {
            let text = "biz error: handler gave no answer".to_owned();
            return (ApplicationException::INTERNAL_ERROR, text);
        }
        let text = format!(
            "panic: [happened in biz handler, method={}, please check the panic at the server side]",
            self.full_name()
        );
        (ApplicationException::INTERNAL_ERROR, text)
    }

    fn full_name(&self) -> String {
        let [service, method] = [&self.service, &self.method].map(|name| String::from_utf8_lossy(name));
        format!("{service}.{method}")
    }
}

/// Key 12: decimal milliseconds; what is no positive number is ignored (ttheader.md §2.1).
fn caller_timeout(header: &Header) -> Option<Duration> {
    let text = std::str::from_utf8(header.int(keys::int::RPC_TIMEOUT)?).ok()?;
    let milliseconds = text.parse().ok().filter(|milliseconds| *milliseconds > 0)?;
    Some(Duration::from_millis(milliseconds))
}

/// Dropping an unanswered request answers it.
impl Drop for Request {
    fn drop(&mut self) {
        if self.responder.is_some() {
            let why = match self.unreadable {
                Some(_) => "the arguments did not fit the IDL",
                None => "no answer was given",
            };
            self.log.write(Level::Warn, "server", format_args!("{}: {why}", self.full_name()));
            let (type_id, text) = self.excuse();
            let _ = self.exception(type_id, text.into());
        }
    }
}
