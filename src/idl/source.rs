//! Source texts: which file, which bytes, which line and column.

use std::sync::OnceLock;

/// Identifies a file within one [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(u32);

impl FileId {
    /// Position of the file in load order.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A range of bytes in a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From the start of this span to the end of a later one in the same file.
    pub fn to(self, end: Span) -> Span {
        Span { end: end.end.max(self.start), ..self }
    }

    /// The empty span right behind this one, where something is missing.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// Both ends as indices into the file's text.
    pub fn range(self) -> std::ops::Range<usize> {
        usize::try_from(self.start).unwrap_or(usize::MAX)..usize::try_from(self.end).unwrap_or(usize::MAX)
    }
}

/// A byte offset. Files are limited to far below 4 GiB, so saturation is never reached.
pub(crate) fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Where a byte stands, for people: both numbers count from 1, columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line number.
    pub line: usize,
    /// Column number.
    pub column: usize,
}

/// One file's name and text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: String,
    text: String,
    /// Made when it is asked for: a text without errors needs no lines.
    line_starts: OnceLock<Vec<u32>>,
}

impl SourceFile {
    fn new(name: String, text: String) -> SourceFile {
        SourceFile { name, text, line_starts: OnceLock::new() }
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let newlines = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(newlines.map(|(at, _)| offset(at + 1))).collect()
        })
    }

    /// The path under which the provider found it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte; a position behind the end is that of the end.
    pub fn position(&self, at: u32) -> Position {
        let line = self.line_starts().partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|index| self.line_starts().get(index)).copied().unwrap_or(0);
        let before = Span { file: FileId(0), start, end: at }.range();
        let end = before.end.min(self.text.len());
        let column = self.text.get(before.start..end).map_or(1, |text| text.chars().count() + 1);
        Position { line: line.max(1), column }
    }

    /// The text from the start of its line up to a byte, and from there to the end of the line.
    pub(crate) fn around(&self, at: u32) -> (&str, &str) {
        let at = Span { file: FileId(0), start: at, end: at }.range().start.min(self.text.len());
        let (before, after) = self.text.split_at_checked(at).unwrap_or((&self.text, ""));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').unwrap_or(after.len());
        let line_end = after.get(..end).unwrap_or("").trim_end_matches('\r');
        (before.get(start..).unwrap_or(""), line_end)
    }

    /// A line without its line break; empty if there is no such line.
    pub fn line(&self, number: usize) -> &str {
        let start_of = |number: usize| {
            let start = number.checked_sub(1).and_then(|index| self.line_starts().get(index));
            start.map(|start| usize::try_from(*start).unwrap_or(usize::MAX))
        };
        let Some(start) = start_of(number) else { return "" };
        let end = start_of(number + 1).unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
}

/// All files of one compilation, in load order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = FileId(offset(self.files.len()));
        self.files.push(SourceFile::new(name.into(), text.into()));
        id
    }

    /// The file with this id. An id of other sources gives `None`.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.index())
    }

    /// All files.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (FileId(offset(index)), file))
    }

    /// The file's name, or a placeholder for an id of other sources.
    pub fn name(&self, id: FileId) -> &str {
        self.file(id).map_or("<unknown>", SourceFile::name)
    }

    /// The text under a span; empty if the span is of other sources.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).and_then(|file| file.text.get(span.range())).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("a.thrift", "ab\r\né=1\n");
        let file = sources.file(id).unwrap();
        let at = |byte| (file.position(byte).line, file.position(byte).column);
        assert_eq!((at(0), at(1), at(4), at(6), at(8)), ((1, 1), (1, 2), (2, 1), (2, 2), (2, 4)));
        assert_eq!(at(99), (3, 1), "behind the end");
        assert_eq!((file.line(1), file.line(2), file.line(3), file.line(4)), ("ab", "é=1", "", ""));
        assert_eq!(file.line(0), "");
    }

    #[test]
    fn a_span_of_other_sources_is_empty_text() {
        let sources = Sources::default();
        let span = Span { file: FileId(3), start: 0, end: 9 };
        assert_eq!((sources.text(span), sources.name(span.file)), ("", "<unknown>"));
    }
}
