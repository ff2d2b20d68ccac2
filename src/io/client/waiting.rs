//! A started call that waits for its turn: at a connection, where their number is limited, or to dial an address
//! that could not be reached.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::runtime::Handle;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Phase, Result};
use crate::io::backoff::Resort;
use crate::io::client::driver::{Ends, Shared};
use crate::io::client::exchange::Job;
use crate::io::clock;
use crate::io::seats::{Found, Queued};
use crate::io::timer::LazyTimer;
use crate::op::operation::Cause;

/// Gives a call its seat, unless it has one; a place in the queue if there is none.
pub(super) fn find_seat(shared: &Shared, job: &mut Job, peer: usize) -> Result<Option<Queued>> {
    let seats = shared.seats(peer);
    // A call that is tried again may go to another address.
    job.seat.take_if(|seat| !seat.is_of(seats));
    if job.seat.is_some() {
        return Ok(None);
    }
    match seats.find_for_task()? {
        Found::Unlimited => {}
        Found::Seat(seat) => job.seat = Some(seat),
        Found::Queue(queued) => return Ok(Some(queued)),
    }
    Ok(None)
}

/// Lets a call wait in a task of its own.
pub(super) fn start(shared: &Arc<Shared>, job: Job, peer: usize, queued: Queued, shard: &Handle) {
    spawn(shared, job, peer, Awaited::Seat(queued), shard);
}

/// Lets a call that began at `begun` wait for its turn to dial, in a task of its own.
pub(super) fn start_to_dial(shared: &Arc<Shared>, job: Job, peer: usize, begun: Instant, shard: &Handle) {
    spawn(shared, job, peer, Awaited::Dial(begun), shard);
}

fn spawn(shared: &Arc<Shared>, job: Job, peer: usize, awaited: Awaited, shard: &Handle) {
    let place = Arc::new(Place::default());
    let id = shared.line_starts(Arc::clone(&place) as _);
    let timer = LazyTimer::default();
    let shared = Arc::clone(shared);
    shard.spawn(Waiting { shared, place, job: Some(job), peer, id, awaited, timer, watched: false });
}

/// Where a client that is closed reaches the call.
#[derive(Default)]
struct Place {
    cut_off: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Ends for Place {
    /// A call that waits is under way: it ends by itself unless it is cut off.
    fn close(&self, cut_off: bool) {
        if cut_off {
            self.cut_off.store(true, Ordering::Release);
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn is_connection(&self) -> bool {
        false
    }
}

/// What a call waits for.
enum Awaited {
    /// A seat.
    Seat(Queued),
    /// Its turn to dial, as a call that began at this time.
    Dial(Instant),
}

struct Waiting {
    shared: Arc<Shared>,
    place: Arc<Place>,
    job: Option<Job>,
    peer: usize,
    id: u64,
    awaited: Awaited,
    timer: LazyTimer,
    watched: bool,
}

impl Waiting {
    /// The end of waiting: with what it is for, or why there will be none.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(job) = &mut self.job else { return Poll::Ready(Ok(())) };
        if !std::mem::replace(&mut self.watched, true) {
            let waker = cx.waker().clone();
            *self.place.waker.lock() = Some(waker.clone());
            job.watch(Box::new(move |_| waker.wake()));
        }
        if let Some(error) = job.cancelled() {
            return Poll::Ready(Err(error.at(Phase::Connect)));
        }
        if self.place.cut_off.load(Ordering::Acquire) {
            return Poll::Ready(Err(Cause::Closed.error().at(Phase::Connect)));
        }
        if let Some(at) = job.attempt.wake_at
            && self.timer.wake_at(at, cx)
        {
            job.wake_if_due(clock::now());
        }
        let deadline = job.deadline();
        match &mut self.awaited {
            Awaited::Seat(queued) => {
                if let Some(seat) = queued.poll(cx.waker()) {
                    job.seat = Some(seat);
                    return Poll::Ready(Ok(()));
                }
                match deadline.is_some_and(|at| self.timer.wake_at(at, cx)) {
                    true => Poll::Ready(Err(queued.seats().refuse())),
                    false => Poll::Pending,
                }
            }
            Awaited::Dial(begun) => {
                let begun = *begun;
                self.look_at_gate(begun, deadline, cx)
            }
        }
    }

    fn look_at_gate(
        &mut self,
        begun: Instant,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let gate = self.shared.gate(self.peer);
        match gate.resort(begun, clock::now(), cx.waker()) {
            Resort::Dial(permit) => {
                if let Some(job) = &mut self.job {
                    job.permit(self.peer, permit);
                }
                Poll::Ready(Ok(()))
            }
            Resort::Failed(error) => Poll::Ready(Err(error)),
            Resort::Wait => match deadline.is_some_and(|at| self.timer.wake_at(at, cx)) {
                true => Poll::Ready(Err(gate.too_late(clock::now()))),
                false => Poll::Pending,
            },
        }
    }

    /// Somebody else's dial has failed: another address may do better.
    fn is_unreachable(&self, error: &Error) -> bool {
        let own = matches!(error.code(), Code::Timeout | Code::Cancelled | Code::Closed);
        matches!(self.awaited, Awaited::Dial(_)) && !own
    }

    fn fail(&mut self, error: Error) {
        if let Some(job) = self.job.take() {
            job.fail(Some(Arc::clone(self.shared.peer_name(self.peer))), error);
        }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.look(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) if self.is_unreachable(&error) => {
                if let Some(job) = self.job.take() {
                    self.shared.unreached(job, self.peer, error);
                }
            }
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Ready(Ok(())) => {
                if let Some(job) = self.job.take() {
                    match &self.awaited {
                        Awaited::Seat(_) => {
                            self.shared.connect(job, self.peer);
                            self.shared.close_lines_if_closed();
                        }
                        // It needs a seat, or a place on a connection that it makes for others as well.
                        Awaited::Dial(_) => self.shared.post_all(vec![job]),
                    }
                }
            }
        }
        Poll::Ready(())
    }
}

/// The shard ends, and with it what waits on it.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.fail(Cause::Shutdown.error());
        self.shared.line_ended(self.id);
    }
}
