//! Settings from a file: defaults and named profiles. Flags and environment come first.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::Deserialize;

use crate::args::{ConfigArgs, IdlArgs, Layout, TargetArgs, TransportArg, duration};
use crate::exit::{Failure, Result};

/// A configuration file.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: Settings,
    #[serde(default)]
    profile: BTreeMap<String, Settings>,
}

/// What a file can set; each key is the long name of a flag.
#[derive(Deserialize, Default, Clone, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    idl: Option<String>,
    include: Option<OneOrMany>,
    endpoint: Option<OneOrMany>,
    method: Option<String>,
    transport: Option<String>,
    timeout: Option<String>,
    output: Option<String>,
    meta: Option<BTreeMap<String, String>>,
    meta_persistent: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl Settings {
    /// The settings of the file and profile that the arguments name; none if they name no file.
    pub fn load(args: &ConfigArgs) -> Result<Settings> {
        let Some(path) = &args.config else {
            return match &args.profile {
                Some(_) => {
                    Err(Failure::usage("--profile needs --config FILE, or KRPC_CONFIG in the environment"))
                }
                None => Ok(Settings::default()),
            };
        };
        let text = fs::read_to_string(path)
            .map_err(|reason| Failure::usage(format_args!("configuration file {path}: {reason}")))?;
        let file: File = toml::from_str(&text)
            .map_err(|reason| Failure::usage(format_args!("{path}: {}", reason.to_string().trim_end())))?;
        let settings = match &args.profile {
            None => file.default,
            Some(name) => match file.profile.get(name) {
                Some(profile) => profile.clone().over(file.default),
                None => {
                    let names: Vec<&str> = file.profile.keys().map(String::as_str).collect();
                    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    return Err(Failure::usage(format_args!(
                        "{path} has no profile {name}; it has: {known}"
                    )));
                }
            },
        };
        Ok(settings.beside(path))
    }

    /// These settings, and for what they leave open those below. Metainfo is joined by key.
    fn over(self, below: Settings) -> Settings {
        Settings {
            idl: self.idl.or(below.idl),
            include: self.include.or(below.include),
            endpoint: self.endpoint.or(below.endpoint),
            method: self.method.or(below.method),
            transport: self.transport.or(below.transport),
            timeout: self.timeout.or(below.timeout),
            output: self.output.or(below.output),
            meta: join(self.meta, below.meta),
            meta_persistent: join(self.meta_persistent, below.meta_persistent),
        }
    }

    /// Paths are meant from the folder of the configuration file.
    fn beside(mut self, config: &str) -> Settings {
        let folder = Path::new(config).parent().unwrap_or(Path::new(""));
        let from_here = |path: String| folder.join(path).to_string_lossy().into_owned();
        self.idl = self.idl.map(from_here);
        self.include =
            self.include.map(|paths| OneOrMany::Many(paths.into_vec().into_iter().map(from_here).collect()));
        self
    }

    /// Fills in what the command line left open.
    pub fn fill_idl(&self, args: &mut IdlArgs) {
        args.idl = args.idl.take().or_else(|| self.idl.clone());
        if args.include.include.is_empty() {
            args.include.include = self.include.clone().map(OneOrMany::into_vec).unwrap_or_default();
        }
    }

    /// The same for all of a target.
    pub fn fill_target(&self, args: &mut TargetArgs) -> Result<()> {
        self.fill_idl(&mut args.idl);
        if args.endpoint.is_empty() {
            args.endpoint = self.endpoint.clone().map(OneOrMany::into_vec).unwrap_or_default();
        }
        args.method = args.method.take().or_else(|| self.method.clone());
        if let (None, Some(transport)) = (args.transport, &self.transport) {
            args.transport = Some(choice::<TransportArg>("transport", transport)?);
        }
        if let (None, Some(timeout)) = (args.timeout, &self.timeout) {
            let timeout = duration(timeout)
                .map_err(|why| Failure::usage(format_args!("configuration: timeout: {why}")));
            args.timeout = Some(timeout?);
        }
        add(&mut args.meta, self.meta.as_ref());
        add(&mut args.meta_persistent, self.meta_persistent.as_ref());
        Ok(())
    }

    pub fn layout(&self, flag: Option<Layout>) -> Result<Option<Layout>> {
        match (flag, &self.output) {
            (Some(layout), _) => Ok(Some(layout)),
            (None, Some(name)) => choice("output", name).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn join(
    above: Option<BTreeMap<String, String>>,
    below: Option<BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    match (above, below) {
        (Some(above), Some(mut below)) => {
            below.extend(above);
            Some(below)
        }
        (above, below) => above.or(below),
    }
}

/// Pairs whose key the command line does not give.
fn add(pairs: &mut Vec<(String, String)>, more: Option<&BTreeMap<String, String>>) {
    let given = pairs.len();
    for (key, value) in more.into_iter().flatten() {
        if !pairs[..given].iter().any(|(name, _)| name == key) {
            pairs.push((key.clone(), value.clone()));
        }
    }
}

fn choice<T: ValueEnum>(key: &str, name: &str) -> Result<T> {
    T::from_str(name, true).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        Failure::usage(format_args!("configuration: {key} is `{name}`, not one of: {}", names.join(", ")))
    })
}
