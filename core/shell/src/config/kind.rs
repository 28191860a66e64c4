//! Which process a configuration is for.

use super::{AGENT_KEYS, Agent, Refusal, SERVER_KEYS, Server, Setting, yaml};
#[cfg(unix)]
use super::{CLUSTER_KEYS, Cluster};
use clap::{Arg, ArgMatches};
use std::path::Path;

/// A kind of process, each with keys of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `pico server`.
    Server,
    /// `pico agent`.
    Agent,
    /// `pico cluster`.
    #[cfg(unix)]
    Cluster,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::Server,
        Self::Agent,
        #[cfg(unix)]
        Self::Cluster,
    ];

    /// Its command's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
            #[cfg(unix)]
            Self::Cluster => "cluster",
        }
    }

    /// The kind that a file seems to be for.
    pub(crate) fn of(file: &str) -> Self {
        let Ok(document) = yaml::read(Path::new(file)) else { return Self::Server };
        let mut names = document.entries.iter().map(|entry| entry.name.as_str());
        let agents = |name: &str| name.starts_with("connect") || name.starts_with("service");
        if document.listed.is_some() || names.any(agents) { Self::Agent } else { Self::Server }
    }

    /// The flags for its keys.
    pub(crate) fn arguments(self) -> Vec<Arg> {
        match self {
            Self::Server => SERVER_KEYS.arguments(),
            Self::Agent => AGENT_KEYS.arguments(),
            #[cfg(unix)]
            Self::Cluster => CLUSTER_KEYS.arguments(),
        }
    }

    /// What each of its keys comes to be. If they are `whole`, a process can run with them.
    pub(crate) fn settings(
        self,
        matches: &ArgMatches,
        whole: bool,
    ) -> Result<Vec<Setting>, Refusal> {
        Ok(match self {
            Self::Server => Server::load(matches)?.1,
            Self::Agent => Agent::load(matches, whole)?.1,
            #[cfg(unix)]
            Self::Cluster => Cluster::load(matches)?.1,
        })
    }
}
