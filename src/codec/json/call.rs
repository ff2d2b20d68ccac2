//! The JSON of a call: an argument or result without the struct that is around it on the wire
//! (generic.md §3).

use bytes::Bytes;

use super::options::JsonOptions;
use super::parse;
use super::print::{self, Printer};
use super::{json_to_struct, struct_to_json};
use crate::base::json::Scanner;
use crate::base::{Code, Encoding, Error, Message, Result};
use crate::idl::Schema;
use crate::idl::schema::{Field, Method, Struct, StructId, Type};
use crate::wire::thrift::{BinaryReader, TType};

/// A reply as JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplyJson {
    /// The result; `null` if the peer sent none.
    Success(Vec<u8>),
    /// The method has no result.
    Void,
    /// An exception that the IDL declares.
    Exception {
        /// Its field id in `throws`.
        field: i16,
        /// Its name in `throws`.
        name: String,
        /// Its value.
        json: Vec<u8>,
    },
}

/// The arguments of a call. A method of one argument takes the argument's own JSON, any other an object
/// with a member for each; without arguments, `null` and no text at all will do, too. A streaming method
/// takes the JSON of one message.
pub fn request_from_json(
    schema: &Schema,
    method: &Method,
    json: &[u8],
    options: &JsonOptions,
) -> Result<Message> {
    let arguments = schema.structure(method.arguments);
    let mut out = Vec::new();
    match arguments.fields() {
        [only] if method.streaming.is_stream() => {
            value_from_json(schema, (only.ty, None), json, options, &mut out)?;
        }
        [only] => value_from_json(schema, (only.ty, Some(only.id)), json, options, &mut out)?,
        [] if says_nothing(json) => out.push(0),
        _ => json_to_struct(schema, method.arguments, json, options, &mut out)?,
    }
    Ok(message(out))
}

/// The JSON that [`request_from_json`] takes; `null` for an only argument that is absent.
pub fn request_to_json(
    schema: &Schema,
    method: &Method,
    message: &Message,
    options: &JsonOptions,
) -> Result<Vec<u8>> {
    let bytes = thrift_binary(message)?;
    let mut out = Vec::new();
    match schema.structure(method.arguments).fields() {
        [only] if method.streaming.is_stream() => {
            struct_to_json(schema, stream_message(only.ty)?, &bytes, options, &mut out)?;
        }
        [only] => {
            let wanted = |id: i16| (id == only.id).then_some(only);
            if unwrap(schema, &bytes, options, &mut out, wanted)?.is_none() {
                out.extend_from_slice(b"null");
            }
        }
        _ => struct_to_json(schema, method.arguments, &bytes, options, &mut out)?,
    }
    Ok(out)
}

/// The result of a call that went well. A void method takes `null`, `{}` or no text at all.
pub fn reply_from_json(
    schema: &Schema,
    method: &Method,
    json: &[u8],
    options: &JsonOptions,
) -> Result<Message> {
    let result = result_of(schema, method)?;
    let Some(response) = method.response else {
        return match says_nothing(json) {
            true => Ok(Message::empty_struct()),
            false => Err(Error::new(Code::TypeMismatch, "the method is void: its result is null")),
        };
    };
    let id = match method.streaming.is_stream() {
        true => None,
        false => result.position(0).map(|_| 0),
    };
    let mut out = Vec::new();
    value_from_json(schema, (schema.ty(response), id), json, options, &mut out)?;
    Ok(message(out))
}

/// A reply that is an exception of `throws`: by its name there, the name of its type, or its field id.
pub fn exception_from_json(
    schema: &Schema,
    method: &Method,
    exception: &str,
    json: &[u8],
    options: &JsonOptions,
) -> Result<Message> {
    let result = result_of(schema, method)?;
    let field = exception_field(schema, result, exception).ok_or_else(|| {
        Error::invalid_argument("exception", format_args!("{} does not throw {exception}", method.name))
    })?;
    let mut out = Vec::new();
    parse::convert(schema, (field.ty, Some(field.id)), json, options, &mut out)?;
    Ok(message(out))
}

/// What a reply says. A field of `throws` wins over a result beside it. Void is recognised in both forms
/// that Kitex writes.
pub fn reply_to_json(
    schema: &Schema,
    method: &Method,
    message: &Message,
    options: &JsonOptions,
) -> Result<ReplyJson> {
    let result = result_of(schema, method)?;
    let bytes = thrift_binary(message)?;
    let mut out = Vec::new();
    if let (true, Some(response)) = (method.streaming.is_stream(), method.response) {
        struct_to_json(schema, stream_message(schema.ty(response))?, &bytes, options, &mut out)?;
        return Ok(ReplyJson::Success(out));
    }
    match unwrap(schema, &bytes, options, &mut out, |id| result.field(id))? {
        Some(field) if field.id != 0 || method.response.is_none() => {
            Ok(ReplyJson::Exception { field: field.id, name: field.name.to_string(), json: out })
        }
        Some(_) => Ok(ReplyJson::Success(out)),
        None if method.response.is_none() => Ok(ReplyJson::Void),
        None if options.strict => {
            Err(Error::new(Code::MissingField, "$: the reply has neither a result nor an exception"))
        }
        None => Ok(ReplyJson::Success(b"null".to_vec())),
    }
}

fn result_of<'s>(schema: &'s Schema, method: &Method) -> Result<&'s Struct> {
    let id = method.result.ok_or_else(|| {
        Error::invalid_argument("method", format_args!("{} is oneway: there is no reply", method.name))
    })?;
    Ok(schema.structure(id))
}

fn exception_field<'s>(schema: &Schema, result: &'s Struct, exception: &str) -> Option<&'s Field> {
    let type_name = |field: &Field| match field.ty {
        Type::Struct(id) => schema.structure(id).name.clone(),
        _ => "".into(),
    };
    let mut thrown = result.fields().iter().filter(|field| &*field.name != "success");
    let named = result.field_by_name(exception).filter(|field| &*field.name != "success");
    named
        .or_else(|| thrown.clone().find(|field| &*type_name(field) == exception))
        .or_else(|| thrown.find(|field| exception.parse() == Ok(field.id)))
}

/// Writes the value of the field that `wanted` chooses among those of the outer struct; which one it was.
/// Without a choice nothing is written. The last one counts, but no result after an exception.
fn unwrap<'s>(
    schema: &'s Schema,
    bytes: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
    wanted: impl Fn(i16) -> Option<&'s Field>,
) -> Result<Option<&'s Field>> {
    print::print(bytes, 0, schema, options, out, |printer| {
        let mut found: Option<&'s Field> = None;
        printer.enter()?;
        while let Some((ttype, id)) = printer.read(BinaryReader::read_field_begin)? {
            let field = wanted(id).filter(|_| ttype != TType::Void);
            let is_result = |field: &Field| id == 0 && field.id != 0;
            match field.filter(|_| !found.is_some_and(is_result)) {
                Some(field) => {
                    printer.out.clear();
                    root(printer, field, ttype)?;
                    found = Some(field);
                }
                None => printer.read(|reader| reader.skip(ttype))?,
            }
        }
        printer.end().map(|()| found)
    })
}

fn root(printer: &mut Printer<'_, '_>, field: &Field, ttype: TType) -> super::fault::Result<()> {
    if ttype as u8 != field.ty.wire_type() {
        return Err(printer.wrong_type(field.ty, ttype));
    }
    match field.ty {
        Type::String if printer.has_bare_strings() => {
            let text = printer.read(BinaryReader::read_bytes)?;
            printer.out.extend_from_slice(text);
            Ok(())
        }
        ty => printer.root(ty, Some(field)),
    }
}

/// A root value; a string may be bare.
fn value_from_json(
    schema: &Schema,
    root: (Type, Option<i16>),
    json: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<()> {
    if root.0 == Type::String && options.bare_strings && !is_json_string(json) {
        let mut quoted = Vec::with_capacity(json.len() + 2);
        quote(json, &mut quoted);
        return parse::convert(schema, root, &quoted, options, out);
    }
    parse::convert(schema, root, json, options, out)
}

/// Makes a JSON string of bytes that need not be UTF-8.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

fn is_json_string(json: &[u8]) -> bool {
    let mut scanner = Scanner::new(json);
    scanner.peek() == Some(b'"') && scanner.skip(0).is_ok() && scanner.peek().is_none()
}

/// `null`, `{}` or white space.
fn says_nothing(json: &[u8]) -> bool {
    let mut scanner = Scanner::new(json);
    let _ = scanner.take_word("null") || (scanner.take(b'{') && scanner.take(b'}'));
    scanner.peek().is_none()
}

/// Messages of a stream are structs without anything around them.
fn stream_message(ty: Type) -> Result<StructId> {
    match ty {
        Type::Struct(id) => Ok(id),
        other => Err(Error::new(
            Code::Unsupported,
            format!("messages of a stream are structs, not {}", other.word()),
        )),
    }
}

fn thrift_binary(message: &Message) -> Result<Bytes> {
    crate::codec::builder::thrift_binary(message)?;
    Ok(message.bytes())
}

fn message(bytes: Vec<u8>) -> Message {
    Message::new(Encoding::THRIFT_BINARY, Bytes::from(bytes))
}
