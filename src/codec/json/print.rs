//! Thrift Binary to JSON (generic.md §5).

use super::absent::{self, Shown};
use super::fault::{Fault, Result};
use super::options::{Absent, Binary, Enums, Int64, JsonOptions, NonFinite, Unknown};
use super::seen::Seen;
use super::{UNKNOWN_KEY, text};
use crate::base::json::push_string;
use crate::base::{self, Code, base64};
use crate::idl::Schema;
use crate::idl::schema::{Category, Field, Requiredness, Struct, StructId, Type, TypeId, Value};
use crate::wire::thrift::{BinaryReader, TType};

/// Appends the JSON of a struct in Thrift Binary. On failure `out` is as before.
pub fn struct_to_json(
    schema: &Schema,
    id: StructId,
    bytes: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    convert(schema, Type::Struct(id), bytes, options, out)
}

/// As [`struct_to_json`], for a value of any type.
pub fn value_to_json(
    schema: &Schema,
    id: TypeId,
    bytes: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    convert(schema, schema.ty(id), bytes, options, out)
}

fn convert(
    schema: &Schema,
    ty: Type,
    bytes: &[u8],
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> base::Result<()> {
    print(bytes, 0, schema, options, out, |printer| {
        printer.root(ty, None)?;
        printer.end()
    })
}

/// Runs a printer from a position of `bytes`, twice if a field comes twice.
pub(super) fn print<'a, T>(
    bytes: &'a [u8],
    position: usize,
    schema: &'a Schema,
    options: &'a JsonOptions,
    out: &mut Vec<u8>,
    run: impl Fn(&mut Printer<'a, '_>) -> Result<T>,
) -> base::Result<T> {
    let start = out.len();
    let mut result = run(&mut Printer::new(schema, bytes, position, options, out));
    if result.as_ref().is_err_and(Fault::is_start_again) {
        out.truncate(start);
        let mut printer = Printer::new(schema, bytes, position, options, out);
        printer.careful = true;
        result = run(&mut printer);
    }
    result.map_err(|fault| {
        out.truncate(start);
        fault.of_bytes()
    })
}

pub(super) struct Printer<'a, 'o> {
    schema: &'a Schema,
    options: &'a JsonOptions,
    pub(super) reader: BinaryReader<'a>,
    bytes: &'a [u8],
    pub(super) out: &'o mut Vec<u8>,
    /// Size of the output that must not be exceeded.
    largest: usize,
    /// Whether structs are searched for repeated fields before they are printed: the last one counts
    /// (codec.md §3 rule 14).
    careful: bool,
}

impl<'a, 'o> Printer<'a, 'o> {
    fn new(
        schema: &'a Schema,
        bytes: &'a [u8],
        position: usize,
        options: &'a JsonOptions,
        out: &'o mut Vec<u8>,
    ) -> Printer<'a, 'o> {
        out.reserve(bytes.len().saturating_sub(position));
        Printer {
            schema,
            options,
            reader: BinaryReader::resume(bytes, position, options.limits.depth),
            bytes,
            largest: out.len().saturating_add(options.limits.bytes),
            out,
            careful: false,
        }
    }

    /// Writes a value that is no member of a struct here, or of the given field.
    pub(super) fn root(&mut self, ty: Type, field: Option<&Field>) -> Result<()> {
        let as_text = match field {
            Some(field) => self.int64_as_text(field),
            None => self.options.int64 == Int64::Text,
        };
        self.value(ty, as_text)
    }

    /// Fails in strict mode if bytes are left; the reference ignores them.
    pub(super) fn end(&self) -> Result<()> {
        match self.reader.remaining() {
            n if n > 0 && self.options.strict => {
                let text = format!("{n} bytes after the value");
                Err(Fault::new(Code::Malformed, self.position(), text))
            }
            _ => Ok(()),
        }
    }

    /// Writes a value; i64 in quotes if `as_text`.
    pub(super) fn value(&mut self, ty: Type, as_text: bool) -> Result<()> {
        match ty {
            Type::Bool => {
                let value = self.read(BinaryReader::read_bool)?;
                self.out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Type::I8 => {
                let value = self.read(BinaryReader::read_i8)?;
                self.i8(value);
            }
            Type::I16 => {
                let value = self.read(BinaryReader::read_i16)?;
                text::push_integer(value.into(), self.out);
            }
            Type::I32 => {
                let value = self.read(BinaryReader::read_i32)?;
                text::push_integer(value.into(), self.out);
            }
            Type::Enum(_) => {
                let value = self.read(BinaryReader::read_i32)?;
                self.enumeration(ty, value);
            }
            Type::I64 => {
                let value = self.read(BinaryReader::read_i64)?;
                self.i64(value, as_text);
            }
            Type::Double => {
                let value = self.read(BinaryReader::read_double)?;
                self.double(value)?;
            }
            Type::String => {
                let value = self.read(BinaryReader::read_bytes)?;
                self.string(value)?;
            }
            Type::Binary => {
                let value = self.read(BinaryReader::read_bytes)?;
                self.binary(value)?;
            }
            Type::Struct(id) => return self.structure(id),
            Type::List(element) | Type::Set(element) => return self.list(self.schema.ty(element), as_text),
            Type::Map(key, value) => {
                return self.map(self.schema.ty(key), self.schema.ty(value), as_text);
            }
            Type::Uuid => return Err(Fault::new(Code::Unsupported, self.position(), "uuid")),
        }
        Ok(())
    }

    fn structure(&mut self, id: StructId) -> Result<()> {
        let structure = self.schema.structure(id);
        let start = self.position();
        self.enter()?;
        let last = if self.careful { Some(self.last_fields(structure)?) } else { None };
        let fields = structure.fields();
        let mut seen = Seen::new(fields.len());
        let mut unknown = Vec::new();
        let mut expected = 0;
        let open = self.out.len();
        self.out.push(b'{');
        loop {
            let header_at = self.position();
            let Some((ttype, id)) = self.read(BinaryReader::read_field_begin)? else { break };
            let position = match fields.get(expected) {
                Some(field) if field.id == id => Some(expected),
                _ => structure.position(id),
            };
            let found = position.and_then(|position| fields.get(position).map(|field| (position, field)));
            let Some((position, field)) = found else {
                self.unknown_field(structure, ttype, id, header_at, &mut unknown)?;
                continue;
            };
            expected = position + 1;
            if last.as_ref().is_some_and(|last| last.get(position) != Some(&header_at)) {
                self.read(|reader| reader.skip(ttype))?;
                continue;
            }
            if !seen.insert(position) {
                return Err(Fault::start_again());
            }
            self.member_key(field.key.as_bytes(), open);
            self.member(field, ttype).map_err(|fault| fault.in_member(field.key.as_bytes()))?;
        }
        if seen.count() < fields.len() {
            self.absent(structure, &seen, start, open)?;
        }
        if !unknown.is_empty() {
            self.member_key(UNKNOWN_KEY.as_bytes(), open);
            self.out.push(b'"');
            base64::encode(&unknown, self.out);
            self.out.push(b'"');
        }
        if self.options.strict && structure.category == Category::Union {
            // A member that only the sender knows is one, too (codec.md §8).
            self.check_union(&seen, start)?;
        }
        self.out.push(b'}');
        self.reader.leave();
        self.check_size()
    }

    #[inline]
    fn member(&mut self, field: &'a Field, ttype: TType) -> Result<()> {
        if ttype as u8 != field.ty.wire_type() {
            return Err(self.wrong_type(field.ty, ttype));
        }
        self.value(field.ty, self.int64_as_text(field))
    }

    /// Writes a key with what belongs before and behind it.
    #[inline]
    fn member_key(&mut self, key: &[u8], open: usize) {
        if self.out.len() > open + 1 {
            self.out.push(b',');
        }
        self.any_string(key);
        self.out.push(b':');
    }

    /// For each field, where the header of its last occurrence is in the struct that begins here.
    fn last_fields(&mut self, structure: &Struct) -> Result<Vec<usize>> {
        let back = self.reader.clone();
        let mut last = vec![usize::MAX; structure.fields().len()];
        loop {
            let header_at = self.position();
            let Some((ttype, id)) = self.read(BinaryReader::read_field_begin)? else { break };
            if let Some(slot) = structure.position(id).and_then(|position| last.get_mut(position)) {
                *slot = header_at;
            }
            self.read(|reader| reader.skip(ttype))?;
        }
        self.reader = back;
        Ok(last)
    }

    #[cold]
    fn unknown_field(
        &mut self,
        structure: &Struct,
        ttype: TType,
        id: i16,
        header_at: usize,
        kept: &mut Vec<u8>,
    ) -> Result<()> {
        if self.options.unknown == Unknown::Refuse {
            let text = format!("{} {} has no field {id}", structure.category.name(), structure.name);
            return Err(Fault::new(Code::UnknownField, header_at, text));
        }
        self.read(|reader| reader.skip(ttype))?;
        if self.options.unknown == Unknown::Keep {
            kept.extend_from_slice(self.bytes.get(header_at..self.position()).unwrap_or_default());
        }
        Ok(())
    }

    /// Writes what stands for fields that are not there.
    fn absent(&mut self, structure: &'a Struct, seen: &Seen, start: usize, open: usize) -> Result<()> {
        let fields = structure.fields().iter().enumerate();
        for (_, field) in fields.filter(|(position, _)| !seen.contains(*position)) {
            if field.requiredness == Requiredness::Required && !self.options.tolerate_missing {
                let text = format!("the required field {} is missing", field.id);
                let fault = Fault::new(Code::MissingField, start, text);
                return Err(fault.in_member(field.key.as_bytes()));
            }
            if let Some(shown) = absent::shown(structure, field, self.options) {
                self.member_key(field.key.as_bytes(), open);
                self.shown(field, shown).map_err(|fault| fault.in_member(field.key.as_bytes()))?;
            }
        }
        Ok(())
    }

    /// Writes a default by way of its bytes: then all options and checks apply to it.
    fn shown(&mut self, field: &'a Field, shown: Shown<'a>) -> Result<()> {
        let mut bytes = Vec::new();
        match shown {
            Shown::Default(Value::String(text)) => return self.string(text.as_bytes()),
            Shown::Default(value) => absent::write_value(self.schema, field.ty, value, &mut bytes),
            Shown::Zero => absent::write_zero(self.schema, field.ty, &mut bytes),
        }
        // The fields that a constant leaves out stay out: their defaults could contain each other.
        let options = JsonOptions { absent: Absent::Omit, tolerate_missing: true, ..self.options.clone() };
        let mut printer = Printer {
            schema: self.schema,
            options: &options,
            reader: BinaryReader::new(&bytes),
            bytes: &bytes,
            out: self.out,
            largest: self.largest,
            careful: false,
        };
        let as_text = printer.int64_as_text(field);
        printer.value(field.ty, as_text)
    }

    fn check_union(&self, seen: &Seen, start: usize) -> Result<()> {
        match seen.count() {
            0 | 1 => Ok(()),
            n => {
                let text = format!("at most one member of a union is set, not {n}");
                Err(Fault::new(Code::TypeMismatch, start, text))
            }
        }
    }

    fn list(&mut self, element: Type, as_text: bool) -> Result<()> {
        self.enter()?;
        let (ttype, count) = self.read(BinaryReader::read_list_begin)?;
        if count > 0 && ttype as u8 != element.wire_type() {
            return Err(self.wrong_elements("elements", element, ttype));
        }
        self.check_count(count)?;
        self.out.push(b'[');
        for index in 0..count {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(element, as_text).map_err(|fault| fault.in_element(index))?;
        }
        self.out.push(b']');
        self.reader.leave();
        self.check_size()
    }

    fn map(&mut self, key: Type, value: Type, as_text: bool) -> Result<()> {
        self.check_key_type(key)?;
        self.enter()?;
        let (key_type, value_type, count) = self.read(BinaryReader::read_map_begin)?;
        if count > 0 && key_type as u8 != key.wire_type() {
            return Err(self.wrong_elements("keys", key, key_type));
        }
        if count > 0 && value_type as u8 != value.wire_type() {
            return Err(self.wrong_elements("values", value, value_type));
        }
        self.check_count(count)?;
        self.out.push(b'{');
        for index in 0..count {
            if index > 0 {
                self.out.push(b',');
            }
            let key_at = self.out.len();
            self.key(key).map_err(|fault| fault.in_element(index))?;
            let value_at = self.out.len();
            self.value(value, as_text).map_err(|fault| {
                let key = self.out.get(key_at + 1..value_at.saturating_sub(2)).unwrap_or_default();
                fault.in_member(key)
            })?;
        }
        self.out.push(b'}');
        self.reader.leave();
        self.check_size()
    }

    fn i8(&mut self, value: i8) {
        let value = match self.options.i8_unsigned {
            true => i64::from(value.cast_unsigned()),
            false => i64::from(value),
        };
        text::push_integer(value, self.out);
    }

    #[inline]
    fn i64(&mut self, value: i64, as_text: bool) {
        if as_text {
            self.out.push(b'"');
        }
        text::push_integer(value, self.out);
        if as_text {
            self.out.push(b'"');
        }
    }

    pub(super) fn has_bare_strings(&self) -> bool {
        self.options.bare_strings
    }

    pub(super) fn names_enums(&self) -> bool {
        self.options.enums == Enums::Name
    }

    fn enumeration(&mut self, ty: Type, value: i32) {
        let name = match ty {
            Type::Enum(id) if self.names_enums() => self.schema.enumeration(id).by_number(value),
            _ => None,
        };
        match name {
            Some(named) => self.any_string(named.name.as_bytes()),
            None => text::push_integer(value.into(), self.out),
        }
    }

    /// Writes an enum with quotes, whether it has a name or not.
    pub(super) fn quoted_enum(&mut self, ty: Type) -> Result<()> {
        let start = self.out.len();
        self.value(ty, false)?;
        if self.out.get(start) != Some(&b'"') {
            self.out.insert(start, b'"');
            self.out.push(b'"');
        }
        Ok(())
    }

    fn double(&mut self, value: f64) -> Result<()> {
        if value.is_finite() {
            text::push_double(value, self.out);
            return Ok(());
        }
        match self.options.non_finite {
            NonFinite::Null => self.out.extend_from_slice(b"null"),
            NonFinite::Refuse => {
                let text = "NaN and infinities have no form in JSON";
                return Err(Fault::new(Code::TypeMismatch, self.position().saturating_sub(8), text));
            }
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self, value: &[u8]) -> Result<()> {
        if self.options.escape_html || !push_string(value, self.out) {
            return self.special_string(value);
        }
        Ok(())
    }

    #[cold]
    fn special_string(&mut self, value: &[u8]) -> Result<()> {
        if self.options.strict && std::str::from_utf8(value).is_err() {
            let at = self.position().saturating_sub(value.len());
            return Err(Fault::new(Code::Malformed, at, "the string is not UTF-8"));
        }
        self.any_string(value);
        Ok(())
    }

    /// Writes a string that is known, or need not be, UTF-8.
    #[inline]
    fn any_string(&mut self, value: &[u8]) {
        if self.options.escape_html {
            text::push_html_safe(value, self.out);
        } else if !push_string(value, self.out) {
            text::push_lossy(value, self.out);
        }
    }

    fn binary(&mut self, value: &[u8]) -> Result<()> {
        match self.options.binary {
            Binary::Text => return self.string(value),
            Binary::Base64 => {
                self.out.push(b'"');
                base64::encode(value, self.out);
                self.out.push(b'"');
            }
        }
        Ok(())
    }

    #[inline]
    fn int64_as_text(&self, field: &Field) -> bool {
        match self.options.int64 {
            Int64::Annotated => field.js_conv,
            Int64::Number => false,
            Int64::Text => true,
        }
    }

    #[inline]
    pub(super) fn position(&self) -> usize {
        self.reader.position()
    }

    #[inline]
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut BinaryReader<'a>) -> base::Result<T>,
    ) -> Result<T> {
        match read(&mut self.reader) {
            Ok(value) => Ok(value),
            Err(error) => Err(reading(&error)),
        }
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Result<()> {
        match self.reader.enter() {
            Ok(()) => Ok(()),
            Err(_) => Err(Fault::too_deep(self.position(), self.options.limits.depth)),
        }
    }

    #[inline]
    fn check_size(&self) -> Result<()> {
        if self.out.len() <= self.largest {
            return Ok(());
        }
        Err(Fault::too_large(self.position(), self.options.limits.bytes))
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if count <= self.options.limits.elements {
            return Ok(());
        }
        Err(Fault::too_many(self.position(), self.options.limits.elements))
    }

    #[cold]
    pub(super) fn wrong_type(&self, wanted: Type, found: TType) -> Fault {
        let text = format!("need {} type, but got: {}", wanted.word(), found.name());
        Fault::new(Code::TypeMismatch, self.position().saturating_sub(3), text)
    }

    #[cold]
    fn wrong_elements(&self, what: &str, wanted: Type, found: TType) -> Fault {
        let text = format!("need {} type for {what}, but got: {}", wanted.word(), found.name());
        Fault::new(Code::TypeMismatch, self.position(), text)
    }
}

/// The reader's errors end with their position.
#[cold]
fn reading(error: &base::Error) -> Fault {
    let (text, at) = error.text().rsplit_once(" at byte ").unwrap_or((error.text(), ""));
    Fault::new(error.code(), at.parse().unwrap_or(0), text)
}
