//! Listening sockets and the set of connections that came in through them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::base::fault::{self, Point};
use crate::base::lock::{Condvar, Mutex};
use crate::base::log::Level;
use crate::base::{Code, Error, Result};
use crate::io::addr::Address;
use crate::io::clock;
use crate::io::conn::{ConnTask, Mailbox, Order, Setup};
use crate::io::inherited;
use crate::io::keepalive::Keepalive;
use crate::io::runtime::{InTurn, Runtime};
use crate::io::thread;
use crate::io::timer;
use crate::io::transport::{Credentials, Transport};

/// Connections that the system may hold for us before we accept them.
const BACKLOG: i32 = 1024;

/// How long accepting pauses when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a stop waits for connections that it has cut off.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// The sockets of one server. Dropping it cuts off what is left.
#[derive(Debug)]
pub struct Listener {
    addresses: Vec<Address>,
    /// Dropped, they end the accept loops.
    accepting: Mutex<Vec<oneshot::Sender<Infallible>>>,
    connections: Arc<Connections>,
    unix_paths: Mutex<Vec<PathBuf>>,
}

/// What a stop left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stopped {
    /// Connections that ended by themselves within the time.
    pub finished: usize,
    /// Connections that were cut off.
    pub cut_off: usize,
}

impl Listener {
    /// Listens on all addresses, or on none: the first that fails is the error.
    pub fn bind(
        addresses: &[Address],
        max_connections: usize,
        setup: &Setup,
        runtime: &Arc<Runtime>,
    ) -> Result<Listener> {
        let connections = Arc::new(Connections::new(max_connections));
        let mut listener = Listener {
            addresses: Vec::new(),
            accepting: Mutex::new(Vec::new()),
            connections,
            unix_paths: Mutex::new(Vec::new()),
        };
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.push(bind(address, &setup.keepalive)?);
            // From here on the file is this listener's to remove, also if the next address fails.
            listener.unix_paths.lock().extend(address.unix_path().map(PathBuf::from));
        }
        for (socket, address) in sockets.into_iter().zip(addresses) {
            listener.open(socket, address, setup, runtime)?;
        }
        Ok(listener)
    }

    fn open(
        &mut self,
        socket: Socket,
        address: &Address,
        setup: &Setup,
        runtime: &Arc<Runtime>,
    ) -> Result<()> {
        let failed = |reason: io::Error| listen_error(address, &reason);
        let bound =
            match address {
                Address::Unix(_) => address.clone(),
                _ => {
                    let local = socket.local_addr().map_err(failed)?;
                    Address::Ip(local.as_socket().ok_or_else(|| {
                        Error::new(Code::ListenFailed, format!("{address}: no local address"))
                    })?)
                }
            };
        let shard = runtime.shard(0);
        let socket = {
            let _inside = shard.enter();
            Acceptor::register(socket, address).map_err(failed)?
        };
        let gate = Gate {
            shards: runtime.in_turn(),
            setup: setup.clone(),
            connections: Arc::clone(&self.connections),
        };
        let ticket = Ticket::accepting(&self.connections);
        let (open, closed) = oneshot::channel();
        shard.spawn(accept_all(ticket, socket, gate, closed));
        self.accepting.lock().push(open);
        setup.log.write(Level::Info, "server", format_args!("listening on {bound}"));
        self.addresses.push(bound);
        Ok(())
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Connections open now.
    pub fn connection_count(&self) -> usize {
        self.connections.state.lock().open.len()
    }

    /// Stops gracefully (ttheader.md §10): accepts no more, lets what has arrived be answered, and cuts
    /// off what is left after `grace`. Blocks until then. Calling it again does nothing.
    pub fn stop(&self, grace: Duration) -> Result<Stopped> {
        thread::may_block()?;
        let deadline = clock::now().checked_add(grace);
        self.close_sockets();
        // Clients that are sent elsewhere dial anew at once: a socket that still listened would take their
        // connections and then drop them with their requests.
        self.connections.wait_until(deadline, |state| state.accepting == 0);
        let before = self.connections.order(Order::Drain);
        self.connections.wait_until(deadline, Members::is_empty);
        let cut_off = self.connections.order(Order::Abort);
        self.connections.wait_until(clock::now().checked_add(ABORT_WAIT), Members::is_empty);
        Ok(Stopped { finished: before.saturating_sub(cut_off), cut_off })
    }

    fn close_sockets(&self) {
        // First, so that nobody comes while the rest is accepted. Once only: later another server may listen there.
        for path in self.unix_paths.lock().drain(..) {
            let _ = std::fs::remove_file(path);
        }
        self.accepting.lock().clear();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close_sockets();
        self.connections.order(Order::Abort);
    }
}

fn bind(address: &Address, keepalive: &Keepalive) -> Result<Socket> {
    let failed = |reason: io::Error| listen_error(address, &reason);
    if let Address::Unix(path) = address {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).map_err(failed)?;
        let target = SockAddr::unix(path).map_err(failed)?;
        // A socket that nobody listens on is left over from a process that died. Anything else that is
        // there, or a listener that is merely busy, stays.
        socket.set_nonblocking(true).map_err(failed)?;
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        let refused = |reason: io::Error| reason.kind() == io::ErrorKind::ConnectionRefused;
        if is_socket && socket.connect(&target).is_err_and(refused) {
            let _ = std::fs::remove_file(path);
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).map_err(failed)?;
        return listen(socket, &target).map_err(failed);
    }
    let resolved = address.resolve()?;
    let first: SocketAddr = *resolved
        .first()
        .ok_or_else(|| Error::new(Code::ResolveFailed, format!("{address}: the name has no address")))?;
    let socket = Socket::new(Domain::for_address(first), Type::STREAM.cloexec(), None).map_err(failed)?;
    socket.set_reuse_address(true).map_err(failed)?;
    // What is accepted has them too, and costs no system call.
    keepalive.apply(&socket).map_err(failed)?;
    listen(socket, &SockAddr::from(first)).map_err(failed)
}

fn listen(socket: Socket, target: &SockAddr) -> io::Result<Socket> {
    inherited::note(&socket);
    socket.bind(target)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen_error(address: &Address, reason: &io::Error) -> Error {
    Error::new(Code::ListenFailed, format!("{address}: {reason}"))
}

/// A listening socket that is registered with a shard.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn register(socket: Socket, address: &Address) -> io::Result<Acceptor> {
        match address {
            Address::Unix(_) => Ok(Acceptor::Unix(UnixListener::from_std(socket.into())?)),
            _ => Ok(Acceptor::Tcp(TcpListener::from_std(socket.into())?)),
        }
    }

    /// Accepts who waits already, for a socket that is about to close: the system would reset their
    /// connections, over which requests may have come. What remains is a peer that is let in now and answers
    /// after the close, a round trip from here.
    fn accept_rest(&self, gate: &Gate) {
        let socket = match self {
            Acceptor::Tcp(listener) => SockRef::from(listener),
            Acceptor::Unix(listener) => SockRef::from(listener),
        };
        // From now on the system lets one at a time in. Not nobody: a child of fork may serve the same socket.
        let _ = socket.listen(0);
        while let Ok((socket, peer)) = socket.accept() {
            match self.take_over(socket, &peer) {
                Ok((transport, peer)) => gate.admit(transport, peer),
                Err(reason) => gate.setup.log.write(Level::Error, "server", format_args!("accept: {reason}")),
            }
        }
    }

    fn take_over(&self, socket: Socket, peer: &SockAddr) -> io::Result<(Transport, Arc<str>)> {
        inherited::note(&socket);
        socket.set_nonblocking(true)?;
        match (self, peer.as_socket()) {
            (Acceptor::Tcp(_), Some(peer)) => {
                socket.set_tcp_nodelay(true)?;
                Ok((Transport::Tcp(TcpStream::from_std(socket.into())?), peer.to_string().into()))
            }
            _ => Ok((Transport::Unix(UnixStream::from_std(socket.into())?), "unix".into())),
        }
    }

    async fn accept(&self) -> io::Result<(Transport, Arc<str>)> {
        fault::check(Point::Accept)?;
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                inherited::note(&stream);
                stream.set_nodelay(true)?;
                Ok((Transport::Tcp(stream), peer.to_string().into()))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                inherited::note(&stream);
                Ok((Transport::Unix(stream), "unix".into()))
            }
        }
    }
}

/// What an accepted connection passes on its way to a shard.
///
/// One socket accepts, and hands connections over in turn. A listening socket for each shard (SO_REUSEPORT)
/// would save the hand-over, two `epoll_ctl` and a wake-up for each connection, which lives for minutes. But
/// the system then chooses the shard by a hash, so that few connections lie unevenly for all their life; what
/// waits in the queue of a socket that is closed is reset, which a graceful stop must not do; and unix
/// sockets have no such thing.
struct Gate {
    shards: InTurn,
    setup: Setup,
    connections: Arc<Connections>,
}

/// Accepts until the other end of `closed` is dropped. The ticket stands first so that it goes last, after the
/// socket.
async fn accept_all(
    _ticket: Ticket,
    acceptor: Acceptor,
    gate: Gate,
    mut closed: oneshot::Receiver<Infallible>,
) {
    loop {
        let accepted = {
            let mut accept = pin!(acceptor.accept());
            poll_fn(|cx| match Pin::new(&mut closed).poll(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => accept.as_mut().poll(cx).map(Some),
            })
            .await
        };
        match accepted {
            None => return acceptor.accept_rest(&gate),
            Some(Ok((transport, peer))) => gate.admit(transport, peer),
            Some(Err(reason)) => {
                gate.setup.log.write(Level::Error, "server", format_args!("accept: {reason}"));
                // Out of descriptors: trying again at once would only spin. A peer that hung up while
                // it waited needs no pause, but one does no harm.
                timer::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Gate {
    fn admit(&self, transport: Transport, peer: Arc<str>) {
        let credentials = match &transport {
            Transport::Unix(stream) => Credentials::of(stream),
            Transport::Tcp(_) => None,
        };
        let mailbox = Arc::new(Mailbox::new(peer, credentials));
        let Some(ticket) = Ticket::open(&self.connections, &mailbox) else {
            self.setup.counts.refused.fetch_add(1, Ordering::Relaxed);
            self.setup.log.write(Level::Warn, "server", format_args!("too many connections, one is refused"));
            return;
        };
        self.setup.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let setup = self.setup.clone();
        match self.shards.next() {
            // This one.
            (0, shard) => drop(shard.spawn(serve(ConnTask::new(transport, mailbox, setup), ticket))),
            (_, shard) => {
                let log = self.setup.log.clone();
                let Ok(socket) = detach(transport) else { return };
                shard.spawn(async move {
                    match socket.attach() {
                        Ok(transport) => serve(ConnTask::new(transport, mailbox, setup), ticket).await,
                        Err(reason) => log.write(Level::Error, "server", format_args!("accept: {reason}")),
                    }
                });
            }
        }
    }
}

async fn serve(task: ConnTask, ticket: Ticket) {
    let streams = task.await;
    // In a place of its own: most connections have none, and what they take is kept for as long as they last.
    if streams.is_some() {
        Box::pin(streams.run()).await;
    }
    drop(ticket);
}

/// A socket on its way from one shard to another.
enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

fn detach(transport: Transport) -> io::Result<Detached> {
    match transport {
        Transport::Tcp(stream) => stream.into_std().map(Detached::Tcp),
        Transport::Unix(stream) => stream.into_std().map(Detached::Unix),
    }
}

impl Detached {
    fn attach(self) -> io::Result<Transport> {
        match self {
            Detached::Tcp(stream) => TcpStream::from_std(stream).map(Transport::Tcp),
            Detached::Unix(stream) => UnixStream::from_std(stream).map(Transport::Unix),
        }
    }
}

/// All connections of a listener, so that a stop can reach them and wait for them.
#[derive(Debug)]
struct Connections {
    max: usize,
    state: Mutex<Members>,
    /// The last accept loop, or the last of all, has gone.
    left: Condvar,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    open: HashMap<u64, Arc<Mailbox>>,
    /// Accept loops that still run.
    accepting: usize,
    /// What newcomers are told as well.
    order: Order,
}

impl Members {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.accepting == 0
    }
}

impl Connections {
    fn new(max: usize) -> Connections {
        Connections { max, state: Mutex::default(), left: Condvar::new() }
    }

    /// Gives an order to all, and returns how many there are.
    fn order(&self, order: Order) -> usize {
        let open: Vec<_> = {
            let mut state = self.state.lock();
            state.order = state.order.max(order);
            state.open.values().cloned().collect()
        };
        open.iter().for_each(|mailbox| mailbox.order(order));
        open.len()
    }

    fn wait_until(&self, deadline: Option<Instant>, reached: impl Fn(&Members) -> bool) {
        let mut state = self.state.lock();
        while !reached(&state) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            state = match left {
                None => self.left.wait(state),
                Some(Duration::ZERO) => break,
                Some(left) => self.left.wait_for(state, left),
            };
        }
    }
}

/// Membership in [`Connections`], for as long as it lives.
struct Ticket {
    connections: Arc<Connections>,
    member: Option<u64>,
}

impl Ticket {
    fn accepting(connections: &Arc<Connections>) -> Ticket {
        connections.state.lock().accepting += 1;
        Ticket { connections: Arc::clone(connections), member: None }
    }

    fn open(connections: &Arc<Connections>, mailbox: &Arc<Mailbox>) -> Option<Ticket> {
        let mut state = connections.state.lock();
        if state.open.len() >= connections.max || fault::fails(Point::ConnectionSlot) {
            return None;
        }
        let id = state.next;
        state.next += 1;
        state.open.insert(id, Arc::clone(mailbox));
        let order = state.order;
        drop(state);
        mailbox.order(order);
        Some(Ticket { connections: Arc::clone(connections), member: Some(id) })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        match self.member {
            Some(id) => drop(state.open.remove(&id)),
            None => state.accepting -= 1,
        }
        let last_accepting = self.member.is_none() && state.accepting == 0;
        if last_accepting || state.is_empty() {
            self.connections.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::keepalive::tests::{UNUSUAL, read_back};

    #[test]
    fn what_is_accepted_has_the_options_of_the_listener() {
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let address = Address::parse(text).unwrap();
            let socket = bind(&address, &UNUSUAL).unwrap();
            let to = socket.local_addr().unwrap().as_socket().unwrap();
            let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (accepted, _client) = executor.block_on(async {
                let acceptor = Acceptor::register(socket, &address).unwrap();
                let client = std::net::TcpStream::connect(to).unwrap();
                (acceptor.accept().await.unwrap().0, client)
            });
            let Transport::Tcp(stream) = accepted else { panic!("not TCP") };
            assert_eq!((read_back(&stream), stream.nodelay().unwrap()), (UNUSUAL, true));
        }
    }
}
