//! Whom to wake after a change, once the lock is released.

use std::sync::Arc;

use crate::op::queue::Doorbell;

/// Whom a change concerns.
#[derive(Default)]
pub struct Signal {
    pub(super) sleepers: Wake,
    pub(super) doorbell: Option<Arc<dyn Doorbell>>,
}

/// How many of the takes that sleep.
#[derive(Default, PartialEq, Eq)]
pub(super) enum Wake {
    #[default]
    Nobody,
    One,
    All,
}

impl Signal {
    /// Whether there is nobody to wake.
    pub(in crate::op) fn is_nobody(&self) -> bool {
        self.sleepers == Wake::Nobody && self.doorbell.is_none()
    }
}
