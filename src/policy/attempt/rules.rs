//! What follows from a timer and from an attempt's end, by kind (governance.md §1.4–§1.6).

use crate::policy::attempt::{Attempts, DECISION_NANOS, End, MAX_ATTEMPTS, Outcome, Resume, Set};
use crate::policy::gate::Stop;
use crate::policy::number::mix;
use crate::policy::retry::{Kind, OnError, Retryer};
use crate::policy::time::{Time, millis};

/// Whether an end is retried, as far as the engine knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Retry,
    Final,
    Ask,
}

impl Attempts {
    /// Works off what is due: the timer first, then ends in the order in which they came (§1.6, tie).
    pub(super) fn settle(&mut self, now: Time, retryer: &Retryer) {
        while self.outcome.is_none() {
            if let Some((until, resume)) = self.asleep {
                if now < until {
                    return;
                }
                self.asleep = None;
                self.resume(resume, now, retryer);
            } else if now >= self.timer && !self.ends_come_first() {
                self.timer = Time::NEVER;
                self.on_timer(now, retryer);
            } else if let Some(attempt) = self.arrived.min_by_key(|attempt| self.slot(*attempt).order) {
                self.arrived.remove(Set::one(attempt));
                self.on_end(attempt, now, retryer);
            } else {
                return;
            }
        }
    }

    /// Any end ends a backup call, so one more attempt would be load for nothing.
    fn ends_come_first(&self) -> bool {
        self.plan.kind == Kind::Backup && !self.plan.compat && !self.arrived.is_empty()
    }

    fn on_timer(&mut self, now: Time, retryer: &Retryer) {
        let room = self.has_room();
        if self.plan.kind == Kind::Backup {
            if room && retryer.stops(now).is_none() {
                self.start_next(now, retryer);
            }
            return;
        }
        if self.plan.compat {
            // The reference passes the gate, and sleeps, even with no attempt left.
            let stop = if room { retryer.stops(now) } else { retryer.stops_free(now) };
            if stop.is_none() {
                self.pause_in_loop(Resume::Timer, now, retryer);
            }
        } else if room && !self.too_late(now) && retryer.stops(now).is_none() {
            self.start_after_backoff(now, retryer);
        }
    }

    fn on_end(&mut self, attempt: u8, now: Time, retryer: &Retryer) {
        if !self.slot(attempt).done {
            self.slot_mut(attempt).done = true;
            self.done += 1;
        }
        if self.plan.kind == Kind::Backup || self.is_last() {
            return self.give(attempt, now, retryer);
        }
        match self.verdict(attempt) {
            Verdict::Ask => {
                self.slot_mut(attempt).until = now.plus(DECISION_NANOS);
                self.deciding.add(Set::one(attempt));
                self.to_ask.add(Set::one(attempt));
            }
            Verdict::Retry => self.retry(attempt, now, retryer),
            Verdict::Final => self.no_retry(attempt, now, retryer),
        }
    }

    /// Whatever this end is, there is nothing left to wait for or to begin.
    fn is_last(&self) -> bool {
        !self.others_alive() && (self.numbered > self.plan.retries || self.stopped)
    }

    fn verdict(&self, attempt: u8) -> Verdict {
        let slot = self.slot(attempt);
        if let Some(retry) = slot.decided {
            return if retry { Verdict::Retry } else { Verdict::Final };
        }
        let when = |yes: bool, verdict: Verdict| if yes { verdict } else { Verdict::Final };
        match (slot.end, self.plan.errors) {
            (End::Ok | End::Biz | End::Declared, _) => when(self.plan.answers, Verdict::Ask),
            (End::TimedOut, _) if self.plan.timeouts => Verdict::Retry,
            (_, OnError::All) => Verdict::Retry,
            (_, OnError::Ask) => Verdict::Ask,
            (_, OnError::Timeouts) => Verdict::Final,
        }
    }

    fn retry(&mut self, attempt: u8, now: Time, retryer: &Retryer) {
        if !self.has_room() {
            if !self.others_alive() {
                self.give(attempt, now, retryer);
            }
            return;
        }
        // Failure looks at the duration before the gate, mixed behind it (§1.4).
        let early = self.plan.kind == Kind::Failure || !self.plan.compat;
        if early && self.too_late(now) {
            if self.plan.compat {
                return self.finish(Outcome::MaxDuration, now, retryer);
            }
            return self.stop_at(attempt, Stop::MaxDuration(self.plan.max_duration_ms), now, retryer);
        }
        if let Some(stop) = retryer.stops(now) {
            return self.stop_at(attempt, stop, now, retryer);
        }
        if self.plan.kind == Kind::Mixed && self.plan.compat {
            self.pause_in_loop(Resume::Result, now, retryer);
        } else {
            self.start_after_backoff(now, retryer);
        }
    }

    /// An end that should be retried is not: it ends the call, unless one that runs may still do better.
    fn stop_at(&mut self, attempt: u8, stop: Stop, now: Time, retryer: &Retryer) {
        if stop != Stop::Disabled {
            self.stop = Some((stop, Some(self.numbered.saturating_sub(1))));
        }
        self.stopped = true;
        self.timer = Time::NEVER;
        if self.plan.compat || !self.others_alive() {
            self.give(attempt, now, retryer);
        }
    }

    /// An end that must not be retried. An answer ends the call. An error does if nothing else runs: what
    /// runs may still answer, but nothing new begins.
    fn no_retry(&mut self, attempt: u8, now: Time, retryer: &Retryer) {
        if self.plan.compat || self.slot(attempt).end.is_answer() {
            return self.finish(Outcome::Attempt(attempt), now, retryer);
        }
        self.final_end.get_or_insert(attempt);
        self.stopped = true;
        self.timer = Time::NEVER;
        for waiting in std::mem::take(&mut self.waiting) {
            retryer.gate().give_back();
            self.slot_mut(waiting).until = Time::NEVER;
        }
        if !self.others_alive() {
            self.give(attempt, now, retryer);
        }
    }

    /// Ends the call with this attempt, or with an earlier error that was final, if this one is no answer.
    fn give(&mut self, attempt: u8, now: Time, retryer: &Retryer) {
        let earlier = self.final_end.filter(|_| !self.slot(attempt).end.is_answer());
        let attempt = earlier.unwrap_or(attempt);
        if self.plan.retries == 0 && !self.is_retried_by_rule(attempt) {
            self.stop = None;
        }
        self.finish(Outcome::Attempt(attempt), now, retryer);
    }

    /// Whether the reason for a single call belongs into its error: only where it changed something.
    fn is_retried_by_rule(&self, attempt: u8) -> bool {
        self.verdict(attempt) == Verdict::Retry
    }

    fn others_alive(&self) -> bool {
        !Set(self.running.0 | self.waiting.0 | self.deciding.0 | self.arrived.0).is_empty()
    }

    fn has_room(&self) -> bool {
        !self.stopped && self.numbered <= self.plan.retries && self.numbered < MAX_ATTEMPTS
    }

    fn too_late(&self, now: Time) -> bool {
        let limit = millis(self.plan.max_duration_ms.into());
        limit > 0 && now.nanos_since(self.began_at) > limit
    }

    /// [`Mode::Compat`](crate::policy::Mode::Compat): the loop sleeps the backoff, deaf to all ends.
    fn pause_in_loop(&mut self, resume: Resume, now: Time, retryer: &Retryer) {
        match retryer.backoff(self.chance()) {
            0 => self.resume(resume, now, retryer),
            backoff => self.asleep = Some((now.plus(backoff), resume)),
        }
    }

    fn resume(&mut self, resume: Resume, now: Time, retryer: &Retryer) {
        if resume == Resume::Timer && !self.has_room() {
            return;
        }
        if self.too_late(now) {
            retryer.gate().give_back();
            return self.finish(Outcome::MaxDuration, now, retryer);
        }
        self.start_next(now, retryer);
    }

    /// Begins the next attempt behind its backoff; meanwhile no backup is due.
    fn start_after_backoff(&mut self, now: Time, retryer: &Retryer) {
        match retryer.backoff(self.chance()) {
            0 => self.start_next(now, retryer),
            backoff => {
                let attempt = self.numbered;
                self.numbered += 1;
                self.slot_mut(attempt).until = now.plus(backoff);
                self.waiting.add(Set::one(attempt));
                self.timer = Time::NEVER;
            }
        }
    }

    fn start_next(&mut self, now: Time, retryer: &Retryer) {
        let attempt = self.numbered;
        self.numbered += 1;
        self.begin(attempt, now, retryer);
    }

    pub(super) fn begin(&mut self, attempt: u8, now: Time, retryer: &Retryer) {
        self.run(attempt, now);
        retryer.gate().extra(now);
        if self.plan.kind != Kind::Failure && self.waiting.is_empty() {
            self.timer = now.plus(self.plan.delay);
        }
    }

    fn chance(&mut self) -> u64 {
        self.call.chance = mix(self.call.chance);
        self.call.chance
    }
}
