//! Cases as text.

use super::{Case, Fault, Span};
use crate::explain::words;
use serde_json::Value;
use std::path::Path;
use std::{fs, io};

/// Why a case cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What happened.
        error: io::Error,
    },
    /// It is not a case.
    #[error("{0}")]
    Text(String),
    /// It asks for what cannot be.
    #[error("{0}")]
    Sense(String),
}

impl Case {
    /// The case in a file.
    ///
    /// # Errors
    /// A file that cannot be read, text that is not a case, and cases that make no sense.
    pub fn load(path: &Path) -> Result<Self, CaseError> {
        let text = fs::read_to_string(path).map_err(|error| file(path, error))?;
        Self::parse(&text).map_err(|error| match error {
            CaseError::Text(why) | CaseError::Sense(why) => {
                CaseError::Text(format!("{}: {why}", path.display()))
            }
            CaseError::File { .. } => error,
        })
    }

    /// Writes the case to a file that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CaseError> {
        fs::write(path, self.text()).map_err(|error| file(path, error))
    }

    /// The case as YAML.
    pub fn text(&self) -> String {
        serde_saphyr::to_string(self).expect("a case has nothing that YAML does not know")
    }

    /// The case that is written in `text`.
    ///
    /// # Errors
    /// Text that is not a case, and cases that make no sense.
    pub fn parse(text: &str) -> Result<Self, CaseError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let case: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            CaseError::Text(match blame(text) {
                Some(key) => format!("{key}: {}", plain(&error.to_string())),
                None => plain(&error.to_string()),
            })
        })?;
        case.check().map_err(CaseError::Sense)?;
        Ok(case)
    }

    /// Sets one value by its dotted name, as `link.loss=0.1` does.
    ///
    /// # Errors
    /// Names that there are not, and values that do not fit.
    pub fn set(&mut self, assignment: &str) -> Result<(), CaseError> {
        let wrong = |why: &str| CaseError::Text(format!("{assignment}: {why}"));
        let (name, value) =
            assignment.split_once('=').ok_or_else(|| wrong("expected NAME=VALUE"))?;
        let mut all = serde_json::to_value(&*self).expect("a case is made of plain values");
        let mut place = &mut all;
        for part in name.split('.') {
            place = place.get_mut(part).ok_or_else(|| wrong("there is no such value"))?;
        }
        *place = match serde_json::from_str(value) {
            Ok(value) => value,
            // As it is written in a file: [upgrade, events].
            Err(_) if value.starts_with(['[', '{']) => serde_saphyr::from_str(value)
                .map_err(|_| wrong("expected a list as in [upgrade, events]"))?,
            Err(_) => value.into(),
        };
        let case: Self =
            serde_json::from_value(all).map_err(|error| wrong(&plain(&error.to_string())))?;
        case.check().map_err(|why| wrong(&why))?;
        *self = case;
        Ok(())
    }

    /// Whether it can be played at all.
    fn check(&self) -> Result<(), String> {
        let shape = &self.shape;
        let counts = [
            ("nodes", shape.nodes),
            ("workers", usize::from(shape.workers)),
            ("agents", shape.agents),
            ("endpoints", shape.endpoints),
            ("clients", shape.clients),
            ("lanes", shape.lanes),
            ("zones", shape.zones),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("shape.{name} must not be 0"));
        }
        if let Some((name, count)) = counts.iter().find(|(_, count)| *count > HOSTS_MAX) {
            return Err(format!("shape.{name} must be at most {HOSTS_MAX}, not {count}"));
        }
        if shape.name_bytes > NAME_BYTES_MAX {
            let bytes = shape.name_bytes;
            return Err(format!("shape.name-bytes must be at most {NAME_BYTES_MAX}, not {bytes}"));
        }
        let spans = [("warm-up", self.warm_up), ("heal", self.heal), ("patience", self.patience)];
        let more = [
            ("shape.drain-delay", shape.drain_delay),
            ("shape.grace-period", shape.grace_period),
            ("shape.retires-late", shape.retires_late),
            ("load.every", self.load.every),
        ];
        if let Some((name, span)) = spans.iter().chain(&more).find(|(_, span)| *span > SPAN_MAX) {
            return Err(format!("{name} must be at most {SPAN_MAX}, not {span}"));
        }
        if self.heal < self.warm_up {
            return Err("heal must not come before warm-up ends".into());
        }
        let hosts = shape.hosts();
        for fault in &self.faults {
            let meant = |who: &&str| hosts.iter().filter(|host| shape.means(who, **host)).count();
            let meant = fault.names().iter().map(meant).max().unwrap_or_default();
            let Some(last) = fault.last_at(meant).filter(|last| *last >= self.heal) else {
                continue;
            };
            let (what, heal) = (words::fault(fault), self.heal);
            return Err(if fault.at() == Some(last) {
                format!("a fault must begin before heal, which is at {heal}: {what}")
            } else {
                format!(
                    "a fault must begin before heal, which is at {heal}, and this one befalls the \
                     last of {meant} at {last}: {what}"
                )
            });
        }
        let names = self.faults.iter().flat_map(Fault::names);
        match names.into_iter().find(|name| !shape.knows(name)) {
            Some(name) => Err(format!("there is no host or group {name:?}")),
            None => Ok(()),
        }
    }
}

fn file(path: &Path, error: io::Error) -> CaseError {
    CaseError::File { path: path.display().to_string(), error }
}

/// What a library says of a value that does not fit, without the names that only code knows.
fn plain(why: &str) -> String {
    let mut text = String::new();
    let mut words = why.split(' ').peekable();
    while let Some(word) = words.next() {
        let word = match word {
            "struct" => {
                words.next();
                "names with values"
            }
            "u64" | "u32" | "u16" | "usize" => "whole number",
            "i32" => "number",
            other => other,
        };
        text += if text.is_empty() { "" } else { " " };
        text += word;
    }
    text
}

/// The name of the first value in a case that does not fit.
fn blame(text: &str) -> Option<String> {
    let all: Value = serde_saphyr::from_str(text).ok()?;
    let usual = serde_json::to_value(Case::default()).ok()?;
    for (name, value) in all.as_object()? {
        let fits = |value: &Value| {
            let mut case = usual.clone();
            case.as_object_mut().is_some_and(|case| {
                case.insert(name.clone(), value.clone());
                true
            }) && serde_json::from_value::<Case>(case).is_ok()
        };
        if fits(value) {
            continue;
        }
        let parts: Vec<(String, Value)> = match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (format!("{name}[{at}]"), Value::Array(vec![item.clone()])))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| {
                    let one = [(key.clone(), field.clone())].into_iter().collect();
                    (format!("{name}.{key}"), Value::Object(one))
                })
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        let part = parts.into_iter().find(|(_, part)| !fits(part)).map(|(part, _)| part);
        return Some(part.unwrap_or_else(|| name.clone()));
    }
    None
}

/// No run is that long; what lasts may be longer, which is as good as for ever.
const SPAN_MAX: Span = Span::secs(30 * 24 * 3_600);
/// Hosts of one kind: each has an address of its own in a network of that kind.
const HOSTS_MAX: usize = 60_000;
/// Bytes of a node's name, of which endpoints may have twice as many.
const NAME_BYTES_MAX: usize = 64;
