//! The conformance server: `conformance.thrift` says what each method does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use krpc::base::lock::{Condvar, Mutex};
use krpc::base::{Biz, Encoding, Message, MetainfoKind};
use krpc::codec::json::JsonOptions;
use krpc::idl::{MemoryProvider, Options, Schema, compile};
use krpc::rpc::Address;
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use serde_json::{Value, json};

/// How often a handler that waits looks for the end of its wait.
const LOOK: Duration = Duration::from_millis(2);
/// Longer than any case; then the handler answers what it has.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn schema() -> Arc<Schema> {
    let files = MemoryProvider::new().file("conformance.thrift", include_str!("conformance.thrift"));
    compile("conformance.thrift", &files, &Options::default()).into_schema().unwrap()
}

pub fn start(address: &str) -> Server {
    let schema = schema();
    let mut first = Service::from_schema(&schema, "Conformance").unwrap();
    first.set_fallback();
    add_values(&mut first);
    add_errors(&mut first);
    add_waits(&mut first);
    add_metainfo(&mut first);
    let mut second = Service::from_schema(&schema, "Second").unwrap();
    for name in ["Text", "Only"] {
        answer(&mut second, name, |args, _| json!(format!("second:{}", args.as_str().unwrap())));
    }
    let mut options = ServerOptions::default();
    options.addresses.push(Address::parse(address).unwrap());
    options.services.extend([first, second]);
    Server::start(options).unwrap()
}

/// A method with a handler that sees the arguments and answers in its own way, or not.
fn handle(service: &mut Service, name: &str, handler: impl Fn(Value, Request) + Send + Sync + 'static) {
    let oneway = name == "Note";
    let whole = move |mut request: Request| {
        let args = request.to_json(&JsonOptions::strict()).unwrap();
        handler(serde_json::from_slice(&args).unwrap(), request);
    };
    service.add_method(name, MethodOptions { oneway, inline: false }, Arc::new(whole)).unwrap();
}

/// A method that always has a result.
fn answer(
    service: &mut Service,
    name: &str,
    handler: impl Fn(Value, &mut Request) -> Value + Send + Sync + 'static,
) {
    handle(service, name, move |args, mut request| {
        let result = handler(args, &mut request);
        reply(&mut request, &result);
    });
}

fn reply(request: &mut Request, result: &Value) {
    // A caller that has left is what some cases are about.
    let _ = request.reply_json(result.to_string().as_bytes(), &JsonOptions::strict());
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, &str)> {
    value.as_object().unwrap().iter().map(|(key, value)| (key, value.as_str().unwrap()))
}

fn add_values(service: &mut Service) {
    answer(service, "Echo", |item, _| item);
    answer(service, "Text", |text, _| text);
    answer(service, "Add", |args, _| {
        json!(args["left"].as_i64().unwrap().wrapping_add(args["right"].as_i64().unwrap()))
    });
    answer(service, "Nothing", |_, _| Value::Null);
    handle(service, "Big", |bytes, mut request| {
        let size = u32::try_from(bytes.as_u64().unwrap()).unwrap();
        let body = [&[11, 0, 0], &size.to_be_bytes()[..], &vec![b'x'; size as usize], &[0]].concat();
        let _ = request.reply(Message::new(Encoding::THRIFT_BINARY, body.into()));
    });
}

fn add_errors(service: &mut Service) {
    handle(service, "Throw", |which, mut request| {
        let thrown = match which.as_str().unwrap() {
            "wrong" => json!({"code": 7, "why": "on purpose"}),
            "other" => json!({"details": ["a", "b"]}),
            _ => return reply(&mut request, &which),
        };
        let json = thrown.to_string();
        request.throw_json(which.as_str().unwrap(), json.as_bytes(), &JsonOptions::strict()).unwrap();
    });
    handle(service, "Fail", |args, mut request| {
        let type_id = i32::try_from(args["type_id"].as_i64().unwrap()).unwrap();
        request.fail(type_id, args["text"].as_str().unwrap().as_bytes()).unwrap();
    });
    handle(service, "Biz", |args, mut request| {
        let status = Biz {
            code: i32::try_from(args["code"].as_i64().unwrap()).unwrap(),
            message: args["message"].as_str().unwrap().to_owned().into(),
            extra: pairs(&args["extra"]).map(|(k, v)| (k.clone().into(), v.to_owned().into())).collect(),
        };
        request.fail_biz(status).unwrap();
    });
    handle(service, "Die", |_, _request| panic!("on purpose"));
    handle(service, "Forget", |_, request| drop(request));
}

/// What handlers leave for others, by name.
struct Board<T> {
    kept: Mutex<HashMap<String, T>>,
    changed: Condvar,
}

impl<T: Default> Board<T> {
    fn new() -> Arc<Board<T>> {
        Arc::new(Board { kept: Mutex::default(), changed: Condvar::default() })
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut T)) {
        change(self.kept.lock().entry(name.to_owned()).or_default());
        self.changed.notify_all();
    }

    /// Takes what is there once it is enough, or all there is when the patience is over.
    fn take(&self, name: &str, enough: impl Fn(&T) -> bool) -> T {
        let end = Instant::now() + PATIENCE;
        let mut kept = self.kept.lock();
        while !kept.get(name).is_some_and(&enough) && Instant::now() < end {
            kept = self.changed.wait_for(kept, PATIENCE);
        }
        kept.remove(name).unwrap_or_default()
    }
}

fn add_waits(service: &mut Service) {
    let endings = Board::<Option<&str>>::new();
    let kept = Arc::clone(&endings);
    handle(service, "Delay", move |args, mut request| {
        let ms = args["ms"].as_u64().unwrap();
        let end = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < end && !request.is_abandoned() {
            std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
        let answered = request.reply_json(ms.to_string().as_bytes(), &JsonOptions::strict()).is_ok();
        let ending = if answered { "answered" } else { "left" };
        kept.change(args["id"].as_str().unwrap(), |how| *how = Some(ending));
    });
    answer(service, "Ended", move |id, _| {
        json!(endings.take(id.as_str().unwrap(), Option::is_some).unwrap_or("still running"))
    });

    let notes = Board::<Vec<Value>>::new();
    let kept = Arc::clone(&notes);
    handle(service, "Note", move |args, _| {
        kept.change(args["topic"].as_str().unwrap(), |notes| notes.push(args["text"].clone()));
    });
    answer(service, "Notes", move |args, _| {
        let count = usize::try_from(args["count"].as_u64().unwrap()).unwrap();
        json!(notes.take(args["topic"].as_str().unwrap(), |notes| notes.len() >= count))
    });
}

fn add_metainfo(service: &mut Service) {
    answer(service, "Seen", |_, request| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut seen = BTreeMap::new();
        for (name, value) in
            [("service", request.service()), ("method", request.method()), ("caller", request.caller())]
        {
            if !value.is_empty() {
                seen.insert(name.to_owned(), text(value));
            }
        }
        if let Some(timeout) = request.caller_timeout() {
            seen.insert("timeout_ms".to_owned(), timeout.as_millis().to_string());
        }
        for (kind, key, value) in request.metainfo().iter() {
            let kind = match kind {
                MetainfoKind::Persistent => "persistent",
                _ => "transient",
            };
            seen.insert(format!("{kind}.{}", text(key)), text(value));
        }
        json!(seen)
    });
    answer(service, "Back", |sent, request| {
        for (key, value) in pairs(&sent) {
            request.set_backward(key.clone().into(), value.to_owned().into());
        }
        json!(sent.as_object().unwrap().len())
    });
}
