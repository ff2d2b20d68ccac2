//! `krpc_retry`: when a call takes another attempt.

use crate::base::{Error, Result};
use crate::capi::client_options::{change as change_client, krpc_client_options};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::call::retry::{Backoff, OnError, Quantile, RetryPolicy, parse};

/// Builder of a retry policy (governance.md §1). With one, a call may take several attempts, each with the
/// call's timeout for itself; the caller's deadline (`parent`) holds for all. Attempts that lose are
/// cancelled. What each attempt came to is in the reply: `krpc_reply_attempt`.
///
/// Where it is used it is copied. Free it with `krpc_retry_free`.
pub struct krpc_retry {
    _opaque: [u8; 0],
}

impl Opaque for krpc_retry {
    type Inner = RetryPolicy;
    const KIND: Kind = Kind::Retry;
}

/// How further attempts come about.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_retry_kind {
    /// After a failed attempt, one after the other.
    KRPC_RETRY_FAILURE = 0,
    /// After a delay without an answer, side by side; the first end of any kind ends the call.
    KRPC_RETRY_BACKUP = 1,
    /// Both: after a delay or a failure, and an attempt that fails leaves the call to the others.
    KRPC_RETRY_MIXED = 2,
}

/// Which errors are worth another attempt, of the kinds FAILURE and MIXED.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_retry_errors {
    /// Timeouts of an attempt only: the default.
    KRPC_RETRY_ERRORS_TIMEOUTS = 0,
    /// All, but business errors: those are answers.
    KRPC_RETRY_ERRORS_ALL = 1,
    /// All but timeouts: for methods that must not run twice at once.
    KRPC_RETRY_ERRORS_NO_TIMEOUTS = 2,
}

/// A policy with the defaults of its kind: FAILURE two retries, BACKUP and MIXED one; no backoff.
///
/// `kind`: a `krpc_retry_kind`. `delay_ms`: of BACKUP and MIXED, after how many milliseconds without an
/// answer another attempt begins, at least 1; the method's p99 is a good value. 0 for FAILURE.
/// Returns an owned policy, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_new(
    kind: i32,
    delay_ms: u32,
    error: *mut *mut krpc_error,
) -> *mut krpc_retry {
    guard_new(error, || {
        let policy = match (kind, delay_ms) {
            (0, 0) => RetryPolicy::failure(),
            (0, _) => return Err(Error::invalid_argument("delay_ms", "KRPC_RETRY_FAILURE has no delay")),
            (1, _) => RetryPolicy::backup(delay_ms),
            (2, _) => RetryPolicy::mixed(delay_ms),
            _ => return Err(Error::invalid_argument("kind", format_args!("{kind} is no krpc_retry_kind"))),
        };
        policy.check()?;
        Ok(handle::give(policy))
    })
}

/// A policy as config centres carry it: `{"enable":true,"type":2,"mixed_policy":{"retry_delay_ms":40,…}}`
/// (governance.md §1.8).
///
/// `json`: UTF-8, borrowed. Returns an owned policy, or NULL and an error that says what is refused.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_from_json(
    json: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_retry {
    guard_new(error, || {
        // SAFETY: the host vouches for the view.
        let text = unsafe { json.text("json")? };
        Ok(handle::give(parse(text.as_bytes())?.policy?))
    })
}

/// How many further attempts there are at most: FAILURE 0 to 5, BACKUP 0 to 2, MIXED 0 to 3; 0 is "never
/// retry".
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_max_retries(
    retry: *mut krpc_retry,
    max_retries: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| policy.max_retries = max_retries.into())
}

/// No further attempt begins when the call has lasted longer, in milliseconds; 0, the default, is no limit.
/// BACKUP ignores it.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_max_duration_ms(
    retry: *mut krpc_retry,
    max_duration_ms: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| policy.max_duration_ms = max_duration_ms)
}

/// A pause before each further attempt after a failure, in milliseconds: from `min_ms` to less than `max_ms`
/// at random, or always `min_ms` if both are the same; 0 and 0 is none, which is the default. BACKUP
/// ignores it.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_backoff_ms(
    retry: *mut krpc_retry,
    min_ms: u32,
    max_ms: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| {
        policy.backoff = match (min_ms, max_ms) {
            (0, 0) => Backoff::None,
            (min, max) if min == max => Backoff::Fixed(min),
            _ => Backoff::Random { min_ms, max_ms },
        };
    })
}

/// Which errors are worth another attempt: a `krpc_retry_errors`. BACKUP ignores it.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_errors(
    retry: *mut krpc_retry,
    errors: i32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    let (wanted, not_for_timeouts) = match errors {
        0 => (OnError::Timeouts, false),
        1 => (OnError::All, false),
        _ => (OnError::All, true),
    };
    guard(error, || {
        if !(0..=2).contains(&errors) {
            return Err(Error::invalid_argument("errors", format_args!("{errors} is no krpc_retry_errors")));
        }
        apply(retry, |policy| {
            policy.predicate.errors = wanted;
            policy.predicate.not_for_timeouts = not_for_timeouts;
        })
    })
}

/// Whether further attempts go to the address of the one before; by default they avoid all earlier ones, if
/// there are others.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_same_node(
    retry: *mut krpc_retry,
    same_node: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| policy.same_node = same_node)
}

/// Whether calls made while serving a request that is itself a retry are made without retries: true by
/// default, so that attempts do not multiply over hops.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_chain_stop(
    retry: *mut krpc_retry,
    chain_stop: bool,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| policy.chain_stop = chain_stop)
}

/// The part of a method's attempts in ten seconds that may be further ones, above 0 and at most 0.3; default
/// 0.1. Up to 10 attempts in that time are free.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_share(
    retry: *mut krpc_retry,
    share: f64,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| policy.error_rate = share)
}

/// Lets the delay of BACKUP and MIXED follow the method's own latency, which the reference cannot.
///
/// `quantile`: e.g. 0.95, between 0 and 1. `min_samples`: how many first attempts in ten seconds it takes; with
/// fewer the fixed delay counts. `min_ms`, `max_ms`: bounds of the delay.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_set_delay_quantile(
    retry: *mut krpc_retry,
    quantile: f64,
    min_samples: u32,
    min_ms: u32,
    max_ms: u32,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change(retry, error, |policy| {
        policy.delay_quantile = Some(Quantile { of: quantile, min_samples, min_ms, max_ms });
    })
}

/// Frees a policy. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_retry_free(retry: *mut krpc_retry) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(retry) });
}

/// Gives a method's calls a retry policy; a call's own (`krpc_call_options.retry`) comes first.
///
/// `method`: its name without the service, or "*" for all methods without a policy of their own; UTF-8, copied.
/// `retry`: copied. Takes the place of an earlier policy for the same method.
///
/// Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_client_options_set_retry(
    options: *mut krpc_client_options,
    method: krpc_str,
    retry: *const krpc_retry,
    error: *mut *mut krpc_error,
) -> krpc_status {
    change_client(options, error, |options| {
        // SAFETY: the host vouches for view and handle.
        let (method, policy) = unsafe { (method.text("method")?, handle::get(retry, "retry")?) };
        if method.is_empty() {
            return Err(Error::invalid_argument("method", "is empty; \"*\" is for all methods"));
        }
        options.retries.insert(method.to_owned(), policy.clone());
        Ok(())
    })
}

fn change(
    retry: *mut krpc_retry,
    error: *mut *mut krpc_error,
    change: impl FnOnce(&mut RetryPolicy),
) -> krpc_status {
    guard(error, || apply(retry, change))
}

/// Changes a policy, unless it would make no sense.
fn apply(retry: *mut krpc_retry, change: impl FnOnce(&mut RetryPolicy)) -> Result<()> {
    // SAFETY: the host vouches for the handle and uses it from one thread at a time.
    let policy = unsafe { handle::get_mut(retry, "retry")? };
    let mut changed = policy.clone();
    change(&mut changed);
    changed.check()?;
    *policy = changed;
    Ok(())
}
