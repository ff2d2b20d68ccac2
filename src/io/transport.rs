//! TCP and unix sockets behind one face, registered with a shard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::base::{Code, Error, Phase, Result};
use crate::io::addr::Address;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix stream socket.
    Unix(UnixStream),
}

impl Transport {
    fn without_delay(self) -> io::Result<Transport> {
        if let Transport::Tcp(stream) = &self {
            stream.set_nodelay(true)?;
        }
        Ok(self)
    }

    /// Reads into the buffer's spare room; 0 bytes mean that the peer has ended.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(stream) => read_buf(stream, cx, buf),
            Transport::Unix(stream) => read_buf(stream, cx, buf),
        }
    }

    /// Writes as many bytes as the socket takes at once.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}

/// A connection on its way.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Transport>> + Send>>;

/// Connects to the first of the address's sockets that answers. Host names are resolved by the system, on
/// a thread of its own.
pub fn connect(address: Address) -> Connecting {
    Box::pin(async move {
        let connected = match &address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Transport::Unix),
            Address::Ip(address) => TcpStream::connect(address).await.map(Transport::Tcp),
            Address::Host(host, port) => TcpStream::connect((host.as_str(), *port)).await.map(Transport::Tcp),
        };
        connected.and_then(Transport::without_delay).map_err(|reason| connect_error(&reason))
    })
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
