//! Which case a command is about.

use super::Refusal;
use crate::case::{Case, Span, Swarm};
use crate::scenario;
use clap::Args;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A case, by seed or scenario, with changes.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Choice {
    /// The seed from which everything random is drawn; of a scenario, another one than its own
    #[arg(long, allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) life: Life,
}

/// Everything about a case but its seed.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Life {
    /// A scenario's name, or a file; without one the whole case is drawn from the seed
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) scenario: Option<PathBuf>,
    /// How many nodes; drawn from the seed without it, 1 to 16
    #[arg(long)]
    nodes: Option<usize>,
    /// Nodes do nothing but gossip, and serve what they are told to
    #[arg(long)]
    gossip: bool,
    /// How long things may go wrong; what loads a cluster by the second goes on as long
    #[arg(long = "for", value_name = "SPAN")]
    lasts: Option<Span>,
    /// What goes wrong: off, swarm (drawn from the seed), or what a file says
    #[arg(long, value_name = "off|swarm|FILE")]
    faults: Option<PathBuf>,
    /// Set one value, as in link.loss=0.1
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
}

/// A case in a file, or by seed or scenario.
#[derive(Args, Clone, Debug)]
pub(super) struct Chosen {
    /// A saved case
    file: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

impl Chosen {
    /// The case, and the words that name it on the command line.
    pub(super) fn case(&self) -> Result<(Case, String), Refusal> {
        let mut choice = self.choice.clone();
        if let Some(file) = &self.file {
            if choice.life.scenario.is_some() {
                return Err(Refusal::Usage("expected a file or --scenario, not both".into()));
            }
            // A name of a scenario is no file's here.
            choice.life.scenario = Some(if file.components().count() == 1 {
                Path::new(".").join(file)
            } else {
                file.clone()
            });
        }
        if choice.seed.is_none() && choice.life.scenario.is_none() {
            return Err(Refusal::Usage("expected a file, --seed or --scenario".into()));
        }
        Ok((choice.case()?, choice.words()))
    }
}

impl Choice {
    /// The case.
    pub(super) fn case(&self) -> Result<Case, Refusal> {
        self.life.case(self.seed)
    }

    /// The words that name it on the command line.
    pub(super) fn words(&self) -> String {
        let seed = self.seed.map(|seed| format!(" --seed {seed}")).unwrap_or_default();
        format!("{seed}{}", self.life.words()).trim_start().to_owned()
    }
}

impl Life {
    /// The case with this seed.
    pub(super) fn case(&self, seed: Option<u64>) -> Result<Case, Refusal> {
        let off = self.faults.as_deref().is_some_and(|faults| faults == "off");
        let mut swarm = if off { Swarm::calm() } else { Swarm::rough() };
        swarm.nodes = self.nodes;
        swarm.most.gossip_only = self.gossip;
        let mut case = match &self.scenario {
            Some(name) => scenario::find(name)?,
            None => Case::swarm(seed.unwrap_or_default(), &swarm),
        };
        case.seed = seed.unwrap_or(case.seed);
        if let Some(nodes) = self.nodes {
            case.set(&format!("shape.nodes={nodes}"))?;
        }
        case.shape.gossip_only |= self.gossip;
        if let Some(Span(lasts)) = self.lasts {
            if !case.load.every.0.is_zero() {
                let (old, new) = (case.heal.0.as_millis().max(1), lasts.as_millis());
                let requests = u128::from(case.load.requests) * new / old;
                case.load.requests = u64::try_from(requests).unwrap_or(u64::MAX).max(1);
            }
            case.set(&format!("heal={}", Span(lasts)))?;
        }
        match self.faults.as_deref() {
            None => {}
            Some(name) if name == "off" => case.faults.clear(),
            Some(name) if name == "swarm" => {
                // A case that was drawn has them already, unless it was changed.
                case.draw_faults(&swarm);
            }
            Some(file) => case.faults = Case::load(file)?.faults,
        }
        for assignment in &self.sets {
            case.set(assignment)?;
        }
        // Faults of a file, or drawn for another shape, may not fit.
        Ok(Case::parse(&case.text())?)
    }

    /// The words that say so on the command line.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        let put = |words: &mut Vec<String>, flag: &str, value: &OsStr| {
            words.push(format!(" --{flag} {}", quoted(&value.to_string_lossy())));
        };
        if let Some(scenario) = &self.scenario {
            put(&mut words, "scenario", scenario.as_os_str());
        }
        if let Some(nodes) = self.nodes {
            put(&mut words, "nodes", nodes.to_string().as_ref());
        }
        if self.gossip {
            words.push(" --gossip".to_owned());
        }
        if let Some(lasts) = self.lasts {
            put(&mut words, "for", lasts.to_string().as_ref());
        }
        if let Some(faults) = &self.faults {
            put(&mut words, "faults", faults.as_os_str());
        }
        for assignment in &self.sets {
            put(&mut words, "set", assignment.as_ref());
        }
        words.concat()
    }
}

/// As a shell takes it for one word.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_choice_are_words_of_a_shell() {
        let life = Life {
            scenario: Some("my case.yaml".into()),
            lasts: Some(Span::secs(90)),
            sets: vec!["load.kinds=[\"upgrade\"]".into()],
            ..Life::default()
        };
        let words = Choice { seed: Some(7), life }.words();
        let expected = "--seed 7 --scenario 'my case.yaml' --for '1m 30s' \
                        --set 'load.kinds=[\"upgrade\"]'";
        assert_eq!(words, expected);
    }
}
