//! Failures inside a conversion: they learn their path on the way out, and become errors at the edge.

use std::fmt::Write;

use crate::base::json::{Skip, Syntax};
use crate::base::{Code, Error};

/// Shorthand for results inside a conversion.
pub(super) type Result<T, E = Fault> = std::result::Result<T, E>;

/// What went wrong, at which byte, and inside of what. One pointer wide.
#[derive(Debug)]
pub(super) struct Fault(Box<Detail>);

#[derive(Debug)]
struct Detail {
    code: Code,
    text: String,
    at: usize,
    /// From the inside out.
    path: Vec<Step>,
    again: bool,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Index(usize),
}

/// Longest key that a path shows.
const LONGEST_KEY: usize = 40;

impl Fault {
    #[cold]
    pub(super) fn new(code: Code, at: usize, text: impl Into<String>) -> Fault {
        Fault(Box::new(Detail { code, text: text.into(), at, path: Vec::new(), again: false }))
    }

    /// Not a failure: the conversion has to start again, this time looking out for repetitions.
    #[cold]
    pub(super) fn start_again() -> Fault {
        let mut fault = Fault::new(Code::Internal, 0, "a repeated field was not resolved");
        fault.0.again = true;
        fault
    }

    pub(super) fn is_start_again(&self) -> bool {
        self.0.again
    }

    #[cold]
    pub(super) fn too_deep(at: usize, depth: u8) -> Fault {
        let text = format!("more than {depth} structs and containers within each other");
        Fault::new(Code::CodecLimit, at, text)
    }

    #[cold]
    pub(super) fn too_large(at: usize, bytes: usize) -> Fault {
        Fault::new(Code::CodecLimit, at, format!("the result exceeds {bytes} bytes"))
    }

    #[cold]
    pub(super) fn too_many(at: usize, elements: usize) -> Fault {
        Fault::new(Code::CodecLimit, at, format!("more than {elements} elements"))
    }

    /// It happened in a member with this key.
    #[cold]
    pub(super) fn in_member(mut self, key: &[u8]) -> Fault {
        self.0.path.push(Step::Member(String::from_utf8_lossy(key).into_owned()));
        self
    }

    /// It happened in this element.
    #[cold]
    pub(super) fn in_element(mut self, index: usize) -> Fault {
        self.0.path.push(Step::Index(index));
        self
    }

    /// Of a conversion from JSON: `$.items[3].name: what (line 1, column 5, byte 4)`.
    #[cold]
    pub(super) fn of_json(self, json: &[u8]) -> Error {
        let before = json.get(..self.0.at).unwrap_or(json);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let on_line = before.get(line_start..).unwrap_or_default();
        // Bytes that go on with a character have no column of their own.
        let column = on_line.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
        self.into_error(|detail| format!("line {line}, column {column}, byte {}", detail.at))
    }

    /// Of a conversion to JSON: `$.items[3].name: what (byte 4)`.
    #[cold]
    pub(super) fn of_bytes(self) -> Error {
        self.into_error(|detail| format!("byte {}", detail.at))
    }

    fn into_error(self, place: impl FnOnce(&Detail) -> String) -> Error {
        let detail = self.0;
        let text = format!("{}: {} ({})", path(&detail.path), detail.text, place(&detail));
        Error::new(detail.code, text)
    }
}

/// Of steps from the inside out.
fn path(steps: &[Step]) -> String {
    let mut path = String::from("$");
    for step in steps.iter().rev() {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Index(index) => write!(path, "[{index}]"),
            Step::Member(key) if is_identifier(key) => write!(path, ".{key}"),
            Step::Member(key) => match key.char_indices().nth(LONGEST_KEY) {
                None => write!(path, "[{key:?}]"),
                Some((end, _)) => write!(path, "[{:?}…]", key.get(..end).unwrap_or_default()),
            },
        };
    }
    path
}

fn is_identifier(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    key.len() <= LONGEST_KEY
        && key.bytes().all(word)
        && key.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

impl From<Syntax> for Fault {
    #[cold]
    fn from(syntax: Syntax) -> Fault {
        Fault::new(Code::Malformed, syntax.at(), syntax.to_string())
    }
}

impl Fault {
    /// Of a value that could not be skipped, inside of `depth` others.
    #[cold]
    pub(super) fn skipping(skip: Skip, depth: u8) -> Fault {
        match skip {
            Skip::Syntax(syntax) => syntax.into(),
            Skip::Depth(at) => Fault::too_deep(at, depth),
        }
    }
}
