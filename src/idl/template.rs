//! A JSON request or result to start from: every field with its default or a value of its type.

use std::fmt::Write;

use crate::idl::json::{JsonWriter, quote_into};
use crate::idl::schema::{
    Category, EnumId, Field, MethodError, Requiredness, Schema, Struct, StructId, Type, TypeId, Value,
};

/// What a template shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// JSON that can be sent as it is.
    Json,
    /// The same with id, requiredness and type of each field as `//` comments.
    Commented,
}

/// Fields written before a template stops going deeper: structs of structs multiply.
const FIELDS: usize = 10_000;

/// Values within values before a template stops going deeper.
const LEVELS: usize = 64;

/// Names of enum values or of a union's members that a comment lists.
const CHOICES: usize = 12;

/// The request of a method, found as [`Schema::find_method`] does: the value of its only argument, or an
/// object of all arguments if it has none or several (generic.md §3).
pub fn request(schema: &Schema, method: &str, style: Style) -> Result<String, MethodError> {
    let method = schema.method(schema.find_method(method)?);
    let mut template = Template::new(schema, style);
    let (note, noted) = match schema.only_argument(method) {
        Some(only) => {
            let note = template.note(only);
            let noted = template.field_value(only, &note);
            (note, noted)
        }
        None => (String::new(), template.object(schema.structure(method.arguments), "")),
    };
    if !noted {
        template.comment(&note);
    }
    template.out.push('\n');
    Ok(template.out)
}

/// The result of a method, found as [`Schema::find_method`] does; `null` if it has none.
pub fn result(schema: &Schema, method: &str, style: Style) -> Result<String, MethodError> {
    let method = schema.method(schema.find_method(method)?);
    let mut template = Template::new(schema, style);
    match method.response {
        Some(response) => drop(template.value(response, "")),
        None => template.out.push_str("null"),
    }
    template.out.push('\n');
    Ok(template.out)
}

struct Template<'a> {
    schema: &'a Schema,
    style: Style,
    out: String,
    /// Structs that are being written: meeting one again ends the recursion.
    open: Vec<StructId>,
    depth: usize,
    /// How many values are open.
    levels: usize,
    fields: usize,
}

impl<'a> Template<'a> {
    fn new(schema: &'a Schema, style: Style) -> Template<'a> {
        Template { schema, style, out: String::new(), open: Vec::new(), depth: 0, levels: 0, fields: 0 }
    }

    /// Writes a value; whether the note has been written too, which it is where more lines follow.
    fn field_value(&mut self, field: &'a Field, note: &str) -> bool {
        match &field.default {
            Some(default) => {
                self.default(field.type_id, default);
                false
            }
            None => self.value(field.type_id, note),
        }
    }

    /// A default, laid out as it stands here.
    fn default(&mut self, ty: TypeId, default: &Value) {
        let mut json = JsonWriter::default();
        json.value(self.schema, ty, default);
        let indented = json.finish().trim_end().replace('\n', &format!("\n{}", self.indent()));
        self.out.push_str(&indented);
    }

    fn value(&mut self, ty: TypeId, note: &str) -> bool {
        self.levels += 1;
        let noted = self.example(ty, note);
        self.levels -= 1;
        noted
    }

    fn example(&mut self, ty: TypeId, note: &str) -> bool {
        match self.schema.ty(ty) {
            Type::Struct(id) => return self.structure(id, note),
            Type::List(element) | Type::Set(element) => self.around('[', "", element, ']'),
            Type::Map(key, value) => match self.key(key) {
                Some(key) => self.around('{', &format!("\"{key}\": "), value, '}'),
                None => self.out.push_str("{}"),
            },
            Type::Bool => self.out.push_str("false"),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => self.out.push('0'),
            Type::Double => self.out.push_str("0.0"),
            Type::Enum(id) => {
                let first = self.first_number(id);
                self.out.push_str(&first.to_string());
            }
            Type::String | Type::Binary => self.out.push_str("\"\""),
            Type::Uuid => self.out.push_str("\"00000000-0000-0000-0000-000000000000\""),
        }
        false
    }

    /// A container with one element, or empty if that would not end.
    fn around(&mut self, open: char, key: &str, element: TypeId, close: char) {
        self.out.push(open);
        if self.levels < LEVELS && !self.ends_at(element) {
            self.out.push_str(key);
            self.value(element, "");
        }
        self.out.push(close);
    }

    /// Whether a type is a struct that cannot be gone into any more, also inside of containers.
    fn ends_at(&self, ty: TypeId) -> bool {
        match self.schema.ty(ty) {
            Type::Struct(id) => self.is_closed(id),
            _ => false,
        }
    }

    fn first_number(&self, id: EnumId) -> i32 {
        self.schema.enumeration(id).values.first().map_or(0, |value| value.number)
    }

    /// A key of an object; `None` if such keys have no form in JSON.
    fn key(&self, ty: TypeId) -> Option<String> {
        Some(match self.schema.ty(ty) {
            Type::Bool => "false".to_owned(),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => "0".to_owned(),
            Type::Enum(id) => self.first_number(id).to_string(),
            Type::Double => "0.0".to_owned(),
            Type::String | Type::Binary => String::new(),
            Type::Uuid => "00000000-0000-0000-0000-000000000000".to_owned(),
            Type::Struct(_) | Type::List(_) | Type::Set(_) | Type::Map(..) => return None,
        })
    }

    fn is_closed(&self, id: StructId) -> bool {
        self.open.contains(&id) || self.levels >= LEVELS || self.fields >= FIELDS
    }

    fn structure(&mut self, id: StructId, note: &str) -> bool {
        if self.is_closed(id) {
            self.out.push_str("null");
            return false;
        }
        self.open.push(id);
        let structure = self.schema.structure(id);
        let noted = self.object(structure, note);
        self.open.pop();
        noted
    }

    fn object(&mut self, structure: &'a Struct, note: &str) -> bool {
        let fields = self.shown(structure);
        if fields.is_empty() {
            self.out.push_str("{}");
            return false;
        }
        self.fields += fields.len();
        self.out.push('{');
        self.comment(note);
        self.depth += 1;
        let last = fields.len() - 1;
        for (position, field) in fields.into_iter().enumerate() {
            self.field(field, position == last);
        }
        self.depth -= 1;
        self.new_line();
        self.out.push('}');
        true
    }

    /// One member of a union; of others all, but for optional ones that would not end.
    fn shown(&self, structure: &'a Struct) -> Vec<&'a Field> {
        let count = if structure.category == Category::Union { 1 } else { usize::MAX };
        let endless = |field: &&Field| {
            field.requiredness == Requiredness::Optional
                && field.default.is_none()
                && self.ends_at(field.type_id)
        };
        structure.declared().filter(|field| !endless(field)).take(count).collect()
    }

    fn field(&mut self, field: &'a Field, last: bool) {
        self.new_line();
        quote_into(&mut self.out, &field.key);
        self.out.push_str(": ");
        let note = self.note(field);
        let noted = self.field_value(field, &note);
        if !last {
            self.out.push(',');
        }
        if !noted {
            self.comment(&note);
        }
    }

    /// `1: required list<i32>`
    fn note(&self, field: &Field) -> String {
        if self.style == Style::Json {
            return String::new();
        }
        let word = match field.requiredness {
            Requiredness::Required => "required ",
            Requiredness::Optional => "optional ",
            Requiredness::Default => "",
        };
        format!("{}: {word}{}{}", field.id, self.schema.type_name(field.type_id), self.choices(field.ty))
    }

    /// What an enum's numbers mean, or which members a union has.
    fn choices(&self, ty: Type) -> String {
        let mut choices: Vec<String> = match ty {
            Type::Enum(id) => {
                let values = self.schema.enumeration(id).values.iter().take(CHOICES + 1);
                values.map(|value| format!("{} = {}", value.name, value.number)).collect()
            }
            Type::Struct(id) if self.schema.structure(id).category == Category::Union => {
                let members = self.schema.structure(id).declared().take(CHOICES + 1);
                members.map(|member| member.key.to_string()).collect()
            }
            _ => return String::new(),
        };
        if let Some(last) = choices.get_mut(CHOICES) {
            *last = "...".to_owned();
        }
        format!(", one of: {}", choices.join(", "))
    }

    fn comment(&mut self, note: &str) {
        if !note.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(self.out, "  // {note}");
        }
    }

    fn new_line(&mut self) {
        let indent = self.indent();
        let _ = write!(self.out, "\n{indent}");
    }

    fn indent(&self) -> String {
        "  ".repeat(self.depth)
    }
}
