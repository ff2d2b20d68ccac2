//! How many handles of each type the host holds. Process-wide, so that a test can end with
//! "0 live handles" and a leak report can name the type.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! kinds {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The types of handles that the C ABI gives out.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Kind { $(#[doc = concat!("A `krpc_", $name, "`.")] $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)+];

            /// The C type's name without `krpc_`.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    Error = "error",
    Runtime = "runtime",
    RuntimeOptions = "runtime_options",
    Message = "message",
    Metainfo = "metainfo",
    Writer = "writer",
    Reader = "reader",
    ClientOptions = "client_options",
    Client = "client",
    Method = "method",
    Reply = "reply",
    ServerOptions = "server_options",
    Service = "service",
    Server = "server",
    Request = "request",
    Context = "context",
    Op = "op",
    Queue = "queue",
    Decision = "decision",
    Idl = "idl",
    Shape = "shape",
    Stream = "stream",
    StreamHook = "stream_hook",
    StreamRecord = "stream_record",
    Retry = "retry",
}

/// On a cache line of its own: threads that make and free handles of different kinds don't meet here.
#[repr(align(64))]
struct Count {
    created: AtomicU64,
    freed: AtomicU64,
}

static COUNTS: [Count; Kind::ALL.len()] =
    [const { Count { created: AtomicU64::new(0), freed: AtomicU64::new(0) } }; Kind::ALL.len()];

/// Handles that were made before a fork and freed in the child. What is behind them leaks, on purpose.
static LEFT_BEHIND: AtomicU64 = AtomicU64::new(0);

/// Notes that a handle was given to the host.
pub fn created(kind: Kind) {
    COUNTS[kind as usize].created.fetch_add(1, Ordering::Relaxed);
}

/// Notes that the host gave a handle back.
pub fn freed(kind: Kind) {
    COUNTS[kind as usize].freed.fetch_add(1, Ordering::Relaxed);
}

/// Notes that the host gave back a handle from before a fork; what is behind it stays.
pub fn left_behind(kind: Kind) {
    freed(kind);
    LEFT_BEHIND.fetch_add(1, Ordering::Relaxed);
}

/// Handles of one kind that are alive now, and how many were ever made.
pub fn count(kind: Kind) -> (u64, u64) {
    let freed = COUNTS[kind as usize].freed.load(Ordering::Relaxed);
    let created = COUNTS[kind as usize].created.load(Ordering::Relaxed);
    (created.saturating_sub(freed), created)
}

/// Handles of all kinds that are alive now.
pub fn live() -> u64 {
    Kind::ALL.iter().map(|kind| count(*kind).0).sum()
}

/// One line for people: `0 live handles`, or `3 live handles: 2 message, 1 reply`, and how many were left
/// behind by a fork if any were.
pub fn report_text() -> String {
    let total = live();
    let mut text = format!("{total} live handle{}", if total == 1 { "" } else { "s" });
    let mut separator = ": ";
    for kind in Kind::ALL {
        let (alive, _) = count(*kind);
        if alive > 0 {
            let _ = write!(text, "{separator}{alive} {}", kind.name());
            separator = ", ";
        }
    }
    let left_behind = LEFT_BEHIND.load(Ordering::Relaxed);
    if left_behind > 0 {
        let _ = write!(text, "; {left_behind} freed after a fork, whose memory stays");
    }
    text
}

/// The same as JSON, with all kinds: `{"live":0,"handles":{"error":{"live":0,"created":4},…},"left_behind":0}`.
pub fn report_json() -> String {
    let mut text = format!("{{\"live\":{},\"handles\":{{", live());
    for (index, kind) in Kind::ALL.iter().enumerate() {
        let (alive, created) = count(*kind);
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{}\":{{\"live\":{alive},\"created\":{created}}}", kind.name());
    }
    let _ = write!(text, "}},\"left_behind\":{}}}", LEFT_BEHIND.load(Ordering::Relaxed));
    text
}
