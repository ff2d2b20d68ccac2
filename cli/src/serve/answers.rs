//! Fixed answers from a file: results, exceptions, business errors and delays by method.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use krpc::base::Message;
use krpc::codec::json::{JsonOptions, exception_from_json, reply_from_json};
use krpc::idl::Schema;
use krpc::rpc::stream::StreamMode;
use krpc::wire::thrift::ApplicationException;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exit::{Failure, Result};
use crate::idl;

/// Answers by `Service/Method`.
#[derive(Default)]
pub struct Answers(BTreeMap<String, Vec<Answer>>);

/// One answer, ready to be sent.
#[derive(Default)]
pub struct Answer {
    /// Before each message of a stream.
    pub delay: Duration,
    pub backward: Vec<(String, String)>,
    /// Of a stream: how it ends.
    pub what: What,
    /// Messages of a stream, instead of those received.
    pub results: Vec<Message>,
    /// Whether they were written as a list.
    pub listed: bool,
    pub repeat: Option<u32>,
    pub header: Vec<(String, String)>,
    pub trailer: Vec<(String, String)>,
}

#[derive(Default)]
pub enum What {
    /// As without an answers file.
    #[default]
    Default,
    Result(Message),
    /// A result struct with an exception in it.
    Exception {
        name: String,
        message: Message,
    },
    Biz {
        code: i32,
        message: String,
        extra: Vec<(String, String)>,
    },
    Error {
        type_id: i32,
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerText<'a> {
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    backward: BTreeMap<String, String>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    results: Option<Vec<&'a RawValue>>,
    repeat: Option<u32>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    #[serde(default)]
    trailer: BTreeMap<String, String>,
    #[serde(borrow)]
    exception: Option<BTreeMap<String, &'a RawValue>>,
    biz: Option<BizText>,
    error: Option<ErrorText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BizText {
    code: i32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    extra: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorText {
    #[serde(rename = "type", default = "internal_error")]
    type_id: i32,
    #[serde(default)]
    message: String,
}

fn internal_error() -> i32 {
    ApplicationException::INTERNAL_ERROR
}

impl Answers {
    /// Reads and converts all answers, so that mistakes show at the start.
    pub fn read(path: &str, schema: &Schema) -> Result<Answers> {
        let wrong = |why: &dyn std::fmt::Display| Failure::usage(format_args!("answers {path}: {why}"));
        let text = fs::read_to_string(path).map_err(|reason| wrong(&reason))?;
        let methods: BTreeMap<String, &RawValue> =
            serde_json::from_str(&text).map_err(|reason| wrong(&reason))?;
        let mut answers = Answers::default();
        for (method, written) in methods {
            let found = idl::find(schema, Some(&method)).map_err(|failure| wrong(&failure.text))?;
            let reader = Reader { schema, found: &found };
            let list: Vec<&RawValue> = match written.get().starts_with('[') {
                true => serde_json::from_str(written.get())
                    .map_err(|reason| wrong(&format_args!("{method}: {reason}")))?,
                false => vec![written],
            };
            let read = |(index, text): (usize, &&RawValue)| {
                reader.answer(text.get()).map_err(|why| wrong(&format_args!("{method}[{index}]: {why}")))
            };
            let converted: Vec<Answer> = list.iter().enumerate().map(read).collect::<Result<_>>()?;
            if answers.0.insert(found.path.clone(), converted).is_some() {
                return Err(wrong(&format_args!("{} is given twice", found.path)));
            }
        }
        Ok(answers)
    }

    /// The answers of a method; none left for a second taker.
    pub fn take(&mut self, path: &str) -> Vec<Answer> {
        self.0.remove(path).unwrap_or_default()
    }

    /// A method that nobody took.
    pub fn left_over(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}

fn failure(biz: Option<BizText>, error: Option<ErrorText>) -> Result<What, String> {
    match (biz, error) {
        (Some(biz), _) if biz.code == 0 => Err("biz: code 0 is success".to_owned()),
        (Some(biz), _) => {
            Ok(What::Biz { code: biz.code, message: biz.message, extra: biz.extra.into_iter().collect() })
        }
        (None, Some(error)) => Ok(What::Error { type_id: error.type_id, message: error.message }),
        (None, None) => Ok(What::Default),
    }
}

struct Reader<'a> {
    schema: &'a Schema,
    found: &'a idl::Found,
}

impl Reader<'_> {
    fn answer(&self, text: &str) -> Result<Answer, String> {
        let text: AnswerText<'_> = serde_json::from_str(text).map_err(|reason| reason.to_string())?;
        match StreamMode::of(self.schema.method(self.found.id).streaming) {
            Some(mode) => return self.stream(text, mode),
            None => self.expect_call(&text)?,
        }
        let given =
            [text.result.is_some(), text.exception.is_some(), text.biz.is_some(), text.error.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err("write only one of result, exception, biz and error".to_owned());
        }
        let what = match (text.result, text.exception, text.biz, text.error) {
            (Some(result), ..) => What::Result(self.result(result.get())?),
            (_, Some(exception), ..) => self.exception(&exception)?,
            (_, _, biz, error) => failure(biz, error)?,
        };
        Ok(Answer {
            delay: Duration::from_millis(text.delay_ms),
            backward: text.backward.into_iter().collect(),
            what,
            ..Answer::default()
        })
    }

    fn expect_call(&self, text: &AnswerText<'_>) -> Result<(), String> {
        let of_streams = [
            ("results", text.results.is_some()),
            ("repeat", text.repeat.is_some()),
            ("header", !text.header.is_empty()),
            ("trailer", !text.trailer.is_empty()),
        ];
        match of_streams.iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(format!("{what}: {} does not stream", self.found.path)),
            None => Ok(()),
        }
    }

    /// The answer of a stream: messages, and the end after them.
    fn stream(&self, text: AnswerText<'_>, mode: StreamMode) -> Result<Answer, String> {
        if text.exception.is_some() {
            return Err("exception: streams end with biz or error".to_owned());
        }
        if !text.backward.is_empty() {
            return Err("backward: streams send header and trailer".to_owned());
        }
        if text.repeat.is_some() && mode != StreamMode::Server {
            return Err(format!("repeat: {} is not a server stream", self.found.path));
        }
        if let (Some(_), Some(_)) = (&text.biz, &text.error) {
            return Err("write only one of biz and error".to_owned());
        }
        let listed = text.results.is_some();
        let results = match (text.result, text.results) {
            (Some(_), Some(_)) => return Err("write only one of result and results".to_owned()),
            (Some(result), None) => vec![result],
            (None, results) => results.unwrap_or_default(),
        };
        if mode == StreamMode::Client && results.len() > 1 {
            return Err(format!("results: {} has one answer", self.found.path));
        }
        Ok(Answer {
            delay: Duration::from_millis(text.delay_ms),
            backward: Vec::new(),
            what: failure(text.biz, text.error)?,
            results: results.iter().map(|json| self.result(json.get())).collect::<Result<_, _>>()?,
            listed,
            repeat: text.repeat,
            header: text.header.into_iter().collect(),
            trailer: text.trailer.into_iter().collect(),
        })
    }

    fn result(&self, json: &str) -> Result<Message, String> {
        let method = self.schema.method(self.found.id);
        reply_from_json(self.schema, method, json.as_bytes(), &JsonOptions::strict())
            .map_err(|error| format!("result: {}", error.text()))
    }

    /// `{"TooLong": {…}}`: the exception by its type's name or by its name in `throws`.
    fn exception(&self, written: &BTreeMap<String, &RawValue>) -> Result<What, String> {
        let method = self.schema.method(self.found.id);
        let (Some((name, json)), 1) = (written.first_key_value(), written.len()) else {
            return Err("exception: write one, as {\"Name\": {...}}".to_owned());
        };
        exception_from_json(self.schema, method, name, json.get().as_bytes(), &JsonOptions::strict())
            .map(|message| What::Exception { name: name.clone(), message })
            .map_err(|error| format!("{}: {}", error.text(), self.thrown()))
    }

    fn thrown(&self) -> String {
        let result = self.schema.method(self.found.id).result.map(|id| self.schema.structure(id));
        let thrown = result.map(|result| result.fields()).unwrap_or_default().iter();
        let thrown = thrown.filter(|field| &*field.name != "success");
        let names: Vec<String> = thrown.map(|field| self.schema.type_name(field.type_id)).collect();
        match names.is_empty() {
            true => format!("{} throws nothing", self.found.path),
            false => format!("{} throws {}", self.found.path, names.join(", ")),
        }
    }
}
