//! The scenarios that have names.

use pico_sim::kernel::Trace;
use pico_sim::run::Run;
use pico_sim::scenario;
use std::fs;
use std::path::PathBuf;

#[test]
fn every_invariant_holds_in_every_scenario() {
    for scenario in scenario::ALL {
        let run = Run::play(scenario.case(), Trace::default());
        assert!(run.broken().is_none(), "{}: {}", scenario.name, run.broken().expect("it broke"));
    }
}

#[test]
fn every_file_of_a_scenario_is_in_the_table() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(folder).expect("there are scenarios");
    let mut names: Vec<_> = files
        .map(|file| file.expect("it can be listed").path())
        .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut listed: Vec<_> = scenario::ALL.iter().map(|scenario| scenario.name).collect();
    listed.sort_unstable();
    assert_eq!(names, listed);
}
