//! One breaker: closed, open, half open. Its state is one word, changed by compare-and-swap.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::breaker::{Level, Settings};
use crate::policy::time::Time;
use crate::policy::window::{Counts, Sample, Window};

/// How long an open breaker lets nothing through, in µs.
const COOLING_MICROS: u64 = 5_000_000;
/// How far apart the probes of a half-open breaker are, in µs.
const DETECT_MICROS: u64 = 200_000;
/// Successes in a row that close a half-open breaker.
const SUCCESSES: u64 = 2;

/// The state of a breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// All calls pass.
    Closed,
    /// None does.
    Open,
    /// One in 200 ms does.
    HalfOpen,
}

impl State {
    /// The reference's name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Closed => "CLOSED",
            State::Open => "OPEN",
            State::HalfOpen => "HALFOPEN",
        }
    }
}

/// A change of state, for events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Of the last ten seconds, at the change.
    pub counts: Counts,
}

impl Change {
    /// `key: OLD -> NEW, (succ: a, err: b, timeout: c, rate: r)`.
    pub fn detail(&self, key: &str) -> String {
        let Counts { successes, failures, timeouts } = self.counts;
        let (from, to, rate) = (self.from.name(), self.to.name(), self.counts.rate());
        format!(
            "{key}: {from} -> {to}, (succ: {successes}, err: {failures}, timeout: {timeouts}, rate: {rate:.6})"
        )
    }

    /// The event as one line.
    pub fn line(&self, level: Level, key: &str) -> String {
        format!("{} {}", level.event(), self.detail(key))
    }
}

/// The word: state in 2 bits, successes while half open in 6, and in 56 since when (open), or when the last
/// probe was let through (half open), in µs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    state: State,
    successes: u64,
    since: u64,
}

const CLOSED: Word = Word { state: State::Closed, successes: 0, since: 0 };

impl Word {
    fn pack(self) -> u64 {
        let state = match self.state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        state | self.successes << 2 | self.since << 8
    }

    fn unpack(word: u64) -> Word {
        let state = match word & 3 {
            1 => State::Open,
            2 => State::HalfOpen,
            _ => State::Closed,
        };
        Word { state, successes: word >> 2 & 63, since: word >> 8 }
    }
}

/// One breaker. Any thread; lock-free.
#[derive(Debug)]
pub struct Breaker {
    word: AtomicU64,
    window: Arc<Window>,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::new()
    }
}

fn micros(now: Time) -> u64 {
    now.nanos() / 1000
}

impl Breaker {
    /// Closed.
    pub fn new() -> Breaker {
        Breaker { word: AtomicU64::new(CLOSED.pack()), window: Arc::default() }
    }

    /// Its state, as the last call left it.
    pub fn state(&self) -> State {
        Word::unpack(self.word.load(Ordering::Relaxed)).state
    }

    /// What it has counted in the last ten seconds.
    pub fn counts(&self, now: Time) -> Counts {
        self.window.counts(now)
    }

    pub(super) fn window(&self) -> Arc<Window> {
        Arc::clone(&self.window)
    }

    /// Whether a call may be made.
    #[inline]
    pub fn allow(&self, now: Time) -> (bool, Option<Change>) {
        let word = self.word.load(Ordering::Relaxed);
        if word == CLOSED.pack() { (true, None) } else { self.probe(word, now) }
    }

    #[cold]
    fn probe(&self, word: u64, now: Time) -> (bool, Option<Change>) {
        let old = Word::unpack(word);
        let counts = self.window.counts(now);
        if counts.samples() == 0 {
            return (true, self.swap(word, CLOSED, counts));
        }
        let waits = if old.state == State::Open { COOLING_MICROS } else { DETECT_MICROS };
        if micros(now) < old.since + waits {
            return (false, None);
        }
        let successes = if old.state == State::Open { 0 } else { old.successes };
        let new = Word { state: State::HalfOpen, successes, since: micros(now) };
        // Of several callers at once, one is the probe.
        let won = self.word.compare_exchange(word, new.pack(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let change =
            (won && old.state != new.state).then_some(Change { from: old.state, to: new.state, counts });
        (won, change)
    }

    /// A call has ended. Failures are counted in every state, successes only in the closed one.
    #[inline]
    pub fn record(&self, sample: Sample, now: Time, settings: &Settings) -> Option<Change> {
        let word = self.word.load(Ordering::Relaxed);
        if word == CLOSED.pack() && sample == Sample::Success {
            self.window.add(sample, now);
            return None;
        }
        self.judge(word, sample, now, settings)
    }

    #[cold]
    fn judge(&self, mut word: u64, sample: Sample, now: Time, settings: &Settings) -> Option<Change> {
        let counts = self.window.counts(now);
        // A breaker whose window is empty is forgotten, with its state.
        if word != CLOSED.pack() && counts.samples() == 0 {
            self.swap(word, CLOSED, counts);
            word = self.word.load(Ordering::Relaxed);
        }
        if sample == Sample::Success {
            return self.succeeded(word, now);
        }
        self.window.add(sample, now);
        let counts = self.window.counts(now);
        let open = Word { state: State::Open, successes: 0, since: micros(now) };
        match Word::unpack(word).state {
            State::Closed if settings.trips(&counts) => self.swap(word, open, counts),
            State::HalfOpen => self.swap(word, open, counts),
            _ => None,
        }
    }

    fn succeeded(&self, mut word: u64, now: Time) -> Option<Change> {
        loop {
            let old = Word::unpack(word);
            match old.state {
                State::Closed => {
                    self.window.add(Sample::Success, now);
                    return None;
                }
                State::Open => return None,
                State::HalfOpen if old.successes + 1 >= SUCCESSES => {
                    let change = self.swap(word, CLOSED, self.window.counts(now));
                    if change.is_some() {
                        self.window.clear();
                    }
                    return change;
                }
                State::HalfOpen => {
                    let new = Word { successes: old.successes + 1, ..old }.pack();
                    match self.word.compare_exchange(word, new, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => return None,
                        Err(now) => word = now,
                    }
                }
            }
        }
    }

    /// Whoever changes the word reports the change.
    fn swap(&self, old: u64, new: Word, counts: Counts) -> Option<Change> {
        let from = Word::unpack(old).state;
        let swapped = self.word.compare_exchange(old, new.pack(), Ordering::Relaxed, Ordering::Relaxed);
        swapped.ok().map(|_| Change { from, to: new.state, counts })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
