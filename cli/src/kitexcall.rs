//! kitexcall's way to write flags: one dash or two before a long name (`-idl-path x`), and values for
//! switches (`-quiet=true`), as Go's flag package takes them.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The arguments as clap reads them. Values of options, and everything after `--`, stay as they are.
pub fn normalise(program: &Command, args: Vec<OsString>) -> Vec<OsString> {
    let mut normal = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    normal.extend(args.next());
    let mut command = program;
    while let Some(arg) = args.next() {
        let Some(text) = arg.to_str() else {
            normal.push(arg);
            continue;
        };
        if text == "--" {
            normal.push(arg);
            break;
        }
        if let Some(found) = command.find_subcommand(text) {
            command = found;
            normal.push(arg);
            continue;
        }
        let flag = Flag::read(command, text);
        normal.extend(flag.written);
        if flag.takes_next {
            normal.extend(args.next());
        }
    }
    normal.extend(args);
    normal
}

struct Flag {
    written: Option<OsString>,
    takes_next: bool,
}

impl Flag {
    fn read(command: &Command, text: &str) -> Flag {
        let dashes = text.len() - text.trim_start_matches('-').len();
        let (name, value) = match text[dashes..].split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&text[dashes..], None),
        };
        let as_is = |takes_next| Flag { written: Some(text.into()), takes_next };
        match (dashes, named(command, name)) {
            (1 | 2, Some(arg)) if name.len() > 1 => {
                let takes_value = arg.get_action().takes_values();
                let written = match value {
                    Some("false" | "0" | "f" | "F") if !takes_value => None,
                    Some("true" | "1" | "t" | "T") if !takes_value => Some(format!("--{name}")),
                    _ => Some(format!("--{}", &text[dashes..])),
                };
                Flag { written: written.map(Into::into), takes_next: takes_value && value.is_none() }
            }
            (1, None) if matches!(name, "help" | "version") => {
                Flag { written: Some(format!("--{name}").into()), takes_next: false }
            }
            (1, _) => as_is(ends_in_option(command, &text[1..])),
            _ => as_is(false),
        }
    }
}

fn named<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || aliases.contains(&name)
    })
}

/// Whether `-abc` ends in an option whose value is the next argument.
fn ends_in_option(command: &Command, shorts: &str) -> bool {
    for (at, short) in shorts.char_indices() {
        let found = command.get_arguments().find(|arg| arg.get_short() == Some(short));
        if found.is_some_and(|arg| arg.get_action().takes_values()) {
            return at + short.len_utf8() == shorts.len();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn normal(text: &str) -> String {
        let program = crate::args::Cli::command();
        let args = std::iter::once("krpc").chain(text.split(' ')).map(OsString::from).collect();
        let words = normalise(&program, args).into_iter().skip(1).map(|word| word.into_string().unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_dash_before_a_long_name_becomes_two() {
        let table = [
            ("call -idl-path a -method b/c", "call --idl-path a --method b/c"),
            ("call --idl-path=a -endpoint=x -e y", "call --idl-path=a --endpoint=x -e y"),
            ("call -quiet=true -verbose=false -biz-error", "call --quiet --biz-error"),
            ("call -data -5 -d -method -m -data", "call --data -5 -d -method -m -data"),
            ("call -meta a=b -meta-persistent c=d", "call --meta a=b --meta-persistent c=d"),
            ("call -qv -p -quiet -pfile -help", "call -qv -p -quiet -pfile --help"),
            ("call -- -quiet", "call -- -quiet"),
            ("call -unknown", "call -unknown"),
            ("bench -d 5s -c 4", "bench -d 5s -c 4"),
        ];
        for (text, expected) in table {
            assert_eq!(normal(text), expected, "{text}");
        }
    }
}
