//! JSON text, indented, and values of the schema in it.

use std::fmt::Write;

use crate::base::base64;
use crate::base::json::push_string;
use crate::idl::schema::{Schema, Type, TypeId, Value};

/// Writes JSON in the order it is told to. Commas and indentation come by themselves.
#[derive(Default)]
pub(crate) struct JsonWriter {
    out: String,
    /// For each open array or object, whether it has an element already.
    open: Vec<bool>,
    /// A key has been written and waits for its value.
    after_key: bool,
}

impl JsonWriter {
    pub(crate) fn finish(mut self) -> String {
        self.out.push('\n');
        self.out
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut JsonWriter)) {
        self.open_object();
        fill(self);
        self.close_object();
    }

    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut JsonWriter)) {
        self.open_array();
        fill(self);
        self.close_array();
    }

    pub(crate) fn open_object(&mut self) {
        self.open('{');
    }

    pub(crate) fn close_object(&mut self) {
        self.close('}');
    }

    pub(crate) fn open_array(&mut self) {
        self.open('[');
    }

    pub(crate) fn close_array(&mut self) {
        self.close(']');
    }

    fn open(&mut self, bracket: char) {
        self.element();
        self.out.push(bracket);
        self.open.push(false);
    }

    fn close(&mut self, bracket: char) {
        if self.open.pop() == Some(true) {
            self.new_line();
        }
        self.out.push(bracket);
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.element();
        quote_into(&mut self.out, key);
        self.out.push_str(": ");
        self.after_key = true;
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.element();
        quote_into(&mut self.out, text);
    }

    /// A number, `true`, `false` or `null`.
    pub(crate) fn plain(&mut self, plain: impl std::fmt::Display) {
        self.element();
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{plain}");
    }

    pub(crate) fn text_field(&mut self, key: &str, text: &str) {
        self.key(key);
        self.text(text);
    }

    pub(crate) fn plain_field(&mut self, key: &str, plain: impl std::fmt::Display) {
        self.key(key);
        self.plain(plain);
    }

    /// Separates from what is before; a value behind its key is no new element.
    fn element(&mut self) {
        if std::mem::take(&mut self.after_key) {
            return;
        }
        if let Some(filled) = self.open.last_mut() {
            if std::mem::replace(filled, true) {
                self.out.push(',');
            }
            self.new_line();
        }
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.open.len()));
    }
}

impl JsonWriter {
    /// A value as the JSON codec reads it: enums as numbers, binary in base64, structs by key. A map
    /// whose keys have no text is an array of pairs.
    pub(crate) fn value(&mut self, schema: &Schema, ty: TypeId, value: &Value) {
        match (value, schema.ty(ty)) {
            (Value::List(items), Type::List(element) | Type::Set(element)) => self.array(|json| {
                items.iter().for_each(|item| json.value(schema, element, item));
            }),
            (Value::Map(entries), Type::Map(key, item)) => self.map(schema, (key, item), entries),
            (Value::Struct(fields), Type::Struct(id)) => self.object(|json| {
                for (number, value) in fields.iter() {
                    if let Some(field) = schema.structure(id).field(*number) {
                        json.key(&field.key);
                        json.value(schema, field.type_id, value);
                    }
                }
            }),
            (scalar, _) => self.scalar(scalar),
        }
    }

    fn map(&mut self, schema: &Schema, (key, item): (TypeId, TypeId), entries: &[(Value, Value)]) {
        let keys: Option<Vec<String>> = entries.iter().map(|(key, _)| key_text(key)).collect();
        match keys {
            Some(keys) => self.object(|json| {
                for (text, (_, value)) in keys.iter().zip(entries) {
                    json.key(text);
                    json.value(schema, item, value);
                }
            }),
            None => self.array(|json| {
                for (first, second) in entries {
                    json.array(|json| {
                        json.value(schema, key, first);
                        json.value(schema, item, second);
                    });
                }
            }),
        }
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Bool(flag) => self.plain(flag),
            Value::Int(number) => self.plain(number),
            Value::Enum(number) => self.plain(number),
            // `{:?}` keeps the point of 1.0, which tells a double from an integer.
            Value::Double(number) => self.plain(format_args!("{number:?}")),
            text => self.text(&key_text(text).unwrap_or_default()),
        }
    }
}

/// A value as text, also where it is the key of an object; `None` if it has no text.
fn key_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Enum(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::String(text) => text.to_string(),
        Value::Binary(bytes) => {
            let mut text = Vec::new();
            base64::encode(bytes, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
        Value::Uuid(bytes) => uuid(bytes),
        Value::List(_) | Value::Map(_) | Value::Struct(_) => return None,
    })
}

/// `00112233-4455-6677-8899-aabbccddeeff`
fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Appends a JSON string.
pub(crate) fn quote_into(out: &mut String, text: &str) {
    let mut quoted = Vec::new();
    push_string(text.as_bytes(), &mut quoted);
    out.push_str(&String::from_utf8_lossy(&quoted));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_commas_and_escapes() {
        let mut json = JsonWriter::default();
        json.object(|json| {
            json.text_field("a\n", "\"\u{1}");
            json.key("b");
            json.array(|json| {
                json.plain(1);
                json.array(|_| {});
            });
        });
        assert_eq!(json.finish(), "{\n  \"a\\n\": \"\\\"\\u0001\",\n  \"b\": [\n    1,\n    []\n  ]\n}\n");
    }
}
