//! A client: addresses, connections and defaults for calls to one destination.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::base::{Code, Error, Message, Metainfo, Phase, Result};
use crate::io::sync::{Conn, Pool, PoolOptions, Sent, Stats};
use crate::io::{Address, Bell, clock, thread};
use crate::proto::pingpong::{Request, Response};
use crate::rpc::call::method::Method;
use crate::rpc::call::reply::{Facts, Reply};
use crate::wire::frame::Layout;

/// Addresses tried at most in one call while none can be reached (governance.md §5.4).
const MAX_ADDRESSES_TRIED: usize = 6;

/// How requests are framed (ttheader.md §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(i32)]
pub enum Transport {
    /// TTHeader around a framed payload: what Kitex's clients send. Carries metainfo.
    #[default]
    TtheaderFramed = 1,
    /// TTHeader around a bare payload. Carries metainfo.
    Ttheader = 2,
    /// Thrift framed. Carries no metainfo and no business status.
    Framed = 3,
    /// Thrift buffered: no length at all. Carries no metainfo and no business status.
    Buffered = 4,
}

impl Transport {
    /// The transport with this number.
    pub const fn from_number(number: i32) -> Option<Transport> {
        match number {
            1 => Some(Transport::TtheaderFramed),
            2 => Some(Transport::Ttheader),
            3 => Some(Transport::Framed),
            4 => Some(Transport::Buffered),
            _ => None,
        }
    }

    const fn layout(self) -> Layout {
        match self {
            Transport::TtheaderFramed => Layout::TTHEADER_FRAMED,
            Transport::Ttheader => Layout::TTHEADER,
            Transport::Framed => Layout::FRAMED,
            Transport::Buffered => Layout::BUFFERED,
        }
    }
}

/// What a client is made of.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the destination, for the peer's logs.
    pub destination: String,
    /// Name of this program, for the peer's logs. Default empty.
    pub caller: String,
    /// Where the destination is; calls take them in turn.
    pub addresses: Vec<Address>,
    /// How requests are framed.
    pub transport: Transport,
    /// For a whole call, unless the call says otherwise. Default none.
    pub timeout: Option<Duration>,
    /// How connections are made and kept.
    pub pool: PoolOptions,
}

impl ClientOptions {
    /// Defaults for a destination; at least one address must be added.
    pub fn new(destination: impl Into<String>) -> ClientOptions {
        ClientOptions {
            destination: destination.into(),
            caller: String::new(),
            addresses: Vec::new(),
            transport: Transport::default(),
            timeout: None,
            pool: PoolOptions::default(),
        }
    }
}

/// What one call does differently.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions<'a> {
    /// For the whole call, connecting included. `None`: the client's; `Some(Duration::MAX)`: none.
    pub timeout: Option<Duration>,
    /// Pairs that travel with the call. Carried by TTHeader only.
    pub metainfo: Option<&'a Metainfo>,
}

/// Calls one destination. Any number of threads may call at once; each call in flight has a connection
/// of its own, taken from and returned to a pool.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    peers: Vec<Peer>,
    next_peer: AtomicUsize,
    next_seq: AtomicI32,
    closed: AtomicBool,
    cut_off: Bell,
}

#[derive(Debug)]
struct Peer {
    name: Arc<str>,
    pool: Pool,
}

/// One call on its way: its deadline and what it has learnt so far.
struct Call<'a> {
    client: &'a Client,
    method: &'a Method,
    message: &'a Message,
    metainfo: &'a Metainfo,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    facts: Facts,
    peer: Option<Arc<str>>,
}

impl Client {
    /// A client without connections yet.
    pub fn new(options: ClientOptions) -> Result<Client> {
        if options.addresses.is_empty() {
            return Err(Error::new(Code::NoAddress, "the client has no address to call; add at least one"));
        }
        let cut_off = Bell::new().map_err(|e| Error::new(Code::OutOfResources, e.to_string()))?;
        let peers = options.addresses.iter().map(|address| Peer {
            name: address.to_string().into(),
            pool: Pool::new(address.clone(), options.pool),
        });
        Ok(Client {
            peers: peers.collect(),
            options,
            next_peer: AtomicUsize::new(0),
            next_seq: AtomicI32::new(1),
            closed: AtomicBool::new(false),
            cut_off,
        })
    }

    /// Calls a method and waits for its end on the current thread; no other thread takes part.
    pub fn call(&self, method: &Method, message: &Message, options: &CallOptions<'_>) -> Reply {
        const NO_METAINFO: &Metainfo = &Metainfo::new();
        let started = clock::now();
        let timeout = options.timeout.or(self.options.timeout).filter(|timeout| *timeout != Duration::MAX);
        let mut call = Call {
            client: self,
            method,
            message,
            metainfo: options.metainfo.unwrap_or(NO_METAINFO),
            timeout,
            deadline: timeout.and_then(|timeout| started.checked_add(timeout)),
            facts: Facts::default(),
            peer: None,
        };
        let outcome = self.check_open().and_then(|()| call.run());
        call.facts.elapsed = started.elapsed();
        call.finish(outcome)
    }

    fn check_open(&self) -> Result<()> {
        thread::may_block()?;
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(Code::Closed, "the client was closed")),
            false => Ok(()),
        }
    }

    /// Refuses new calls and closes idle connections. Calls under way end by themselves, or at once as
    /// CLOSED if `cut_off`. Calling it again does nothing more.
    pub fn close(&self, cut_off: bool) {
        self.closed.store(true, Ordering::Release);
        if cut_off {
            self.cut_off.ring();
        }
        self.peers.iter().for_each(|peer| peer.pool.clear());
    }

    /// What the connection pools have done so far, over all addresses.
    pub fn stats(&self) -> Stats {
        self.peers.iter().map(|peer| peer.pool.stats()).fold(Stats::default(), |sum, stats| Stats {
            dialled: sum.dialled + stats.dialled,
            reused: sum.reused + stats.reused,
            found_dead: sum.found_dead + stats.found_dead,
            idle: sum.idle + stats.idle,
        })
    }

    fn next_seq(&self) -> i32 {
        match self.next_seq.fetch_add(1, Ordering::Relaxed) {
            // 0 is the control channel of multiplexed connections (ttheader.md §7.3).
            0 => self.next_seq.fetch_add(1, Ordering::Relaxed),
            seq => seq,
        }
    }
}

impl Call<'_> {
    /// Tries addresses until one can be reached; a request that may have been seen is never sent twice.
    fn run(&mut self) -> Result<Response> {
        let client = self.client;
        let first = client.next_peer.fetch_add(1, Ordering::Relaxed);
        let tries = client.peers.len().min(MAX_ADDRESSES_TRIED);
        let mut last_error = None;
        for peer in client.peers.iter().cycle().skip(first % client.peers.len()).take(tries) {
            self.peer = Some(Arc::clone(&peer.name));
            match self.attempt(peer) {
                Err(error) if is_unreachable(&error) && !self.is_late() => last_error = Some(error),
                outcome => return outcome,
            }
        }
        Err(last_error.unwrap_or_else(|| Error::new(Code::NoAddress, "no address to call")))
    }

    fn attempt(&mut self, peer: &Peer) -> Result<Response> {
        self.facts.attempts += 1;
        while let Some(conn) = peer.pool.take_idle(clock::now()) {
            self.facts.reused_connection = true;
            match self.exchange(peer, conn) {
                // The peer had dropped the connection; the next one may be good.
                Err((_, Sent::Nothing)) => {}
                Err((error, Sent::Maybe)) => return Err(error),
                Ok(response) => return Ok(response),
            }
        }
        self.facts.reused_connection = false;
        let left = self.time_left();
        let conn = peer.pool.dial(left).map_err(|error| self.explain_dial(error, left))?;
        self.exchange(peer, conn).map_err(|(error, _)| error)
    }

    fn exchange(&mut self, peer: &Peer, mut conn: Conn) -> std::result::Result<Response, (Error, Sent)> {
        let options = &self.client.options;
        let request = Request {
            layout: options.transport.layout(),
            seq: self.client.next_seq(),
            oneway: self.method.is_oneway(),
            service: self.method.service(),
            method: self.method.name(),
            to_service: &options.destination,
            from_service: &options.caller,
            timeout: self.timeout,
            deadline: self.deadline,
            metainfo: self.metainfo,
            body: self.message,
        };
        self.facts.request_bytes = conn.send(&request, self.method.wire_name(), &self.client.cut_off)?;
        let response = match self.method.is_oneway() {
            true => conn.finish_oneway(),
            false => conn.receive(&self.client.cut_off).map_err(|error| (error, Sent::Maybe))?,
        };
        self.facts.reply_bytes = response.wire_bytes;
        if !self.client.closed.load(Ordering::Acquire) {
            peer.pool.put_back(conn, clock::now());
        }
        Ok(response)
    }

    /// A dial that ended because the call's own time was up is the call's timeout. What decides is which
    /// time was shorter: the system may wake the dial a little early.
    fn explain_dial(&self, error: Error, left: Option<Duration>) -> Error {
        let own_time = left.is_some_and(|left| left < self.client.options.pool.connect_timeout);
        match error.code() == Code::ConnectTimeout && own_time {
            true => Error::new(Code::Timeout, "no connection within the call's timeout")
                .at(Phase::Connect)
                .with_cause(error),
            false => error,
        }
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(clock::now()))
    }

    fn is_late(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    fn finish(self, outcome: Result<Response>) -> Reply {
        let (message, metainfo, error) = match outcome {
            Ok(response) => (response.message, response.metainfo, response.error),
            Err(error) => (None, Metainfo::new(), Some(error)),
        };
        let error = error.map(|error| {
            let error = self.explain_timeout(error).with_method(self.method);
            match &self.peer {
                Some(peer) => error.with_peer(peer),
                None => error,
            }
        });
        Reply { message, metainfo, error, peer: self.peer, facts: self.facts }
    }

    fn explain_timeout(&self, error: Error) -> Error {
        match (error.code(), self.timeout) {
            (Code::Timeout, Some(timeout)) => {
                let text = format!("{}: {timeout:?}", error.text());
                let explained = Error::new(Code::Timeout, text).at(error.phase());
                match error.cause() {
                    Some(cause) => explained.with_cause(cause.clone()),
                    None => explained,
                }
            }
            _ => error,
        }
    }
}

/// Whether another address may do better: nothing was sent to this one.
fn is_unreachable(error: &Error) -> bool {
    matches!(error.phase(), Phase::Resolve | Phase::Connect) && error.code() != Code::Timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_skip_zero_and_wrap() {
        let mut options = ClientOptions::new("d");
        options.addresses.push(Address::parse("127.0.0.1:1").unwrap());
        let client = Client::new(options).unwrap();
        assert_eq!((client.next_seq(), client.next_seq()), (1, 2));
        client.next_seq.store(-1, Ordering::Relaxed);
        assert_eq!((client.next_seq(), client.next_seq()), (-1, 1));
    }
}
