//! `krpc_decision`: a question that the host answers once.

use crate::base::{Code, Error, Metainfo, Result};
use crate::capi::guard::{guard, guard_or};
use crate::capi::handle::{self, Opaque, Slot};
use crate::capi::metainfo::krpc_metainfo;
use crate::capi::status::krpc_status;
use crate::capi::types::krpc_str;
use crate::observe::handles::Kind;
use crate::rpc::server::{AclDecision, AclQuestion, InlineAnswer, Verdict};

/// A question that the host answers once, in time: whether a server may handle a request. Without an
/// answer the default counts that was given with the hook.
///
/// Free it with `krpc_decision_free` after answering; freeing it unanswered gives the default.
pub struct krpc_decision {
    _opaque: [u8; 0],
}

impl Opaque for krpc_decision {
    type Inner = Asked;
    const KIND: Kind = Kind::Decision;
}

/// The core's decision, with its metainfo as C borrows it.
pub(super) struct Asked {
    decision: AclDecision,
    metainfo: Slot<Metainfo>,
}

impl From<AclDecision> for Asked {
    fn from(decision: AclDecision) -> Asked {
        let metainfo = decision.question().metainfo.clone();
        Asked { metainfo: Slot::borrowed::<krpc_metainfo>(metainfo), decision }
    }
}

impl krpc_decision {
    /// Asks a function at once, lending it the question.
    pub(super) fn ask_inline(
        question: &AclQuestion,
        check: impl FnOnce(*const krpc_decision) -> bool,
    ) -> Verdict {
        let (decision, answer) = InlineAnswer::ask(question.clone());
        let asked = Slot::borrowed::<krpc_decision>(decision.into());
        answer.verdict(check(asked.as_handle()))
    }
}

/// The service that would take the request. Borrowed from `decision`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_service(decision: *const krpc_decision) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(decision, |question| &question.service) })
}

/// The request's method. Borrowed from `decision`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_method(decision: *const krpc_decision) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(decision, |question| &question.method) })
}

/// The caller's address. Borrowed from `decision`; empty if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_peer(decision: *const krpc_decision) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(decision, |question| question.peer.as_bytes()) })
}

/// The pairs that came with the request; NULL only if `decision` is. Borrowed from it.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_metainfo(decision: *const krpc_decision) -> *const krpc_metainfo {
    // SAFETY: the host vouches for the handle.
    guard_or(std::ptr::null(), || match unsafe { handle::get(decision, "decision") } {
        Ok(asked) => asked.metainfo.as_handle(),
        Err(_) => std::ptr::null(),
    })
}

/// Answers: handle the request. An inline handler runs on this thread then.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; GONE if there was an answer, or the time was up.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_allow(decision: *const krpc_decision) -> krpc_status {
    // SAFETY: the host vouches for the handle.
    guard(std::ptr::null_mut(), || unsafe { answer(decision, Verdict::Allow) })
}

/// Answers: refuse the request. The caller is told "request forbidden: " and the reason.
///
/// `reason`: for the caller, copied.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT; GONE if there was an answer, or the time was up.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_reject(
    decision: *const krpc_decision,
    reason: krpc_str,
) -> krpc_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the host vouches for handle and view.
        unsafe { answer(decision, Verdict::Reject(reason.copy("reason")?)) }
    })
}

/// Frees a decision. NULL is fine. If it was not answered, the default counts.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_decision_free(decision: *mut krpc_decision) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(decision) });
}

unsafe fn answer(decision: *const krpc_decision, verdict: Verdict) -> Result<()> {
    // SAFETY: the host vouches for the handle.
    let asked = unsafe { handle::get(decision, "decision")? };
    asked.decision.answer(verdict).map_err(|gone| Error::new(Code::Gone, gone.to_string()))
}

unsafe fn text<'a>(
    decision: *const krpc_decision,
    field: impl FnOnce(&'a AclQuestion) -> &'a [u8],
) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    let asked: Result<&'a Asked> = unsafe { handle::get(decision, "decision") };
    asked.map_or(krpc_str::EMPTY, |asked| krpc_str::of(field(asked.decision.question())))
}
