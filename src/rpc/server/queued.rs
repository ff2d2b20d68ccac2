//! A handler that hands requests to the host's queue.

use std::sync::Arc;

use crate::op::queue::QueueError;
use crate::rpc::event::{Event, Queue};
use crate::rpc::server::request::Request;
use crate::rpc::server::service::Handler;

/// Puts requests into a queue; what finds no room is answered "request over limit".
pub struct QueueHandler {
    queue: Arc<Queue>,
    tag: u64,
}

impl QueueHandler {
    /// `tag` is the host's word for the requests.
    pub fn new(queue: Arc<Queue>, tag: u64) -> QueueHandler {
        QueueHandler { queue, tag }
    }
}

impl Handler for QueueHandler {
    fn handle(&self, request: Request) {
        match self.queue.reserve() {
            Ok(slot) => slot.fill(Event::Request { tag: self.tag, request: Box::new(request) }),
            Err(QueueError::Full) => request.refuse("request over limit: the server's queue is full"),
            Err(QueueError::Closed) => request.refuse("request over limit: the server's queue is closed"),
        }
    }
}
