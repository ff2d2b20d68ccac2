//! The include graph: every file read and parsed once.

use std::collections::HashMap;

use crate::idl::ast::{Document, Literal};
use crate::idl::diagnostic::{Diagnostic, Diagnostics};
use crate::idl::limits::IdlLimits;
use crate::idl::parser::parse;
use crate::idl::provider::{Provider, ReadError};
use crate::idl::source::{FileId, Sources, Span, offset};

/// All files that a main file needs.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Their texts. The main file is the first.
    pub sources: Sources,
    /// Their trees, by [`FileId::index`].
    pub files: Vec<ParsedFile>,
}

/// A file and the files it names.
#[derive(Clone, Debug)]
pub struct ParsedFile {
    /// The tree.
    pub document: Document,
    /// Its direct includes that were found, in order.
    pub includes: Vec<Include>,
    /// The prefixes of those that were not: names with them have been complained about enough.
    pub missing: Vec<String>,
}

/// A resolved `include`.
#[derive(Clone, Debug)]
pub struct Include {
    /// What names in that file are prefixed with: the base name without its extension.
    pub prefix: String,
    /// The file.
    pub file: FileId,
    /// The path as written.
    pub path: String,
    /// Where it is named.
    pub span: Span,
}

/// Reads and parses a file and all it includes. What is missing or broken is a diagnostic.
pub fn load(
    main: &str,
    provider: &dyn Provider,
    limits: &IdlLimits,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut loader = Loader {
        provider,
        limits,
        diagnostics,
        program: Program::default(),
        known: HashMap::new(),
        open: Vec::new(),
        stopped: false,
    };
    loader.main(main);
    loader.program
}

struct Loader<'a> {
    provider: &'a dyn Provider,
    limits: &'a IdlLimits,
    diagnostics: &'a mut Diagnostics,
    program: Program,
    /// By path; `None` for a file that could not be read.
    known: HashMap<String, Option<FileId>>,
    /// The chain of includes from the main file to the one being read.
    open: Vec<String>,
    /// The limit on files was hit.
    stopped: bool,
}

impl Loader<'_> {
    fn main(&mut self, main: &str) {
        let candidates = self.provider.candidates(main, None);
        match candidates.iter().find(|path| self.provider.exists(path)) {
            Some(path) => drop(self.file(path, None)),
            None => self.not_found(main, None, &candidates),
        }
    }

    /// Reads a file with all its includes. `None` if it could not be read, which has been reported.
    fn file(&mut self, path: &str, named: Option<Span>) -> Option<FileId> {
        let bytes = match self.provider.read(path, self.limits.file_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(path, named, error);
                self.known.insert(path.to_owned(), None);
                return None;
            }
        };
        let file = self.add(path, bytes);
        self.known.insert(path.to_owned(), Some(file));
        self.open.push(path.to_owned());
        self.includes(file);
        self.open.pop();
        Some(file)
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) -> FileId {
        let (text, bad_byte) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        let file = self.program.sources.add(path, text);
        if let Some(at) = bad_byte {
            let span = Span { file, start: offset(at), end: offset(at + 1) };
            let found = Diagnostic::error("not-utf8", span, "the file is not UTF-8");
            self.diagnostics.push(found.hint("convert the file; its first bad byte is here"));
        }
        let text = self.program.sources.file(file).map_or("", |file| file.text());
        let document = parse(file, text, self.limits, self.diagnostics);
        self.program.files.push(ParsedFile { document, includes: Vec::new(), missing: Vec::new() });
        file
    }

    fn includes(&mut self, file: FileId) {
        let parsed = self.program.files.get(file.index());
        let wanted: Vec<Literal> = parsed.map(|parsed| parsed.document.includes.clone()).unwrap_or_default();
        let mut found: Vec<Include> = Vec::new();
        let mut missing = Vec::new();
        for literal in wanted {
            match self.include(file, &literal) {
                // One file under two spellings is one include.
                Some(include) if found.iter().any(|first| first.file == include.file) => {}
                Some(include) => {
                    self.check_prefix(&found, &include);
                    found.push(include);
                }
                None => missing.push(prefix(&literal.text).to_owned()),
            }
        }
        if let Some(parsed) = self.program.files.get_mut(file.index()) {
            parsed.includes = found;
            parsed.missing = missing;
        }
    }

    fn include(&mut self, from: FileId, literal: &Literal) -> Option<Include> {
        let includer = self.program.sources.name(from).to_owned();
        let candidates = self.provider.candidates(&literal.text, Some(&includer));
        let Some(path) = candidates.iter().find(|path| self.provider.exists(path)) else {
            self.not_found(&literal.text, Some(literal.span), &candidates);
            return None;
        };
        if let Some(start) = self.open.iter().position(|open| open == path) {
            self.circle(start, path, literal.span);
            return None;
        }
        let file = match self.known.get(path).copied() {
            Some(known) => known?,
            None if self.too_many(literal.span) => return None,
            None => self.file(path, Some(literal.span))?,
        };
        Some(Include {
            prefix: prefix(path).to_owned(),
            file,
            path: literal.text.to_string(),
            span: literal.span,
        })
    }

    fn too_many(&mut self, span: Span) -> bool {
        let limits = self.limits;
        if self.open.len() >= limits.include_depth {
            let message = format!("includes are nested deeper than {}", limits.include_depth);
            self.diagnostics.push(Diagnostic::error("include-depth", span, message));
            return true;
        }
        if self.program.files.len() >= limits.files {
            if !self.stopped {
                let message = format!("more than {} files", limits.files);
                self.diagnostics.push(Diagnostic::error("too-many-files", span, message));
            }
            self.stopped = true;
        }
        self.stopped
    }

    /// Names are looked up in the first include of a prefix that has them, which is easily overlooked.
    fn check_prefix(&mut self, before: &[Include], include: &Include) {
        if let Some(first) = before.iter().find(|first| first.prefix == include.prefix) {
            let message = format!("two includes have the prefix `{}`", include.prefix);
            self.diagnostics.push(
                Diagnostic::warning("include-prefix", include.span, message)
                    .related(first.span, "this one is searched first"),
            );
        }
    }

    fn circle(&mut self, start: usize, path: &str, span: Span) {
        let circle = self.open.get(start..).unwrap_or_default().join(" -> ");
        self.diagnostics.push(
            Diagnostic::error("include-circle", span, format!("found include circle: {circle} -> {path}"))
                .label("includes a file that includes this one")
                .hint("move what both need into a third file"),
        );
    }

    fn not_found(&mut self, target: &str, span: Option<Span>, tried: &[String]) {
        let found = match span {
            Some(span) => Diagnostic::error(
                "include-not-found",
                span,
                format!("the included file `{target}` was not found"),
            ),
            None => Diagnostic::error_nowhere("file-not-found", format!("the file `{target}` was not found")),
        };
        self.diagnostics.push(found.hint(format!("looked for: {}", tried.join(", "))));
    }

    fn unreadable(&mut self, path: &str, span: Option<Span>, error: ReadError) {
        let reason = match error {
            ReadError::NotFound => "there is no such file".to_owned(),
            ReadError::TooLarge => format!("it is larger than {} bytes", self.limits.file_bytes),
            ReadError::Failed(words) => words,
        };
        let message = format!("the file `{path}` cannot be read: {reason}");
        self.diagnostics.push(match span {
            Some(span) => Diagnostic::error("unreadable", span, message),
            None => Diagnostic::error_nowhere("unreadable", message),
        });
    }
}

/// `a/b.c.thrift` → `b.c`
pub(crate) fn prefix(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.rsplit_once('.').map_or(base, |(stem, _)| stem)
}
