//! Calls with retry policies on real sockets: outcome, attempts, their order and lower bounds of time
//! (governance.md §1.11). The exact times are those of `src/policy/attempt/tests`, where time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use krpc::base::{Code, MetainfoKind, lock::Mutex};
use krpc::policy::attempt::End;
use krpc::policy::retry::{OnError, Predicate, RetryPolicy};
use krpc::rpc::call::{CallOptions, Client, Method, Reply, Transport};
use krpc::rpc::server::{MethodOptions, Request, Server, Service};
use krpc::rpc::{Address, Context, ContextOptions};

use crate::support::*;

const MS: Duration = Duration::from_millis(1);

/// What the server does with one attempt, in the order of their arrival.
#[derive(Clone, Copy)]
enum Step {
    /// Answers after a time.
    Ok(u64),
    /// Answers with an exception after a time.
    Fail(u64),
    /// Throws an exception declared in the IDL.
    Throw,
}

/// What arrived: when, and what the retry key said.
type Seen = Arc<Mutex<Vec<(Instant, Option<String>)>>>;

/// A server that follows a script; attempts beyond it get its last step.
fn scripted(script: &[Step]) -> (Server, Seen) {
    let (script, seen, next) = (script.to_vec(), Seen::default(), AtomicUsize::new(0));
    let mut service = Service::new("Scripted").unwrap();
    let arrived = Arc::clone(&seen);
    let handler = move |mut request: Request| {
        let key = request.metainfo().get(MetainfoKind::Persistent, b"RetryReq");
        let key = key.map(|key| String::from_utf8(key.to_vec()).unwrap());
        arrived.lock().push((Instant::now(), key));
        let at = next.fetch_add(1, Ordering::SeqCst);
        match script[at.min(script.len() - 1)] {
            Step::Ok(delay) => {
                thread::sleep(delay as u32 * MS);
                let _ = request.reply(body(format!("attempt {at}").as_bytes()));
            }
            Step::Fail(delay) => {
                thread::sleep(delay as u32 * MS);
                let _ = request.fail(6, b"out of luck");
            }
            Step::Throw => request.throw(1, body(b"declared")).unwrap(),
        }
    };
    service.add_method("Call", MethodOptions::default(), Arc::new(handler)).unwrap();
    (start("127.0.0.1:0", vec![service]), seen)
}

struct Called {
    reply: Reply,
    took: Duration,
    seen: Vec<(Instant, Option<String>)>,
}

impl Called {
    fn text(&self) -> Option<&'static str> {
        let message = self.reply.message()?;
        ["attempt 0", "attempt 1", "attempt 2", "attempt 3"]
            .into_iter()
            .find(|text| *message == body(text.as_bytes()))
    }

    fn code(&self) -> Option<Code> {
        self.reply.error().map(krpc::base::Error::code)
    }

    fn ends(&self) -> Vec<Option<End>> {
        self.reply.attempts().iter().map(|fact| fact.end).collect()
    }
}

/// One call with a timeout of T = 500 ms an attempt.
fn call_with(policy: RetryPolicy, script: &[Step], multiplexed: usize) -> Called {
    let (server, seen) = scripted(script);
    let mut options = client_options(&server, Transport::Ttheader);
    options.timeout = Some(500 * MS);
    options.pool.multiplexed = multiplexed;
    options.retries.insert("*".into(), policy);
    let client = Client::new(options).unwrap();
    let begun = Instant::now();
    let reply = client.call(&method(), &body(b"x"), &CallOptions::default());
    let took = begun.elapsed();
    let seen = seen.lock().clone();
    Called { reply, took, seen }
}

fn method() -> Method {
    Method::parse("Scripted/Call").unwrap()
}

/// T = 500, R = 2, D = 100: the reference case of governance.md §1.11 at half its times.
fn policies() -> [RetryPolicy; 3] {
    let with = |policy: RetryPolicy| RetryPolicy { max_retries: 2, error_rate: 0.3, ..policy };
    [with(RetryPolicy::mixed(100)), with(RetryPolicy::failure()), with(RetryPolicy::backup(100))]
}

const REFERENCE: &[Step] = &[Step::Ok(600), Step::Ok(450), Step::Ok(450)];

#[test]
fn the_reference_case_ends_as_the_reference_does() {
    for multiplexed in [0, 2] {
        let [mixed, failure, backup] = policies().map(|policy| call_with(policy, REFERENCE, multiplexed));

        assert_eq!((mixed.text(), mixed.code()), (Some("attempt 1"), None), "mixed");
        assert!(mixed.took >= 550 * MS && mixed.took < 900 * MS, "mixed: {:?}", mixed.took);
        assert_eq!(mixed.ends(), [Some(End::TimedOut), Some(End::Ok), Some(End::Dropped)]);
        let keys: Vec<_> = mixed.seen.iter().map(|(_, key)| key.as_deref()).collect();
        assert_eq!(keys, [None, Some("1"), Some("2")]);
        assert!(mixed.seen[1].0 - mixed.seen[0].0 >= 90 * MS && mixed.seen[2].0 - mixed.seen[1].0 >= 90 * MS);

        assert_eq!((failure.text(), failure.code()), (Some("attempt 1"), None), "failure");
        assert!(failure.took >= 950 * MS, "failure: {:?}", failure.took);
        assert_eq!(failure.ends(), [Some(End::TimedOut), Some(End::Ok)]);

        assert_eq!((backup.text(), backup.code()), (None, Some(Code::Timeout)), "backup");
        assert!(backup.took >= 500 * MS && backup.took < 900 * MS, "backup: {:?}", backup.took);
        assert_eq!(backup.seen.len(), 3);
        assert_eq!(backup.ends(), [Some(End::TimedOut), Some(End::Dropped), Some(End::Dropped)]);
    }
}

#[test]
fn a_call_that_goes_well_is_one_attempt() {
    for policy in policies() {
        let called = call_with(policy, &[Step::Ok(0)], 0);
        assert_eq!((called.text(), called.seen.len()), (Some("attempt 0"), 1));
        assert_eq!(called.seen[0].1, None);
        assert!(called.reply.attempts().is_empty());
        assert_eq!(called.reply.facts().attempts, 1);
    }
}

#[test]
fn errors_are_retried_only_if_the_policy_says_so() {
    let script = [Step::Fail(0), Step::Ok(0)];
    let [mixed, failure, backup] = policies();
    for policy in [mixed, failure] {
        let plain = call_with(policy.clone(), &script, 0);
        assert_eq!((plain.code(), plain.seen.len()), (Some(Code::RemoteException), 1));
        let all = Predicate { errors: OnError::All, ..Predicate::default() };
        let retried = call_with(RetryPolicy { predicate: all, ..policy }, &script, 0);
        assert_eq!((retried.text(), retried.code()), (Some("attempt 1"), None));
        assert_eq!(retried.ends(), [Some(End::Failed(Code::RemoteException)), Some(End::Ok)]);
    }
    let first_ends = call_with(backup, &script, 0);
    assert_eq!((first_ends.code(), first_ends.seen.len()), (Some(Code::RemoteException), 1));
}

#[test]
fn a_declared_exception_is_an_answer() {
    let all = Predicate { errors: OnError::All, ..Predicate::default() };
    for policy in policies() {
        let called = call_with(RetryPolicy { predicate: all, ..policy }, &[Step::Throw], 0);
        assert_eq!((called.code(), called.seen.len()), (Some(Code::DeclaredException), 1));
        assert_eq!(called.reply.error().unwrap().text(), "declared exception, field 1 of the result");
    }
}

#[test]
fn the_error_of_a_call_that_failed_lists_its_attempts() {
    let [_, failure, _] = policies();
    let all = Predicate { errors: OnError::All, ..Predicate::default() };
    let called = call_with(RetryPolicy { predicate: all, ..failure }, &[Step::Fail(0)], 0);
    assert_eq!((called.code(), called.seen.len()), (Some(Code::RemoteException), 3));
    let text = called.reply.error().unwrap().to_string();
    assert!(text.contains("3 attempts") && text.contains("#3 127.0.0.1:"), "{text}");
}

#[test]
fn a_cancel_or_deadline_of_the_caller_ends_all_attempts() {
    let [mixed, ..] = policies();
    let (server, seen) = scripted(&[Step::Ok(400)]);
    let mut options = client_options(&server, Transport::Ttheader);
    options.retries.insert("Call".into(), mixed);
    let client = Client::new(options).unwrap();
    let within = ContextOptions { timeout: Some(180 * MS), ..ContextOptions::default() };
    let parent = Context::new(None, within);
    let begun = Instant::now();
    let reply =
        client.call(&method(), &body(b"x"), &CallOptions { parent: Some(&parent), ..CallOptions::default() });
    assert_eq!(reply.error().unwrap().code(), Code::Timeout);
    assert!(begun.elapsed() >= 180 * MS && begun.elapsed() < 390 * MS, "{:?}", begun.elapsed());
    assert_eq!(seen.lock().len(), 2);
    assert_eq!(reply.attempts().len(), 2);
}

#[test]
fn a_hedge_goes_to_another_address() {
    let (slow, _) = scripted(&[Step::Ok(400)]);
    let (fast, seen) = scripted(&[Step::Ok(0)]);
    let [mixed, ..] = policies();
    let mut options = client_options(&slow, Transport::Ttheader);
    options.addresses.push(fast.addresses()[0].clone());
    options.retries.insert("*".into(), mixed);
    let client = Client::new(options).unwrap();
    for _ in 0..4 {
        let reply = client.call(&method(), &body(b"x"), &CallOptions::default());
        assert_eq!(reply.error(), None);
        let fast: &Address = &fast.addresses()[0];
        assert_eq!(reply.peer(), Some(&*fast.to_string()));
    }
    assert_eq!(seen.lock().len(), 4);
}

#[test]
fn a_service_that_serves_a_retry_makes_plain_calls() {
    let (server, seen) = scripted(&[Step::Fail(0)]);
    let [_, failure, _] = policies();
    let all = Predicate { errors: OnError::All, ..Predicate::default() };
    let mut options = client_options(&server, Transport::Ttheader);
    options.retries.insert("*".into(), RetryPolicy { predicate: all, ..failure });
    let client = Client::new(options).unwrap();
    let mut chained = ContextOptions::default();
    chained.metainfo.set(MetainfoKind::Persistent, "RetryReq", "1");
    let parent = Context::new(None, chained);
    let reply =
        client.call(&method(), &body(b"x"), &CallOptions { parent: Some(&parent), ..CallOptions::default() });
    assert!(reply.error().unwrap().to_string().contains("chain stop retry"), "{reply:?}");
    let seen = seen.lock();
    assert_eq!(
        seen.iter().map(|(_, key)| key.as_deref()).collect::<Vec<_>>(),
        [Some("1")],
        "and passes it on"
    );
}
