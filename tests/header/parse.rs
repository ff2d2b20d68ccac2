//! Reads what the tests need from the header's text. The header is generated, so its form is known.

/// The file of `src/capi` that only the feature `test-hooks` has, and the header never.
pub const HOOKS: &str = "test_hooks";

/// A declared function.
pub struct Function {
    pub name: String,
    /// Its declaration, as one line.
    pub declaration: String,
    /// Its comment, as one line.
    pub doc: String,
    /// Where its comment starts.
    pub offset: usize,
}

/// A field of a struct.
pub struct Field {
    pub name: String,
    pub kind: String,
    pub is_pointer: bool,
}

/// Every function that the library exports, in the header's order. Inline helpers are not among them.
pub fn functions(header: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut comment = None;
    let mut offset = 0;
    let mut declaration = String::new();
    let mut in_comment = false;
    for line in header.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let text = line.trim();
        if text.starts_with("/**") {
            (comment, in_comment) = (Some((start, String::new())), true);
        }
        if in_comment {
            let words = text.trim_start_matches("/**").trim_end_matches("*/").trim_start_matches('*').trim();
            if let Some((_, doc)) = &mut comment {
                doc.push_str(if doc.is_empty() || words.is_empty() { "" } else { " " });
                doc.push_str(words);
            }
            in_comment = !text.ends_with("*/");
            continue;
        }
        let starts = !line.starts_with([' ', '#', '/', '}', '{', '\n']);
        if starts || !declaration.is_empty() {
            declaration.push_str(text);
            declaration.push(' ');
        }
        if declaration.trim_end().ends_with([';', '{']) {
            if let Some(name) = function_name(&declaration) {
                let (offset, doc) = comment.take().unwrap_or((start, String::new()));
                let declaration = declaration.trim_end().trim_end_matches(';').to_owned();
                found.push(Function { name, declaration, doc, offset });
            }
            declaration.clear();
            comment = None;
        }
    }
    found
}

fn function_name(declaration: &str) -> Option<String> {
    let words = declaration.trim_end().strip_suffix(");")?;
    let name = words.split('(').next()?.rsplit([' ', '*']).next()?;
    let known = ["typedef", "static"].iter().any(|word| declaration.starts_with(word));
    (name.starts_with("krpc_") && !known).then(|| name.to_owned())
}

/// Every struct with fields.
pub fn structs(header: &str) -> Vec<(String, Vec<Field>)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(at) = rest.find("typedef struct krpc_") {
        rest = &rest[at + "typedef struct ".len()..];
        let Some(open) = rest.find(['{', ';']) else { break };
        if rest.as_bytes()[open] == b';' {
            continue;
        }
        let name = rest[..open].trim().to_owned();
        let Some(close) = rest.find("\n}") else { break };
        found.push((name, fields(&rest[open + 1..close])));
        rest = &rest[close..];
    }
    found
}

fn fields(body: &str) -> Vec<Field> {
    let code: String = without_comments(body);
    let declarations = code.split(';').map(str::trim).filter(|text| !text.is_empty());
    declarations
        .map(|declaration| {
            let (kind, name) = declaration.rsplit_once([' ', '*']).expect("type and name");
            let is_pointer = declaration.contains('*');
            Field { name: name.to_owned(), kind: kind.trim_end_matches([' ', '*']).to_owned(), is_pointer }
        })
        .collect()
}

/// Whether a struct grows at its end (abi rule: `size_t struct_size` first).
pub fn is_sized(fields: &[Field]) -> bool {
    fields.first().is_some_and(|field| field.name == "struct_size")
}

/// Every constant of every enum, with its number.
pub fn constants(header: &str) -> Vec<(String, i64)> {
    let code = without_comments(header);
    let lines = code.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let numbers = lines.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
    numbers.filter(|(name, _)| name.starts_with("KRPC_")).collect()
}

impl Function {
    /// Whose what it hands over and takes is, in the words of the header's preamble. Types say what there is,
    /// comments what becomes of it; where the two don't fit there is an error instead.
    pub fn ownership(&self) -> Result<String, String> {
        let (result, parameters) = self.declaration.split_once('(').unwrap_or_default();
        let result = result.trim_end_matches(self.name.as_str()).trim();
        let mut words = Vec::new();
        let says = |words: &[&str]| words.iter().any(|word| self.doc.contains(word));
        if self.name.ends_with("_free") || self.name.contains("_release") {
            words.push("frees".to_owned());
        } else if result.ends_with('*') && !result.starts_with("const ") {
            let owned = says(&["an owned ", "owned by the caller", "Returns an owned"]);
            words.push(if owned { "owned" } else { return Err("say who owns the result".into()) }.into());
        } else if result.ends_with('*') || matches!(result, "krpc_str" | "krpc_bytes") {
            let borrowed = says(&["orrowed from", "Static"]);
            words.push(
                if borrowed { "lent" } else { return Err("say from what it is borrowed".into()) }.into(),
            );
        }
        for parameter in parameters.trim_end_matches(')').split(',').map(str::trim) {
            let name = parameter.rsplit([' ', '*']).next().unwrap_or_default();
            let consumed = [format!("`{name}`: always consumed"), format!("`{name}`: taken")];
            if consumed.iter().any(|words| self.doc.contains(words)) {
                words.push(format!("takes:{name}"));
            } else if parameter.contains("**") && name != "error" && !parameter.starts_with("const ") {
                words.push(format!("gives:{name}"));
                let owned = says(&["owned"]);
                owned.then_some(()).ok_or_else(|| format!("say who owns `{name}`"))?;
            }
        }
        Ok(if words.is_empty() { "-".into() } else { words.join(",") })
    }
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("/*") {
        code.push_str(&rest[..open]);
        rest = rest[open..].find("*/").map_or("", |close| &rest[open + close + 2..]);
    }
    code.push_str(rest);
    code
}
