//! Makes the calls of a case and looks at how they ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use krpc::base::{Error, Metainfo, MetainfoKind};
use krpc::codec::json::{JsonOptions, ReplyJson, reply_to_json, request_from_json, struct_to_json};
use krpc::idl::Schema;
use krpc::idl::schema::Type;
use krpc::op::operation::Cause;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Reply};
use krpc::rpc::{Address, Context, ContextOptions};
use socket2::{Domain, Socket};

use crate::case::{Call, Case, ClientWords, Expect, Wire};

type Wrong = String;
type Pairs = BTreeMap<String, String>;

/// A case has a client of its own, which all its calls share.
pub fn case(schema: &Arc<Schema>, address: &str, wire: Wire, case: &Case) -> Result<(), Wrong> {
    // Bound and not listening: nobody else gets the port meanwhile.
    let nobody = Socket::new(Domain::IPV4, socket2::Type::STREAM, None).map_err(|error| error.to_string())?;
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).map_err(|error| error.to_string())?;
    let refused = nobody.local_addr().ok().and_then(|address| address.as_socket()).ok_or("no port")?;
    let address = if case.client.refused { &refused.to_string() } else { address };
    let client = client(address, wire, &case.client)?;
    let topic = format!("{}, {}", case.name, wire.name());
    for (index, call) in case.calls.iter().enumerate() {
        for round in 0..call.repeat {
            one_call(schema, &client, wire, &call.filled(&topic))
                .map_err(|why| format!("call {} ({}), round {}: {why}", index + 1, call.method, round + 1))?;
        }
    }
    Ok(())
}

fn client(address: &str, wire: Wire, words: &ClientWords) -> Result<Arc<Client>, Wrong> {
    let mut options = ClientOptions::new("conformance");
    options.caller = words.caller.clone().unwrap_or_default();
    options.addresses.push(Address::parse(address).map_err(|error| error.to_string())?);
    options.transport = wire.transport();
    options.pool.multiplexed = usize::from(wire == Wire::Mux);
    options.timeout = Some(Duration::from_millis(words.timeout_ms.unwrap_or(20_000)));
    options.tell_timeout = words.tell_timeout.unwrap_or(true);
    options.pool.connect_timeout = Duration::from_secs(5);
    if let Some(bytes) = words.max_frame_bytes {
        options.pool.limits.frame_bytes = bytes;
    }
    if let Some(count) = words.max_idle {
        options.pool.max_idle = count;
    }
    Client::new(options).map_err(|error| error.to_string())
}

fn metainfo(words: &BTreeMap<String, Pairs>) -> Metainfo {
    let mut metainfo = Metainfo::new();
    for (kind, pairs) in words {
        let kind = match &kind[..] {
            "transient" => MetainfoKind::Transient,
            "persistent" => MetainfoKind::Persistent,
            "backward" => MetainfoKind::Backward,
            "upstream" => MetainfoKind::Upstream,
            _ => panic!("no such kind of metainfo: {kind}"),
        };
        for (key, value) in pairs {
            metainfo.set(kind, key.clone(), value.clone());
        }
    }
    metainfo
}

fn one_call(schema: &Arc<Schema>, client: &Arc<Client>, wire: Wire, call: &Call) -> Result<(), Wrong> {
    let expect = call.expect_over(wire);
    let method = Method::from_schema(schema, &call.method).map_err(|error| error.to_string())?;
    let found = schema.method(schema.find_method(&call.method).map_err(|error| error.to_string())?);
    let request = request_from_json(schema, found, call.request.as_bytes(), &JsonOptions::strict());
    let request = match (request, &expect.request_error) {
        (Err(error), Some(wanted)) => return same("request_error", error.code().name(), wanted),
        (Err(error), None) => return Err(format!("the request: {error}")),
        (Ok(_), Some(wanted)) => return Err(format!("the request was made, want {wanted}")),
        (Ok(request), None) => request,
    };

    let given = call.parent.clone().unwrap_or_default();
    let parent = Context::new(
        None,
        ContextOptions {
            timeout: given.timeout_ms.map(Duration::from_millis),
            metainfo: metainfo(&given.metainfo),
        },
    );
    if call.cancel_after_ms == Some(0) {
        parent.cancel(Cause::ByHost);
    }
    let canceller = call.cancel_after_ms.filter(|ms| *ms > 0).map(|ms| {
        let parent = parent.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(ms));
            parent.cancel(Cause::ByHost);
        })
    });
    let own = metainfo(&call.metainfo);
    let options = CallOptions {
        timeout: call.timeout_ms.map(Duration::from_millis),
        metainfo: Some(&own),
        parent: Some(&parent),
        ..CallOptions::default()
    };
    let started = Instant::now();
    let reply = client.call(&method, &request, &options);
    let took = started.elapsed();
    if let Some(canceller) = canceller {
        canceller.join().unwrap();
    }
    look(schema, call, &expect, &reply, took)
}

fn look(
    schema: &Arc<Schema>,
    call: &Call,
    expect: &Expect,
    reply: &Reply,
    took: Duration,
) -> Result<(), Wrong> {
    let status = reply.error().map_or("OK", |error| error.code().name());
    let wanted = expect.status.as_deref().unwrap_or("OK");
    if status != wanted {
        let why = reply.error().map(ToString::to_string).unwrap_or_default();
        return Err(format!("status: got {status} {why}, want {wanted}"));
    }
    if let Some(error) = reply.error() {
        look_at_error(schema, call, expect, error)?;
    }
    if let Some(result) = &expect.result {
        let found = schema.method(schema.find_method(&call.method).unwrap());
        let message = reply.message().ok_or("no result came")?;
        let json = match reply_to_json(schema, found, message, &JsonOptions::strict()) {
            Ok(ReplyJson::Success(json)) => String::from_utf8(json).map_err(|error| error.to_string())?,
            Ok(ReplyJson::Void) => "null".to_owned(),
            other => return Err(format!("the result: {other:?}")),
        };
        same("result", &json, result)?;
    }
    if let Some(backward) = &expect.backward {
        let got: Pairs = reply.metainfo().iter().map(|(_, key, value)| (text(key), text(value))).collect();
        same("backward", &got, backward)?;
    }
    let facts = reply.facts();
    maybe("attempts", &facts.attempts, expect.attempts.as_ref())?;
    maybe("reused", &facts.reused_connection, expect.reused.as_ref())?;
    let ms = took.as_millis();
    if expect.at_least_ms.is_some_and(|least| ms < u128::from(least)) {
        return Err(format!("ended after {ms} ms, want at least {:?}", expect.at_least_ms));
    }
    if expect.below_ms.is_some_and(|below| ms >= u128::from(below)) {
        return Err(format!("ended after {ms} ms, want less than {:?}", expect.below_ms));
    }
    match expect.reply_bytes_at_least {
        Some(least) if facts.reply_bytes < least => {
            Err(format!("a reply of {} bytes, want at least {least}", facts.reply_bytes))
        }
        _ => Ok(()),
    }
}

fn look_at_error(schema: &Arc<Schema>, call: &Call, expect: &Expect, error: &Error) -> Result<(), Wrong> {
    maybe("text", error.text(), expect.text.as_deref())?;
    if let Some(part) = expect.text_has.as_deref().filter(|part| !error.text().contains(part)) {
        return Err(format!("text: {:?} is not in {:?}", part, error.text()));
    }
    maybe("phase", error.phase().name(), expect.phase.as_deref())?;
    maybe("retryable", &error.retryable(), expect.retryable.as_ref())?;
    let remote = error.remote_exception();
    maybe("remote_type", &remote.map_or(0, |remote| remote.type_id), expect.remote_type.as_ref())?;
    let remote_text = remote.map_or(String::new(), |remote| text(&remote.text));
    maybe("remote_text", &remote_text, expect.remote_text.as_ref())?;
    let biz = error.biz_status().cloned().unwrap_or_default();
    maybe("biz_code", &biz.code, expect.biz_code.as_ref())?;
    maybe("biz_message", &text(&biz.message), expect.biz_message.as_ref())?;
    let extra = biz.extra.iter().map(|(key, value)| (text(key), text(value))).collect();
    maybe("biz_extra", &extra, expect.biz_extra.as_ref())?;
    if let Some(name) = &expect.exception {
        let (field, message) = error.declared_exception().ok_or("no declared exception")?;
        let found = schema.method(schema.find_method(&call.method).unwrap());
        let thrown = found.result.and_then(|result| schema.structure(result).field(field));
        same("exception", thrown.map_or("none", |field| &field.name), name)?;
        let Some(Type::Struct(shape)) = thrown.map(|field| field.ty) else {
            return Err(format!("field {field} is no exception of the IDL"));
        };
        let mut json = Vec::new();
        struct_to_json(schema, shape, &message.bytes(), &JsonOptions::strict(), &mut json)
            .map_err(|error| error.to_string())?;
        maybe("exception_json", &text(&json), expect.exception_json.as_ref())?;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn maybe<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    got: &T,
    want: Option<&T>,
) -> Result<(), Wrong> {
    want.map_or(Ok(()), |want| same(what, got, want))
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, got: &T, want: &T) -> Result<(), Wrong> {
    if got == want {
        return Ok(());
    }
    let mut why = format!("{what}: got {got:?}, want {want:?}");
    why.truncate(why.char_indices().nth(1000).map_or(why.len(), |(at, _)| at));
    Err(why)
}
