//! One question to an interceptor that is a function of the host's: what it may look at, and what it says.

use std::sync::atomic::{AtomicPtr, Ordering};

use bytes::Bytes;

use crate::base::lock::Mutex;
use crate::base::{Code, Error, Message, MetainfoKind, Result, StreamClass, StreamReason, StreamSide};
use crate::rpc::stream::interceptor::{Finishing, StreamOpening};
use crate::wire::thrift::ApplicationException;

/// When an interceptor is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HookMoment {
    /// A stream opens.
    Open,
    /// A message is on its way out.
    Send,
    /// A message is about to be received.
    Recv,
    /// A META frame has come.
    Meta,
    /// A server's handler has ended.
    Finish,
    /// The stream is over.
    End,
}

/// What the host keeps for one stream.
#[derive(Debug, Default)]
pub struct HostState(AtomicPtr<()>);

impl HostState {
    /// The host's pointer, NULL at first.
    pub fn get(&self) -> *mut () {
        self.0.load(Ordering::Acquire)
    }

    /// Keeps another one.
    pub fn set(&self, state: *mut ()) {
        self.0.store(state, Ordering::Release);
    }
}

/// One question, and what was said to it.
pub struct HookCall {
    side: StreamSide,
    moment: HookMoment,
    answer: Mutex<Answer>,
}

#[derive(Default)]
struct Answer {
    message: Option<Message>,
    pairs: Vec<(MetainfoKind, Bytes, Bytes)>,
    rejection: Option<Error>,
}

impl HookCall {
    /// A question that nothing has been said to.
    pub fn new(side: StreamSide, moment: HookMoment) -> HookCall {
        HookCall { side, moment, answer: Mutex::default() }
    }

    /// Another message takes the place of the one that is on its way.
    pub fn replace(&self, message: Message) -> Result<()> {
        match self.moment {
            HookMoment::Send | HookMoment::Recv => {
                self.answer.lock().message = Some(message);
                Ok(())
            }
            _ => Err(no("no message is on its way")),
        }
    }

    /// Adds a pair: when a stream opens, or a handler has ended.
    pub fn set(&self, kind: MetainfoKind, key: Bytes, value: Bytes) -> Result<()> {
        let right = match (self.moment, self.side) {
            (HookMoment::Open, StreamSide::Client) => {
                matches!(kind, MetainfoKind::Transient | MetainfoKind::Persistent)
            }
            (HookMoment::Open | HookMoment::Finish, _) => kind == MetainfoKind::Backward,
            _ => return Err(no("no pairs leave now")),
        };
        if !right {
            let why = "a client's opening takes TRANSIENT and PERSISTENT, a server's answer BACKWARD";
            return Err(Error::invalid_argument("kind", why));
        }
        self.answer.lock().pairs.push((kind, key, value));
        Ok(())
    }

    /// Ends the stream, see [`rejection`].
    pub fn reject(&self, code: i32, text: Bytes) -> Result<()> {
        match self.moment {
            HookMoment::End => Err(no("the stream is over")),
            _ => {
                self.answer.lock().rejection = Some(rejection(self.side, code, text));
                Ok(())
            }
        }
    }

    fn said(&self) -> Answer {
        std::mem::take(&mut self.answer.lock())
    }

    /// What becomes of a message.
    pub fn message(&self, asked: Message) -> Result<Message> {
        let Answer { message, rejection, .. } = self.said();
        rejection.map_or_else(|| Ok(message.unwrap_or(asked)), Err)
    }

    /// What becomes of a META frame.
    pub fn verdict(&self) -> Result<()> {
        self.said().rejection.map_or(Ok(()), Err)
    }

    /// What becomes of an opening.
    pub fn open(&self, opening: &mut StreamOpening<'_>) -> Result<()> {
        let Answer { pairs, rejection, .. } = self.said();
        if let Some(error) = rejection {
            return Err(error);
        }
        pairs.into_iter().try_for_each(|(kind, key, value)| opening.set(kind, key, value))
    }

    /// What becomes of a handler's end.
    pub fn finish(&self, finishing: &mut Finishing) {
        let Answer { pairs, rejection, .. } = self.said();
        let set = pairs.into_iter().try_for_each(|(_, key, value)| finishing.set(key, value));
        if let Some(error) = rejection.or(set.err()) {
            finishing.fail(&error);
        }
    }
}

/// The error of an interceptor that ends a stream in words of its own. A client's server is told `code` (0 is
/// 12007, a cancel) and the text; a server's client gets an exception of type `code` (0 is 6) with the text.
pub fn rejection(side: StreamSide, code: i32, text: Bytes) -> Error {
    let (usual, class) = match side {
        StreamSide::Server => (ApplicationException::INTERNAL_ERROR, StreamClass::None),
        StreamSide::Client | StreamSide::None => (StreamReason::CANCEL, StreamClass::Canceled),
    };
    let code = if code == 0 { usual } else { code };
    Error::stream(Code::Cancelled, StreamReason::new(code, class, side, text))
}

fn no(text: &'static str) -> Error {
    Error::new(Code::InvalidState, text)
}
