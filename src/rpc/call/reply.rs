//! How a call ended, whatever the outcome.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Code, Error, Message, Metainfo, Result};
use crate::policy::attempt;
use crate::proto::call::Response;
use crate::rpc::call::method::Method;

/// What is known about a call that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Bytes of the request on the wire, 0 if nothing was sent.
    pub request_bytes: usize,
    /// Bytes of the reply on the wire, 0 if none came.
    pub reply_bytes: usize,
    /// From the start of the call to its end.
    pub elapsed: Duration,
    /// Connections tried, including addresses that could not be reached.
    pub attempts: u32,
    /// Whether the call used a connection that an earlier call had left.
    pub reused_connection: bool,
}

/// One attempt of a call that took several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptFact {
    /// Where it went; `None` if it found no address.
    pub peer: Option<String>,
    /// From the start of the call to its own.
    pub begun: Duration,
    /// How long it took; zero of one that was still under way.
    pub took: Duration,
    /// How it ended; `None` of one that was still under way.
    pub end: Option<attempt::End>,
}

/// The end of a call: message, pairs sent back, facts, and an error unless all went well.
/// A business error may come with a message.
#[derive(Clone, Debug)]
pub struct Reply {
    message: Option<Message>,
    metainfo: Metainfo,
    error: Option<Error>,
    peer: Option<Arc<str>>,
    facts: Facts,
    attempts: Option<Box<[AttemptFact]>>,
}

/// What a [`Reply`] is made of, for those who keep the parts apart.
#[derive(Clone, Debug)]
pub struct ReplyParts {
    /// As [`Reply::message`].
    pub message: Option<Message>,
    /// As [`Reply::metainfo`].
    pub metainfo: Metainfo,
    /// As [`Reply::error`].
    pub error: Option<Error>,
    /// As [`Reply::peer`].
    pub peer: Option<Arc<str>>,
    /// As [`Reply::facts`].
    pub facts: Facts,
    /// As [`Reply::attempts`].
    pub attempts: Option<Box<[AttemptFact]>>,
}

impl Reply {
    /// The end of a call whose outcome is known.
    pub(super) fn ended(
        outcome: Result<Response>,
        method: &Method,
        timeout: Option<Duration>,
        peer: Option<Arc<str>>,
        facts: Facts,
    ) -> Reply {
        let (message, metainfo, error) = match outcome {
            Ok(response) => (response.message, response.metainfo, response.error),
            Err(error) => (None, Metainfo::new(), Some(error)),
        };
        let error = error.map(|error| {
            let error = name_timeout(error, timeout).with_method(method);
            match &peer {
                Some(peer) => error.with_peer(peer),
                None => error,
            }
        });
        Reply { message, metainfo, error, peer, facts, attempts: None }
    }

    /// The end of a call that could not even start.
    pub(super) fn failed(error: Error) -> Reply {
        Reply {
            message: None,
            metainfo: Metainfo::new(),
            error: Some(error),
            peer: None,
            facts: Facts::default(),
            attempts: None,
        }
    }

    /// The *result* struct, if one came.
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    /// Pairs that the handler sent back.
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }

    /// Why the call failed, if it did.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The last address that was tried.
    pub fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// Sizes, times and attempts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(super) fn with_attempts(mut self, attempts: Box<[AttemptFact]>) -> Reply {
        self.attempts = Some(attempts);
        self
    }

    /// The attempts of a call that took several, in the order of their starts; else none.
    pub fn attempts(&self) -> &[AttemptFact] {
        self.attempts.as_deref().unwrap_or_default()
    }

    /// Takes it apart.
    pub fn into_parts(self) -> ReplyParts {
        let Reply { message, metainfo, error, peer, facts, attempts } = self;
        ReplyParts { message, metainfo, error, peer, facts, attempts }
    }

    /// The message of a call that went well, else its error. A oneway call gives an empty struct.
    pub fn into_result(self) -> Result<Message> {
        match (self.error, self.message) {
            (Some(error), _) => Err(error),
            (None, message) => Ok(message.unwrap_or_else(Message::empty_struct)),
        }
    }
}

/// A timeout says how long it was.
fn name_timeout(error: Error, timeout: Option<Duration>) -> Error {
    match (error.code(), timeout) {
        (Code::Timeout, Some(timeout)) => {
            let text = format!("{}: {timeout:?}", error.text());
            let explained = Error::new(Code::Timeout, text).at(error.phase());
            match error.cause() {
                Some(cause) => explained.with_cause(cause.clone()),
                None => explained,
            }
        }
        _ => error,
    }
}
