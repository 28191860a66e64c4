//! Whether a fault is found.

use super::killer::{self, Built, Ended, Limits};
use super::list::{Killers, Mutant, Seeds, Tests};
use super::tree::Tree;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// What became of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was found, by this.
    Killed(String),
    /// This was still running when its time was up, on the clock on the wall.
    Hung(String),
    /// Nothing noticed.
    Survived,
    /// It does not compile, which proves nothing: the compiler's words.
    Invalid(String),
}

/// A fault that was tried.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long that took.
    pub took: Duration,
}

/// Tries faults on a copy of the tree.
#[derive(Debug)]
pub struct Judges {
    tree: Tree,
    limits: Limits,
}

impl Judges {
    /// Judges for this copy.
    pub const fn new(tree: Tree, limits: Limits) -> Self {
        Self { tree, limits }
    }

    /// What fails without any fault, and so can find none: a sentence for each.
    ///
    /// # Errors
    /// What cannot be read, written or started.
    pub fn partial(&self, mutants: &[Mutant]) -> io::Result<Vec<String>> {
        let mut tests = BTreeSet::new();
        let mut seeds = BTreeSet::new();
        for mutant in mutants {
            match &mutant.killed_by {
                Killers::Tests(some) => tests.extend(some),
                Killers::Seeds(some) => drop(seeds.insert(*some)),
            }
        }
        let mut wrong = Vec::new();
        for tests in tests {
            let tried = self.try_tests(tests)?;
            let none = matches!(tried, Tried::Ended(Ended::Well(0)));
            wrong.extend(none.then(|| format!("{} is no test", named(tests))));
            wrong.extend(tried.objection(&named(tests)));
        }
        // The more seeds, the more can fail: the longest sweep of each kind stands for all.
        for calm in [true, false] {
            let most = seeds.iter().filter(|s| s.calm == calm).max_by_key(|s| s.count);
            if let Some(most) = most {
                wrong.extend(self.try_seeds(*most)?.objection(swept(*most)));
            }
        }
        Ok(wrong)
    }

    /// Tries one fault.
    ///
    /// # Errors
    /// What cannot be read, written or started.
    pub fn judge(&self, mutant: &Mutant) -> io::Result<Judged> {
        let began = now();
        let verdict = self.tree.with(mutant, |_| self.try_killers(&mutant.killed_by))??;
        Ok(Judged { name: mutant.name.clone(), verdict, took: began.elapsed() })
    }

    fn try_killers(&self, killers: &Killers) -> io::Result<Verdict> {
        match killers {
            Killers::Tests(tests) => {
                for tests in tests {
                    let verdict = self.try_tests(tests)?.verdict(&named(tests));
                    if verdict != Verdict::Survived {
                        return Ok(verdict);
                    }
                }
                Ok(Verdict::Survived)
            }
            Killers::Seeds(seeds) => Ok(self.try_seeds(*seeds)?.verdict(swept(*seeds))),
        }
    }

    fn try_seeds(&self, seeds: Seeds) -> io::Result<Tried> {
        Ok(match killer::build_simulator(&self.tree)? {
            Built::Broken(why) => Tried::Broken(why),
            Built::Ready(path) => Tried::Ended(killer::run_seeds(path, seeds, self.limits)?),
        })
    }

    fn try_tests(&self, tests: &Tests) -> io::Result<Tried> {
        Ok(match killer::build_tests(&self.tree, tests)? {
            Built::Broken(why) => Tried::Broken(why),
            Built::Ready(path) => {
                Tried::Ended(killer::run_tests(&self.tree, path, tests, self.limits)?)
            }
        })
    }
}

impl Verdict {
    /// Whether the fault was found. That something takes longer than it may is no proof: a busy
    /// machine does that too.
    pub const fn is_found(&self) -> bool {
        match self {
            Self::Killed(_) => true,
            Self::Hung(_) | Self::Survived | Self::Invalid(_) => false,
        }
    }

    /// What became of it, in a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Killed(_) => "killed",
            Self::Hung(_) => "HUNG",
            Self::Survived => "SURVIVED",
            Self::Invalid(_) => "INVALID",
        }
    }

    /// By what, or why not.
    pub fn by(&self) -> &str {
        match self {
            Self::Killed(by) | Self::Hung(by) | Self::Invalid(by) => by,
            Self::Survived => "",
        }
    }
}

/// What came of trying one killer.
enum Tried {
    Broken(String),
    Ended(Ended),
}

impl Tried {
    fn verdict(self, name: &str) -> Verdict {
        match self {
            Self::Broken(why) => Verdict::Invalid(why),
            Self::Ended(Ended::Well(_)) => Verdict::Survived,
            Self::Ended(Ended::Failed(by)) => Verdict::Killed(format!("{name}: {by}")),
            Self::Ended(Ended::Hung) => Verdict::Hung(name.into()),
        }
    }

    /// What is wrong, if it should have ended well.
    fn objection(self, name: &str) -> Option<String> {
        match self {
            Self::Broken(why) => Some(format!("{name} does not compile: {why}")),
            Self::Ended(Ended::Well(_)) => None,
            Self::Ended(Ended::Failed(by)) => Some(format!("{name} fails as it is: {by}")),
            Self::Ended(Ended::Hung) => Some(format!("{name} takes too long as it is")),
        }
    }
}

fn swept(seeds: Seeds) -> &'static str {
    if seeds.calm { "calm seeds" } else { "seeds" }
}

fn named(tests: &Tests) -> String {
    tests.filter.as_ref().map_or(tests.file.clone(), |f| format!("{} {f}", tests.file))
}

#[expect(clippy::disallowed_methods, reason = "how long it took is for people only")]
fn now() -> Instant {
    Instant::now()
}
