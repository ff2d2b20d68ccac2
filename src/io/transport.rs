//! TCP and unix sockets behind one face, registered with a shard.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};

use crate::base::fault::hold::{self, Side};
use crate::base::fault::{self, Point};
use crate::base::{Code, Error, Phase, Result};
use crate::io::addr::Address;
use crate::io::inherited;
use crate::io::keepalive::Keepalive;
use crate::wire::outbuf::OutBuf;

/// Who holds the other end of a unix socket, as the system knows it: the process that connected, even if
/// another uses the socket now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Process id, as this process's namespace sees it; 0 if it does not.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

impl Credentials {
    /// The peer's, by `SO_PEERCRED`; `None` if the system does not tell.
    pub(super) fn of(stream: &UnixStream) -> Option<Credentials> {
        let peer = stream.peer_cred().ok()?;
        Some(Credentials { pid: peer.pid().unwrap_or_default(), uid: peer.uid(), gid: peer.gid() })
    }
}

/// A connected, non-blocking socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix stream socket.
    Unix(UnixStream),
}

impl Transport {
    /// Registers a socket that is connected and does not block with the current shard.
    pub fn adopt(socket: Socket, address: &Address) -> io::Result<Transport> {
        match address {
            Address::Unix(_) => UnixStream::from_std(socket.into()).map(Transport::Unix),
            _ => TcpStream::from_std(socket.into()).map(Transport::Tcp),
        }
    }

    fn prepared(self, keepalive: &Keepalive) -> io::Result<Transport> {
        if let Transport::Tcp(stream) = &self {
            stream.set_nodelay(true)?;
            keepalive.apply(stream)?;
        }
        Ok(self)
    }

    /// Reads into the buffer's spare room; 0 bytes mean that the peer has ended. `side` is ours.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        side: Side,
    ) -> Poll<io::Result<usize>> {
        if hold::holds(side, cx.waker()) {
            return Poll::Pending;
        }
        fault::check(Point::Read)?;
        match self {
            Transport::Tcp(stream) => read_buf(stream, cx, buf),
            Transport::Unix(stream) => read_buf(stream, cx, buf),
        }
    }

    /// Writes what is there once, in up to `SLICES` pieces, and takes off what the socket took: that many
    /// bytes. `side` is ours.
    pub fn poll_write<const SLICES: usize>(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut OutBuf,
        side: Side,
    ) -> Poll<io::Result<usize>> {
        if hold::holds(side, cx.waker()) {
            return Poll::Pending;
        }
        fault::check(Point::Write)?;
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = output.io_slices(&mut slices);
        let slices = slices.get(..count).unwrap_or_default();
        let written = ready!(match self {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        })?;
        output.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Ends our side: the peer reads what was written, then the end.
    pub fn poll_end_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A connection on its way.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Transport>> + Send>>;

/// Connects to the first of the address's sockets that answers. Host names are resolved by the system, on
/// a thread of its own.
pub fn connect(address: Address, keepalive: Keepalive) -> Connecting {
    Box::pin(async move {
        let connected = match &address {
            Address::Unix(path) => connect_unix(path).await,
            Address::Ip(address) => connect_tcp(*address).await,
            Address::Host(host, port) => connect_first(host, *port).await,
        };
        connected
            .and_then(|transport| transport.prepared(&keepalive))
            .map_err(|reason| connect_error(&reason))
    })
}

async fn connect_unix(path: &Path) -> io::Result<Transport> {
    fault::check(Point::Connect)?;
    let socket = UnixSocket::new_stream()?;
    inherited::note(&socket);
    socket.connect(path).await.map(Transport::Unix)
}

async fn connect_tcp(address: SocketAddr) -> io::Result<Transport> {
    fault::check(Point::Connect)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    inherited::note(&socket);
    socket.connect(address).await.map(Transport::Tcp)
}

async fn connect_first(host: &str, port: u16) -> io::Result<Transport> {
    let mut failure = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        match connect_tcp(address).await {
            Ok(transport) => return Ok(transport),
            Err(reason) => failure = Some(reason),
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// What a failed connect means to the call.
pub fn connect_error(reason: &io::Error) -> Error {
    let code = match reason.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => Code::OutOfResources,
        _ => Code::ConnectFailed,
    };
    Error::new(code, reason.to_string()).at(Phase::Connect)
}

fn read_buf<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // The future holds no state between polls.
    let read = std::pin::pin!(stream.read_buf(buf));
    read.poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::keepalive::tests::{UNUSUAL, read_back};

    #[test]
    fn a_connection_has_its_options() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connected = executor.block_on(connect(address, UNUSUAL)).unwrap();
        let Transport::Tcp(stream) = connected else { panic!("not TCP") };
        assert_eq!((read_back(&stream), stream.nodelay().unwrap()), (UNUSUAL, true));
    }
}
