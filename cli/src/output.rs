//! Where things are printed: results on stdout, everything else on stderr; colours on terminals only.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use crate::args::{Color, Layout};
use crate::exit::{Exit, Failure};

static COLORS: OnceLock<bool> = OnceLock::new();

/// Decides once whether stderr gets colours.
pub fn choose_colors(color: Color) {
    let wanted = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            io::stderr().is_terminal()
                && !set("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    };
    let _ = COLORS.set(wanted);
}

/// Whether stderr gets colours.
pub fn colors() -> bool {
    COLORS.get().copied().unwrap_or(false)
}

pub fn painted(color: &str, text: &str) -> String {
    if colors() { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Prints a result. A reader that has gone (`| head`) is no failure.
pub fn result(bytes: &[u8]) -> Result<(), Failure> {
    line(bytes).map(|_| ())
}

/// Prints one of several results at once; false if the reader has gone.
pub fn line(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(reason) if reason.kind() != io::ErrorKind::BrokenPipe => Err(Failure {
            exit: Exit::Usage,
            code: "OUTPUT",
            text: format!("stdout: {reason}"),
            laid_out: false,
        }),
        written => Ok(written.is_ok()),
    }
}

/// A line of talk. Nobody may be reading; that is no reason to fail.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A warning.
pub fn warn(text: &str) {
    say(&format!("{}: {text}", painted("1;33", "warning")));
}

/// A failure, as it is told to people.
pub fn failure(failure: &Failure) {
    match (failure.laid_out, failure.exit) {
        (true, _) => say(&failure.text),
        (false, Exit::Interrupted) => say(&painted("1;33", &failure.text)),
        (false, _) => say(&format!("{}: {}", painted("1;31", "error"), printable(&failure.text))),
    }
}

/// What a peer sent must not steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

/// Valid JSON text in another layout. Numbers and strings keep every byte.
pub fn layout(json: &[u8], form: Layout) -> Vec<u8> {
    let mut layout =
        Relayout { out: Vec::with_capacity(json.len() * 2), pretty: form == Layout::Pretty, depth: 0 };
    let mut rest = json;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                let end = string_end(after);
                layout.out.push(b'"');
                layout.out.extend_from_slice(&after[..end]);
                rest = &after[end..];
            }
            b'{' | b'[' => {
                let closing = after.iter().position(|byte| !byte.is_ascii_whitespace());
                match closing.map(|at| (at, after[at])) {
                    Some((at, close @ (b'}' | b']'))) => {
                        layout.out.extend_from_slice(&[*byte, close]);
                        rest = &after[at + 1..];
                    }
                    _ => layout.open(*byte),
                }
            }
            b'}' | b']' => layout.close(*byte),
            b',' => layout.next(),
            b':' => layout.out.extend_from_slice(if layout.pretty { b": " } else { b":" }),
            other => layout.out.push(*other),
        }
    }
    layout.out
}

/// Just behind the closing quote of a string whose opening one has been read.
fn string_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

struct Relayout {
    out: Vec<u8>,
    pretty: bool,
    depth: usize,
}

impl Relayout {
    fn open(&mut self, byte: u8) {
        self.out.push(byte);
        self.depth += 1;
        self.new_line();
    }

    fn close(&mut self, byte: u8) {
        self.depth = self.depth.saturating_sub(1);
        self.new_line();
        self.out.push(byte);
    }

    fn next(&mut self) {
        self.out.push(b',');
        self.new_line();
    }

    fn new_line(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * self.depth, b' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_keep_every_number_and_string() {
        let json =
            br#" {"a":[1,-2.50e10,123456789012345678901234567890],"b":{},"c":[ ],"d\"{":"x, y: [","e":null}"#;
        let compact =
            r#"{"a":[1,-2.50e10,123456789012345678901234567890],"b":{},"c":[],"d\"{":"x, y: [","e":null}"#;
        let pretty = "{\n  \"a\": [\n    1,\n    -2.50e10,\n    123456789012345678901234567890\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\\\"{\": \"x, y: [\",\n  \"e\": null\n}";
        let text = |form| String::from_utf8(layout(json, form)).unwrap();
        assert_eq!(text(Layout::Compact), compact);
        assert_eq!(text(Layout::Pretty), pretty);
        assert_eq!(layout(pretty.as_bytes(), Layout::Compact), compact.as_bytes());
        for scalar in ["1", "\"a b\"", "null", "true", "[]", "{}"] {
            assert_eq!(layout(scalar.as_bytes(), Layout::Pretty), scalar.as_bytes());
        }
        layout(b"]]}\"\\", Layout::Pretty);
    }
}
