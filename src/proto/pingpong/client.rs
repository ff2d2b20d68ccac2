//! The client's side of a connection: one call at a time.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::base::{Code, Error, Limits, Phase, Result};
use crate::proto::call::{self, Expected, LastInts, Request, Response};
use crate::wire::frame::Decoder;
use crate::wire::keys;
use crate::wire::outbuf::OutBuf;

/// A client's connection without its socket.
///
/// Call [`ClientConn::send`], write what it put out, then feed [`ClientConn::receive`] until it
/// returns a response. After each of them [`ClientConn::wake_at`] and
/// [`ClientConn::is_reusable`] may have changed.
#[derive(Debug)]
pub struct ClientConn {
    decoder: Decoder,
    depth_limit: u8,
    call: Option<Expected>,
    reusable: bool,
    last: LastInts,
}

impl ClientConn {
    /// A fresh connection.
    pub fn new(limits: Limits) -> ClientConn {
        ClientConn {
            decoder: Decoder::new(limits),
            depth_limit: limits.depth,
            call: None,
            reusable: true,
            last: LastInts::default(),
        }
    }

    /// Appends a request to `out`. On an error nothing was appended and the connection is as before.
    pub fn send(&mut self, out: &mut OutBuf, request: &Request<'_>, method: &Bytes) -> Result<()> {
        if self.call.is_some() || !self.reusable {
            return Err(Error::new(Code::InvalidState, "the connection is busy with another call"));
        }
        call::encode(out, request, 0, &mut self.last, |_| ())?;
        if request.oneway {
            // The peer never answers; Kitex closes after a oneway, pooled or not (§4.3).
            self.reusable = false;
        } else {
            self.call = Some(Expected::of(request, method));
        }
        Ok(())
    }

    /// Takes the reply out of `buf` once it is complete. An error ends the connection.
    pub fn receive(&mut self, buf: &mut BytesMut) -> Result<Option<Response>> {
        match self.decode(buf) {
            Ok(response) => Ok(response),
            Err(error) => {
                self.reusable = false;
                Err(error.at(Phase::Decode))
            }
        }
    }

    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Response>> {
        let Some(expected) = &self.call else {
            return Err(Error::new(Code::BadMessage, "the peer sent bytes that no call waits for"));
        };
        let Some(inbound) = self.decoder.decode(buf)? else { return Ok(None) };
        // Ping-pong: one reply to one request. More bytes would meet the next call.
        let header = inbound.header.as_ref();
        let stay = header.is_none_or(|header| header.string(keys::CONNECTION_RESET).is_none());
        let clean = buf.is_empty() && stay;
        let response = expected.read(inbound, self.depth_limit)?;
        let exception = response.error.as_ref().is_some_and(|error| error.remote_exception().is_some());
        self.call = None;
        self.reusable = clean && !exception;
        Ok(Some(response))
    }

    /// The error for a call whose connection ended (§7.2): clean end or with a reason.
    pub fn lost(&mut self, buf: &BytesMut, reason: Option<&std::io::Error>) -> Error {
        self.reusable = false;
        let what = match reason {
            Some(reason) => format!("connection failed: {reason}"),
            None if buf.is_empty() => "the peer closed the connection before it replied".to_owned(),
            None => format!("the peer closed the connection within a reply, after {} bytes", buf.len()),
        };
        Error::new(Code::ConnectionLost, what).at(Phase::Wait)
    }

    /// When [`ClientConn::expired`] wants to be asked. Changes with `send` and `receive`.
    pub fn wake_at(&self) -> Option<Instant> {
        self.call.as_ref().and_then(|call| call.deadline)
    }

    /// Whether the call's deadline has passed. The late reply must never meet another call, so the
    /// connection is not reusable afterwards.
    pub fn expired(&mut self, now: Instant) -> bool {
        let expired = self.wake_at().is_some_and(|deadline| deadline <= now);
        if expired {
            self.reusable = false;
        }
        expired
    }

    /// Whether another call may use the connection (§7.2). Changes with every other method.
    pub fn is_reusable(&self) -> bool {
        self.reusable && self.call.is_none()
    }

    /// How many bytes are worth reading at least, at least 1.
    pub fn missing(&self, buf: &BytesMut) -> usize {
        self.decoder.missing(buf)
    }
}
