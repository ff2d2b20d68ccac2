//! How many calls may use connections to one address at once, and who comes next.
//!
//! A call has a seat as long as it uses a connection. Those that find none queue up; a seat that is given
//! back goes to the first of them, so that newcomers can't overtake.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use crate::base::limits::MAX_WAITING_CALLS;
use crate::base::lock::Mutex;
use crate::base::{Code, Error, Phase, Result};
use crate::io::sys::Bell;

/// The seats of one address.
#[derive(Debug)]
pub struct Seats {
    /// 0: any number.
    limit: usize,
    state: Mutex<State>,
    waited: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    queue: VecDeque<Arc<Turn>>,
}

/// A place in the queue.
#[derive(Debug)]
struct Turn {
    /// Written with the seats' lock held.
    granted: AtomicBool,
    who: Who,
}

#[derive(Debug)]
enum Who {
    Thread(Arc<Bell>),
    Task(Mutex<Waker>),
}

impl Turn {
    fn call_up(&self) {
        match &self.who {
            Who::Thread(bell) => bell.ring(),
            Who::Task(waker) => {
                let waker = waker.lock().clone();
                waker.wake();
            }
        }
    }
}

/// A seat. Dropping it gives it to the next in the queue.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Seat {
    /// Whether it is one of these.
    pub fn is_of(&self, seats: &Arc<Seats>) -> bool {
        Arc::ptr_eq(&self.0, seats)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// What a call finds.
pub enum Found {
    /// There is no limit, so no seat is needed.
    Unlimited,
    /// A seat.
    Seat(Seat),
    /// Others come first.
    Queue(Queued),
}

impl Seats {
    /// Seats for `limit` calls; 0: for any number.
    pub fn new(limit: usize) -> Arc<Seats> {
        let (waited, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Seats { limit, state: Mutex::default(), waited, refused })
    }

    /// A seat, or a place in the queue of which a thread's bell tells.
    pub fn find_for_thread(self: &Arc<Seats>, bell: impl FnOnce() -> Option<Arc<Bell>>) -> Result<Found> {
        let who = || {
            let no_bell =
                || Error::new(Code::OutOfResources, "no descriptor to wait with").at(Phase::Connect);
            bell().map(Who::Thread).ok_or_else(no_bell)
        };
        self.find(who)
    }

    /// A seat, or a place in the queue for a task, which says how to wake it by [`Queued::poll`].
    pub fn find_for_task(self: &Arc<Seats>) -> Result<Found> {
        self.find(|| Ok(Who::Task(Mutex::new(Waker::noop().clone()))))
    }

    fn find(self: &Arc<Seats>, who: impl FnOnce() -> Result<Who>) -> Result<Found> {
        if self.limit == 0 {
            return Ok(Found::Unlimited);
        }
        {
            let mut state = self.state.lock();
            if state.taken < self.limit {
                state.taken += 1;
                return Ok(Found::Seat(Seat(Arc::clone(self))));
            }
        }
        let turn = Arc::new(Turn { granted: AtomicBool::new(false), who: who()? });
        let mut state = self.state.lock();
        if state.taken < self.limit {
            state.taken += 1;
            drop(state);
            return Ok(Found::Seat(Seat(Arc::clone(self))));
        }
        if state.queue.len() >= MAX_WAITING_CALLS {
            drop(state);
            self.refused.fetch_add(1, Ordering::Relaxed);
            let text = format!(
                "{MAX_WAITING_CALLS} calls wait already for one of {} connections (max_connections)",
                self.limit
            );
            return Err(Error::new(Code::Overload, text).at(Phase::Connect));
        }
        state.queue.push_back(Arc::clone(&turn));
        drop(state);
        self.waited.fetch_add(1, Ordering::Relaxed);
        Ok(Found::Queue(Queued { seats: Arc::clone(self), turn, seated: false }))
    }

    fn give_back(&self) {
        let next = {
            let mut state = self.state.lock();
            let next = state.queue.pop_front();
            match &next {
                // The seat changes hands: nobody sees it free.
                Some(turn) => turn.granted.store(true, Ordering::Release),
                None => state.taken -= 1,
            }
            next
        };
        if let Some(turn) = next {
            turn.call_up();
        }
    }

    /// The error of a call whose time is up before it had a seat.
    pub fn refuse(&self) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let text = format!(
            "no connection was free within the timeout, all {} are in use (max_connections)",
            self.limit
        );
        Error::new(Code::Overload, text).at(Phase::Connect)
    }

    /// Calls that had to queue up so far, and calls that ended without a seat.
    pub fn counts(&self) -> (u64, u64) {
        (self.waited.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Queued {
    seats: Arc<Seats>,
    turn: Arc<Turn>,
    seated: bool,
}

impl Queued {
    /// The seat, once it is this one's turn.
    pub fn seat(&mut self) -> Option<Seat> {
        let granted = !self.seated && self.turn.granted.load(Ordering::Acquire);
        self.seated |= granted;
        granted.then(|| Seat(Arc::clone(&self.seats)))
    }

    /// The same for a task, which is woken when it may look again.
    pub fn poll(&mut self, waker: &Waker) -> Option<Seat> {
        if let Who::Task(kept) = &self.turn.who {
            // Left before looking: a seat that is granted in between wakes the task.
            kept.lock().clone_from(waker);
        }
        self.seat()
    }

    /// The seats.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if self.seated {
            return;
        }
        let mut state = self.seats.state.lock();
        match state.queue.iter().position(|turn| Arc::ptr_eq(turn, &self.turn)) {
            Some(at) => drop(state.queue.remove(at)),
            // Granted meanwhile: the next one may have it.
            None => {
                drop(state);
                self.seats.give_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(seats: &Arc<Seats>) -> Seat {
        match seats.find_for_task().unwrap() {
            Found::Seat(seat) => seat,
            _ => panic!("no seat"),
        }
    }

    fn queue(seats: &Arc<Seats>) -> Queued {
        match seats.find_for_task().unwrap() {
            Found::Queue(queued) => queued,
            _ => panic!("no queue"),
        }
    }

    #[test]
    fn seats_are_given_in_order() {
        let seats = Seats::new(2);
        let (first, second) = (seat(&seats), seat(&seats));
        let (mut third, mut fourth) = (queue(&seats), queue(&seats));
        drop(second);
        assert!(fourth.seat().is_none());
        let third = third.seat().unwrap();
        // A newcomer does not overtake.
        let mut fifth = queue(&seats);
        drop(first);
        assert!(fifth.seat().is_none());
        let fourth = fourth.seat().unwrap();
        drop((third, fourth));
        drop(fifth.seat().unwrap());
        let both = (seat(&seats), seat(&seats));
        assert_eq!((seats.counts(), both.0.0.state.lock().taken), ((3, 0), 2));
    }

    #[test]
    fn who_leaves_the_queue_takes_no_seat_along() {
        let seats = Seats::new(1);
        let first = seat(&seats);
        let (second, third, mut fourth) = (queue(&seats), queue(&seats), queue(&seats));
        drop(second);
        drop(first);
        // Granted, but not taken: the one behind gets it.
        assert!(fourth.seat().is_none());
        drop(third);
        let fourth = fourth.seat().unwrap();
        drop(fourth);
        drop(seat(&seats));
        assert!(seats.state.lock().queue.is_empty());
    }

    #[test]
    fn the_queue_has_an_end_and_errors_name_the_limit() {
        let seats = Seats::new(1);
        let _first = seat(&seats);
        let waiting: Vec<_> = (0..MAX_WAITING_CALLS).map(|_| queue(&seats)).collect();
        let error = seats.find_for_task().err().unwrap();
        assert_eq!(error.code(), Code::Overload);
        assert!(error.text().contains("wait already for one of 1 connections (max_connections)"), "{error}");
        assert!(seats.refuse().text().contains("all 1 are in use (max_connections)"));
        assert_eq!(seats.counts(), (MAX_WAITING_CALLS as u64, 2));
        drop(waiting);
        assert!(matches!(Seats::new(0).find_for_task().unwrap(), Found::Unlimited));
    }

    #[test]
    fn many_threads_never_share_a_seat() {
        let seats = Seats::new(3);
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let bell = Arc::new(Bell::new().unwrap());
                    for _ in 0..500 {
                        let found = seats.find_for_thread(|| Some(Arc::clone(&bell))).unwrap();
                        let _seat = match found {
                            Found::Seat(seat) => seat,
                            Found::Queue(mut queued) => loop {
                                match queued.seat() {
                                    Some(seat) => break seat,
                                    None => std::thread::yield_now(),
                                }
                            },
                            Found::Unlimited => panic!("there is a limit"),
                        };
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(seats.state.lock().taken, 0);
    }
}
