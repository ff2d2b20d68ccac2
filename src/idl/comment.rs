//! Comments as documentation: markers and decoration taken away.

use crate::idl::ast::Comment;
use crate::idl::source::Sources;

/// The comments' text, one line per line, without `//`, `#`, `/* */` and a leading column of `*`.
/// `None` if nothing is left.
pub fn text(comments: &[Comment], sources: &Sources) -> Option<String> {
    let mut lines: Vec<&str> = Vec::new();
    for comment in comments {
        let raw = sources.text(comment.span);
        match comment.line {
            true => lines.push(line_text(raw)),
            false => block_lines(raw, &mut lines),
        }
    }
    let blank = |line: &&str| line.is_empty();
    let first = lines.iter().position(|line| !blank(line))?;
    let last = lines.iter().rposition(|line| !blank(line))?;
    Some(lines.get(first..=last)?.join("\n"))
}

fn line_text(raw: &str) -> &str {
    let text = raw.strip_prefix('#').unwrap_or_else(|| raw.trim_start_matches('/'));
    text.strip_prefix(' ').unwrap_or(text).trim_end()
}

fn block_lines<'a>(raw: &'a str, lines: &mut Vec<&'a str>) {
    let raw = raw.strip_prefix("/*").unwrap_or(raw);
    let raw = raw.strip_suffix("*/").unwrap_or(raw).trim_start_matches('*').trim_end_matches('*');
    for line in raw.lines() {
        let line = line.trim();
        let line = line.strip_prefix('*').unwrap_or(line);
        lines.push(line.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idl::diagnostic::Diagnostics;
    use crate::idl::lexer::lex;

    #[test]
    fn markers_and_decoration_go() {
        let table = [
            ("// one\n// two", Some("one\ntwo")),
            ("# hash\n///  slashes", Some("hash\n slashes")),
            ("/** doc */", Some("doc")),
            ("/*\n * a\n *\n * b\n */", Some("a\n\nb")),
            ("/**/", None),
            ("//", None),
            ("", None),
        ];
        for (source, expected) in table {
            let mut sources = Sources::default();
            let file = sources.add("t", source);
            let lexed = lex(file, source, &mut Diagnostics::new(1));
            assert_eq!(text(&lexed.comments, &sources).as_deref(), expected, "{source}");
        }
    }
}
