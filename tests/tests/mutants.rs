//! The list of deliberate faults is held to the tree, so that it cannot rot.

use pico_sim::mutants::{flaws, load, root};

#[test]
fn every_listed_fault_fits_its_file_and_names_tests_that_there_are() {
    let flaws = flaws(&load(&root()).expect("the list is one"), &root());
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

#[test]
fn the_faults_are_many_and_spread_over_the_machines() {
    let mutants = load(&root()).expect("the list is one");
    assert!(mutants.len() >= 25, "{} faults", mutants.len());
    for part in ["rpc", "http1", "ws", "routing", "server", "agent", "gossip"] {
        let folder = format!("core/src/{part}/");
        assert!(mutants.iter().any(|m| m.file.starts_with(&folder)), "none in {part}");
    }
}
