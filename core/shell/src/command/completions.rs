//! `pico completions`: what a shell needs to complete Pico's commands and keys.

use crate::config::Level;
use crate::log;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};
use std::io;

pub(super) fn command() -> Command {
    let shell = Arg::new(SHELL)
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .required(true)
        .help("The shell");
    Command::new("completions")
        .about("Print what a shell needs to complete pico's commands and keys")
        .arg(shell)
        .after_help(EXAMPLES)
}

pub(super) fn run(matches: &ArgMatches, pico: &Command) -> io::Result<()> {
    if let Some(shell) = matches.get_one::<Shell>(SHELL) {
        let mut script = Vec::new();
        generate(*shell, &mut offered(pico), "pico", &mut script);
        log::say(&String::from_utf8_lossy(&script))?;
    }
    Ok(())
}

/// The command as it is offered: without what is hidden, and with the words of each choice. When
/// these are read, it is not clap that refuses others, but the configuration, with all mistakes.
fn offered(command: &Command) -> Command {
    let seen = |argument: &&Arg| !argument.is_hide_set();
    let arguments = command.get_arguments().filter(seen).cloned().map(|argument| {
        match argument.get_value_names() {
            Some([shape]) if !words(shape).is_empty() => {
                let words = PossibleValuesParser::new(words(shape));
                argument.value_parser(words)
            }
            Some(_) | None => argument,
        }
    });
    let about = command.get_about().cloned().unwrap_or_default();
    Command::new(command.get_name().to_owned())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .args(arguments)
        .subcommands(command.get_subcommands().map(offered))
}

/// The words that a value may be, if it is one of a few: all that stand in lower case.
fn words(shape: &str) -> Vec<String> {
    match shape {
        "LEVEL" => Level::ALL.map(|level| level.name().to_owned()).into(),
        _ => shape
            .split('|')
            .filter(|word| shape.contains('|') && word.bytes().all(|b| b.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect(),
    }
}

const SHELL: &str = "shell";

const EXAMPLES: &str = "\
Examples:
  pico completions bash > /etc/bash_completion.d/pico
  pico completions zsh > ~/.zfunc/_pico
  pico completions fish > ~/.config/fish/completions/pico.fish";
