//! Policies as config centres carry them (governance.md §1.8): a map of methods, and one policy alone.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::policy::document::{self, Document};
use crate::policy::number::real;
use crate::policy::retry::{
    Backoff, DEFAULT_ERROR_RATE, Invalid, Kind, RetryPolicy, check_backoff, check_error_rate, whole_ms,
};

/// A policy from a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed {
    /// The policy; what is refused has its reason.
    pub policy: Result<RetryPolicy, Invalid>,
    /// What was wrong but is borne, to be logged: a wrong error rate counts as 0.1, a wrong backoff as none
    /// (or as the one before, when a policy is updated).
    pub warnings: Vec<Invalid>,
}

/// `{"method": policy, …}`. A text that is not such a map fails; a policy that is refused does not fail the
/// others.
pub fn parse_all(text: &[u8]) -> Result<BTreeMap<String, Parsed>> {
    document::read(text, |document| {
        let mut all = BTreeMap::new();
        document.object(|method, document| {
            all.insert(method.to_owned(), Raw::read(document)?.judge());
            Ok(true)
        })?;
        Ok(all)
    })
}

/// One policy: `{"enable":true,"type":0,"failure_policy":{…}}`.
pub fn parse(text: &[u8]) -> Result<Parsed> {
    document::read(text, |document| Ok(Raw::read(document)?.judge()))
}

#[derive(Default)]
struct Raw {
    enable: bool,
    kind: i64,
    failure: Option<Sub>,
    backup: Option<Sub>,
    mixed: Option<Sub>,
}

/// The fields of all three kinds; each has some of them.
#[derive(Default)]
struct Sub {
    delay_ms: u32,
    max_retries: i64,
    max_duration_ms: u32,
    disable_chain_stop: bool,
    ddl_stop: bool,
    error_rate: f64,
    backoff: Option<RawBackoff>,
    same_node: bool,
    extra: String,
}

#[derive(Default)]
struct RawBackoff {
    name: String,
    items: Option<BTreeMap<String, f64>>,
}

impl Raw {
    fn read(document: &mut Document<'_>) -> Result<Raw> {
        let mut raw = Raw::default();
        document.object(|name, document| {
            match name {
                "enable" => raw.enable = document.bool(name)?,
                "type" => raw.kind = document.integer(name)?,
                "failure_policy" => raw.failure = Some(Sub::read(document)?),
                "backup_policy" => raw.backup = Some(Sub::read(document)?),
                "mixed_policy" => raw.mixed = Some(Sub::read(document)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(raw)
    }

    /// Any other type counts as failure, as in the reference.
    fn judge(self) -> Parsed {
        let mut warnings = Vec::new();
        let (kind, sub) = match self.kind {
            2 => (Kind::Mixed, self.mixed),
            1 => (Kind::Backup, self.backup),
            _ => (Kind::Failure, self.failure),
        };
        let policy = match sub {
            _ if !self.enable => Ok(RetryPolicy { enabled: false, ..RetryPolicy::new(kind, 0, 0) }),
            Some(sub) if (0..=2).contains(&self.kind) => sub.judge(kind, &mut warnings),
            _ => Err(Invalid::Missing(kind, self.kind)),
        };
        Parsed { policy, warnings }
    }
}

impl Sub {
    fn read(document: &mut Document<'_>) -> Result<Sub> {
        let mut sub = Sub::default();
        document.object(|name, document| {
            match name {
                "retry_delay_ms" => sub.delay_ms = document.integer(name)?,
                "retry_same_node" => sub.same_node = document.bool(name)?,
                "extra" => sub.extra = document.text(name)?,
                "stop_policy" => sub.read_stop(document)?,
                "backoff_policy" => sub.backoff = Some(RawBackoff::read(document)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(sub)
    }

    fn read_stop(&mut self, document: &mut Document<'_>) -> Result<()> {
        document.object(|name, document| {
            match name {
                "max_retry_times" => self.max_retries = document.integer(name)?,
                "max_duration_ms" => self.max_duration_ms = document.integer(name)?,
                "disable_chain_stop" => self.disable_chain_stop = document.bool(name)?,
                "ddl_stop" => self.ddl_stop = document.bool(name)?,
                "cb_policy" => document.object(|name, document| {
                    if name != "error_rate" {
                        return Ok(false);
                    }
                    self.error_rate = document.real(name)?;
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn judge(self, kind: Kind, warnings: &mut Vec<Invalid>) -> Result<RetryPolicy, Invalid> {
        let mut policy = RetryPolicy {
            max_duration_ms: self.max_duration_ms,
            chain_stop: !self.disable_chain_stop,
            ddl_stop: self.ddl_stop,
            error_rate: self.error_rate,
            same_node: self.same_node,
            extra: self.extra,
            ..RetryPolicy::new(kind, self.max_retries, if kind == Kind::Failure { 0 } else { self.delay_ms })
        };
        if let Err(wrong) = check_error_rate(policy.error_rate) {
            warnings.push(wrong);
            policy.error_rate = DEFAULT_ERROR_RATE;
        }
        if let Some(backoff) = self.backoff.filter(|_| kind != Kind::Backup) {
            match backoff.judge() {
                Ok(backoff) => policy.backoff = backoff,
                Err(wrong) => warnings.push(wrong),
            }
        }
        policy.check().map(|()| policy)
    }
}

impl RawBackoff {
    fn read(document: &mut Document<'_>) -> Result<RawBackoff> {
        let mut raw = RawBackoff::default();
        document.object(|name, document| {
            match name {
                "backoff_type" => raw.name = document.text(name)?,
                "cfg_items" => {
                    let mut items = BTreeMap::new();
                    document.object(|name, document| {
                        items.insert(name.to_owned(), document.real(name)?);
                        Ok(true)
                    })?;
                    raw.items = Some(items);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(raw)
    }

    fn judge(&self) -> Result<Backoff, Invalid> {
        let item = |name: &str| {
            let items = self.items.as_ref().ok_or(Invalid::NoBackoffItems)?;
            Ok(items.get(name).copied().unwrap_or_default())
        };
        let backoff = match self.name.as_str() {
            "none" => Backoff::None,
            "fixed" => {
                let ms = item("fix_ms")?;
                Backoff::Fixed(whole_ms(ms).ok_or_else(|| Invalid::FixedBackoff(rounded(ms)))?)
            }
            "random" => {
                let (min, max) = (item("min_ms")?, item("max_ms")?);
                match (whole_ms(min), whole_ms(max)) {
                    (Some(min_ms), Some(max_ms)) => Backoff::Random { min_ms, max_ms },
                    _ => return Err(Invalid::RandomBackoff(rounded(min), rounded(max))),
                }
            }
            _ => return Err(Invalid::BackoffType(self.name.clone())),
        };
        check_backoff(backoff).map(|()| backoff)
    }
}

/// For texts.
fn rounded(value: f64) -> i64 {
    let magnitude = crate::policy::number::whole(value.abs().round_ties_even());
    let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
    debug_assert!(real(magnitude.unsigned_abs()) >= 0.0);
    if value < 0.0 { -magnitude } else { magnitude }
}
