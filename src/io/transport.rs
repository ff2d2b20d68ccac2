//! TCP and unix sockets behind one face, registered with a shard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connected, non-blocking socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix stream socket.
    Unix(UnixStream),
}

impl Transport {
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

fn read_buf<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // The future holds no state between polls.
    let read = std::pin::pin!(stream.read_buf(buf));
    read.poll(cx)
}
