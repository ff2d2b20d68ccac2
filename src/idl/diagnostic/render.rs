//! Diagnostics as text: a snippet with a caret, or one line each.

use std::fmt::Write;

use crate::idl::diagnostic::{Diagnostic, Label, Severity};
use crate::idl::source::{SourceFile, Sources, Span};

/// How a diagnostic is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Message, source line, caret, hints.
    Plain,
    /// The same with terminal colours.
    Color,
    /// `file:line:column: error: text`, one line each, for editors and scripts.
    Short,
}

/// Characters of a source line shown around a caret; longer lines are cut.
const WINDOW: usize = 100;

pub(super) fn render(found: &Diagnostic, sources: &Sources, style: Style) -> String {
    match style {
        Style::Short => short(found, sources),
        Style::Plain => Snippet { paint: Paint(false), sources }.render(found),
        Style::Color => Snippet { paint: Paint(true), sources }.render(found),
    }
}

fn short(found: &Diagnostic, sources: &Sources) -> String {
    let place = found.primary.as_ref().map(|label| format!("{}: ", place(sources, label.span)));
    format!("{}{}: {}\n", place.unwrap_or_default(), found.severity.name(), printable(&found.message))
}

/// `file:line:column`.
fn place(sources: &Sources, span: Span) -> String {
    let name = printable(sources.name(span.file));
    match sources.file(span.file) {
        Some(file) => {
            let at = file.position(span.start);
            format!("{name}:{}:{}", at.line, at.column)
        }
        None => name,
    }
}

/// Terminal colours, or nothing.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    const RED: &'static str = "\x1b[1;31m";
    const YELLOW: &'static str = "\x1b[1;33m";
    const BLUE: &'static str = "\x1b[1;34m";
    const BOLD: &'static str = "\x1b[1m";

    fn severity(severity: Severity) -> &'static str {
        match severity {
            Severity::Error => Paint::RED,
            Severity::Warning => Paint::YELLOW,
        }
    }

    fn apply(self, color: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("{color}{text}\x1b[0m") } else { text.to_owned() }
    }
}

struct Snippet<'a> {
    paint: Paint,
    sources: &'a Sources,
}

impl Snippet<'_> {
    fn render(&self, found: &Diagnostic) -> String {
        let color = Paint::severity(found.severity);
        let head = self.paint.apply(color, &format!("{}[{}]", found.severity.name(), found.rule));
        let message = self.paint.apply(Paint::BOLD, &format!(": {}", printable(&found.message)));
        let mut text = format!("{head}{message}\n");

        let gutter = self.gutter(found);
        if let Some(primary) = &found.primary {
            text.push_str(&self.label(primary, "-->", '^', color, gutter));
        }
        for related in &found.related {
            text.push_str(&self.label(related, ":::", '-', Paint::BLUE, gutter));
        }
        for hint in &found.hints {
            let equals = self.paint.apply(Paint::BLUE, &format!("{:gutter$} =", ""));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{equals} {} {}", self.paint.apply(Paint::BOLD, "help:"), printable(hint));
        }
        text.push('\n');
        text
    }

    /// Width of the widest line number shown.
    fn gutter(&self, found: &Diagnostic) -> usize {
        let spans = found.primary.iter().chain(&found.related).map(|label| label.span);
        let lines = spans.filter_map(|span| Some(self.sources.file(span.file)?.position(span.start).line));
        lines.max().unwrap_or(1).to_string().len()
    }

    fn label(&self, label: &Label, arrow: &str, mark: char, color: &str, gutter: usize) -> String {
        let place = place(self.sources, label.span);
        let arrow = self.paint.apply(Paint::BLUE, &format!("{:gutter$}{arrow}", ""));
        let mut text = format!("{arrow} {place}\n");
        let Some(file) = self.sources.file(label.span.file) else { return text };

        let line = MarkedLine::new(file, label.span);
        let marks: String = std::iter::repeat_n(mark, line.marks).collect();
        let words =
            if label.text.is_empty() { String::new() } else { format!(" {}", printable(&label.text)) };
        let bar = self.paint.apply(Paint::BLUE, &format!("{:gutter$} |", ""));
        let number = self.paint.apply(Paint::BLUE, &format!("{:gutter$} |", line.number));
        let marked = self.paint.apply(color, &format!("{marks}{words}"));
        let _ = writeln!(
            text,
            "{bar}\n{number} {}\n{bar} {:indent$}{marked}",
            line.text,
            "",
            indent = line.indent
        );
        text
    }
}

/// A source line as it is shown: tabs and control characters replaced, cut around the mark.
struct MarkedLine {
    number: usize,
    text: String,
    indent: usize,
    marks: usize,
}

impl MarkedLine {
    fn new(file: &SourceFile, span: Span) -> MarkedLine {
        let (before, rest) = file.around(span.start);
        let first = last_characters(before, WINDOW / 2);
        let marked_bytes = span.range().len().min(rest.len());
        let (marked, rest) = rest.split_at_checked(marked_bytes).unwrap_or((rest, ""));
        let marked_shown = first_characters(marked, WINDOW);
        let room = WINDOW.saturating_sub(first.chars().count() + marked_shown.chars().count());
        let rest_shown = if marked_shown.len() < marked.len() { "" } else { first_characters(rest, room) };

        let dots = |cut: bool| if cut { "..." } else { "" };
        let (cut_before, cut_after) =
            (first.len() < before.len(), marked_shown.len() + rest_shown.len() < marked.len() + rest.len());
        let text = format!("{}{first}{marked_shown}{rest_shown}{}", dots(cut_before), dots(cut_after));
        MarkedLine {
            number: file.position(span.start).line,
            text: printable(&text),
            indent: dots(cut_before).len() + width(first),
            marks: width(marked_shown).max(1),
        }
    }
}

fn first_characters(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or("")
}

fn last_characters(text: &str, count: usize) -> &str {
    let start =
        count.checked_sub(1).and_then(|last| text.char_indices().rev().nth(last)).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or("")
}

/// A control character in a hostile file must not reach the terminal; a tab is widened later.
fn shown(character: char) -> char {
    if character.is_control() && character != '\t' { '\u{FFFD}' } else { character }
}

fn printable(text: &str) -> String {
    text.chars().map(shown).collect::<String>().replace('\t', "    ")
}

/// Columns on a terminal: four for a tab, two for the usual wide scripts.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}' | '\u{1F300}'..='\u{1FAFF}' | '\u{20000}'..='\u{3FFFD}');
    text.chars().map(|c| if c == '\t' { 4 } else { 1 + usize::from(wide(c)) }).sum()
}
