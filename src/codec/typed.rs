//! What an IDL adds to steps: fields by name, types and presence checked, defaults filled in. The steps
//! are those of [`Builder`] and [`Cursor`].

use std::fmt;
use std::sync::Arc;

use super::json::seen::Seen;
use super::json::write_absent;
use super::nesting::{Level, Nesting};
use super::shape::Shape;
use super::{Builder, Cursor};
use crate::base::{Code, Error, Message, Result};
use crate::idl::Schema;
use crate::idl::schema::{Category, Enum, Field, Requiredness, Struct, StructId, Type, TypeId};
use crate::wire::thrift::TType;

/// The IDL of a message. Shared.
#[derive(Clone)]
pub(super) struct Types {
    pub(super) schema: Arc<Schema>,
}

/// A whole schema is too long to read.
impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

/// An open struct that the IDL knows.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    id: StructId,
    /// Where its first field begins, if it is read.
    start: usize,
    seen: Seen,
}

impl Types {
    pub(super) fn of(&self, id: StructId, start: usize) -> Box<Typed> {
        let fields = self.schema.structure(id).fields().len();
        Box::new(Typed { id, start, seen: Seen::new(fields) })
    }

    pub(super) fn field_name(&self, typed: &Typed, id: i16) -> Option<&str> {
        self.schema.structure(typed.id).field(id).map(|field| &*field.name)
    }
}

impl Nesting {
    /// Inside the outermost struct of a shape.
    fn typed(shape: &Shape) -> Nesting {
        let types = Types { schema: Arc::clone(shape.schema()) };
        let typed = Some(types.of(shape.outermost(), 0));
        let top = Level::Struct { field: None, due: None, typed };
        Nesting { outer: Vec::new(), top, types: Some(types), wrapped: false, held: false }
    }

    /// Checks a field against the IDL: the type of its value. One that is read may be unknown.
    pub(super) fn known_field(&mut self, id: i16, ttype: TType, writes: bool) -> Result<Option<Type>> {
        let (Level::Struct { typed: Some(typed), .. }, Some(types)) = (&mut self.top, &self.types) else {
            return Ok(None);
        };
        let structure = types.schema.structure(typed.id);
        let Some(position) = structure.position(id) else {
            return match writes {
                false => Ok(None),
                true => Err(self.unknown_field(id)),
            };
        };
        let again = !typed.seen.insert(position);
        let Some(field) = structure.fields().get(position) else { return Ok(None) };
        let ty = field.ty;
        match ty.wire_type() == ttype as u8 {
            false => Err(self.wrong_type(ty, ttype)),
            true if again && writes => Err(self.wrong("the field was written before")),
            true => Ok(Some(ty)),
        }
    }

    /// The struct that is open, if the IDL knows it and a field may begin.
    fn open_struct_of_idl(&self) -> Result<(&Typed, &Struct)> {
        match (&self.top, &self.types) {
            (Level::Container { .. }, _) => Err(self.unfinished()),
            (Level::Struct { typed: Some(typed), .. }, Some(types)) => {
                Ok((typed, types.schema.structure(typed.id)))
            }
            (Level::Struct { .. }, Some(_)) => Err(self.wrong("the IDL does not know this struct")),
            (Level::Struct { .. }, None) => Err(Error::new(
                Code::InvalidState,
                "fields have names only with a shape: this was made without one",
            )),
        }
    }

    fn field_named(&self, name: &str) -> Result<&Field> {
        let (_, structure) = self.open_struct_of_idl()?;
        structure.find_field(name).map_err(|error| Error::invalid_argument("name", error))
    }

    /// A field that is written even if nobody does: with its default or zero.
    fn absent(&self) -> Option<&Field> {
        let (typed, structure) = self.open_struct_of_idl().ok()?;
        if matches!(structure.category, Category::Union | Category::Result) {
            return None;
        }
        let mut absent = structure.fields().iter().enumerate().filter(|(at, _)| !typed.seen.contains(*at));
        let filled = |field: &Field| match field.requiredness {
            Requiredness::Optional => false,
            Requiredness::Default => true,
            Requiredness::Required => field.default.is_some(),
        };
        absent.find(|(_, field)| filled(field)).map(|(_, field)| field)
    }

    /// Checks that what must be there has come. `writes`: also that a union has one field.
    pub(super) fn expect_complete(&self, writes: bool) -> Result<()> {
        let Ok((typed, structure)) = self.open_struct_of_idl() else { return Ok(()) };
        let mut fields = structure.fields().iter().enumerate();
        let missing = |(at, field): &(usize, &Field)| {
            field.requiredness == Requiredness::Required && !typed.seen.contains(*at)
        };
        match fields.find(missing) {
            Some((_, field)) => Err(self.incomplete(structure, &format!("field {} is missing", field.name))),
            None if writes && structure.category == Category::Union && typed.seen.count() != 1 => {
                let text = format!("a union has exactly one field, this has {}", typed.seen.count());
                Err(self.incomplete(structure, &text))
            }
            None => Ok(()),
        }
    }

    /// The enum whose value is due.
    fn enum_due(&self) -> Result<&Enum> {
        match (self.expect(TType::I32)?.ty, &self.types) {
            (Some(Type::Enum(id)), Some(types)) => Ok(types.schema.enumeration(id)),
            _ => {
                let text = format!("{}: its type is not an enum of an IDL", self.path());
                Err(Error::new(Code::TypeMismatch, text))
            }
        }
    }

    /// What is open now is around the value; the user neither sees nor ends it.
    fn wrap(&mut self) {
        self.wrapped = true;
        self.held = true;
    }

    /// The wrapping may end: whether a struct inside of it has to be ended first.
    pub(super) fn unwrap(&mut self) -> bool {
        std::mem::take(&mut self.held) && self.outer.len() == 1 && matches!(self.top, Level::Struct { .. })
    }

    /// Back to the first field of the struct that is open: where it is.
    fn restart(&mut self) -> Option<usize> {
        match &mut self.top {
            Level::Struct { due, typed: Some(typed), .. } => {
                *due = None;
                Some(typed.start)
            }
            _ => None,
        }
    }

    #[cold]
    fn unknown_field(&self, id: i16) -> Error {
        let text = match self.open_struct_of_idl() {
            Ok((_, structure)) => format!("{} has no field {id}", structure.name),
            Err(error) => return error,
        };
        Error::new(Code::UnknownField, format!("{}: {text}", self.path()))
    }

    #[cold]
    fn wrong_type(&self, ty: Type, found: TType) -> Error {
        let text = format!("{}: its type is {} in the IDL, not {}", self.path(), ty.word(), found.name());
        Error::new(Code::TypeMismatch, text)
    }

    #[cold]
    fn incomplete(&self, structure: &Struct, what: &str) -> Error {
        let mut around = self.clone();
        if let Level::Struct { field, .. } = &mut around.top {
            *field = None;
        }
        Error::new(Code::MissingField, format!("{} ({}): {what}", around.path(), structure.name))
    }
}

impl Builder {
    /// Builds a message of a shape: names and types have to be those of the IDL, a field is written once,
    /// and a struct ends only with its required fields. Fields that are not optional are written with their
    /// default or zero if nobody does, as in JSON; required ones only if they have a default.
    ///
    /// An only argument, or a result, is what the steps are about, without the struct around it: a struct
    /// is open from the start, any other value is due.
    pub fn typed(shape: &Shape) -> Result<Builder> {
        let mut builder = Builder::with(Nesting::typed(shape));
        if let Some(field) = shape.wrapped() {
            builder.field(field.id, wire_type(field.ty)?)?;
            if let Type::Struct(_) = field.ty {
                builder.struct_begin()?;
            }
            builder.nesting.wrap();
        }
        Ok(builder)
    }

    /// Begins the field of this name; its value, of the type in the IDL, follows.
    pub fn field_named(&mut self, name: &str) -> Result<()> {
        self.attempt(|b| {
            let field = b.nesting.field_named(name)?;
            let (id, ttype) = (field.id, wire_type(field.ty)?);
            b.field(id, ttype)
        })
    }

    /// An enum's value by its name.
    pub fn enum_named(&mut self, name: &str) -> Result<()> {
        self.attempt(|b| {
            let value = b.nesting.enum_due()?.find_value(name);
            let number = value
                .map_err(|error| Error::new(Code::TypeMismatch, format!("{}: {error}", b.nesting.path())))?;
            let number = number.number;
            b.i32(number)
        })
    }

    /// What the IDL says of the struct that is about to end.
    pub(super) fn complete(&mut self) -> Result<()> {
        while let Some(field) = self.nesting.absent() {
            let Some(types) = &self.nesting.types else { return Ok(()) };
            let (id, ttype) = (field.id, wire_type(field.ty)?);
            let mut bytes = Vec::new();
            write_absent(&types.schema, field, &mut bytes);
            self.nesting.field(id, ttype, true)?;
            self.encoded_field(&bytes)?;
        }
        self.nesting.expect_complete(true)
    }

    fn type_of(&self, id: TypeId) -> Option<Type> {
        self.nesting.types.as_ref().map(|types| types.schema.ty(id))
    }

    /// The type that the IDL gives to what is in the container that is due; `STOP` leaves it to the IDL.
    pub(super) fn element(&self, given: TType, second: bool) -> Result<TType> {
        if given != TType::Stop || self.nesting.types.is_none() {
            return Ok(given);
        }
        let of_idl = match (self.nesting.due()?.ty, second) {
            (Some(Type::List(id) | Type::Set(id) | Type::Map(id, _)), false) => id,
            (Some(Type::Map(_, id)), true) => id,
            _ => return Ok(given),
        };
        self.type_of(of_idl).map_or(Ok(given), wire_type)
    }
}

impl Cursor {
    /// Reads a message of a shape: fields have the names and types of the IDL, and a struct ends only if
    /// its required fields were there. What the IDL does not know is read as without one.
    ///
    /// An only argument, or a result, is what the steps are about, without the struct around it: a struct
    /// is open from the start, any other value is due.
    pub fn typed(message: &Message, shape: &Shape) -> Result<Cursor> {
        let mut cursor = Cursor::with(message, Nesting::typed(shape))?;
        if let Some(field) = shape.wrapped() {
            if cursor.find(field.id)?.is_none() {
                let text = format!("the message has no {}", shape.describe_wrapped(field));
                return Err(Error::new(Code::MissingField, text));
            }
            if let Type::Struct(_) = field.ty {
                cursor.struct_begin()?;
            }
            cursor.nesting.wrap();
        }
        Ok(cursor)
    }

    /// Goes to the field of this name, wherever it is in the struct: its type. `None` if it is absent.
    pub fn find_named(&mut self, name: &str) -> Result<Option<TType>> {
        self.attempt(|c| {
            let id = c.nesting.field_named(name)?.id;
            let from = c.position;
            if let Some(ttype) = c.find(id)? {
                return Ok(Some(ttype));
            }
            c.position = c.nesting.restart().unwrap_or(c.position);
            while c.position < from
                && let Some((found, ttype)) = c.field()?
            {
                if found == id {
                    return Ok(Some(ttype));
                }
            }
            Ok(None)
        })
    }

    /// The name of the current field, if the IDL knows it.
    pub fn field_name(&self) -> Option<&str> {
        let Level::Struct { field: Some(id), typed, .. } = &self.nesting.top else { return None };
        self.nesting.types.as_ref()?.field_name(typed.as_deref()?, *id)
    }

    /// An enum's number, and its name if the IDL knows it.
    pub fn enumeration(&mut self) -> Result<(i32, Option<Arc<str>>)> {
        self.attempt(|c| {
            let id = match c.nesting.enum_due() {
                Ok(_) => c.nesting.due()?.ty,
                Err(error) => return Err(c.locate(error)),
            };
            let number = c.i32()?;
            let (Some(Type::Enum(id)), Some(types)) = (id, &c.nesting.types) else {
                return Ok((number, None));
            };
            let value = types.schema.enumeration(id).by_number(number);
            Ok((number, value.map(|value| Arc::clone(&value.name))))
        })
    }
}

fn wire_type(ty: Type) -> Result<TType> {
    TType::from_byte(ty.wire_type()).map_err(|_| {
        Error::new(Code::Unsupported, format!("{} has no form in Thrift Binary here", ty.word()))
    })
}

#[cfg(test)]
mod tests;
