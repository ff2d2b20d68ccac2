//! A schema as JSON, for tools that do not link this library.
//!
//! Types are written as in an IDL, with a prefix where they are not of the main file. Absent facts
//! (no default, no annotations, no comments) have no key.

use std::sync::Arc;

use crate::idl::json::JsonWriter;
use crate::idl::schema::{
    Annotations, Category, Const, Enum, Field, Method, Requiredness, Schema, SchemaFile, SchemaFileId,
    Service, Struct, Typedef,
};

/// Everything in the schema.
pub fn to_json(schema: &Schema) -> String {
    let mut dump = Dump { schema, json: JsonWriter::default() };
    dump.schema();
    dump.json.finish()
}

struct Dump<'a> {
    schema: &'a Schema,
    json: JsonWriter,
}

impl<'a> Dump<'a> {
    fn schema(&mut self) {
        let schema = self.schema;
        self.object(|dump| {
            if let Some(main) = schema.main_service() {
                dump.json.text_field("main_service", &schema.service(main).name);
            }
            dump.list("files", schema.files().map(|(_, file)| file), Dump::file);
            dump.list("typedefs", schema.typedefs().map(|(_, typedef)| typedef), Dump::typedef);
            dump.list("consts", schema.consts().map(|(_, constant)| constant), Dump::constant);
            dump.list("enums", schema.enums().map(|(_, found)| found), Dump::enumeration);
            let declared =
                |structure: &&Struct| !matches!(structure.category, Category::Arguments | Category::Result);
            dump.list("structs", schema.structs().map(|(_, found)| found).filter(declared), Dump::structure);
            dump.list("services", schema.services().map(|(_, service)| service), Dump::service);
        });
    }

    fn file(&mut self, file: &'a SchemaFile) {
        self.object(|dump| {
            dump.json.text_field("path", &file.path);
            dump.json.text_field("prefix", &file.prefix);
            dump.list("includes", file.includes.iter(), |dump, id| {
                dump.json.text(&dump.schema.file(*id).path)
            });
            dump.list("cpp_includes", file.cpp_includes.iter(), |dump, path| dump.json.text(path));
            dump.list("namespaces", file.namespaces.iter(), |dump, line| {
                dump.object(|dump| {
                    dump.json.text_field("scope", &line.scope);
                    dump.json.text_field("name", &line.name);
                    dump.extras(&line.annotations, None);
                });
            });
        });
    }

    fn typedef(&mut self, typedef: &'a Typedef) {
        self.object(|dump| {
            dump.head(&typedef.name, typedef.file);
            dump.json.text_field("type", &dump.schema.type_name(typedef.target));
            dump.extras(&typedef.annotations, typedef.doc.as_ref());
        });
    }

    fn constant(&mut self, constant: &'a Const) {
        self.object(|dump| {
            dump.head(&constant.name, constant.file);
            dump.json.text_field("type", &dump.schema.type_name(constant.ty));
            dump.json.key("value");
            dump.json.value(dump.schema, constant.ty, &constant.value);
            dump.extras(&constant.annotations, constant.doc.as_ref());
        });
    }

    fn enumeration(&mut self, found: &'a Enum) {
        self.object(|dump| {
            dump.head(&found.name, found.file);
            dump.list("values", found.values.iter(), |dump, value| {
                dump.object(|dump| {
                    dump.json.text_field("name", &value.name);
                    dump.json.plain_field("number", value.number);
                    dump.extras(&value.annotations, value.doc.as_ref());
                });
            });
            dump.extras(&found.annotations, found.doc.as_ref());
        });
    }

    fn structure(&mut self, structure: &'a Struct) {
        self.object(|dump| {
            dump.head(&structure.name, structure.file);
            dump.json.text_field("category", structure.category.name());
            dump.list("fields", structure.declared(), Dump::field);
            dump.extras(&structure.annotations, structure.doc.as_ref());
        });
    }

    fn field(&mut self, field: &'a Field) {
        let schema = self.schema;
        self.object(|dump| {
            dump.json.plain_field("id", field.id);
            dump.json.text_field("name", &field.name);
            if field.key != field.name {
                dump.json.text_field("key", &field.key);
            }
            dump.json.text_field("type", &schema.type_name(field.type_id));
            dump.json.text_field("requiredness", requiredness(field.requiredness));
            if let Some(default) = &field.default {
                dump.json.key("default");
                dump.json.value(schema, field.type_id, default);
            }
            dump.type_extras(field);
            dump.extras(&field.annotations, field.doc.as_ref());
        });
    }

    /// What hangs on the type rather than on the field.
    fn type_extras(&mut self, field: &'a Field) {
        let info = self.schema.type_info(field.type_id);
        if let Some(cpp_type) = &info.cpp_type {
            self.json.text_field("cpp_type", cpp_type);
        }
        if !info.annotations.is_empty() {
            self.json.key("type_annotations");
            self.annotations(&info.annotations);
        }
    }

    fn service(&mut self, service: &'a Service) {
        let schema = self.schema;
        self.object(|dump| {
            dump.head(&service.name, service.file);
            if let Some(base) = service.base {
                dump.json.text_field("base", &schema.service(base).name);
            }
            dump.list("methods", service.methods.iter().map(|id| schema.method(*id)), |dump, method| {
                dump.method(service, method);
            });
            dump.extras(&service.annotations, service.doc.as_ref());
        });
    }

    fn method(&mut self, service: &'a Service, method: &'a Method) {
        let schema = self.schema;
        self.object(|dump| {
            dump.json.text_field("name", &method.name);
            let declaring = schema.service(method.service);
            if !std::ptr::eq(declaring, service) {
                dump.json.text_field("declared_in", &declaring.name);
            }
            dump.json.plain_field("oneway", method.oneway);
            dump.json.text_field("streaming", method.streaming.name());
            dump.list("arguments", schema.structure(method.arguments).declared(), Dump::field);
            let response = method.response.map_or("void".to_owned(), |ty| schema.type_name(ty));
            dump.json.text_field("response", &response);
            let result = method.result.map(|id| schema.structure(id));
            let skipped = usize::from(method.response.is_some());
            let throws = result.into_iter().flat_map(|result| result.declared().skip(skipped));
            dump.list("throws", throws, Dump::field);
            dump.extras(&method.annotations, method.doc.as_ref());
        });
    }

    fn head(&mut self, name: &str, file: SchemaFileId) {
        self.json.text_field("name", name);
        self.json.text_field("file", &self.schema.file(file).path);
    }

    fn extras(&mut self, annotations: &Annotations, doc: Option<&Arc<str>>) {
        if !annotations.is_empty() {
            self.json.key("annotations");
            self.annotations(annotations);
        }
        if let Some(doc) = doc {
            self.json.text_field("doc", doc);
        }
    }

    fn annotations(&mut self, annotations: &Annotations) {
        self.json.object(|json| {
            for annotation in annotations.iter() {
                json.key(&annotation.key);
                json.array(|json| annotation.values.iter().for_each(|value| json.text(value)));
            }
        });
    }
}

// The writer's closures, with the dump in place of the writer.
impl Dump<'_> {
    fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.json.open_object();
        fill(self);
        self.json.close_object();
    }

    /// An array under a key; no key if it is empty.
    fn list<T>(&mut self, key: &str, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.json.key(key);
        self.json.open_array();
        items.for_each(|item| write(self, item));
        self.json.close_array();
    }
}

fn requiredness(requiredness: Requiredness) -> &'static str {
    match requiredness {
        Requiredness::Required => "required",
        Requiredness::Optional => "optional",
        Requiredness::Default => "default",
    }
}
