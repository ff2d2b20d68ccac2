//! Where log lines go: a sink set by the host. Without one, nothing is printed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::base::fork::PerProcess;
use crate::base::lock::Mutex;

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

impl Level {
    /// The level with this number.
    pub const fn from_number(number: i32) -> Option<Level> {
        match number {
            1 => Some(Level::Error),
            2 => Some(Level::Warn),
            3 => Some(Level::Info),
            4 => Some(Level::Debug),
            _ => None,
        }
    }
}

/// Takes log lines. Called on any thread, never with a lock of the core held; must not block.
pub trait Sink: Send + Sync {
    /// Lines above this level are not even formatted. Always the same for one sink.
    fn level(&self) -> Level;
    /// One line without a final newline; `target` is the room it comes from.
    fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>);
}

/// A cheap handle to a sink, to the process-wide one, or to none.
#[derive(Clone, Default)]
pub struct Log(Target);

#[derive(Clone, Default)]
enum Target {
    #[default]
    None,
    Process,
    Sink(Arc<dyn Sink>),
}

impl Log {
    /// Lines go to this sink.
    pub fn to(sink: Arc<dyn Sink>) -> Log {
        Log(Target::Sink(sink))
    }

    /// Whether a line at this level would be written.
    pub fn enabled(&self, level: Level) -> bool {
        match &self.0 {
            Target::None => false,
            Target::Process => level as i32 <= PROCESS.get().level.load(Ordering::Relaxed),
            Target::Sink(sink) => level <= sink.level(),
        }
    }

    /// Writes a line if the sink wants it.
    pub fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>) {
        if !self.enabled(level) {
            return;
        }
        match &self.0 {
            Target::None => {}
            Target::Process => {
                // The lock is gone before foreign code runs; the sink lives until its last line is written.
                let sink = PROCESS.get().sink.lock().clone();
                if let Some(sink) = sink.filter(|sink| level <= sink.level()) {
                    sink.write(level, target, text);
                }
            }
            Target::Sink(sink) => sink.write(level, target, text),
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Target::None => "Log(none)",
            Target::Process => "Log(process)",
            Target::Sink(_) => "Log(sink)",
        })
    }
}

/// The process-wide sink. A child of fork starts without: the parent's may need what only it has.
static PROCESS: PerProcess<Current> = PerProcess::new();

/// A sink, and its level for a check that takes no lock (0: no sink). The two may disagree for a moment
/// while the sink is replaced; `write` asks the sink itself again.
#[derive(Default)]
struct Current {
    sink: Mutex<Option<Arc<dyn Sink>>>,
    level: AtomicI32,
}

/// The process-wide log: whatever sink [`set_global`] has set last.
pub const fn global() -> Log {
    Log(Target::Process)
}

/// Replaces the process-wide sink. The old one is dropped here, or on the thread that is writing its
/// last line, when that has returned.
pub fn set_global(sink: Option<Arc<dyn Sink>>) {
    let old = {
        let current = PROCESS.get();
        let mut place = current.sink.lock();
        current.level.store(sink.as_ref().map_or(0, |sink| sink.level() as i32), Ordering::Relaxed);
        std::mem::replace(&mut *place, sink)
    };
    drop(old);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Held by each test that sets the process-wide sink.
    pub(crate) static GLOBAL: Mutex<()> = Mutex::new(());

    struct Counting(Level, Arc<AtomicUsize>);

    impl Sink for Counting {
        fn level(&self) -> Level {
            self.0
        }
        fn write(&self, _: Level, _: &'static str, _: fmt::Arguments<'_>) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Fails the test if it is formatted.
    struct Unformatted;

    impl fmt::Display for Unformatted {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("formatted although nobody wants the line")
        }
    }

    #[test]
    fn the_process_wide_sink_can_be_replaced_and_removed() {
        let _alone = GLOBAL.lock();
        let (first, second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let log = global();
        log.write(Level::Error, "test", format_args!("{Unformatted}"));
        set_global(Some(Arc::new(Counting(Level::Warn, first.clone()))));
        log.write(Level::Warn, "test", format_args!("x"));
        log.write(Level::Info, "test", format_args!("{Unformatted}"));
        set_global(Some(Arc::new(Counting(Level::Debug, second.clone()))));
        assert_eq!(Arc::strong_count(&first), 1, "a replaced sink is dropped");
        assert!(log.enabled(Level::Debug));
        log.write(Level::Debug, "test", format_args!("x"));
        set_global(None);
        assert!(!log.enabled(Level::Error));
        log.write(Level::Error, "test", format_args!("{Unformatted}"));
        assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(Arc::strong_count(&second), 1);
    }
}
