//! The task that owns one connection of streams, at either end.

mod parting;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::base::fault::hold;
use crate::base::log::Log;
use crate::base::{Code, Error, Message, Result, panic};
use crate::io::clock;
use crate::io::conn::Order;
use crate::io::stream::link::{self, Done, Link, Out};
use crate::io::stream::mailbox::{Mailbox, News};
use crate::io::stream::open::OpenJob;
use crate::io::stream::tally::Tally;
use crate::io::stream::task::parting::Parting;
use crate::io::timer::LazyTimer;
use crate::io::transport::Transport;
use crate::proto::stream::{Connection, Counters, End, Finish, Pairs, Ready, Recv, Role, Sent, StreamKey};
use crate::wire::outbuf::OutBuf;
use crate::wire::ttheader::Header;

/// Pieces handed to one `writev`.
const MAX_SLICES: usize = 64;

/// Room made before a read: little for a quiet connection, for there may be many; more for one whose reads
/// come full, for then many messages come together.
const READ_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=128 << 10;

/// Most room made at once for the rest of a large message.
const MAX_READ_BYTES: usize = 512 << 10;

/// A buffer that grew beyond this is given back when it is empty.
const KEPT_BUFFER_BYTES: usize = 256 << 10;

/// Reads in a row before other connections of the shard get their turn.
const FAIR_READS: usize = 8;

/// How long a connection that is cut off may take to tell its peer.
const PARTING: Duration = Duration::from_millis(500);

/// What differs between the ends.
pub(super) trait Side: Role + Send + 'static {
    /// What the end has beside the connection.
    type Host: Send + Unpin;

    /// The word for the log.
    const TARGET: &'static str;

    /// The side whose connections a test holds.
    const HELD_AS: hold::Side;

    /// Streams that a host wants to open.
    fn open(task: &mut Task<Self>, jobs: Vec<OpenJob>, now: Instant);
    /// The peer has opened a stream.
    fn opened(task: &mut Task<Self>, key: StreamKey);
    /// What only one end may ask for.
    fn close_send(conn: &mut Connection<Self>, key: StreamKey);
    /// Server: pairs for the HEADER, which leaves.
    fn header(conn: &mut Connection<Self>, key: StreamKey, pairs: &Pairs);
    /// Server: the end of the handler.
    fn finish(conn: &mut Connection<Self>, key: StreamKey, finish: &Finish, trailer: &Pairs, now: Instant);
    /// The peer's HEADER as the host sees it.
    fn peer_header(conn: &Connection<Self>, key: StreamKey) -> Result<Option<Header>>;
    /// The peer's TRAILER as the host sees it, when the stream is over.
    fn peer_trailer(conn: &Connection<Self>, key: StreamKey) -> Result<Option<Header>>;
    /// A stream has been given back.
    fn given_back(task: &mut Task<Self>);
    /// Nothing more is done for streams.
    fn ends(task: &mut Task<Self>);
    /// The socket is about to be closed.
    fn gone(task: &Task<Self>);
}

/// One connection. Polled by its shard until it ends.
pub(super) struct Task<R: Side> {
    pub(super) host: R::Host,
    pub(super) conn: Connection<R>,
    pub(super) mailbox: Arc<Mailbox>,
    transport: Transport,
    pub(super) input: BytesMut,
    /// Room for the next read, by what the last ones brought.
    read_bytes: usize,
    output: OutBuf,
    entries: Vec<Option<Entry>>,
    /// The list that changes places with the mailbox's.
    dirty: Vec<StreamKey>,
    fetched: VecDeque<Message>,
    timer: LazyTimer,
    order: Order,
    /// When a connection that is cut off ends, whatever is left to say.
    cut_at: Option<Instant>,
    /// Nothing is left but to let the peer read.
    parting: Option<Parting>,
    tally: Arc<Tally>,
    /// What the tally knows of this connection.
    tallied: Counters,
    log: Log,
}

/// A stream as the task knows it.
struct Entry {
    key: StreamKey,
    link: Arc<Link>,
    /// What the host asked for and the connection has not taken.
    backlog: VecDeque<Out>,
    /// The connection has no room; it will say when.
    blocked: bool,
    /// Who waits for the socket to have everything, in the order they came.
    flushes: VecDeque<Done>,
    released: bool,
}

/// Why the task stops running for now.
enum Pause {
    Sleep,
    Yield,
}

/// Why a connection ends.
enum Stop {
    /// Nothing is left to do.
    Done,
    /// The socket ended: cleanly, or for a reason.
    Lost(Option<io::Error>),
    /// A rule was broken, or a clock ran out. All streams know.
    With(Error),
    Panicked(Error),
}

impl<R: Side> Task<R> {
    pub(super) fn new(
        host: R::Host,
        conn: Connection<R>,
        transport: Transport,
        mailbox: Arc<Mailbox>,
        input: BytesMut,
        tally: Arc<Tally>,
        log: Log,
    ) -> Task<R> {
        Task {
            host,
            conn,
            mailbox,
            transport,
            input,
            read_bytes: *READ_BYTES.start(),
            output: OutBuf::new(),
            entries: Vec::new(),
            dirty: Vec::new(),
            fetched: VecDeque::new(),
            timer: LazyTimer::default(),
            order: Order::Serve,
            cut_at: None,
            parting: None,
            tally,
            tallied: Counters::default(),
            log,
        }
    }

    /// Makes a place for a stream.
    pub(super) fn admit(&mut self, key: StreamKey, timed: bool) -> Arc<Link> {
        let id = self.conn.id(key).unwrap_or_default();
        let link = Link::new(Arc::clone(&self.mailbox), key, id, timed);
        let entry = Entry {
            key,
            link: Arc::clone(&link),
            backlog: VecDeque::new(),
            blocked: false,
            flushes: VecDeque::new(),
            released: false,
        };
        if self.entries.len() <= key.index() {
            self.entries.resize_with(key.index() + 1, || None);
        }
        if let Some(place) = self.entries.get_mut(key.index()) {
            *place = Some(entry);
        }
        link
    }

    fn entry(&mut self, key: StreamKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index())?.as_mut().filter(|entry| entry.key == key)
    }

    fn link(&self, key: StreamKey) -> Option<Arc<Link>> {
        let entry = self.entries.get(key.index())?.as_ref().filter(|entry| entry.key == key)?;
        Some(Arc::clone(&entry.link))
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Result<Pause, Stop> {
        // One look at the clock serves a whole round: nothing in here waits.
        let mut reads = 0;
        loop {
            let now = clock::now();
            self.read_mail(cx, now);
            let received = self.conn.receive(&mut self.input, now);
            let held_back = !self.conn.wants_bytes();
            self.tell_ready(now);
            self.write(cx, now)?;
            received.map_err(Stop::With)?;
            if self.conn.is_finished(now) || self.cut_at.is_some_and(|at| at <= now) {
                return Err(Stop::Done);
            }
            // A host has made room meanwhile: frames may be left in what was read before.
            if held_back && self.conn.wants_bytes() && !self.input.is_empty() {
                continue;
            }
            if self.conn.wants_bytes() && self.read(cx)? {
                reads += 1;
                if reads == FAIR_READS {
                    return Ok(Pause::Yield);
                }
                continue;
            }
            if self.falls_asleep(cx)? {
                return Ok(Pause::Sleep);
            }
        }
    }

    /// Does what hosts have asked for, and follows orders.
    fn read_mail(&mut self, cx: &Context<'_>, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let News { opens, order } = self.mailbox.take(cx, &mut dirty);
        // First what hosts have said on streams: a cancel or an end that came before an order has its own words.
        dirty.drain(..).for_each(|key| self.look(key, now));
        self.dirty = dirty;
        if order > self.order {
            self.order = order;
            match order {
                Order::Serve => {}
                Order::Drain => self.conn.drain(None, now),
                Order::Abort => {
                    self.conn.close(now);
                    self.cut_at = now.checked_add(PARTING);
                }
            }
        }
        if !opens.is_empty() {
            R::open(self, opens, now);
        }
    }

    /// Does what the host of a stream has left.
    fn look(&mut self, key: StreamKey, now: Instant) {
        let Some(entry) = self.entry(key) else { return };
        let asks = entry.link.take_asks(&mut entry.backlog);
        entry.released |= asks.released;
        let blocked = entry.blocked;
        if let Some(timeouts) = asks.timeouts {
            self.conn.set_timeouts(key, timeouts);
        }
        if !blocked {
            self.send(key, now);
        }
        if let Some(cancel) = &asks.cancel {
            self.conn.cancel(key, cancel, now);
        }
        if asks.recv_withdrawn {
            self.conn.cancel_recv(key);
        }
        if asks.recv_starts {
            self.start_recv(key, now);
        }
        self.fetch(key);
        self.release_if_done(key, now);
    }

    /// Hands the connection what the host has sent, as long as there is room.
    fn send(&mut self, key: StreamKey, now: Instant) {
        let Some(mut backlog) = self.entry(key).map(|entry| std::mem::take(&mut entry.backlog)) else {
            return;
        };
        let (mut taken, mut blocked) = (0, false);
        while !blocked && let Some(out) = backlog.pop_front() {
            match out {
                Out::Message(message) => {
                    let weight = link::weight(&message);
                    match self.conn.send(key, message, now) {
                        Ok(Sent::Full(message)) => {
                            backlog.push_front(Out::Message(message));
                            blocked = true;
                        }
                        // A stream that has ended drops what was on its way.
                        Ok(Sent::Accepted) | Err(_) => taken += weight,
                    }
                }
                Out::Flush(done) => self.flush(key, done),
                Out::CloseSend => R::close_send(&mut self.conn, key),
                Out::Header(pairs) => R::header(&mut self.conn, key, &pairs),
                Out::Finish(finish, trailer) => R::finish(&mut self.conn, key, &finish, &trailer, now),
            }
            if backlog.is_empty() || blocked {
                taken = self.make_room(key, taken, &mut backlog);
            }
        }
        if let Some(entry) = self.entry(key) {
            (entry.backlog, entry.blocked) = (backlog, blocked);
        }
    }

    /// Gives the host its room back; a send that waited for it goes on.
    fn make_room(&mut self, key: StreamKey, taken: usize, backlog: &mut VecDeque<Out>) -> usize {
        if taken > 0
            && let Some(done) = self.link(key).and_then(|link| link.sent(taken, backlog))
        {
            done(Ok(()));
        }
        0
    }

    fn flush(&mut self, key: StreamKey, done: Done) {
        match self.conn.flush(key) {
            Ok(()) => match self.entry(key) {
                Some(entry) => entry.flushes.push_back(done),
                None => done(Ok(())),
            },
            Err(error) => done(Err(error)),
        }
    }

    /// The clock of a receive that waits starts.
    fn start_recv(&mut self, key: StreamKey, now: Instant) {
        let Some(link) = self.link(key).filter(|link| link.is_receiving()) else { return };
        if let Recv::Message(message) = self.conn.recv(key, now) {
            self.fetched.push_back(message);
            let (_, due) = link.arrived(&mut self.fetched, None, self.conn.stats(key), false);
            if let Some(due) = due {
                due.tell();
            }
        }
    }

    /// Brings what has arrived before the host, up to a mark.
    pub(super) fn fetch(&mut self, key: StreamKey) {
        let Some(link) = self.link(key) else { return };
        loop {
            let mut room = link.fetch_room();
            let (mut end, mut full) = (None, true);
            while room > 0 {
                match self.conn.fetch(key) {
                    Recv::Message(message) => {
                        room = room.saturating_sub(link::weight(&message));
                        self.fetched.push_back(message);
                        continue;
                    }
                    Recv::Pending => {}
                    Recv::Eof => end = Some(End::Eof),
                    Recv::Failed(error) if link::can_retry(&error) => {
                        if let Some(due) = link.recv_missed(error) {
                            due.tell();
                        }
                        continue;
                    }
                    Recv::Failed(error) => end = Some(End::Failed(error)),
                }
                full = false;
                break;
            }
            let (more, due) = link.arrived(&mut self.fetched, end, self.conn.stats(key), full);
            if let Some(due) = due {
                due.tell();
            }
            if !more {
                return;
            }
        }
    }

    /// Gives back a stream that its host has given back, when what it said has been said.
    fn release_if_done(&mut self, key: StreamKey, now: Instant) {
        let is_over = self.conn.end(key).is_some();
        let Some(entry) = self.entry(key).filter(|entry| entry.released) else { return };
        let must_wait = R::SIDE == crate::base::StreamSide::Server && !entry.backlog.is_empty() && !is_over;
        if must_wait {
            return;
        }
        let link = Arc::clone(&entry.link);
        let before = self.conn.end(key).cloned();
        self.conn.release(key, now);
        // The connection tells nothing more of a stream that was given back.
        let given_up = || End::Failed(Error::new(Code::Cancelled, "the stream was given up by its owner"));
        let end = before.or_else(|| self.conn.end(key).cloned()).unwrap_or_else(given_up);
        let gone = self.entries.get_mut(key.index()).and_then(Option::take);
        drop(gone);
        link.given_back(end).into_iter().for_each(|hook| hook());
        R::given_back(self);
    }

    /// Tells hosts what has become possible.
    fn tell_ready(&mut self, now: Instant) {
        while let Some((key, ready)) = self.conn.poll_ready() {
            if ready.contains(Ready::OPENED) {
                R::opened(self, key);
            }
            if ready.contains(Ready::STOPPING)
                && let Some(link) = self.link(key)
            {
                link.set_stopping().into_iter().for_each(|hook| hook());
            }
            if ready.contains(Ready::HEADER)
                && let Some(link) = self.link(key)
            {
                link.set_header(R::peer_header(&self.conn, key)).into_iter().for_each(|hook| hook());
            }
            if ready.contains(Ready::META) {
                self.metas(key);
            }
            // Before room is given: a send that waits must not seem to be accepted.
            if ready.contains(Ready::ENDED) {
                self.ended(key, now);
            }
            if ready.contains(Ready::WRITABLE) {
                if let Some(entry) = self.entry(key) {
                    entry.blocked = false;
                }
                self.send(key, now);
                self.release_if_done(key, now);
            }
            if ready.contains(Ready::FLUSHED) {
                self.flushed(key);
            }
            if ready.contains(Ready::READABLE) || ready.contains(Ready::OPENED) {
                self.fetch(key);
            }
        }
    }

    fn metas(&mut self, key: StreamKey) {
        let hook = self.link(key).and_then(|link| link.meta_hook());
        while let Some(frame) = self.conn.take_meta(key) {
            if let Some(hook) = &hook {
                hook(&frame.header, &frame.payload);
            }
        }
    }

    fn flushed(&mut self, key: StreamKey) {
        let Some(done) = self.entry(key).and_then(|entry| entry.flushes.pop_front()) else { return };
        let more = self.entry(key).is_some_and(|entry| !entry.flushes.is_empty());
        done(Ok(()));
        if more {
            // One answer serves one flush, so that none is told too early.
            let _ = self.conn.flush(key);
        }
    }

    fn ended(&mut self, key: StreamKey, now: Instant) {
        let Some(end) = self.conn.end(key).cloned() else { return };
        let Some(link) = self.link(key) else { return };
        let closed = || Error::new(Code::InvalidState, "stream is closed send");
        let send_end = self.conn.send_end(key).cloned().unwrap_or_else(closed);
        let trailer = R::peer_trailer(&self.conn, key);
        let (hooks, send) = link.ended(end, send_end.clone(), trailer, self.conn.stats(key));
        if let Some(done) = send {
            done(Err(send_end));
        }
        self.fetch(key);
        hooks.into_iter().for_each(|hook| hook());
        // What waited for room is not sent any more, but for a handler's end.
        if let Some(entry) = self.entry(key) {
            entry.blocked = false;
        }
        self.send(key, now);
        self.release_if_done(key, now);
    }

    /// Writes what there is, as far as the peer takes it.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Stop> {
        while self.conn.transmit(&mut self.output, now) {
            match self.transport.poll_write::<MAX_SLICES>(cx, &mut self.output, R::HELD_AS) {
                Poll::Pending => break,
                Poll::Ready(Err(reason)) => return Err(Stop::Lost(Some(reason))),
                Poll::Ready(Ok(_)) => {
                    self.conn.written(self.output.len(), now);
                    self.tell_ready(now);
                }
            }
        }
        self.tell_ready(now);
        Ok(())
    }

    /// Reads once. True if there is something new to look at.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let missing = self.conn.missing(&self.input).min(MAX_READ_BYTES);
        let spare = self.input.capacity() - self.input.len();
        // A quarter is still worth a read: what is left of a buffer is used up before the next one.
        if spare < missing.max(self.read_bytes / 4) {
            self.input.reserve(missing.max(self.read_bytes));
        }
        let room = self.input.capacity() - self.input.len();
        match self.transport.poll_read(cx, &mut self.input, R::HELD_AS) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(reason)) => Err(Stop::Lost(Some(reason))),
            Poll::Ready(Ok(0)) => Err(Stop::Lost(None)),
            Poll::Ready(Ok(count)) => {
                self.read_bytes = match count {
                    count if count >= room => (self.read_bytes * 4).min(*READ_BYTES.end()),
                    count if count < self.read_bytes / 8 => (self.read_bytes / 2).max(*READ_BYTES.start()),
                    _ => self.read_bytes,
                };
                Ok(true)
            }
        }
    }

    /// Arms the timer, and does what is due. False if there is something to do.
    fn falls_asleep(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        if self.input.is_empty() && self.input.capacity() > KEPT_BUFFER_BYTES {
            self.input = BytesMut::new();
        }
        let wake_at = [self.conn.wake_at(), self.cut_at].into_iter().flatten().min();
        if let Some(at) = wake_at
            && self.timer.wake_at(at, cx)
        {
            let now = clock::now();
            let ticked = self.conn.tick(now);
            self.tell_ready(now);
            if let Err(error) = ticked {
                self.write(cx, now)?;
                return Err(Stop::With(error));
            }
            return Ok(false);
        }
        Ok(self.mailbox.falls_asleep(self.order))
    }
}

impl<R: Side + Unpin> Future for Task<R>
where
    Connection<R>: Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(parting) = self.parting {
            return self.part(cx, parting);
        }
        let ran = panic::caught(|| self.run(cx)).unwrap_or_else(|error| Err(Stop::Panicked(error)));
        let seen = self.conn.counters();
        if !seen.is_like(&self.tallied) {
            self.tally(seen);
        }
        match ran {
            Ok(Pause::Sleep) => Poll::Pending,
            Ok(Pause::Yield) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(stop) => {
                if let Stop::Lost(_) = stop {
                    self.read_rest(cx);
                }
                R::ends(&mut self);
                self.stop(&stop);
                self.start_parting(&stop, cx)
            }
        }
    }
}

/// The shard ends, and with it the connection.
impl<R: Side> Drop for Task<R> {
    fn drop(&mut self) {
        R::gone(self);
        if self.entries.iter().any(Option::is_some) {
            R::ends(self);
            self.stop(&Stop::Done);
        }
        let opens = self.mailbox.end();
        for job in opens {
            job.fail(None, Error::new(Code::Closed, "the connection's runtime was shut down"));
        }
    }
}
