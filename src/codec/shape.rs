//! What a message has to look like: a struct of an IDL, or the request or result of a method.

use std::fmt;
use std::sync::Arc;

use super::json::{
    JsonOptions, ReplyJson, exception_from_json, json_to_struct, reply_from_json, reply_to_json,
    request_from_json, request_to_json, struct_to_json,
};
use super::request_base::{Place, base_field, with_base};
use crate::base::{Code, Encoding, Error, Message, Result};
use crate::idl::Schema;
use crate::idl::schema::{Field, Method, MethodId, Struct, StructId, Type};

/// The shape of a message. Cloning shares it.
///
/// A request is the value of its only argument, else an object of all arguments; a result is the return
/// value (generic.md §3). The struct that is around them on the wire is neither seen nor written by hand.
/// Messages of a stream are bare: their shapes are those of the argument's and the result's struct.
#[derive(Clone)]
pub struct Shape {
    schema: Arc<Schema>,
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Struct(StructId),
    Request(MethodId),
    /// With the result struct of the method.
    Result(MethodId, StructId),
}

/// A whole schema is too long to read.
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({:?})", self.of)
    }
}

impl Shape {
    /// A struct, union or exception, by the name that [`Schema::find_struct`] takes.
    pub fn of_struct(schema: &Arc<Schema>, name: &str) -> Result<Shape> {
        let id = schema.find_struct(name).map_err(|error| Error::invalid_argument("name", error))?;
        Ok(Shape { schema: Arc::clone(schema), of: Of::Struct(id) })
    }

    /// The schema it is from.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The struct whose fields are met first, if it begins with one: the value without what is around it.
    pub fn structure(&self) -> Option<&Struct> {
        match self.wrapped() {
            Some(Field { ty: Type::Struct(id), .. }) => Some(self.schema.structure(*id)),
            Some(_) => None,
            None => Some(self.schema.structure(self.outermost())),
        }
    }

    /// The message of this JSON.
    pub fn from_json(&self, json: &[u8], options: &JsonOptions) -> Result<Message> {
        match self.of {
            Of::Struct(id) => {
                let mut out = Vec::new();
                json_to_struct(&self.schema, id, json, options, &mut out)?;
                Ok(Message::new(Encoding::THRIFT_BINARY, out.into()))
            }
            Of::Request(id) => request_from_json(&self.schema, self.schema.method(id), json, options),
            Of::Result(id, _) => reply_from_json(&self.schema, self.schema.method(id), json, options),
        }
    }

    /// The message as JSON; that of void is `null`. A result that is an exception is an error.
    pub fn to_json(&self, message: &Message, options: &JsonOptions) -> Result<Vec<u8>> {
        match self.of {
            Of::Struct(id) => {
                super::builder::thrift_binary(message)?;
                let mut out = Vec::new();
                struct_to_json(&self.schema, id, &message.bytes(), options, &mut out)?;
                Ok(out)
            }
            Of::Request(id) => request_to_json(&self.schema, self.schema.method(id), message, options),
            Of::Result(id, _) => {
                match reply_to_json(&self.schema, self.schema.method(id), message, options)? {
                    ReplyJson::Success(json) => Ok(json),
                    ReplyJson::Void => Ok(b"null".to_vec()),
                    ReplyJson::Exception { name, .. } => Err(Error::new(
                        Code::DeclaredException,
                        format!("the message is the exception {name}, not a result"),
                    )),
                }
            }
        }
    }

    /// A request, as a client sends it, with what its framework says of itself: the field of the first
    /// argument whose type is written `base.Base` gets the fields of `base`, which is such a struct; those
    /// that `base` does not have stay, and so do pairs of `Extra` (field 6) with other keys. Without such a
    /// field, or without that argument, the message is returned as it is.
    pub fn with_base(&self, message: &Message, base: &Message) -> Result<Message> {
        match self.base_place()? {
            Some(place) => with_base(&self.schema, &place, message, base),
            None => Ok(message.clone()),
        }
    }

    fn base_place(&self) -> Result<Option<Place<'_>>> {
        let (id, argument) = match self.of {
            Of::Struct(id) => (Some(id), None),
            Of::Request(id) => {
                let method = self.schema.method(id);
                let first = self.schema.structure(method.arguments).declared().next();
                let argument = first.map(|field| field.id);
                let structure = |field: &Field| match field.ty {
                    Type::Struct(id) => Some(id),
                    _ => None,
                };
                (first.and_then(structure), argument)
            }
            Of::Result(..) => {
                return Err(Error::invalid_argument("shape", "only a request has a base, not a result"));
            }
        };
        let field = id.and_then(|id| base_field(self.schema.structure(id)));
        Ok(field.map(|field| Place { argument, field }))
    }

    /// The struct on the wire.
    pub(super) fn outermost(&self) -> StructId {
        match self.of {
            Of::Struct(id) | Of::Result(_, id) => id,
            Of::Request(id) => self.schema.method(id).arguments,
        }
    }

    /// The field of the outermost struct that is the value, unless that struct is.
    pub(super) fn wrapped(&self) -> Option<&Field> {
        match self.of {
            Of::Struct(_) => None,
            Of::Request(id) => self.schema.only_argument(self.schema.method(id)),
            Of::Result(id, result) => {
                let is_void = self.schema.method(id).response.is_none();
                self.schema.structure(result).field(0).filter(|_| !is_void)
            }
        }
    }

    pub(super) fn describe_wrapped(&self, field: &Field) -> String {
        match self.of {
            Of::Result(..) => "result".to_owned(),
            _ => format!("argument {}", field.name),
        }
    }
}

/// A method of an IDL and the shapes of its messages. Cloning shares it.
#[derive(Clone)]
pub struct CallShape {
    schema: Arc<Schema>,
    id: MethodId,
}

impl fmt::Debug for CallShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallShape({})", self.method().name)
    }
}

/// Equal if it is the same method of the same schema.
impl PartialEq for CallShape {
    fn eq(&self, other: &CallShape) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) && self.id == other.id
    }
}

impl Eq for CallShape {}

impl CallShape {
    /// A method of a schema.
    pub fn new(schema: &Arc<Schema>, id: MethodId) -> CallShape {
        CallShape { schema: Arc::clone(schema), id }
    }

    /// A method as [`Schema::find_method`] finds it.
    pub fn find(schema: &Arc<Schema>, path: &str) -> Result<CallShape> {
        let id = schema.find_method(path).map_err(|error| Error::invalid_argument("method", error))?;
        Ok(CallShape::new(schema, id))
    }

    /// What the IDL says of it.
    pub fn method(&self) -> &Method {
        self.schema.method(self.id)
    }

    /// The schema it is from.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Its request, or each of them if it streams.
    pub fn request(&self) -> Shape {
        let argument = self.schema.only_argument(self.method()).map(|argument| argument.ty);
        let of = argument.and_then(|ty| self.streamed(ty)).unwrap_or(Of::Request(self.id));
        Shape { schema: Arc::clone(&self.schema), of }
    }

    /// Its result, or each of them if it streams. Fails for a oneway method, which has none.
    pub fn result(&self) -> Result<Shape> {
        let method = self.method();
        let result = method.result.ok_or_else(|| {
            Error::invalid_argument("method", format_args!("{} is oneway: there is no reply", method.name))
        })?;
        let response = method.response.map(|ty| self.schema.ty(ty));
        let of = response.and_then(|ty| self.streamed(ty)).unwrap_or(Of::Result(self.id, result));
        Ok(Shape { schema: Arc::clone(&self.schema), of })
    }

    /// A message of a stream, which nothing is around; the IDL has only structs there.
    fn streamed(&self, ty: Type) -> Option<Of> {
        match ty {
            Type::Struct(id) if self.method().streaming.is_stream() => Some(Of::Struct(id)),
            _ => None,
        }
    }

    /// Fails for a streaming method.
    pub fn expect_unary(&self) -> Result<()> {
        match self.method().streaming {
            mode if mode.is_stream() => {
                let text = format!("{} is a streaming method ({})", self.method().name, mode.name());
                Err(Error::new(Code::Unsupported, text))
            }
            _ => Ok(()),
        }
    }

    /// The result that throws an exception, given by its name in `throws`, its type or its field id.
    pub fn exception_from_json(
        &self,
        exception: &str,
        json: &[u8],
        options: &JsonOptions,
    ) -> Result<Message> {
        exception_from_json(&self.schema, self.method(), exception, json, options)
    }

    /// The name in `throws` and the JSON of an exception, given by its field id and its own struct.
    pub fn exception_to_json(
        &self,
        field: i16,
        exception: &Message,
        options: &JsonOptions,
    ) -> Result<(&str, Vec<u8>)> {
        let thrown = self.method().result.and_then(|result| self.schema.structure(result).field(field));
        match thrown.filter(|_| field != 0) {
            Some(Field { name, ty: Type::Struct(id), .. }) => {
                let shape = Shape { schema: Arc::clone(&self.schema), of: Of::Struct(*id) };
                Ok((name, shape.to_json(exception, options)?))
            }
            _ => {
                let text = format!("{} declares no exception with field {field}", self.method().name);
                Err(Error::new(Code::UnknownField, text))
            }
        }
    }
}
