//! Calls that nobody waits for: they run on a shard and end in an operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{Code, Error, Message, Metainfo, Result};
use crate::io::client::{Attempt, Driver, End, Exchange};
use crate::io::{clock, thread};
use crate::op::operation::{self, CancelHook, Cause, Completer, Outcome};
use crate::proto::call::Request;
use crate::rpc::call::client::{CallOptions, Client, Terms};
use crate::rpc::call::method::Method;
use crate::rpc::call::reply::{Facts, Reply};
use crate::rpc::call::retried::Retried;
use crate::rpc::context::Watch;
use crate::rpc::{Callbacks, Runtime};

/// The client's connections on a shard, made with its first call that nobody waits for.
pub(super) struct Shard {
    driver: Driver,
    // Outlives the driver: its threads serve the connections.
    runtime: Arc<Runtime>,
}

impl Shard {
    pub(super) fn start(client: &Client) -> Result<Shard> {
        let runtime = client.options.runtime.clone().map_or_else(Runtime::shared, Ok)?;
        let peers = client.peers.iter().map(|peer| (Arc::clone(&peer.name), Arc::clone(&peer.pool)));
        let driver = Driver::start(peers.collect(), client.options.pool, &runtime);
        Ok(Shard { driver, runtime })
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }
}

/// A call about to be started.
pub struct Start<'a> {
    /// What to call.
    pub method: &'a Method,
    /// The *args* struct.
    pub message: &'a Message,
    /// What it does differently.
    pub options: CallOptions<'a>,
    /// Who hears the end.
    pub completer: Completer<Reply>,
}

impl Client {
    /// Whether calls can be started; makes the connections' driver. Ask before an operation is made: what
    /// has been started only fails through its operation.
    pub fn prepare(&self) -> Result<()> {
        self.check_open()?;
        self.shard().map(|_| ())
    }

    /// The threads for completion callbacks.
    pub fn callbacks(&self) -> Result<Callbacks> {
        self.shard().map(|shard| Callbacks::new(&shard.runtime))
    }

    /// Starts calls, with one wake-up of the shard for all. Each ends exactly once.
    pub fn start<'a>(self: &Arc<Client>, calls: impl IntoIterator<Item = Start<'a>>) {
        let started = clock::now();
        match self.shard() {
            Ok(shard) => {
                // They end when the shard's lock is not held.
                let mut refused = Vec::new();
                shard.driver().submit(calls.into_iter().filter_map(|call| {
                    let retryer =
                        call.method.expect_unary().and_then(|()| self.retryer(call.method, &call.options));
                    match retryer {
                        Ok(None) => Some(Started::exchange(self, call, started)),
                        Ok(Some(retryer)) => {
                            Some(Retried::exchange(self, &shard.runtime, call, retryer, started))
                        }
                        Err(error) => {
                            refused.push((call.completer, error));
                            None
                        }
                    }
                }));
                refused.into_iter().for_each(|(completer, error)| completer.complete(Reply::failed(error)));
            }
            Err(error) => {
                calls.into_iter().for_each(|call| call.completer.complete(Reply::failed(error.clone())))
            }
        }
    }
}

impl Client {
    /// A call that waits here for its end, which a shard brings: its connection is shared.
    pub(super) fn call_shared(
        self: &Arc<Client>,
        method: &Method,
        message: &Message,
        options: CallOptions<'_>,
    ) -> Reply {
        if let Err(error) = thread::may_block().and_then(|()| self.prepare()) {
            return Reply::failed(error);
        }
        let (operation, completer) = operation::new(None);
        self.start([Start { method, message, options, completer }]);
        operation.wait(None);
        operation.take().unwrap_or_else(Reply::abandoned)
    }
}

/// A call under way.
struct Started {
    client: Arc<Client>,
    method: Method,
    message: Message,
    metainfo: Metainfo,
    terms: Terms,
    started: Instant,
    completer: Completer<Reply>,
    _parent: Option<Watch>,
}

impl Started {
    fn exchange(client: &Arc<Client>, call: Start<'_>, started: Instant) -> (Arc<dyn Exchange>, Attempt) {
        let parent = call.options.parent.map(|parent| parent.watch(call.completer.canceller()));
        let terms = client.terms(&call.options, started);
        let attempt = Attempt::first(client.next_seq(), terms.deadline);
        let started = Started {
            terms,
            metainfo: call.options.all_metainfo().into_owned(),
            method: call.method.clone(),
            message: call.message.clone(),
            client: Arc::clone(client),
            started,
            completer: call.completer,
            _parent: parent,
        };
        (Arc::new(started), attempt)
    }
}

impl Exchange for Started {
    fn request(&self, attempt: &Attempt) -> Request<'_> {
        self.client.request(&self.method, &self.message, &self.metainfo, self.terms, attempt.seq)
    }

    fn method(&self) -> &Bytes {
        self.method.wire_name()
    }

    fn cancelled(&self, _: u8) -> Option<Cause> {
        self.completer.is_cancelled()
    }

    fn watch(&self, _: u8, on_cancel: CancelHook) {
        self.completer.on_cancel(on_cancel);
    }

    fn finish(self: Arc<Self>, _: u8, end: End) {
        let facts = Facts {
            request_bytes: end.request_bytes,
            reply_bytes: end.outcome.as_ref().map_or(0, |response| response.wire_bytes),
            elapsed: clock::now().saturating_duration_since(self.started),
            attempts: end.tries,
            reused_connection: end.reused,
        };
        let reply = Reply::ended(end.outcome, &self.method, self.terms.timeout, end.peer, facts);
        // Its one attempt had the only reference.
        let Some(started) = Arc::into_inner(self) else { return };
        let Started { client, method, message, metainfo, completer, _parent: parent, .. } = started;
        // Given back before anybody hears of the end: a host that frees its client then, and its runtime, is
        // the one that ends the threads and waits for them.
        drop((client, method, message, metainfo, parent));
        completer.complete(reply);
    }
}

/// Nothing drops a call without ending it; if something did, its host would still hear of it.
impl Outcome for Reply {
    fn abandoned() -> Reply {
        Reply::failed(Error::new(Code::Internal, "the call was dropped before it ended"))
    }

    fn failure(&self) -> Option<Code> {
        self.error().map(Error::code)
    }
}

/// How long a call may take, as it is told to the peer and as it is kept.
impl Terms {
    pub(super) fn new(timeout: Option<Duration>, inherited: Option<Instant>, now: Instant) -> Terms {
        let own = timeout.and_then(|timeout| now.checked_add(timeout));
        Terms { timeout, deadline: [own, inherited].into_iter().flatten().min() }
    }
}
