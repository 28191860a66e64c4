//! What the fuzzers found worth keeping holds for good.

use pico_sim::fuzz::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The names in a folder, without their endings.
fn names(folder: &str) -> BTreeSet<String> {
    fs::read_dir(fuzz().join(folder))
        .unwrap_or_else(|error| panic!("fuzz/{folder}: {error}"))
        .map(|entry| entry.expect("a folder can be listed").path())
        .map(|path| path.file_stem().expect("an entry has a name").to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_other_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("fuzz has a manifest");
    for target in &targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}

#[test]
fn every_file_of_every_corpus_passes() {
    for (name, target) in TARGETS {
        let mut files = 0;
        for file in fs::read_dir(fuzz().join("corpus").join(name)).expect("a corpus") {
            let path = file.expect("a folder can be listed").path();
            let bytes = fs::read(&path).expect("a corpus file can be read");
            println!("{}", path.display());
            target(&bytes);
            files += 1;
        }
        assert!(files > 0, "fuzz/corpus/{name} is empty");
    }
}

#[test]
fn no_bytes_at_all_pass() {
    for (_, target) in TARGETS {
        target(&[]);
    }
}
