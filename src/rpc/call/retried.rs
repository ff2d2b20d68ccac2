//! A call with a retry policy: what drives its attempts (governance.md §1).
//!
//! What is decided is decided by [`Attempts`], which knows no time and no connection. Here its attempts become
//! exchanges of the client's driver, and its wake-ups a note on the first of them: as long as nothing goes
//! wrong, the connection that waits for the reply waits for the next attempt's time as well, and no timer of
//! the call's own is needed.

use std::mem;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Message, Metainfo, MetainfoKind, Phase};
use crate::io::client::{Attempt, End, Exchange, Route};
use crate::io::timer::{self, Wanted};
use crate::io::{chance, clock};
use crate::op::operation::{CancelHook, Cause, Completer};
use crate::policy::Time;
use crate::policy::attempt::{self, Action, Attempts, NodeId, Outcome, Place};
use crate::policy::retry::{Backoff, MAX_ATTEMPTS, RETRY_KEY, Retryer};
use crate::policy::time::nanos;
use crate::proto::call::{Request, Response};
use crate::rpc::Runtime;
use crate::rpc::call::client::{Client, Terms};
use crate::rpc::call::method::Method;
use crate::rpc::call::reply::{AttemptFact, Facts, Reply};
use crate::rpc::call::start::Start;
use crate::rpc::context::{Context, Watch};

const MOST: usize = MAX_ATTEMPTS as usize;

/// A call under way, shared by its attempts.
pub(super) struct Retried {
    client: Arc<Client>,
    runtime: Arc<Runtime>,
    method: Method,
    message: Message,
    metainfo: Metainfo,
    /// The same for each attempt after the first, with its number; made with the second attempt.
    marked: OnceLock<Vec<Metainfo>>,
    retryer: Retryer,
    terms: Terms,
    started: Instant,
    /// Where attempts went: the address's number plus one.
    nodes: [AtomicU32; MOST],
    /// The first attempt's place in the order of addresses.
    turn: AtomicUsize,
    /// Attempts that were given up, one bit each.
    given_up: AtomicU8,
    state: Mutex<State>,
}

struct State {
    engine: Attempts,
    /// Until the call has ended.
    completer: Option<Completer<Reply>>,
    /// What to do when an attempt is given up. Until it fans out, the completer has that of the first.
    hooks: [Option<CancelHook>; MOST],
    fanned_out: bool,
    /// The last end of an attempt, and those before it.
    last: Option<(u8, End)>,
    ends: Vec<(u8, End)>,
    /// Once the first attempt has ended or was not enough.
    timer: Option<Wanted>,
    has_own_timer: bool,
    request_bytes: usize,
    tries: u32,
    _parent: Option<Watch>,
}

/// What is to be done when the lock is free again.
#[derive(Default)]
struct Due {
    starts: Vec<Attempt>,
    hooks: Vec<CancelHook>,
    end: Option<(Completer<Reply>, Reply)>,
    timer: Option<Wanted>,
}

impl Retried {
    /// A call that is about to begin, and its first attempt.
    pub(super) fn exchange(
        client: &Arc<Client>,
        runtime: &Arc<Runtime>,
        call: Start<'_>,
        retryer: Retryer,
        started: Instant,
    ) -> (Arc<dyn Exchange>, Attempt) {
        let terms = client.terms_of_attempts(&call.options);
        let metainfo = call.options.all_metainfo().into_owned();
        let now = client.time(started);
        let plan = attempt::Call {
            timeout: terms.timeout.map_or(0, nanos),
            deadline: terms.deadline.map_or(Time::NEVER, |at| client.time(at)),
            chained: metainfo.get(MetainfoKind::Persistent, RETRY_KEY.as_bytes()).is_some(),
            chance: match retryer.policy().backoff {
                Backoff::Random { .. } => chance::draw(),
                _ => 0,
            },
        };
        let mut engine = Attempts::new(&retryer, plan, now);
        let deadline = match engine.poll() {
            Some(Action::Start { expires_at, .. }) => expires_at.instant(client.origin()),
            _ => None,
        };
        let alarm = engine.wake_at().instant(client.origin());
        let first = Attempt {
            // An attempt keeps its own timeout.
            wake_at: alarm.filter(|at| deadline.is_none_or(|deadline| *at < deadline)),
            ..Attempt::first(client.next_seq(), deadline)
        };
        let parent = call.options.parent.map(|parent: &Context| parent.watch(call.completer.canceller()));
        let state = State {
            engine,
            completer: Some(call.completer),
            hooks: [const { None }; MOST],
            fanned_out: false,
            last: None,
            ends: Vec::new(),
            timer: None,
            has_own_timer: false,
            request_bytes: 0,
            tries: 0,
            _parent: parent,
        };
        let retried = Retried {
            client: Arc::clone(client),
            runtime: Arc::clone(runtime),
            method: call.method.clone(),
            message: call.message.clone(),
            metainfo,
            marked: OnceLock::new(),
            retryer,
            terms,
            started,
            nodes: [const { AtomicU32::new(0) }; MOST],
            turn: AtomicUsize::new(0),
            given_up: AtomicU8::new(0),
            state: Mutex::new(state),
        };
        (Arc::new(retried), first)
    }

    fn is_given_up(&self, attempt: u8) -> bool {
        self.given_up.load(Ordering::Acquire) & (1 << attempt) != 0
    }

    fn metainfo_of(&self, attempt: u8) -> &Metainfo {
        let Some(retry) = usize::from(attempt).checked_sub(1) else { return &self.metainfo };
        let marked = self.marked.get_or_init(|| {
            let mark = |number: usize| {
                let mut pairs = self.metainfo.clone();
                pairs.set(MetainfoKind::Persistent, RETRY_KEY, number.to_string());
                pairs
            };
            (1..MOST).map(mark).collect()
        });
        marked.get(retry).unwrap_or(&self.metainfo)
    }

    /// Tells the engine something; returns what it wants, to be performed.
    #[must_use]
    fn tell(self: &Arc<Self>, tell: impl FnOnce(&mut State, Time)) -> Due {
        let now = clock::now();
        let mut state = self.state.lock();
        for (number, node) in (0..MAX_ATTEMPTS).zip(&self.nodes) {
            state.engine.goes_to(number, NodeId(node.load(Ordering::Relaxed)));
        }
        tell(&mut state, self.client.time(now));
        self.follow(&mut state, now)
    }

    /// What the engine wants now.
    fn follow(self: &Arc<Self>, state: &mut State, now: Instant) -> Due {
        let mut due = Due::default();
        while let Some(action) = state.engine.poll() {
            match action {
                Action::Start { attempt, expires_at, place } => {
                    self.fan_out(state);
                    due.starts.push(self.attempt(&state.engine, attempt, expires_at, place));
                }
                Action::Cancel(attempt) => {
                    self.fan_out(state);
                    self.given_up.fetch_or(1 << attempt, Ordering::Release);
                    due.hooks.extend(state.hooks.get_mut(usize::from(attempt)).and_then(Option::take));
                }
                Action::Leave(_) => {}
                // No predicate of this client asks.
                Action::Ask(attempt) => {
                    state.engine.decided(attempt, false, self.client.time(now), &self.retryer);
                }
                Action::Finish(outcome) => due.end = self.end(state, outcome, now),
            }
        }
        due.timer = self.rearm(state, now);
        due
    }

    /// From the second attempt on, a wish for the call's end goes to all attempts through here. Until then it
    /// goes to the connection of the first, which ends it as any other.
    fn fan_out(self: &Arc<Self>, state: &mut State) {
        if mem::replace(&mut state.fanned_out, true) {
            return;
        }
        let call = Arc::downgrade(self);
        let hook = move |_| {
            if let Some(call) = call.upgrade() {
                let due = call.tell(|state, now| state.engine.cancel(now, &call.retryer));
                call.perform(due);
            }
        };
        state.hooks[0] =
            state.completer.as_ref().and_then(|completer| completer.replace_hook(Box::new(hook)));
    }

    fn attempt(&self, engine: &Attempts, number: u8, expires_at: Time, place: Place) -> Attempt {
        let mut route = Route::after(self.turn.load(Ordering::Relaxed));
        match place {
            Place::Any => {}
            Place::Same(node) => route.same = address_of(node),
            Place::Other => engine.nodes().filter_map(address_of).for_each(|peer| route.avoid(peer)),
        }
        let deadline = expires_at.instant(self.client.origin());
        Attempt { number, seq: self.client.next_seq(), deadline, wake_at: None, route: Some(Box::new(route)) }
    }

    /// The engine's next wake-up, unless the first attempt's connection sees to it.
    fn rearm(self: &Arc<Self>, state: &mut State, now: Instant) -> Option<Wanted> {
        let at = state.engine.wake_at().instant(self.client.origin()).filter(|_| state.has_own_timer);
        let wanted = at.map(|at| {
            let (wanted, while_wanted) = timer::wanted();
            let call = Arc::clone(self);
            self.runtime.after(at.saturating_duration_since(now), while_wanted, move || call.wake());
            wanted
        });
        mem::replace(&mut state.timer, wanted)
    }

    /// The call has ended: with this.
    fn end(&self, state: &mut State, outcome: Outcome, now: Instant) -> Option<(Completer<Reply>, Reply)> {
        let completer = state.completer.take()?;
        let last = state.take_end(match outcome {
            Outcome::Attempt(attempt) => Some(attempt),
            _ => None,
        });
        let mut facts = Facts {
            request_bytes: state.request_bytes,
            elapsed: now.saturating_duration_since(self.started),
            attempts: state.tries,
            ..Facts::default()
        };
        let mut peer = None;
        let result = match last {
            Some(end) => {
                facts.reused_connection = end.reused;
                facts.reply_bytes = end.outcome.as_ref().map_or(0, |response| response.wire_bytes);
                peer = end.peer;
                end.outcome
            }
            None => Err(self.own_error(&state.engine, outcome, completer.is_cancelled())),
        };
        let explain = |error| state.engine.error(error, |node| self.name(node));
        let result = match result {
            Err(error) => Err(explain(error)),
            Ok(response) if answer_of(&response).is_answer() => Ok(response),
            Ok(response) => Ok(Response { error: response.error.map(explain), ..response }),
        };
        let reply = Reply::ended(result, &self.method, self.terms.timeout, peer, facts);
        let reply = match state.engine.begun() {
            0 | 1 => reply,
            _ => reply.with_attempts(state.engine.facts().map(|fact| self.fact(fact)).collect()),
        };
        Some((completer, reply))
    }

    /// The error of a call that no attempt's end has ended.
    fn own_error(&self, engine: &Attempts, outcome: Outcome, cause: Option<Cause>) -> Error {
        let late = || Error::new(Code::Timeout, "no reply within the timeout");
        let error = match outcome {
            // The engine saw its time pass before the connection did.
            Outcome::Attempt(_) => late(),
            Outcome::Deadline => Cause::Deadline.error(),
            Outcome::Cancelled => cause.unwrap_or(Cause::ByHost).error(),
            Outcome::MaxDuration => {
                let text =
                    engine.max_duration_text(&self.client.options.destination, self.method.name(), None);
                Error::new(Code::Timeout, text)
            }
        };
        error.at(Phase::Wait)
    }

    fn name(&self, node: NodeId) -> Option<String> {
        self.client.peer_name(address_of(node)?).map(str::to_owned)
    }

    fn fact(&self, fact: attempt::Fact) -> AttemptFact {
        AttemptFact {
            peer: self.name(fact.node),
            begun: fact.started_at.since(self.client.time(self.started)),
            took: fact.took(),
            end: fact.end,
        }
    }

    fn perform(self: Arc<Self>, due: Due) {
        due.hooks.into_iter().for_each(|hook| hook(Cause::CallerGone));
        if !due.starts.is_empty() {
            let attempts =
                due.starts.into_iter().map(|attempt| (Arc::clone(&self) as Arc<dyn Exchange>, attempt));
            match self.client.shard() {
                Ok(shard) => shard.driver().submit(attempts),
                Err(error) => attempts.for_each(|(call, attempt)| {
                    call.finish(attempt.number, End::unsent(error.clone()));
                }),
            }
        }
        drop(due.timer);
        // As of a call without a policy: what is here is given back before anybody hears of the end.
        drop(self);
        if let Some((completer, reply)) = due.end {
            completer.complete(reply);
        }
    }
}

impl State {
    /// Keeps an attempt's end, which may be the call's.
    fn keep(&mut self, attempt: u8, end: End) {
        self.request_bytes = self.request_bytes.max(end.request_bytes);
        self.tries += end.tries;
        if let Some(earlier) = self.last.replace((attempt, end)) {
            self.ends.push(earlier);
        }
    }

    /// What an attempt has ended with; `None` takes the last one's, if the call was cancelled through it.
    fn take_end(&mut self, attempt: Option<u8>) -> Option<End> {
        let is_wanted =
            |(number, _): &(u8, End)| Some(*number) == attempt || (attempt.is_none() && !self.fanned_out);
        if self.last.as_ref().is_some_and(is_wanted) {
            return self.last.take().map(|(_, end)| end);
        }
        let at = self.ends.iter().position(is_wanted)?;
        Some(self.ends.swap_remove(at).1)
    }
}

impl Exchange for Retried {
    fn request(&self, attempt: &Attempt) -> Request<'_> {
        let terms = Terms { deadline: attempt.deadline, ..self.terms };
        let metainfo = self.metainfo_of(attempt.number);
        self.client.request(&self.method, &self.message, metainfo, terms, attempt.seq)
    }

    fn method(&self) -> &Bytes {
        self.method.wire_name()
    }

    fn cancelled(&self, attempt: u8) -> Option<Cause> {
        if self.is_given_up(attempt) {
            return Some(Cause::CallerGone);
        }
        self.state.lock().completer.as_ref().and_then(Completer::is_cancelled)
    }

    fn watch(&self, attempt: u8, on_cancel: CancelHook) {
        let mut state = self.state.lock();
        let hook = match (&state.completer, state.fanned_out || attempt > 0) {
            _ if self.is_given_up(attempt) => Some(on_cancel),
            (Some(completer), false) => {
                completer.on_cancel(on_cancel);
                None
            }
            _ => {
                // One that is replaced has no connection any more.
                if let Some(place) = state.hooks.get_mut(usize::from(attempt)) {
                    *place = Some(on_cancel);
                }
                None
            }
        };
        drop(state);
        if let Some(hook) = hook {
            hook(Cause::CallerGone);
        }
    }

    fn goes_to(&self, attempt: u8, peer: usize, turn: usize) {
        if let Some(node) = self.nodes.get(usize::from(attempt)) {
            node.store(u32::try_from(peer + 1).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        if attempt == 0 {
            self.turn.store(turn, Ordering::Relaxed);
        }
    }

    fn wake(self: Arc<Self>) {
        let due = self.tell(|state, now| {
            state.has_own_timer = true;
            state.engine.wake(now, &self.retryer);
        });
        self.perform(due);
    }

    fn finish(self: Arc<Self>, attempt: u8, end: End) {
        let how = kind_of(&end);
        let due = self.tell(|state, now| {
            state.has_own_timer = true;
            state.keep(attempt, end);
            match state.completer.as_ref().and_then(Completer::is_cancelled) {
                Some(_) => state.engine.cancel(now, &self.retryer),
                None => state.engine.ended(attempt, how, now, &self.retryer),
            }
        });
        self.perform(due);
    }
}

/// The address that a node's number stands for, if it is one.
fn address_of(node: NodeId) -> Option<usize> {
    usize::try_from(node.0).ok()?.checked_sub(1)
}

/// What an attempt's end is to its policy.
fn kind_of(end: &End) -> attempt::End {
    match &end.outcome {
        Ok(response) => answer_of(response),
        Err(error) if error.code() == Code::Timeout => attempt::End::TimedOut,
        Err(error) => attempt::End::Failed(error.code()),
    }
}

fn answer_of(response: &Response) -> attempt::End {
    match &response.error {
        None => attempt::End::Ok,
        Some(error) => match error.code() {
            Code::BizStatus => attempt::End::Biz,
            Code::DeclaredException => attempt::End::Declared,
            code => attempt::End::Failed(code),
        },
    }
}
