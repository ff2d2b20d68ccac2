//! The Thrift IDL front end: from files to the run-time type description.
//!
//! [`compile`] does all of it: [`loader`] reads and parses the include graph with a [`Provider`], then
//! every name is resolved and every rule checked (idl_codegen.md §1 to §3), and the result is a
//! [`Schema`]. Errors come several at a time, as [`Diagnostic`]s that can show the line they speak of.
//!
//! ```
//! use krpc::idl::{MemoryProvider, Options, compile};
//!
//! let files = MemoryProvider::new().file("chat.thrift", "service Chat { string Say(1: string text) }");
//! let compiled = compile("chat.thrift", &files, &Options::default());
//! let schema = compiled.into_schema().expect("no errors");
//! assert!(schema.find_method("Chat/Say").is_ok());
//! ```
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

pub mod ast;
pub mod comment;
pub mod diagnostic;
pub mod dump;
pub mod format;
mod intern;
mod json;
mod lexer;
mod limits;
mod literal;
pub mod loader;
mod parser;
pub mod provider;
mod resolve;
pub mod schema;
mod similar;
pub mod source;
pub mod template;
mod token;

use std::sync::Arc;

pub use diagnostic::{Diagnostic, Diagnostics, Report, Severity, Style};
pub use limits::IdlLimits;
pub use literal::quote;
pub use loader::Program;
pub use parser::parse;
pub use provider::{FileProvider, MemoryProvider, Provider, ReadError};
pub use schema::Schema;

/// Which service of the main file stands for the IDL when only a method is named (generic.md §11).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ServiceChoice {
    /// The last one.
    #[default]
    Last,
    /// The first one.
    First,
    /// All of them together, as `CombinedServices`; equal method names are an error.
    Combined,
    /// The one of this name.
    Named(String),
}

/// How an IDL is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Limits.
    pub limits: IdlLimits,
    /// Which service stands for the IDL. Default: the last one.
    pub services: ServiceChoice,
    /// Whether `go.tag = 'json:"x"'` names a field in JSON. Default true.
    pub go_tag: bool,
    /// Whether the schema keeps comments. Default true.
    pub comments: bool,
    /// Whether names that are reserved words of some language are warned about. Default false.
    pub keywords: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: IdlLimits::default(),
            services: ServiceChoice::Last,
            go_tag: true,
            comments: true,
            keywords: false,
        }
    }
}

/// What became of an IDL.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Texts and syntax trees, as far as they could be read.
    pub program: Program,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The schema, if there was no error.
    pub schema: Option<Arc<Schema>>,
}

impl Compiled {
    /// The schema, or everything that is needed to say why there is none.
    pub fn into_schema(self) -> Result<Arc<Schema>, Report> {
        let Compiled { program, diagnostics, schema } = self;
        schema.ok_or(Report { sources: program.sources, diagnostics })
    }

    /// All diagnostics as text; empty if there are none.
    pub fn render(&self, style: Style) -> String {
        self.diagnostics.render(&self.program.sources, style)
    }
}

/// Reads a main file and all it includes, and makes the schema of them.
pub fn compile(main: &str, provider: &dyn Provider, options: &Options) -> Compiled {
    let mut diagnostics = Diagnostics::new(options.limits.diagnostics);
    let program = loader::load(main, provider, &options.limits, &mut diagnostics);
    let schema = resolve::resolve(&program, options, &mut diagnostics).map(Arc::new);
    diagnostics.sort();
    Compiled { program, diagnostics, schema }
}
