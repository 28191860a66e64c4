//! Configuration: a YAML file, the environment and dotted flags, in rising order.
//!
//! Each key is one row of a table; its flag, its environment variable, its place in the file and
//! its line in `--help` follow from the row.

mod agent;
#[cfg(unix)]
mod cluster;
mod keys;
mod server;
mod value;
mod yaml;

pub use agent::Agent;
pub(crate) use agent::{listener, split};
#[cfg(unix)]
pub(crate) use cluster::{Cluster, KEYS as CLUSTER_KEYS};
pub use server::Server;
pub use value::{Format, Level, Logs};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use std::path::Path;
use yaml::Entry;

pub(crate) use agent::KEYS as AGENT_KEYS;
pub(crate) use server::KEYS as SERVER_KEYS;

/// Why a command line or a configuration was refused, in one line for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// One key.
pub(crate) struct Key<S> {
    /// Its name, with dots.
    name: &'static str,
    /// What stands for its value in `--help`. If it ends in `...`, the key is a list: it may be
    /// given several times, each adds to it, and an empty value empties it.
    value: &'static str,
    /// What it is for; and the default, in brackets.
    help: &'static str,
    /// Takes its value, or says what was expected.
    set: fn(&mut S, &str) -> Result<(), String>,
}

/// The keys of one kind of process.
pub(crate) struct Keys<S: 'static> {
    keys: &'static [Key<S>],
    /// Keys, or beginnings of keys, that this version knows but cannot serve.
    missing: &'static [&'static str],
}

impl<S> Key<S> {
    fn is_list(&self) -> bool {
        self.value.ends_with("...")
    }

    fn action(&self) -> ArgAction {
        if self.is_list() { ArgAction::Append } else { ArgAction::Set }
    }
}

impl<S> Keys<S> {
    /// The flags for these keys, and `--config`.
    pub(crate) fn arguments(&self) -> Vec<Arg> {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .env("PICO_CONFIG")
            .value_name("FILE")
            .help("Read the configuration from this YAML file");
        let known = self.keys.iter().map(|key| {
            Arg::new(key.name)
                .long(key.name)
                .env(variable(key.name))
                .hide_env_values(true)
                .value_name(key.value.trim_end_matches("..."))
                .action(key.action())
                .help(key.help)
                .help_heading("Configuration keys")
        });
        let missing = self.missing.iter().map(|name| {
            Arg::new(*name).long(*name).num_args(0..).action(ArgAction::Append).hide(true)
        });
        std::iter::once(file).chain(known).chain(missing).collect()
    }

    /// Fills `settings` from all layers, and returns the items of `listeners` in the file.
    pub(crate) fn load(
        &self,
        settings: &mut S,
        matches: &ArgMatches,
    ) -> Result<Vec<Item>, Refusal> {
        let mut items = Vec::new();
        if let Some(path) = matches.get_one::<String>(CONFIG) {
            let document = yaml::read(Path::new(path))?;
            for entry in &document.entries {
                let at = format!("{path}:{}", entry.line);
                self.set_from_file(settings, entry, &at)?;
            }
            let own = |entries| Item { file: path.clone(), entries };
            items.extend(document.listeners.into_iter().map(own));
        }
        self.refuse_missing(matches)?;
        for key in self.keys {
            let Some(texts) = matches.get_many::<String>(key.name) else { continue };
            // The file's list is not added to but replaced.
            let texts = key.is_list().then_some("").into_iter().chain(texts.map(String::as_str));
            let from = match matches.value_source(key.name) {
                Some(ValueSource::EnvVariable) => variable(key.name),
                Some(_) | None => format!("--{}", key.name),
            };
            for text in texts {
                (key.set)(settings, text).map_err(|why| Refusal(format!("{from}: {why}")))?;
            }
        }
        Ok(items)
    }

    fn set_from_file(&self, settings: &mut S, entry: &Entry, at: &str) -> Result<(), Refusal> {
        let name = entry.name.as_str();
        if let Some(key) = self.keys.iter().find(|key| key.name == name) {
            let told = |why| Refusal(format!("{at}: {name}: {why}"));
            return (key.set)(settings, &entry.text).map_err(told);
        }
        if self.missing.iter().any(|missing| begins(name, missing, '.')) {
            return Err(Refusal(format!("{at}: {name} {UNAVAILABLE}")));
        }
        let names = self.keys.iter().map(|key| key.name).chain(["listeners"]);
        Err(unknown(at, name, names))
    }

    fn refuse_missing(&self, matches: &ArgMatches) -> Result<(), Refusal> {
        for missing in self.missing {
            if matches.value_source(missing).is_some() {
                return Err(Refusal(format!("--{missing} {UNAVAILABLE}")));
            }
            let variable = variable(missing);
            let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
            if let Some(name) = set.into_iter().find(|name| begins(name, &variable, '_')) {
                return Err(Refusal(format!("{name} {UNAVAILABLE}")));
            }
        }
        Ok(())
    }
}

/// One item of a list of the file.
pub(crate) struct Item {
    file: String,
    entries: Vec<Entry>,
}

/// The environment variable of a key.
fn variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    std::iter::once("PICO_".to_owned()).chain(name.chars().map(|c| upper(c).to_string())).collect()
}

/// Whether `name` is `start`, or goes on after it at a `joint`.
fn begins(name: &str, start: &str, joint: char) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(joint))
}

/// A refusal of an unknown key that names the nearest one that is known.
fn unknown<'a>(at: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Refusal {
    let near = known.map(|key| (distance(name, key), key)).min();
    Refusal(match near {
        Some((far, key)) if far <= name.len().max(key.len()) / 2 => {
            format!("{at}: unknown key {name}; did you mean {key}?")
        }
        Some(_) | None => format!("{at}: unknown key {name}"),
    })
}

/// How many bytes must be put in, left out or changed to make `a` of `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, left) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, right) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The flag that names the file.
const CONFIG: &str = "config";
/// What is said of what this version knows but cannot serve.
pub(crate) const UNAVAILABLE: &str = "is not available in this version";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_variable() {
        assert_eq!(variable("proxy.bind-addr"), "PICO_PROXY_BIND_ADDR");
    }

    #[test]
    fn the_nearest_key_is_named_unless_all_are_far() {
        let keys = || ["proxy.bind-addr", "admin.bind-addr", "workers"].into_iter();
        let near = unknown("f.yaml:3", "proxy.bind-adr", keys()).0;
        assert_eq!(near, "f.yaml:3: unknown key proxy.bind-adr; did you mean proxy.bind-addr?");
        assert_eq!(unknown("f.yaml:3", "zzz", keys()).0, "f.yaml:3: unknown key zzz");
    }
}
