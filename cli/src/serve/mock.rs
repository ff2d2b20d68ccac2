//! What one method answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use krpc::base::{Biz, Encoding, Error, Message};
use krpc::codec::Cursor;
use krpc::codec::json::{JsonOptions, NonFinite, reply_from_json, request_to_json};
use krpc::idl::Schema;
use krpc::idl::schema::{Method, MethodId};
use krpc::idl::template::{self, Style};
use krpc::rpc::server::Request;
use krpc::wire::thrift::ApplicationException;

use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::serve::answers::{Answer, What};
use crate::serve::timer::Timer;

/// The handler of a method.
pub struct Mock {
    schema: Arc<Schema>,
    method: MethodId,
    path: String,
    answers: Vec<Answer>,
    next: AtomicUsize,
    /// The argument that is the answer, and its type on the wire.
    echoed: Option<(i16, u8)>,
    /// Result struct for calls without such an argument.
    example: Message,
    verbose: u8,
    timer: Arc<Timer>,
}

impl Mock {
    pub fn new(
        schema: &Arc<Schema>,
        method: MethodId,
        path: String,
        answers: Vec<Answer>,
        verbose: u8,
        timer: Arc<Timer>,
    ) -> Result<Mock> {
        let declared = schema.method(method);
        Ok(Mock {
            example: example(schema, declared, &path)?,
            echoed: echoed(schema, declared),
            schema: Arc::clone(schema),
            method,
            path,
            answers,
            next: AtomicUsize::new(0),
            verbose,
            timer,
        })
    }

    /// Takes a request and answers it, at once or when its delay is over.
    pub fn handle(self: &Arc<Mock>, request: Request) {
        let started = Instant::now();
        if self.verbose > 1 {
            self.show(&request);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let delay = self.answer(turn).map(|answer| answer.delay).filter(|delay| !delay.is_zero());
        match delay {
            None => self.finish(request, turn, started),
            Some(delay) => {
                let mock = Arc::clone(self);
                self.timer.after(delay, move || mock.finish(request, turn, started));
            }
        }
    }

    fn answer(&self, turn: usize) -> Option<&Answer> {
        self.answers.get(turn.checked_rem(self.answers.len())?)
    }

    fn finish(&self, mut request: Request, turn: usize, started: Instant) {
        let answer = self.answer(turn);
        for (key, value) in answer.map(|answer| &answer.backward[..]).unwrap_or_default() {
            request.set_backward(key.clone().into_bytes().into(), value.clone().into_bytes().into());
        }
        let said = match answer.map_or(&What::Default, |answer| &answer.what) {
            What::Default => self.reply_by_default(&mut request),
            What::Result(result) => request.reply(result.clone()).map(|()| "result".to_owned()),
            What::Exception { name, message } => {
                request.reply(message.clone()).map(|()| format!("exception {name}"))
            }
            What::Biz { code, message, extra } => {
                let pair = |(key, value): &(String, String)| {
                    (key.clone().into_bytes().into(), value.clone().into_bytes().into())
                };
                let status = Biz {
                    code: *code,
                    message: message.clone().into_bytes().into(),
                    extra: extra.iter().map(pair).collect(),
                };
                request.fail_biz(status).map(|()| format!("business error {code}"))
            }
            What::Error { type_id, message } => {
                request.fail(*type_id, message.as_bytes()).map(|()| format!("error {type_id}"))
            }
        };
        if self.verbose > 0 {
            self.talk(&request, &said.unwrap_or_else(|error| error.to_string()), started);
        }
    }

    fn reply_by_default(&self, request: &mut Request) -> krpc::base::Result<String> {
        let said = |what: &str| if request.is_oneway() { "oneway".to_owned() } else { what.to_owned() };
        match self.echo(request.message()) {
            Ok(Some(echo)) => {
                let said = said("echo");
                request.reply(echo).map(|()| said)
            }
            Ok(None) => {
                let said = said("example");
                request.reply(self.example.clone()).map(|()| said)
            }
            Err(error) => {
                let text = format!("arguments: {error}");
                let answered = request.fail(ApplicationException::PROTOCOL_ERROR, text.as_bytes());
                answered.map(|()| text)
            }
        }
    }

    /// The echoed argument as a result, its bytes shared with the request.
    fn echo(&self, arguments: &Message) -> Result<Option<Message>, Error> {
        let Some((id, wire_type)) = self.echoed else { return Ok(None) };
        let mut cursor = Cursor::new(arguments)?;
        match cursor.find(id)? {
            Some(found) if found as u8 == wire_type => {}
            _ => return Ok(None),
        }
        let value = arguments.bytes().slice(cursor.skip()?);
        cursor.end()?;
        let head = vec![wire_type, 0, 0].into();
        Ok(Some(Message::from_segments(Encoding::THRIFT_BINARY, vec![head, value, vec![0].into()])))
    }

    /// The request, when it arrives.
    fn show(&self, request: &Request) {
        let options =
            JsonOptions { bare_strings: false, non_finite: NonFinite::Null, ..JsonOptions::default() };
        let method = self.schema.method(self.method);
        let shown = match request_to_json(&self.schema, method, request.message(), &options) {
            Ok(json) => String::from_utf8_lossy(&json).into_owned(),
            Err(error) => error.to_string(),
        };
        output::say(&output::printable(&format!("{} from {}: {shown}", self.path, request.peer())));
    }

    /// The answer, when it has been given.
    fn talk(&self, request: &Request, said: &str, started: Instant) {
        let (path, peer, size) = (&self.path, request.peer(), request.message().len());
        let millis = started.elapsed().as_secs_f64() * 1e3;
        output::say(&output::printable(&format!("{path} from {peer}: {size} bytes, {said}, {millis:.3} ms")));
    }
}

/// The first argument whose type is the result's type.
pub fn echoed(schema: &Schema, method: &Method) -> Option<(i16, u8)> {
    let canonical = |ty| schema.type_info(ty).canonical;
    let wanted = canonical(method.response?);
    let mut arguments = schema.structure(method.arguments).declared();
    let argument = arguments.find(|argument| canonical(argument.type_id) == wanted)?;
    Some((argument.id, argument.ty.wire_type()))
}

/// The example value of a result, made from the IDL; an empty struct if there is none.
pub fn example(schema: &Schema, method: &Method, path: &str) -> Result<Message> {
    if method.response.is_none() {
        return Ok(Message::empty_struct());
    }
    let json = template::result(schema, path, Style::Json).map_err(Failure::usage)?;
    let options = JsonOptions { bare_strings: false, ..JsonOptions::default() };
    reply_from_json(schema, method, json.as_bytes(), &options)
        .map_err(|error| Failure::library(Exit::Usage, &format!("example of {path}"), &error))
}
