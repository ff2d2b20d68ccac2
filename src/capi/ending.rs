//! What operations end with, and how each becomes a reply and an event.

use crate::base::{Error, Message, Metainfo, MetainfoKind, Result};
use crate::capi::handle;
use crate::capi::op::Pending;
use crate::capi::reply::{Ended, krpc_reply};
use crate::op::operation::{Finished, Operation, Outcome};
use crate::rpc::call::Reply;
use crate::rpc::event::{Event, StreamFinished};
use crate::rpc::stream::{Pairs, Stream};

/// The end of an operation that the host can start.
pub(super) trait Ending: Outcome + Into<Ended> + Send + 'static {
    /// Whether it is that of a call on a stream.
    const OF_STREAM: bool = true;
    /// Its event in a queue while there is a handle.
    fn event(tag: u64, finished: Finished<Self>) -> Event;
    /// Its handle.
    fn pending(operation: Operation<Self>) -> Pending;
}

/// The event of what has ended. Without a handle the reply is made here and now, on the thread that brings it:
/// its memory is warm there, and whoever takes the event only copies a pointer.
pub(super) fn event_of<T: Ending>(tag: u64, finished: Finished<T>) -> Event {
    let failure = finished.failure();
    match finished.into_sole() {
        Ok(value) => {
            let ending = handle::ready::<krpc_reply>(value.into());
            Event::Ready { tag, of_stream: T::OF_STREAM, failure, ending }
        }
        Err(finished) => T::event(tag, finished),
    }
}

impl Ending for Reply {
    const OF_STREAM: bool = false;

    fn event(tag: u64, finished: Finished<Reply>) -> Event {
        Event::Call { tag, finished }
    }

    fn pending(operation: Operation<Reply>) -> Pending {
        Pending::Call(operation)
    }
}

/// Of an opening.
impl Ending for Result<Stream> {
    fn event(tag: u64, finished: Finished<Self>) -> Event {
        Event::StreamCall { tag, finished: StreamFinished::Open(finished) }
    }

    fn pending(operation: Operation<Self>) -> Pending {
        Pending::Open(operation)
    }
}

/// Of a send, of a flush.
impl Ending for Result<()> {
    fn event(tag: u64, finished: Finished<Self>) -> Event {
        Event::StreamCall { tag, finished: StreamFinished::Done(finished) }
    }

    fn pending(operation: Operation<Self>) -> Pending {
        Pending::Done(operation)
    }
}

/// Of a recv.
impl Ending for Result<Option<Message>> {
    fn event(tag: u64, finished: Finished<Self>) -> Event {
        Event::StreamCall { tag, finished: StreamFinished::Recv(finished) }
    }

    fn pending(operation: Operation<Self>) -> Pending {
        Pending::Recv(operation)
    }
}

/// Of a recv of many.
impl Ending for Result<Vec<Message>> {
    fn event(tag: u64, finished: Finished<Self>) -> Event {
        Event::StreamCall { tag, finished: StreamFinished::RecvMany(finished) }
    }

    fn pending(operation: Operation<Self>) -> Pending {
        Pending::RecvMany(operation)
    }
}

/// Of a wait for HEADER or TRAILER.
impl Ending for Result<Pairs> {
    fn event(tag: u64, finished: Finished<Self>) -> Event {
        Event::StreamCall { tag, finished: StreamFinished::Pairs(finished) }
    }

    fn pending(operation: Operation<Self>) -> Pending {
        Pending::Pairs(operation)
    }
}

impl From<Result<Stream>> for Ended {
    fn from(result: Result<Stream>) -> Ended {
        ended(result, Ended::with_stream)
    }
}

impl From<Result<()>> for Ended {
    fn from(result: Result<()>) -> Ended {
        ended(result, |()| Ended::with_message(None))
    }
}

impl From<Result<Option<Message>>> for Ended {
    fn from(result: Result<Option<Message>>) -> Ended {
        ended(result, Ended::with_message)
    }
}

impl From<Result<Vec<Message>>> for Ended {
    fn from(result: Result<Vec<Message>>) -> Ended {
        ended(result, Ended::with_messages)
    }
}

impl From<Result<Pairs>> for Ended {
    fn from(result: Result<Pairs>) -> Ended {
        ended(result, |pairs| Ended::with_metainfo(metainfo_of(pairs)))
    }
}

fn ended<T>(result: Result<T>, well: impl FnOnce(T) -> Ended) -> Ended {
    result.map_or_else(|error: Error| Ended::failed(error), well)
}

/// Pairs of a HEADER or TRAILER as C has them.
pub(super) fn metainfo_of(pairs: Pairs) -> Metainfo {
    let mut metainfo = Metainfo::new();
    pairs.into_iter().for_each(|(key, value)| metainfo.set(MetainfoKind::Backward, key, value));
    metainfo
}
