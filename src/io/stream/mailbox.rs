//! Where others leave what the task of a stream connection must see.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Instant;

use crate::base::{Code, Error, Phase};
use crate::io::conn::Order;
use crate::io::inbox::Inbox;
use crate::io::stream::open::OpenJob;
use crate::proto::stream::StreamKey;

/// The mailbox of one connection. A burst of posts wakes its task once.
pub struct Mailbox {
    peer: Arc<str>,
    inbox: Inbox<Mail>,
    /// Streams that were given to the connection and not yet given back; a client's pool counts by it.
    load: AtomicUsize,
}

#[derive(Default)]
struct Mail {
    /// Streams whose host has left something on them, each once.
    dirty: Vec<StreamKey>,
    /// Streams to open.
    opens: Vec<OpenJob>,
    order: Order,
    /// Nothing may be left any more.
    gone: bool,
    /// The connection is still being made.
    dialling: bool,
}

/// What the task found in its mailbox, beside the streams.
pub(super) struct News {
    pub(super) opens: Vec<OpenJob>,
    pub(super) order: Order,
}

impl Mailbox {
    /// Of a connection whose task is about to start.
    pub(super) fn new(peer: Arc<str>) -> Arc<Mailbox> {
        Arc::new(Mailbox { peer, inbox: Inbox::one_of_many(Mail::default()), load: AtomicUsize::new(0) })
    }

    /// Of a connection that is about to be made.
    pub(super) fn of_dialled(peer: Arc<str>) -> Arc<Mailbox> {
        let mailbox = Mailbox::new(peer);
        mailbox.inbox.with(|mail| mail.dialling = true);
        mailbox
    }

    /// The connection is there.
    pub(super) fn connected(&self) {
        self.inbox.with(|mail| mail.dialling = false);
    }

    /// The peer's address.
    pub(super) fn peer(&self) -> &Arc<str> {
        &self.peer
    }

    /// Streams on the connection.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Acquire)
    }

    /// A stream has been given back.
    pub(super) fn unload(&self) {
        self.load.fetch_sub(1, Ordering::AcqRel);
    }

    /// Tells the task to look at a stream.
    pub(super) fn post(&self, key: StreamKey) {
        self.inbox.tell(|mail| {
            if !mail.gone {
                mail.dirty.push(key);
            }
        });
    }

    /// Leaves a stream to be opened; gives it back if the connection takes no more.
    pub(super) fn open(self: &Arc<Mailbox>, job: OpenJob) -> Result<(), OpenJob> {
        // A connection that is there opens it at once; one that is being made must be woken.
        if self.inbox.with(|mail| mail.dialling) {
            let mailbox = Arc::downgrade(self);
            job.opener.on_cancel(Box::new(move || {
                if let Some(mailbox) = mailbox.upgrade() {
                    mailbox.inbox.tell(|_| ());
                }
            }));
        }
        self.inbox.tell(|mail| match !mail.gone && mail.order == Order::Serve {
            true => {
                mail.opens.push(job);
                Ok(())
            }
            false => Err(job),
        })?;
        self.load.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Changes what is wanted of the connection.
    pub(crate) fn order(&self, order: Order) {
        self.inbox.tell(|mail| mail.order = mail.order.max(order));
    }

    /// What has come, with the task's waker left behind.
    pub(super) fn take(&self, cx: &Context<'_>, dirty: &mut Vec<StreamKey>) -> News {
        self.inbox.take(cx, |mail| {
            std::mem::swap(&mut mail.dirty, dirty);
            News { opens: std::mem::take(&mut mail.opens), order: mail.order }
        })
    }

    /// Whether the task may sleep: nothing has come since it looked.
    pub(super) fn falls_asleep(&self, order: Order) -> bool {
        let has_come = |mail: &Mail| !mail.dirty.is_empty() || !mail.opens.is_empty() || mail.order != order;
        self.inbox.falls_asleep(has_come)
    }

    /// The task ends; returns the streams that it has not opened.
    pub(super) fn end(&self) -> Vec<OpenJob> {
        self.inbox.end(|mail| {
            mail.gone = true;
            std::mem::take(&mut mail.opens)
        })
    }

    /// While the connection is being made: fails the streams whose time is up or that nobody wants any more.
    /// True if nobody wants the connection either.
    pub(super) fn drop_unwanted(&self, cx: &Context<'_>, now: Instant) -> bool {
        let is_late = |job: &OpenJob| job.deadline().is_some_and(|at| at <= now);
        let is_unwanted = |job: &mut OpenJob| is_late(job) || job.opener.cancelled().is_some();
        let (cut_off, unwanted) = self.inbox.take_and_sleep(cx, |mail| {
            let cut_off = mail.order == Order::Abort || (mail.order == Order::Drain && mail.opens.is_empty());
            (cut_off, mail.opens.extract_if(.., is_unwanted).collect::<Vec<_>>())
        });
        for job in unwanted {
            self.unload();
            let late = || Error::new(Code::Timeout, "rpc timeout: no connection within the stream's timeout");
            let error = if is_late(&job) { late() } else { job.opener.cancelled().unwrap_or_else(late) };
            job.fail(Some(Arc::clone(&self.peer)), error.at(Phase::Connect));
        }
        cut_off
    }

    /// When the first stream that waits for the connection gives up.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.inbox.with(|mail| mail.opens.iter().filter_map(OpenJob::deadline).min())
    }
}
