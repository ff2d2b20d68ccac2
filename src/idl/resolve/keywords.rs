//! Names that are reserved words of a language that code is generated for.

use super::Resolver;
use crate::idl::ast::{Definition, DefinitionKind, Field, Name};
use crate::idl::diagnostic::Diagnostic;

const RESERVED: &[(&str, &[&str])] = &[
    (
        "C",
        &[
            "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
            "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict",
            "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union",
            "unsigned", "void", "volatile", "while",
        ],
    ),
    (
        "C++",
        &[
            "and",
            "asm",
            "auto",
            "bool",
            "break",
            "case",
            "catch",
            "char",
            "class",
            "const",
            "continue",
            "default",
            "delete",
            "do",
            "double",
            "else",
            "enum",
            "explicit",
            "export",
            "extern",
            "false",
            "float",
            "for",
            "friend",
            "goto",
            "if",
            "inline",
            "int",
            "long",
            "mutable",
            "namespace",
            "new",
            "not",
            "operator",
            "or",
            "private",
            "protected",
            "public",
            "register",
            "return",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "switch",
            "template",
            "this",
            "throw",
            "true",
            "try",
            "typedef",
            "typeid",
            "typename",
            "union",
            "unsigned",
            "using",
            "virtual",
            "void",
            "volatile",
            "while",
            "xor",
        ],
    ),
    (
        "Go",
        &[
            "break",
            "case",
            "chan",
            "const",
            "continue",
            "default",
            "defer",
            "else",
            "fallthrough",
            "for",
            "func",
            "go",
            "goto",
            "if",
            "import",
            "interface",
            "map",
            "package",
            "range",
            "return",
            "select",
            "struct",
            "switch",
            "type",
            "var",
        ],
    ),
    (
        "Java",
        &[
            "abstract",
            "assert",
            "boolean",
            "break",
            "byte",
            "case",
            "catch",
            "char",
            "class",
            "const",
            "continue",
            "default",
            "do",
            "double",
            "else",
            "enum",
            "extends",
            "final",
            "finally",
            "float",
            "for",
            "goto",
            "if",
            "implements",
            "import",
            "instanceof",
            "int",
            "interface",
            "long",
            "native",
            "new",
            "package",
            "private",
            "protected",
            "public",
            "return",
            "short",
            "static",
            "super",
            "switch",
            "synchronized",
            "this",
            "throw",
            "throws",
            "transient",
            "try",
            "void",
            "volatile",
            "while",
        ],
    ),
    (
        "JavaScript",
        &[
            "await",
            "break",
            "case",
            "catch",
            "class",
            "const",
            "continue",
            "debugger",
            "default",
            "delete",
            "do",
            "else",
            "enum",
            "export",
            "extends",
            "false",
            "finally",
            "for",
            "function",
            "if",
            "import",
            "in",
            "instanceof",
            "new",
            "null",
            "return",
            "super",
            "switch",
            "this",
            "throw",
            "true",
            "try",
            "typeof",
            "var",
            "void",
            "while",
            "with",
            "yield",
        ],
    ),
    (
        "Python",
        &[
            "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
            "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in",
            "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with",
            "yield",
        ],
    ),
    (
        "Rust",
        &[
            "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
            "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
            "ref", "return", "self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use",
            "where", "while",
        ],
    ),
];

impl Resolver<'_> {
    /// Only if asked for: generators rename such names by themselves.
    pub(super) fn keywords(&mut self) {
        if !self.options.keywords {
            return;
        }
        let program = self.program;
        for definition in program.files.iter().flat_map(|parsed| &parsed.document.definitions) {
            self.definition_keywords(definition);
        }
    }

    fn definition_keywords(&mut self, definition: &Definition) {
        self.keyword(&definition.name);
        match &definition.kind {
            DefinitionKind::Enum(values) => values.iter().for_each(|value| self.keyword(&value.name)),
            DefinitionKind::Struct(_, fields) => self.field_keywords(fields),
            DefinitionKind::Service(service) => {
                for function in &service.functions {
                    self.keyword(&function.name);
                    self.field_keywords(&function.arguments);
                    self.field_keywords(&function.throws);
                }
            }
            DefinitionKind::Const(..) | DefinitionKind::Typedef(_) => {}
        }
    }

    fn field_keywords(&mut self, fields: &[Field]) {
        fields.iter().for_each(|field| self.keyword(&field.name));
    }

    fn keyword(&mut self, name: &Name) {
        let reserves = |words: &[&str]| words.contains(&&*name.text);
        let languages: Vec<&str> =
            RESERVED.iter().filter(|(_, words)| reserves(words)).map(|(language, _)| *language).collect();
        if !languages.is_empty() {
            let message = format!("`{}` is a reserved word of {}", name.text, languages.join(", "));
            self.diagnostics.push(Diagnostic::warning("keyword", name.span, message));
        }
    }
}
