//! `pico completions`: what a shell needs to complete Pico's commands and keys.

use crate::log;
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

pub(super) fn run(matches: &ArgMatches, mut pico: Command) -> io::Result<()> {
    if let Some(shell) = matches.get_one::<Shell>(SHELL) {
        let mut script = Vec::new();
        generate(*shell, &mut pico, "pico", &mut script);
        log::say(&String::from_utf8_lossy(&script))?;
    }
    Ok(())
}

const SHELL: &str = "shell";

const EXAMPLES: &str = "\
Examples:
  pico completions bash > /etc/bash_completion.d/pico
  pico completions zsh > ~/.zfunc/_pico
  pico completions fish > ~/.config/fish/completions/pico.fish";
