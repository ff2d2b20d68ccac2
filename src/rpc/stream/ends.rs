//! What ends mean to contexts and to what was opened in them.

use crate::base::{Code, StreamReason};
use crate::op::operation::Cause;
use crate::proto::stream::{Cancel, End};
use crate::rpc::context::Context;

/// Why a stream's context ends with its stream.
pub(super) fn cause(end: &End) -> Cause {
    match end.error() {
        None => Cause::Closed,
        Some(error) => match (error.code(), error.stream_reason().map(|reason| reason.code)) {
            (_, Some(StreamReason::HANDLER_RETURNED)) => Cause::Closed,
            (Code::Timeout | Code::RecvTimeout | Code::IdleTimeout, _) => Cause::Deadline,
            _ => Cause::CallerGone,
        },
    }
}

/// What a peer is told when the work that a stream belongs to has ended.
pub(super) fn inherited(context: &Context, cause: Cause) -> Cancel {
    if let Some(reason) = context.reason() {
        return Cancel::inherited(&reason);
    }
    match cause {
        Cause::ByHost => Cancel::by_host(""),
        Cause::Deadline => Cancel::deadline(None),
        Cause::Closed | Cause::CallerGone | Cause::Shutdown => {
            Cancel::by_host(cause.error().text().to_owned())
        }
    }
}
