//! Cases as text.

use super::{Case, Fault};
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
        let case: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| CaseError::Text(error.to_string()))?;
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
        *place = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let case: Self = serde_json::from_value(all).map_err(|error| wrong(&error.to_string()))?;
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
        if self.heal < self.warm_up {
            return Err("heal must not come before warm-up ends".into());
        }
        let late = self.faults.iter().find(|fault| fault.at().is_some_and(|at| at >= self.heal));
        if let Some(fault) = late {
            return Err(format!("a fault must begin before heal: {fault:?}"));
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

/// Hosts of one kind: each has an address of its own in a network of that kind.
const HOSTS_MAX: usize = 60_000;
/// Bytes of a node's name, of which endpoints may have twice as many.
const NAME_BYTES_MAX: usize = 64;
