//! Where files come from. The only place of this room that reads anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Gives the loader file contents by path. Paths are plain text with `/`; equal text is the same file.
pub trait Provider {
    /// The paths that may be meant by `target`, best first: the text of an `include` in the file
    /// `from`, or the main file if `from` is `None`.
    fn candidates(&self, target: &str, from: Option<&str>) -> Vec<String>;

    /// Whether there is a file at a path.
    fn exists(&self, path: &str) -> bool;

    /// The file's bytes, at most `limit` of them.
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError>;
}

/// Why a file could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// There is no such file.
    NotFound,
    /// It has more bytes than the limit.
    TooLarge,
    /// The system says no, with its words.
    Failed(String),
}

/// Files held in memory.
///
/// An include is looked for next to the including file, then as it is written, then in the search
/// directories (generic.md §11).
#[derive(Clone, Debug, Default)]
pub struct MemoryProvider {
    files: BTreeMap<String, Vec<u8>>,
    search: Vec<String>,
}

impl MemoryProvider {
    /// No files.
    pub fn new() -> MemoryProvider {
        MemoryProvider::default()
    }

    /// Adds or replaces a file.
    pub fn file(mut self, path: impl AsRef<str>, text: impl Into<Vec<u8>>) -> MemoryProvider {
        self.files.insert(clean(path.as_ref()), text.into());
        self
    }

    /// Adds a directory to search, after those added before.
    pub fn search(mut self, directory: impl Into<String>) -> MemoryProvider {
        self.search.push(directory.into());
        self
    }
}

impl Provider for MemoryProvider {
    fn candidates(&self, target: &str, from: Option<&str>) -> Vec<String> {
        let beside = from.map(|from| join(directory(from), target));
        let searched = self.search.iter().map(|directory| join(directory, target));
        distinct(beside.into_iter().chain([clean(target)]).chain(searched))
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        match self.files.get(path) {
            None => Err(ReadError::NotFound),
            Some(bytes) if bytes.len() > limit => Err(ReadError::TooLarge),
            Some(bytes) => Ok(bytes.clone()),
        }
    }
}

/// Files of the file system.
///
/// An include is looked for as it is written (relative to the working directory), then next to the
/// including file, then in the search directories, as Kitex's tools do.
#[derive(Clone, Debug, Default)]
pub struct FileProvider {
    search: Vec<String>,
}

impl FileProvider {
    /// Without search directories.
    pub fn new() -> FileProvider {
        FileProvider::default()
    }

    /// Adds a directory to search, after those added before.
    pub fn search(mut self, directory: impl Into<String>) -> FileProvider {
        self.search.push(directory.into());
        self
    }
}

impl Provider for FileProvider {
    fn candidates(&self, target: &str, from: Option<&str>) -> Vec<String> {
        let beside = from.map(|from| join(directory(from), target));
        let searched = self.search.iter().map(|directory| join(directory, target));
        distinct([clean(target)].into_iter().chain(beside).chain(searched))
    }

    /// Regular files only: reading a pipe or a device might never end.
    fn exists(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        if Path::new(path).exists() && !self.exists(path) {
            return Err(ReadError::Failed("not a regular file".to_owned()));
        }
        let file = File::open(path).map_err(read_error)?;
        let mut bytes = Vec::new();
        let allowed = u64::try_from(limit).unwrap_or(u64::MAX);
        file.take(allowed.saturating_add(1)).read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() > limit { Err(ReadError::TooLarge) } else { Ok(bytes) }
    }
}

fn read_error(error: std::io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::NotFound => ReadError::NotFound,
        _ => ReadError::Failed(error.to_string()),
    }
}

fn distinct(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if !kept.contains(&path) {
            kept.push(path);
        }
    }
    kept
}

/// The part before the last `/`; empty if there is none.
fn directory(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(at) => path.get(..at).unwrap_or(""),
        None => "",
    }
}

fn join(directory: &str, path: &str) -> String {
    match directory {
        "" => clean(path),
        _ if path.starts_with('/') => clean(path),
        _ => clean(&format!("{directory}/{path}")),
    }
}

/// Without `.`, doubled `/`, and `..` where a name precedes it, so that one file has one path.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if rooted { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        let table = [
            ("a.thrift", "a.thrift"),
            ("./a/../b//c", "b/c"),
            ("../../a", "../../a"),
            ("/../a/.", "/a"),
            ("a/../..", ".."),
            ("", ""),
        ];
        for (path, expected) in table {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert_eq!((directory("a/b"), directory("/b"), directory("b")), ("a", "/", ""));
    }

    #[test]
    fn files_are_looked_for_as_written_then_beside_then_searched() {
        let files = FileProvider::new().search("inc").search("/usr/idl");
        assert_eq!(
            files.candidates("x.thrift", Some("a/main.thrift")),
            ["x.thrift", "a/x.thrift", "inc/x.thrift", "/usr/idl/x.thrift"]
        );
        assert_eq!(files.candidates("x.thrift", Some("main.thrift")).len(), 3, "same path once");
        let memory = MemoryProvider::new().search("inc");
        assert_eq!(
            memory.candidates("../x.thrift", Some("a/main.thrift")),
            ["x.thrift", "../x.thrift"],
            "beside first; `inc/../x.thrift` is known"
        );
        assert_eq!(memory.candidates("/x", Some("a/b")), ["/x"]);
    }

    #[test]
    fn reading_is_limited_and_refuses_what_is_no_file() {
        let memory = MemoryProvider::new().file("./a", "12345");
        assert_eq!(memory.read("a", 5), Ok(b"12345".to_vec()));
        assert_eq!(memory.read("a", 4), Err(ReadError::TooLarge));
        assert_eq!(memory.read("b", 4), Err(ReadError::NotFound));
        let files = FileProvider::new();
        assert_eq!(files.read("Cargo.toml", 3), Err(ReadError::TooLarge));
        assert_eq!(files.read("no such file", 3), Err(ReadError::NotFound));
        assert_eq!(files.read("src", 3), Err(ReadError::Failed("not a regular file".to_owned())));
        assert_eq!(files.read("/dev/zero", 3), Err(ReadError::Failed("not a regular file".to_owned())));
    }
}
