//! Makes the text of `include/krpc.h` from `src/capi`, in memory.
//!
//! cbindgen does the translation; this adds what it cannot: every public item of the room (also enums
//! that functions take as plain numbers), a title before the functions of each file, an initialiser for
//! each sized struct, and a plainer look.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::parse::{self, Field};

/// The header's text.
pub fn header(root: &Path) -> String {
    let files = capi_files(root);
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    config.export.include = files.iter().flat_map(|file| public_types(&file.text)).collect();
    // cbindgen would put the trailer behind the include guard.
    let helpers = config.trailer.take().unwrap_or_default();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in &files {
        builder = builder.with_src(&file.path);
    }
    let mut bytes = Vec::new();
    builder.generate().expect("src/capi translates to C").write(&mut bytes);
    let text = String::from_utf8(bytes).expect("the header is UTF-8");
    with_helpers(with_titles(plainer(&text), &files), &helpers)
}

struct File {
    path: PathBuf,
    /// First sentence of the file's documentation.
    title: String,
    text: String,
}

/// Every file of the room, in the order of the `mod` lines in `src/capi.rs`.
fn capi_files(root: &Path) -> Vec<File> {
    let room = std::fs::read_to_string(root.join("src/capi.rs")).expect("src/capi.rs");
    let modules = room.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').filter(|name| *name != parse::HOOKS)
    });
    modules
        .map(|module| {
            let path = root.join(format!("src/capi/{module}.rs"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let words: Vec<&str> =
                text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
            let words = words.join(" ");
            let title = words.split(". ").next().unwrap_or_default().trim_end_matches('.').replace('`', "");
            File { path, title, text }
        })
        .collect()
}

/// Names of the `krpc_*` types that a file declares in public.
fn public_types(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("pub ")?;
        let rest = ["struct ", "enum ", "union ", "type "].iter().find_map(|word| rest.strip_prefix(word))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    });
    names.filter(|name| name.starts_with("krpc_")).collect()
}

/// Puts each file's title before the first of its functions.
fn with_titles(mut header: String, files: &[File]) -> String {
    for file in files {
        let functions = parse::functions(&header);
        let here = |name: &str| file.text.contains(&format!("fn {name}("));
        if let Some(first) = functions.iter().find(|function| here(&function.name)) {
            let rule = "-".repeat(84usize.saturating_sub(file.title.chars().count()));
            header.insert_str(first.offset, &format!("/* ---- {} {rule} */\n\n", file.title));
        }
    }
    header
}

/// Writes comments of one line as one line, and types by their short name.
fn plainer(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let mut text = String::new();
    let mut rest = &lines[..];
    let mut shift = 0;
    while let [line, tail @ ..] = rest {
        rest = tail;
        if let [words, end, tail @ ..] = rest
            && line.trim() == "/**"
            && end.trim() == "*/"
        {
            text = text + line + words.trim_start().trim_start_matches('*') + " */\n";
            rest = tail;
            continue;
        }
        let is_type = line.starts_with("typedef ") && !line.contains('(') || line.starts_with("enum ");
        let is_comment = line.trim_start().starts_with(['*', '/']);
        shift = if is_type { 0 } else { shift };
        if is_type || is_comment {
            text = text + line + "\n";
            continue;
        }
        // The parameters of a function stay aligned behind its parenthesis.
        if !line.starts_with(' ') {
            let before = line.split('(').next().unwrap_or_default();
            shift = before.matches("struct krpc_").count() * "struct ".len();
        }
        let indent = line.len() - line.trim_start().len();
        let line = line[shift.min(indent)..].replace("struct krpc_", "krpc_");
        text = text + &line + "\n";
    }
    text
}

/// Adds, at the end of the header, the helpers and a `KRPC_<NAME>_INIT` for each struct whose first
/// field is `struct_size`.
fn with_helpers(mut header: String, helpers: &str) -> String {
    let structs = parse::structs(&header);
    let mut text = helpers.trim().to_owned() + "\n\n";
    for (name, fields) in structs.iter().filter(|(_, fields)| parse::is_sized(fields)) {
        let zeros =
            fields[1..].iter().fold(String::new(), |text, field| text + ", " + &zero(field, &structs));
        let _ = write!(
            text,
            "/** Initialiser of a `{name}`: its size, and the default in every field. */\n\
             #define {}_INIT {{sizeof({name}){zeros}}}\n\n",
            name.to_uppercase()
        );
    }
    let guard = header.rfind("#endif").expect("an include guard");
    header.insert_str(guard, &text);
    header
}

/// The initialiser of one field, zero in both languages and without a warning in either.
fn zero(field: &Field, structs: &[(String, Vec<Field>)]) -> String {
    let kind = field.kind.trim_start_matches("const ").trim_start_matches("struct ");
    if field.is_pointer || kind.ends_with("_fn") {
        return "NULL".into();
    }
    if let Some((_, fields)) = structs.iter().find(|(name, _)| name == kind) {
        let inner: Vec<String> = fields.iter().map(|field| zero(field, structs)).collect();
        return format!("{{{}}}", inner.join(", "));
    }
    match kind {
        "bool" => "false".into(),
        kind if kind.starts_with("krpc_") => format!("({kind})0"),
        _ => "0".into(),
    }
}

#[test]
fn sized_structs_get_an_initialiser() {
    let header = "typedef struct krpc_pair {\n    krpc_str *a;\n    krpc_state b;\n} krpc_pair;\n\
        typedef struct krpc_probe {\n    /** Size. */\n    size_t struct_size;\n    int64_t timeout_ms;\n    \
        bool urgent;\n    const krpc_thing *parent;\n    krpc_done_fn done;\n    krpc_pair pair;\n} krpc_probe;\n\
        #endif\n";
    let made = with_helpers(header.into(), "");
    let expected = "#define KRPC_PROBE_INIT \
        {sizeof(krpc_probe), 0, false, NULL, NULL, {NULL, (krpc_state)0}}\n";
    assert!(made.contains(expected), "{made}");
    assert_eq!(made.matches("_INIT").count(), 1);
}
