//! What becomes known of a stream once and stays: its HEADER, its end, that its server stops; and who wants
//! to hear of it.

use super::{Done, Hook, Link, MetaHook};
use crate::base::{Error, Result};
use crate::proto::stream::{End, StreamStats};
use crate::wire::ttheader::Header;

#[derive(Default)]
pub(super) struct Facts {
    header: Option<Result<Option<Header>>>,
    /// Boxed, for streams that go on have none.
    trailer: Option<Box<Result<Option<Header>>>>,
    pub(super) end: Option<End>,
    pub(super) stats: StreamStats,
    stopping: bool,
    /// Who waits for the HEADER, for the end, and for a stop.
    pub(super) on_header: Vec<Hook>,
    on_end: Vec<Hook>,
    on_stopping: Vec<Hook>,
    on_meta: Option<MetaHook>,
}

// ---- the host's side ---------------------------------------------------------------------------

impl Link {
    /// The peer's HEADER: `None` while it may still come; it is missing where a server had none to send.
    pub fn header(&self) -> Option<Result<Option<Header>>> {
        self.lock().facts.header.clone()
    }

    /// The peer's TRAILER: `None` while it may still come.
    pub fn trailer(&self) -> Option<Result<Option<Header>>> {
        self.lock().facts.trailer.as_deref().cloned()
    }

    /// How the stream ended, once it is over in both directions.
    pub fn end(&self) -> Option<End> {
        self.lock().facts.end.clone()
    }

    /// Messages and bytes, as the connection counts them.
    pub fn stats(&self) -> StreamStats {
        self.lock().facts.stats
    }

    /// Whether the server is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.lock().facts.stopping
    }

    /// Hears when [`Link::header`] has an answer.
    pub fn on_header(&self, hook: Hook) {
        self.hook(hook, |facts| match facts.header {
            Some(_) => None,
            None => Some(&mut facts.on_header),
        });
    }

    /// Hears when the stream is over in both directions; the trailer is known then.
    pub fn on_end(&self, hook: Hook) {
        self.hook(hook, |facts| match facts.end {
            Some(_) => None,
            None => Some(&mut facts.on_end),
        });
    }

    /// Hears when the server is being stopped.
    pub fn on_stopping(&self, hook: Hook) {
        self.hook(hook, |facts| match facts.stopping {
            true => None,
            false => Some(&mut facts.on_stopping),
        });
    }

    /// Hears of META frames from now on. Until then they are dropped.
    pub fn on_meta(&self, hook: MetaHook) {
        self.lock().facts.on_meta = Some(hook);
    }

    fn hook(&self, hook: Hook, waiting: impl FnOnce(&mut Facts) -> Option<&mut Vec<Hook>>) {
        let mut state = self.lock();
        match waiting(&mut state.facts) {
            Some(hooks) => hooks.push(hook),
            None => {
                drop(state);
                hook();
            }
        }
    }
}

// ---- the task's side ---------------------------------------------------------------------------

impl Link {
    pub(in crate::io::stream) fn set_header(&self, header: Result<Option<Header>>) -> Vec<Hook> {
        let facts = &mut self.lock().facts;
        facts.header.get_or_insert(header);
        std::mem::take(&mut facts.on_header)
    }

    pub(in crate::io::stream) fn meta_hook(&self) -> Option<MetaHook> {
        self.lock().facts.on_meta.clone()
    }

    pub(in crate::io::stream) fn set_stopping(&self) -> Vec<Hook> {
        let facts = &mut self.lock().facts;
        facts.stopping = true;
        std::mem::take(&mut facts.on_stopping)
    }

    /// The host has given the stream back. Returns who has not heard of the end.
    pub(in crate::io::stream) fn given_back(&self, end: End) -> Vec<Hook> {
        let mut state = self.lock();
        let facts = &mut state.facts;
        facts.end.get_or_insert(end);
        let mut hooks = std::mem::take(&mut facts.on_header);
        hooks.append(&mut facts.on_end);
        // Nobody will be stopped any more.
        let unheard = std::mem::take(&mut facts.on_stopping);
        drop(state);
        drop(unheard);
        hooks
    }

    /// The stream is over in both directions. Returns what must be told: the hooks, and a send that waited.
    pub(in crate::io::stream) fn ended(
        &self,
        end: End,
        send_end: Error,
        trailer: Result<Option<Header>>,
        stats: StreamStats,
    ) -> (Vec<Hook>, Option<Done>) {
        let mut state = self.lock();
        let send = state.outgoing.ended(send_end);
        let facts = &mut state.facts;
        (facts.end, facts.trailer, facts.stats) = (Some(end), Some(Box::new(trailer)), stats);
        let mut hooks = std::mem::take(&mut facts.on_header);
        hooks.append(&mut facts.on_end);
        (hooks, send)
    }
}
