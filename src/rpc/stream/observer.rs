//! Events of streams and counters of methods, for whoever watches (ttstream.md §9.5, §9.6).
//!
//! Sends and receives are reported with number and size, not with a latency: a send ends when its message is
//! within a budget, and a receive mostly waits for the peer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Metainfo};
use crate::proto::stream::StreamStats;
use crate::rpc::event::{Event, Queue};
use crate::rpc::stream::interceptor::StreamInfo;

/// Methods that are counted apart; names come from peers where a server takes every method.
const MAX_METHODS: usize = 1024;

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum StreamEventKind {
    /// A client's stream has a connection, a server's is about to be handled.
    Start = 1,
    /// A message was sent, or could not be.
    Send = 2,
    /// A message was received, or a receive has failed. The end of messages is none.
    Recv = 3,
    /// The stream is over; what had arrived may still be received afterwards. Of an opening that failed it is
    /// the only event.
    End = 4,
    /// Client: the server's HEADER has come.
    Header = 5,
    /// Client: a META frame has come.
    Meta = 6,
}

impl StreamEventKind {
    /// Every kind.
    pub const ALL: [StreamEventKind; 6] = [
        StreamEventKind::Start,
        StreamEventKind::Send,
        StreamEventKind::Recv,
        StreamEventKind::End,
        StreamEventKind::Header,
        StreamEventKind::Meta,
    ];

    /// Its bit in a set of kinds.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Something that has happened on a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamEvent {
    /// What.
    pub kind: StreamEventKind,
    /// When, on the library's clock.
    pub at: Instant,
    /// On which stream.
    pub stream: Arc<StreamInfo>,
    /// How many events the stream had before, whether they were wanted or not: where one is missing, it was
    /// dropped.
    pub sequence: u64,
    /// Send and recv: how many messages went that way before.
    pub message: u64,
    /// Send, recv and META: size of the payload.
    pub bytes: u64,
    /// Send and recv: why not. End: why it ended, unless the peer has said everything and the handler was
    /// well; a business status is here, though it is no failure (§8).
    pub error: Option<Error>,
    /// HEADER, META, and a client's end: the pairs of the frame; of kind BACKWARD.
    pub pairs: Metainfo,
    /// Messages and bytes of the stream so far.
    pub totals: StreamStats,
}

impl StreamEvent {
    /// Whether something has failed. A business status is not a failure of the RPC.
    pub fn failure(&self) -> Option<Code> {
        self.error.as_ref().map(Error::code).filter(|code| *code != Code::BizStatus)
    }
}

/// Hears of an event where it happens: often on an I/O thread, so it must not block. No lock is held.
pub type StreamEventFn = dyn Fn(&StreamEvent) + Send + Sync;

/// Where events go.
pub enum StreamEvents {
    /// Nowhere: only the counters are wanted.
    Nowhere,
    /// To a function, at once.
    Function(Box<StreamEventFn>),
    /// Into a queue, of which they may take half; what finds no room is dropped and counted.
    Queue {
        /// The queue.
        queue: Arc<Queue>,
        /// The host's word for them.
        tag: u64,
    },
}

/// Hears of events and counts, for the streams of a client or of a server.
pub struct StreamObserver {
    kinds: u32,
    events: StreamEvents,
    queued: Arc<AtomicUsize>,
    dropped: AtomicU64,
    methods: Mutex<Methods>,
}

#[derive(Default)]
struct Methods {
    by_name: BTreeMap<(Bytes, Bytes), usize>,
    all: Vec<Arc<MethodCounts>>,
    /// What finds no place of its own.
    others: Option<Arc<MethodCounts>>,
}

/// The streams of one method, as counted until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamCounters {
    /// Streams that have begun.
    pub started: u64,
    /// Openings that have failed.
    pub refused: u64,
    /// Streams that are over.
    pub ended: u64,
    /// Of these, those that ended with an error; a business status is none.
    pub failed: u64,
    /// Sends that have failed.
    pub send_errors: u64,
    /// Receives that have failed.
    pub recv_errors: u64,
    /// Messages and bytes, payloads only.
    pub messages: StreamStats,
}

/// Counts the streams of one method.
pub struct MethodCounts {
    service: Bytes,
    method: Bytes,
    started: AtomicU64,
    refused: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
    send_errors: AtomicU64,
    recv_errors: AtomicU64,
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
}

impl StreamObserver {
    /// An observer of some kinds of events, a sum of [`StreamEventKind::bit`]. It counts whatever the kinds.
    pub fn new(kinds: u32, events: StreamEvents) -> Arc<StreamObserver> {
        Arc::new(StreamObserver {
            kinds,
            events,
            queued: Arc::default(),
            dropped: AtomicU64::new(0),
            methods: Mutex::default(),
        })
    }

    /// Events that found no room in the queue.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Methods that have been met. It only grows.
    pub fn method_count(&self) -> usize {
        let methods = self.methods.lock();
        methods.all.len() + usize::from(methods.others.is_some())
    }

    /// The counts of a method, 0 ≤ `index` < [`StreamObserver::method_count`], in the order in which they
    /// were met; those beyond the first 1024 count together, without a name.
    pub fn method_at(&self, index: usize) -> Option<Arc<MethodCounts>> {
        let methods = self.methods.lock();
        let others = methods.others.as_ref().filter(|_| index == methods.all.len());
        methods.all.get(index).or(others).cloned()
    }

    pub(super) fn counts_of(&self, service: &Bytes, method: &Bytes) -> Arc<MethodCounts> {
        let methods = &mut *self.methods.lock();
        let name = (service.clone(), method.clone());
        if let Some(known) = methods.by_name.get(&name).and_then(|at| methods.all.get(*at)) {
            return Arc::clone(known);
        }
        if methods.all.len() == MAX_METHODS {
            return Arc::clone(methods.others.get_or_insert_with(|| MethodCounts::new(b"", b"")));
        }
        let counts = MethodCounts::new(service, method);
        methods.by_name.insert((counts.service.clone(), counts.method.clone()), methods.all.len());
        methods.all.push(Arc::clone(&counts));
        counts
    }

    pub(super) fn wants(&self, kind: StreamEventKind) -> bool {
        self.kinds & kind.bit() != 0 && !matches!(self.events, StreamEvents::Nowhere)
    }

    /// The caller has asked [`StreamObserver::wants`].
    pub(super) fn tell(&self, event: StreamEvent) {
        match &self.events {
            StreamEvents::Nowhere => {}
            StreamEvents::Function(function) => function(&event),
            StreamEvents::Queue { queue, tag } => {
                let share = Share::take(&self.queued, (queue.capacity() / 2).max(1));
                match share.and_then(|share| Some((share, queue.reserve().ok()?))) {
                    Some((share, slot)) => {
                        let observed = Box::new(Observed { event, _share: share });
                        slot.fill(Event::StreamObserved { tag: *tag, observed });
                    }
                    None => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
                }
            }
        }
    }
}

impl MethodCounts {
    fn new(service: &[u8], method: &[u8]) -> Arc<MethodCounts> {
        let zero = || AtomicU64::new(0);
        Arc::new(MethodCounts {
            // Names of their own: those of a peer would keep the buffer that they came in.
            service: Bytes::copy_from_slice(service),
            method: Bytes::copy_from_slice(method),
            started: zero(),
            refused: zero(),
            ended: zero(),
            failed: zero(),
            send_errors: zero(),
            recv_errors: zero(),
            messages_sent: zero(),
            bytes_sent: zero(),
            messages_received: zero(),
            bytes_received: zero(),
        })
    }

    /// The service's name.
    pub fn service(&self) -> &[u8] {
        &self.service
    }

    /// The method's name.
    pub fn method(&self) -> &[u8] {
        &self.method
    }

    /// What was counted until now.
    pub fn read(&self) -> StreamCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StreamCounters {
            started: read(&self.started),
            refused: read(&self.refused),
            ended: read(&self.ended),
            failed: read(&self.failed),
            send_errors: read(&self.send_errors),
            recv_errors: read(&self.recv_errors),
            messages: StreamStats {
                messages_sent: read(&self.messages_sent),
                bytes_sent: read(&self.bytes_sent),
                messages_received: read(&self.messages_received),
                bytes_received: read(&self.bytes_received),
            },
        }
    }

    /// `began`: whether the stream had begun before.
    pub(super) fn count(&self, event: StreamEventKind, bytes: u64, failed: bool, began: bool) {
        let one = |count: &AtomicU64| _ = count.fetch_add(1, Ordering::Relaxed);
        match (event, failed) {
            (StreamEventKind::Start, _) => one(&self.started),
            (StreamEventKind::Send, true) => one(&self.send_errors),
            (StreamEventKind::Recv, true) => one(&self.recv_errors),
            (StreamEventKind::Send, false) => {
                one(&self.messages_sent);
                self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
            }
            (StreamEventKind::Recv, false) => {
                one(&self.messages_received);
                self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
            }
            (StreamEventKind::End, _) if !began => one(&self.refused),
            (StreamEventKind::End, _) => {
                one(&self.ended);
                if failed {
                    one(&self.failed);
                }
            }
            (StreamEventKind::Header | StreamEventKind::Meta, _) => {}
        }
    }
}

/// An event in a queue.
pub struct Observed {
    event: StreamEvent,
    _share: Share,
}

impl Observed {
    /// The event; its place in the observer's share of the queue is free again.
    pub fn into_event(self) -> StreamEvent {
        self.event
    }
}

/// A place in an observer's share of a queue.
struct Share(Arc<AtomicUsize>);

impl Share {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Share> {
        let one_more = |taken| (taken < most).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Share(Arc::clone(taken)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> StreamEvent {
        let stream = StreamInfo {
            side: crate::base::StreamSide::Client,
            service: Bytes::new(),
            method: Bytes::from_static(b"M"),
            peer: "".into(),
            number: 1,
        };
        StreamEvent {
            kind: StreamEventKind::Send,
            at: crate::io::clock::now(),
            stream: Arc::new(stream),
            sequence,
            message: 0,
            bytes: 0,
            error: None,
            pairs: Metainfo::new(),
            totals: StreamStats::default(),
        }
    }

    /// Names may come from peers: they are counted apart only up to a limit.
    #[test]
    fn methods_beyond_the_limit_count_together() {
        let observer = StreamObserver::new(0, StreamEvents::Nowhere);
        let name = |number: usize| Bytes::from(format!("m{number}"));
        for number in 0..MAX_METHODS + 10 {
            let counts = observer.counts_of(&Bytes::from_static(b"S"), &name(number));
            counts.count(StreamEventKind::Send, 7, false, true);
        }
        assert_eq!(observer.method_count(), MAX_METHODS + 1);
        let first = observer.method_at(0).unwrap();
        assert_eq!(
            (first.service(), first.method(), first.read().messages.bytes_sent),
            (&b"S"[..], &b"m0"[..], 7)
        );
        let others = observer.method_at(MAX_METHODS).unwrap();
        assert_eq!((others.method(), others.read().messages.messages_sent), (&b""[..], 10));
        assert!(observer.method_at(MAX_METHODS + 1).is_none());
        let again = observer.counts_of(&Bytes::from_static(b"S"), &name(3));
        assert!(Arc::ptr_eq(&again, &observer.method_at(3).unwrap()));
    }

    #[test]
    fn events_leave_half_of_a_queue_to_others() {
        let queue: Arc<Queue> = Queue::new(5, None);
        let events = StreamEvents::Queue { queue: Arc::clone(&queue), tag: 3 };
        let observer = StreamObserver::new(StreamEventKind::Send.bit(), events);
        (0..4).for_each(|number| observer.tell(event(number)));
        assert_eq!((observer.dropped(), queue.stats().queued), (2, 2));
        let others: Vec<_> = (0..3).map(|_| queue.reserve().ok()).collect();
        assert!(others.iter().all(Option::is_some));
        // What was taken makes room, also in the share, when it is let go.
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 1, None).count, 1);
        observer.tell(event(4));
        assert_eq!(observer.dropped(), 3, "the event is still held");
        taken.clear();
        observer.tell(event(5));
        assert_eq!((observer.dropped(), queue.stats().queued), (3, 2));
    }

    #[test]
    fn a_business_status_is_no_failure() {
        let mut event = event(0);
        assert_eq!(event.failure(), None);
        event.error = Some(Error::biz(crate::base::Biz { code: 1, ..Default::default() }));
        assert_eq!(event.failure(), None);
        event.error = Some(Error::new(Code::Cancelled, "x"));
        assert_eq!(event.failure(), Some(Code::Cancelled));
    }
}
