//! The field of type `base.Base` in a request, which the caller's framework fills (generic.md §7).

use std::collections::HashSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::builder::{thrift_binary, whole_struct};
use crate::base::{Code, Encoding, Error, Limits, Message, Result};
use crate::idl::schema::{Field, Schema, Struct, Type};
use crate::wire::thrift::{BinaryReader, BinaryWriter, TType};

/// The field of `base.Base` that both sides fill: a map of texts.
const EXTRA: i16 = 6;

/// Where a request holds its base.
pub(super) struct Place<'s> {
    /// The argument in which it is; `None` if the message is the struct itself.
    pub(super) argument: Option<i16>,
    /// The field in that struct.
    pub(super) field: &'s Field,
}

/// The struct's field of type `base.Base`.
pub(super) fn base_field(structure: &Struct) -> Option<&Field> {
    structure.declared().find(|field| field.is_base)
}

/// The message with `base` at its place. See [`Shape::with_base`](super::Shape::with_base).
pub(super) fn with_base(
    schema: &Schema,
    place: &Place<'_>,
    message: &Message,
    base: &Message,
) -> Result<Message> {
    thrift_binary(message)?;
    thrift_binary(base)?;
    let (bytes, base) = (message.bytes(), base.bytes());
    whole_struct(&base, Limits::DEFAULT.depth).map_err(|error| in_base(error.code(), error.text()))?;
    let given = fields(&base)?;
    check(schema, place.field, &given)?;
    let Some(found) = find(&bytes, place)? else { return Ok(message.clone()) };

    let written = bytes.get(found.value.clone()).unwrap_or_default();
    let mut out = BytesMut::with_capacity(bytes.len() + base.len() + 3);
    let mut writer = BinaryWriter::new(&mut out);
    writer.write_encoded(bytes.get(..found.start).unwrap_or_default());
    writer.write_field_begin(TType::Struct, place.field.id);
    merge(&mut writer, (&base, &given), written)?;
    writer.write_encoded(bytes.get(found.value.end..).unwrap_or_default());
    Ok(Message::new(Encoding::THRIFT_BINARY, out.freeze()))
}

/// Where the field begins, and its value; empty, before the struct's end, if it is absent.
struct Found {
    start: usize,
    value: Range<usize>,
}

/// `None` if the argument is absent.
fn find(bytes: &Bytes, place: &Place<'_>) -> Result<Option<Found>> {
    let mut reader = BinaryReader::new(bytes);
    reader.enter()?;
    if let Some(argument) = place.argument {
        loop {
            match reader.read_field_begin()? {
                None => return Ok(None),
                Some((TType::Struct, id)) if id == argument => break,
                Some((ttype, _)) => reader.skip(ttype)?,
            }
        }
        reader.enter()?;
    }
    loop {
        let start = reader.position();
        match reader.read_field_begin()? {
            None => return Ok(Some(Found { start, value: start..start })),
            Some((ttype, id)) => {
                let value = reader.position();
                reader.skip(ttype)?;
                if (ttype, id) == (TType::Struct, place.field.id) {
                    return Ok(Some(Found { start, value: value..reader.position() }));
                }
            }
        }
    }
}

/// Writes the fields of `base`, then those of the struct `written` that it does not have; of [`EXTRA`] the
/// pairs of both.
fn merge(writer: &mut BinaryWriter<'_>, (base, given): (&[u8], &[Part]), written: &[u8]) -> Result<()> {
    let others = if written.is_empty() { Vec::new() } else { fields(written)? };
    let is_extra = |part: &&Part| part.id == EXTRA && part.ttype == TType::Map;
    let mut extra = others.iter().find(is_extra).map(|part| part.of(written));
    for part in given {
        writer.write_field_begin(part.ttype, part.id);
        match extra.take_if(|_| is_extra(&part)) {
            Some(extra) => merge_extra(writer, part.of(base), extra)?,
            None => writer.write_encoded(part.of(base)),
        }
    }
    let ids: HashSet<i16> = given.iter().map(|part| part.id).collect();
    for part in others.iter().filter(|part| !ids.contains(&part.id)) {
        writer.write_field_begin(part.ttype, part.id);
        writer.write_encoded(part.of(written));
    }
    writer.write_stop();
    Ok(())
}

fn merge_extra(writer: &mut BinaryWriter<'_>, base: &[u8], written: &[u8]) -> Result<()> {
    let (base, written) = (pairs(base)?, pairs(written)?);
    let keys: HashSet<&[u8]> = base.iter().map(|(key, _)| *key).collect();
    let others: Vec<&(&[u8], &[u8])> = written.iter().filter(|(key, _)| !keys.contains(key)).collect();
    writer.write_map_begin(TType::String, TType::String, base.len() + others.len())?;
    for (key, value) in base.iter().chain(others) {
        writer.write_bytes(key)?;
        writer.write_bytes(value)?;
    }
    Ok(())
}

fn pairs(map: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let mut reader = BinaryReader::new(map);
    let (key, value, count) = reader.read_map_begin()?;
    if count > 0 && (key, value) != (TType::String, TType::String) {
        return Err(in_base(Code::TypeMismatch, "field Extra is a map of texts"));
    }
    (0..count).map(|_| Ok((reader.read_bytes()?, reader.read_bytes()?))).collect()
}

/// A field and where its value is.
struct Part {
    ttype: TType,
    id: i16,
    value: Range<usize>,
}

impl Part {
    fn of<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(self.value.clone()).unwrap_or_default()
    }
}

fn fields(bytes: &[u8]) -> Result<Vec<Part>> {
    let mut reader = BinaryReader::new(bytes);
    let mut parts = Vec::new();
    while let Some((ttype, id)) = reader.read_field_begin()? {
        let start = reader.position();
        reader.skip(ttype)?;
        parts.push(Part { ttype, id, value: start..reader.position() });
    }
    Ok(parts)
}

/// Fields that the IDL knows must have its types; others are the framework's business.
fn check(schema: &Schema, field: &Field, given: &[Part]) -> Result<()> {
    let Type::Struct(id) = field.ty else { return Ok(()) };
    for part in given {
        let known = schema.structure(id).field(part.id);
        if let Some(known) = known.filter(|known| known.ty.wire_type() != part.ttype as u8) {
            let (name, word) = (&known.name, known.ty.word());
            let text = format!("field {name} is {word} in the IDL, not {}", part.ttype.name());
            return Err(in_base(Code::TypeMismatch, &text));
        }
    }
    Ok(())
}

fn in_base(code: Code, problem: &str) -> Error {
    Error::new(code, format!("base: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::json::JsonOptions;
    use crate::codec::{CallShape, Shape};
    use crate::idl::{MemoryProvider, Options, compile};

    const BASE: &str = "
        struct TrafficEnv { 1: bool Open, 2: string Env }
        struct Base {
            1: string LogID, 2: string Caller, 3: string Addr, 4: string Client
            5: optional TrafficEnv TrafficEnv, 6: optional map<string, string> Extra
        }";
    const MAIN: &str = "include 'base.thrift'
        typedef base.Base Root
        struct Req { 1: string text, 255: base.Base base, 256: string more }
        struct Plain { 1: string text, 255: Root base }
        service S {
            void One(1: Req req)
            void Two(7: i32 number, 3: Req req)
            void First(9: Req req, 1: Req other)
            void Plain(1: Plain plain)
            void Text(1: string text)
            void None()
            Req Stream(1: Req req) (streaming.mode = 'server')
        }";

    fn schema() -> Arc<Schema> {
        let files = MemoryProvider::new().file("base.thrift", BASE).file("main.thrift", MAIN);
        compile("main.thrift", &files, &Options::default()).into_schema().unwrap()
    }

    fn options() -> JsonOptions {
        JsonOptions { fill_required: false, ..JsonOptions::strict() }
    }

    fn base(schema: &Arc<Schema>, json: &str) -> Message {
        let message = Shape::of_struct(schema, "base.Base").unwrap().from_json(json.as_bytes(), &options());
        message.unwrap()
    }

    fn merged(method: &str, request: &str, given: &str) -> String {
        let schema = schema();
        let shape = CallShape::find(&schema, method).unwrap().request();
        let request = shape.from_json(request.as_bytes(), &options()).unwrap();
        let merged = shape.with_base(&request, &base(&schema, given)).unwrap();
        String::from_utf8(shape.to_json(&merged, &options()).unwrap()).unwrap()
    }

    const GIVEN: &str = r#"{"LogID":"l","Caller":"c","Addr":"","Client":"","Extra":{"a":"1","b":"2"}}"#;

    #[test]
    fn the_frameworks_fields_win_and_other_extras_stay() {
        let request = r#"{"text":"t","base":{"LogID":"mine","Caller":"me","Addr":"here","Client":"",
            "TrafficEnv":{"Open":true,"Env":"e"},"Extra":{"b":"3","c":"4"}},"more":"m"}"#;
        let expected = "{\"text\":\"t\",\"base\":{\"LogID\":\"l\",\"Caller\":\"c\",\"Addr\":\"\",\"Client\":\"\",\
            \"Extra\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"4\"},\"TrafficEnv\":{\"Open\":true,\"Env\":\"e\"}},\"more\":\"m\"}";
        assert_eq!(merged("One", request, GIVEN), expected);
        assert_eq!(merged("Stream", request, GIVEN), expected);
        let without = r#"{"LogID":"l","Caller":"c","Addr":"","Client":""}"#;
        assert!(merged("One", request, without).contains(r#""Extra":{"b":"3","c":"4"}"#));
    }

    #[test]
    fn an_absent_base_is_put_at_the_end() {
        let schema = schema();
        let shape = CallShape::find(&schema, "One").unwrap().request();
        let request =
            Message::new(Encoding::THRIFT_BINARY, Bytes::from_static(b"\x0c\0\x01\x0b\0\x01\0\0\0\x01t\0\0"));
        let merged = shape.with_base(&request, &base(&schema, GIVEN)).unwrap();
        let json = shape.to_json(&merged, &options()).unwrap();
        let expected = format!(r#"{{"text":"t","base":{GIVEN}}}"#);
        assert_eq!(String::from_utf8(json).unwrap(), expected);
        let empty = Message::empty_struct();
        assert_eq!(
            shape.with_base(&empty, &merged),
            Err(Error::new(Code::TypeMismatch, "base: field LogID is string in the IDL, not struct",))
        );
        assert_eq!(shape.with_base(&empty, &base(&schema, GIVEN)).unwrap(), empty, "there is no argument");
    }

    #[test]
    fn only_the_first_argument_has_one_and_only_by_that_name() {
        let two = r#"{"number":1,"req":{"text":"t","base":{"LogID":"","Caller":"","Addr":"","Client":""},"more":""}}"#;
        assert_eq!(merged("Two", two, GIVEN), two);
        let given = merged("First", r#"{"req":{"text":"1"},"other":{"text":"2"}}"#, GIVEN);
        assert_eq!(given.matches(r#""LogID":"l""#).count(), 1);
        let plain = r#"{"text":"t","base":{"LogID":"x","Caller":"","Addr":"","Client":""}}"#;
        assert_eq!(merged("Plain", plain, GIVEN), plain, "a typedef is another name");
        assert_eq!(merged("Text", "\"x\"", GIVEN), "\"x\"");
        assert_eq!(merged("None", "{}", GIVEN), "{}");
    }

    #[test]
    fn results_have_none_and_broken_messages_are_refused() {
        let schema = schema();
        let call = CallShape::find(&schema, "One").unwrap();
        let (empty, given) = (Message::empty_struct(), base(&schema, GIVEN));
        let refused = call.result().unwrap().with_base(&empty, &given);
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        let whole =
            call.request().from_json(br#"{"text":"t","base":{"Extra":{"a":"b"}}}"#, &options()).unwrap();
        for bytes in (0..whole.len()).map(|end| whole.bytes().slice(..end)) {
            let cut = Message::new(Encoding::THRIFT_BINARY, bytes.clone());
            assert!(call.request().with_base(&whole, &cut).is_err(), "{bytes:?}");
            // What is behind the base is not looked at.
            let _ = call.request().with_base(&cut, &given);
        }
        let json = Message::new(Encoding::JSON, Bytes::from_static(b"{}"));
        assert_eq!(call.request().with_base(&json, &given).unwrap_err().code(), Code::Unsupported);
        let numbers = Message::new(
            Encoding::THRIFT_BINARY,
            Bytes::from_static(b"\x0d\0\x06\x08\x08\0\0\0\x01\0\0\0\x01\0\0\0\x02\0"),
        );
        let refused = call.request().with_base(&whole, &numbers).unwrap_err();
        assert_eq!(
            (refused.code(), refused.text()),
            (Code::TypeMismatch, "base: field Extra is a map of texts")
        );
    }
}
