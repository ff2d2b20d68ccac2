//! Streams of a client.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::Result;
use crate::io::stream::{Pool, PoolOptions, Stats};
use crate::io::{clock, thread};
use crate::op::operation::{self, Completer, Outcome};
use crate::rpc::call::client::Client;
use crate::rpc::call::method::Method;
use crate::rpc::stream::{Opened, Stream, StreamObserver, StreamOptions, Waiting};
use crate::rpc::{Callbacks, Runtime};

/// The client's connections of streams, made with its first stream.
pub(super) struct Streams {
    pool: Pool,
    // Outlives the pool: its threads serve the connections.
    runtime: Arc<Runtime>,
}

impl Streams {
    pub(super) fn start(client: &Client) -> Result<Streams> {
        let runtime = client.options.runtime.clone().map_or_else(Runtime::shared, Ok)?;
        let peers = client.peers.iter().map(|peer| (Arc::clone(&peer.name), peer.pool.address().clone()));
        let mut options: PoolOptions = client.options.streams.clone();
        if options.connection.name.is_empty() {
            options.connection.name = Bytes::copy_from_slice(client.options.caller.as_bytes());
        }
        let pool = Pool::new(peers.collect(), options, &runtime);
        Ok(Streams { pool, runtime })
    }

    pub(super) fn close(&self, cut_off: bool) {
        self.pool.close(cut_off);
    }
}

impl Client {
    /// Whether streams can be opened; makes their connections' pool. Returns the threads for completion
    /// callbacks.
    pub fn prepare_stream(&self) -> Result<Callbacks> {
        self.check_open()?;
        self.streams().map(|streams| Callbacks::new(&streams.runtime))
    }

    /// Opens a stream of a method and waits until a connection has it. That the server has the method shows
    /// only with its first answer. The errors are those of a call that was not sent; UNSUPPORTED if the
    /// method is one of an IDL that does not stream.
    pub fn open_stream(&self, method: &Method, options: &StreamOptions<'_>) -> Result<Stream> {
        thread::may_block()?;
        let (operation, completer) = operation::new(None);
        self.start_open_stream(method, options, completer);
        operation.wait(None);
        operation.take().unwrap_or_else(Outcome::abandoned)
    }

    /// Starts the same.
    pub fn start_open_stream(
        &self,
        method: &Method,
        options: &StreamOptions<'_>,
        completer: Completer<Result<Stream>>,
    ) {
        let ready = self.check_open().and_then(|()| method.expect_stream());
        let streams = match ready.and_then(|()| self.streams()) {
            Ok(streams) => streams,
            Err(error) => return completer.complete(Err(error)),
        };
        let hooks = &self.options.stream_hooks;
        let opening = options.opening(method.service(), method.wire_name().clone(), clock::now(), hooks);
        let (opening, context, tap) = match opening {
            Ok(opening) => opening,
            Err(error) => return completer.complete(Err(error.with_method(method))),
        };
        let opened = Opened {
            service: Bytes::copy_from_slice(method.service().as_bytes()),
            method: method.wire_name().clone(),
            shape: method.shape().cloned(),
            waiting: Waiting::new(completer, &context),
            context,
            timeouts: opening.timeouts,
            tap,
            runtime: Arc::clone(&streams.runtime),
        };
        streams.pool.open(opening, Box::new(opened));
    }

    /// Who watches its streams.
    pub fn stream_observer(&self) -> Option<&Arc<StreamObserver>> {
        self.options.stream_hooks.observer.as_ref()
    }

    /// What the connections of its streams have done so far.
    pub fn stream_stats(&self) -> Stats {
        self.streams.get().map(|streams| streams.pool.stats()).unwrap_or_default()
    }
}
