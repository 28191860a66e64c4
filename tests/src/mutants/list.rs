//! The list of faults.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One deliberate fault.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mutant {
    /// What is wrong, in lower case with hyphens.
    pub name: String,
    /// The file, from the root of the tree.
    pub file: String,
    /// The text that is replaced: it occurs once in the file.
    pub find: String,
    /// What takes its place.
    pub replace: String,
    /// What must fail.
    pub killed_by: Killers,
}

/// What must notice a fault.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Killers {
    /// One of these tests.
    Tests(Vec<Tests>),
    /// A sweep over simulated runs.
    Seeds(Seeds),
}

/// Tests of one file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// The name of a file in `tests/tests/`, without its extension.
    pub file: String,
    /// What the names of the tests contain; all tests of the file if it is left out.
    pub filter: Option<String>,
}

/// Simulated runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// How many, from seed 0.
    pub count: u64,
    /// Whether nothing goes wrong but what clients and services do.
    pub calm: bool,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What happened.
        error: io::Error,
    },
    /// It is no list of faults.
    #[error("{path}: {error}")]
    Text {
        /// Which.
        path: String,
        /// What is wrong with it.
        error: String,
    },
}

/// The root of the tree that this was built from.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The faults that the tree at `root` lists.
///
/// # Errors
/// A list that cannot be read.
pub fn load(root: &Path) -> Result<Vec<Mutant>, ListError> {
    let path = root.join(LIST);
    let name = path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(text) => serde_saphyr::from_str(&text)
            .map_err(|error| ListError::Text { path: name, error: error.to_string() }),
        Err(error) => Err(ListError::File { path: name, error }),
    }
}

/// What is wrong with the list, held against the tree at `root`: a sentence for each.
pub fn flaws(mutants: &[Mutant], root: &Path) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut flaws = Vec::new();
    for mutant in mutants {
        let mut wrong = |why: String| flaws.push(format!("{}: {why}", mutant.name));
        if !names.insert(&mutant.name) {
            wrong("the name stands twice".into());
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if mutant.name.is_empty() || !mutant.name.bytes().all(plain) {
            wrong("a name is lower-case words with hyphens".into());
        }
        if !mutant.file.starts_with("core/src/") {
            wrong(format!("{} is not a file of the core", mutant.file));
        }
        match fs::read_to_string(root.join(&mutant.file)) {
            Ok(source) => drop(mutant.apply(&source).map_err(&mut wrong)),
            Err(error) => wrong(format!("{}: {error}", mutant.file)),
        }
        mutant.killed_by.flaws(root).into_iter().for_each(wrong);
    }
    flaws
}

impl Mutant {
    /// The source of its file with the fault in it.
    ///
    /// # Errors
    /// A sentence, if the text to replace does not occur exactly once or nothing would change.
    pub fn apply(&self, source: &str) -> Result<String, String> {
        if self.find == self.replace {
            return Err("it changes nothing".into());
        }
        match source.matches(&self.find).count() {
            1 => Ok(source.replacen(&self.find, &self.replace, 1)),
            count => Err(format!("what it replaces occurs {count} times in {}", self.file)),
        }
    }
}

impl Killers {
    fn flaws(&self, root: &Path) -> Vec<String> {
        match self {
            Self::Tests(tests) if tests.is_empty() => vec!["no test is named".into()],
            Self::Tests(tests) => {
                let is_there = |tests: &&Tests| {
                    let folder = root.join("tests/tests");
                    folder.join(format!("{}.rs", tests.file)).is_file()
                        || folder.join(&tests.file).join("main.rs").is_file()
                };
                let missing = tests.iter().filter(|tests| !is_there(tests));
                missing.map(|tests| format!("there is no test file {}", tests.file)).collect()
            }
            Self::Seeds(seeds) if seeds.count == 0 => vec!["no seed is played".into()],
            Self::Seeds(_) => Vec::new(),
        }
    }
}

/// Where the list is.
const LIST: &str = "tests/mutants.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(find: &str, replace: &str) -> Mutant {
        let killed_by = Killers::Seeds(Seeds { count: 1, calm: true });
        let [name, file] = ["a-name", "core/src/lib.rs"].map(str::to_owned);
        Mutant { name, file, find: find.into(), replace: replace.into(), killed_by }
    }

    #[test]
    fn a_fault_replaces_what_occurs_once() {
        assert_eq!(
            mutant("b", "c").apply("abba"),
            Err("what it replaces occurs 2 times in core/src/lib.rs".into())
        );
        assert_eq!(mutant("bb", "c").apply("abba"), Ok("aca".into()));
        assert!(mutant("x", "c").apply("abba").is_err());
        assert!(mutant("bb", "bb").apply("abba").is_err());
    }

    #[test]
    fn every_flaw_of_a_list_is_told() {
        let good = mutant("#![no_std]", "");
        assert_eq!(flaws(std::slice::from_ref(&good), &root()), [""; 0]);
        let bad = Mutant {
            file: "tests/src/lib.rs".into(),
            killed_by: Killers::Tests(vec![Tests { file: "nowhere".into(), filter: None }]),
            ..good.clone()
        };
        let told = flaws(&[good, bad], &root()).join("\n");
        for part in ["twice", "not a file of the core", "0 times", "no test file nowhere"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
