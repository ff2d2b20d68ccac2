//! Timeouts of a call: whose value counts, what is sent, and the reference's words (governance.md §2).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Result;
use crate::policy::Mode;
use crate::policy::document;
use crate::policy::time::{Time, go_text, nanos};

/// How much later than the attempt's timeout a client stops to read.
pub const READ_GRACE: Duration = Duration::from_millis(5);
/// Deadlines of the caller that are this much earlier than the timeout are told apart from it.
pub const BUSINESS_THRESHOLD: Duration = Duration::from_millis(50);
/// The connect timeout where nobody sets one.
pub const CONNECT: Duration = Duration::from_millis(50);

/// What one place says; `None` is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Set {
    /// Of each attempt; zero is none.
    pub rpc: Option<Duration>,
    /// Of making a connection.
    pub connect: Option<Duration>,
}

/// What counts for a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Of each attempt from its start; zero is none.
    pub rpc: Duration,
    /// Of making a connection.
    pub connect: Duration,
    /// What a request says of them, in ms: int keys 12 and 17 of a TTHeader.
    pub sent_rpc_ms: Option<u64>,
    /// See `sent_rpc_ms`.
    pub sent_connect_ms: Option<u64>,
}

impl Timeouts {
    /// The call's option, else the client's, else the provider's. Only what an option says is sent; ours
    /// sends the provider's too unless in [`Mode::Compat`].
    pub fn resolve(call: Set, client: Set, provider: Option<Set>, mode: Mode) -> Timeouts {
        let option = Set { rpc: call.rpc.or(client.rpc), connect: call.connect.or(client.connect) };
        let provider = provider.unwrap_or_default();
        let sent = |option: Option<Duration>, provider: Option<Duration>| {
            let value = option.or(provider.filter(|_| mode == Mode::Better));
            value.map(|value| nanos(value) / 1_000_000).filter(|ms| *ms > 0)
        };
        Timeouts {
            rpc: option.rpc.or(provider.rpc).unwrap_or_default(),
            connect: option.connect.or(provider.connect).unwrap_or(CONNECT),
            sent_rpc_ms: sent(option.rpc, provider.rpc),
            sent_connect_ms: sent(option.connect, provider.connect),
        }
    }

    /// When a client stops to read; never without a timeout.
    pub fn read_until(&self, attempt_expires_at: Time) -> Time {
        if self.rpc.is_zero() { Time::NEVER } else { attempt_expires_at.plus(nanos(READ_GRACE)) }
    }
}

/// Milliseconds for the wire at the time an attempt is sent. The reference sends the whole timeout; ours
/// sends what is left until the attempt expires, which the caller's deadline caps.
pub fn sent_ms(timeouts: &Timeouts, expires_at: Time, now: Time, mode: Mode) -> Option<u64> {
    let whole = timeouts.sent_rpc_ms;
    match mode {
        Mode::Compat => whole,
        Mode::Better if expires_at == Time::NEVER => whole,
        Mode::Better => {
            // Rounded up: 0 would be "none".
            let left = expires_at.nanos_since(now).div_ceil(1_000_000).max(1);
            Some(whole.map_or(left, |whole| whole.min(left)))
        }
    }
}

/// Timeouts by method, from a config centre.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provider(BTreeMap<String, Set>);

impl Provider {
    /// What methods have that no entry fits: 1 s, 50 ms. So the mere provider gives every method a timeout.
    pub const DEFAULT: Set =
        Set { rpc: Some(Duration::from_secs(1)), connect: Some(Duration::from_millis(50)) };

    /// `{"method":{"rpc_timeout_ms":…,"conn_timeout_ms":…},…}`; a missing field is 0.
    pub fn parse(text: &[u8]) -> Result<Provider> {
        document::read(text, |document| {
            let mut all = BTreeMap::new();
            document.object(|method, document| {
                let mut set = Set { rpc: Some(Duration::ZERO), connect: Some(Duration::ZERO) };
                document.object(|name, document| {
                    let field = match name {
                        "rpc_timeout_ms" => &mut set.rpc,
                        "conn_timeout_ms" => &mut set.connect,
                        _ => return Ok(false),
                    };
                    *field = Some(Duration::from_millis(document.integer::<u32>(name)?.into()));
                    Ok(true)
                })?;
                all.insert(method.to_owned(), set);
                Ok(true)
            })?;
            Ok(Provider(all))
        })
    }

    /// Of the method, else of `*`, else the default; fields are not merged.
    pub fn get(&self, method: &str) -> Set {
        *self.0.get(method).or_else(|| self.0.get("*")).unwrap_or(&Provider::DEFAULT)
    }
}

/// Why an attempt was given up before its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Its own timeout.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// The caller's deadline, more than [`BUSINESS_THRESHOLD`] before the timeout, or there is no timeout.
    Business,
    /// The caller's deadline, shortly before the timeout.
    Earlier,
}

/// The class of such an error in the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutClass {
    /// `rpc timeout`: retried by default, a timeout to breakers.
    Timeout,
    /// `canceled by business`: only with fine-grained codes.
    CanceledByBusiness,
    /// `timeout by business`: only with fine-grained codes.
    TimeoutByBusiness,
}

/// Why an attempt that began at `start` was given up: its caller cancelled, or its deadline or timeout came.
pub fn cause(cancelled: bool, start: Time, timeout: Duration, deadline: Time, threshold: Duration) -> Cause {
    let own = if timeout.is_zero() { Time::NEVER } else { start.plus(nanos(timeout)) };
    if cancelled {
        Cause::Cancelled
    } else if deadline >= own {
        Cause::Timeout
    } else if own == Time::NEVER || deadline.plus(nanos(threshold)) < own {
        Cause::Business
    } else if deadline.plus(1_000_000) < own {
        Cause::Earlier
    } else {
        Cause::Timeout
    }
}

/// The class: with fine-grained codes, the caller's doing is no timeout.
pub fn class(cause: Cause, fine_grained: bool) -> TimeoutClass {
    match cause {
        Cause::Cancelled if fine_grained => TimeoutClass::CanceledByBusiness,
        Cause::Business if fine_grained => TimeoutClass::TimeoutByBusiness,
        _ => TimeoutClass::Timeout,
    }
}

/// The reference's words behind the class: `timeout=1s, to=svc, method=m, location=…[, remote=addr][: why]`.
pub fn text(
    cause: Cause,
    timeout: Duration,
    actual: Duration,
    service: &str,
    method: &str,
    remote: Option<&str>,
) -> String {
    let timeout = go_text(timeout);
    let remote = remote.map_or(String::new(), |remote| format!(", remote={remote}"));
    let why = match cause {
        Cause::Timeout => String::new(),
        Cause::Cancelled => ": context canceled by business".into(),
        Cause::Business => format!(", timeout by business, actual={}", go_text(actual)),
        Cause::Earlier => format!(", context deadline earlier than timeout, actual={}", go_text(actual)),
    };
    format!("timeout={timeout}, to={service}, method={method}, location=kitex.rpcTimeoutMW{remote}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn set(rpc: Option<u64>, connect: Option<u64>) -> Set {
        Set { rpc: rpc.map(ms), connect: connect.map(ms) }
    }

    #[test]
    fn call_over_client_over_provider() {
        let resolve = |call, client, provider| {
            let timeouts = Timeouts::resolve(call, client, provider, Mode::Compat);
            (timeouts.rpc, timeouts.connect, timeouts.sent_rpc_ms, timeouts.sent_connect_ms)
        };
        let none = Set::default();
        let provider = Some(Provider::DEFAULT);
        assert_eq!(resolve(none, none, None), (ms(0), ms(50), None, None));
        assert_eq!(resolve(none, none, provider), (ms(1000), ms(50), None, None), "not sent");
        assert_eq!(resolve(none, set(Some(250), None), provider), (ms(250), ms(50), Some(250), None));
        assert_eq!(
            resolve(set(Some(10), Some(20)), set(Some(250), Some(30)), provider),
            (ms(10), ms(20), Some(10), Some(20))
        );
        let better = Timeouts::resolve(none, none, provider, Mode::Better);
        assert_eq!((better.sent_rpc_ms, better.sent_connect_ms), (Some(1000), Some(50)));
    }

    #[test]
    fn providers() {
        let text = br#"{"*":{"rpc_timeout_ms":300},"Read":{"rpc_timeout_ms":5,"conn_timeout_ms":6}}"#;
        let provider = Provider::parse(text).unwrap();
        assert_eq!(provider.get("Read"), set(Some(5), Some(6)));
        assert_eq!(provider.get("Write"), set(Some(300), Some(0)), "missing is 0, not merged");
        assert_eq!(Provider::default().get("Write"), set(Some(1000), Some(50)));
        assert!(Provider::parse(br#"{"Read":{"rpc_timeout_ms":-1}}"#).is_err());
        assert!(Provider::parse(br#"{"Read":5}"#).is_err());
    }

    #[test]
    fn what_is_read_and_sent() {
        let timeouts = Timeouts::resolve(set(Some(250), None), Set::default(), None, Mode::Better);
        assert_eq!(timeouts.read_until(Time::from_millis(250)), Time::from_millis(255));
        let none = Timeouts::resolve(Set::default(), Set::default(), None, Mode::Better);
        assert_eq!(none.read_until(Time::from_millis(250)), Time::NEVER);
        let sent = |timeouts, until, now, mode| sent_ms(timeouts, until, Time::from_nanos(now), mode);
        let until = Time::from_millis(250);
        assert_eq!(sent(&timeouts, until, 100_000_000, Mode::Compat), Some(250));
        assert_eq!(sent(&timeouts, until, 100_000_001, Mode::Better), Some(150));
        assert_eq!(sent(&timeouts, until, 300_000_000, Mode::Better), Some(1), "0 would be none");
        assert_eq!(sent(&none, until, 0, Mode::Better), Some(250), "the caller's deadline");
        assert_eq!(sent(&none, Time::NEVER, 0, Mode::Better), None);
    }

    #[test]
    fn causes_classes_and_texts() {
        let why = |cancelled, deadline| {
            cause(cancelled, Time::ZERO, ms(1000), Time::from_millis(deadline), BUSINESS_THRESHOLD)
        };
        assert_eq!(why(false, 2000), Cause::Timeout);
        assert_eq!(why(false, 951), Cause::Earlier, "49 ms before");
        assert_eq!(why(false, 950), Cause::Earlier);
        assert_eq!(why(false, 999), Cause::Timeout, "a millisecond is no difference");
        assert_eq!(why(false, 949), Cause::Business, "51 ms before");
        assert_eq!(why(true, 2000), Cause::Cancelled);
        let none = cause(false, Time::ZERO, ms(0), Time::from_millis(10), BUSINESS_THRESHOLD);
        assert_eq!(none, Cause::Business, "no timeout at all");
        for (cause, fine) in [
            (Cause::Timeout, TimeoutClass::Timeout),
            (Cause::Earlier, TimeoutClass::Timeout),
            (Cause::Cancelled, TimeoutClass::CanceledByBusiness),
            (Cause::Business, TimeoutClass::TimeoutByBusiness),
        ] {
            assert_eq!((class(cause, true), class(cause, false)), (fine, TimeoutClass::Timeout));
        }
        let text = |cause, remote| text(cause, ms(1000), ms(300), "svc", "m", remote);
        let plain = "timeout=1s, to=svc, method=m, location=kitex.rpcTimeoutMW";
        assert_eq!(text(Cause::Timeout, None), plain);
        assert_eq!(text(Cause::Timeout, Some("a:1")), format!("{plain}, remote=a:1"));
        assert_eq!(text(Cause::Cancelled, None), format!("{plain}: context canceled by business"));
        assert_eq!(text(Cause::Business, None), format!("{plain}, timeout by business, actual=300ms"));
        let earlier = ", context deadline earlier than timeout, actual=300ms";
        assert_eq!(text(Cause::Earlier, None), format!("{plain}{earlier}"));
    }
}
