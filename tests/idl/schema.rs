//! The schema, its lookups, and what is printed of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krpc::idl::schema::{Category, MethodError, Requiredness, Streaming, Symbol, Type, Value};
use krpc::idl::template::{self, Style};
use krpc::idl::{FileProvider, MemoryProvider, Options, Schema, ServiceChoice, compile, dump};

/// Counts the allocations of each thread, for the lookups that must not make any.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn schema(text: &str) -> Arc<Schema> {
    schema_with(text, Options::default())
}

fn schema_with(text: &str, options: Options) -> Arc<Schema> {
    let files = MemoryProvider::new().file("main.thrift", text);
    compile("main.thrift", &files, &options).into_schema().unwrap_or_else(|report| panic!("{report}"))
}

fn expected() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idl/expected")
}

fn shop() -> Arc<Schema> {
    let folder = expected();
    let files = FileProvider::new().search(folder.to_str().unwrap());
    // Found by the search directory, so that paths in the dump are the same everywhere but for it.
    compile("shop.thrift", &files, &Options::default())
        .into_schema()
        .unwrap_or_else(|report| panic!("{report}"))
}

/// Compares with a file of `expected/`, or writes it if `KRPC_UPDATE` is set.
fn check(name: &str, found: &str) {
    let path = expected().join(name);
    let found = found.replace(&format!("{}/", expected().display()), "");
    if std::env::var_os("KRPC_UPDATE").is_some() {
        fs::write(&path, found).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap(), found, "{name}");
    }
}

#[test]
fn dump() {
    check("shop.json", &dump::to_json(&shop()));
}

#[test]
fn templates() {
    let shop = shop();
    let mut text = String::new();
    for method in ["Find", "Reader/Get", "Nothing", "Ping", "Forget", "Watch", "Same"] {
        for style in [Style::Json, Style::Commented] {
            let request = template::request(&shop, method, style).unwrap();
            text.push_str(&format!("=== {method} {style:?}\n{request}"));
        }
    }
    check("templates.txt", &text);
    for (method, expected) in [("Same", "false\n"), ("Nothing", "null\n"), ("Forget", "null\n")] {
        assert_eq!(template::result(&shop, method, Style::Json).unwrap(), expected);
    }
    let item = template::result(&shop, "Get", Style::Json).unwrap();
    assert!(item.starts_with("{\n  \"title\": \"\",\n  \"price\": 0,"), "{item}");
    let error = template::request(&shop, "Shop/Forgot", Style::Json).unwrap_err();
    assert_eq!(error.to_string(), "missing method: Forgot in service: Shop; did you mean Forget?");
}

#[test]
fn fields_by_id_name_and_key() {
    let schema = shop();
    let (_, item) = schema.structs().find(|(_, found)| &*found.name == "Item").unwrap();
    assert_eq!(item.category, Category::Struct);
    let ids: Vec<i16> = item.fields().iter().map(|field| field.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "by ascending id");
    let written: Vec<i16> = item.declared().map(|field| field.id).collect();
    assert_eq!(written, [1, 2, 3, 4, 5, 6, 7, 9, 8, 10, 11], "as written");

    let name = item.field(1).unwrap();
    assert_eq!((&*name.name, &*name.key, name.requiredness), ("name", "title", Requiredness::Required));
    assert!(std::ptr::eq(item.field_by_name("name").unwrap(), name));
    assert!(std::ptr::eq(item.field_by_key("title").unwrap(), name));
    assert!(item.field_by_key("name").is_none(), "an alias takes the name's place");
    assert!(item.field_by_name("title").is_none());
    assert!(item.field(0).is_none() && item.field(12).is_none() && item.field(-1).is_none());

    let price = item.field(2).unwrap();
    assert_eq!((price.ty, price.default.clone()), (Type::I64, Some(Value::Int(0))));
    assert_eq!(schema.type_name(price.type_id), "Cents", "the typedef's name is kept");
    assert_eq!(item.field(3).unwrap().default, Some(Value::Enum(2)));
    assert!(item.field(9).unwrap().js_conv && !price.js_conv);
    assert!(item.field(10).unwrap().is_base && !item.field(6).unwrap().is_base);
    assert_eq!(schema.type_name(item.field(5).unwrap().type_id), "map<Color,set<double>>");
    assert_eq!(schema.type_name(item.field(9).unwrap().type_id), "base.Id");
    assert_eq!(item.field(6).unwrap().doc.as_deref(), Some("the one it is part of"));
}

#[test]
fn sparse_and_negative_ids_are_found() {
    let schema = schema("struct S { -5: i32 a, 0: i32 b, 7: i32 c, 32767: i32 d, -32768: i32 e }");
    let (_, found) = schema.structs().next().unwrap();
    for (id, name) in [(-5, "a"), (0, "b"), (7, "c"), (32767, "d"), (-32768, "e")] {
        assert_eq!(&*found.field(id).unwrap().name, name);
    }
    assert!(found.field(1).is_none() && found.field(-6).is_none() && found.field(32766).is_none());
}

#[test]
fn enums_by_name_and_number() {
    let schema = schema("enum E { B = 7, A = -1, C }");
    let (_, found) = schema.enums().next().unwrap();
    let names: Vec<(&str, i32)> = found.values.iter().map(|value| (&*value.name, value.number)).collect();
    assert_eq!(names, [("B", 7), ("A", -1), ("C", 0)]);
    assert_eq!(found.by_name("A").unwrap().number, -1);
    assert_eq!(&*found.by_number(7).unwrap().name, "B");
    assert!(found.by_number(1).is_none() && found.by_name("b").is_none());
}

#[test]
fn methods_by_path_and_alone() {
    let schema = shop();
    let of = |path: &str| schema.find_method(path).map(|id| schema.method(id));
    assert_eq!(schema.main_service().map(|id| &*schema.service(id).name), Some("Shop"), "the last one");
    for path in
        ["Shop/Forget", "Forget", "Shop/Find", "Reader/Find", "Find", "Shop/Ping", "Health/Ping", "Ping"]
    {
        assert_eq!(&*of(path).unwrap().name, path.rsplit('/').next().unwrap());
    }
    assert_eq!(
        schema.find_method("Shop/Find"),
        schema.find_method("Reader/Find"),
        "one method, two services"
    );
    assert_eq!(of("Reader/Forget").unwrap_err().to_string(), "missing method: Forget in service: Reader");
    let unknown = |service: &str, similar: Option<&str>| MethodError::UnknownService {
        service: service.to_owned(),
        similar: similar.map(str::to_owned),
    };
    assert_eq!(of("Nope/Find").unwrap_err(), unknown("Nope", None));
    assert_eq!(of("Shpo/Find").unwrap_err(), unknown("Shpo", Some("Shop")), "a swap is one step");
    assert_eq!(
        of("Shxx/Find").unwrap_err(),
        unknown("Shxx", None),
        "two steps are too many for four letters"
    );
    assert_eq!(of("Raeder/Find").unwrap_err(), unknown("Raeder", Some("Reader")));

    let find = of("Find").unwrap();
    let arguments = schema.structure(find.arguments);
    assert_eq!((&*arguments.name, arguments.category), ("ReaderFindArgs", Category::Arguments));
    assert_eq!(arguments.field(2).unwrap().default, Some(Value::Int(10)));
    let result = schema.structure(find.result.unwrap());
    let fields: Vec<(i16, &str)> = result.fields().iter().map(|field| (field.id, &*field.name)).collect();
    assert_eq!(fields, [(0, "success"), (1, "gone"), (2, "denied")]);
    assert!(result.fields().iter().all(|field| field.requiredness == Requiredness::Optional));

    let forget = of("Forget").unwrap();
    assert!(forget.oneway && forget.result.is_none() && forget.response.is_none());
    let nothing = of("Nothing").unwrap();
    assert!(schema.structure(nothing.result.unwrap()).fields().is_empty());
    assert_eq!(of("Watch").unwrap().streaming, Streaming::Server);
    assert_eq!(of("Get").unwrap().annotations.first("api.get"), Some("/items/:id"));
    assert_eq!(find.doc.as_deref(), Some("Finds things."));
}

#[test]
fn a_bare_name_prefers_the_main_service_and_must_be_unique_elsewhere() {
    let text = "service A { void f(), void a() } service B { void f(), void g() } service C { void g() }";
    let named =
        |name: &str| Options { services: ServiceChoice::Named(name.to_owned()), ..Options::default() };
    let owner = |schema: &Schema, method: &str| {
        schema.find_method(method).map(|id| schema.service(schema.method(id).service).name.to_string())
    };
    let last = schema(text);
    assert_eq!(owner(&last, "g"), Ok("C".to_owned()));
    assert_eq!(owner(&last, "a"), Ok("A".to_owned()));
    assert_eq!(owner(&last, "f"), Err(MethodError::Ambiguous("f".to_owned())));
    let first = schema_with(text, Options { services: ServiceChoice::First, ..Options::default() });
    assert_eq!(owner(&first, "f"), Ok("A".to_owned()));
    assert_eq!(owner(&schema_with(text, named("B")), "g"), Ok("B".to_owned()));
    assert_eq!(owner(&schema("struct S {}"), "f"), Err(MethodError::NoService));

    let combined = "service A { void f() } service B extends A { void g() }";
    let combined = schema_with(combined, Options { services: ServiceChoice::Combined, ..Options::default() });
    let main = combined.service(combined.main_service().unwrap());
    assert_eq!((&*main.name, main.methods.len()), ("CombinedServices", 2));
    assert!(combined.find_method("CombinedServices/f").is_ok());
}

#[test]
fn the_nearest_of_equal_inherited_methods_counts() {
    let schema =
        schema("service A { void f(), void g() } service B extends A { i32 f() } service C extends B {}");
    let found = schema.method(schema.find_method("C/f").unwrap());
    assert_eq!(&*schema.service(found.service).name, "B");
    let (_, last) = schema.services().last().unwrap();
    let names: Vec<&str> = last.methods.iter().map(|id| &*schema.method(*id).name).collect();
    assert_eq!((names.as_slice(), last.own), (["f", "g"].as_slice(), 0));
}

#[test]
fn lookups_allocate_nothing() {
    let schema = shop();
    let (_, item) = schema.structs().find(|(_, found)| &*found.name == "Item").unwrap();
    let (_, color) = schema.enums().find(|(_, found)| &*found.name == "Color").unwrap();
    let count = allocations(|| {
        assert!(schema.find_method("Shop/Ping").is_ok() && schema.find_method("Find").is_ok());
        assert!(item.field(7).is_some() && item.field_by_key("title").is_some());
        assert!(item.field_by_name("sizes").is_some() && color.by_name("RED").is_some());
        assert!(color.by_number(2).is_some() && item.field_by_key("nope").is_none());
    });
    assert_eq!(count, 0);
}

#[test]
fn equal_types_have_equal_canonical_ids() {
    let text = "typedef list<i32> L struct S { 1: L a, 2: list<i32> b, 3: list<i32 (x = 'y')> c, 4: list<i64> d, 5: map<string,L> e, 6: map<string,list<i32>> f }";
    let schema = schema(text);
    let (_, found) = schema.structs().next().unwrap();
    let canonical = |id: i16| schema.type_info(found.field(id).unwrap().type_id).canonical;
    assert_eq!(canonical(1), canonical(2));
    assert_eq!(canonical(2), canonical(3));
    assert_ne!(canonical(2), canonical(4));
    assert_eq!(canonical(5), canonical(6));
    assert_eq!(schema.type_name(canonical(1)), "list<i32>");
}

#[test]
fn aliases_of_go_tags_can_be_off() {
    let text =
        "struct S { 1: i32 a (go.tag = 'json:\"x\"'), 2: i32 b (go.tag = 'json:\"y\"', api.key = 'z') }";
    let key = |schema: &Schema, id| schema.structs().next().unwrap().1.field(id).unwrap().key.to_string();
    let on = schema(text);
    assert_eq!((key(&on, 1), key(&on, 2)), ("x".to_owned(), "z".to_owned()));
    let off = schema_with(text, Options { go_tag: false, ..Options::default() });
    assert_eq!((key(&off, 1), key(&off, 2)), ("a".to_owned(), "z".to_owned()));
}

#[test]
fn repeated_annotations_are_collected() {
    let schema = schema("struct S {} (a = '1', b = '2', a = '3', vt.pattern = '\\d+')");
    let (_, found) = schema.structs().next().unwrap();
    let values: Vec<&str> = found.annotations.all("a").iter().map(|value| &**value).collect();
    assert_eq!(values, ["1", "3"]);
    assert_eq!((found.annotations.first("b"), found.annotations.first("c")), (Some("2"), None));
    assert_eq!(found.annotations.first("vt.pattern"), Some("\\d+"));
}

#[test]
fn comments_belong_to_what_follows_or_to_the_end_of_the_line() {
    let text = "
// about S
// more
struct S { // first field
  1: i32 a // not this
  2: i32 b, // at the end
  /* before */ 3: i32 c // behind
  4: i32 d
  // lost
} // nobody's
enum E { A // a
  B, # b
}
/// about V
service V {
  // about f
  void f(), // behind f
  void g() // behind g
}";
    let schema = schema(text);
    let (_, s) = schema.structs().next().unwrap();
    let doc = |id: i16| s.field(id).unwrap().doc.as_deref();
    assert_eq!(s.doc.as_deref(), Some("about S\nmore"));
    assert_eq!(
        [doc(1), doc(2), doc(3), doc(4)],
        [Some("first field"), Some("at the end"), Some("before"), None]
    );
    let (_, e) = schema.enums().next().unwrap();
    assert!(e.doc.is_none());
    assert_eq!((e.values[0].doc.as_deref(), e.values[1].doc.as_deref()), (Some("a"), Some("b")));
    let method = |name| schema.method(schema.find_method(name).unwrap()).doc.as_deref();
    assert_eq!((method("f"), method("g")), (Some("about f"), Some("behind g")));
    let quiet = schema_with(text, Options { comments: false, ..Options::default() });
    assert!(quiet.structs().all(|(_, found)| found.doc.is_none()));
}

#[test]
fn namespaces_fall_back_to_all_languages() {
    let schema = shop();
    let (_, main) = schema.files().next().unwrap();
    assert_eq!((main.namespace("go"), main.namespace("py")), (Some("shop.api"), Some("shop")));
    let base = schema.file(main.includes[0]);
    assert_eq!((base.namespace("py"), &*base.prefix), (None, "base"));
}

#[test]
fn constants_are_shared_not_copied() {
    let schema = schema("const list<i32> A = [1, 2] const list<i32> B = A struct S { 1: list<i32> a = B }");
    let values: Vec<&Value> = schema.consts().map(|(_, constant)| &constant.value).collect();
    let default = schema.structs().next().unwrap().1.field(1).unwrap().default.as_ref().unwrap();
    match (values[0], values[1], default) {
        (Value::List(a), Value::List(b), Value::List(c)) => assert!(Arc::ptr_eq(a, b) && Arc::ptr_eq(b, c)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn definitions_by_name() {
    let schema = shop();
    let struct_name = |name: &str| match schema.symbol(name) {
        Some(Symbol::Struct(id)) => Some(&*schema.structure(id).name),
        _ => None,
    };
    assert_eq!((struct_name("Item"), struct_name("base.Base")), (Some("Item"), Some("Base")));
    assert_eq!(
        (struct_name("Base"), struct_name("shop.Item"), struct_name("nope.X")),
        (None, Some("Item"), None)
    );
    assert!(matches!(schema.symbol("FREE"), Some(Symbol::Const(id)) if &*schema.constant(id).name == "FREE"));
    assert!(
        matches!(schema.symbol("base.Id"), Some(Symbol::Typedef(id)) if &*schema.typedef(id).name == "Id")
    );
    assert!(matches!(schema.symbol("base.Level"), Some(Symbol::Enum(_))));
    assert!(matches!(schema.symbol("Shop"), Some(Symbol::Service(id)) if Some(id) == schema.main_service()));
}
