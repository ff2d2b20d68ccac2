//! Which value may come next: what a [`Builder`](super::Builder) and a [`Cursor`](super::Cursor) both
//! have to know to keep their caller from a wrong step.

use std::fmt::Write as _;

use super::typed::{Typed, Types};
use crate::base::{Code, Error, Limits, Result};
use crate::idl::schema::{Type, TypeId};
use crate::wire::thrift::TType;

/// The open structs and containers, outermost first. A container that has all its elements closes by
/// itself, so whatever is open still takes something.
#[derive(Clone, Debug)]
pub(super) struct Nesting {
    pub(super) outer: Vec<Level>,
    pub(super) top: Level,
    /// The IDL that names and types have to agree with, if there is one.
    pub(super) types: Option<Types>,
    /// The outermost struct is only around the value that the user deals with.
    pub(super) wrapped: bool,
    /// It is not for the user to end.
    pub(super) held: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Level {
    /// `due`: the type of the announced field, until its value has come.
    Struct { field: Option<i16>, due: Option<Due>, typed: Option<Box<Typed>> },
    /// A map counts keys and values, in turn; in a list or set the two types are the same.
    Container { ttype: TType, key: Due, value: Due, done: u64, total: u64 },
}

/// The type that a value must have: on the wire, and in the IDL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub(super) ttype: TType,
    pub(super) ty: Option<Type>,
}

impl Nesting {
    /// Inside the outermost struct.
    pub(super) fn new() -> Nesting {
        Nesting { outer: Vec::new(), top: Level::STRUCT, types: None, wrapped: false, held: false }
    }

    /// How many more structs and containers may be opened.
    pub(super) fn depth_left(&self) -> u8 {
        let open = u8::try_from(self.outer.len() + 1).unwrap_or(u8::MAX);
        Limits::DEFAULT.depth.saturating_sub(open)
    }

    /// The type of the announced field whose value has not come. Fails inside a container.
    pub(super) fn field_due(&self) -> Result<Option<TType>> {
        match &self.top {
            Level::Struct { due, .. } => Ok(due.map(|due| due.ttype)),
            Level::Container { .. } => Err(self.unfinished()),
        }
    }

    /// A field of the struct begins. `writes`: whether it is being written, which an IDL checks harder.
    pub(super) fn field(&mut self, id: i16, ttype: TType, writes: bool) -> Result<()> {
        if self.field_due()?.is_some() {
            return Err(self.unfinished());
        }
        if let Level::Struct { field, .. } = &mut self.top {
            *field = Some(id);
        }
        let ty = if self.types.is_some() { self.known_field(id, ttype, writes)? } else { None };
        if let Level::Struct { due, .. } = &mut self.top {
            *due = Some(Due { ttype, ty });
        }
        Ok(())
    }

    /// The type that the next value must have.
    pub(super) fn due(&self) -> Result<Due> {
        match &self.top {
            Level::Struct { due: Some(due), .. } => Ok(*due),
            Level::Struct { .. } => Err(self.wrong("no value is due: a field comes first")),
            Level::Container { key, value, done, .. } => Ok(if done % 2 == 0 { *key } else { *value }),
        }
    }

    /// Checks the type of the next value.
    pub(super) fn expect(&self, ttype: TType) -> Result<Due> {
        match self.due()? {
            due if due.ttype == ttype => Ok(due),
            due => Err(self.mismatch(due.ttype, ttype)),
        }
    }

    /// The value that was due has come.
    pub(super) fn advance(&mut self) {
        self.count_one();
        self.close_full();
    }

    /// The struct that was due begins, at a position of the reader's.
    pub(super) fn open_struct(&mut self, start: usize) -> Result<()> {
        let typed = match (self.due()?.ty, &self.types) {
            (Some(Type::Struct(id)), Some(types)) => Some(types.of(id, start)),
            _ => None,
        };
        self.open(Level::Struct { field: None, due: None, typed })
    }

    /// The list or set that was due begins.
    pub(super) fn open_list(&mut self, ttype: TType, element: TType, count: usize) -> Result<()> {
        let ty = match self.due()?.ty {
            Some(Type::List(element) | Type::Set(element)) => Some(element),
            _ => None,
        };
        let due = self.part("elements", ty, element, count)?;
        self.open(Level::Container { ttype, key: due, value: due, done: 0, total: count as u64 })
    }

    /// The map that was due begins.
    pub(super) fn open_map(&mut self, key: TType, value: TType, count: usize) -> Result<()> {
        let (key_type, value_type) = match self.due()?.ty {
            Some(Type::Map(key, value)) => (Some(key), Some(value)),
            _ => (None, None),
        };
        let key = self.part("keys", key_type, key, count)?;
        let value = self.part("values", value_type, value, count)?;
        let total = (count as u64).saturating_mul(2);
        self.open(Level::Container { ttype: TType::Map, key, value, done: 0, total })
    }

    /// The type of what is in a container. That of an empty one means nothing.
    fn part(&self, what: &str, ty: Option<TypeId>, ttype: TType, count: usize) -> Result<Due> {
        let ty = match (ty, &self.types) {
            (Some(id), Some(types)) => Some(types.schema.ty(id)),
            _ => None,
        };
        match ty {
            Some(ty) if count > 0 && ty.wire_type() != ttype as u8 => {
                let text =
                    format!("{}: its {what} are {} in the IDL, not {}", self.path(), ty.word(), ttype.name());
                Err(Error::new(Code::TypeMismatch, text))
            }
            ty => Ok(Due { ttype, ty }),
        }
    }

    /// The innermost struct ends; the outermost one does not.
    pub(super) fn close_struct(&mut self) -> Result<()> {
        if self.field_due()?.is_some() {
            return Err(self.unfinished());
        }
        let ends = self.outer.len() > usize::from(self.held);
        match self.outer.pop().filter(|_| ends) {
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

    /// Where the next value stands, e.g. `field 1[3].2`: fields by id, elements by index; by name what an
    /// IDL knows.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for level in self.outer.iter().skip(usize::from(self.wrapped)) {
            level.describe(self.types.as_ref(), &mut path, 1);
        }
        if !(self.wrapped && self.outer.is_empty()) {
            self.top.describe(self.types.as_ref(), &mut path, 0);
        }
        match path.strip_prefix('.') {
            Some(path) => format!("field {path}"),
            None if self.wrapped => format!("value{path}"),
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
    pub(super) fn unfinished(&self) -> Error {
        match &self.top {
            Level::Struct { due: Some(due), .. } => {
                self.wrong(&format!("its value, of type {}, is missing", due.ttype.name()))
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
    pub(super) fn wrong(&self, what: &str) -> Error {
        Error::new(Code::InvalidState, format!("{}: {what}", self.path()))
    }

    #[cold]
    fn mismatch(&self, due: TType, ttype: TType) -> Error {
        let text = format!("{}: its type is {}, not {}", self.path(), due.name(), ttype.name());
        Error::new(Code::TypeMismatch, text)
    }
}

impl Level {
    const STRUCT: Level = Level::Struct { field: None, due: None, typed: None };

    /// Adds `.field` or `[index]`; `counted` is 1 if the element meant is counted as done already.
    fn describe(&self, types: Option<&Types>, path: &mut String, counted: u64) {
        let name =
            |typed: &Option<Box<Typed>>, id| Some(types?.field_name(typed.as_deref()?, id)?.to_owned());
        let _ = match self {
            Level::Struct { field: Some(id), typed, .. } => match name(typed, *id) {
                Some(name) => write!(path, ".{name}"),
                None => write!(path, ".{id}"),
            },
            Level::Struct { field: None, .. } => Ok(()),
            Level::Container { ttype, done, .. } => match (ttype, done.saturating_sub(counted)) {
                (TType::Map, at) if at % 2 == 0 => write!(path, "[{}].key", at / 2),
                (TType::Map, at) => write!(path, "[{}].value", at / 2),
                (_, at) => write!(path, "[{at}]"),
            },
        };
    }
}
