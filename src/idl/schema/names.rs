//! Names as people write and read them: types as text, and "did you mean" for those that are unknown.

use std::fmt;
use std::sync::OnceLock;

use super::{Category, Enum, EnumValue, Field, Schema, ServiceId, Struct, StructId, Symbol, Type, TypeId};
use crate::idl::similar::nearest;

/// Why a name was not found, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameError(String);

impl NameError {
    fn unknown(what: String, similar: Option<&str>) -> NameError {
        NameError(match similar {
            Some(similar) => format!("{what}; did you mean {similar}?"),
            None => what,
        })
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

type Named = (Box<str>, StructId);

/// Texts that are put together from several names, made when somebody first asks.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    types: OnceLock<Box<[Box<str>]>>,
    structs: OnceLock<Box<[Named]>>,
}

impl Schema {
    /// The same as [`Schema::type_name`], kept by the schema.
    pub fn type_text(&self, id: TypeId) -> &str {
        let make = || self.types().map(|(id, _)| self.type_name(id).into()).collect();
        self.texts.types.get_or_init(make).get(id.index()).map_or("", |text| text)
    }

    /// Every struct, union and exception with the name that [`Schema::find_struct`] takes, in the order of
    /// files and definitions.
    pub fn named_structs(&self) -> &[(Box<str>, StructId)] {
        let named =
            |structure: &Struct| !matches!(structure.category, Category::Arguments | Category::Result);
        self.texts.structs.get_or_init(|| {
            let declared = self.structs().filter(|(_, structure)| named(structure));
            declared.map(|(id, found)| (self.qualified(found.file, &found.name).into(), id)).collect()
        })
    }

    /// The struct, union or exception of this name, also by a typedef: `Message`, or `base.Base` for one of
    /// another file.
    pub fn find_struct(&self, name: &str) -> Result<StructId, NameError> {
        match self.symbol(name) {
            Some(Symbol::Struct(id)) => Ok(id),
            Some(Symbol::Typedef(id)) => match self.ty(self.typedef(id).target) {
                Type::Struct(id) => Ok(id),
                other => Err(NameError(format!("{name} is a typedef of {}, not a struct", other.word()))),
            },
            Some(other) => Err(NameError(format!("{name} is {}, not a struct", other.describe()))),
            None => {
                let names = self.named_structs().iter().map(|(name, _)| &**name);
                Err(NameError::unknown(format!("missing struct: {name}"), nearest(name, names)))
            }
        }
    }

    /// The service of this name, as [`Schema::service_named`].
    pub fn find_service(&self, name: &str) -> Result<ServiceId, NameError> {
        self.service_named(name).ok_or_else(|| NameError(self.unknown_service(name).to_string()))
    }
}

impl Struct {
    /// The field with this IDL name.
    pub fn find_field(&self, name: &str) -> Result<&Field, NameError> {
        self.field_by_name(name).ok_or_else(|| {
            let what = format!("{} has no field {name}", self.name);
            NameError::unknown(what, nearest(name, self.declared().map(|field| &*field.name)))
        })
    }
}

impl Enum {
    /// The value of this name.
    pub fn find_value(&self, name: &str) -> Result<&EnumValue, NameError> {
        self.by_name(name).ok_or_else(|| {
            let what = format!("{} has no value {name}", self.name);
            NameError::unknown(what, nearest(name, self.values.iter().map(|value| &*value.name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::idl::{MemoryProvider, Options, compile};

    #[test]
    fn unknown_names_say_what_may_have_been_meant() {
        let files = MemoryProvider::new()
            .file("base.thrift", "struct Base { 1: string log } enum Color { RED }")
            .file(
                "main.thrift",
                "include 'base.thrift'
                 typedef base.Base Root
                 typedef i64 Time
                 struct Message { 1: string text, 2: list<map<i32, base.Base>> parts }
                 service Chat { void Say(1: Message m) }",
            );
        let schema = compile("main.thrift", &files, &Options::default()).into_schema().unwrap();
        let names: Vec<&str> = schema.named_structs().iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["Message", "base.Base"]);
        for name in names.into_iter().chain(["Root"]) {
            assert!(schema.find_struct(name).is_ok(), "{name}");
        }
        let wrong = |name: &str| schema.find_struct(name).unwrap_err().to_string();
        assert_eq!(wrong("Mesage"), "missing struct: Mesage; did you mean Message?");
        assert_eq!(wrong("bse.Base"), "missing struct: bse.Base; did you mean base.Base?");
        assert_eq!(wrong("Nothing"), "missing struct: Nothing");
        assert_eq!(wrong("Time"), "Time is a typedef of i64, not a struct");
        assert_eq!(wrong("base.Color"), "base.Color is an enum, not a struct");
        let service = schema.find_service("Chatt").unwrap_err().to_string();
        assert_eq!(service, "missing service: Chatt; did you mean Chat?");
        let message = schema.structure(schema.find_struct("Message").unwrap());
        let wrong = |name: &str| message.find_field(name).unwrap_err().to_string();
        assert_eq!(wrong("nothing"), "Message has no field nothing");
        assert_eq!(wrong("part"), "Message has no field part; did you mean parts?");
        assert_eq!(
            schema.type_text(message.find_field("parts").unwrap().type_id),
            "list<map<i32,base.Base>>"
        );
    }
}
