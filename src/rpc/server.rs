//! Serving: a [`Server`] with [`Service`]s, whose handlers answer [`Request`]s.

mod acl;
mod crew;
mod dispatch;
mod in_flight;
mod queued;
mod request;
mod router;
mod service;
mod streams;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::{Code, Error, Limits, Result};
use crate::io::listener::{Listener, Stopped};
use crate::io::runtime::Runtime;
use crate::io::stream::{ServerSide, Tally};
use crate::io::{Address, Counts, Keepalive, Setup, clock};
use crate::proto::pingpong::Timeouts;
use crate::rpc::server::dispatch::Dispatcher;
use crate::rpc::server::router::{CatchAll, Router};
use crate::rpc::stream::{
    ConnectionOptions, Counters, StreamHandler, StreamHooks, StreamMethodOptions, StreamObserver,
};

pub use crate::io::Credentials;
pub use acl::{Acl, AclCheck, AclDecision, AclQuestion, InlineAnswer, Verdict};
pub use crew::WorkerOptions;
pub use queued::QueueHandler;
pub use request::Request;
pub use service::{Handler, MethodOptions, Service};

/// What a server is made of.
pub struct ServerOptions {
    /// Where to listen; port 0 lets the system choose.
    pub addresses: Vec<Address>,
    /// What it serves.
    pub services: Vec<Service>,
    /// Takes calls that no service takes (ttheader.md §8, row 7).
    pub catch_all: Option<Arc<dyn Handler>>,
    /// Takes streams that no service takes, as bidirectional ones.
    pub stream_catch_all: Option<(Arc<dyn StreamHandler>, StreamMethodOptions)>,
    /// Asked before each request is handled.
    pub acl: Option<Acl>,
    /// Whether the timeout that a caller tells (ttheader.md §2.1, key 12) becomes the deadline of its
    /// request's context, as Kitex's `WithEnableContextTimeout`. Default false.
    pub follow_caller_timeout: bool,
    /// Serve only calls that name their service exactly (row 1). Default false.
    pub require_service_name: bool,
    /// Connections open at once; more are closed at accept. Default 100,000.
    pub max_connections: usize,
    /// Requests being handled at once; more are answered "request over limit". Default 10,000.
    pub max_in_flight: usize,
    /// Limits on requests.
    pub limits: Limits,
    /// How long clients may keep the server waiting.
    pub timeouts: Timeouts,
    /// When a client that has vanished is given up. TCP only.
    pub keepalive: Keepalive,
    /// What connections of streams are run with.
    pub streams: ConnectionOptions,
    /// Who stands around its streams, and who watches them. Default nobody.
    pub stream_hooks: StreamHooks,
    /// The runtime to run on; `None` takes the process's shared one.
    pub runtime: Option<Arc<Runtime>>,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            addresses: Vec::new(),
            services: Vec::new(),
            catch_all: None,
            stream_catch_all: None,
            acl: None,
            follow_caller_timeout: false,
            require_service_name: false,
            max_connections: 100_000,
            max_in_flight: 10_000,
            limits: Limits::DEFAULT,
            timeouts: Timeouts::default(),
            keepalive: Keepalive::DEFAULT,
            streams: ConnectionOptions::server(),
            stream_hooks: StreamHooks::default(),
            runtime: None,
        }
    }
}

/// What a server has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServerStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because `max_connections` were open.
    pub refused: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests being handled now.
    pub in_flight: u64,
    /// Requests on multiplexed connections that could not be read, because of a wrong checksum or otherwise. As
    /// with Kitex they get no answer, and their connection goes on (ttheader.md §7.3).
    pub passed_over: u64,
}

/// A server that listens. Dropping it cuts off what is left; [`Server::stop`] is the gentle way.
pub struct Server {
    listener: Listener,
    dispatcher: Arc<Dispatcher>,
    counts: Arc<Counts>,
    stream_observer: Option<Arc<StreamObserver>>,
    tally: Arc<Tally>,
    // Outlives the listener: its threads serve the connections.
    _runtime: Arc<Runtime>,
}

impl Server {
    /// Starts serving.
    pub fn start(options: ServerOptions) -> Result<Server> {
        if options.addresses.is_empty() {
            return Err(Error::invalid_argument("addresses", "the server has no address to listen on"));
        }
        let runtime = options.runtime.map_or_else(Runtime::shared, Ok)?;
        if runtime.has_ended() {
            return Err(Error::new(Code::Closed, "the runtime was shut down"));
        }
        let mut services = options.services;
        services.iter_mut().for_each(|service| service.start_workers(&runtime));
        services.iter_mut().for_each(|service| service.set_stream_hooks(&options.stream_hooks));
        let stream_observer = options.stream_hooks.observer.clone();
        let rest = CatchAll::new(options.catch_all, options.stream_catch_all, options.stream_hooks);
        let router = Router::new(services, rest, options.require_service_name)?;
        let terms =
            dispatch::Terms { acl: options.acl, follow_caller_timeout: options.follow_caller_timeout };
        let dispatcher = Arc::new(Dispatcher::new(router, terms, options.max_in_flight, &runtime));
        let tally = Arc::<Tally>::default();
        let streams = ServerSide {
            dispatch: dispatcher.clone(),
            options: Arc::new(options.streams),
            tally: Arc::clone(&tally),
        };
        let counts = Arc::<Counts>::default();
        let setup = Setup {
            counts: Arc::clone(&counts),
            dispatch: dispatcher.clone(),
            limits: options.limits,
            timeouts: options.timeouts,
            keepalive: options.keepalive,
            streams: Some(streams),
            log: runtime.log().clone(),
        };
        let listener = Listener::bind(&options.addresses, options.max_connections, &setup, &runtime)?;
        Ok(Server { listener, dispatcher, counts, stream_observer, tally, _runtime: runtime })
    }

    /// Where it listens, in the order given, with the ports that the system chose.
    pub fn addresses(&self) -> &[Address] {
        self.listener.addresses()
    }

    /// Requests being handled now.
    pub fn in_flight(&self) -> usize {
        self.dispatcher.in_flight().count()
    }

    /// Who watches its streams.
    pub fn stream_observer(&self) -> Option<&Arc<StreamObserver>> {
        self.stream_observer.as_ref()
    }

    /// Connections open now.
    pub fn connection_count(&self) -> usize {
        self.listener.connection_count()
    }

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        ServerStats {
            accepted: read(&self.counts.accepted),
            refused: read(&self.counts.refused),
            open: self.connection_count() as u64,
            in_flight: self.in_flight() as u64,
            passed_over: read(&self.counts.passed_over),
        }
    }

    /// What its connections of streams have seen, those that have ended included: what was refused, broke the
    /// rules, or was too much. Numbers of frames may lag behind.
    pub fn stream_counters(&self) -> Counters {
        self.tally.total()
    }

    /// Stops gracefully: accepts no more connections, lets what has arrived be answered, and cuts off
    /// what is left after `grace`. Within that time it also waits for requests whose callers have left
    /// already: their handlers use what the host is about to take down. Blocks, so not from an inline
    /// handler.
    pub fn stop(&self, grace: Duration) -> Result<Stopped> {
        let begun = clock::now();
        let stopped = self.listener.stop(grace)?;
        let spent = clock::now().saturating_duration_since(begun);
        self.dispatcher.in_flight().wait_none(grace.saturating_sub(spent));
        Ok(stopped)
    }
}
