//! `--retry` and what goes with it.

use std::time::Duration;

use krpc::rpc::call::retry::{OnError, RetryPolicy};
use serde::Serialize;

use crate::args::{RetryKind, RetryOn, TargetArgs};
use crate::exit::{Failure, Result};

/// The retry policy that the flags ask for, if they do.
pub fn policy(args: &TargetArgs) -> Result<Option<RetryPolicy>> {
    let Some(kind) = args.retry else {
        let flags = [
            ("--max-retries", args.max_retries.is_some()),
            ("--backup-delay", args.backup_delay.is_some()),
            ("--retry-on", args.retry_on.is_some()),
        ];
        return match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Failure::usage(format_args!("{flag} needs --retry failure, backup or mixed")))
            }
            None => Ok(None),
        };
    };
    let mut policy = match (kind, args.backup_delay) {
        (RetryKind::Failure, None) => RetryPolicy::failure(),
        (RetryKind::Failure, Some(_)) => {
            return Err(Failure::usage("--backup-delay goes with --retry backup or mixed"));
        }
        (RetryKind::Backup, Some(delay)) => RetryPolicy::backup(milliseconds(delay)),
        (RetryKind::Mixed, Some(delay)) => RetryPolicy::mixed(milliseconds(delay)),
        (_, None) => {
            return Err(Failure::usage("--retry backup and mixed need --backup-delay, such as 200ms"));
        }
    };
    if let Some(max_retries) = args.max_retries {
        policy.max_retries = max_retries.into();
    }
    if args.retry_on == Some(RetryOn::All) {
        policy.predicate.errors = OnError::All;
    }
    policy.check().map_err(|invalid| Failure::usage(format_args!("--retry: {invalid}")))?;
    Ok(Some(policy))
}

fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}

/// An attempt as `--json-status` prints it.
#[derive(Serialize)]
pub struct Tried {
    endpoint: Option<String>,
    begun_us: u64,
    took_us: u64,
    end: &'static str,
}

impl Tried {
    pub fn all(reply: &krpc::rpc::call::Reply) -> Vec<Tried> {
        use krpc::rpc::call::retry::AttemptEnd as End;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let tried = |fact: &krpc::rpc::call::AttemptFact| Tried {
            endpoint: fact.peer.clone(),
            begun_us: micros(fact.begun),
            took_us: micros(fact.took),
            end: match fact.end {
                None => "RUNNING",
                Some(End::Ok) => "OK",
                Some(End::Biz) => "BIZ_STATUS",
                Some(End::Declared) => "DECLARED_EXCEPTION",
                Some(End::TimedOut) => "TIMEOUT",
                Some(End::Failed(code)) => code.name(),
                Some(End::Dropped) => "CANCELLED",
            },
        };
        reply.attempts().iter().map(tried).collect()
    }
}
