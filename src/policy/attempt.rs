//! The attempts of one call: which are made, when, and which ends the call (governance.md §1.3–§1.7).
//!
//! [`Attempts`] is a state machine. A driver tells it what happened ([`ended`](Attempts::ended),
//! [`decided`](Attempts::decided), [`cancel`](Attempts::cancel), [`wake`](Attempts::wake)), each with the
//! time; after each of these it takes actions ([`poll`](Attempts::poll)) until there are none, and sleeps
//! until [`wake_at`](Attempts::wake_at) at the latest. What is returned by either changes only when
//! something was told.

mod call;
mod facts;
mod rules;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use facts::Fact;

use crate::base::Code;
use crate::policy::gate::Stop;
use crate::policy::retry::{DECISION_TIMEOUT, Kind, MAX_ATTEMPTS, Plan, Retryer};
use crate::policy::time::Time;
use crate::policy::window::Sample;

const SLOTS: usize = MAX_ATTEMPTS as usize;
const DECISION_NANOS: u64 = DECISION_TIMEOUT.as_secs() * 1_000_000_000;

/// Names an instance in facts; a driver's own numbers. 0 is "none yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u32);

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With a result.
    Ok,
    /// With a business status error: an answer, not a failure.
    Biz,
    /// With an exception declared in the IDL: an answer, not a failure.
    Declared,
    /// Not within its timeout. The engine sees that itself; a driver that sees it first may say so.
    TimedOut,
    /// With any other error.
    Failed(Code),
    /// It was given up, because the call ended.
    Dropped,
}

impl End {
    /// Whether the peer's service has answered.
    #[inline]
    pub fn is_answer(self) -> bool {
        matches!(self, End::Ok | End::Biz | End::Declared)
    }

    /// As what it counts in the statistics of a service (governance.md §3).
    fn sample(self) -> Option<Sample> {
        match self {
            End::Ok | End::Biz | End::Declared => Some(Sample::Success),
            End::TimedOut => Some(Sample::Timeout),
            End::Failed(Code::Internal | Code::ResolveFailed | Code::NoAddress) | End::Dropped => None,
            End::Failed(_) => Some(Sample::Failure),
        }
    }
}

/// Where an attempt should go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Wherever the balancer says.
    Any,
    /// To this instance again.
    Same(NodeId),
    /// If there is a choice, to none of the instances of earlier attempts: [`Attempts::nodes`].
    Other,
}

/// What the driver has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send the request. Attempt 0 is the first; the others carry their number as
    /// [`RETRY_KEY`](crate::policy::retry::RETRY_KEY).
    Start {
        /// Its number.
        attempt: u8,
        /// When it times out; the engine wakes up for that.
        expires_at: Time,
        /// Which instance.
        place: Place,
    },
    /// Give the attempt up: its connection is drained or dropped, its result is not wanted.
    Cancel(u8),
    /// The attempt's result is not wanted, but let it run to its end: [`Mode::Compat`] never cancels.
    ///
    /// [`Mode::Compat`]: crate::policy::Mode::Compat
    Leave(u8),
    /// Ask the host's predicate about the attempt's end, then say [`Attempts::decided`], now or later.
    Ask(u8),
    /// The call has ended; nothing comes after this. Questions that are still open are withdrawn.
    Finish(Outcome),
}

/// How the call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With all that this attempt ended with: result, exception or error.
    Attempt(u8),
    /// The caller's deadline came.
    Deadline,
    /// The caller cancelled.
    Cancelled,
    /// [`Mode::Compat`](crate::policy::Mode::Compat): with [`Attempts::max_duration_text`] as its error.
    MaxDuration,
}

/// Goes on behind a backoff that [`Mode::Compat`](crate::policy::Mode::Compat) sleeps inside the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Resume {
    Timer,
    Result,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    started_at: Time,
    /// While it waits for its backoff: when it starts. While it runs: when it times out. While the host is
    /// asked: when it counts as "no". Then: when it ended.
    until: Time,
    ended_at: Time,
    end: End,
    node: NodeId,
    /// Its place in the order of ends, from 1.
    order: u8,
    /// The host's answer.
    decided: Option<bool>,
    /// Counted as done.
    done: bool,
}

const EMPTY: Slot = Slot {
    started_at: Time::NEVER,
    until: Time::NEVER,
    ended_at: Time::NEVER,
    end: End::Dropped,
    node: NodeId(0),
    order: 0,
    decided: None,
    done: false,
};

/// A set of attempts, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Set(u8);

impl Set {
    #[inline]
    fn one(attempt: u8) -> Set {
        Set(1u8.checked_shl(attempt.into()).unwrap_or(0))
    }

    #[inline]
    fn has(self, attempt: u8) -> bool {
        self.0 & Set::one(attempt).0 != 0
    }

    #[inline]
    fn add(&mut self, other: Set) {
        self.0 |= other.0;
    }

    #[inline]
    fn remove(&mut self, other: Set) {
        self.0 &= !other.0;
    }

    #[inline]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes the lowest.
    #[inline]
    fn pop(&mut self) -> Option<u8> {
        let lowest = u8::try_from(self.0.trailing_zeros()).unwrap_or(8);
        self.remove(Set::one(lowest));
        (lowest < 8).then_some(lowest)
    }
}

impl Iterator for Set {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.pop()
    }
}

/// The attempts of one call. No heap memory unless retries are stopped by the host's own words.
#[derive(Clone, Debug)]
pub struct Attempts {
    slots: [Slot; SLOTS],
    plan: Plan,
    call: Call,
    began_at: Time,
    /// When the next backup is due.
    timer: Time,
    /// [`Mode::Compat`](crate::policy::Mode::Compat): until when the loop sleeps.
    asleep: Option<(Time, Resume)>,
    /// Attempts with a number: begun, or waiting for their backoff.
    numbered: u8,
    begun: u8,
    done: u8,
    ends: u8,
    // Where the attempts are; each is in one of these, or over.
    waiting: Set,
    running: Set,
    /// Ended, not looked at yet.
    arrived: Set,
    deciding: Set,
    /// Released but not cancelled: their ends still count in statistics.
    left: Set,
    // Actions not taken yet.
    to_start: Set,
    to_release: Set,
    to_ask: Set,
    /// No more extra attempts.
    stopped: bool,
    cancelled: bool,
    told: bool,
    /// The first end that must not be retried while others were still running.
    final_end: Option<u8>,
    outcome: Option<Outcome>,
    /// Why an extra attempt was not made, and how many retries there were then; none for a call that was
    /// refused them from the start.
    stop: Option<(Stop, Option<u8>)>,
}

const _: () = assert!(size_of::<Attempts>() <= 512, "held inline in each call");

impl Attempts {
    /// The call begins: the first attempt is the first action.
    #[inline]
    pub fn new(retryer: &Retryer, call: Call, now: Time) -> Attempts {
        let mut plan = *retryer.plan();
        let mut stop = None;
        if plan.retries > 0 {
            if let Some(refused) = retryer.refuses(call.chained) {
                stop = Some((refused, None));
                plan.retries = 0;
            } else {
                retryer.gate().first(now);
            }
        }
        plan.retries = plan.retries.min(MAX_ATTEMPTS - 1);
        let mut timer = Time::NEVER;
        if plan.kind != Kind::Failure && plan.retries > 0 {
            plan.delay = retryer.delay(now);
            timer = now.plus(plan.delay);
        }
        let mut attempts = Attempts {
            slots: [EMPTY; SLOTS],
            plan,
            call,
            began_at: now,
            timer,
            asleep: None,
            numbered: 1,
            begun: 0,
            done: 0,
            ends: 0,
            waiting: Set(0),
            running: Set(0),
            arrived: Set(0),
            deciding: Set(0),
            left: Set(0),
            to_start: Set(0),
            to_release: Set(0),
            to_ask: Set(0),
            stopped: false,
            cancelled: false,
            told: false,
            final_end: None,
            outcome: None,
            stop,
        };
        attempts.run(0, now);
        attempts
    }

    /// The next thing to do.
    #[inline]
    pub fn poll(&mut self) -> Option<Action> {
        if let Some(attempt) = self.to_release.pop() {
            return Some(if self.plan.compat { Action::Leave(attempt) } else { Action::Cancel(attempt) });
        }
        if let Some(attempt) = self.to_ask.pop() {
            return Some(Action::Ask(attempt));
        }
        if let Some(attempt) = self.to_start.pop() {
            let expires_at = self.slot(attempt).until;
            return Some(Action::Start { attempt, expires_at, place: self.place(attempt) });
        }
        let outcome = self.outcome.filter(|_| !self.told)?;
        self.told = true;
        Some(Action::Finish(outcome))
    }

    /// When [`wake`](Attempts::wake) must be called at the latest; never, if only other events count.
    pub fn wake_at(&self) -> Time {
        if self.outcome.is_some() {
            return Time::NEVER;
        }
        let timed = Set(self.waiting.0 | self.running.0 | self.deciding.0);
        let mut at = timed.map(|attempt| self.slot(attempt).until).fold(Time::NEVER, Time::min);
        at = at.min(match self.asleep {
            Some((until, _)) => until,
            None => self.timer,
        });
        if self.plan.compat { at } else { at.min(self.call.deadline) }
    }

    /// The attempt goes to this instance. May be said again, while the attempt looks for one.
    #[inline]
    pub fn goes_to(&mut self, attempt: u8, node: NodeId) {
        if let Some(slot) = self.slots.get_mut(usize::from(attempt)) {
            slot.node = node;
        }
    }

    /// The timeout of attempts that begin later, in nanoseconds; 0 is none.
    pub fn set_timeout(&mut self, nanos: u64) {
        self.call.timeout = nanos;
    }

    /// The attempt has ended. Of one that was given up, or has ended before, this is ignored. One that comes to
    /// nothing at the caller's deadline has no successor.
    #[inline]
    pub fn ended(&mut self, attempt: u8, end: End, now: Time, retryer: &Retryer) {
        if !end.is_answer() && self.is_late(now) {
            return self.wake(now, retryer);
        }
        if !self.running.has(attempt) {
            return self.late_end(attempt, end, now, retryer);
        }
        self.note_end(attempt, end, now, retryer);
        let timer_first = self.plan.compat && now >= self.timer;
        if end.is_answer() && !self.plan.answers && self.asleep.is_none() && !timer_first {
            self.arrived.remove(Set::one(attempt));
            self.finish(Outcome::Attempt(attempt), now, retryer);
        } else {
            self.settle(now, retryer);
        }
    }

    /// The host's answer to [`Action::Ask`]: whether the attempt's end should be retried. Of a question that
    /// is no longer open, it is ignored.
    pub fn decided(&mut self, attempt: u8, retry: bool, now: Time, retryer: &Retryer) {
        if !self.deciding.has(attempt) || self.outcome.is_some() {
            return;
        }
        self.deciding.remove(Set::one(attempt));
        self.to_ask.remove(Set::one(attempt));
        self.slot_mut(attempt).decided = Some(retry);
        self.arrived.add(Set::one(attempt));
        self.settle(now, retryer);
    }

    /// The caller does not want the call any more. In [`Mode::Compat`](crate::policy::Mode::Compat) that is
    /// a timeout of what runs and of all attempts that follow.
    pub fn cancel(&mut self, now: Time, retryer: &Retryer) {
        if self.outcome.is_some() || self.cancelled {
            return;
        }
        self.cancelled = true;
        if self.plan.compat {
            for attempt in self.running {
                self.slot_mut(attempt).until = now;
            }
            self.wake(now, retryer);
        } else {
            self.finish(Outcome::Cancelled, now, retryer);
        }
    }

    /// Time has passed. Called too early, nothing happens.
    pub fn wake(&mut self, now: Time, retryer: &Retryer) {
        if self.outcome.is_some() {
            return;
        }
        if self.is_late(now) {
            return self.finish(Outcome::Deadline, now, retryer);
        }
        for attempt in self.waiting {
            if now >= self.slot(attempt).until {
                self.waiting.remove(Set::one(attempt));
                self.begin(attempt, now, retryer);
            }
        }
        for attempt in self.running {
            // One that was begun just now has not been told yet; it can wait for the next round.
            if now >= self.slot(attempt).until && !self.to_start.has(attempt) {
                self.note_end(attempt, End::TimedOut, now, retryer);
                self.release(attempt);
            }
        }
        for attempt in self.deciding {
            if now >= self.slot(attempt).until {
                self.deciding.remove(Set::one(attempt));
                self.to_ask.remove(Set::one(attempt));
                self.slot_mut(attempt).decided = Some(false);
                self.arrived.add(Set::one(attempt));
            }
        }
        self.settle(now, retryer);
    }

    /// The caller's deadline has passed, which [`Mode::Compat`](crate::policy::Mode::Compat) does not look at.
    #[inline]
    fn is_late(&self, now: Time) -> bool {
        !self.plan.compat && now >= self.call.deadline
    }

    #[cold]
    fn late_end(&mut self, attempt: u8, end: End, now: Time, retryer: &Retryer) {
        if self.left.has(attempt) {
            self.left.remove(Set::one(attempt));
            retryer.gate().ended(end.sample(), now);
        }
    }

    fn note_end(&mut self, attempt: u8, end: End, now: Time, retryer: &Retryer) {
        self.running.remove(Set::one(attempt));
        self.to_start.remove(Set::one(attempt));
        self.arrived.add(Set::one(attempt));
        self.ends += 1;
        let order = self.ends;
        let slot = self.slot_mut(attempt);
        slot.end = end;
        slot.ended_at = now;
        slot.order = order;
        if self.plan.retries > 0 {
            retryer.gate().ended(end.sample(), now);
        }
    }

    /// Puts an attempt that has a number under way.
    #[inline]
    fn run(&mut self, attempt: u8, now: Time) {
        let timeout = if self.call.timeout == 0 { Time::NEVER } else { now.plus(self.call.timeout) };
        let until = if self.cancelled { now } else { timeout.min(self.call.deadline) };
        let slot = self.slot_mut(attempt);
        slot.started_at = now;
        slot.until = until;
        self.begun += 1;
        self.running.add(Set::one(attempt));
        self.to_start.add(Set::one(attempt));
    }

    /// The call ends here: nothing else begins, and what runs is released.
    fn finish(&mut self, outcome: Outcome, now: Time, retryer: &Retryer) {
        self.outcome = Some(outcome);
        for attempt in self.waiting {
            retryer.gate().give_back();
            self.slot_mut(attempt).until = Time::NEVER;
        }
        for attempt in self.running {
            if self.to_start.has(attempt) {
                self.begun -= 1;
                self.slot_mut(attempt).started_at = Time::NEVER;
            } else {
                self.release(attempt);
                let slot = self.slot_mut(attempt);
                slot.end = End::Dropped;
                slot.ended_at = now;
            }
        }
        if self.stop.is_some() && self.is_answered() {
            self.stop = None;
        }
        (self.waiting, self.running, self.deciding, self.arrived) = (Set(0), Set(0), Set(0), Set(0));
        (self.to_start, self.to_ask) = (Set(0), Set(0));
        self.timer = Time::NEVER;
        self.asleep = None;
        let first = self.slot(0);
        retryer.gate().measured(first.ended_at.min(now).nanos_since(first.started_at), now);
    }

    fn release(&mut self, attempt: u8) {
        self.to_release.add(Set::one(attempt));
        if self.plan.compat && self.slot(attempt).end == End::Dropped {
            self.left.add(Set::one(attempt));
        }
    }

    /// The call ended with an answer, so that nothing was missed.
    fn is_answered(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Attempt(attempt)) if self.slot(attempt).end.is_answer())
    }

    fn place(&self, attempt: u8) -> Place {
        match attempt.checked_sub(1) {
            Some(before) if self.plan.same_node && self.slot(before).node != NodeId(0) => {
                Place::Same(self.slot(before).node)
            }
            Some(_) if !self.plan.compat => Place::Other,
            _ => Place::Any,
        }
    }

    #[inline]
    fn slot(&self, attempt: u8) -> &Slot {
        self.slots.get(usize::from(attempt)).unwrap_or(&EMPTY)
    }

    #[inline]
    fn slot_mut(&mut self, attempt: u8) -> &mut Slot {
        // Sets hold numbers of slots only; the modulus spares a panic that cannot be.
        let [first, rest @ ..] = &mut self.slots;
        match usize::from(attempt).checked_sub(1) {
            Some(at) => rest.get_mut(at).unwrap_or(first),
            None => first,
        }
    }
}
