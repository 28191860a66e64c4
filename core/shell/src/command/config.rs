//! `pico config`: what a configuration comes to be, and what is wrong with it.

use super::Failure;
use super::table::Table;
use crate::config::{Kind, Refusal, Setting, reference};
use crate::log;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use serde_json::json;

/// The command and those below it.
pub(super) fn command() -> Command {
    let names = || PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()));
    let file = Arg::new(FILE)
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .help("The YAML file")
        .required(true);
    let kind = Arg::new(FOR)
        .long(FOR)
        .value_name("KIND")
        .value_parser(names())
        .help("The process that it is for [default: as its keys say]");
    let json = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Print JSON");
    let show = Kind::ALL.iter().map(|kind| {
        Command::new(kind.name())
            .about(format!("The keys of pico {}", kind.name()))
            .arg(json.clone())
            .args(kind.arguments())
            .after_help(EXAMPLES)
    });
    Command::new("config")
        .about("Check a configuration, or show what it comes to be")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .subcommand(
            Command::new(CHECK)
                .about("Say all that is wrong with a file; exit with 2 if anything is")
                .after_help(EXAMPLES)
                .args([file, kind]),
        )
        .subcommand(
            Command::new(SHOW)
                .about("Print each key's value, and who said so")
                .after_help(EXAMPLES)
                .subcommand_required(true)
                .subcommands(show),
        )
        .subcommand(
            Command::new(REFERENCE)
                .about("Print the reference of all keys, in Markdown")
                .after_help(EXAMPLES),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = match matches.subcommand() {
        Some((CHECK, matches)) => check(matches)?,
        Some((SHOW, matches)) => show(matches)?,
        Some((REFERENCE, _)) => reference(),
        Some(_) | None => return Err(Refusal("expected check, show or reference".into()).into()),
    };
    log::say(&text)?;
    Ok(())
}

fn check(matches: &ArgMatches) -> Result<String, Refusal> {
    let file = matches.get_one::<String>(FILE).map(String::as_str).unwrap_or_default();
    let named = matches.get_one::<String>(FOR).and_then(|name| kind(name));
    let kind = named.unwrap_or_else(|| Kind::of(file));
    let flags = Command::new(CHECK).args(kind.arguments());
    let given = flags.try_get_matches_from([CHECK, "--config", file]);
    let given = given.map_err(|error| Refusal(error.to_string()))?;
    kind.settings(&given, true)?;
    Ok(format!("{file}: nothing is wrong with it, for pico {}", kind.name()))
}

fn show(matches: &ArgMatches) -> Result<String, Refusal> {
    let found = matches.subcommand().and_then(|(name, rest)| Some((kind(name)?, rest)));
    let (kind, matches) = found.ok_or_else(|| Refusal("expected a kind of process".into()))?;
    let settings = kind.settings(matches, false)?;
    if matches.get_flag(JSON) {
        let all = settings.into_iter().map(
            |Setting { key, value, from }| json!({ "key": key, "value": value, "from": from }),
        );
        return Ok(serde_json::Value::Array(all.collect()).to_string());
    }
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for Setting { key, value, from } in settings {
        table.row([key, value, from]);
    }
    Ok(table.text(None))
}

fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.name() == name)
}

const CHECK: &str = "check";
const SHOW: &str = "show";
const REFERENCE: &str = "reference";
const FILE: &str = "file";
const FOR: &str = "for";
const JSON: &str = "json";

const EXAMPLES: &str = "\
Examples:
  pico config check pico.yaml
      All that is wrong, each with its line and column; 2 if anything is
  pico config show server --config pico.yaml --workers 2
      What each key of this node would be, and who said so
  pico config reference
      Every key, its variable, default and meaning";
