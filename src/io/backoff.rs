//! When an address that could not be reached is dialled again.
//!
//! A [`Gate`] belongs to one address of one client. After a dial has failed it is shut for a pause, and the
//! pauses grow. A warm-up leaves the address alone meanwhile, and a call that has another one passes it over.
//! A call that has no other left dials at once, pause or not. Only one dial is under way then: who comes
//! meanwhile waits for its end, and shares its outcome if the dial began after the call did; else it dials
//! next. So a call never fails on news that is older than itself, and many callers dial one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Phase};
use crate::io::chance;

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
    /// When the dial began that failed. News is that old: who dialled may say so late. `None` if there was a
    /// connection, which ended too soon.
    begun: Option<Instant>,
    at: Instant,
    retry_at: Instant,
}

/// What a call does that has no other address.
#[derive(Debug)]
pub enum Resort {
    /// Dial.
    Dial(Permit),
    /// Pass on: a dial that began after the call has failed.
    Failed(Error),
    /// Ask again when woken: somebody dials.
    Wait,
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

    /// The right to dial now; `None` while the address is left alone.
    pub fn enter(self: &Arc<Gate>, now: Instant) -> Option<Permit> {
        if !self.troubled.load(Ordering::Acquire) {
            return Some(self.permit(now, false));
        }
        let mut state = self.state.lock();
        state.is_open(now).then(|| self.sole(&mut state, now))
    }

    /// What a call does that began at `begun` and has no other address. `waker` is woken when it may ask again.
    pub fn resort(self: &Arc<Gate>, begun: Instant, now: Instant, waker: &Waker) -> Resort {
        let mut state = self.state.lock();
        if !self.troubled.load(Ordering::Acquire) {
            return Resort::Dial(self.permit(now, false));
        }
        if state.last.as_ref().and_then(|last| last.begun).is_some_and(|dial| dial >= begun) {
            return Resort::Failed(self.refusal(&state, now));
        }
        if !state.dialling {
            return Resort::Dial(self.sole(&mut state, now));
        }
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Resort::Wait
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
            self.leave_alone(&mut state, failures, None, now, error);
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
        let cause = self.hold_back(now);
        Error::new(Code::Timeout, "no connection within the call's timeout")
            .at(Phase::Connect)
            .with_cause(cause)
    }

    /// The last failure, for somebody who does not dial.
    pub fn hold_back(&self, now: Instant) -> Error {
        self.refusal(&self.state.lock(), now)
    }

    /// Dials that failed so far, and how often somebody had to do without one of its own.
    pub fn counts(&self) -> (u64, u64) {
        (self.failed.load(Ordering::Relaxed), self.held_back.load(Ordering::Relaxed))
    }

    fn permit(self: &Arc<Gate>, now: Instant, sole: bool) -> Permit {
        Permit { gate: Arc::clone(self), begun: now, sole }
    }

    fn sole(self: &Arc<Gate>, state: &mut State, now: Instant) -> Permit {
        state.dialling = true;
        self.permit(now, true)
    }

    fn leave_alone(
        &self,
        state: &mut State,
        failures: u32,
        begun: Option<Instant>,
        now: Instant,
        error: &Error,
    ) {
        let pause = self.options.pause(failures, chance::draw());
        state.last = Some(Failure { error: error.clone(), begun, at: now, retry_at: now + pause });
        self.troubled.store(!self.options.initial.is_zero(), Ordering::Release);
    }

    fn refusal(&self, state: &State, now: Instant) -> Error {
        self.held_back.fetch_add(1, Ordering::Relaxed);
        let Some(last) = &state.last else {
            return Error::new(Code::ConnectFailed, "the address is being dialled").at(Phase::Connect);
        };
        let age = now.saturating_duration_since(last.at).as_millis();
        let text = format!("{}; found {age} ms ago, not dialled since", last.error.text());
        // Whoever hears of it has sent nothing, even where a connection was lost.
        let code = match last.error.code() {
            Code::ConnectionLost => Code::ConnectFailed,
            code => code,
        };
        Error::new(code, text).at(Phase::Connect)
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

    /// For one more dial at the same time, as part of the same effort.
    pub fn another(&self) -> Permit {
        self.gate.permit(self.begun, false)
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
        if error.code() == Code::OutOfResources {
            // That says something about this process only.
            return;
        }
        let mut state = gate.state.lock();
        // Many that dialled at the same time have found out the same thing: that is one failure.
        let known = state.last.as_ref().is_some_and(|last| last.at >= self.begun);
        if !known {
            state.failures = state.failures.saturating_add(1);
            let failures = state.failures;
            gate.leave_alone(&mut state, failures, Some(self.begun), now, error);
        } else if let Some(last) = &mut state.last {
            last.begun = last.begun.max(Some(self.begun));
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
        assert!(gate.enter(now + 10 * MS).is_none());
        let error = gate.hold_back(now + 10 * MS);
        assert_eq!(error.text(), "Connection refused; found 10 ms ago, not dialled since");
        assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect));

        let later = now + pause(&gate);
        let sole = gate.enter(later).unwrap();
        assert!(gate.enter(later).is_none(), "one is enough");
        assert!(matches!(gate.resort(later, later, Waker::noop()), Resort::Wait));
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
        let resort = |begun| gate.resort(begun, now + 310 * MS, Waker::noop());
        assert!(matches!(resort(now + 10 * MS), Resort::Dial(_)), "the dial began before the call");
        assert!(matches!(resort(now), Resort::Failed(_)));
        slower.failed(now + 310 * MS, &refused());
        assert!(matches!(resort(now + 10 * MS), Resort::Failed(_)));
    }

    #[test]
    fn who_has_no_other_address_dials_in_turn() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        fail(&gate, now);
        let (early, late) = (now + MS, now + 3 * MS);
        let resort = |begun| gate.resort(begun, late, Waker::noop());
        let dial = |begun| match resort(begun) {
            Resort::Dial(permit) => permit,
            other => panic!("{other:?}"),
        };
        let Resort::Dial(sole) = gate.resort(early, now + 2 * MS, Waker::noop()) else { panic!("no dial") };
        assert!(matches!((resort(early), resort(late)), (Resort::Wait, Resort::Wait)));
        sole.failed(late, &refused());
        // The one that was there before the dial has heard of it; the other has not.
        assert!(matches!(resort(early), Resort::Failed(_)));
        // Given up: the next one may.
        drop(dial(late));
        dial(late).succeeded();
        assert!(gate.is_open(late));
        let _many = (dial(early), dial(late));
    }

    #[test]
    fn a_lost_connection_is_no_news_for_who_has_no_other_address() {
        let gate = Gate::new(Backoff::DEFAULT);
        let now = Instant::now();
        let lost = Error::new(Code::ConnectionLost, "the peer hung up").at(Phase::Wait);
        (0..FRESH_LOSSES).for_each(|nth| gate.lost_fresh(now + nth * MS, now + nth * MS, &lost));
        assert!(gate.enter(now + 3 * MS).is_none());
        let error = gate.hold_back(now + 3 * MS);
        assert_eq!((error.code(), error.phase()), (Code::ConnectFailed, Phase::Connect));
        assert!(matches!(gate.resort(now, now + 3 * MS, Waker::noop()), Resort::Dial(_)));
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
