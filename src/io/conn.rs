//! The task that owns one server connection: its socket, its buffers, its protocol state.
//!
//! Everybody else reaches it through a [`Responder`]. On each wake-up the task takes what was
//! answered, decodes what has arrived, and lets everything leave in one vectored write.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;

use crate::base::fault::hold::Side;
use crate::base::fault::{self, Point};
use crate::base::log::{Level, Log};
use crate::base::panic;
use crate::base::{Code, Error, Limits, Result};
use crate::io::clock;
use crate::io::inbox::Inbox;
use crate::io::keepalive::Keepalive;
use crate::io::spare;
use crate::io::stream::{self, ServerSide};
use crate::io::timer::LazyTimer;
use crate::io::transport::{Credentials, Transport};
use crate::proto::pingpong::{Answer, Exception, Reply, ServerConn, Ticket, Timeouts};
use crate::wire::detect::{self, Protocol};
use crate::wire::frame::Inbound;
use crate::wire::outbuf::OutBuf;

/// Pieces handed to one `writev`.
const MAX_SLICES: usize = 32;

/// Room made before a read when nothing is known about what comes.
const READ_BYTES: usize = 4096;

/// Room for a peer that fills what there is: many small requests of a multiplexed connection come together, and
/// their answers leave together. With the rest of a request in front it is no more than is kept.
const BUSY_READ_BYTES: usize = 56 << 10;

/// Most room made at once for the rest of a large packet.
const MAX_READ_BYTES: usize = 256 << 10;

/// Bytes of later requests that may wait while one is being handled; more stay in the socket.
const PIPELINE_BYTES: usize = 64 << 10;

/// Requests served in a row before other connections of the shard get their turn.
const FAIR_REQUESTS: usize = 64;

/// Takes requests off a connection. The rooms above implement it.
pub trait Dispatch: Send + Sync {
    /// Handles a request or hands it on; must not block. The responder is used exactly once.
    fn dispatch(&self, request: Inbound, responder: Responder);
}

/// What a connection is served with.
#[derive(Clone)]
pub struct Setup {
    /// Who handles requests.
    pub dispatch: Arc<dyn Dispatch>,
    /// Limits on requests.
    pub limits: Limits,
    /// How long the peer may keep us waiting.
    pub timeouts: Timeouts,
    /// When a peer that has vanished is given up.
    pub keepalive: Keepalive,
    /// Who takes connections that carry streams; `None` refuses them.
    pub streams: Option<ServerSide>,
    /// What its connections have done.
    pub counts: Arc<Counts>,
    /// Where lines go.
    pub log: Log,
}

/// What the connections of a server have done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub refused: AtomicU64,
    /// Requests on multiplexed connections that could not be read, and so got no answer (ttheader.md §7.3).
    pub passed_over: AtomicU64,
}

/// The one way to answer a request, from any thread. Dropping it unused answers with an exception.
pub struct Responder {
    mailbox: Arc<Mailbox>,
    ticket: Ticket,
    answered: bool,
}

impl Responder {
    /// Sends the answer on its way. GONE if the caller is no longer there.
    pub fn send(mut self, reply: Reply) -> Result<()> {
        self.answered = true;
        self.mailbox.post(self.ticket, reply)
    }

    /// The caller's address.
    pub fn peer(&self) -> &Arc<str> {
        &self.mailbox.peer
    }

    /// Who connected, if it did so through a unix socket.
    pub fn credentials(&self) -> Option<Credentials> {
        self.mailbox.credentials
    }

    /// Whether the caller has been seen to leave.
    pub fn is_gone(&self) -> bool {
        self.mailbox.inbox.with(|mail| mail.gone)
    }

    /// Whether the server is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.mailbox.inbox.with(|mail| mail.order >= Order::Drain)
    }

    /// What to do when the caller is seen to leave before it is answered; at once if it has left. There is
    /// one such hook: a later one replaces it.
    pub fn on_gone(&self, hook: GoneHook) {
        let left = self.mailbox.inbox.with(|mail| match mail.gone {
            true => Err(hook),
            false => Ok(mail.hook(self.ticket).replace(hook)),
        });
        if let Err(hook) = left {
            hook();
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            let exception = Exception { type_id: 6, text: "handler gave no answer".into(), close: false };
            let _ = self.mailbox.post(self.ticket, Answer::Exception(exception).into());
        }
    }
}

/// What runs when a caller leaves.
pub type GoneHook = Box<dyn FnOnce() + Send>;

/// Where others leave what the connection's task must see.
pub struct Mailbox {
    peer: Arc<str>,
    credentials: Option<Credentials>,
    inbox: Inbox<Mail>,
}

#[derive(Default)]
struct Mail {
    replies: Vec<(Ticket, Reply)>,
    order: Order,
    /// The connection has ended.
    gone: bool,
    /// By ticket.
    on_gone: Vec<Option<GoneHook>>,
    /// The connection carries streams: orders go there.
    relay: Option<Arc<stream::Mailbox>>,
}

impl Mail {
    fn hook(&mut self, ticket: Ticket) -> &mut Option<GoneHook> {
        let at = ticket as usize;
        if self.on_gone.len() <= at {
            self.on_gone.resize_with(at + 1, || None);
        }
        &mut self.on_gone[at]
    }
}

/// What the server wants of a connection; later ones outrank earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Order {
    /// Serve.
    #[default]
    Serve,
    /// Finish what has arrived, then end.
    Drain,
    /// End at once.
    Abort,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.peer)
    }
}

impl Mailbox {
    /// An empty mailbox of a connection from `peer`.
    pub fn new(peer: Arc<str>, credentials: Option<Credentials>) -> Mailbox {
        Mailbox { peer, credentials, inbox: Inbox::new(Mail::default()) }
    }

    fn post(&self, ticket: Ticket, reply: Reply) -> Result<()> {
        let hook = self.inbox.tell(|mail| match mail.gone {
            true => Err(reply),
            false => {
                mail.replies.push((ticket, reply));
                Ok(mail.on_gone.get_mut(ticket as usize).and_then(Option::take))
            }
        });
        // Without the lock: what is dropped may be the host's.
        hook.map(drop).map_err(|_reply| {
            Error::new(Code::Gone, "the caller is no longer there; the answer was dropped")
                .with_peer(&self.peer)
        })
    }

    /// Changes what the server wants of the connection.
    pub fn order(&self, order: Order) {
        let relayed = self.inbox.tell(|mail| {
            mail.order = mail.order.max(order);
            mail.relay.clone().map(|streams| (streams, mail.order))
        });
        if let Some((streams, order)) = relayed {
            streams.order(order);
        }
    }

    /// From now on orders are for the task that owns the connection's streams.
    fn relay(&self, to: Arc<stream::Mailbox>) {
        let order = self.inbox.with(|mail| {
            mail.relay = Some(Arc::clone(&to));
            mail.order
        });
        to.order(order);
    }
}

/// The task: polled by its shard until the connection has ended, or is found to carry streams.
pub struct ConnTask {
    transport: Option<Transport>,
    setup: Setup,
    mailbox: Arc<Mailbox>,
    proto: ServerConn,
    input: BytesMut,
    /// Room for the next read, by what the last ones brought.
    read_bytes: usize,
    output: OutBuf,
    /// Answers that were taken out of the mailbox, whose list this one changes places with.
    replies: Vec<(Ticket, Reply)>,
    timer: LazyTimer,
    order: Order,
    /// The peer has ended its side; what had arrived before is still served.
    peer_ended: bool,
    /// Its first bytes have said what it speaks.
    detected: bool,
    /// Requests passed over that were counted.
    passed_over: u64,
}

/// A connection that carries streams, on its way to its own task.
pub struct Handover(Option<(Transport, BytesMut, ServerSide, Log, Arc<Mailbox>)>);

impl Handover {
    /// Whether there are streams to serve.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Serves the streams, if there are any to serve.
    pub async fn run(self) {
        let Some((transport, input, side, log, mailbox)) = self.0 else { return };
        let (streams, task) = stream::serve(side, transport, input, Arc::clone(&mailbox.peer), log);
        mailbox.relay(streams);
        task.await;
    }
}

/// Why the task stops running for now.
enum Pause {
    /// Until a waker or the timer is heard.
    Sleep,
    /// Let the others run, then go on.
    Yield,
}

impl ConnTask {
    /// A task for an accepted socket.
    pub fn new(transport: Transport, mailbox: Arc<Mailbox>, setup: Setup) -> ConnTask {
        let proto = ServerConn::new(setup.limits, setup.timeouts, clock::now());
        ConnTask {
            transport: Some(transport),
            setup,
            mailbox,
            proto,
            input: BytesMut::new(),
            read_bytes: READ_BYTES,
            output: OutBuf::new(),
            replies: Vec::new(),
            timer: LazyTimer::default(),
            order: Order::Serve,
            peer_ended: false,
            detected: false,
            passed_over: 0,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Result<Pause, End> {
        fault::panic_at(Point::ServerTask);
        // One look at the clock serves the whole wake-up: nothing in here waits.
        let now = clock::now();
        let mut served = 0;
        loop {
            self.take_mail(cx, now)?;
            for (ticket, reply) in self.replies.drain(..) {
                self.proto.reply(&mut self.output, ticket, &reply, now)?;
            }
            if served == FAIR_REQUESTS {
                self.flush(cx, now)?;
                return Ok(Pause::Yield);
            }
            self.detect()?;
            let received = self.proto.receive(&mut self.input, now);
            if self.proto.passed_over() != self.passed_over {
                self.count_passed_over();
            }
            if received.is_err() {
                // What was answered before is still the peer's.
                self.flush(cx, now)?;
            }
            if let Some((ticket, request)) = received? {
                served += 1;
                let responder = Responder { mailbox: Arc::clone(&self.mailbox), ticket, answered: false };
                self.setup.dispatch.dispatch(request, responder);
                continue;
            }
            self.flush(cx, now)?;
            if self.is_finished() {
                return Err(End::Done);
            }
            if self.wants_bytes() && self.fill(cx)? {
                continue;
            }
            if self.fall_asleep(cx)? {
                return Ok(Pause::Sleep);
            }
        }
    }

    /// Their callers hear nothing, so somebody else should. One line a connection: a peer must not fill a log.
    fn count_passed_over(&mut self) {
        let now = self.proto.passed_over();
        self.setup.counts.passed_over.fetch_add(now - self.passed_over, Ordering::Relaxed);
        self.passed_over = now;
        if let Some(error) = self.proto.first_fault() {
            let peer = &self.mailbox.peer;
            let text = format_args!("{peer}: a request is passed over, as will be others like it: {error}");
            self.setup.log.write(Level::Warn, "server", text);
        }
    }

    /// Looks at the first bytes, once. Those of a stream are for another task.
    fn detect(&mut self) -> Result<(), End> {
        if self.detected || self.setup.streams.is_none() {
            return Ok(());
        }
        match detect::detect(&self.input) {
            Some(Protocol::TtStreaming) => Err(End::Streams),
            Some(Protocol::Http2 | Protocol::Default) => {
                self.detected = true;
                Ok(())
            }
            // Fewer than eight bytes: no request is complete either.
            None => Ok(()),
        }
    }

    /// Takes the answers that have come, and follows the server's orders.
    fn take_mail(&mut self, cx: &Context<'_>, now: Instant) -> Result<(), End> {
        self.mailbox.inbox.take(cx, |mail| {
            self.order = mail.order;
            std::mem::swap(&mut mail.replies, &mut self.replies);
        });
        match self.order {
            Order::Serve => Ok(()),
            Order::Drain => Ok(self.proto.drain(&mut self.output, now)?),
            Order::Abort => Err(End::Ordered),
        }
    }

    /// Writes what there is, as far as the peer takes it.
    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), End> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        while !self.output.is_empty() {
            match transport.poll_write::<MAX_SLICES>(cx, &mut self.output, Side::Server) {
                Poll::Pending => break,
                Poll::Ready(Err(reason)) => return Err(End::Lost(reason)),
                Poll::Ready(Ok(_)) => self.proto.written(self.output.len(), now),
            }
        }
        Ok(())
    }

    /// Nothing is left to write, and nothing more can come that would be answered.
    fn is_finished(&self) -> bool {
        let no_more_requests = self.peer_ended && !self.proto.is_handling();
        self.output.is_empty() && (self.proto.is_closing() || no_more_requests)
    }

    fn wants_bytes(&self) -> bool {
        let room = self.proto.can_receive() || self.input.len() < PIPELINE_BYTES;
        room && !self.peer_ended && !self.proto.is_closing() && self.output.len() < PIPELINE_BYTES
    }

    /// Reads once. True if there is something new to look at.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        self.make_room();
        let room = self.input.capacity() - self.input.len();
        let Some(transport) = &mut self.transport else { return Ok(false) };
        match transport.poll_read(cx, &mut self.input, Side::Server) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(reason)) => Err(End::Lost(reason)),
            Poll::Ready(Ok(0)) => {
                // Nobody half-closes while it waits: Kitex's and Apache's clients close when they give up.
                if self.proto.is_handling() {
                    return Err(End::Done);
                }
                self.peer_ended = true;
                Ok(true)
            }
            Poll::Ready(Ok(count)) => {
                self.read_bytes = match count {
                    count if count >= room => (self.read_bytes * 4).min(BUSY_READ_BYTES),
                    count if count < self.read_bytes / 8 => (self.read_bytes / 2).max(READ_BYTES),
                    _ => self.read_bytes,
                };
                Ok(self.proto.can_receive())
            }
        }
    }

    fn make_room(&mut self) {
        let want = match self.proto.can_receive() {
            false => READ_BYTES,
            true => self.proto.missing(&self.input).clamp(self.read_bytes, MAX_READ_BYTES),
        };
        // A quarter is still worth a read, if what is known to come fits: what is left of a buffer is used up
        // before the next one.
        let left = self.input.capacity() - self.input.len();
        let known = self.proto.missing(&self.input).min(MAX_READ_BYTES);
        if left < (want / 4).max(READ_BYTES / 2).max(known) {
            spare::borrow(&mut self.input, want);
        }
    }

    /// Arms the timer. False if mail has come in the meantime, so that the task must go on.
    fn fall_asleep(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        spare::give_back(&mut self.input);
        if let Some(at) = self.proto.wake_at()
            && self.timer.wake_at(at, cx)
            && let Some(error) = self.proto.expired(clock::now())
        {
            return Err(End::Refused(error));
        }
        Ok(self.mailbox.inbox.falls_asleep(|mail| !mail.replies.is_empty() || mail.order != self.order))
    }
}

/// Why a connection ends.
enum End {
    /// Nothing is left to do.
    Done,
    /// The server wants it.
    Ordered,
    /// The socket failed.
    Lost(io::Error),
    /// The peer broke a rule.
    Refused(Error),
    /// A fault in here.
    Panicked(Error),
    /// It carries streams.
    Streams,
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Refused(error)
    }
}

impl Future for ConnTask {
    type Output = Handover;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Handover> {
        let ran = panic::caught(|| self.run(cx)).unwrap_or_else(|error| Err(End::Panicked(error)));
        match ran {
            Ok(Pause::Sleep) => Poll::Pending,
            Ok(Pause::Yield) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(end) => {
                self.report(&end);
                Poll::Ready(self.hand_over(&end))
            }
        }
    }
}

impl ConnTask {
    fn hand_over(&mut self, end: &End) -> Handover {
        let parts = match (end, self.transport.take(), &self.setup.streams) {
            (End::Streams, Some(transport), Some(side)) => {
                let input = std::mem::take(&mut self.input);
                let (log, mailbox) = (self.setup.log.clone(), Arc::clone(&self.mailbox));
                Some((transport, input, side.clone(), log, mailbox))
            }
            _ => None,
        };
        Handover(parts)
    }

    fn report(&self, end: &End) {
        let peer = &self.mailbox.peer;
        match end {
            End::Done | End::Ordered | End::Streams => {}
            End::Lost(reason) => {
                self.setup.log.write(Level::Debug, "server", format_args!("{peer}: {reason}"));
            }
            End::Panicked(error) => panic::report(&self.setup.log, "server", error),
            End::Refused(error) => {
                let level = if error.code() == Code::IdleTimeout { Level::Debug } else { Level::Warn };
                self.setup.log.write(level, "server", format_args!("{peer}: closed: {error}"));
            }
        }
    }
}

impl Drop for ConnTask {
    fn drop(&mut self) {
        let (replies, hooks) = self.mailbox.inbox.end(|mail| {
            mail.gone = true;
            (std::mem::take(&mut mail.replies), std::mem::take(&mut mail.on_gone))
        });
        drop(replies);
        hooks.into_iter().flatten().for_each(|hook| hook());
    }
}
