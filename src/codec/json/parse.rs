//! JSON to Thrift Binary (generic.md §4).

use super::fault::{Fault, Result};
use super::options::{Binary, Duplicates, JsonOptions, Unknown};
use super::seen::Seen;
use super::{UNKNOWN_KEY, absent};
use crate::base::json::{Kind, Scanner};
use crate::base::{self, Code, base64};
use crate::idl::Schema;
use crate::idl::schema::{Category, Field, Struct, StructId, Type, TypeId};
use crate::wire::thrift::BinaryReader;

/// Appends the Thrift Binary of a struct whose JSON is `json`. On failure `out` is as before.
pub fn json_to_struct(
    schema: &Schema,
    id: StructId,
    json: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    convert(schema, (Type::Struct(id), None), json, options, out)
}

/// As [`json_to_struct`], for a value of any type.
pub fn json_to_value(
    schema: &Schema,
    id: TypeId,
    json: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    convert(schema, (schema.ty(id), None), json, options, out)
}

/// Converts a value, and wraps it into a struct of one field if that field's id is given.
pub(super) fn convert(
    schema: &Schema,
    root: (Type, Option<i16>),
    json: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    let start = out.len();
    let mut result = Parser::new(schema, json, options, out).document(root);
    if result.as_ref().is_err_and(Fault::is_start_again) {
        out.truncate(start);
        let mut parser = Parser::new(schema, json, options, out);
        parser.careful = true;
        result = parser.document(root);
    }
    result.map_err(|fault| {
        out.truncate(start);
        fault.of_json(json)
    })
}

pub(super) struct Parser<'a, 'o> {
    pub(super) schema: &'a Schema,
    pub(super) options: &'a JsonOptions,
    pub(super) scan: Scanner<'a>,
    pub(super) out: &'o mut Vec<u8>,
    /// Size of the output that must not be exceeded.
    largest: usize,
    depth_left: u8,
    /// Position of the first byte that is not UTF-8; only looked for in strict mode.
    not_utf8: usize,
    /// Whether objects are searched for repeated members before they are read: then the last one can
    /// win without ever having two on the wire.
    careful: bool,
}

impl<'a, 'o> Parser<'a, 'o> {
    fn new(
        schema: &'a Schema,
        json: &'a [u8],
        options: &'a JsonOptions,
        out: &'o mut Vec<u8>,
    ) -> Parser<'a, 'o> {
        let not_utf8 = match options.strict {
            true => std::str::from_utf8(json).map_or_else(|error| error.valid_up_to(), |_| usize::MAX),
            false => usize::MAX,
        };
        out.reserve(json.len());
        Parser {
            schema,
            options,
            scan: Scanner::new(json),
            largest: out.len().saturating_add(options.limits.bytes),
            out,
            depth_left: options.limits.depth,
            not_utf8,
            careful: false,
        }
    }

    fn document(&mut self, (ty, wrapper): (Type, Option<i16>)) -> Result<()> {
        if let Some(id) = wrapper {
            self.enter()?;
            let [a, b] = id.to_be_bytes();
            self.out.extend_from_slice(&[ty.wire_type(), a, b]);
        }
        self.value(ty)?;
        if wrapper.is_some() {
            self.out.push(0);
        }
        self.scan.expect_end()?;
        match self.not_utf8 {
            usize::MAX => Ok(()),
            at => Err(not_utf8(at)),
        }
    }

    /// Writes a value without a header.
    pub(super) fn value(&mut self, ty: Type) -> Result<()> {
        match ty {
            Type::Bool => {
                let value = self.bool()?;
                self.out.push(u8::from(value));
            }
            Type::I8 => {
                let [.., low] = self.integer(ty)?.to_be_bytes();
                self.out.push(low);
            }
            Type::I16 => {
                let [.., a, b] = self.integer(ty)?.to_be_bytes();
                self.out.extend_from_slice(&[a, b]);
            }
            Type::I32 => {
                let [.., a, b, c, d] = self.integer(ty)?.to_be_bytes();
                self.out.extend_from_slice(&[a, b, c, d]);
            }
            Type::Enum(id) => {
                let [.., a, b, c, d] = self.enumeration(id)?.to_be_bytes();
                self.out.extend_from_slice(&[a, b, c, d]);
            }
            Type::I64 => {
                let value = self.integer(ty)?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::Double => {
                let value = self.double()?;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Type::String => return self.string(),
            Type::Binary => return self.binary(),
            Type::Struct(id) => return self.structure(id),
            Type::List(element) | Type::Set(element) => return self.list(self.schema.ty(element)),
            Type::Map(key, value) => return self.map(key, value),
            Type::Uuid => return Err(self.unsupported_uuid()),
        }
        Ok(())
    }

    #[cold]
    fn unsupported_uuid(&mut self) -> Fault {
        Fault::new(Code::Unsupported, self.next(), "uuid is not a type of Kitex")
    }

    fn structure(&mut self, id: StructId) -> Result<()> {
        let structure = self.schema.structure(id);
        self.enter()?;
        let start = self.next();
        let mut seen = Seen::new(structure.fields().len());
        if self.scan.take(b'{') {
            self.members(structure, &mut seen)?;
        } else {
            self.coerce(Kind::Object)?;
        }
        if seen.count() < structure.fields().len() {
            self.fill(structure, &seen, start)?;
        }
        self.out.push(0);
        self.leave();
        self.check_size()
    }

    /// Reads an object behind its `{`.
    fn members(&mut self, structure: &'a Struct, seen: &mut Seen) -> Result<()> {
        let fields = structure.fields();
        let last = if self.careful { Some(self.last_members(structure)?) } else { None };
        let union = self.options.strict && structure.category == Category::Union;
        let (start, mut alternatives) = (self.scan.position() - 1, 0usize);
        let mut expected = 0;
        let mut more = !self.scan.take(b'}');
        while more {
            let key_at = self.next();
            let key = self.scan.string()?;
            self.scan.expect(b':')?;
            match find(structure, &mut expected, &key) {
                Some(position) => {
                    let Some(field) = fields.get(position) else { break };
                    if last.as_ref().is_some_and(|last| last.get(position) != Some(&key_at)) {
                        self.skip().map_err(|fault| fault.in_member(&key))?;
                    } else if !seen.insert(position) {
                        self.repeated(&key, key_at)?;
                    } else {
                        let set = self.member(structure, field).map_err(|fault| fault.in_member(&key))?;
                        alternatives += usize::from(set);
                    }
                }
                None => alternatives += usize::from(self.unknown_member(structure, &key, key_at)?),
            }
            more = self.scan.more(b'}')?;
        }
        if union && alternatives != 1 {
            let text = format!("exactly one member of a union is set, not {alternatives}");
            return Err(Fault::new(Code::TypeMismatch, start, text));
        }
        Ok(())
    }

    /// Writes a field whose key has been read; whether it had a value.
    #[inline]
    fn member(&mut self, structure: &'a Struct, field: &'a Field) -> Result<bool> {
        if self.scan.take_null()? {
            let at = self.scan.position() - "null".len();
            self.fill_field(structure, field, at, "is null")?;
            return Ok(false);
        }
        let [a, b] = field.id.to_be_bytes();
        self.out.extend_from_slice(&[field.ty.wire_type(), a, b]);
        self.value(field.ty)?;
        Ok(true)
    }

    #[cold]
    fn repeated(&mut self, key: &[u8], at: usize) -> Result<()> {
        match self.options.duplicates {
            Duplicates::First => self.skip().map_err(|fault| fault.in_member(key)),
            Duplicates::Last => Err(Fault::start_again()),
            Duplicates::Refuse => {
                Err(Fault::new(Code::Malformed, at, "the member comes twice").in_member(key))
            }
        }
    }

    /// For each field, where its last key stands in the object that was just opened.
    fn last_members(&mut self, structure: &'a Struct) -> Result<Vec<usize>> {
        let start = self.scan.position();
        let mut last = vec![usize::MAX; structure.fields().len()];
        let mut expected = 0;
        let mut more = !self.scan.take(b'}');
        while more {
            let key_at = self.next();
            let key = self.scan.string()?;
            self.scan.expect(b':')?;
            let position = find(structure, &mut expected, &key);
            if let Some(slot) = position.and_then(|position| last.get_mut(position)) {
                *slot = key_at;
            }
            self.skip().map_err(|fault| fault.in_member(&key))?;
            more = self.scan.more(b'}')?;
        }
        self.scan.rewind(start);
        Ok(last)
    }

    /// Whether the member stood for fields that are kept.
    #[cold]
    fn unknown_member(&mut self, structure: &'a Struct, key: &[u8], at: usize) -> Result<bool> {
        match self.options.unknown {
            Unknown::Refuse => {
                let text = format!("{} {} has no such field", structure.category.name(), structure.name);
                Err(Fault::new(Code::UnknownField, at, text).in_member(key))
            }
            Unknown::Keep if key == UNKNOWN_KEY.as_bytes() => {
                self.kept(structure).map_err(|fault| fault.in_member(key))
            }
            _ => self.skip().map(|()| false).map_err(|fault| fault.in_member(key)),
        }
    }

    /// Writes fields that were unknown when the JSON was made; whether there are any.
    fn kept(&mut self, structure: &'a Struct) -> Result<bool> {
        let at = self.next();
        let text = self.scan.string()?;
        let mut bytes = Vec::new();
        base64::decode(&text, &mut bytes).map_err(|_| not_base64(at))?;
        let mut reader = BinaryReader::with_depth_limit(&bytes, self.depth_left);
        while reader.remaining() > 0 {
            let field = reader.read_field_begin().and_then(|field| match field {
                Some((ttype, id)) => reader.skip(ttype).map(|()| Some(id)),
                None => Ok(None),
            });
            let wrong = match field {
                Ok(Some(id)) if structure.position(id).is_none() => continue,
                Ok(Some(id)) => format!("field {id} is known, but comes as an unknown one"),
                Ok(None) => String::from("a STOP among unknown fields"),
                Err(error) => format!("unknown fields: {}", error.text()),
            };
            return Err(Fault::new(Code::Malformed, at, wrong));
        }
        self.out.extend_from_slice(&bytes);
        Ok(!bytes.is_empty())
    }

    /// Writes what stands for fields that were not met in an object.
    fn fill(&mut self, structure: &'a Struct, seen: &Seen, at: usize) -> Result<()> {
        let fields = structure.fields().iter().enumerate();
        for (_, field) in fields.filter(|(position, _)| !seen.contains(*position)) {
            self.fill_field(structure, field, at, "is missing")
                .map_err(|fault| fault.in_member(field.key.as_bytes()))?;
        }
        Ok(())
    }

    fn fill_field(&mut self, structure: &Struct, field: &'a Field, at: usize, why: &str) -> Result<()> {
        if absent::is_filled(structure, field, self.options).ok_or_else(|| missing(at, why))? {
            absent::write_field(self.schema, field, self.options, self.out);
        }
        Ok(())
    }

    fn list(&mut self, element: Type) -> Result<()> {
        self.enter()?;
        let header = self.out.len();
        self.out.extend_from_slice(&[element.wire_type(), 0, 0, 0, 0]);
        let mut count = 0usize;
        if self.scan.take(b'[') {
            let mut more = !self.scan.take(b']');
            while more {
                self.element(element).map_err(|fault| fault.in_element(count))?;
                count += 1;
                more = self.scan.more(b']')?;
                if count > self.options.limits.elements {
                    return Err(Fault::too_many(self.scan.position(), self.options.limits.elements));
                }
            }
        } else if self.coerce_list()? {
            self.value(element)?;
            count = 1;
        }
        self.patch(header + 1, count)?;
        self.leave();
        self.check_size()
    }

    /// A value in a container, where there may be no null.
    #[inline]
    pub(super) fn element(&mut self, ty: Type) -> Result<()> {
        if self.scan.peek() == Some(b'n') {
            return self.null_element(ty);
        }
        self.value(ty)
    }

    #[cold]
    fn null_element(&mut self, ty: Type) -> Result<()> {
        let at = self.next();
        if !self.scan.take_null()? {
            return Err(self.scan.unexpected("a value").into());
        }
        if self.options.strict {
            return Err(Fault::new(Code::TypeMismatch, at, "null in a container"));
        }
        absent::write_zero(self.schema, ty, self.out);
        Ok(())
    }

    fn map(&mut self, key: TypeId, value: TypeId) -> Result<()> {
        self.enter()?;
        let (key, value) = (self.schema.ty(key), self.schema.ty(value));
        self.check_key_type(key)?;
        let header = self.out.len();
        self.out.extend_from_slice(&[key.wire_type(), value.wire_type(), 0, 0, 0, 0]);
        let mut count = 0usize;
        let mut keys = (self.options.duplicates == Duplicates::Refuse).then(std::collections::HashSet::new);
        if self.scan.take(b'{') {
            let mut more = !self.scan.take(b'}');
            while more {
                let key_at = self.next();
                let text = self.scan.string()?;
                self.check_text(key_at)?;
                self.scan.expect(b':')?;
                let in_member = |fault: Fault| fault.in_member(&text);
                let start = self.out.len();
                self.key(key, &text, key_at).map_err(in_member)?;
                if let Some(keys) = &mut keys {
                    let bytes = self.out.get(start..).unwrap_or_default();
                    if !keys.insert(Box::<[u8]>::from(bytes)) {
                        return Err(in_member(Fault::new(Code::Malformed, key_at, "the key comes twice")));
                    }
                }
                self.element(value).map_err(in_member)?;
                count += 1;
                more = self.scan.more(b'}')?;
                if count > self.options.limits.elements {
                    return Err(Fault::too_many(self.scan.position(), self.options.limits.elements));
                }
            }
        } else {
            self.coerce(Kind::Object)?;
        }
        self.patch(header + 2, count)?;
        self.leave();
        self.check_size()
    }

    fn string(&mut self) -> Result<()> {
        if self.scan.peek() != Some(b'"') {
            return self.coerce_string();
        }
        let at = self.scan.position();
        if let Some(plain) = self.scan.plain_string() {
            let length = wire_length(plain.len(), at)?;
            self.out.extend_from_slice(&length);
            self.out.extend_from_slice(plain);
        } else {
            let header = self.out.len();
            self.out.extend_from_slice(&[0; 4]);
            self.scan.string_into(self.out)?;
            self.patch(header, self.out.len() - header - 4)?;
        }
        self.check_text(at)
    }

    fn binary(&mut self) -> Result<()> {
        let at = self.next();
        let text = match self.scan.peek() {
            Some(b'"') => self.scan.string()?,
            _ => self.coerce_text()?,
        };
        self.binary_text(&text, at)
    }

    /// Writes a binary whose text in JSON starts at `at`.
    pub(super) fn binary_text(&mut self, text: &[u8], at: usize) -> Result<()> {
        let header = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        match self.options.binary {
            Binary::Base64 => base64::decode(text, self.out).map_err(|_| not_base64(at))?,
            Binary::Text => self.out.extend_from_slice(text),
        }
        self.patch(header, self.out.len() - header - 4)
    }

    /// Fails if the string that ends here and starts at `at` is no text.
    #[inline]
    pub(super) fn check_text(&self, at: usize) -> Result<()> {
        if !self.options.strict {
            return Ok(());
        }
        if self.scan.position() > self.not_utf8 {
            return Err(not_utf8(self.not_utf8));
        }
        match self.scan.has_half_pairs() {
            true => Err(Fault::new(Code::Malformed, at, "half of a surrogate pair")),
            false => Ok(()),
        }
    }

    /// Writes a count or length where room was left for it.
    fn patch(&mut self, at: usize, count: usize) -> Result<()> {
        let bytes = wire_length(count, self.scan.position())?;
        if let Some(room) = self.out.get_mut(at..).and_then(|room| room.first_chunk_mut()) {
            *room = bytes;
        }
        Ok(())
    }

    /// Steps over the next value; its text.
    pub(super) fn skip(&mut self) -> Result<()> {
        let depth = self.options.limits.depth;
        self.scan.skip(self.depth_left.into()).map_err(|skip| Fault::skipping(skip, depth))
    }

    /// Where the next value begins.
    #[inline]
    pub(super) fn next(&mut self) -> usize {
        self.scan.peek();
        self.scan.position()
    }

    /// The text that was read since a position.
    pub(super) fn text_since(&self, at: usize) -> &'a [u8] {
        self.scan.since(at)
    }

    #[inline]
    fn enter(&mut self) -> Result<()> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(Fault::too_deep(self.next(), self.options.limits.depth)),
        }
    }

    #[inline]
    fn leave(&mut self) {
        self.depth_left += 1;
    }

    #[inline]
    fn check_size(&self) -> Result<()> {
        if self.out.len() <= self.largest {
            return Ok(());
        }
        Err(Fault::too_large(self.scan.position(), self.options.limits.bytes))
    }
}

/// The position of the field with this key. Members mostly come in the order of the fields, so the one
/// behind the last is tried before any table.
#[inline]
fn find(structure: &Struct, expected: &mut usize, key: &[u8]) -> Option<usize> {
    let position = match structure.fields().get(*expected) {
        Some(field) if field.key.as_bytes() == key => *expected,
        _ => structure.position_by_key(std::str::from_utf8(key).ok()?)?,
    };
    *expected = position + 1;
    Some(position)
}

fn wire_length(length: usize, at: usize) -> Result<[u8; 4]> {
    match i32::try_from(length) {
        Ok(length) => Ok(length.to_be_bytes()),
        Err(_) => Err(Fault::new(Code::CodecLimit, at, "more than the protocol can count")),
    }
}

#[cold]
fn missing(at: usize, why: &str) -> Fault {
    Fault::new(Code::MissingField, at, format!("the required field {why}"))
}

#[cold]
fn not_utf8(at: usize) -> Fault {
    Fault::new(Code::Malformed, at, "not UTF-8")
}

#[cold]
fn not_base64(at: usize) -> Fault {
    Fault::new(Code::Malformed, at, "not base64")
}
