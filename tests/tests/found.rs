//! Cases in which something was found: each was broken once, and must hold for ever.

use pico_sim::case::Case;
use pico_sim::kernel::Trace;
use pico_sim::run::Run;
use std::fs;
use std::path::PathBuf;

#[test]
fn every_case_in_which_something_was_found_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("found");
    let mut played = 0;
    for file in fs::read_dir(folder).expect("there are cases") {
        let path = file.expect("it can be listed").path();
        let case = Case::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let run = Run::play(case, Trace::default());
        assert!(run.broken().is_none(), "{path:?}: {}", run.broken().expect("it broke"));
        played += 1;
    }
    assert!(played >= 2, "{played} cases");
}
