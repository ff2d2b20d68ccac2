//! Whether a request may be handled: asked before its handler, inline or through a queue.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::base::Metainfo;
use crate::io::timer;
use crate::op::decision::{self, Decision};
use crate::op::queue::QueueError;
use crate::rpc::Runtime;
use crate::rpc::event::{Event, Queue};

/// What a server's access check sees of a request.
#[derive(Clone, Debug)]
pub struct AclQuestion {
    /// The service that would take it; for a catch-all as the caller sent it.
    pub service: Bytes,
    /// Its method.
    pub method: Bytes,
    /// The caller's address.
    pub peer: Arc<str>,
    /// Pairs that came with it.
    pub metainfo: Metainfo,
}

/// What a server's access check says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Handle it.
    Allow,
    /// Answer "request forbidden: …" (ttheader.md §4.5) and keep the connection.
    Reject(Bytes),
}

/// A question in a queue, answered once.
pub type AclDecision = Decision<AclQuestion, Verdict>;

/// The answer of a host function that is asked at once: it says yes, or no and perhaps why.
pub struct InlineAnswer(Arc<OnceLock<Verdict>>);

impl InlineAnswer {
    /// A question to lend to the function.
    pub fn ask(question: AclQuestion) -> (AclDecision, InlineAnswer) {
        let answer = Arc::new(OnceLock::new());
        let given = Arc::clone(&answer);
        let (decision, _) = decision::ask_then(question, Verdict::Allow, move |verdict| {
            let _ = given.set(verdict);
        });
        (decision, InlineAnswer(answer))
    }

    /// What the function said, with the reason that it gave to the question.
    pub fn verdict(self, allowed: bool) -> Verdict {
        let reason = self.0.get().filter(|verdict| **verdict != Verdict::Allow).cloned();
        match (allowed, reason) {
            (true, _) => Verdict::Allow,
            (false, Some(rejection)) => rejection,
            (false, None) => Verdict::Reject(Bytes::from_static(b"the access check said no")),
        }
    }
}

/// A check on the I/O thread; must not block.
pub type AclCheck = dyn Fn(&AclQuestion) -> Verdict + Send + Sync;

/// How a server asks.
#[derive(Clone)]
pub enum Acl {
    /// At once, on the I/O thread.
    Inline(Arc<AclCheck>),
    /// By an event; with no answer in time, or no room in the queue, the default counts.
    Queued {
        /// Where the question goes.
        queue: Arc<Queue>,
        /// The host's word for it.
        tag: u64,
        /// How long the host has.
        timeout: Duration,
        /// What counts without an answer.
        default: Verdict,
    },
}

impl Acl {
    /// Asks; `settle` goes on or refuses.
    pub(super) fn ask(
        &self,
        question: AclQuestion,
        runtime: &Arc<Runtime>,
        settle: impl FnOnce(Verdict) + Send + 'static,
    ) {
        match self {
            Acl::Inline(check) => settle(check(&question)),
            Acl::Queued { queue, tag, timeout, default } => {
                // The timer goes with the question: answers are fast, and times may be long.
                let (wanted, while_wanted) = timer::wanted();
                let settle = move |verdict| {
                    drop(wanted);
                    settle(verdict);
                };
                let (decision, expiry) = decision::ask_then(question, default.clone(), settle);
                match queue.reserve() {
                    Ok(slot) => {
                        runtime.after(*timeout, while_wanted, move || expiry.expire());
                        slot.fill(Event::Acl { tag: *tag, decision });
                    }
                    // Dropping the question gives the default.
                    Err(QueueError::Full | QueueError::Closed) => drop(decision),
                }
            }
        }
    }
}
