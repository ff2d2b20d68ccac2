//! Values to Thrift Binary.

use bytes::Bytes;

use super::{Fields, Record, Value};
use crate::base::{Code, Encoding, Error, Limits, Message, Result};
use crate::codec::json::{write_absent, write_element_types};
use crate::idl::Schema;
use crate::idl::schema::{Category, Requiredness, Type};

impl Record {
    /// The struct in Thrift Binary. Fields that are not set and not optional get their default or zero; a
    /// required one without a value, and a union without exactly one member, is an error.
    pub fn encode(&self) -> Result<Message> {
        let mut encoder =
            Encoder { schema: &self.schema, out: Vec::new(), depth_left: Limits::DEFAULT.depth };
        encoder.fields(&self.fields)?;
        Ok(Message::new(Encoding::THRIFT_BINARY, Bytes::from(encoder.out)))
    }
}

struct Encoder<'a> {
    schema: &'a Schema,
    out: Vec<u8>,
    depth_left: u8,
}

impl Encoder<'_> {
    fn fields(&mut self, fields: &Fields) -> Result<()> {
        let structure = self.schema.structure(fields.id);
        self.enter()?;
        if structure.category == Category::Union {
            let set = fields.values.len() + usize::from(!fields.unknown.is_empty());
            if set != 1 {
                let text =
                    format!("write union {}: exactly one field must be set ({set} set)", structure.name);
                return Err(Error::new(Code::TypeMismatch, text));
            }
        }
        for field in structure.fields() {
            match fields.by_id(field.id) {
                Some(value) => {
                    let [a, b] = field.id.to_be_bytes();
                    self.out.extend_from_slice(&[field.ty.wire_type(), a, b]);
                    self.value(field.ty, value)?;
                }
                None if field.requiredness == Requiredness::Required && field.default.is_none() => {
                    let text = format!("required field {}.{} is not set", structure.name, field.name);
                    return Err(Error::new(Code::MissingField, text));
                }
                None if field.requiredness == Requiredness::Optional => {}
                None => write_absent(self.schema, field, &mut self.out),
            }
        }
        self.out.extend_from_slice(&fields.unknown);
        self.out.push(0);
        self.depth_left += 1;
        match self.out.len() > Limits::MAX_FRAME_BYTES {
            true => Err(Error::new(Code::CodecLimit, format!("more than {} bytes", Limits::MAX_FRAME_BYTES))),
            false => Ok(()),
        }
    }

    fn value(&mut self, ty: Type, value: &Value) -> Result<()> {
        match value {
            Value::Bool(value) => self.out.push(u8::from(*value)),
            Value::I8(value) => self.out.extend_from_slice(&value.to_be_bytes()),
            Value::I16(value) => self.out.extend_from_slice(&value.to_be_bytes()),
            Value::I32(value) => self.out.extend_from_slice(&value.to_be_bytes()),
            Value::I64(value) => self.out.extend_from_slice(&value.to_be_bytes()),
            Value::Double(value) => self.out.extend_from_slice(&value.to_be_bytes()),
            Value::Bytes(bytes) => {
                self.count(bytes.len())?;
                self.out.extend_from_slice(bytes);
            }
            Value::Struct(fields) => self.fields(fields)?,
            Value::List(items) => {
                self.enter()?;
                let [element, _] = write_element_types(self.schema, ty, &mut self.out);
                self.count(items.len())?;
                items.iter().try_for_each(|item| self.value(element, item))?;
                self.depth_left += 1;
            }
            Value::Map(pairs) => {
                self.enter()?;
                let [key, item] = write_element_types(self.schema, ty, &mut self.out);
                self.count(pairs.len())?;
                for (first, second) in pairs {
                    self.value(key, first)?;
                    self.value(item, second)?;
                }
                self.depth_left += 1;
            }
        }
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<()> {
        let count = i32::try_from(count)
            .map_err(|_| Error::new(Code::CodecLimit, "more than the protocol can count"))?;
        self.out.extend_from_slice(&count.to_be_bytes());
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(Error::new(Code::CodecLimit, "depth limit exceeded")),
        }
    }
}
