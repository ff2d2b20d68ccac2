//! Completions and manual pages, made from the definition of the command line.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Failure, Result};
use crate::output;

pub fn completions(shell: Shell) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "krpc", &mut text);
    output::result(&text)?;
    Ok(Exit::Ok)
}

/// The page of the command found by its words, `krpc` itself if there are none.
pub fn man(words: &[String]) -> Result<Exit> {
    let mut program = Cli::command();
    program.build();
    let mut command: &Command = &program;
    for word in words {
        let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        command = command.find_subcommand(word).ok_or_else(|| {
            Failure::usage(format_args!("there is no command {word}; there are: {}", names.join(", ")))
        })?;
    }
    let title = std::iter::once("krpc").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    let page = clap_mangen::Man::new(command.clone().name(title.clone()).bin_name(title.replace('-', " ")));
    let mut text = Vec::new();
    page.render(&mut text).map_err(|reason| Failure::usage(format_args!("man: {reason}")))?;
    output::result(&text)?;
    Ok(Exit::Ok)
}
