//! When the host's fallback runs, and what becomes of its answer (governance.md §8). Once per call, after all
//! attempts; call-level over client-level.

/// Which outcomes a fallback is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Applies {
    /// All, good ones too.
    #[default]
    Always,
    /// Errors; a business status error is one here.
    OnError,
    /// Timeouts and calls that a breaker refused.
    OnTimeoutOrBreaker,
}

/// How the call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With a result, a declared exception included.
    Ok,
    /// With a business status error; the fallback sees it as its error.
    Biz,
    /// With an error of class timeout.
    Timeout,
    /// A breaker refused it.
    Breaker,
    /// With another error.
    Error,
}

impl Outcome {
    /// Whether the RPC itself failed.
    pub fn is_rpc_error(self) -> bool {
        matches!(self, Outcome::Timeout | Outcome::Breaker | Outcome::Error)
    }
}

/// A fallback's policy; the host has its function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fallback {
    /// What it is for.
    pub applies: Applies,
    /// Observers see the fallback's error instead of the call's, if the RPC failed.
    pub report_as_fallback: bool,
}

/// What the fallback returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returned {
    /// A result.
    Result,
    /// Neither result nor error.
    Nothing,
    /// An error.
    Error,
}

/// What the caller gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// What the fallback returned.
    Fallbacks,
    /// What the call ended with, with a warning in the log: the fallback gave nothing.
    Originals,
}

impl Fallback {
    /// Whether it runs.
    pub fn runs(&self, outcome: Outcome) -> bool {
        match self.applies {
            Applies::Always => true,
            Applies::OnError => outcome != Outcome::Ok,
            Applies::OnTimeoutOrBreaker => matches!(outcome, Outcome::Timeout | Outcome::Breaker),
        }
    }

    /// What the caller gets, once it has run.
    pub fn gives(&self, returned: Returned) -> Given {
        if returned == Returned::Nothing { Given::Originals } else { Given::Fallbacks }
    }

    /// Whether observers see the fallback's error, or its success, in place of the call's.
    pub fn is_reported(&self, outcome: Outcome, returned: Returned) -> bool {
        self.report_as_fallback && outcome.is_rpc_error() && self.gives(returned) == Given::Fallbacks
    }
}

/// The fallback of a call: its own, else the client's.
pub fn choose<F>(of_call: Option<F>, of_client: Option<F>) -> Option<F> {
    of_call.or(of_client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        use Outcome::{Biz, Breaker, Error, Ok, Timeout};
        let all = [Ok, Biz, Timeout, Breaker, Error];
        let rows = [
            (Applies::Always, &all[..]),
            (Applies::OnError, &[Biz, Timeout, Breaker, Error]),
            (Applies::OnTimeoutOrBreaker, &[Timeout, Breaker]),
        ];
        for (applies, runs) in rows {
            let fallback = Fallback { applies, ..Fallback::default() };
            let ran: Vec<_> = all.into_iter().filter(|outcome| fallback.runs(*outcome)).collect();
            assert_eq!(ran, runs, "{applies:?}");
        }
    }

    #[test]
    fn nothing_leaves_the_original() {
        let fallback = Fallback::default();
        assert_eq!(fallback.gives(Returned::Nothing), Given::Originals);
        assert_eq!(fallback.gives(Returned::Result), Given::Fallbacks);
        assert_eq!(fallback.gives(Returned::Error), Given::Fallbacks);
    }

    #[test]
    fn reported_only_for_an_rpc_that_failed() {
        let fallback = Fallback { report_as_fallback: true, ..Fallback::default() };
        for (outcome, reported) in [
            (Outcome::Ok, false),
            (Outcome::Biz, false),
            (Outcome::Timeout, true),
            (Outcome::Breaker, true),
            (Outcome::Error, true),
        ] {
            assert_eq!(fallback.is_reported(outcome, Returned::Result), reported, "{outcome:?}");
            assert!(!Fallback::default().is_reported(outcome, Returned::Result), "off by default");
            assert!(!fallback.is_reported(outcome, Returned::Nothing));
        }
    }

    #[test]
    fn the_calls_own_goes_first() {
        assert_eq!(choose(Some(1), Some(2)), Some(1));
        assert_eq!(choose(None, Some(2)), Some(2));
        assert_eq!(choose::<u8>(None, None), None);
    }
}
