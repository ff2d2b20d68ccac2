//! Where a request's text comes from: the command line, a file, or stdin.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use krpc::base::Limits;

use crate::args::FileArgs;
use crate::exit::{Failure, Result};
use crate::output;

/// No message can be larger, so no text of one is read further.
const MOST_BYTES: u64 = Limits::MAX_FRAME_BYTES as u64 * 2;

/// What `--data` or `--file` gives; `None` if neither was written.
pub fn given(data: Option<&str>, file: &FileArgs) -> Result<Option<Vec<u8>>> {
    match (data, &file.file) {
        (Some("-"), _) => stdin().map(Some),
        (Some(text), _) => match text.strip_prefix('@') {
            Some("-") => stdin().map(Some),
            Some(path) => from_file(path).map(Some),
            None => Ok(Some(text.as_bytes().to_vec())),
        },
        (None, Some(path)) if path == "-" => stdin().map(Some),
        (None, Some(path)) => from_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// What `--data`, `--file` or stdin gives, to be read as it comes.
pub fn source(data: Option<&str>, file: &FileArgs) -> Result<Box<dyn Read + Send>> {
    let path = match (data, &file.file) {
        (Some("-"), _) | (None, None) => "-",
        (Some(text), _) => match text.strip_prefix('@') {
            Some(path) => path,
            None => return Ok(Box::new(io::Cursor::new(text.as_bytes().to_vec()))),
        },
        (None, Some(path)) => path,
    };
    if path != "-" {
        return Ok(Box::new(open(path)?));
    }
    if io::stdin().is_terminal() {
        output::say("reading messages from the terminal; Ctrl-D ends them");
    }
    Ok(Box::new(io::stdin()))
}

fn open(path: &str) -> Result<File> {
    File::open(path).map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => Failure::usage(format_args!("Input file does not exist: {path}")),
        _ => Failure::usage(format_args!("{path}: {reason}")),
    })
}

fn from_file(path: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|reason| Failure::usage(format_args!("{path}: {reason}")))?;
    bounded(text, path)
}

/// All of stdin.
pub fn stdin() -> Result<Vec<u8>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        output::say("reading the request from the terminal; Ctrl-D ends it");
    }
    let mut text = Vec::new();
    let read = stdin.lock().take(MOST_BYTES + 1).read_to_end(&mut text);
    read.map_err(|reason| Failure::usage(format_args!("stdin: {reason}")))?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::usage(
            "no request: stdin is empty; give --data JSON, --file FILE, or pipe JSON in",
        ));
    }
    bounded(text, "stdin")
}

fn bounded(text: Vec<u8>, from: &str) -> Result<Vec<u8>> {
    match text.len() as u64 > MOST_BYTES {
        true => Err(Failure::usage(format_args!(
            "{from}: more than {MOST_BYTES} bytes, no message is that large"
        ))),
        false => Ok(text),
    }
}
