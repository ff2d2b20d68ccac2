//! Hearing of a server's stop, for handlers that would rather not ask.

use std::sync::Arc;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Result};
use crate::op::operation::{Cause, Completer};
use crate::rpc::stream::handle::Stream;

/// Who waits for the stop of the server, at most one.
#[derive(Default)]
pub(super) struct Stopping {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The stop has begun, or the stream has ended before.
    known: Option<Result<()>>,
    /// Names who waits, so that a cancel never meets a later one.
    id: u64,
    waiting: Option<(u64, Completer<Result<()>>)>,
    is_watching: bool,
}

impl Stream {
    /// Ends well when the server is being stopped: the handler should come to its end, and may still say a
    /// last word. Ends as CLOSED if the stream is over before. One such wait at a time, INVALID_STATE
    /// otherwise and at a client. Cancelling it changes nothing else.
    pub fn start_stopping(&self, completer: Completer<Result<()>>) {
        if !self.is_server() {
            let text = "only a server's end of a stream hears of a stop";
            return completer.complete(Err(Error::new(Code::InvalidState, text)));
        }
        let stopping = self.inner.stopping.get_or_init(Arc::default);
        stopping.wait(completer);
        // Whoever comes first hears of it; what is known already is told at once.
        let (stop, end) = (Arc::downgrade(stopping), Arc::downgrade(stopping));
        if stopping.is_first() {
            self.link().on_stopping(Box::new(move || {
                if let Some(stopping) = stop.upgrade() {
                    stopping.tell(Ok(()));
                }
            }));
            self.link().on_end(Box::new(move || {
                if let Some(stopping) = end.upgrade() {
                    stopping.tell(Err(Error::new(Code::Closed, "the stream is over")));
                }
            }));
        }
    }
}

impl Stopping {
    /// Whether the link must be asked to tell.
    fn is_first(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_watching, true)
    }

    fn wait(self: &Arc<Self>, completer: Completer<Result<()>>) {
        let id = {
            let mut state = self.state.lock();
            state.id += 1;
            state.id
        };
        let weak = Arc::downgrade(self);
        completer.on_cancel(Box::new(move |cause| {
            if let Some(stopping) = weak.upgrade() {
                stopping.withdraw(id, cause);
            }
        }));
        let mut state = self.state.lock();
        let result = match (&state.known, &state.waiting, completer.is_cancelled()) {
            (Some(known), _, _) => known.clone(),
            (None, Some(_), _) => {
                let text = "another wait for the server's stop is pending on the stream";
                Err(Error::new(Code::InvalidState, text))
            }
            // A cancel that comes after this look waits for the lock, and finds it below.
            (None, None, Some(cause)) => Err(cause.error()),
            (None, None, None) => {
                state.waiting = Some((id, completer));
                return;
            }
        };
        drop(state);
        completer.complete(result);
    }

    fn withdraw(&self, id: u64, cause: Cause) {
        let waiting = self.state.lock().waiting.take_if(|(waiting, _)| *waiting == id);
        if let Some((_, completer)) = waiting {
            completer.complete(Err(cause.error()));
        }
    }

    pub(super) fn tell(&self, result: Result<()>) {
        let waiting = {
            let mut state = self.state.lock();
            state.known.get_or_insert(result.clone());
            state.waiting.take()
        };
        if let Some((_, completer)) = waiting {
            completer.complete(result);
        }
    }
}
