//! Input made to hurt: the answer is a diagnostic, soon.

use std::time::Duration;

use krpc::idl::{Compiled, IdlLimits, MemoryProvider, Options, Style, compile, dump, format, template};
use proptest::prelude::*;

fn run(text: impl Into<Vec<u8>>) -> Compiled {
    let files = MemoryProvider::new().file("a.thrift", text);
    // Deep recursion must fit a small stack: hosts call from threads of their own.
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let work = thread.spawn(move || {
        let compiled = compile("a.thrift", &files, &Options::default());
        assert_eq!(compiled.schema.is_some(), compiled.diagnostics.errors() == 0);
        if let Some(text) = compiled.program.sources.files().next().map(|(_, file)| file.text())
            && let Ok(once) = format::format("a.thrift", text)
        {
            assert_eq!(format::format("a.thrift", &once).unwrap(), once);
        }
        let _ = (compiled.render(Style::Plain), compiled.render(Style::Color), compiled.render(Style::Short));
        if let Some(schema) = &compiled.schema {
            let _ = dump::to_json(schema);
            for (_, method) in schema.methods() {
                let path = format!("{}/{}", schema.service(method.service).name, method.name);
                let _ = template::request(schema, &path, template::Style::Commented);
            }
        }
        compiled
    });
    work.unwrap().join().expect("no panic")
}

fn rules(compiled: &Compiled) -> Vec<&'static str> {
    let mut rules: Vec<&str> = compiled.diagnostics.iter().map(|found| found.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn deep_nesting_is_an_error() {
    let n = 100_000;
    let deep = |open: &str, close: &str| open.repeat(n) + "1" + &close.repeat(n);
    let table = [
        (format!("struct S {{ 1: {}i32{} a }}", "list<".repeat(n), ">".repeat(n)), "nesting"),
        (format!("struct S {{ 1: {}i32{} a }}", "map<i32,".repeat(n), ">".repeat(n)), "nesting"),
        (format!("const i32 A = {}", deep("[", "]")), "nesting"),
        (format!("const i32 A = {}", deep("{1:", "}")), "nesting"),
        (format!("struct S {{ 1: i32 a {} }}", "xsd_attrs { 1: i32 a ".repeat(n)), "nesting"),
        ("(".repeat(n), "syntax"),
        (format!("struct S {{ {}", "(".repeat(n)), "syntax"),
    ];
    for (text, rule) in table {
        let compiled = run(text.as_str());
        assert!(rules(&compiled).contains(&rule), "{}: {:?}", &text[..30], rules(&compiled));
    }
}

#[test]
fn long_chains_are_an_error() {
    let n = 20_000;
    let chain = |head: &str, link: &dyn Fn(usize) -> String| {
        (0..n).rev().fold(String::from(head), |text, at| text + &link(at) + "\n")
    };
    let table = [
        (chain("typedef i32 T0\n", &|at| format!("typedef T{at} T{}", at + 1)), "nesting"),
        (chain("typedef i32 T0\n", &|at| format!("typedef list<T{at}> T{}", at + 1)), "nesting"),
        (chain("const i32 A0 = 1\n", &|at| format!("const i32 A{} = A{at}", at + 1)), "nesting"),
        (chain("service S0 {}\n", &|at| format!("service S{} extends S{at} {{}}", at + 1)), "nesting"),
    ];
    for (text, rule) in table {
        let compiled = run(text.as_str());
        assert!(rules(&compiled).contains(&rule), "{}: {:?}", &text[..30], rules(&compiled));
        assert!(compiled.diagnostics.iter().count() <= 200);
    }
    // In the order in which each step is known already, the depth counts all the same.
    let forward: String = (0..100).map(|at| format!("typedef list<T{at}> T{}\n", at + 1)).collect();
    assert_eq!(rules(&run(format!("typedef i32 T0\n{forward}"))), ["nesting"]);
}

#[test]
fn constants_that_double_are_an_error() {
    let doubling = |count: usize| {
        let steps = (0..count).map(|at| format!("const L{0} A{0} = [A{1}, A{1}]\n", at + 1, at));
        let types = (0..count).map(|at| format!("typedef list<L{at}> L{}\n", at + 1));
        format!("typedef i32 L0\nconst L0 A0 = 1\n{}{}", steps.collect::<String>(), types.collect::<String>())
    };
    assert_eq!(rules(&run(doubling(8))), [] as [&str; 0]);
    assert!(rules(&run(doubling(30))).contains(&"value-size"));
    let many: String = (0..2000).map(|at| format!("const list<i32> B{at} = A\n")).collect();
    let big = format!("const list<i32> A = [{}]\n{many}", "1 ".repeat(1000));
    assert!(rules(&run(big)).contains(&"value-size"), "all values together are limited too");
}

#[test]
fn templates_of_structs_that_double_end() {
    let steps: String =
        (0..60).map(|at| format!("struct S{at} {{ 1: S{0} a, 2: S{0} b }}\n", at + 1)).collect();
    let compiled = run(format!("{steps} struct S60 {{}} service V {{ void f(1: S0 s) }}"));
    assert!(compiled.schema.is_some());
}

#[test]
fn depth_of_several_kinds_does_not_add_up() {
    // Structs in lists in structs: each kind is within its limit, the product is not.
    let lists = |at: usize| format!("{}S{at}{}", "list<".repeat(60), ">".repeat(60));
    let steps: String = (0..100).map(|at| format!("struct S{at} {{ 1: {} a }}\n", lists(at + 1))).collect();
    let compiled = run(format!("{steps} struct S100 {{}} service V {{ void f(1: S0 s) }}"));
    assert!(compiled.schema.is_some());

    let deep = format!("struct S {{ 1: {}i32{} a }}", "list<".repeat(60), ">".repeat(60));
    let mut files = MemoryProvider::new().file("f60", deep.as_str());
    for at in 0..60 {
        files = files.file(format!("f{at}"), format!("include \"f{}\" {deep}", at + 1));
    }
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let work = thread.spawn(move || compile("f0", &files, &Options::default()).schema.is_some());
    assert!(work.unwrap().join().expect("no overflow"));
}

#[test]
fn inheritance_that_multiplies_is_an_error() {
    let functions: String = (0..2000).map(|at| format!("void f{at}() ")).collect();
    let heirs: String = (0..2000).map(|at| format!("service H{at} extends A {{}}\n")).collect();
    assert_eq!(rules(&run(format!("service A {{ {functions} }} {heirs}"))), ["too-many-methods"]);
}

#[test]
fn many_errors_are_counted_not_kept() {
    let compiled = run("struct S { 1: Nope a } ".repeat(20_000));
    assert!(compiled.diagnostics.errors() > 20_000);
    assert_eq!(compiled.diagnostics.iter().count(), 100);
    assert!(compiled.render(Style::Short).contains("not shown"));
    // A flood of warnings hides no error.
    let warnings: String = (0..500).map(|at| format!("struct W{at} {{ i32 a }} ")).collect();
    let compiled = run(format!("{warnings} struct X {{ 1: Nope n }}"));
    assert!(rules(&compiled).contains(&"undefined-type"));
}

#[test]
fn work_stays_linear() {
    let n = 30_000;
    let list = |item: &dyn Fn(usize) -> String| (0..n).map(|at| item(at) + " ").collect::<String>();
    let table = [
        format!("struct S {{ {} }}", list(&|at| format!("{}: i32 f{at} = {at},", at + 1))),
        format!("enum E {{ {} }}", list(&|at| format!("V{at}"))),
        format!("struct S {{}} ({})", list(&|at| format!("k{at} = ''"))),
        format!("service A {{ {} }} service B extends A {{ {0} }}", list(&|at| format!("void f{at}()"))),
        format!(
            "exception X {{}} service A {{ void f() throws ({}) }}",
            list(&|at| format!("{}: X f{at}", at + 1))
        ),
        list(&|at| format!("include \"f{at}\"\n")),
        format!(
            "struct S {{ {} }} {}",
            list(&|at| format!("{}: required i32 f{at}", at + 1)),
            list(&|at| format!("const S C{at} = {{}}"))
        ),
        list(&|at| format!("const i32 C{at} = Cx{at}")),
        "\"".to_owned() + &"x".repeat(1 << 20),
        "1: ".repeat(300_000),
        "struct S { ".to_owned() + &"}".repeat(300_000),
        "struct S { 1: i32 a ( ".repeat(30_000),
        format!("/* {} */ x", "é".repeat(1 << 20)),
    ];
    for text in table {
        let start = std::time::Instant::now();
        run(text.as_str());
        let taken = start.elapsed();
        assert!(
            taken < Duration::from_secs(20),
            "{taken:?} for {}",
            text.chars().take(60).collect::<String>()
        );
    }
}

#[test]
fn limits_are_named() {
    let limits = IdlLimits { file_bytes: 100, files: 3, include_depth: 2, ..IdlLimits::default() };
    let options = Options { limits, ..Options::default() };
    let check = |files: MemoryProvider, expected: &str| {
        let text = compile("a.thrift", &files, &options).render(Style::Short);
        assert!(text.contains(expected), "{text}");
    };
    let big = MemoryProvider::new().file("a.thrift", "/".repeat(101));
    check(big, "the file `a.thrift` cannot be read: it is larger than 100 bytes");
    let four = "include \"b\" include \"c\" include \"d\"";
    let files = MemoryProvider::new().file("a.thrift", four).file("b", "").file("c", "").file("d", "");
    check(files, "more than 3 files");
    let files =
        MemoryProvider::new().file("a.thrift", "include \"b\"").file("b", "include \"c\"").file("c", "");
    check(files, "includes are nested deeper than 2");
    let latin = MemoryProvider::new().file("a.thrift", b"// caf\xE9\nstruct S {}".as_slice());
    check(latin, "a.thrift:1:7: error: the file is not UTF-8");
    check(MemoryProvider::new(), "error: the file `a.thrift` was not found");
}

/// Pieces that make something like an IDL when strung together.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "struct",
        "union",
        "exception",
        "enum",
        "service",
        "typedef",
        "const",
        "include",
        "namespace",
        "extends",
        "throws",
        "oneway",
        "void",
        "required",
        "optional",
        "list",
        "set",
        "map",
        "i32",
        "string",
        "bool",
        "double",
        "A",
        "B",
        "E",
        "E.A",
        "a.B",
        "x",
        "1",
        "-1",
        "0x1F",
        "1.5",
        "99999999999999999999",
        "\"s\"",
        "'t'",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        ",",
        ";",
        ":",
        "=",
        "&",
        "*",
        "\n",
        "// c\n",
        "/* d */",
        "é",
        "\"",
        "/*",
        "1:",
        "2: i32 a",
        "struct A {",
        "enum E { A",
        "(streaming.mode = \"server\")",
        "const A B = {",
        "xsd_attrs {",
    ];
    prop_oneof![20 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        run(bytes);
    }

    #[test]
    fn random_pieces_never_panic(pieces in proptest::collection::vec(piece(), 0..120)) {
        run(pieces.join(" "));
    }

    #[test]
    fn an_edited_file_never_panics(at in 0usize..2000, length in 0usize..30, new in "\\PC{0,5}") {
        let text = include_str!("expected/shop.thrift").replace("include \"base.thrift\"", "");
        let cut = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (start, end) = (cut(at), cut(at + length));
        run(format!("{}{new}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn texts_and_numbers_survive(text in "\\PC*", number in any::<i64>(), double in any::<f64>()) {
        prop_assume!(double.is_finite());
        let quoted = krpc::idl::quote(&text);
        let source = format!("const string S = {quoted} const i64 N = {number} const double D = {double:e}");
        let schema = run(source).into_schema().map_err(|report| TestCaseError::fail(report.to_string()))?;
        use krpc::idl::schema::Value;
        let values: Vec<Value> = schema.consts().map(|(_, constant)| constant.value.clone()).collect();
        prop_assert_eq!(&values[0], &Value::String(text.as_str().into()));
        prop_assert_eq!(&values[1], &Value::Int(number));
        prop_assert_eq!(&values[2], &Value::Double(double));
    }
}
