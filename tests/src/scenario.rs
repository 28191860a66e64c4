//! Scenarios: cases with a name, to begin with and to change.

use crate::case::{Case, CaseError};
use std::path::Path;

/// A case with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name, which is its file's too.
    pub name: &'static str,
    /// What happens in it.
    pub sentence: &'static str,
    /// The case, as it is written.
    pub text: &'static str,
}

impl Scenario {
    /// The case.
    pub fn case(&self) -> Case {
        Case::parse(self.text).expect("a test plays every scenario")
    }
}

/// The case of a scenario, by name, or of a file.
///
/// # Errors
/// Neither is there, or the file holds no case.
pub fn find(name: &Path) -> Result<Case, CaseError> {
    if let Some(scenario) = ALL.iter().find(|scenario| name == Path::new(scenario.name)) {
        return Ok(scenario.case());
    }
    if name.components().count() == 1 && name.extension().is_none() && !name.exists() {
        let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        let why = format!("no scenario is called {}: {}", name.display(), names.join(", "));
        return Err(CaseError::Sense(why));
    }
    Case::load(name)
}

macro_rules! scenarios {
    ($($name:literal: $sentence:literal,)*) => {
        /// All of them.
        pub const ALL: &[Scenario] = &[$(Scenario {
            name: $name,
            sentence: $sentence,
            text: include_str!(concat!("../scenarios/", $name, ".yaml")),
        }),*];
    };
}

scenarios! {
    "calm": "nothing goes wrong, under a steady load",
    "zone-loss": "a zone with half of the agents and their services loses its power for a minute",
    "rolling-restart": "every agent is stopped in good order and started again, one after another",
    "returning-node": "one of three nodes is restarted, and its share of the agents comes back to it",
    "flaky-agents": "agents crash and come back, again and again, some under another name",
    "slow-network": "links are slow and narrow, and lose packets in rows",
    "half-open": "agents' connections fall silent without an end, in either direction",
    "thundering-herd": "the node crashes, and fifty agents and all clients come back at once",
    "node-loss": "one of five nodes crashes, and its share of a hundred agents moves to the others",
    "rolling-nodes": "all nodes are stopped in good order and started again, one after another",
    "cluster-zone-loss": "one of three zones, with three of nine nodes, loses its power for a minute",
    "one-of-two-agents": "one of two agents of an endpoint stops, at a node that clients do not use",
    "dead-nodes": "two of six nodes die while another is cut off that goes on speaking of them",
    "long-partition": "a cluster is cut in two until each half has forgotten the other",
    "bad-link": "the link between two of five nodes loses half of all packets",
    "datagrams-blocked": "no datagram passes between nodes for two minutes, but streams do",
    "sleeping-node": "a node gets no processor for twenty seconds",
    "cold-start": "sixteen nodes and forty agents start at once, twice",
    "names-of-oneself": "the name of the nodes stands for the asker alone, for a minute",
    "clock-back": "a node's calendar goes back by a year, and the node restarts",
    "namesakes": "a node is started under the name of another",
    "new-names": "every second a node crashes and is replaced by one of another name",
    "longest-names": "all names are as long as they may be, on links that lose packets",
    "mixed-versions": "half of the nodes say of themselves what the others do not know",
    "shared-addresses": "addresses of dead nodes go to nodes of another cluster",
    "strangers": "somebody without a key repeats, forges and reflects what nodes say",
}
