//! `krpc`: calls, mocks and measures Kitex services.

mod args;
mod bench;
mod call;
mod config;
mod docs;
mod exit;
mod idl;
mod input;
mod kitexcall;
mod output;
mod retry;
mod serve;
mod signals;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Command};
use crate::exit::{Exit, Result};

fn main() -> ExitCode {
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(exit) => return ExitCode::from(exit as u8),
    };
    output::choose_colors(cli.color);
    let exit = run(cli.command).unwrap_or_else(|failure| {
        output::failure(&failure);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// The command line; help has been printed if that is what it asks for, and mistakes have been told.
fn parse(args: Vec<OsString>) -> Result<Cli, Exit> {
    let mut program = Cli::command();
    program.build();
    let args = kitexcall::normalise(&program, args);
    let parsed = program.try_get_matches_from_mut(args).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        // Nobody may be reading; that is no reason to fail.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
            _ => Exit::Usage,
        }
    })
}

fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Call(args) => call::run(*args),
        Command::Serve(args) => serve::run(args),
        Command::Bench(args) => bench::run(*args),
        Command::Idl(command) => idl::run(command),
        Command::Completions { shell } => docs::completions(shell),
        Command::Man { command } => docs::man(&command),
    }
}
