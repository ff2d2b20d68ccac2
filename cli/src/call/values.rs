//! JSON values that follow each other, as they arrive: one per line, or run together.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use krpc::base::{Code, Error, Limits, Message};
use serde::de::IgnoredAny;
use serde_json::StreamDeserializer;
use serde_json::de::IoRead;

/// No message can be larger, so no text of one is read further.
const MOST_BYTES: usize = Limits::MAX_FRAME_BYTES * 2;

/// Lines and columns before an error for which text is made, so that it names its own.
const MOST_LINES: usize = 1 << 20;

/// Reads messages. A mistake shows at the byte that makes it one, not at the end of the input.
pub struct Values<F> {
    values: StreamDeserializer<'static, IoRead<Recorder>, IgnoredAny>,
    record: Rc<RefCell<Record>>,
    convert: F,
}

impl<F: Fn(&[u8]) -> Result<Message, Error>> Values<F> {
    /// `convert` makes a message of the text of a value.
    pub fn new(from: Box<dyn Read>, convert: F) -> Values<F> {
        let record = Rc::new(RefCell::new(Record::default()));
        let recorder = Recorder { from: BufReader::new(from), record: Rc::clone(&record) };
        Values { values: StreamDeserializer::new(IoRead::new(recorder)), record, convert }
    }

    /// The next message; `None` at the end of the input. Errors name line and column of the input.
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Some(read) = self.values.next() else { return Ok(None) };
        let record = self.record.take();
        *self.record.borrow_mut() = Record { text: Vec::new(), ..record };
        match read {
            Ok(IgnoredAny) => {
                (self.convert)(&record.text).map(Some).map_err(|error| self.placed(&record, error))
            }
            Err(wrong) if wrong.is_io() => Err(Error::new(Code::InvalidArgument, wrong.to_string())),
            // The conversion tells the place inside of the message as well.
            Err(wrong) => Err(match (self.convert)(&record.text) {
                Err(error) => self.placed(&record, error),
                Ok(_) => Error::new(Code::Malformed, wrong.to_string()),
            }),
        }
    }

    /// The same error of a text that has the line and column of the whole input.
    fn placed(&self, record: &Record, error: Error) -> Error {
        let Place { line, column } = record.start;
        if line > MOST_LINES || column > MOST_LINES {
            return error;
        }
        let text = [&b"\n".repeat(line)[..], &b" ".repeat(column), &record.text].concat();
        let error = (self.convert)(&text).err().unwrap_or(error);
        // The number of the byte is that of the made text.
        match error.text().rsplit_once(", byte ") {
            Some((place, _)) => Error::new(error.code(), format!("{place})")),
            None => error,
        }
    }
}

/// Counted from 0.
#[derive(Clone, Copy, Default)]
struct Place {
    line: usize,
    column: usize,
}

/// What has been read of a value, and where it began.
#[derive(Clone, Default)]
struct Record {
    text: Vec<u8>,
    start: Place,
    at: Place,
}

impl Record {
    fn push(&mut self, byte: u8) {
        if !self.text.is_empty() || !byte.is_ascii_whitespace() {
            if self.text.is_empty() {
                self.start = self.at;
            }
            self.text.push(byte);
        }
        match byte {
            b'\n' => self.at = Place { line: self.at.line + 1, column: 0 },
            // Bytes that go on with a character have no column of their own.
            0x80..0xC0 => {}
            _ => self.at.column += 1,
        }
    }
}

/// The parser takes what it reads byte by byte from here, never further than it must.
struct Recorder {
    from: BufReader<Box<dyn Read>>,
    record: Rc<RefCell<Record>>,
}

impl Read for Recorder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let mut record = self.record.borrow_mut();
        buffer[..read].iter().for_each(|byte| record.push(*byte));
        match record.text.len() > MOST_BYTES {
            true => Err(io::Error::other(format!("more than {MOST_BYTES} bytes, no message is that large"))),
            false => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use krpc::codec::Shape;
    use krpc::codec::json::JsonOptions;
    use krpc::idl::{MemoryProvider, Options, Schema, compile};

    use super::*;

    fn read(text: &str) -> (usize, Result<(), String>) {
        let files = MemoryProvider::new().file("m.thrift", "struct M { 1: required string text, 2: i64 n }");
        let schema: Arc<Schema> = compile("m.thrift", &files, &Options::default()).into_schema().unwrap();
        let shape = Shape::of_struct(&schema, "M").unwrap();
        let text = io::Cursor::new(text.as_bytes().to_vec());
        let mut values = Values::new(Box::new(text), |json| shape.from_json(json, &JsonOptions::strict()));
        let mut count = 0;
        loop {
            match values.next() {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, Ok(())),
                Err(error) => return (count, Err(error.text().to_owned())),
            }
        }
    }

    #[test]
    fn values_may_be_lines_or_run_together() {
        for (text, count) in [
            ("", 0),
            (" \n\n", 0),
            ("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 2),
            ("{\"text\":\"a\"}{\"text\":\"} {\"} {\n\"text\"\n:\"\\\"\"}", 3),
        ] {
            assert_eq!(read(text), (count, Ok(())), "{text}");
        }
    }

    #[test]
    fn mistakes_have_line_column_and_path() {
        for (text, count, says) in [
            (
                "{\"text\":\"a\"}\n\n  {\"text\": 5}\n",
                1,
                "$.text: expected a string, found a number (line 3, column 12",
            ),
            ("{\"text\":\"é\"}{\"text\":\"a\",\n\"n\":true}", 1, "$.n: "),
            ("{\"text\":\"é\"}{\"text\":\"a\",\n\"n\":true}", 1, "(line 2, column 5)"),
            ("{\"text\":\"a\"\n{\"text\":\"b\"}\n", 0, "(line 2, column 1)"),
            ("{\"text\":\"a\"}\n{\"text\":", 1, "$.text: "),
            ("{\"text\":\"a\"}\n]", 1, "(line 2, column 1)"),
            ("{\"text\":\"a\"}\nhello", 1, "(line 2, column 1)"),
            ("{}", 0, "$.text"),
        ] {
            let (good, end) = read(text);
            let why = end.unwrap_err();
            assert!(good == count && why.contains(says) && !why.contains("byte"), "{text}: {good} {why}");
        }
    }
}
