//! Serving: who takes streams, and how a handler's end becomes the stream's.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::base::{Error, Result, StreamSide};
use crate::codec::CallShape;
use crate::idl::schema::Streaming;
use crate::io::stream::{Incoming, Received, Taken};
use crate::op::queue::QueueError;
use crate::proto::stream::{Finish, StreamTimeouts};
use crate::rpc::Runtime;
use crate::rpc::context::Context;
use crate::rpc::event::{Event, Queue};
use crate::rpc::stream::handle::{About, Stream};

/// Which sides stream (`streaming.mode` of the IDL). It is not on the wire: both ends must know it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum StreamMode {
    /// Many messages, one answer.
    Client = 1,
    /// One message, many answers.
    Server = 2,
    /// Many messages, many answers.
    Bidirectional = 3,
}

impl StreamMode {
    /// The mode with this number.
    pub const fn from_number(number: i32) -> Option<StreamMode> {
        match number {
            1 => Some(StreamMode::Client),
            2 => Some(StreamMode::Server),
            3 => Some(StreamMode::Bidirectional),
            _ => None,
        }
    }

    /// The mode that an IDL says, if the method streams.
    pub const fn of(streaming: Streaming) -> Option<StreamMode> {
        match streaming {
            Streaming::None | Streaming::Unary => None,
            Streaming::Client => Some(StreamMode::Client),
            Streaming::Server => Some(StreamMode::Server),
            Streaming::Bidirectional => Some(StreamMode::Bidirectional),
        }
    }
}

/// How a streaming method is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamMethodOptions {
    /// The handler is called on the I/O thread: it must not block, or every connection of that thread waits.
    pub inline: bool,
}

/// Takes streams.
pub trait StreamHandler: Send + Sync {
    /// Takes the stream, and finishes it now or later, on this thread or another. With
    /// [`StreamMode::Server`] the request is there already, see [`Stream::request`].
    fn handle(&self, stream: Stream);
}

impl<F: Fn(Stream) + Send + Sync> StreamHandler for F {
    fn handle(&self, stream: Stream) {
        self(stream)
    }
}

/// A handler that ends its stream by returning: `Ok` well, a business status as such, any other error as
/// the exception `biz error: …`, as Kitex does (ttstream.md §3.3).
pub struct Returning<F>(pub F);

impl<F: Fn(&Stream) -> Result<()> + Send + Sync> StreamHandler for Returning<F> {
    fn handle(&self, stream: Stream) {
        let finish = match (self.0)(&stream) {
            Ok(()) => Finish::Ok,
            Err(error) => finish_of(&error),
        };
        // It may have finished by itself.
        let _ = stream.finish(finish);
    }
}

fn finish_of(error: &Error) -> Finish {
    match error.biz_status() {
        Some(status) => Finish::Biz(status.clone()),
        None => Finish::failed(error.text()),
    }
}

/// Puts streams into a queue; what finds no room is refused.
pub struct StreamQueueHandler {
    queue: Arc<Queue>,
    tag: u64,
}

impl StreamQueueHandler {
    /// `tag` is the host's word for the streams.
    pub fn new(queue: Arc<Queue>, tag: u64) -> StreamQueueHandler {
        StreamQueueHandler { queue, tag }
    }
}

impl StreamHandler for StreamQueueHandler {
    fn handle(&self, stream: Stream) {
        match self.queue.reserve() {
            Ok(slot) => slot.fill(Event::Stream { tag: self.tag, stream: Box::new(stream) }),
            Err(why) => {
                let what = if why == QueueError::Full { "full" } else { "closed" };
                let _ = stream.finish(refusal(&format!("the server's queue is {what}")));
            }
        }
    }
}

/// The server takes no more.
pub(in crate::rpc) fn refusal(why: &str) -> Finish {
    let text = format!("request over limit: {why}").into();
    Finish::Exception { type_id: crate::wire::thrift::ApplicationException::INTERNAL_ERROR, text }
}

impl Stream {
    /// A server's end. `keep` is given back when the stream is.
    pub(in crate::rpc) fn served(
        incoming: Incoming,
        service: Bytes,
        shape: Option<CallShape>,
        keep: Box<dyn Send + Sync>,
        threads: Weak<Runtime>,
    ) -> Stream {
        let Incoming { opening, link } = incoming;
        let timeouts = StreamTimeouts::default();
        let context = Context::with(opening.deadline, opening.metainfo.clone());
        let about = About {
            side: StreamSide::Server,
            service,
            method: opening.method,
            shape,
            opening: Some((opening.header, opening.metainfo)),
            context,
            timeouts,
            keep,
            runtime: None,
            threads,
        };
        Stream::new(link, about)
    }

    /// Waits for the request of a method that streams only its answers, then goes on. Without one the
    /// stream ends, as Kitex's does.
    pub(in crate::rpc) fn with_request(self, go_on: impl FnOnce(Stream) + Send + 'static) {
        let link = Arc::clone(self.link());
        let taken = move |received| match self.incoming(received) {
            Received::Message(request) => {
                self.set_request(request);
                go_on(self);
            }
            // At most one was asked for.
            Received::Messages(_) | Received::Eof | Received::Nothing => {
                drop(self.finish(Finish::failed("EOF")));
            }
            Received::Failed(error) => drop(self.finish(Finish::failed(error.text()))),
        };
        link.recv_when_there(link.next_id(), 1, Taken::by(taken));
    }
}
