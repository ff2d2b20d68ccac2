//! Whom to call and how: what `call` and `bench` have in common.

use std::sync::Arc;
use std::time::Duration;

use krpc::base::{Code, Error, Message, Metainfo, MetainfoKind};
use krpc::codec::json::{JsonOptions, request_from_json};
use krpc::idl::Schema;
use krpc::idl::schema::Streaming;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Reply, Transport};
use krpc::rpc::stream::{RecvTimeout, Stream, StreamMode, StreamOptions};
use krpc::rpc::{Address, Context};

use crate::args::{TargetArgs, TransportArg};
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::idl::{self, Found};
use crate::retry;

/// A method of a destination, ready to be called.
pub struct Target {
    pub schema: Arc<Schema>,
    pub found: Found,
    pub client: Arc<Client>,
    pub transport: TransportArg,
    pub endpoints: Vec<Address>,
    method: Method,
    metainfo: Metainfo,
    timeout: Option<Duration>,
}

impl Target {
    /// Checks in kitexcall's order: IDL, method and endpoint, transport.
    pub fn new(args: &mut TargetArgs, settings: &Settings) -> Result<Target> {
        settings.fill_target(args)?;
        let retry = retry::policy(args)?;
        let schema = idl::load(&args.idl)?;
        let found = idl::find(&schema, args.method.as_deref())?;
        let endpoints = addresses(&args.endpoint)?;
        let (transport, name) = transport(args.transport)?;
        let method = match schema.method(found.id).streaming.is_stream() {
            true => Method::stream_from_schema(&schema, &found.path).map(|(method, _)| method),
            false => Method::from_schema(&schema, &found.path),
        };
        let method = method.map_err(|error| Failure::usage(error.text()))?;
        let mut options = ClientOptions::new(&*found.service);
        options.caller = "krpc".to_owned();
        options.addresses = endpoints.clone();
        options.transport = transport;
        options.timeout = args.timeout;
        options.retries = retry.map(|policy| ("*".to_owned(), policy)).into_iter().collect();
        let client = Client::new(options).map_err(|error| Failure::library(Exit::Usage, "client", &error))?;
        let metainfo = metainfo(args);
        if !metainfo.is_empty() {
            check_header(name, "transmitting meta information")?;
        }
        Ok(Target {
            schema,
            found,
            client,
            transport: name,
            endpoints,
            method,
            metainfo,
            timeout: args.timeout,
        })
    }

    /// The arguments of a request given as JSON.
    pub fn request(&self, json: &[u8]) -> Result<Message> {
        let method = self.schema.method(self.found.id);
        request_from_json(&self.schema, method, json, &JsonOptions::strict()).map_err(|error| {
            Failure::library(Exit::Usage, &format!("request of {}", self.found.path), &error)
        })
    }

    /// Whether the method takes no arguments, so that there is nothing to ask for.
    pub fn needs_no_request(&self) -> bool {
        let method = self.schema.method(self.found.id);
        self.schema.structure(method.arguments).fields().is_empty()
    }

    /// Which sides stream; `None` for calls.
    pub fn mode(&self) -> Option<StreamMode> {
        self.method.mode()
    }

    pub fn streaming(&self) -> Streaming {
        self.schema.method(self.found.id).streaming
    }

    pub fn endpoint_names(&self) -> String {
        self.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    }

    /// Opens a stream as part of a piece of work that may be cancelled.
    pub fn open(&self, recv_timeout: Option<Duration>, parent: &Context) -> krpc::base::Result<Stream> {
        let options = StreamOptions {
            timeout: self.timeout,
            recv_timeout: recv_timeout.map(|timeout| RecvTimeout { timeout, keep_stream: false }),
            metainfo: Some(&self.metainfo),
            parent: Some(parent),
            ..StreamOptions::default()
        };
        self.client.open_stream(&self.method, &options)
    }

    /// What else may help somebody whose call or stream failed like this.
    pub fn hint(&self, error: &Error) -> Option<String> {
        match (self.mode(), error.code()) {
            (Some(_), Code::ConnectionLost | Code::StreamProtocol | Code::BadHeader | Code::BadMessage) => {
                Some("perhaps the peer does not serve streams over TTHeader".to_owned())
            }
            _ => hint(error, self.transport),
        }
    }

    /// Calls as part of a piece of work that may be cancelled.
    pub fn call(&self, request: &Message, parent: Option<&Context>) -> Reply {
        let options = CallOptions { metainfo: Some(&self.metainfo), parent, ..CallOptions::default() };
        self.client.call(&self.method, request, &options)
    }
}

/// The destination's addresses.
fn addresses(endpoints: &[String]) -> Result<Vec<Address>> {
    if endpoints.is_empty() {
        return Err(Failure::usage(
            "At least one endpoint must be specified; give --endpoint HOST:PORT or unix:PATH",
        ));
    }
    endpoints.iter().map(|text| address("endpoint", text)).collect()
}

/// An address that was written on the command line.
pub fn address(what: &str, text: &str) -> Result<Address> {
    Address::parse(text).map_err(|error| {
        let why = error.text().trim_start_matches("address: ");
        Failure::usage(format_args!("{what}: {why}"))
    })
}

fn transport(chosen: Option<TransportArg>) -> Result<(Transport, TransportArg)> {
    let name = chosen.unwrap_or(TransportArg::TtheaderFramed);
    let transport = match name {
        TransportArg::Ttheader => Transport::Ttheader,
        TransportArg::TtheaderFramed => Transport::TtheaderFramed,
        TransportArg::Framed => Transport::Framed,
        TransportArg::Buffered => Transport::Buffered,
        TransportArg::Mux => {
            return Err(Failure::unsupported("multiplexed connections are not in this version"));
        }
        TransportArg::Grpc => return Err(Failure::unsupported("gRPC is not in this version")),
    };
    Ok((transport, name))
}

/// Refuses a transport without a header for what only a header can carry; kitexcall's words.
pub fn check_header(transport: TransportArg, what: &str) -> Result<()> {
    match transport {
        TransportArg::Framed | TransportArg::Buffered => Err(Failure::usage(format_args!(
            "It looks like the transport protocol does not support {what}, use --transport ttheader-framed or ttheader please"
        ))),
        _ => Ok(()),
    }
}

fn metainfo(args: &TargetArgs) -> Metainfo {
    let mut metainfo = Metainfo::new();
    for (kind, pairs) in
        [(MetainfoKind::Transient, &args.meta), (MetainfoKind::Persistent, &args.meta_persistent)]
    {
        for (key, value) in pairs {
            metainfo.set(kind, key.clone().into_bytes(), value.clone().into_bytes());
        }
    }
    metainfo
}

/// What else may help somebody whose call failed like this.
pub fn hint(error: &Error, transport: TransportArg) -> Option<String> {
    let name = transport_name(transport);
    match error.code() {
        Code::ConnectFailed => Some("is a server listening there?".to_owned()),
        Code::ConnectionLost | Code::BadHeader | Code::BadPayload | Code::BadMessage => Some(format!(
            "perhaps the peer does not speak {name}: try --transport with ttheader, ttheader-framed, framed or buffered"
        )),
        _ => None,
    }
}

pub fn transport_name(transport: TransportArg) -> String {
    use clap::ValueEnum;
    transport.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
