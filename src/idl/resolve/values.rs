//! Constants and defaults: evaluated against the type they are for.

use std::collections::HashSet;
use std::sync::Arc;

use super::references::Referent;
use super::{Resolver, State};
use crate::idl::ast::{self, DefinitionKind, ValueKind};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{Category, ConstId, EnumId, StructId, Type, TypeId, Value};
use crate::idl::similar::nearest;
use crate::idl::source::Span;

/// A value, its type, and how much it holds: constants that refer to constants share their parts, but
/// whoever walks over them meets each part as often as it is referred to.
#[derive(Clone, Debug)]
pub(super) struct Evaluated {
    pub(super) value: Value,
    pub(super) ty: TypeId,
    size: Size,
}

#[derive(Clone, Copy, Debug)]
struct Size {
    nodes: usize,
    depth: u16,
}

impl Size {
    const ONE: Size = Size { nodes: 1, depth: 0 };

    /// Of a value that holds both.
    fn with(self, part: Size) -> Size {
        Size {
            nodes: self.nodes.saturating_add(part.nodes),
            depth: self.depth.max(part.depth.saturating_add(1)),
        }
    }
}

/// Where a plain value comes from, as far as it matters for whether it fits.
#[derive(Clone, Copy)]
enum Origin {
    Written,
    Enum(EnumId),
}

impl Resolver<'_> {
    pub(super) fn all_consts(&mut self) {
        for index in 0..self.consts.len() {
            self.const_value(ConstId::at(index), None);
        }
    }

    fn const_value(&mut self, id: ConstId, used: Option<Span>) -> Option<Evaluated> {
        let entry = *self.scope.consts.get(id.index())?;
        match self.consts.get(id.index())?.clone() {
            State::Done(value) => return value,
            State::Open => {
                self.const_cycle(&entry.definition.name, used);
                return None;
            }
            State::New => {}
        }
        let DefinitionKind::Const(ty, value) = &entry.definition.kind else { return None };
        if !self.enter(value.span, "constants") {
            return None;
        }
        *self.consts.get_mut(id.index())? = State::Open;
        let ty = self.type_ref(entry.file, ty);
        let evaluated = ty.and_then(|ty| self.counted(entry.file, value, ty));
        self.leave();
        *self.consts.get_mut(id.index())? = State::Done(evaluated.clone());
        evaluated
    }

    fn const_cycle(&mut self, name: &ast::Name, used: Option<Span>) {
        let message = format!("the constant `{}` is defined by itself", name.text);
        let found = Diagnostic::error("const-cycle", used.unwrap_or(name.span), message);
        self.diagnostics.push(found.related(name.span, "defined here"));
    }

    /// A whole constant or default, counted against the limit on all of them.
    pub(super) fn counted(&mut self, file: usize, written: &ast::Value, ty: TypeId) -> Option<Evaluated> {
        let evaluated = self.evaluate(file, written, ty)?;
        self.value_nodes = self.value_nodes.saturating_add(evaluated.size.nodes);
        self.check_size(Size { nodes: self.value_nodes, ..evaluated.size }, written.span)?;
        Some(evaluated)
    }

    /// The value written, as a value of this type. `None` after an error.
    pub(super) fn evaluate(&mut self, file: usize, written: &ast::Value, ty: TypeId) -> Option<Evaluated> {
        let span = written.span;
        let (value, size) = match &written.kind {
            ValueKind::Int(number) => (self.fit(Value::Int(*number), Origin::Written, ty, span)?, Size::ONE),
            ValueKind::Double(number) => {
                (self.fit(Value::Double(*number), Origin::Written, ty, span)?, Size::ONE)
            }
            ValueKind::Literal(text) => {
                (self.fit(Value::String(text.clone()), Origin::Written, ty, span)?, Size::ONE)
            }
            ValueKind::Name(name) => return self.evaluate_name(file, name, ty, span),
            ValueKind::List(items) => self.evaluate_list(file, items, ty, span)?,
            ValueKind::Map(entries) => self.evaluate_map(file, entries, ty, span)?,
        };
        self.check_size(size, span)?;
        Some(Evaluated { value, ty, size })
    }

    fn check_size(&mut self, size: Size, span: Span) -> Option<()> {
        let limits = self.options.limits;
        let problem = match size {
            Size { depth, .. } if depth > limits.nesting => {
                format!("the value is nested deeper than {}", limits.nesting)
            }
            Size { nodes, .. } if nodes > limits.value_nodes => {
                format!("all values together have more than {} parts", limits.value_nodes)
            }
            _ => return Some(()),
        };
        let found = Diagnostic::error("value-size", span, problem);
        self.diagnostics.push(found.hint("constants count wherever they are referred to"));
        None
    }

    fn evaluate_name(&mut self, file: usize, name: &str, ty: TypeId, span: Span) -> Option<Evaluated> {
        if let "true" | "false" = name {
            let value = self.fit(Value::Bool(name == "true"), Origin::Written, ty, span)?;
            return Some(Evaluated { value, ty, size: Size::ONE });
        }
        match self.reference(file, name, ty, span)? {
            Referent::Enum(id, number) => {
                let value = self.fit(Value::Enum(number), Origin::Enum(id), ty, span)?;
                Some(Evaluated { value, ty, size: Size::ONE })
            }
            Referent::Const(id) => {
                let found = self.const_value(id, Some(span))?;
                self.convert(found, ty, span)
            }
        }
    }

    /// A constant of one type where another one is wanted.
    fn convert(&mut self, found: Evaluated, ty: TypeId, span: Span) -> Option<Evaluated> {
        let origin = match self.types.ty(found.ty) {
            Type::Enum(id) => Origin::Enum(id),
            _ => Origin::Written,
        };
        let value = match found.value {
            value if self.types.canonical(found.ty) == self.types.canonical(ty) => value,
            Value::List(_) | Value::Map(_) | Value::Struct(_) => {
                let from = self.type_text(found.ty);
                return self.mismatch(ty, &format!("a constant of type `{from}`"), span);
            }
            Value::Binary(bytes) if matches!(self.types.ty(ty), Type::String) => {
                Value::String(String::from_utf8_lossy(&bytes).into())
            }
            value => self.fit(value, origin, ty, span)?,
        };
        Some(Evaluated { value, ty, size: found.size })
    }
}

// Plain values.
impl Resolver<'_> {
    /// A plain value as a value of this type.
    fn fit(&mut self, value: Value, origin: Origin, ty: TypeId, span: Span) -> Option<Value> {
        match (self.types.ty(ty), &value) {
            (Type::Bool, Value::Bool(_)) => Some(value),
            (Type::Bool, Value::Int(number @ (0 | 1))) => Some(Value::Bool(*number == 1)),
            (Type::Bool, Value::Int(_)) => self.mismatch(ty, "a number other than 0 and 1", span),
            (Type::I8 | Type::I16 | Type::I32 | Type::I64, Value::Int(number)) => {
                self.fit_int(*number, ty, span)
            }
            (Type::I8 | Type::I16 | Type::I32 | Type::I64, Value::Enum(number)) => {
                self.fit_int(i64::from(*number), ty, span)
            }
            (Type::Double, Value::Double(_)) => Some(value),
            // Rounds above 2^53, as every compiler does.
            (Type::Double, Value::Int(number)) => Some(Value::Double(*number as f64)),
            (Type::String, Value::String(_)) => Some(value),
            (Type::Binary, Value::String(text)) => Some(Value::Binary(text.as_bytes().into())),
            (Type::Uuid, Value::String(text)) => self.fit_uuid(text, span),
            (Type::Uuid, Value::Uuid(_)) => Some(value),
            (Type::Enum(id), Value::Int(number)) => self.fit_enum_number(id, *number, span),
            (Type::Enum(id), Value::Enum(_)) => match origin {
                Origin::Enum(from) if from != id => self.mismatch(ty, "a value of another enum", span),
                _ => Some(value),
            },
            _ => self.mismatch(ty, describe(&value), span),
        }
    }

    fn fit_int(&mut self, number: i64, ty: TypeId, span: Span) -> Option<Value> {
        let (smallest, largest) = match self.types.ty(ty) {
            Type::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
            Type::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Type::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        if (smallest..=largest).contains(&number) {
            return Some(Value::Int(number));
        }
        let message = format!("{number} does not fit `{}`", self.type_text(ty));
        let found = Diagnostic::error("value-range", span, message);
        self.diagnostics.push(found.label(format!("must be from {smallest} to {largest}")));
        None
    }

    fn fit_enum_number(&mut self, id: EnumId, number: i64, span: Span) -> Option<Value> {
        let Ok(fitting) = i32::try_from(number) else {
            let message = format!("{number} does not fit an enum");
            self.diagnostics.push(Diagnostic::error("value-range", span, message));
            return None;
        };
        if let Some(found) = self.enums.get(id.index())
            && found.by_number(fitting).is_none()
        {
            let message = format!("the enum `{}` has no value with the number {number}", found.name);
            self.diagnostics.push(Diagnostic::warning("enum-number", span, message));
        }
        Some(Value::Enum(fitting))
    }

    fn fit_uuid(&mut self, text: &str, span: Span) -> Option<Value> {
        match parse_uuid(text) {
            Some(bytes) => Some(Value::Uuid(bytes)),
            None => {
                let found = Diagnostic::error("bad-uuid", span, format!("`{text}` is not a uuid"));
                self.diagnostics.push(found.hint("write it as \"00112233-4455-6677-8899-aabbccddeeff\""));
                None
            }
        }
    }

    fn mismatch<T>(&mut self, ty: TypeId, found: &str, span: Span) -> Option<T> {
        let wanted = self.type_text(ty);
        let message = format!("expected a value of type `{wanted}`, found {found}");
        let hint = match self.types.ty(ty) {
            Type::Struct(_) => Some("a struct is written { \"field\": value, … }"),
            Type::Enum(_) => Some("an enum is written Enum.VALUE, or as its number"),
            Type::Bool => Some("write true or false"),
            _ => None,
        };
        let diagnostic = Diagnostic::error("value-type", span, message).label(format!("expected `{wanted}`"));
        self.diagnostics.push(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        None
    }
}

// Containers and structs.
impl Resolver<'_> {
    fn evaluate_list(
        &mut self,
        file: usize,
        items: &[ast::Value],
        ty: TypeId,
        span: Span,
    ) -> Option<(Value, Size)> {
        let element = match self.types.ty(ty) {
            Type::List(element) | Type::Set(element) => element,
            Type::Map(..) if items.is_empty() => return Some(self.empty_brackets("{}", ty, span)),
            _ => return self.mismatch(ty, "a list", span),
        };
        let mut values = Vec::with_capacity(items.len());
        let mut size = Size::ONE;
        // All items, before giving up, so that each bad one is reported.
        for item in items {
            if let Some(item) = self.evaluate(file, item, element) {
                size = size.with(item.size);
                values.push(item.value);
            }
        }
        (values.len() == items.len()).then(|| (Value::List(values.into()), size))
    }

    fn evaluate_map(
        &mut self,
        file: usize,
        entries: &[(ast::Value, ast::Value)],
        ty: TypeId,
        span: Span,
    ) -> Option<(Value, Size)> {
        let (key_type, value_type) = match self.types.ty(ty) {
            Type::Map(key, value) => (key, value),
            Type::Struct(id) => return self.evaluate_struct(file, entries, id, span),
            Type::List(_) | Type::Set(_) if entries.is_empty() => {
                return Some(self.empty_brackets("[]", ty, span));
            }
            _ => return self.mismatch(ty, "a map", span),
        };
        let mut values = Vec::with_capacity(entries.len());
        let mut size = Size::ONE;
        for (key, value) in entries {
            let key = self.evaluate(file, key, key_type);
            let value = self.evaluate(file, value, value_type);
            if let (Some(key), Some(value)) = (key, value) {
                size = size.with(key.size).with(value.size);
                values.push((key.value, value.value));
            }
        }
        (values.len() == entries.len()).then(|| (Value::Map(values.into()), size))
    }

    /// `[]` for an empty map, `{}` for an empty list: the reference takes them.
    fn empty_brackets(&mut self, right: &str, ty: TypeId, span: Span) -> (Value, Size) {
        let message = format!("an empty `{}` is written {right}", self.type_text(ty));
        self.diagnostics.push(Diagnostic::warning("empty-brackets", span, message));
        let value = match self.types.ty(ty) {
            Type::Map(..) => Value::Map(Arc::new([])),
            _ => Value::List(Arc::new([])),
        };
        (value, Size::ONE)
    }

    fn evaluate_struct(
        &mut self,
        file: usize,
        entries: &[(ast::Value, ast::Value)],
        id: StructId,
        span: Span,
    ) -> Option<(Value, Size)> {
        let mut values: Vec<(i16, Value)> = Vec::with_capacity(entries.len());
        let mut given = HashSet::new();
        let mut size = Size::ONE;
        for (key, value) in entries {
            let Some((field, field_type)) = self.struct_key(id, key) else { continue };
            if !given.insert(field) {
                let message = "the field is given twice";
                self.diagnostics.push(Diagnostic::error("duplicate-member", key.span, message));
                continue;
            }
            if let Some(evaluated) = self.evaluate(file, value, field_type) {
                size = size.with(evaluated.size);
                values.push((field, evaluated.value));
            }
        }
        self.check_struct_value(id, &given, span);
        (values.len() == entries.len()).then(|| (Value::Struct(values.into()), size))
    }

    /// The field that a key of a struct constant names.
    fn struct_key(&mut self, id: StructId, key: &ast::Value) -> Option<(i16, TypeId)> {
        let owner = self.struct_name(id);
        let ValueKind::Literal(name) = &key.kind else {
            let message = format!("a field of `{owner}` is named by a quoted string");
            self.diagnostics.push(Diagnostic::error("value-type", key.span, message));
            return None;
        };
        let structure = self.structs.get(id.index())?;
        if let Some(field) = structure.field_by_name(name) {
            return Some((field.id, field.type_id));
        }
        let found = Diagnostic::error("unknown-field", key.span, format!("`{owner}` has no field `{name}`"));
        let near = match self.diagnostics.is_full() {
            true => None,
            false => nearest(name, structure.fields().iter().map(|field| &*field.name)),
        };
        self.diagnostics.push(match near {
            Some(near) => found.hint(format!("did you mean \"{near}\"?")),
            None => found,
        });
        None
    }

    fn check_struct_value(&mut self, id: StructId, given: &HashSet<i16>, span: Span) {
        let Some(structure) = self.structs.get(id.index()) else { return };
        let name = &structure.name;
        if structure.category == Category::Union {
            if given.len() != 1 {
                let message = format!("a value of the union `{name}` has exactly one field");
                let found = Diagnostic::error("union-value", span, message);
                self.diagnostics.push(found.label(format!("has {}", given.len())));
            }
            return;
        }
        let demanded = self.demanded.get(id.index()).map(|ids| ids.iter()).unwrap_or_default();
        let absent = demanded.filter(|id| !given.contains(*id)).find_map(|id| structure.field(*id));
        if let Some(field) = absent {
            let message = format!("the required field `{}` of `{name}` is not given", field.name);
            self.diagnostics.push(Diagnostic::warning("required-field", span, message));
        }
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "true or false",
        Value::Int(_) => "an integer",
        Value::Double(_) => "a number with a fraction",
        Value::String(_) => "a string",
        Value::Binary(_) => "bytes",
        Value::Uuid(_) => "a uuid",
        Value::Enum(_) => "an enum value",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Struct(_) => "a struct",
    }
}

/// `00112233-4455-6677-8899-aabbccddeeff`, also in braces or without dashes.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let dashes_fit = match bare.len() {
        36 => bare.char_indices().all(|(at, c)| (c == '-') == matches!(at, 8 | 13 | 18 | 23)),
        32 => !bare.contains('-'),
        _ => false,
    };
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    if !dashes_fit || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}
