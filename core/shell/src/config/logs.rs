//! What is logged, and how.

use super::near::nearest;

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Logs {
    /// The least important events that are logged.
    pub levels: Levels,
    /// How they are written.
    pub format: Format,
}

/// The least important events that are logged, of each part of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    all: Level,
    parts: [Option<Level>; Part::ALL.len()],
}

/// How important an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// Nothing is.
    Off,
    /// What needs somebody's attention.
    Error,
    /// What may.
    Warn,
    /// What happened, each request included.
    #[default]
    Info,
    /// What is of use to those who know the code.
    Debug,
}

/// A part of a process that has events of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Requests, each of which is one event.
    Request,
    /// Agents' tunnels, as a node sees them.
    Upstream,
    /// The other nodes, and links to them.
    Cluster,
    /// An agent's tunnels, as it sees them itself.
    Tunnel,
    /// The service behind an agent.
    Service,
    /// The process: ports, draining.
    Process,
}

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Logs {
    /// What needs somebody's attention, as text.
    pub fn quiet() -> Self {
        Self { levels: Levels::from(Level::Error), format: Format::Text }
    }
}

impl Levels {
    /// The least important events of a part that are logged.
    pub fn of(&self, part: Part) -> Level {
        self.parts.get(part as usize).copied().flatten().unwrap_or(self.all)
    }

    /// The least important events of no part in particular.
    pub fn rest(&self) -> Level {
        self.all
    }

    /// Logs nothing of these parts.
    pub(crate) fn silence(&mut self, parts: &[Part]) {
        for part in parts {
            if let Some(level) = self.parts.get_mut(*part as usize) {
                *level = Some(Level::Off);
            }
        }
    }

    /// `info`, or `warn,request=off,process=debug`; of a process that has these parts.
    pub(super) fn parse(text: &str, parts: &[Part]) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected {LEVELS}, then perhaps PART=LEVEL, such as \
                 warn,process=debug, not {text:?}"
            )
        };
        let mut words = text.split(',').map(str::trim);
        let all = words.next().and_then(Level::parse).ok_or_else(wrong)?;
        let mut levels = Self::from(all);
        for word in words {
            let (name, level) = word.split_once('=').ok_or_else(wrong)?;
            let Some(part) = parts.iter().copied().find(|part| part.name() == name) else {
                return Err(stranger(name, parts));
            };
            if let Some(cell) = levels.parts.get_mut(part as usize) {
                *cell = Some(Level::parse(level).ok_or_else(wrong)?);
            }
        }
        Ok(levels)
    }
}

impl From<Level> for Levels {
    fn from(all: Level) -> Self {
        Self { all, parts: [None; Part::ALL.len()] }
    }
}

impl Level {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == text)
    }
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Request, Self::Upstream, Self::Cluster, Self::Tunnel, Self::Service, Self::Process];

    /// What it is called, in the configuration and as the `target` of an event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upstream => "upstream",
            Self::Cluster => "cluster",
            Self::Tunnel => "tunnel",
            Self::Service => "service",
            Self::Process => "process",
        }
    }
}

impl Format {
    /// `auto`, `text` or `json`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("expected auto, text or json, not {text:?}")),
        }
    }
}

/// What is said of a part that the process does not have.
fn stranger(name: &str, parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().copied().map(Part::name).collect();
    let meant = match nearest(name, names.iter().copied()) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    format!("expected a part of {}, not {name:?}{meant}", names.join(", "))
}

const LEVELS: &str = "off, error, warn, info or debug";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_may_have_a_level_of_its_own() {
        let parse = |text| Levels::parse(text, &Part::ALL);
        let levels = parse("warn,request=off, cluster=debug").unwrap();
        assert_eq!(levels.of(Part::Request), Level::Off);
        assert_eq!(levels.of(Part::Cluster), Level::Debug);
        assert_eq!(levels.of(Part::Upstream), Level::Warn);
        assert_eq!(levels.rest(), Level::Warn);
        for wrong in ["", "loud", "info,", "info,request", "info,requests=off", "request=off"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_part_that_the_process_lacks_is_told_with_the_nearest_that_it_has() {
        let told = |text| Levels::parse(text, &[Part::Request, Part::Tunnel]).unwrap_err();
        let expected = "expected a part of request, tunnel, not ";
        assert_eq!(told("info,tunel=off"), format!("{expected}\"tunel\"; did you mean tunnel?"));
        assert_eq!(told("info,cluster=off"), format!("{expected}\"cluster\""));
    }
}
