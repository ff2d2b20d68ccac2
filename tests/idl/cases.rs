//! Tables of IDL texts and the exact diagnostics they give, in `cases/*.txt`.
//!
//! A case is `=== name`, then files as `--- path` and their text, the first one being the main file, then
//! `--- expect` with the rendered diagnostics, or `ok`. `KRPC_UPDATE=1 cargo test --test idl` rewrites what is
//! expected; the difference is to be read before it is committed.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use krpc::idl::{MemoryProvider, Options, ServiceChoice, Style, compile};

#[derive(Default)]
struct Case {
    name: String,
    files: Vec<(String, String)>,
    expected: String,
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut section = None;
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case { name: name.trim_end().to_owned(), ..Case::default() });
            section = None;
        } else if let Some(path) = line.strip_prefix("--- ") {
            let case = cases.last_mut().expect("a file belongs to a case");
            section = Some(path.trim_end().to_owned());
            if path.trim_end() != "expect" {
                case.files.push((path.trim_end().to_owned(), String::new()));
            }
        } else {
            let case = cases.last_mut().expect("text belongs to a case");
            match section.as_deref() {
                Some("expect") => case.expected.push_str(line),
                Some(_) => case.files.last_mut().expect("a file is open").1.push_str(line),
                None => assert!(line.trim().is_empty(), "text outside of a file: {line}"),
            }
        }
    }
    cases
}

fn print(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        writeln!(text, "=== {}", case.name).unwrap();
        for (path, content) in &case.files {
            write!(text, "--- {path}\n{content}").unwrap();
        }
        write!(text, "--- expect\n{}", case.expected).unwrap();
    }
    text
}

/// The case's name may ask for options: `[keywords]`, `[first]`, `[combined]`, `[service X]`, `[search dir]`.
fn options(name: &str) -> Options {
    let asked =
        name.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(asked, _)| asked);
    let services = match asked.split_once(' ') {
        Some(("service", name)) => ServiceChoice::Named(name.to_owned()),
        _ if asked == "first" => ServiceChoice::First,
        _ if asked == "combined" => ServiceChoice::Combined,
        _ => ServiceChoice::Last,
    };
    Options { keywords: asked == "keywords", services, ..Options::default() }
}

fn run(case: &Case) -> String {
    let mut files = MemoryProvider::new();
    for (path, text) in &case.files {
        files = files.file(path, text.as_bytes());
    }
    if let Some((_, rest)) = case.name.split_once("[search ") {
        files = files.search(rest.trim_end_matches(']'));
    }
    let compiled = compile(&case.files[0].0, &files, &options(&case.name));
    let text = compiled.render(Style::Plain);
    assert_eq!(compiled.schema.is_some(), compiled.diagnostics.errors() == 0, "{}", case.name);
    // The empty line between diagnostics stays, the one before the next case looks better with it too.
    if text.is_empty() { "ok\n\n".to_owned() } else { text + "\n" }
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idl/cases").join(file);
    let mut cases = parse(&fs::read_to_string(&path).expect("the table is part of the repository"));
    assert!(!cases.is_empty());
    if std::env::var_os("KRPC_UPDATE").is_some() {
        for case in &mut cases {
            case.expected = run(case);
        }
        fs::write(&path, print(&cases)).expect("the table can be written");
        return;
    }
    let wrong: Vec<String> = cases
        .iter()
        .map(|case| (case, run(case)))
        .filter(|(case, found)| *found != case.expected)
        .map(|(case, found)| format!("{}: expected\n{}found\n{found}", case.name, case.expected))
        .collect();
    assert!(wrong.is_empty(), "{file}: {} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn syntax() {
    check("syntax.txt");
}

#[test]
fn dialects() {
    check("dialects.txt");
}

#[test]
fn names_and_types() {
    check("types.txt");
}

#[test]
fn members() {
    check("members.txt");
}

#[test]
fn services() {
    check("services.txt");
}

#[test]
fn values() {
    check("values.txt");
}

#[test]
fn includes() {
    check("includes.txt");
}

#[test]
fn styles() {
    let files = MemoryProvider::new().file("a.thrift", "struct A {\n  1: Nope\tn\n}\nstruct B { i32 x }");
    let compiled = compile("a.thrift", &files, &Options::default());
    assert_eq!(
        compiled.render(Style::Short),
        "a.thrift:2:6: error: undefined type: `Nope`\na.thrift:4:16: warning: `x` of `B` has no id\n1 error, 1 warning\n"
    );
    let colored = compiled.render(Style::Color);
    assert!(colored.starts_with("\u{1b}[1;31merror[undefined-type]\u{1b}[0m"), "{colored:?}");
    let mut plain = colored;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[1;31m", "\u{1b}[1;33m", "\u{1b}[1;34m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, compiled.render(Style::Plain), "colours are all that differs");
    assert_eq!(compiled.into_schema().unwrap_err().to_string(), plain);
}
