//! IDLs: loading one for a command, and the commands that are about IDLs.

use std::path::Path;
use std::sync::Arc;

use krpc::idl::schema::{MethodId, ServiceId};
use krpc::idl::{FileProvider, Options, Schema, Style, compile, dump, template};

use crate::args::{IdlArgs, IdlCommand, IdlKind, IncludeArgs};
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::output;

/// A schema, or all that is wrong with the IDL.
pub fn load(args: &IdlArgs) -> Result<Arc<Schema>> {
    let path = args.idl.as_deref().filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Failure::usage("IDL path is required; give --idl FILE"))?;
    let kind = match args.kind {
        IdlKind::Unknown if path.ends_with(".thrift") => IdlKind::Thrift,
        IdlKind::Unknown if path.ends_with(".proto") => IdlKind::Protobuf,
        kind => kind,
    };
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(Failure::usage(format_args!("IDL is not a regular file: {path}")));
        }
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::usage(format_args!("IDL file does not exist: {path}")));
        }
        // Other reasons are told with the diagnostics.
        _ => {}
    }
    match kind {
        IdlKind::Thrift => compiled(path, &args.include),
        IdlKind::Protobuf => Err(Failure::unsupported("protobuf IDLs are not in this version")),
        IdlKind::Unknown => Err(Failure::usage(format_args!(
            "Can not guess an IDL type from {path:?} (unknown suffix), please specify with the '-type' flag."
        ))),
    }
}

/// Warnings are left to `idl check`.
fn compiled(path: &str, include: &IncludeArgs) -> Result<Arc<Schema>> {
    let options = Options { comments: false, ..Options::default() };
    let compiled = compile(path, &provider(include)?, &options);
    match compiled.schema {
        Some(schema) => Ok(schema),
        None => Err(Failure::idl(compiled.render(style(false)))),
    }
}

fn provider(include: &IncludeArgs) -> Result<FileProvider> {
    for folder in &include.include {
        if !Path::new(folder).is_dir() {
            return Err(Failure::usage(format_args!("Include path does not exist: {folder}")));
        }
    }
    Ok(include.include.iter().fold(FileProvider::new(), FileProvider::search))
}

fn style(short: bool) -> Style {
    match (short, output::colors()) {
        (true, _) => Style::Short,
        (false, true) => Style::Color,
        (false, false) => Style::Plain,
    }
}

/// A method together with the service under whose name it is called, which may have inherited it.
pub struct Found {
    pub id: MethodId,
    pub service: Arc<str>,
    /// `Service/Method`.
    pub path: String,
}

/// Finds `Service/Method`, or `Method` alone.
pub fn find(schema: &Schema, path: Option<&str>) -> Result<Found> {
    let path = path.filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Failure::usage("Method name is required; give --method Service/Method"))?;
    if path.split('/').any(str::is_empty) || path.matches('/').count() > 1 {
        return Err(Failure::usage(format_args!(
            "Method name must be in the format 'Service/Method' or 'Method', not {path:?}"
        )));
    }
    let id = schema.find_method(path).map_err(|error| Failure {
        exit: Exit::Usage,
        code: "USAGE",
        text: format!("{error}{}", known_methods(schema, path)),
        laid_out: false,
    })?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let service = match path.split_once('/') {
        Some((service, _)) => service.into(),
        None => schema.service(service_with(schema, id, name)).name.clone(),
    };
    Ok(Found { id, path: format!("{service}/{name}"), service })
}

/// The service that a method without one was found in, by the rule of [`Schema::find_method`].
fn service_with(schema: &Schema, id: MethodId, name: &str) -> ServiceId {
    let has = |service: &ServiceId| schema.method_of(*service, name) == Some(id);
    let main_file = schema.services().filter(|(_, service)| service.file.index() == 0);
    let mut candidates = schema.main_service().into_iter().chain(main_file.map(|(service, _)| service));
    candidates.find(has).unwrap_or(schema.method(id).service)
}

/// What there is instead, if it fits a few lines.
fn known_methods(schema: &Schema, path: &str) -> String {
    const MOST: usize = 20;
    let wanted = path.split_once('/').and_then(|(service, _)| schema.service_named(service));
    let mut names = Vec::new();
    for (id, service) in schema.services() {
        if wanted.map_or(service.file.index() == 0, |wanted| wanted == id) {
            names.extend(
                service
                    .methods
                    .iter()
                    .map(|method| format!("{}/{}", service.name, schema.method(*method).name)),
            );
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > MOST { ", ..." } else { "" };
    names.truncate(MOST);
    format!("\n  there are: {}{more}", names.join(", "))
}

pub fn run(command: IdlCommand) -> Result<Exit> {
    match command {
        IdlCommand::Check { files, include, short, strict } => check(&files, &include, short, strict),
        IdlCommand::Dump { file, include } => {
            let args = IdlArgs { idl: Some(file), include, kind: IdlKind::Unknown };
            output::result(dump::to_json(&*load(&args)?).as_bytes())?;
            Ok(Exit::Ok)
        }
        IdlCommand::Template { method, mut idl, config, result, comments } => {
            Settings::load(&config)?.fill_idl(&mut idl);
            let schema = load(&idl)?;
            let method = find(&schema, Some(&method))?;
            let style = if comments { template::Style::Commented } else { template::Style::Json };
            let make = if result { template::result } else { template::request };
            let text = make(&schema, &method.path, style).map_err(Failure::usage)?;
            output::result(text.as_bytes())?;
            Ok(Exit::Ok)
        }
    }
}

/// Findings go to stderr, so that stdout stays free for results.
fn check(files: &[String], include: &IncludeArgs, short: bool, strict: bool) -> Result<Exit> {
    let provider = provider(include)?;
    let mut good = true;
    for file in files {
        let compiled = compile(file, &provider, &Options { keywords: true, ..Options::default() });
        let findings = compiled.render(style(short));
        if !findings.is_empty() {
            output::say(findings.trim_end());
        }
        good &= compiled.schema.is_some() && !(strict && compiled.diagnostics.warnings() > 0);
    }
    Ok(if good { Exit::Ok } else { Exit::Usage })
}
