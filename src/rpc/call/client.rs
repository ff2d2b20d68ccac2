//! A client: addresses, connections and defaults for calls to one destination.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::base::fault::{self, Point};
use crate::base::lock::Mutex;
use crate::base::{Code, Error, Message, Metainfo, Phase, Result, log, panic};
use crate::io::addr::{MAX_ADDRESSES_TRIED, is_unreachable};
use crate::io::backoff::Permit;
use crate::io::seats::Seat;
use crate::io::sync::{self, Interrupt, Lease, Pool, PoolOptions, Sent, Stats};
use crate::io::{Address, Bell, clock, thread};
use crate::op::operation::{Cancel, Cause};
use crate::policy::Time;
use crate::policy::retry::{self, CallPolicy, Lookup, Policies, RetryPolicy, Retryer};
use crate::proto::call::{Request, Response};
use crate::rpc::Runtime;
use crate::rpc::call::method::Method;
use crate::rpc::call::open::Streams;
use crate::rpc::call::reply::{Facts, Reply};
use crate::rpc::call::start::Shard;
use crate::rpc::context::Context;
use crate::rpc::stream;
use crate::wire::frame::Layout;

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
    /// Whether the peer is told the timeout (ttheader.md §2.1, key 12). Default true.
    pub tell_timeout: bool,
    /// How connections are made and kept.
    pub pool: PoolOptions,
    /// How connections of streams are made and kept; an empty `connection.name` is the caller's.
    pub streams: stream::PoolOptions,
    /// Who stands around its streams, and who watches them. Default nobody.
    pub stream_hooks: stream::StreamHooks,
    /// Retry policies by method, `*` for all others; none by default. A call that has one may take several
    /// attempts, each with its own timeout, and runs on the runtime even if its caller waits for it.
    pub retries: BTreeMap<String, RetryPolicy>,
    /// What holds for all retry policies.
    pub retry: retry::Options,
    /// The runtime for calls that nobody waits for, and for streams; `None` takes the process's shared one.
    pub runtime: Option<Arc<Runtime>>,
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
            tell_timeout: true,
            pool: PoolOptions::default(),
            streams: stream::PoolOptions::default(),
            stream_hooks: stream::StreamHooks::default(),
            retries: BTreeMap::new(),
            retry: retry::Options::default(),
            runtime: None,
        }
    }
}

/// What one call does differently.
#[derive(Clone, Copy, Default)]
pub struct CallOptions<'a> {
    /// For the whole call, connecting included. `None`: the client's; `Some(Duration::MAX)`: none.
    pub timeout: Option<Duration>,
    /// Pairs that travel with the call. Carried by TTHeader only.
    pub metainfo: Option<&'a Metainfo>,
    /// Its own retry policy, from [`Client::call_policy`]; `None`: its method's.
    pub retry: Option<&'a CallPolicy>,
    /// The work that the call is part of: its end, deadline and metainfo are the call's as well.
    pub parent: Option<&'a Context>,
}

impl<'a> CallOptions<'a> {
    /// The parent's pairs and the call's own, which win.
    pub(super) fn all_metainfo(&self) -> Cow<'a, Metainfo> {
        const NONE: &Metainfo = &Metainfo::new();
        match (self.parent.map(Context::metainfo).filter(|pairs| !pairs.is_empty()), self.metainfo) {
            (None, None) => Cow::Borrowed(NONE),
            (Some(pairs), None) | (None, Some(pairs)) => Cow::Borrowed(pairs),
            (Some(inherited), Some(own)) => {
                let mut all = inherited.clone();
                own.iter().for_each(|(kind, key, value)| all.set(kind, key.clone(), value.clone()));
                Cow::Owned(all)
            }
        }
    }
}

/// How long a call may take: as the peer is told, and until when the caller waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
}

/// Calls one destination. Any number of threads may call at once; each call in flight has a connection
/// of its own, taken from and returned to a pool.
pub struct Client {
    pub(super) options: ClientOptions,
    pub(super) peers: Vec<Peer>,
    next_peer: AtomicUsize,
    next_seq: AtomicI32,
    closed: AtomicBool,
    cut_off: Bell,
    shard: OnceLock<Shard>,
    pub(super) streams: OnceLock<Streams>,
    policies: Policies,
    has_policies: bool,
    /// What the policies count time from.
    origin: Instant,
    starting: Mutex<()>,
}

pub(super) struct Peer {
    pub(super) name: Arc<str>,
    pub(super) pool: Arc<Pool>,
}

/// One blocking call on its way: its terms and what it has learnt so far.
struct Call<'a> {
    client: &'a Client,
    method: &'a Method,
    message: &'a Message,
    metainfo: &'a Metainfo,
    parent: Option<&'a Context>,
    terms: Terms,
    facts: Facts,
    peer: Option<Arc<str>>,
    /// When it began.
    begun: Instant,
    /// The latest look at the clock.
    now: Instant,
}

/// When a call dials an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dial {
    /// Unless it could not be reached just before.
    IfOpen,
    /// In its turn: the call has no other.
    AnyWay,
}

impl Client {
    /// A client without connections yet.
    pub fn new(options: ClientOptions) -> Result<Arc<Client>> {
        if options.addresses.is_empty() {
            return Err(Error::new(Code::NoAddress, "the client has no address to call; add at least one"));
        }
        if options.pool.multiplexed > 0 && !options.transport.layout().ttheader {
            let text = "multiplexed connections need a TTHeader transport";
            return Err(Error::invalid_argument("transport", text));
        }
        if options.pool.min_idle > options.pool.max_idle {
            let text =
                format_args!("{} is more than max_idle, {}", options.pool.min_idle, options.pool.max_idle);
            return Err(Error::invalid_argument("min_idle", text));
        }
        let policies = Policies::new(options.retry.clone())?;
        policies.install(options.retries.clone())?;
        let cut_off = Bell::new().map_err(|e| Error::new(Code::OutOfResources, e.to_string()))?;
        let peers = options.addresses.iter().map(|address| Peer {
            name: address.to_string().into(),
            pool: Pool::new(address.clone(), options.pool),
        });
        Ok(Arc::new(Client {
            peers: peers.collect(),
            has_policies: !options.retries.is_empty(),
            options,
            next_peer: AtomicUsize::new(0),
            next_seq: AtomicI32::new(1),
            closed: AtomicBool::new(false),
            cut_off,
            shard: OnceLock::new(),
            streams: OnceLock::new(),
            policies,
            origin: clock::now(),
            starting: Mutex::new(()),
        }))
    }

    /// Calls a method and waits for its end on the current thread; no other thread takes part, unless
    /// connections are multiplexed.
    pub fn call(self: &Arc<Client>, method: &Method, message: &Message, options: &CallOptions<'_>) -> Reply {
        if self.options.pool.multiplexed > 0 || self.has_policies || options.retry.is_some() {
            return self.call_shared(method, message, *options);
        }
        let started = clock::now();
        let metainfo = options.all_metainfo();
        let mut call = Call {
            client: self,
            method,
            message,
            metainfo: &metainfo,
            parent: options.parent,
            terms: self.terms(options, started),
            facts: Facts::default(),
            peer: None,
            begun: started,
            now: started,
        };
        let outcome = self
            .check_blocking()
            .and_then(|()| method.expect_unary())
            .and_then(|()| call.check_parent())
            .and_then(|()| call.run_contained());
        if outcome.is_err() {
            call.now = clock::now();
        }
        call.facts.elapsed = call.now.saturating_duration_since(started);
        Reply::ended(outcome, method, call.terms.timeout, call.peer, call.facts)
    }

    fn check_blocking(&self) -> Result<()> {
        thread::may_block()?;
        self.check_open()
    }

    pub(super) fn check_open(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(Code::Closed, "the client was closed")),
            false => Ok(()),
        }
    }

    /// The driver of calls that nobody waits for, made when it is needed.
    pub(super) fn shard(&self) -> Result<&Shard> {
        if let Some(shard) = self.shard.get() {
            return Ok(shard);
        }
        let _one_at_a_time = self.starting.lock();
        if self.shard.get().is_none() {
            let shard = Shard::start(self)?;
            return Ok(self.shard.get_or_init(|| shard));
        }
        self.shard()
    }

    /// The pool of streams, made when it is needed.
    pub(super) fn streams(&self) -> Result<&Streams> {
        if self.streams.get().is_none() {
            let _one_at_a_time = self.starting.lock();
            if self.streams.get().is_none() {
                let streams = Streams::start(self)?;
                return Ok(self.streams.get_or_init(|| streams));
            }
        }
        self.streams.get().ok_or_else(|| Error::new(Code::Internal, "no pool of streams"))
    }

    /// Makes a retry policy ready for single calls; one that makes no sense fails the calls that use it.
    pub fn call_policy(&self, policy: RetryPolicy) -> CallPolicy {
        self.policies.for_calls(policy)
    }

    /// The policies by method, which may change while calls run.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The retry policy of a call, if it has one.
    pub(super) fn retryer(&self, method: &Method, options: &CallOptions<'_>) -> Result<Option<Retryer>> {
        if !self.has_policies && options.retry.is_none() {
            return Ok(None);
        }
        match self.policies.lookup(options.retry, method.name())? {
            Lookup::Retry(retryer) => Ok(Some(retryer)),
            Lookup::None | Lookup::Single(_) => Ok(None),
        }
    }

    /// A point in time as policies count it.
    pub(super) fn time(&self, at: Instant) -> Time {
        Time::of(at, self.origin)
    }

    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    pub(super) fn peer_name(&self, peer: usize) -> Option<&str> {
        self.peers.get(peer).map(|peer| &*peer.name)
    }

    /// The terms of a call's attempts: each has the timeout for itself, the parent's deadline is for all.
    pub(super) fn terms_of_attempts(&self, options: &CallOptions<'_>) -> Terms {
        Terms { timeout: self.timeout(options), deadline: options.parent.and_then(Context::deadline) }
    }

    fn timeout(&self, options: &CallOptions<'_>) -> Option<Duration> {
        options.timeout.or(self.options.timeout).filter(|timeout| *timeout != Duration::MAX)
    }

    pub(super) fn terms(&self, options: &CallOptions<'_>, now: Instant) -> Terms {
        Terms::new(self.timeout(options), options.parent.and_then(Context::deadline), now)
    }

    pub(super) fn request<'a>(
        &'a self,
        method: &'a Method,
        body: &'a Message,
        metainfo: &'a Metainfo,
        terms: Terms,
        seq: i32,
    ) -> Request<'a> {
        Request {
            layout: self.options.transport.layout(),
            seq,
            oneway: method.is_oneway(),
            service: method.service(),
            method: method.name(),
            to_service: &self.options.destination,
            from_service: &self.options.caller,
            timeout: terms.timeout.filter(|_| self.options.tell_timeout),
            deadline: terms.deadline,
            checksum: self.options.pool.limits.checksum,
            metainfo,
            body,
        }
    }

    /// Makes connections to each address, all at once, and leaves them idle for the first calls of either
    /// kind; of multiplexed ones, those that are not there. An address that could not be reached just before is
    /// not dialled. The error names the addresses that could not be given all of them within the time; what could be
    /// made stays. Blocks.
    pub fn warm_up(&self, connections: usize, timeout: Duration) -> Result<()> {
        self.check_blocking()?;
        let pool = &self.options.pool;
        let (most, what) = match (pool.multiplexed, pool.max_connections) {
            (0, 0) => (pool.max_idle, "what is kept idle at most"),
            (0, limit) => (pool.max_idle.min(limit), "what is kept idle at most"),
            (shared, _) => (shared, "what calls share"),
        };
        if connections == 0 || connections > most {
            let text = format_args!("{connections} is not within 1 and {most}, {what}");
            return Err(Error::invalid_argument("connections", text));
        }
        let failures = match pool.multiplexed {
            0 => sync::warm_up(self.peers.iter().map(|peer| &*peer.pool), connections, timeout),
            _ => self.shard()?.driver().warm_up(connections, timeout),
        };
        if self.closed.load(Ordering::Acquire) {
            self.peers.iter().for_each(|peer| peer.pool.clear());
        }
        sync::summary(failures, self.peers.len())
    }

    /// Refuses new calls and closes idle connections. Calls under way end by themselves, or at once as
    /// CLOSED if `cut_off`. Calling it again does nothing more.
    pub fn close(&self, cut_off: bool) {
        self.closed.store(true, Ordering::Release);
        if cut_off {
            self.cut_off.ring();
        }
        self.peers.iter().for_each(|peer| peer.pool.clear());
        if let Some(shard) = self.shard.get() {
            shard.driver().close(cut_off);
        }
        if let Some(streams) = self.streams.get() {
            streams.close(cut_off);
        }
    }

    /// What the connection pools have done so far, over all addresses.
    pub fn stats(&self) -> Stats {
        let driven = self.shard.get().map(|shard| shard.driver().stats());
        let pools = self.peers.iter().map(|peer| peer.pool.stats());
        pools.chain(driven).fold(Stats::default(), Stats::and)
    }

    pub(super) fn next_seq(&self) -> i32 {
        match self.next_seq.fetch_add(1, Ordering::Relaxed) {
            // 0 is the control channel of multiplexed connections (ttheader.md §7.3).
            0 => self.next_seq.fetch_add(1, Ordering::Relaxed),
            seq => seq,
        }
    }
}

impl Call<'_> {
    /// Nothing is sent for work that has ended.
    fn check_parent(&self) -> Result<()> {
        match self.parent.and_then(Context::cause) {
            Some(cause) => Err(cause.error().at(Phase::Resolve)),
            None => Ok(()),
        }
    }

    /// A fault on the way fails the call, and the connection it was on is gone.
    fn run_contained(&mut self) -> Result<Response> {
        panic::logged(&log::global(), "client", || self.run()).and_then(|outcome| outcome)
    }

    /// Tries addresses until one can be reached; a request that may have been seen is never sent twice. Those
    /// that are left alone come last.
    fn run(&mut self) -> Result<Response> {
        fault::panic_at(Point::BlockingCall);
        let peers = &self.client.peers;
        let first = self.client.next_peer.fetch_add(1, Ordering::Relaxed);
        let mut unreached: Vec<usize> = Vec::new();
        let mut last_error = None;
        for dial in [Dial::IfOpen, Dial::AnyWay] {
            for index in (0..peers.len()).map(|step| first.wrapping_add(step) % peers.len()) {
                if unreached.len() == MAX_ADDRESSES_TRIED {
                    break;
                }
                let passed_over = dial == Dial::IfOpen && !peers[index].pool.may_serve(self.now);
                if passed_over || unreached.contains(&index) {
                    continue;
                }
                match self.attempt(&peers[index], dial) {
                    Ok(None) => self.facts.attempts -= 1,
                    Err(error) if is_unreachable(&error) && !self.is_late() => {
                        unreached.push(index);
                        last_error = Some(error);
                        self.now = clock::now();
                    }
                    Ok(Some(response)) => return Ok(response),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(last_error.unwrap_or_else(|| Error::new(Code::NoAddress, "no address to call")))
    }

    /// `None`: the address is left alone.
    fn attempt(&mut self, peer: &Peer, dial: Dial) -> Result<Option<Response>> {
        self.peer = Some(Arc::clone(&peer.name));
        self.facts.attempts += 1;
        // Kept until the connection is back in the pool, where the next call finds it.
        let _seat = self.seat(peer)?;
        while let Some(lease) = peer.pool.take_idle(self.now) {
            self.facts.reused_connection = true;
            match self.exchange(lease) {
                // The peer had dropped the connection; the next one may be good.
                Err((_, Sent::Nothing)) => {}
                Err((error, Sent::Maybe)) => return Err(error),
                Ok(response) => return Ok(Some(response)),
            }
        }
        self.facts.reused_connection = false;
        let Some(permit) = self.permit(peer, dial)? else { return Ok(None) };
        let left = self.time_left();
        let dialled =
            with_interrupt(self.client, self.parent, |interrupt| peer.pool.dial(permit, left, interrupt));
        let lease = dialled.map_err(|error| self.explain_dial(error, left))?;
        self.exchange(lease).map(Some).map_err(|(error, _)| error)
    }

    fn permit(&mut self, peer: &Peer, dial: Dial) -> Result<Option<Permit>> {
        let gate = peer.pool.gate();
        match dial {
            Dial::IfOpen => Ok(gate.enter(self.now)),
            Dial::AnyWay => with_interrupt(self.client, self.parent, |interrupt| {
                sync::wait_to_dial(gate, self.begun, self.terms.deadline, interrupt).map(Some)
            }),
        }
    }

    /// The right to use a connection to the address, where the number of calls that have it is limited.
    fn seat(&mut self, peer: &Peer) -> Result<Option<Seat>> {
        if self.client.options.pool.max_connections == 0 {
            return Ok(None);
        }
        let seat = with_interrupt(self.client, self.parent, |interrupt| {
            sync::wait_for_seat(peer.pool.seats(), self.terms.deadline, interrupt)
        });
        self.now = clock::now();
        seat
    }

    fn exchange(&mut self, mut lease: Lease<'_>) -> std::result::Result<Response, (Error, Sent)> {
        let conn = &mut lease.conn;
        let client = self.client;
        let request = client.request(self.method, self.message, self.metainfo, self.terms, client.next_seq());
        let response = with_interrupt(client, self.parent, |interrupt| {
            self.facts.request_bytes = conn.send(&request, self.method.wire_name(), interrupt)?;
            match self.method.is_oneway() {
                true => Ok(Response::of_oneway()),
                false => conn.receive(interrupt).map_err(|error| (error, Sent::Maybe)),
            }
        });
        let response = match response {
            Ok(response) => response,
            Err((error, sent)) => {
                if error.code() == Code::ConnectionLost {
                    lease.lost(&error);
                }
                return Err((error, sent));
            }
        };
        self.facts.reply_bytes = response.wire_bytes;
        self.now = clock::now();
        if !client.closed.load(Ordering::Acquire) {
            lease.put_back(self.now);
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
        self.terms.deadline.map(|deadline| deadline.saturating_duration_since(clock::now()))
    }

    fn is_late(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }
}

/// Runs a call so that the end of its parent interrupts it. Without a parent it costs nothing.
fn with_interrupt<T>(client: &Client, parent: Option<&Context>, call: impl FnOnce(&Interrupt<'_>) -> T) -> T {
    let Some((parent, bell)) = parent.and_then(|parent| Some((parent, sync::call_bell()?))) else {
        return call(&Interrupt { client: &client.cut_off, call: None });
    };
    let canceller: Arc<dyn Cancel> = Arc::clone(&bell) as _;
    let _watch = parent.watch(Arc::downgrade(&canceller));
    let why = || parent.cause().map(Cause::error);
    call(&Interrupt { client: &client.cut_off, call: Some((&bell, &why)) })
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
