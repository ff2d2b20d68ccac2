//! Generated IDLs, read by this parser and by pilota's: both must see the same.

use std::fmt::Write;

use krpc::idl::ast::{self, DefinitionKind, Requiredness, StructKind, TypeKind, ValueKind};
use krpc::idl::{MemoryProvider, Options, Style, compile};
use pilota_thrift_parser as pilota;
use proptest::prelude::*;

proptest! {
    #[test]
    fn generated_files_mean_the_same(draws in prop::collection::vec(any::<u32>(), 50..1500)) {
        let text = Writer::new(draws).file();
        let files = MemoryProvider::new().file("a.thrift", text.as_str());
        let compiled = compile("a.thrift", &files, &Options::default());
        prop_assert_eq!(compiled.diagnostics.errors(), 0, "{}\n{}", compiled.render(Style::Plain), text);
        let theirs = pilota::FileParser::new(pilota::FileSource::new(&text)).parse();
        let theirs = theirs.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let ours: Vec<String> = compiled.program.files[0].document.definitions.iter().map(ours::outline).collect();
        let theirs: Vec<String> = theirs.items.iter().filter_map(theirs::outline).collect();
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}

/// Makes a file out of random numbers: definitions of every kind, each using those before it.
struct Writer {
    draws: Vec<u32>,
    out: String,
    names: usize,
    structs: Vec<String>,
    exceptions: Vec<String>,
    enums: Vec<String>,
    typedefs: Vec<String>,
    services: Vec<String>,
}

impl Writer {
    fn new(draws: Vec<u32>) -> Writer {
        let [structs, exceptions, enums, typedefs, services] = [const { Vec::new() }; 5];
        Writer { draws, out: String::new(), names: 0, structs, exceptions, enums, typedefs, services }
    }

    /// A number below `bound`; zero once all are used, which ends every choice soon.
    fn below(&mut self, bound: usize) -> usize {
        self.draws.pop().map_or(0, |draw| usize::try_from(draw).unwrap() % bound)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        let stem = self.one(&["a", "value", "UserInfo", "_x", "listOf", "optionalPart", "i32x", "struct_"]);
        format!("{stem}{}", self.names)
    }

    fn file(mut self) -> String {
        let headers = self.one(&["", "namespace go a.b\n\n", "namespace * a\nnamespace py a.b\n"]);
        self.out.push_str(headers);
        while !self.draws.is_empty() {
            self.comment();
            match self.below(7) {
                0 => self.typedef(),
                1 => self.constant(),
                2 => self.enumeration(),
                3 => self.service(),
                4 => self.structure("union"),
                5 => self.structure("exception"),
                _ => self.structure("struct"),
            }
            self.out.push_str("\n\n");
        }
        self.out
    }

    fn comment(&mut self) {
        let text = self.one(&["", "", "", "// one line\n", "# hash\n", "/* block\n * struct A {}\n */\n"]);
        self.out.push_str(text);
    }

    fn typedef(&mut self) {
        let (ty, name) = (self.ty(2), self.name());
        write!(self.out, "typedef {ty} {name}").unwrap();
        self.annotations();
        self.typedefs.push(name);
    }

    fn constant(&mut self) {
        let (ty, value) = self.typed_value();
        let name = self.name();
        write!(self.out, "const {ty} {name} = {value}").unwrap();
        let end = self.one(&["", ",", ";"]);
        self.out.push_str(end);
    }

    /// A type and a value of it.
    fn typed_value(&mut self) -> (String, String) {
        let number = self.below(200_000);
        let (ty, value) = match self.below(8) {
            0 => ("bool", self.one(&["true", "false"]).to_owned()),
            1 => ("i64", format!("-{number}")),
            2 => ("i32", format!("{number:#x}")),
            3 => ("double", format!("{number}.25")),
            4 => ("double", format!("-1.5e{}", number % 300)),
            5 => ("string", self.one(&["\"\"", "'it'", "\"a 'b' // c\""]).to_owned()),
            6 => ("list<i32>", format!("[1, 2, {number}]")),
            _ => ("map<string, list<double>>", format!("{{\"k\": [{number}.5], 'l': []}}")),
        };
        (ty.to_owned(), value)
    }

    fn enumeration(&mut self) {
        let name = self.name();
        writeln!(self.out, "enum {name} {{").unwrap();
        let mut number = 0;
        for _ in 0..self.below(6) {
            let value = self.name().to_uppercase();
            write!(self.out, "    {value}").unwrap();
            if self.below(2) == 0 {
                number += self.below(50) + 1;
                write!(self.out, " = {number}").unwrap();
            } else {
                number += 1;
            }
            self.annotations();
            self.separator();
        }
        self.out.push('}');
        self.enums.push(name);
    }

    fn structure(&mut self, keyword: &str) {
        let name = self.name();
        writeln!(self.out, "{keyword} {name} {{").unwrap();
        let mut id = 0;
        for _ in 0..self.below(8) {
            self.comment();
            id += self.below(20) + 1;
            let word = match keyword {
                "union" => "",
                _ => self.one(&["", "", "required ", "optional "]),
            };
            self.field(id, word, keyword != "union");
            self.separator();
        }
        self.out.push('}');
        self.annotations();
        let kind = if keyword == "exception" { &mut self.exceptions } else { &mut self.structs };
        kind.push(name);
    }

    fn field(&mut self, id: usize, word: &str, may_default: bool) {
        let (ty, default) = match self.below(4) {
            0 if may_default => {
                let (ty, value) = self.typed_value();
                (ty, format!(" = {value}"))
            }
            _ => (self.ty(0), String::new()),
        };
        let name = self.name();
        let space = self.one(&["", " "]);
        write!(self.out, "    {id}{space}:{space}{word}{ty} {name}{default}").unwrap();
        self.annotations();
    }

    fn service(&mut self) {
        let name = self.name();
        write!(self.out, "service {name}").unwrap();
        if self.below(3) == 0 && !self.services.is_empty() {
            let base = self.below(self.services.len());
            write!(self.out, " extends {}", self.services[base]).unwrap();
        }
        self.out.push_str(" {\n");
        for _ in 0..self.below(5) {
            self.function();
        }
        self.out.push('}');
        self.services.push(name);
    }

    fn function(&mut self) {
        self.comment();
        let oneway = self.below(6) == 1;
        let result = match self.below(4) {
            _ if oneway => "oneway void".to_owned(),
            0 => "void".to_owned(),
            _ => self.ty(0),
        };
        let name = self.name();
        write!(self.out, "    {result} {name}(").unwrap();
        for id in 1..=self.below(4) {
            self.field(id, "", true);
            self.out.push_str(", ");
        }
        self.out.push(')');
        if !oneway && !self.exceptions.is_empty() && self.below(2) == 0 {
            let (thrown, name) = (self.below(self.exceptions.len()), self.name());
            write!(self.out, " throws (1: {} {name})", self.exceptions[thrown]).unwrap();
        }
        self.annotations();
        self.separator();
    }

    fn ty(&mut self, depth: usize) -> String {
        match self.below(if depth < 3 { 12 } else { 8 }) {
            8 => format!("list<{}>", self.ty(depth + 1)),
            9 => format!("set< {} >", self.ty(depth + 1)),
            10 => format!("map<string,{}>", self.ty(depth + 1)),
            11 => format!("map<i64 , {}>", self.ty(depth + 1)),
            defined @ 5..8 => {
                let kind = [&self.structs, &self.enums, &self.typedefs][defined - 5].clone();
                match kind.len() {
                    0 => "i32".to_owned(),
                    count => kind[self.below(count)].clone(),
                }
            }
            _ => self
                .one(&["bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "binary"])
                .to_owned(),
        }
    }

    fn annotations(&mut self) {
        let text = self.one(&["", "", "", " (a = \"1\")", " (api.path = '/x/:id', b.c = \"json:'x'\")"]);
        self.out.push_str(text);
    }

    fn separator(&mut self) {
        let text = self.one(&[",\n", ";\n", "\n", ", // behind\n", "\n\n"]);
        self.out.push_str(text);
    }
}

/// What this parser saw, one line for a definition.
mod ours {
    use super::*;

    pub(super) fn outline(definition: &ast::Definition) -> String {
        let name = &definition.name.text;
        let text = match &definition.kind {
            DefinitionKind::Const(ty, written) => {
                format!("const {name} {} = {}", type_of(ty), value(written))
            }
            DefinitionKind::Typedef(ty) => format!("typedef {name} {}", type_of(ty)),
            DefinitionKind::Enum(values) => {
                let value = |value: &ast::EnumValue| {
                    let number = value.number.map(|number| number.value);
                    format!("{}={number:?}{}", value.name.text, annotations(&value.annotations))
                };
                format!("enum {name} {:?}", values.iter().map(value).collect::<Vec<_>>())
            }
            DefinitionKind::Struct(kind, members) => {
                let kind = match kind {
                    StructKind::Struct => "struct",
                    StructKind::Union => "union",
                    StructKind::Exception => "exception",
                };
                format!("{kind} {name} {:?}", fields(members, true))
            }
            DefinitionKind::Service(service) => {
                let base = service.base.as_ref().map(|base| &*base.text);
                format!(
                    "service {name} {base:?} {:?}",
                    service.functions.iter().map(function).collect::<Vec<_>>()
                )
            }
        };
        text + &annotations(&definition.annotations)
    }

    fn function(function: &ast::Function) -> String {
        format!(
            "{} {} {} {:?} {:?}{}",
            function.oneway,
            function.response.as_ref().map_or("void".to_owned(), type_of),
            function.name.text,
            fields(&function.arguments, false),
            fields(&function.throws, true),
            annotations(&function.annotations)
        )
    }

    fn fields(members: &[ast::Field], with_words: bool) -> Vec<String> {
        let field = |field: &ast::Field| {
            let word = match field.requiredness {
                _ if !with_words => "",
                Requiredness::Required => "required",
                Requiredness::Optional => "optional",
                Requiredness::Default => "",
            };
            let default = field.default.as_ref().map(|default| value(default));
            let id = field.id.map(|id| id.value).unwrap();
            let (ty, name) = (type_of(&field.ty), &field.name.text);
            format!("{id}:{word} {ty} {name} {default:?}{}", annotations(&field.annotations))
        };
        members.iter().map(field).collect()
    }

    fn type_of(ty: &ast::TypeRef) -> String {
        match &ty.kind {
            TypeKind::Base(base) => format!("{base:?}").to_lowercase(),
            TypeKind::Named(name) => name.to_string(),
            TypeKind::List(element) => format!("list<{}>", type_of(element)),
            TypeKind::Set(element) => format!("set<{}>", type_of(element)),
            TypeKind::Map(parts) => format!("map<{},{}>", type_of(&parts.0), type_of(&parts.1)),
        }
    }

    fn value(value_: &ast::Value) -> String {
        match &value_.kind {
            ValueKind::Int(number) => number.to_string(),
            ValueKind::Double(number) => format!("{number:?}"),
            ValueKind::Literal(text) => format!("{text:?}"),
            ValueKind::Name(name) => name.to_string(),
            ValueKind::List(items) => format!("{:?}", items.iter().map(value).collect::<Vec<_>>()),
            ValueKind::Map(entries) => {
                let entry = |(key, item): &(ast::Value, ast::Value)| (value(key), value(item));
                format!("{:?}", entries.iter().map(entry).collect::<Vec<_>>())
            }
        }
    }

    fn annotations(written: &[ast::Annotation]) -> String {
        written.iter().map(|one| format!(" @{}={:?}", one.key.text, &*one.value.text)).collect()
    }
}

/// The same of what pilota's parser saw.
mod theirs {
    use super::*;

    /// `None` for headers.
    pub(super) fn outline(item: &pilota::Item) -> Option<String> {
        Some(match item {
            pilota::Item::Constant(found) => {
                let (ty, value) = (type_of(&found.r#type), value(&found.value));
                format!("const {} {ty} = {value}{}", &*found.name, annotations(&found.annotations))
            }
            pilota::Item::Typedef(found) => {
                let ty = type_of(&found.r#type);
                format!("typedef {} {ty}{}", &*found.alias, annotations(&found.annotations))
            }
            pilota::Item::Enum(found) => {
                let value = |value: &pilota::EnumValue| {
                    let number = value.value.map(|number| *number);
                    format!("{}={number:?}{}", &*value.name, annotations(&value.annotations))
                };
                let values: Vec<String> = found.values.iter().map(value).collect();
                format!("enum {} {values:?}{}", &*found.name, annotations(&found.annotations))
            }
            pilota::Item::Struct(found) => structure("struct", found),
            pilota::Item::Union(found) => structure("union", found),
            pilota::Item::Exception(found) => structure("exception", found),
            pilota::Item::Service(found) => {
                let base = found.extends.as_ref().map(path);
                let functions: Vec<String> = found.functions.iter().map(function).collect();
                format!("service {} {base:?} {functions:?}{}", &*found.name, annotations(&found.annotations))
            }
            pilota::Item::Include(_) | pilota::Item::CppInclude(_) | pilota::Item::Namespace(_) => {
                return None;
            }
        })
    }

    fn structure(kind: &str, found: &pilota::StructLike) -> String {
        format!(
            "{kind} {} {:?}{}",
            &*found.name,
            fields(&found.fields, true),
            annotations(&found.annotations)
        )
    }

    fn function(function: &pilota::Function) -> String {
        format!(
            "{} {} {} {:?} {:?}{}",
            function.oneway,
            type_of(&function.result_type),
            &*function.name,
            // It calls all arguments required.
            fields(&function.arguments, false),
            fields(&function.throws, true),
            annotations(&function.annotations)
        )
    }

    fn fields(members: &[pilota::Field], with_words: bool) -> Vec<String> {
        let field = |field: &pilota::Field| {
            let word = match field.attribute {
                _ if !with_words => "",
                pilota::Attribute::Required => "required",
                pilota::Attribute::Optional => "optional",
                pilota::Attribute::Default => "",
            };
            let default = field.default.as_ref().map(value);
            let (id, ty, name) = (field.id, type_of(&field.ty), &*field.name);
            format!("{id}:{word} {ty} {name} {default:?}{}", annotations(&field.annotations))
        };
        members.iter().map(field).collect()
    }

    fn type_of(ty: &pilota::Type) -> String {
        match &ty.0 {
            pilota::Ty::Byte => "i8".to_owned(),
            pilota::Ty::List { value, .. } => format!("list<{}>", type_of(value)),
            pilota::Ty::Set { value, .. } => format!("set<{}>", type_of(value)),
            pilota::Ty::Map { key, value, .. } => format!("map<{},{}>", type_of(key), type_of(value)),
            pilota::Ty::Path(name) => path(name),
            scalar => format!("{scalar:?}").to_lowercase(),
        }
    }

    fn value(found: &pilota::ConstValue) -> String {
        match found {
            pilota::ConstValue::Bool(flag) => flag.to_string(),
            pilota::ConstValue::Path(name) => path(name),
            pilota::ConstValue::String(text) => format!("{:?}", &*text.0),
            pilota::ConstValue::Int(number) => number.0.to_string(),
            pilota::ConstValue::Double(text) => format!("{:?}", text.0.parse::<f64>().unwrap()),
            pilota::ConstValue::List(items) => format!("{:?}", items.iter().map(value).collect::<Vec<_>>()),
            pilota::ConstValue::Map(entries) => {
                format!(
                    "{:?}",
                    entries.iter().map(|(key, item)| (value(key), value(item))).collect::<Vec<_>>()
                )
            }
        }
    }

    fn path(path: &pilota::Path) -> String {
        path.segments.iter().map(|segment| segment.as_str()).collect::<Vec<_>>().join(".")
    }

    fn annotations(found: &pilota::Annotations) -> String {
        found.iter().map(|one| format!(" @{}={:?}", one.key, &*one.value.0)).collect()
    }
}
