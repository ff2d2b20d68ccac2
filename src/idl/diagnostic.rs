//! Errors and warnings, and how they are shown.

mod render;

pub use render::Style;

use std::fmt;

use crate::idl::source::{Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// There is no schema.
    Error,
    /// The schema is good; a reader or another compiler may not agree with the author.
    Warning,
}

impl Severity {
    /// The word shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A span and what to say about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words beside the caret; may be empty.
    pub text: String,
}

/// One error or warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule, such as `duplicate-field-id`.
    pub rule: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where it is wrong. Missing only if a main file could not be read.
    pub primary: Option<Label>,
    /// Other places that matter, such as the first of two definitions.
    pub related: Vec<Label>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(rule: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, rule, Some(span), message.into())
    }

    /// A warning at a place.
    pub fn warning(rule: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, rule, Some(span), message.into())
    }

    /// An error without a place in any file.
    pub fn error_nowhere(rule: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, rule, None, message.into())
    }

    fn new(severity: Severity, rule: &'static str, span: Option<Span>, message: String) -> Diagnostic {
        let primary = span.map(|span| Label { span, text: String::new() });
        Diagnostic { severity, rule, message, primary, related: Vec::new(), hints: Vec::new() }
    }

    /// Words beside the caret.
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Another place that matters.
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// What to do about it.
    pub fn hint(mut self, text: impl Into<String>) -> Diagnostic {
        self.hints.push(text.into());
        self
    }

    /// As text, ending in a newline.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        render::render(self, sources, style)
    }
}

/// What a compilation found. Errors and warnings have separate limits, so that a flood of the one
/// never hides the other.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    limit: usize,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Keeps up to `limit` errors and as many warnings.
    pub fn new(limit: usize) -> Diagnostics {
        Diagnostics { kept: Vec::new(), limit, errors: 0, warnings: 0 }
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= self.limit {
            self.kept.push(diagnostic);
        }
    }

    /// Those kept, sorted by file and place once the compilation has ended.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// Number of errors, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Number of warnings, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Number of those that were only counted.
    pub fn dropped(&self) -> usize {
        self.errors + self.warnings - self.kept.len()
    }

    /// Whether a further error would only be counted, so that explaining it is wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= self.limit
    }

    /// Orders what was found by different passes as a reader meets it.
    pub(crate) fn sort(&mut self) {
        self.kept
            .sort_by_key(|found| found.primary.as_ref().map(|label| (label.span.file, label.span.start)));
    }

    /// All of them and one closing line with counts; empty if there are none.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let mut text: String = self.kept.iter().map(|found| found.render(sources, style)).collect();
        if self.errors + self.warnings > 0 {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    fn summary(&self) -> String {
        let count = |number: usize, word: &str| match number {
            1 => format!("1 {word}"),
            _ => format!("{number} {word}s"),
        };
        let found = format!("{}, {}", count(self.errors, "error"), count(self.warnings, "warning"));
        match self.dropped() {
            0 => found,
            dropped => format!("{found} ({dropped} not shown)"),
        }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Why there is no schema: the diagnostics together with the texts they speak of.
#[derive(Clone, Debug)]
pub struct Report {
    /// The texts.
    pub sources: Sources,
    /// At least one error.
    pub diagnostics: Diagnostics,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostics.render(&self.sources, Style::Plain))
    }
}

impl std::error::Error for Report {}
