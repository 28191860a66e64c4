//! The layers of a configuration, laid over each other: who says what, and who wins.

use super::key::{CONFIG, Key, Keys, variable};
use super::near::{begins, unknown};
use super::yaml::{self, Entry};
use super::{Mistakes, UNAVAILABLE};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::collections::BTreeMap;
use std::path::Path;

/// What one key came to be, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Setting {
    /// The key.
    pub(crate) key: String,
    /// Its value as it was written; a secret is not shown.
    pub(crate) value: String,
    /// Who said so: `default`, a place in the file, a variable or a flag.
    pub(crate) from: String,
}

/// What the layers said besides what they set.
#[derive(Default)]
pub(super) struct Layers {
    /// The file, if there is one that could be read.
    pub(super) file: Option<String>,
    /// Where the file has its `listeners`, if it has.
    pub(super) listed: Option<String>,
    /// The items of `listeners` in the file.
    pub(super) listeners: Vec<Item>,
    given: BTreeMap<&'static str, Given>,
}

/// What the last layer that spoke of a key said.
#[derive(Default)]
struct Given {
    texts: Vec<String>,
    from: String,
}

/// One item of a list of the file.
pub(super) struct Item {
    /// The file.
    pub(super) file: String,
    /// Where it begins.
    pub(super) at: yaml::At,
    /// Its keys.
    pub(super) entries: Vec<Entry>,
}

impl Item {
    /// A place in it, as it is told.
    pub(super) fn place(&self, at: yaml::At) -> String {
        format!("{}:{at}", self.file)
    }
}

impl<S> Keys<S> {
    /// Fills `settings` from all layers. What is wrong in any of them becomes a mistake.
    pub(super) fn load(
        &self,
        settings: &mut S,
        matches: &ArgMatches,
        mistakes: &mut Mistakes,
    ) -> Layers {
        let mut layers = Layers::default();
        if let Some(path) = matches.get_one::<String>(CONFIG) {
            self.load_file(settings, path, &mut layers, mistakes);
        }
        self.refuse_missing(matches, mistakes);
        for key in self.rows {
            let Some(texts) = matches.get_many::<String>(key.name) else { continue };
            let from = match matches.value_source(key.name) {
                Some(ValueSource::EnvVariable) => variable(key.name),
                Some(_) | None => format!("--{}", key.name),
            };
            if key.is_list() {
                // The file's list is not added to but replaced.
                let emptied = (key.set)(settings, "");
                mistakes.take(emptied.map_err(|why| format!("{from}: {why}")));
            }
            let mut given = Given { texts: Vec::new(), from };
            for text in texts {
                let set = (key.set)(settings, text);
                mistakes.take(set.map_err(|why| format!("{}: {why}", given.from)));
                given.texts.push(text.clone());
            }
            layers.given.insert(key.name, given);
        }
        layers
    }

    fn load_file(
        &self,
        settings: &mut S,
        path: &str,
        layers: &mut Layers,
        mistakes: &mut Mistakes,
    ) {
        let Some(document) = mistakes.take(yaml::read(Path::new(path))) else { return };
        layers.file = Some(path.to_owned());
        // In the order of the file, whoever found them.
        let mut wrong = document.wrong;
        let place = |at| format!("{path}:{at}");
        for entry in &document.entries {
            let name = entry.name.as_str();
            let Some(key) = self.rows.iter().find(|key| key.name == name) else {
                wrong.push((entry.key, self.stranger(name)));
                continue;
            };
            let known = layers.given.contains_key(key.name);
            if let Some(why) = odd(key, entry, known) {
                wrong.push((entry.at, format!("{name}: {why}")));
                continue;
            }
            if let Err(why) = (key.set)(settings, &entry.text) {
                wrong.push((entry.at, format!("{name}: {why}")));
            }
            let given = layers.given.entry(key.name).or_default();
            given.texts.push(entry.text.clone());
            if given.from.is_empty() {
                given.from = place(entry.at);
            }
        }
        wrong.sort_by_key(|(at, _)| *at);
        for (at, why) in wrong {
            mistakes.add(format!("{}: {why}", place(at)));
        }
        layers.listed = document.listed.map(|at| format!("{path}:{at}"));
        if let Some(place) = layers.listed.as_ref().filter(|_| self.listener.is_empty()) {
            return mistakes.add(format!("{place}: listeners are for pico agent only"));
        }
        for (at, entries) in document.listeners {
            layers.listeners.push(Item { file: path.to_owned(), at, entries });
        }
    }

    /// What is wrong with a key that is none of these.
    fn stranger(&self, name: &str) -> String {
        if self.missing.iter().any(|missing| begins(name, missing, '.')) {
            return format!("{name} {UNAVAILABLE}");
        }
        let listeners = [yaml::LISTENERS].into_iter().filter(|_| !self.listener.is_empty());
        unknown(name, self.rows.iter().map(|key| key.name).chain(listeners))
    }

    fn refuse_missing(&self, matches: &ArgMatches, mistakes: &mut Mistakes) {
        for missing in self.missing {
            if matches.value_source(missing).is_some() {
                mistakes.add(format!("--{missing} {UNAVAILABLE}"));
            }
            let variable = variable(missing);
            let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
            for name in set.into_iter().filter(|name| begins(name, &variable, '_')) {
                mistakes.add(format!("{name} {UNAVAILABLE}"));
            }
        }
    }

    /// What each key came to be, in the order of `--help`, and then the listeners.
    pub(super) fn settings(&self, layers: &Layers) -> Vec<Setting> {
        let mut all = Vec::new();
        for key in self.rows {
            let (value, from) = match layers.given.get(key.name) {
                None => (key.default.to_owned(), "default".to_owned()),
                Some(given) if self.is_secret(key.name) => {
                    (masked(&given.texts), given.from.clone())
                }
                Some(given) => (given.texts.join(", "), given.from.clone()),
            };
            all.push(Setting { key: key.name.to_owned(), value, from });
        }
        for (number, item) in layers.listeners.iter().enumerate() {
            all.extend(item.entries.iter().map(|entry| Setting {
                key: format!("listeners[{number}].{}", entry.name),
                value: entry.text.clone(),
                from: item.place(entry.at),
            }));
        }
        all
    }
}

/// What is wrong with an entry of the file besides its value, if anything is.
fn odd<S>(key: &Key<S>, entry: &Entry, known: bool) -> Option<&'static str> {
    match (key.is_list(), entry.listed, known) {
        (true, true, _) | (_, false, false) => None,
        (false, true, _) => Some("expected one value, not a list"),
        (_, false, true) => Some("is given twice"),
    }
}

fn masked(texts: &[String]) -> String {
    let empty = texts.iter().all(String::is_empty);
    if empty { String::new() } else { "(secret)".to_owned() }
}
