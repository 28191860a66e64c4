//! Configuration: a YAML file, the environment and dotted flags, in rising order.
//!
//! Each key is one row of a table; its flag, its environment variable, its place in the file, its
//! line in `--help` and in the reference follow from the row.

mod agent;
#[cfg(unix)]
mod cluster;
mod flaw;
mod key;
mod keys;
mod kind;
mod layers;
mod logs;
mod near;
mod reference;
mod secret;
mod server;
mod value;
mod yaml;

pub use agent::Agent;
pub(crate) use agent::{listener, split};
#[cfg(unix)]
pub(crate) use cluster::Cluster;
pub(crate) use kind::Kind;
pub(crate) use layers::Setting;
pub use logs::{Format, Level, Levels, Logs, Part};
pub(crate) use reference::reference;
pub use server::Server;
pub(crate) use value::{count, positive, size};

pub(crate) use agent::KEYS as AGENT_KEYS;
#[cfg(unix)]
pub(crate) use cluster::KEYS as CLUSTER_KEYS;
pub(crate) use server::KEYS as SERVER_KEYS;

/// Why a command line or a configuration was refused, for people: a line for each mistake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// All that is wrong with a configuration, so that it is said at once.
#[derive(Default, Debug)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn add(&mut self, mistake: String) {
        self.0.push(mistake);
    }

    /// What came of one step, or its mistake.
    fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|mistake| self.add(mistake)).ok()
    }

    /// Whether any of them is about this key, or one whose name begins so.
    fn speak_of(&self, key: &str) -> bool {
        self.0.iter().any(|mistake| mistake.contains(key))
    }

    /// Refuses the configuration if anything is wrong with it.
    fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal(self.0.join("\n"))) }
    }
}

/// What is said of what this version knows but cannot serve.
pub(crate) const UNAVAILABLE: &str = "is not available in this version";
