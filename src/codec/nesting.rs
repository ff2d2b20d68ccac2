//! Which value may come next: what a [`Builder`](super::Builder) and a [`Cursor`](super::Cursor) both
//! have to know to keep their caller from a wrong step.

use std::fmt::Write as _;

use crate::base::{Code, Error, Limits, Result};
use crate::wire::thrift::TType;

/// The open structs and containers, outermost first. A container that has all its elements closes by
/// itself, so whatever is open still takes something.
#[derive(Clone, Debug)]
pub(super) struct Nesting {
    outer: Vec<Level>,
    top: Level,
}

#[derive(Clone, Debug)]
enum Level {
    /// `due`: the type of the announced field, until its value has come.
    Struct { field: Option<i16>, due: Option<TType> },
    /// A map counts keys and values, in turn; in a list or set the two types are the same.
    Container { ttype: TType, key: TType, value: TType, done: u64, total: u64 },
}

impl Nesting {
    /// Inside the outermost struct.
    pub(super) fn new() -> Nesting {
        Nesting { outer: Vec::new(), top: Level::STRUCT }
    }

    /// How many more structs and containers may be opened.
    pub(super) fn depth_left(&self) -> u8 {
        let open = u8::try_from(self.outer.len() + 1).unwrap_or(u8::MAX);
        Limits::DEFAULT.depth.saturating_sub(open)
    }

    /// The type of the announced field whose value has not come. Fails inside a container.
    pub(super) fn field_due(&self) -> Result<Option<TType>> {
        match &self.top {
            Level::Struct { due, .. } => Ok(*due),
            Level::Container { .. } => Err(self.unfinished()),
        }
    }

    /// Announces a field of the struct.
    pub(super) fn field(&mut self, id: i16, ttype: TType) -> Result<()> {
        if self.field_due()?.is_some() {
            return Err(self.unfinished());
        }
        self.top = Level::Struct { field: Some(id), due: Some(ttype) };
        Ok(())
    }

    /// The type that the next value must have.
    pub(super) fn due(&self) -> Result<TType> {
        match &self.top {
            Level::Struct { due: Some(ttype), .. } => Ok(*ttype),
            Level::Struct { .. } => Err(self.wrong("no value is due: a field comes first")),
            Level::Container { key, value, done, .. } => Ok(if done % 2 == 0 { *key } else { *value }),
        }
    }

    /// Checks the type of the next value.
    pub(super) fn expect(&self, ttype: TType) -> Result<()> {
        match self.due()? {
            due if due == ttype => Ok(()),
            due => Err(self.mismatch(due, ttype)),
        }
    }

    /// The value that was due has come.
    pub(super) fn advance(&mut self) {
        self.count_one();
        self.close_full();
    }

    /// The struct that was due begins.
    pub(super) fn open_struct(&mut self) -> Result<()> {
        self.open(Level::STRUCT)
    }

    /// The list or set that was due begins.
    pub(super) fn open_list(&mut self, ttype: TType, element: TType, count: usize) -> Result<()> {
        let total = count as u64;
        self.open(Level::Container { ttype, key: element, value: element, done: 0, total })
    }

    /// The map that was due begins.
    pub(super) fn open_map(&mut self, key: TType, value: TType, count: usize) -> Result<()> {
        let total = (count as u64).saturating_mul(2);
        self.open(Level::Container { ttype: TType::Map, key, value, done: 0, total })
    }

    /// The innermost struct ends; the outermost one does not.
    pub(super) fn close_struct(&mut self) -> Result<()> {
        if self.field_due()?.is_some() {
            return Err(self.unfinished());
        }
        match self.outer.pop() {
            Some(level) => {
                self.top = level;
                self.close_full();
                Ok(())
            }
            None => Err(Error::new(Code::InvalidState, "no struct was begun that could end")),
        }
    }

    /// Checks that nothing but the outermost struct is open, and no value due in it.
    pub(super) fn expect_outermost(&self) -> Result<()> {
        match self.field_due()? {
            None if self.outer.is_empty() => Ok(()),
            _ => Err(self.unfinished()),
        }
    }

    /// Where the next value stands, e.g. `field 1[3].2`: fields by id, elements by index.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.outer {
            level.describe(&mut path, 1);
        }
        self.top.describe(&mut path, 0);
        match path.strip_prefix('.') {
            Some(path) => format!("field {path}"),
            None => "outermost struct".to_owned(),
        }
    }

    fn open(&mut self, level: Level) -> Result<()> {
        if self.depth_left() == 0 {
            let text = format!("{}: depth limit exceeded", self.path());
            return Err(Error::new(Code::CodecLimit, text));
        }
        self.count_one();
        self.outer.push(std::mem::replace(&mut self.top, level));
        self.close_full();
        Ok(())
    }

    fn count_one(&mut self) {
        match &mut self.top {
            Level::Struct { due, .. } => *due = None,
            Level::Container { done, .. } => *done += 1,
        }
    }

    fn close_full(&mut self) {
        while let Level::Container { done, total, .. } = &self.top
            && done == total
            && let Some(level) = self.outer.pop()
        {
            self.top = level;
        }
    }

    #[cold]
    fn unfinished(&self) -> Error {
        match &self.top {
            Level::Struct { due: Some(due), .. } => {
                self.wrong(&format!("its value, of type {}, is missing", due.name()))
            }
            Level::Struct { .. } => self.wrong("its struct has not ended"),
            Level::Container { ttype: TType::Map, done, total, .. } => {
                self.wrong(&format!("the map has {} of {} keys and values", done, total))
            }
            Level::Container { ttype, done, total, .. } => {
                self.wrong(&format!("the {} has {done} of {total} elements", ttype.name()))
            }
        }
    }

    #[cold]
    fn wrong(&self, what: &str) -> Error {
        Error::new(Code::InvalidState, format!("{}: {what}", self.path()))
    }

    #[cold]
    fn mismatch(&self, due: TType, ttype: TType) -> Error {
        let text = format!("{}: its type is {}, not {}", self.path(), due.name(), ttype.name());
        Error::new(Code::TypeMismatch, text)
    }
}

impl Level {
    const STRUCT: Level = Level::Struct { field: None, due: None };

    /// Adds `.id` or `[index]`; `counted` is 1 if the element meant is counted as done already.
    fn describe(&self, path: &mut String, counted: u64) {
        let _ = match self {
            Level::Struct { field: Some(id), .. } => write!(path, ".{id}"),
            Level::Struct { field: None, .. } => Ok(()),
            Level::Container { ttype, done, .. } => match (ttype, done.saturating_sub(counted)) {
                (TType::Map, at) if at % 2 == 0 => write!(path, "[{}].key", at / 2),
                (TType::Map, at) => write!(path, "[{}].value", at / 2),
                (_, at) => write!(path, "[{at}]"),
            },
        };
    }
}
