//! Policies that a client's options give, in their order (governance.md §1.8).

use std::collections::BTreeMap;
use std::fmt;

use crate::policy::retry::table::ANY;
use crate::policy::retry::{Kind, RetryPolicy};

/// Policies of a client's options, in the order in which they are given (governance.md §1.8).
#[derive(Clone, Debug, Default)]
pub struct CodePolicies(BTreeMap<String, RetryPolicy>);

/// Two options that exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// What was there.
    pub before: Kind,
    /// What came.
    pub new: Kind,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, new) = (self.before.name(), self.new.name());
        write!(f, "{before}Policy has been setup, cannot support {new} retry at the same time")
    }
}

impl std::error::Error for Conflict {}

impl CodePolicies {
    /// A policy for all methods. Failure and backup exclude each other and may not follow mixed; mixed
    /// replaces either.
    pub fn set(&mut self, policy: RetryPolicy) -> Result<(), Conflict> {
        let before = self.0.get(ANY).filter(|before| before.enabled && before.kind != policy.kind);
        if let Some(before) = before.filter(|_| policy.kind != Kind::Mixed) {
            return Err(Conflict { before: before.kind, new: policy.kind });
        }
        self.0.insert(ANY.into(), policy);
        Ok(())
    }

    /// Policies by method; an enabled one for all methods that was given earlier stays.
    pub fn set_methods(&mut self, policies: BTreeMap<String, RetryPolicy>) {
        let any = self.0.remove(ANY).filter(|policy| policy.enabled);
        self.0 = policies;
        if let Some(any) = any {
            self.0.insert(ANY.into(), any);
        }
    }

    /// What [`Policies::install`] takes.
    pub fn into_map(self) -> BTreeMap<String, RetryPolicy> {
        self.0
    }
}
