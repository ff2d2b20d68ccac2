//! Attempts in simulated time: a script says how long each attempt takes and how it ends.

mod random;
mod rules;
mod timelines;

use std::collections::BTreeMap;

use crate::base::Code;
use crate::policy::Mode;
use crate::policy::attempt::{Action, Attempts, Call, End, NodeId, Outcome, Place};
use crate::policy::retry::{Lookup, OnError, Options, Policies, Predicate, RetryPolicy, Retryer};
use crate::policy::time::{Time, millis};

pub(super) const FAILED: End = End::Failed(Code::RemoteException);

/// The only policy of a client.
pub(super) fn retryer_with(policy: RetryPolicy, options: Options) -> Retryer {
    let policies = Policies::new(options).unwrap();
    policies.install(BTreeMap::from([("*".to_owned(), policy)])).unwrap();
    let Ok(Lookup::Retry(retryer)) = policies.lookup(None, "Say") else { panic!("no policy") };
    retryer
}

pub(super) fn retryer(policy: RetryPolicy, mode: Mode) -> Retryer {
    retryer_with(policy, Options { mode, ..Options::default() })
}

pub(super) fn asking(errors: bool, answers: bool) -> Predicate {
    let errors = if errors { OnError::Ask } else { OnError::Timeouts };
    Predicate { errors, answers, not_for_timeouts: false }
}

/// What the server does with attempt 1, 2, …; the last entry counts for all that follow.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) timeout_ms: u64,
    pub(super) deadline: Time,
    pub(super) attempts: Vec<(u64, End)>,
    /// The host's predicate, asked at once.
    pub(super) retry: fn(u8, End) -> bool,
    pub(super) cancel_at: Option<u64>,
}

impl Script {
    pub(super) fn new(timeout_ms: u64, attempts: &[(u64, End)]) -> Script {
        Script {
            timeout_ms,
            deadline: Time::NEVER,
            attempts: attempts.to_vec(),
            retry: |_, end| end != End::Ok,
            cancel_at: None,
        }
    }
}

/// What a call was seen to do, in ms.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) at: u64,
    pub(super) starts: Vec<u64>,
    pub(super) places: Vec<Place>,
    pub(super) released: Vec<u8>,
    pub(super) asked: Vec<u8>,
    pub(super) attempts: Attempts,
}

impl Seen {
    /// "ok 1100": how the call ended, and when.
    pub(super) fn text(&self) -> String {
        let how = match self.outcome {
            Outcome::Attempt(attempt) => {
                match self.attempts.facts().find(|fact| fact.attempt == attempt).and_then(|fact| fact.end) {
                    Some(End::Ok) => "ok",
                    Some(End::Biz) => "biz",
                    Some(End::Declared) => "declared",
                    Some(End::TimedOut) => "timeout",
                    Some(End::Failed(_)) => "error",
                    other => panic!("ended with {other:?}"),
                }
            }
            Outcome::Deadline => "deadline",
            Outcome::Cancelled => "cancelled",
            Outcome::MaxDuration => "max duration",
        };
        format!("{how} {}", self.at)
    }
}

pub(super) fn run(retryer: &Retryer, script: &Script) -> Seen {
    run_from(retryer, script, Time::ZERO)
}

/// Runs a call that begins at `begin`.
pub(super) fn run_from(retryer: &Retryer, script: &Script, begin: Time) -> Seen {
    let call = Call { timeout: millis(script.timeout_ms), deadline: script.deadline, ..Call::default() };
    let mut attempts = Attempts::new(retryer, call, begin);
    let mut ends: BTreeMap<u8, (Time, End)> = BTreeMap::new();
    let mut now = begin;
    let mut cancel = script.cancel_at.map(|ms| begin.plus(millis(ms)));
    let ms = |time: Time| time.nanos_since(begin) / 1_000_000;
    let (mut starts, mut places, mut released, mut asked) = (vec![], vec![], vec![], vec![]);
    loop {
        while let Some(action) = attempts.poll() {
            match action {
                Action::Start { attempt, place, .. } => {
                    starts.push(ms(now));
                    places.push(place);
                    let of_script = script.attempts.get(usize::from(attempt)).or(script.attempts.last());
                    let (lasts, end) = *of_script.unwrap();
                    ends.insert(attempt, (now.plus(millis(lasts)), end));
                    attempts.goes_to(attempt, NodeId(u32::from(attempt) + 1));
                }
                Action::Cancel(attempt) | Action::Leave(attempt) => {
                    ends.remove(&attempt);
                    released.push(attempt);
                }
                Action::Ask(attempt) => {
                    asked.push(attempt);
                    let end = attempts.facts().find(|fact| fact.attempt == attempt).unwrap().end.unwrap();
                    attempts.decided(attempt, (script.retry)(attempt, end), now, retryer);
                }
                Action::Finish(outcome) => {
                    assert_eq!(attempts.wake_at(), Time::NEVER);
                    assert_eq!(attempts.poll(), None);
                    return Seen { outcome, at: ms(now), starts, places, released, asked, attempts };
                }
            }
        }
        let wake = attempts.wake_at();
        let first = ends.iter().map(|(attempt, (at, _))| (*at, *attempt)).min();
        let end_at = first.map_or(Time::NEVER, |(at, _)| at);
        let next = wake.min(end_at).min(cancel.unwrap_or(Time::NEVER));
        assert_ne!(next, Time::NEVER, "nothing will ever happen: {attempts:?}");
        assert!(next >= now, "a wake-up in the past: {attempts:?}");
        now = next;
        if cancel == Some(now) {
            cancel = None;
            attempts.cancel(now, retryer);
        } else if wake <= end_at {
            attempts.wake(now, retryer);
        } else if let Some((_, attempt)) = first {
            let (_, end) = ends.remove(&attempt).unwrap();
            attempts.ended(attempt, end, now, retryer);
        }
    }
}
