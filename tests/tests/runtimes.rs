//! Reads the runtimes' sources: they are the same files, and stay small.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The folders of the runtimes.
const RUNTIMES: [&str; 2] = ["runtime-tokio", "runtime-async-std"];

/// Lines that a runtime stays under, all files together.
const LINES: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names and texts of a runtime's sources.
fn sources(runtime: &str) -> Vec<(String, String)> {
    let folder = root().join(runtime).join("src");
    let entries = fs::read_dir(&folder).expect("a runtime has sources");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a runtime has files only, no folders");
            (name.into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_runtime_has_the_same_files() {
    let names = |runtime| sources(runtime).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let [first, others @ ..] = RUNTIMES;
    for other in others {
        assert_eq!(names(first), names(other), "{first} and {other}");
    }
}

#[test]
fn every_runtime_stays_small() {
    for runtime in RUNTIMES {
        let lines: usize = sources(runtime).iter().map(|(_, text)| text.lines().count()).sum();
        assert!(lines < LINES, "{runtime} has {lines} lines, and {LINES} are too many");
    }
}

#[test]
fn every_runtime_is_in_the_list() {
    let entries = fs::read_dir(root()).expect("the tree can be listed");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let found: BTreeSet<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("runtime-"))
        .collect();
    assert_eq!(found, RUNTIMES.map(str::to_owned).into());
}

#[test]
fn no_runtime_decides_about_options_of_sockets() {
    let words = ["nodelay", "linger", "lowat", "set_nonblocking", "shutdown(", "retry", "sleep("];
    for runtime in RUNTIMES {
        for (name, text) in sources(runtime) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let found = words.iter().find(|word| line.contains(**word));
                assert!(
                    found.is_none(),
                    "{runtime}/src/{name} says {found:?}: that is the shell's"
                );
            }
        }
    }
}
