//! One caller-driven connection: a socket, its buffers, and the protocol's state.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::base::fault::hold::{self, Side};
use crate::base::fault::{self, Point};
use crate::base::{Code, Error, Phase, Result};
use crate::io::addr::Address;
use crate::io::clock;
use crate::io::inherited;
use crate::io::keepalive::Keepalive;
use crate::io::sync::PoolOptions;
use crate::io::sync::spin::Spin;
use crate::io::sys::{self, Bell, Interest, Ready};
use crate::io::transport::connect_error;
use crate::op::operation::Cause;
use crate::proto::call::{Request, Response};
use crate::proto::pingpong::ClientConn;
use crate::wire::outbuf::OutBuf;

/// Pieces handed to one `sendmsg`.
const MAX_SLICES: usize = 16;

/// Room for the start of a reply; larger ones grow the buffer as their bytes arrive.
const FIRST_READ_BYTES: usize = 4096;

/// Most bytes read at once.
const MAX_READ_BYTES: usize = 256 << 10;

/// A buffer that grew beyond this is given back when its connection goes idle.
const KEPT_BUFFER_BYTES: usize = 64 << 10;

/// What may end a call early.
pub struct Interrupt<'a> {
    /// Rings when the client is closed and calls are cut off.
    pub client: &'a Bell,
    /// Rings when this call is to end, and says why. It may ring late, for a call before.
    pub call: Option<(&'a Bell, &'a dyn Fn() -> Option<Error>)>,
}

/// A connection in the hands of one thread.
#[derive(Debug)]
pub struct Conn {
    socket: Socket,
    proto: ClientConn,
    input: BytesMut,
    output: OutBuf,
    spin: Spin,
}

impl Conn {
    /// Connects to the first of the address's sockets that answers. `timeout` holds for each.
    pub fn connect(
        address: &Address,
        timeout: Duration,
        options: &PoolOptions,
        interrupt: &Interrupt<'_>,
    ) -> Result<Conn> {
        let targets = socket_addresses(address)?;
        let mut failure = None;
        for target in &targets {
            match connect(target, timeout, &options.keepalive, interrupt) {
                Ok(socket) => return Ok(Conn::over(socket, options)),
                Err(Undialled::Failed(reason)) => failure = Some(reason),
                Err(Undialled::Interrupted(error)) => return Err(error.with_peer(address)),
            }
        }
        Err(explain(failure, timeout).with_peer(address))
    }

    /// A connection that was just made.
    pub(super) fn over(socket: Socket, options: &PoolOptions) -> Conn {
        Conn {
            socket,
            proto: ClientConn::new(options.limits),
            input: BytesMut::new(),
            output: OutBuf::new(),
            spin: Spin::new(options.spin),
        }
    }

    /// Sends a request. On an error, [`Sent::Nothing`] says that the peer can't have seen it whole, so
    /// that another connection may try.
    pub fn send(
        &mut self,
        request: &Request<'_>,
        method: &Bytes,
        interrupt: &Interrupt<'_>,
    ) -> std::result::Result<usize, (Error, Sent)> {
        self.proto.send(&mut self.output, request, method).map_err(|error| (error, Sent::Maybe))?;
        let size = self.output.len();
        while !self.output.is_empty() {
            match self.write_once() {
                Ok(()) => {}
                Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Interest::Write, interrupt).map_err(|error| (error, Sent::Maybe))?;
                }
                Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
                Err(reason) => {
                    let error = self.proto.lost(&self.input, Some(&reason)).at(Phase::Send);
                    return Err((error, Sent::Nothing));
                }
            }
        }
        Ok(size)
    }

    fn write_once(&mut self) -> io::Result<()> {
        fault::check(Point::Write)?;
        if hold::is_held(Side::Client) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = self.output.io_slices(&mut slices);
        // `writev` would raise SIGPIPE in a host that has it at its default.
        let written = self
            .socket
            .send_vectored_with_flags(slices.get(..count).unwrap_or_default(), libc::MSG_NOSIGNAL)?;
        self.output.advance(written);
        Ok(())
    }

    /// Waits for the reply, until the deadline or the bell.
    pub fn receive(&mut self, interrupt: &Interrupt<'_>) -> Result<Response> {
        if let Some(time) = self.spin.time() {
            let response = self.receive_spinning(time)?;
            self.spin.learn(response.is_some());
            if let Some(response) = response {
                return Ok(response);
            }
        }
        loop {
            self.wait(Interest::Read, interrupt)?;
            if let Some(response) = self.receive_some()?.flatten() {
                return Ok(response);
            }
        }
    }

    /// Looks for the reply for a time. Bells have to wait: it is shorter than falling asleep takes.
    fn receive_spinning(&mut self, time: Duration) -> Result<Option<Response>> {
        let until = clock::now() + time;
        loop {
            match self.receive_some()? {
                Some(Some(response)) => return Ok(Some(response)),
                Some(None) => {}
                None if clock::now() >= until => return Ok(None),
                None => std::hint::spin_loop(),
            }
        }
    }

    /// Reads what is there, and the reply once it is whole. The outer `None`: nothing is there.
    fn receive_some(&mut self) -> Result<Option<Option<Response>>> {
        match self.read_once() {
            Ok(0) => Err(self.proto.lost(&self.input, None)),
            Ok(_) => self.proto.receive(&mut self.input).map(Some),
            Err(reason) if would_block(&reason) => Ok(None),
            Err(reason) => Err(self.proto.lost(&self.input, Some(&reason))),
        }
    }

    fn read_once(&mut self) -> io::Result<usize> {
        fault::check(Point::Read)?;
        if hold::is_held(Side::Client) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let want = self.proto.missing(&self.input).clamp(FIRST_READ_BYTES, MAX_READ_BYTES);
        sys::receive(&self.socket, &mut self.input, want)
    }

    fn wait(&mut self, interest: Interest, interrupt: &Interrupt<'_>) -> Result<()> {
        loop {
            let awaited = if hold::is_held(Side::Client) { Interest::Nothing } else { interest };
            let timeout = self.proto.wake_at().map(|at| at.saturating_duration_since(clock::now()));
            match interrupt.wait(&self.socket, awaited, timeout) {
                Ok(Ready::Socket) => return Ok(()),
                Ok(Ready::Bell) => interrupt.check()?,
                Ok(Ready::TimedOut) if self.proto.expired(clock::now()) => return Err(timed_out(interest)),
                Ok(Ready::TimedOut) => {}
                Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
                Err(reason) => return Err(self.proto.lost(&self.input, Some(&reason))),
            }
        }
    }

    /// Whether another call may use the connection.
    pub fn is_reusable(&self) -> bool {
        self.proto.is_reusable()
    }

    /// The socket of an idle connection, for another kind of driver.
    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Gives back buffers that one large call made grow.
    pub fn trim(&mut self) {
        if self.input.capacity() > KEPT_BUFFER_BYTES {
            self.input = BytesMut::new();
        }
    }

    /// Whether the peer still holds the other end, as far as this end can know: an idle connection on
    /// which anything has arrived, be it the end, is of no use.
    pub fn is_alive(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        matches!(self.socket.recv_with_flags(&mut byte, flags), Err(reason) if would_block(&reason))
    }
}

impl Interrupt<'_> {
    fn wait(&self, socket: &Socket, interest: Interest, timeout: Option<Duration>) -> io::Result<Ready> {
        let bells = [Some(self.client), self.call.map(|(bell, _)| bell)];
        fault::clock::sleeping(timeout, |timeout| sys::wait(socket.as_fd(), bells, interest, timeout))
    }

    /// Waits until a bell of the caller's rings, or this one's do, or the time is up, which is false.
    pub(super) fn wait_for(&self, bell: &Bell, timeout: Option<Duration>) -> Result<bool> {
        let bells = [Some(self.client), self.call.map(|(bell, _)| bell)];
        let waited = fault::clock::sleeping(timeout, |timeout| {
            sys::wait(bell.as_fd(), bells, Interest::Read, timeout)
        });
        match waited {
            Ok(Ready::Socket) => Ok(true),
            Ok(Ready::Bell) => self.check().map(|()| true),
            Ok(Ready::TimedOut) => Ok(timeout.is_none_or(|timeout| !timeout.is_zero())),
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(reason) => Err(Error::new(Code::OutOfResources, reason.to_string()).at(Phase::Connect)),
        }
    }

    /// A bell rang: the call's, late or in time, or the client's.
    fn check(&self) -> Result<()> {
        if let Some((bell, why)) = self.call {
            bell.silence();
            if let Some(error) = why() {
                return Err(error.at(Phase::Wait));
            }
            if !self.client.is_ringing() {
                return Ok(());
            }
        }
        Err(Cause::Closed.error().at(Phase::Wait))
    }
}

/// What the peer may have seen of a request that could not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Not all of it: it can't have run.
    Nothing,
    /// Perhaps all, or sending it again would fail as well.
    Maybe,
}

fn timed_out(interest: Interest) -> Error {
    let (text, phase) = match interest {
        Interest::Write => ("the request was not taken within the timeout", Phase::Send),
        Interest::Read | Interest::Nothing => ("no reply within the timeout", Phase::Wait),
    };
    Error::new(Code::Timeout, text).at(phase)
}

fn would_block(reason: &io::Error) -> bool {
    matches!(reason.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

pub(super) fn socket_addresses(address: &Address) -> Result<Vec<SockAddr>> {
    match address.unix_path() {
        Some(path) => {
            let target = SockAddr::unix(path).map_err(|e| Error::invalid_argument("address", e))?;
            Ok(vec![target])
        }
        None => Ok(address.resolve()?.into_iter().map(SockAddr::from).collect()),
    }
}

/// Why there is no connection.
enum Undialled {
    Failed(io::Error),
    Interrupted(Error),
}

impl From<io::Error> for Undialled {
    fn from(reason: io::Error) -> Undialled {
        Undialled::Failed(reason)
    }
}

fn connect(
    target: &SockAddr,
    timeout: Duration,
    keepalive: &Keepalive,
    interrupt: &Interrupt<'_>,
) -> std::result::Result<Socket, Undialled> {
    fault::check(Point::Connect)?;
    let socket = socket(target)?;
    socket.set_nonblocking(true)?;
    match socket.connect(target) {
        Err(reason) if reason.raw_os_error() == Some(libc::EINPROGRESS) => {
            await_connected(&socket, timeout, interrupt)?;
        }
        connected => connected?,
    }
    prepare(&socket, keepalive)?;
    Ok(socket)
}

fn await_connected(
    socket: &Socket,
    timeout: Duration,
    interrupt: &Interrupt<'_>,
) -> std::result::Result<(), Undialled> {
    let deadline = clock::now().checked_add(timeout);
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(clock::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        match interrupt.wait(socket, Interest::Write, left) {
            Ok(Ready::Socket) => return Ok(socket.take_error()?.map_or(Ok(()), Err)?),
            Ok(Ready::Bell) => interrupt.check().map_err(Undialled::Interrupted)?,
            Ok(Ready::TimedOut) => {}
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

pub(super) fn socket(target: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(target.domain(), Type::STREAM.cloexec(), None)?;
    inherited::note(&socket);
    Ok(socket)
}

/// Sets the options of a connected socket.
pub(super) fn prepare(socket: &Socket, keepalive: &Keepalive) -> io::Result<()> {
    if socket.domain()? == Domain::UNIX {
        return Ok(());
    }
    socket.set_tcp_nodelay(true)?;
    keepalive.apply(socket)
}

pub(super) fn explain(failure: Option<io::Error>, timeout: Duration) -> Error {
    match failure {
        None => Error::new(Code::ResolveFailed, "the name has no address").at(Phase::Resolve),
        Some(reason) if reason.kind() == io::ErrorKind::TimedOut => {
            Error::new(Code::ConnectTimeout, format!("no connection within {timeout:?}")).at(Phase::Connect)
        }
        Some(reason) => connect_error(&reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::keepalive::tests::{UNUSUAL, read_back};

    #[test]
    fn a_connection_has_its_options() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let options = PoolOptions { keepalive: UNUSUAL, ..PoolOptions::default() };
        let bell = Bell::new().unwrap();
        let interrupt = Interrupt { client: &bell, call: None };
        let conn = Conn::connect(&address, options.connect_timeout, &options, &interrupt).unwrap();
        assert_eq!((read_back(&conn.socket), conn.socket.tcp_nodelay().unwrap()), (UNUSUAL, true));
    }
}
