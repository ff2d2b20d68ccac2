//! Messages of one stream that have arrived and wait to be taken.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::StreamLimits;

/// A queue with its weight.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: VecDeque<Bytes>,
    weight: usize,
    /// Over its budget, and not yet well below it.
    full: bool,
}

impl Inbox {
    /// Slots that an empty queue keeps.
    const KEPT: usize = 16;

    /// Takes a message in; returns its weight.
    pub(super) fn push(&mut self, message: Bytes) -> usize {
        let weight = message.len() + StreamLimits::PER_MESSAGE;
        self.weight += weight;
        self.queue.push_back(message);
        weight
    }

    /// Takes the first message out, with its weight.
    pub(super) fn pop(&mut self) -> Option<(Bytes, usize)> {
        let message = self.queue.pop_front()?;
        let weight = message.len() + StreamLimits::PER_MESSAGE;
        self.weight = self.weight.saturating_sub(weight);
        if self.queue.is_empty() && self.queue.capacity() > Inbox::KEPT {
            self.queue = VecDeque::new();
        }
        Some((message, weight))
    }

    /// Drops everything; returns the weight.
    pub(super) fn clear(&mut self) -> usize {
        self.queue = VecDeque::new();
        self.full = false;
        std::mem::take(&mut self.weight)
    }

    /// Looks at the budgets. Full from the mark on, and until half of it is gone.
    pub(super) fn measure(&mut self, limits: &StreamLimits) -> bool {
        let (bytes, messages) = (limits.recv_bytes, limits.recv_messages);
        self.full = match self.full {
            false => self.weight >= bytes || self.queue.len() >= messages,
            true => self.weight > bytes / 2 || self.queue.len() > messages / 2,
        };
        self.full
    }

    /// Nothing more will come: it keeps nobody waiting.
    pub(super) fn close(&mut self) {
        self.full = false;
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
