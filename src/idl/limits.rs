//! Limits that bound what an IDL can make us hold or do.

/// Limits on a compilation. Each hit is an error that names the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdlLimits {
    /// Largest file in bytes. Default 8 MiB.
    pub file_bytes: usize,
    /// Number of files, the main one included. Default 1024.
    pub files: usize,
    /// Longest chain of includes. Default 64.
    pub include_depth: usize,
    /// Deepest nesting of types (typedefs count), of values, and of `extends`. Default 64, as on the wire.
    /// Each level costs stack: some hundreds fit a thread's usual one.
    pub nesting: u16,
    /// Parts of all constants and defaults together, counted after references to other constants are
    /// replaced: what a walk over all of them meets. Default 1 000 000.
    pub value_nodes: usize,
    /// Methods over all services, inherited ones counted in each heir. Default 1 000 000.
    pub methods: usize,
    /// Errors kept, and apart from them warnings kept; more are only counted. Default 100.
    pub diagnostics: usize,
}

impl Default for IdlLimits {
    fn default() -> IdlLimits {
        IdlLimits {
            file_bytes: 8 << 20,
            files: 1024,
            include_depth: 64,
            nesting: 64,
            value_nodes: 1_000_000,
            methods: 1_000_000,
            diagnostics: 100,
        }
    }
}
