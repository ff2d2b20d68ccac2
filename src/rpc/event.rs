//! What goes through a host's queue: ends of calls, requests, questions, messages of streams.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use crate::base::{Code, Error, Message, Result};
use crate::io::Bell;
use crate::op::operation::Finished;
use crate::op::queue::{self, Doorbell};
use crate::rpc::call::Reply;
use crate::rpc::server::AclDecision;
use crate::rpc::server::Request;
use crate::rpc::stream::{Delivered, Observed, Pairs, Stream};

/// A bounded queue that any number of clients and servers fill and any number of threads take from.
pub type Queue = queue::Queue<Event>;

/// Something that the host hears of by taking it.
pub enum Event {
    /// An operation without a handle has ended. What the host gets was made where it ended, so that a take
    /// only hands it over.
    Ready {
        /// As given at its start.
        tag: u64,
        /// Whether it is one of a stream, or the opening of one.
        of_stream: bool,
        /// Why it failed, if it did.
        failure: Option<Code>,
        /// What the host gets; only who started the operation knows its type.
        ending: Box<dyn Any + Send>,
    },
    /// A call has ended.
    Call {
        /// As given at its start.
        tag: u64,
        /// Its reply, unless the operation's handle took it.
        finished: Finished<Reply>,
    },
    /// A server has a request.
    Request {
        /// As given with the method.
        tag: u64,
        /// To be answered.
        request: Box<Request>,
    },
    /// A server asks whether a request may be handled.
    Acl {
        /// As given with the hook.
        tag: u64,
        /// To be answered in time.
        decision: AclDecision,
    },
    /// A server has a stream.
    Stream {
        /// As given with the method.
        tag: u64,
        /// To be finished.
        stream: Box<Stream>,
    },
    /// A call on a stream has ended.
    StreamCall {
        /// As given at its start.
        tag: u64,
        /// What it ended with.
        finished: StreamFinished,
    },
    /// A stream that delivers into the queue has a message, or has come to the end of them.
    StreamMessage {
        /// As given to the stream.
        tag: u64,
        /// What came, and the how-manieth it is.
        delivered: Delivered,
    },
    /// An observer of streams has seen something.
    StreamObserved {
        /// As given with the observer.
        tag: u64,
        /// What it has seen.
        observed: Box<Observed>,
    },
}

/// The end of a call on a stream, by what it gives.
pub enum StreamFinished {
    /// Of an opening.
    Open(Finished<Result<Stream>>),
    /// Of a send, a flush.
    Done(Finished<Result<()>>),
    /// Of a receive.
    Recv(Finished<Result<Option<Message>>>),
    /// Of a receive of many.
    RecvMany(Finished<Result<Vec<Message>>>),
    /// Of a wait for a HEADER or TRAILER.
    Pairs(Finished<Result<Pairs>>),
}

impl StreamFinished {
    /// Whether the host has freed the operation.
    pub fn is_stale(&self) -> bool {
        match self {
            StreamFinished::Open(finished) => finished.is_stale(),
            StreamFinished::Done(finished) => finished.is_stale(),
            StreamFinished::Recv(finished) => finished.is_stale(),
            StreamFinished::RecvMany(finished) => finished.is_stale(),
            StreamFinished::Pairs(finished) => finished.is_stale(),
        }
    }
}

impl queue::Event for Event {
    fn is_stale(&self) -> bool {
        match self {
            Event::Call { finished, .. } => finished.is_stale(),
            Event::Ready { .. }
            | Event::Request { .. }
            | Event::Stream { .. }
            | Event::StreamObserved { .. } => false,
            Event::StreamCall { finished, .. } => finished.is_stale(),
            Event::StreamMessage { delivered, .. } => delivered.is_stale(),
            Event::Acl { decision, .. } => !decision.is_open(),
        }
    }

    fn tag(&self) -> u64 {
        match self {
            Event::Ready { tag, .. }
            | Event::Call { tag, .. }
            | Event::Request { tag, .. }
            | Event::Acl { tag, .. }
            | Event::Stream { tag, .. }
            | Event::StreamCall { tag, .. }
            | Event::StreamMessage { tag, .. }
            | Event::StreamObserved { tag, .. } => *tag,
        }
    }
}

/// A queue with a descriptor for event loops, made when somebody asks for it.
pub struct WatchedQueue {
    queue: Arc<Queue>,
    bell: OnceLock<Arc<Bell>>,
}

impl WatchedQueue {
    /// A queue of a capacity within 1 and [`queue::MAX_CAPACITY`].
    pub fn new(capacity: usize) -> WatchedQueue {
        WatchedQueue { queue: Queue::new(capacity, None), bell: OnceLock::new() }
    }

    /// Nobody takes from it any more: see [`queue::Queue::abandon`].
    pub fn abandon(&self) {
        self.queue.abandon();
    }

    /// The queue itself.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The number of a descriptor that is readable while there is something to take. It belongs to the
    /// queue.
    pub fn descriptor(&self) -> Result<i32> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell.number());
        }
        let bell = Bell::new()
            .map_err(|reason| Error::new(Code::OutOfResources, format!("no event descriptor: {reason}")))?;
        // Of two threads that ask first, one wins; the other's bell is closed.
        let bell = self.bell.get_or_init(|| Arc::new(bell));
        self.queue.attach(bell.clone());
        Ok(bell.number())
    }
}

impl Doorbell for Bell {
    fn ring(&self) {
        Bell::ring(self);
    }

    fn clear(&self) {
        self.silence();
    }
}
