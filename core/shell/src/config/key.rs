//! One row of the table of keys, and what follows from it on the command line.

use clap::{Arg, ArgAction};

/// One key.
pub(crate) struct Key<S> {
    /// Its name, with dots.
    pub(super) name: &'static str,
    /// What stands for its value in `--help`. If it ends in `...`, the key is a list: it may be
    /// given several times, each adds to it, and an empty value empties it.
    pub(super) value: &'static str,
    /// What it is if nobody says, as it would be written; in parentheses if only words say it;
    /// empty if it is nothing then.
    pub(super) default: &'static str,
    /// What it is for.
    pub(super) help: &'static str,
    /// Takes its value, or says what was expected.
    pub(super) set: fn(&mut S, &str) -> Result<(), String>,
}

/// The keys of one kind of process.
pub(crate) struct Keys<S: 'static> {
    /// In the order of `--help`.
    pub(super) rows: &'static [Key<S>],
    /// Those of them whose values nobody is shown.
    pub(super) secret: &'static [&'static str],
    /// The keys of an item of `listeners`, or none if the kind has no such list.
    pub(super) listener: &'static [&'static str],
    /// Keys, or beginnings of keys, that this version knows but cannot serve.
    pub(super) missing: &'static [&'static str],
}

impl<S> Key<S> {
    pub(super) fn is_list(&self) -> bool {
        self.value.ends_with("...")
    }

    /// The shape of a value, for people.
    pub(super) fn shape(&self) -> &'static str {
        self.value.trim_end_matches("...")
    }

    fn action(&self) -> ArgAction {
        if self.is_list() { ArgAction::Append } else { ArgAction::Set }
    }

    fn help(&self) -> String {
        match self.default {
            "" => self.help.to_owned(),
            default => {
                let bare = default.trim_start_matches('(').trim_end_matches(')');
                format!("{} [default: {bare}]", self.help)
            }
        }
    }
}

impl<S> Keys<S> {
    /// The flags for these keys, and `--config`.
    pub(crate) fn arguments(&self) -> Vec<Arg> {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .env("PICO_CONFIG")
            .hide_env_values(true)
            .value_name("FILE")
            .value_hint(clap::ValueHint::FilePath)
            .help("Read the configuration from this YAML file");
        let known = self.rows.iter().map(|key| {
            let hint = match key.shape() {
                "FILE" => clap::ValueHint::FilePath,
                "URL" => clap::ValueHint::Url,
                _ => clap::ValueHint::Other,
            };
            Arg::new(key.name)
                .long(key.name)
                .env(variable(key.name))
                .hide_env_values(true)
                .value_name(key.shape())
                .value_hint(hint)
                .action(key.action())
                .help(key.help())
                .help_heading("Configuration keys")
        });
        let missing = self.missing.iter().map(|name| {
            Arg::new(*name).long(*name).num_args(0..).action(ArgAction::Append).hide(true)
        });
        std::iter::once(file).chain(known).chain(missing).collect()
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.secret.contains(&name)
    }
}

/// The environment variable of a key.
pub(super) fn variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "PICO_".chars().chain(name.chars().map(upper)).collect()
}

/// The flag that names the file.
pub(super) const CONFIG: &str = "config";

#[cfg(test)]
mod tests {
    use super::super::{AGENT_KEYS, CLUSTER_KEYS, SERVER_KEYS};
    use super::*;
    use std::fmt::Debug;

    #[test]
    fn a_key_names_its_variable() {
        assert_eq!(variable("proxy.bind-addr"), "PICO_PROXY_BIND_ADDR");
    }

    /// Values of this shape that nothing has by default.
    fn others(value: &str) -> Vec<&str> {
        match value {
            "HOST:PORT" => vec!["127.0.0.1:9"],
            "HOST:PORT..." => vec!["node-9:9"],
            "DURATION" => vec!["7s", "7m"],
            "NUMBER" => vec!["2"],
            "SIZE" => vec!["2KiB"],
            "PERCENT|off" => vec!["30%", "off"],
            "PERCENT" => vec!["30%"],
            "NETWORK..." => vec!["10.0.0.0/8"],
            "NAME" | "FILE" | "TOKEN" => vec!["other"],
            "KEY..." => vec!["c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="],
            "URL" => vec!["http://other:9"],
            "LEVEL" => vec!["error", "warn,process=debug"],
            words => words.split('|').collect(),
        }
    }

    /// What setting a default changes, alone and above a layer that says something else.
    fn hold<S: Default + Debug>(keys: &Keys<S>) {
        let untouched = format!("{:?}", S::default());
        for key in keys.rows {
            if key.default.is_empty() || key.default.starts_with('(') {
                continue;
            }
            let mut settings = S::default();
            assert_eq!((key.set)(&mut settings, key.default), Ok(()), "{}", key.name);
            assert_eq!(format!("{settings:?}"), untouched, "{}", key.name);
        }
        for key in keys.rows.iter().filter(|key| !key.default.starts_with('(')) {
            let mut changed = false;
            for other in others(key.value) {
                let mut settings = S::default();
                assert_eq!((key.set)(&mut settings, other), Ok(()), "{} {other}", key.name);
                changed |= format!("{settings:?}") != untouched;
                assert_eq!((key.set)(&mut settings, key.default), Ok(()), "{}", key.name);
                assert_eq!(format!("{settings:?}"), untouched, "{} after {other}", key.name);
            }
            assert!(changed, "{} changes nothing", key.name);
        }
        for secret in keys.secret {
            assert!(keys.rows.iter().any(|key| key.name == *secret), "{secret}");
        }
    }

    #[test]
    fn what_is_said_to_be_the_default_is() {
        hold(&SERVER_KEYS);
        hold(&AGENT_KEYS);
        hold(&CLUSTER_KEYS);
    }
}
