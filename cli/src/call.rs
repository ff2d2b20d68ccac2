//! `krpc call`: one call or stream, its results on stdout.

mod stream;
mod values;

use std::collections::BTreeMap;

use krpc::base::{Biz, Code, Error, Metainfo, MetainfoKind};
use krpc::codec::Cursor;
use krpc::codec::json::{JsonOptions, NonFinite, ReplyJson, reply_to_json};
use krpc::idl::schema::Type;
use krpc::op::operation::Cause;
use krpc::rpc::call::Reply;
use krpc::rpc::{Context, ContextOptions};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{CallArgs, Layout};
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::retry::Tried;
use crate::target::{self, Target};
use crate::{input, output, signals};

pub fn run(mut args: CallArgs) -> Result<Exit> {
    let json_status = args.json_status;
    match call(&mut args) {
        Err(failure) if json_status => {
            let status = Status {
                status: "error",
                code: failure.code,
                message: Some(failure.text),
                ..Status::default()
            };
            status.say();
            Ok(failure.exit)
        }
        outcome => outcome,
    }
}

fn call(args: &mut CallArgs) -> Result<Exit> {
    signals::watch()?;
    let settings = Settings::load(&args.target.config)?;
    let layout = settings.layout(args.output)?;
    let target = Target::new(&mut args.target, &settings)?;
    if let Some(mode) = target.mode() {
        target::check_header(target.transport, "streams")?;
        return stream::call(args, &target, mode, layout.unwrap_or(Layout::Compact));
    }
    if args.streaming || args.recv_timeout.is_some() {
        let flag = if args.streaming { "--streaming" } else { "--recv-timeout" };
        return Err(Failure::usage(format_args!("{flag}: {} does not stream in the IDL", target.found.path)));
    }
    let layout = layout.unwrap_or(Layout::Pretty);
    if args.biz_error {
        target::check_header(target.transport, "transmitting biz error")?;
    }
    if args.meta_backward {
        target::check_header(target.transport, "transmitting meta information")?;
    }
    let request = target.request(&request_text(args, &target)?)?;

    if args.verbose {
        output::say(&format!(
            "> {} to {}, {}, {} bytes",
            target.found.path,
            target.endpoint_names(),
            target::transport_name(target.transport),
            request.len()
        ));
    }
    let work = Context::new(None, ContextOptions::default());
    let cancelled = work.clone();
    signals::on_interrupt(move || cancelled.cancel(Cause::ByHost));
    let reply = target.call(&request, Some(&work));
    if signals::interrupted() {
        return Err(Failure::interrupted());
    }
    finish(args, &target, &reply, layout)
}

fn request_text(args: &CallArgs, target: &Target) -> Result<Vec<u8>> {
    match input::given(args.data.as_deref(), &args.file)? {
        Some(text) => Ok(text),
        None if target.needs_no_request() => Ok(b"{}".to_vec()),
        None => input::stdin(),
    }
}

fn finish(args: &CallArgs, target: &Target, reply: &Reply, layout: Layout) -> Result<Exit> {
    let outcome = Outcome::of(target, reply)?;
    if let Outcome::Result(json) = &outcome {
        output::result(&printed(target, reply, json, layout)?)?;
    }
    if args.json_status {
        outcome.status(target, reply).say();
        return Ok(outcome.exit());
    }
    if args.verbose {
        let facts = reply.facts();
        output::say(&format!(
            "< {} from {}, {} bytes, {:.3} ms",
            outcome.code(),
            reply.peer().unwrap_or("nobody"),
            facts.reply_bytes,
            facts.elapsed.as_secs_f64() * 1e3
        ));
    }
    if args.meta_backward && !args.quiet {
        let pairs = serde_json::to_string(&backward(reply.metainfo())).unwrap_or_default();
        output::say(&format!("{}\n{pairs}", output::painted("32", "Received metainfo from server:")));
    }
    match outcome.failure(target) {
        Some(failure) => Err(failure),
        None => Ok(outcome.exit()),
    }
}

/// How a call ended, as far as this program tells endings apart.
enum Outcome {
    /// The result as JSON; `None` for oneway.
    Result(Option<Vec<u8>>),
    /// A declared exception: its type's name and its JSON.
    Thrown(String, Vec<u8>),
    Biz(Biz),
    Error(Error),
}

impl Outcome {
    fn of(target: &Target, reply: &Reply) -> Result<Outcome> {
        if let Some(error) = reply.error().filter(|error| error.code() != Code::DeclaredException) {
            return Ok(match error.biz_status() {
                Some(biz) => Outcome::Biz(biz.clone()),
                None => Outcome::Error(error.clone()),
            });
        }
        let method = target.schema.method(target.found.id);
        let Some(message) = reply.message().filter(|_| !method.oneway) else {
            return Ok(Outcome::Result(None));
        };
        // Output is for reading: what the peer may send and JSON can show is shown.
        let options =
            JsonOptions { bare_strings: false, non_finite: NonFinite::Null, ..JsonOptions::default() };
        match reply_to_json(&target.schema, method, message, &options) {
            Ok(ReplyJson::Success(json)) => Ok(Outcome::Result(Some(json))),
            Ok(ReplyJson::Void) => Ok(Outcome::Result(Some(b"null".to_vec()))),
            Ok(ReplyJson::Exception { field, json, .. }) => {
                Ok(Outcome::Thrown(thrown_name(target, field), json))
            }
            Err(error) => {
                let peer = reply.peer().unwrap_or("the peer");
                Ok(Outcome::Error(error.with_method(&target.found.path).with_peer(peer)))
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Outcome::Result(_) => Exit::Ok,
            Outcome::Thrown(..) => Exit::Rpc,
            Outcome::Biz(_) => Exit::Biz,
            Outcome::Error(error) => Exit::of_call(error.code()),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Outcome::Result(_) => "OK",
            Outcome::Thrown(..) => Code::DeclaredException.name(),
            Outcome::Biz(_) => Code::BizStatus.name(),
            Outcome::Error(error) => error.code().name(),
        }
    }

    fn failure(&self, target: &Target) -> Option<Failure> {
        let path = &target.found.path;
        let text = match self {
            Outcome::Result(_) => return None,
            Outcome::Thrown(name, json) => format!("{path} threw {name} {}", String::from_utf8_lossy(json)),
            Outcome::Biz(biz) => {
                let extra =
                    if biz.extra.is_empty() { String::new() } else { format!(" {}", pairs_as_json(biz)) };
                format!(
                    "{path}: business error {}: {}{extra}",
                    biz.code,
                    String::from_utf8_lossy(&biz.message)
                )
            }
            Outcome::Error(error) => match target.hint(error) {
                Some(hint) => format!("{error}\n  {hint}"),
                None => error.to_string(),
            },
        };
        Some(Failure { exit: self.exit(), code: self.code(), text, laid_out: false })
    }

    fn status<'a>(&self, target: &'a Target, reply: &'a Reply) -> Status<'a> {
        let facts = reply.facts();
        let mut status = Status {
            method: Some(&target.found.path),
            endpoint: reply.peer(),
            latency_us: Some(facts.elapsed.as_micros().try_into().unwrap_or(u64::MAX)),
            request_bytes: Some(facts.request_bytes),
            reply_bytes: Some(facts.reply_bytes),
            attempts: Some(facts.attempts),
            tried: Tried::all(reply),
            meta: backward(reply.metainfo()),
            ..Status::default()
        };
        self.fill(target, &mut status);
        status
    }

    /// Says what the outcome itself has to say.
    fn fill(&self, target: &Target, status: &mut Status<'_>) {
        status.status = if self.exit() == Exit::Ok { "ok" } else { "error" };
        status.code = self.code();
        status.message = self.failure(target).map(|failure| failure.text);
        match self {
            Outcome::Result(_) => {}
            Outcome::Thrown(name, json) => {
                let value = String::from_utf8_lossy(json).into_owned();
                status.exception =
                    RawValue::from_string(value).ok().map(|value| Thrown { name: name.clone(), value });
            }
            Outcome::Biz(biz) => {
                status.biz = Some(BizStatus {
                    code: biz.code,
                    message: String::from_utf8_lossy(&biz.message).into_owned(),
                    extra: extra(biz),
                });
            }
            Outcome::Error(error) => {
                status.phase = Some(error.phase().name());
                status.retryable = Some(error.retryable());
                status.exception_type = error.remote_exception().map(|remote| remote.type_id);
            }
        }
    }
}

/// The type's name of the exception in this field of the result.
fn thrown_name(target: &Target, field: i16) -> String {
    let result = target.schema.method(target.found.id).result.map(|id| target.schema.structure(id));
    let field = result.and_then(|result| result.field(field));
    field.map(|field| target.schema.type_name(field.type_id)).unwrap_or_default()
}

/// The result in the layout asked for, with a newline unless it is raw bytes.
fn printed(target: &Target, reply: &Reply, json: &Option<Vec<u8>>, layout: Layout) -> Result<Vec<u8>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let response = target.schema.method(target.found.id).response.map(|ty| target.schema.ty(ty));
    if let (Layout::Raw, Some(ty @ (Type::String | Type::Binary)), Some(message)) =
        (layout, response, reply.message())
    {
        let wrong = |error: Error| Failure::library(Exit::Rpc, &target.found.path, &error);
        let mut cursor = Cursor::new(message).map_err(wrong)?;
        if cursor.find(0).map_err(wrong)?.is_some() {
            let mut bytes = cursor.bytes().map_err(wrong)?.to_vec();
            if ty == Type::String {
                bytes.push(b'\n');
            }
            return Ok(bytes);
        }
    }
    let mut text = output::layout(json, layout);
    text.push(b'\n');
    Ok(text)
}

/// What `--json-status` prints; absent facts have no key.
#[derive(Serialize, Default)]
struct Status<'a> {
    status: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    /// TApplicationException's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception_type: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Thrown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz: Option<BizStatus>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// The attempts of a call that took several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tried: Vec<Tried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_received: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    trailer: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Thrown {
    name: String,
    value: Box<RawValue>,
}

#[derive(Serialize)]
struct BizStatus {
    code: i32,
    message: String,
    extra: BTreeMap<String, String>,
}

impl Status<'_> {
    fn say(&self) {
        output::say(&serde_json::to_string(self).unwrap_or_default());
    }
}

fn backward(metainfo: &Metainfo) -> BTreeMap<String, String> {
    let pairs = metainfo.iter().filter(|(kind, ..)| *kind == MetainfoKind::Backward);
    pairs.map(|(_, key, value)| (lossy(key), lossy(value))).collect()
}

fn extra(biz: &Biz) -> BTreeMap<String, String> {
    biz.extra.iter().map(|(key, value)| (lossy(key), lossy(value))).collect()
}

fn pairs_as_json(biz: &Biz) -> String {
    serde_json::to_string(&extra(biz)).unwrap_or_default()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
