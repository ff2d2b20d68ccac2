//! Structs and their fields.

use std::sync::Arc;

use super::{Annotations, NameTable, Requiredness, SchemaFileId, Type, TypeId, Value};

/// What a struct is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Category {
    /// `struct`
    Struct,
    /// `union`: exactly one field is set.
    Union,
    /// `exception`
    Exception,
    /// The arguments of a method.
    Arguments,
    /// The result of a method: field 0 and the exceptions it throws.
    Result,
}

impl Category {
    /// The keyword, or what it would be.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Struct => "struct",
            Category::Union => "union",
            Category::Exception => "exception",
            Category::Arguments => "arguments",
            Category::Result => "result",
        }
    }
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its number on the wire.
    pub id: i16,
    /// Its name in the IDL.
    pub name: Arc<str>,
    /// Its name in JSON: the alias by `api.key` or `go.tag`, else the IDL name.
    pub key: Arc<str>,
    /// Its type as used, for names and annotations.
    pub type_id: TypeId,
    /// What its type is; the same as looking `type_id` up.
    pub ty: Type,
    /// Whether it may or must be absent.
    pub requiredness: Requiredness,
    /// Its default.
    pub default: Option<Value>,
    /// Whether `api.js_conv` asks for i64 as text.
    pub js_conv: bool,
    /// Whether its type is written `base.Base`, which the framework fills (generic.md §7).
    pub is_base: bool,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
}

/// A struct, union or exception, or the arguments or result of a method.
#[derive(Debug)]
pub struct Struct {
    /// Its name without a prefix.
    pub name: Arc<str>,
    /// Its file.
    pub file: SchemaFileId,
    /// What it is for.
    pub category: Category,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
    pub(crate) fields: Box<[Field]>,
    /// Positions in `fields` in the order written; empty if that is the order of ids.
    pub(crate) order: Box<[u16]>,
    pub(crate) ids: IdTable,
    pub(crate) names: NameTable,
    /// Only if some field has an alias.
    pub(crate) keys: Option<NameTable>,
}

/// Ids to positions: nothing but the first id if they have no gaps, a dense table if they are small, else
/// a search.
#[derive(Clone, Debug)]
pub(crate) enum IdTable {
    Gapless(i16),
    Dense(Box<[u16]>),
    Search,
}

const NO_FIELD: u16 = u16::MAX;

impl IdTable {
    /// `fields` must be sorted by id.
    fn new(fields: &[Field]) -> IdTable {
        let smallest = fields.first().map_or(0, |field| field.id);
        if fields.iter().zip(smallest..=i16::MAX).all(|(field, id)| field.id == id) {
            return IdTable::Gapless(smallest);
        }
        let Some(length) = fields.last().and_then(|field| usize::try_from(field.id).ok()).map(|id| id + 1)
        else {
            return IdTable::Search;
        };
        if smallest < 0 || length > 64 + 4 * fields.len() || fields.len() >= usize::from(NO_FIELD) {
            return IdTable::Search;
        }
        let mut table = vec![NO_FIELD; length].into_boxed_slice();
        for (position, field) in fields.iter().enumerate() {
            let slot = usize::try_from(field.id).ok().and_then(|id| table.get_mut(id));
            if let (Some(slot), Ok(position)) = (slot, u16::try_from(position)) {
                *slot = position;
            }
        }
        IdTable::Dense(table)
    }
}

/// By position in the order written, the position in the order of ids; empty if both are the same.
fn order(declared: &[Field]) -> Box<[u16]> {
    if declared.is_sorted_by_key(|field| field.id) {
        return Box::default();
    }
    let mut sorted: Vec<usize> = (0..declared.len()).collect();
    sorted.sort_by_key(|position| declared.get(*position).map(|field| field.id));
    let mut order = vec![0u16; declared.len()].into_boxed_slice();
    for (position, written) in sorted.iter().enumerate() {
        if let (Some(slot), Ok(position)) = (order.get_mut(*written), u16::try_from(position)) {
            *slot = position;
        }
    }
    order
}

impl Struct {
    /// Makes the lookup tables. `declared` is in the order written; ids are unique.
    pub(crate) fn new(
        name: Arc<str>,
        file: SchemaFileId,
        category: Category,
        declared: Vec<Field>,
    ) -> Struct {
        let order = order(&declared);
        let mut fields = declared;
        fields.sort_by_key(|field| field.id);
        let aliased = fields.iter().any(|field| field.key != field.name);
        Struct {
            name,
            file,
            category,
            annotations: Annotations::default(),
            doc: None,
            order,
            ids: IdTable::new(&fields),
            names: NameTable::new(fields.iter().map(|field| &*field.name)),
            keys: aliased.then(|| NameTable::new(fields.iter().map(|field| &*field.key))),
            fields: fields.into(),
        }
    }

    /// All fields by ascending id.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All fields in the order written.
    pub fn declared(&self) -> impl Iterator<Item = &Field> {
        let position = |at: usize| self.order.get(at).map_or(at, |position| usize::from(*position));
        (0..self.fields.len()).filter_map(move |at| self.fields.get(position(at)))
    }

    /// Position in [`Struct::fields`] of the field with this id.
    #[inline]
    pub fn position(&self, id: i16) -> Option<usize> {
        match &self.ids {
            IdTable::Gapless(first) => {
                let position = usize::try_from(i32::from(id) - i32::from(*first)).ok()?;
                (position < self.fields.len()).then_some(position)
            }
            IdTable::Dense(table) => {
                let position = *table.get(usize::try_from(id).ok()?)?;
                (position != NO_FIELD).then_some(usize::from(position))
            }
            IdTable::Search => self.fields.binary_search_by_key(&id, |field| field.id).ok(),
        }
    }

    /// The field with this id.
    #[inline]
    pub fn field(&self, id: i16) -> Option<&Field> {
        self.fields.get(self.position(id)?)
    }

    pub(crate) fn field_mut(&mut self, id: i16) -> Option<&mut Field> {
        let position = self.position(id)?;
        self.fields.get_mut(position)
    }

    /// Position in [`Struct::fields`] of the field with this JSON key.
    #[inline]
    pub fn position_by_key(&self, key: &str) -> Option<usize> {
        let key_at = |at: usize| self.fields.get(at).map_or("", |field| &*field.key);
        self.keys.as_ref().unwrap_or(&self.names).find(key, key_at)
    }

    /// The field with this JSON key: its alias if it has one, else its IDL name.
    #[inline]
    pub fn field_by_key(&self, key: &str) -> Option<&Field> {
        self.fields.get(self.position_by_key(key)?)
    }

    /// The field with this IDL name.
    pub fn field_by_name(&self, name: &str) -> Option<&Field> {
        let name_at = |at: usize| self.fields.get(at).map_or("", |field| &*field.name);
        self.fields.get(self.names.find(name, name_at)?)
    }
}
