//! Thrift Binary to values.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fields, Record, Value};
use crate::base::{Code, Error, Limits, Message, Result};
use crate::codec::builder::thrift_binary;
use crate::idl::Schema;
use crate::idl::schema::{Requiredness, StructId, Type};
use crate::wire::thrift::{BinaryReader, TType};

/// Values of a message take memory beyond their bytes; that is bounded here (codec.md §3 rule 4).
const LARGEST_VALUES: usize = 256 << 20;

impl Record {
    /// Reads a struct in Thrift Binary. Strings share the message's bytes. Fields that the IDL does not
    /// know are kept; a known one of another type is an error, the last of repeated ones counts.
    pub fn decode(schema: &Arc<Schema>, id: StructId, message: &Message) -> Result<Record> {
        thrift_binary(message)?;
        let bytes = message.bytes();
        let mut decoder = Decoder {
            schema,
            reader: BinaryReader::with_depth_limit(&bytes, Limits::DEFAULT.depth),
            bytes: &bytes,
            memory_left: LARGEST_VALUES,
        };
        let fields = decoder.fields(id)?;
        Ok(Record { schema: schema.clone(), fields })
    }
}

struct Decoder<'a> {
    schema: &'a Schema,
    reader: BinaryReader<'a>,
    bytes: &'a Bytes,
    memory_left: usize,
}

impl Decoder<'_> {
    fn fields(&mut self, id: StructId) -> Result<Fields> {
        let structure = self.schema.structure(id);
        let mut fields = Fields::new(id);
        let mut unknown = Vec::new();
        self.reader.enter()?;
        loop {
            let header_at = self.reader.position();
            let Some((ttype, id)) = self.reader.read_field_begin()? else { break };
            let Some(field) = structure.field(id) else {
                self.reader.skip(ttype)?;
                unknown
                    .extend_from_slice(self.bytes.get(header_at..self.reader.position()).unwrap_or_default());
                continue;
            };
            self.expect(ttype, field.ty).map_err(|error| within(&field.name, &error))?;
            self.charge(1)?;
            let value = self.value(field.ty).map_err(|error| within(&field.name, &error))?;
            fields.put(id, value);
        }
        self.reader.leave();
        fields.unknown = unknown.into();
        let unset = |id: i16| fields.by_id(id).is_none();
        let required = |field: &&crate::idl::schema::Field| field.requiredness == Requiredness::Required;
        match structure.fields().iter().filter(required).find(|field| unset(field.id)) {
            Some(field) => Err(Error::new(
                Code::MissingField,
                format!("required field ({}/{}) missing", field.id, field.name),
            )),
            None => Ok(fields),
        }
    }

    fn value(&mut self, ty: Type) -> Result<Value> {
        Ok(match ty {
            Type::Bool => Value::Bool(self.reader.read_bool()?),
            Type::I8 => Value::I8(self.reader.read_i8()?),
            Type::I16 => Value::I16(self.reader.read_i16()?),
            Type::I32 | Type::Enum(_) => Value::I32(self.reader.read_i32()?),
            Type::I64 => Value::I64(self.reader.read_i64()?),
            Type::Double => Value::Double(self.reader.read_double()?),
            Type::String | Type::Binary => Value::Bytes(self.bytes.slice_ref(self.reader.read_bytes()?)),
            Type::Uuid => return Err(Error::new(Code::Unsupported, "uuid is not a type of Kitex")),
            Type::Struct(id) => Value::Struct(self.fields(id)?),
            Type::List(element) | Type::Set(element) => {
                self.reader.enter()?;
                let element = self.schema.ty(element);
                let (ttype, count) = self.reader.read_list_begin()?;
                self.expect_elements(count, ttype, element)?;
                self.charge(count)?;
                let items = (0..count).map(|_| self.value(element)).collect::<Result<_>>()?;
                self.reader.leave();
                Value::List(items)
            }
            Type::Map(key, item) => {
                self.reader.enter()?;
                let (key, item) = (self.schema.ty(key), self.schema.ty(item));
                let (key_type, item_type, count) = self.reader.read_map_begin()?;
                self.expect_elements(count, key_type, key)?;
                self.expect_elements(count, item_type, item)?;
                self.charge(count.saturating_mul(2))?;
                let pairs =
                    (0..count).map(|_| Ok((self.value(key)?, self.value(item)?))).collect::<Result<_>>()?;
                self.reader.leave();
                Value::Map(pairs)
            }
        })
    }

    fn expect_elements(&self, count: usize, found: TType, wanted: Type) -> Result<()> {
        if count == 0 { Ok(()) } else { self.expect(found, wanted) }
    }

    fn expect(&self, found: TType, wanted: Type) -> Result<()> {
        if found as u8 == wanted.wire_type() {
            return Ok(());
        }
        let text = format!(
            "need {} type, but got: {} (byte {})",
            wanted.word(),
            found.name(),
            self.reader.position()
        );
        Err(Error::new(Code::TypeMismatch, text))
    }

    fn charge(&mut self, values: usize) -> Result<()> {
        let bytes = values.saturating_mul(size_of::<Value>());
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or_else(|| {
            Error::new(Code::CodecLimit, format!("the values take more than {LARGEST_VALUES} bytes"))
        })?;
        Ok(())
    }
}

#[cold]
fn within(field: &str, error: &Error) -> Error {
    Error::new(error.code(), format!("{field}: {}", error.text()))
}
