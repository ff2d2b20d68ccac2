//! What is known of the attempts of a call: facts, tags and texts (governance.md §1.10).

use std::fmt::Write;
use std::time::Duration;

use crate::base::{Code, Error};
use crate::policy::attempt::{Attempts, End, NodeId};
use crate::policy::gate::{Stop, text_of_ms};
use crate::policy::retry::Kind;
use crate::policy::time::{Time, go_text};

/// One attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact {
    /// 0 is the first.
    pub attempt: u8,
    /// When it began.
    pub started_at: Time,
    /// When it ended or was given up; [`Time::NEVER`] while it runs.
    pub ended_at: Time,
    /// How; `None` while it runs.
    pub end: Option<End>,
    /// Where it went; 0 if it got nowhere.
    pub node: NodeId,
}

impl Fact {
    /// How long it took; zero while it runs.
    pub fn took(&self) -> Duration {
        if self.end.is_none() { Duration::ZERO } else { self.ended_at.since(self.started_at) }
    }
}

impl Attempts {
    /// Attempts that were begun, in the order of their numbers.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        let begun = self.slots.iter().zip(0u8..).filter(|(slot, _)| slot.started_at != Time::NEVER);
        begun.map(|(slot, attempt)| Fact {
            attempt,
            started_at: slot.started_at,
            ended_at: slot.ended_at,
            end: (slot.ended_at != Time::NEVER).then_some(slot.end),
            node: slot.node,
        })
    }

    /// Number of attempts that were begun.
    pub fn begun(&self) -> u8 {
        self.begun
    }

    /// The instances of all attempts so far, which a new one avoids.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.slots.iter().map(|slot| slot.node).filter(|node| *node != NodeId(0))
    }

    /// Why an extra attempt was not made, if that mattered.
    pub fn stopped_by(&self) -> Option<&Stop> {
        self.stop.as_ref().map(|(stop, _)| stop)
    }

    /// That, as the reference puts it behind the error's class: `retried 0, retry circuit break, …`.
    pub fn stop_text(&self) -> Option<String> {
        let (stop, retried) = self.stop.as_ref()?;
        Some(match retried {
            Some(retried) => format!("retried {retried}, {stop}"),
            None => stop.to_string(),
        })
    }

    /// The tag `retry`: attempts that were begun without the first; only if there were two or more.
    pub fn retry_tag(&self) -> Option<u8> {
        self.begun.checked_sub(1).filter(|retries| *retries > 0)
    }

    /// The tag `last_cost`: µs of the attempts that have ended by themselves, for failure in their order, for
    /// the other kinds as `n-µs` in the order of their ends.
    pub fn costs(&self) -> String {
        let mut ended: Vec<_> = self.slots.iter().zip(1u8..).filter(|(slot, _)| slot.order > 0).collect();
        ended.sort_by_key(|(slot, _)| slot.order);
        let mut text = String::new();
        for (slot, number) in ended {
            let separator = if text.is_empty() { "" } else { "," };
            let micros = slot.ended_at.nanos_since(slot.started_at) / 1000;
            let _ = match self.plan.kind {
                Kind::Failure => write!(text, "{separator}{micros}"),
                _ => write!(text, "{separator}{number}-{micros}"),
            };
        }
        text
    }

    /// The error of a call that ended without an answer, from the error of the attempt that ended it: it
    /// tells why there were no more retries, and lists each attempt if there were several. `name` says an
    /// instance's address.
    pub fn error(&self, last: Error, name: impl Fn(NodeId) -> Option<String>) -> Error {
        let last = match self.stop_text() {
            Some(stop) => last.annotated(stop),
            None => last,
        };
        if self.begun < 2 || self.plan.compat {
            return last;
        }
        let mut list = String::new();
        for fact in self.facts() {
            let separator = if list.is_empty() { "" } else { "; " };
            let _ = write!(list, "{separator}#{} ", fact.attempt + 1);
            if let Some(address) = name(fact.node) {
                let _ = write!(list, "{address} ");
            }
            let how = match fact.end {
                None => "still running".to_owned(),
                Some(End::Ok | End::Biz | End::Declared) => "answered".into(),
                Some(End::TimedOut) => Code::Timeout.name().into(),
                Some(End::Failed(code)) => code.name().into(),
                Some(End::Dropped) => "given up".into(),
            };
            let _ = write!(list, "{how} after {}", go_text(fact.took()));
        }
        last.annotated(format_args!("{} attempts: {list}", self.begun))
    }

    /// The reference's words for a call that has lasted too long, behind its class `retry error`.
    pub fn max_duration_text(&self, service: &str, method: &str, remote: Option<&str>) -> String {
        let retried = self.begun.saturating_sub(1);
        let limit = text_of_ms(self.plan.max_duration_ms);
        let mut text =
            format!("retry[{retried}] failed, exceed max duration[{limit}], toService={service}, ");
        let _ = write!(text, "method={method}");
        if let Some(remote) = remote {
            let _ = write!(text, ", remote={remote}");
        }
        if self.cancelled {
            text.push_str(", context canceled by business.");
        }
        text
    }
}
