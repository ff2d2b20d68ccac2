//! When an address that could not be reached is dialled again.
//!
//! A [`Gate`] belongs to one address of one client. While dials fail it lets through one after each pause, and
//! the pauses grow. A call that has other addresses passes this one over meanwhile. One that has none waits
//! for the next dial, for a moment at most, and shares its outcome: it never fails on news that is older than
//! itself, and many callers together dial no more often than one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Phase};

/// A dial of last resort comes after this part of the pause, and no later than [`LONGEST_RESORT`].
const RESORT_PART: u32 = 8;
const LONGEST_RESORT: Duration = Duration::from_millis(100);

/// So many fresh connections in a row may end before their first reply without a consequence: the request
/// may be to blame.
const FRESH_LOSSES: u32 = 3;

/// For how long an address that could not be reached is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// After the first failure; each further one doubles it. All are longer or shorter by up to a fifth, by
    /// chance. Zero: every call that needs a connection dials. Default 100 ms.
    pub initial: Duration,
    /// The longest. Default 5 s.
    pub max: Duration,
}

impl Backoff {
    /// The defaults, as a constant.
    pub const DEFAULT: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

    /// The pause after so many failures; `chance` is anything.
    fn pause(&self, failures: u32, chance: u64) -> Duration {
        let doubled = self.initial.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let part = (chance % 401) as u32;
        doubled.min(self.max).saturating_mul(800 + part) / 1000
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::DEFAULT
    }
}

/// Whether an address may be dialled.
#[derive(Debug)]
pub struct Gate {
    options: Backoff,
    /// The last dials failed. Without the lock: calls look here first.
    troubled: AtomicBool,
    /// The last fresh connections ended before their first reply.
    losing: AtomicBool,
    state: Mutex<State>,
    failed: AtomicU64,
    held_back: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    losses: u32,
    last: Option<Failure>,
    /// Somebody dials on behalf of all.
    dialling: bool,
    waiting: Vec<Waker>,
}

#[derive(Debug)]
struct Failure {
    error: Error,
    /// When the dial began that failed. News is that old: who dialled may say so late.
    begun: Instant,
    at: Instant,
    retry_at: Instant,
    resort_at: Instant,
}

/// What a call does that has no other address.
#[derive(Debug)]
pub enum Resort {
    /// Dial.
    Dial(Permit),
    /// End: the address could not be reached since the call began.
    Failed(Error),
    /// Ask again when woken, or at this time.
    Wait(Option<Instant>),
}

/// The right to dial. Dropped without a word about the outcome, it lets somebody else dial.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    begun: Instant,
    /// The only one.
    sole: bool,
}

impl Gate {
    /// Of an address of which nothing is known.
    pub fn new(options: Backoff) -> Arc<Gate> {
        Arc::new(Gate {
            options,
            troubled: AtomicBool::new(false),
            losing: AtomicBool::new(false),
            state: Mutex::default(),
            failed: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        })
    }

    /// Whether a dial would be let through.
    pub fn is_open(&self, now: Instant) -> bool {
        !self.troubled.load(Ordering::Acquire) || self.state.lock().is_open(now)
    }

    /// The right to dial now, unless the address is left alone.
    pub fn enter(self: &Arc<Gate>, now: Instant) -> Result<Permit, Error> {
        if !self.troubled.load(Ordering::Acquire) {
            return Ok(Permit { gate: Arc::clone(self), begun: now, sole: false });
        }
        let mut state = self.state.lock();
        match state.is_open(now) {
            true => Ok(self.sole(&mut state, now)),
            false => Err(self.hold_back(&state, now)),
        }
    }

    /// The right to dial now, whatever others have found: for a call that has nothing else left.
    pub fn insist(self: &Arc<Gate>, now: Instant) -> Permit {
        Permit { gate: Arc::clone(self), begun: now, sole: false }
    }

    /// What a call does that began at `begun` and has no other address. `waker` is woken when it may ask again.
    pub fn resort(self: &Arc<Gate>, begun: Instant, now: Instant, waker: &Waker) -> Resort {
        let mut state = self.state.lock();
        let Some(last) = &state.last else {
            drop(state);
            return Resort::Dial(Permit { gate: Arc::clone(self), begun: now, sole: false });
        };
        if last.begun >= begun {
            return Resort::Failed(self.hold_back(&state, now));
        }
        let resort_at = last.resort_at;
        if !state.dialling && resort_at <= now {
            return Resort::Dial(self.sole(&mut state, now));
        }
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Resort::Wait((!state.dialling).then_some(resort_at))
    }

    /// When a call that has no other address may dial this one; `None` if it was tried since the call began.
    pub fn resort_at(&self, begun: Instant) -> Option<Instant> {
        match &self.state.lock().last {
            Some(last) => (last.begun < begun).then_some(last.resort_at),
            None => Some(begun),
        }
    }

    /// A fresh connection ended before anything came from the peer.
    pub fn lost_fresh(&self, begun: Instant, now: Instant, error: &Error) {
        let mut state = self.state.lock();
        if self.options.initial.is_zero() || state.last.as_ref().is_some_and(|last| last.at >= begun) {
            return;
        }
        state.losses = state.losses.saturating_add(1);
        self.losing.store(true, Ordering::Release);
        if state.losses >= FRESH_LOSSES {
            let failures = state.losses - FRESH_LOSSES + 1;
            self.leave_alone(&mut state, failures, begun, now, error);
        }
    }

    /// A reply has come: the address is fine.
    pub fn replied(&self) {
        if self.losing.load(Ordering::Acquire) {
            self.losing.store(false, Ordering::Release);
            self.state.lock().losses = 0;
        }
    }

    /// The error of a call whose time is up before it may dial.
    pub fn too_late(&self, now: Instant) -> Error {
        let cause = self.hold_back(&self.state.lock(), now);
        Error::new(Code::Timeout, "no connection within the call's timeout")
            .at(Phase::Connect)
            .with_cause(cause)
    }

    /// Dials that failed so far, and calls and warm-ups that ended without one of their own.
    pub fn counts(&self) -> (u64, u64) {
        (self.failed.load(Ordering::Relaxed), self.held_back.load(Ordering::Relaxed))
    }

    fn sole(self: &Arc<Gate>, state: &mut State, now: Instant) -> Permit {
        state.dialling = true;
        Permit { gate: Arc::clone(self), begun: now, sole: true }
    }

    fn leave_alone(&self, state: &mut State, failures: u32, begun: Instant, now: Instant, error: &Error) {
        let pause = self.options.pause(failures, RandomState::new().hash_one(failures));
        let resort = (pause / RESORT_PART).min(LONGEST_RESORT);
        let error = error.clone();
        state.last = Some(Failure { error, begun, at: now, retry_at: now + pause, resort_at: now + resort });
        self.troubled.store(!self.options.initial.is_zero(), Ordering::Release);
    }

    /// The last failure, for somebody who did not dial.
    fn hold_back(&self, state: &State, now: Instant) -> Error {
        self.held_back.fetch_add(1, Ordering::Relaxed);
        let Some(last) = &state.last else {
            return Error::new(Code::ConnectFailed, "the address is being dialled").at(Phase::Connect);
        };
        let age = now.saturating_duration_since(last.at).as_millis();
        let text = format!("{}; found {age} ms ago, not dialled since", last.error.text());
        Error::new(last.error.code(), text).at(last.error.phase())
    }
}

impl State {
    fn is_open(&self, now: Instant) -> bool {
        !self.dialling && self.last.as_ref().is_none_or(|last| last.retry_at <= now)
    }
}

impl Permit {
    /// When it was given.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// There is a connection.
    pub fn succeeded(self) {
        if self.gate.troubled.load(Ordering::Acquire) {
            let mut state = self.gate.state.lock();
            state.failures = 0;
            state.last = None;
            self.gate.troubled.store(false, Ordering::Release);
        }
    }

    /// There is none.
    pub fn failed(self, now: Instant, error: &Error) {
        let gate = &self.gate;
        gate.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = gate.state.lock();
        // Many that dialled at the same time have found out the same thing: that is one failure.
        let known = state.last.as_ref().is_some_and(|last| last.at >= self.begun);
        if !known {
            state.failures = state.failures.saturating_add(1);
            let failures = state.failures;
            gate.leave_alone(&mut state, failures, self.begun, now, error);
        } else if let Some(last) = &mut state.last {
            last.begun = last.begun.max(self.begun);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.sole {
            let waiting = {
                let mut state = self.gate.state.lock();
                state.dialling = false;
                std::mem::take(&mut state.waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn refused() -> Error {
        Error::new(Code::ConnectFailed, "Connection refused").at(Phase::Connect)
    }

    fn fail(gate: &Arc<Gate>, at: Instant) {
        gate.enter(at).unwrap().failed(at, &refused());
    }

    fn pause(gate: &Gate) -> Duration {
        let state = gate.state.lock();
        let last = state.last.as_ref().unwrap();
        last.retry_at - last.at
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_a_fifth() {
        let options = Backoff { initial: 100 * MS, max: 1000 * MS };
        for (failures, plain) in
            [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (50, 1000), (u32::MAX, 1000)]
        {
            assert_eq!(options.pause(failures, 0), plain * MS * 8 / 10);
            assert_eq!(options.pause(failures, 200), plain * MS);
            assert_eq!(options.pause(failures, 400), plain * MS * 12 / 10);
        }
        let gate = Gate::new(options);
        let mut now = Instant::now();
        for plain in [100, 200, 400, 800, 1000, 1000] {
            fail(&gate, now);
            let pause = pause(&gate);
            assert!((plain * MS * 8 / 10..=plain * MS * 12 / 10).contains(&pause), "{pause:?} {plain}");
            assert!(!gate.is_open(now + pause - MS / 1000) && gate.is_open(now + pause));
            now += pause;
        }
        gate.enter(now).unwrap().succeeded();
        fail(&gate, now + MS);
        assert!(pause(&gate) <= 120 * MS, "a success starts it anew");
    }

    #[test]
    fn what_many_find_out_together_is_one_failure() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        let permits: Vec<_> = (0..1000).map(|_| gate.enter(now).unwrap()).collect();
        permits.into_iter().for_each(|permit| permit.failed(now + MS, &refused()));
        assert!(pause(&gate) <= 120 * MS);
        assert_eq!(gate.counts(), (1000, 0));
    }

    #[test]
    fn one_dials_after_a_pause_and_the_others_hear_of_it() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        fail(&gate, now);
        let error = gate.enter(now + 10 * MS).unwrap_err();
        assert_eq!(error.text(), "Connection refused; found 10 ms ago, not dialled since");
        assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect));

        let later = now + pause(&gate);
        let sole = gate.enter(later).unwrap();
        assert!(gate.enter(later).is_err(), "one is enough");
        assert!(matches!(gate.resort(later, later, Waker::noop()), Resort::Wait(None)));
        sole.failed(later + MS, &refused());
        let Resort::Failed(error) = gate.resort(later, later + 2 * MS, Waker::noop()) else { panic!() };
        assert_eq!(error.text(), "Connection refused; found 1 ms ago, not dialled since");
    }

    /// As on a busy machine, where somebody finds out and is not heard for long.
    #[test]
    fn late_news_is_old_news() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        let (slow, slower) = (gate.enter(now).unwrap(), gate.enter(now + 50 * MS).unwrap());
        slow.failed(now + 300 * MS, &refused());
        assert!(gate.resort_at(now + 10 * MS).is_some(), "the dial began before the call");
        assert!(gate.resort_at(now).is_none());
        slower.failed(now + 310 * MS, &refused());
        assert!(gate.resort_at(now + 10 * MS).is_none());
    }

    #[test]
    fn who_has_no_other_address_waits_for_a_moment_only() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        fail(&gate, now);
        let begun = now + MS;
        let Resort::Wait(Some(at)) = gate.resort(begun, begun, Waker::noop()) else { panic!("no wait") };
        assert!((10 * MS..=15 * MS).contains(&(at - now)), "{:?}", at - now);
        let Resort::Dial(sole) = gate.resort(begun, at, Waker::noop()) else { panic!("no dial") };
        assert!(matches!(gate.resort(begun, at, Waker::noop()), Resort::Wait(None)));
        // Given up: the next one may.
        drop(sole);
        let Resort::Dial(sole) = gate.resort(begun, at, Waker::noop()) else { panic!("no dial") };
        sole.succeeded();
        assert!(gate.is_open(at) && gate.resort_at(begun) == Some(begun));
    }

    #[test]
    fn connections_that_end_at_once_count_from_the_third_on_unless_there_was_a_reply() {
        let gate = Gate::new(Backoff::DEFAULT);
        let mut now = Instant::now();
        let mut lose = || {
            now += MS;
            gate.lost_fresh(now, now, &refused());
            gate.is_open(now)
        };
        assert!(lose() && lose());
        gate.replied();
        assert!(lose() && lose() && !lose());
    }

    #[test]
    fn without_a_pause_every_call_dials() {
        let gate = Gate::new(Backoff { initial: Duration::ZERO, max: Duration::ZERO });
        let now = Instant::now();
        fail(&gate, now);
        gate.lost_fresh(now, now, &refused());
        assert!(gate.is_open(now));
        assert_eq!(gate.counts(), (1, 0));
    }
}
