//! Where log lines go: a sink set by the host. Without one, nothing is printed.

use std::fmt;
use std::sync::Arc;

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum Level {
    /// Something failed that nobody else reports.
    Error = 1,
    /// A peer misbehaved, or a limit was hit.
    Warn = 2,
    /// Start and end of servers and runtimes.
    Info = 3,
    /// Single connections and calls.
    Debug = 4,
}

/// Takes log lines. Called on any thread, never with a lock of the core held; must not block.
pub trait Sink: Send + Sync {
    /// Lines above this level are not even formatted.
    fn level(&self) -> Level;
    /// One line without a newline; `target` is the room it comes from.
    fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>);
}

/// A cheap handle to the sink, or to none.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<dyn Sink>>);

impl Log {
    /// Lines go to this sink.
    pub fn to(sink: Arc<dyn Sink>) -> Log {
        Log(Some(sink))
    }

    /// Whether a line at this level would be written.
    pub fn enabled(&self, level: Level) -> bool {
        self.0.as_ref().is_some_and(|sink| level <= sink.level())
    }

    /// Writes a line if the sink wants it.
    pub fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>) {
        if let Some(sink) = &self.0
            && level <= sink.level()
        {
            sink.write(level, target, text);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", if self.0.is_some() { "sink" } else { "none" })
    }
}
