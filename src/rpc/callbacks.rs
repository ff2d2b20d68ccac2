//! Where completion callbacks run.

use std::sync::Arc;

use crate::base::panic;
use crate::io::inline;
use crate::io::workers::Job;
use crate::rpc::Runtime;

/// Runs completion callbacks, each exactly once. Keeps their runtime until then.
pub struct Callbacks(Arc<Runtime>);

impl Callbacks {
    pub(super) fn new(runtime: &Arc<Runtime>) -> Callbacks {
        Callbacks(Arc::clone(runtime))
    }

    /// Runs a callback soon; it may block.
    pub fn run(&self, callback: Job) {
        if let Err(late) = self.0.callbacks().submit(callback) {
            late();
        }
    }

    /// Runs a callback that does not block: at once if this is an I/O thread outside of other foreign code,
    /// else as [`Callbacks::run`] does.
    pub fn run_inline(&self, callback: impl FnOnce() + Send + 'static) {
        if !inline::may_run() {
            return self.run(Box::new(callback));
        }
        inline::run(
            self.0.log(),
            "client",
            || "inline completion callback",
            || {
                if let Err(error) = panic::caught_in("a completion callback", callback) {
                    panic::report(self.0.log(), "client", &error);
                }
            },
        );
    }
}
