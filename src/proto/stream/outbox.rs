//! Frames of one stream that wait for their turn on the connection, in order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::{Message, StreamLimits};

/// A frame to send. All but DATA are encoded already: they are few, and their size must be known to fit
/// while somebody can still be told.
#[derive(Debug)]
pub(super) enum Outgoing {
    Header(Bytes),
    Data(Message),
    Trailer(Bytes),
    Rst(Bytes),
}

/// A queue with its weight.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
    /// Messages only; the rest is bounded by the number of streams.
    weight: usize,
    messages: usize,
}

impl Outbox {
    /// Slots that an empty queue keeps.
    const KEPT: usize = 16;

    /// Appends a message; returns its weight.
    pub(super) fn push_data(&mut self, message: Message) -> usize {
        let weight = message.len() + StreamLimits::PER_MESSAGE;
        self.weight += weight;
        self.messages += 1;
        self.queue.push_back(Outgoing::Data(message));
        weight
    }

    /// Appends any other frame.
    pub(super) fn push_frame(&mut self, frame: Outgoing) {
        self.queue.push_back(frame);
    }

    /// Takes the first frame out; of a message, with its weight.
    pub(super) fn pop(&mut self) -> Option<(Outgoing, usize)> {
        let frame = self.queue.pop_front()?;
        let mut weight = 0;
        if let Outgoing::Data(message) = &frame {
            weight = message.len() + StreamLimits::PER_MESSAGE;
            self.weight = self.weight.saturating_sub(weight);
            self.messages = self.messages.saturating_sub(1);
        }
        if self.queue.is_empty() && self.queue.capacity() > Outbox::KEPT {
            self.queue = VecDeque::new();
        }
        Some((frame, weight))
    }

    /// Drops everything; returns the weight of the messages.
    pub(super) fn clear(&mut self) -> usize {
        self.queue = VecDeque::new();
        self.messages = 0;
        std::mem::take(&mut self.weight)
    }

    /// Whether another message is taken: the one that crosses the mark still is.
    pub(super) fn has_room(&self, limits: &StreamLimits) -> bool {
        self.weight < limits.send_bytes && self.messages < limits.send_messages
    }

    /// Whether so much has left that a waiting sender should hear of it.
    pub(super) fn is_half_empty(&self, limits: &StreamLimits) -> bool {
        self.weight <= limits.send_bytes / 2 && self.messages <= limits.send_messages / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
