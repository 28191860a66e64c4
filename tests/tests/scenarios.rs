//! The scenarios that have names.

use core::time::Duration;
use pico_sim::case::{Case, Fault, Member};
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

/// When a fault begins, and is over as far as its case says.
fn span(case: &Case, fault: &Fault) -> Option<(Duration, Duration)> {
    let hosts = case.shape.hosts();
    let meant = |who: &str, host: &Member| case.shape.means(who, *host);
    let count = |who: &&str| hosts.iter().filter(|host| meant(who, host)).count();
    let last = fault.last_at(fault.names().iter().map(count).max().unwrap_or_default())?;
    let lasts = fault.lasts().or_else(|| fault.back()).unwrap_or_default();
    Some((fault.at()?.0, last.0 + lasts.0))
}

#[test]
fn load_is_offered_before_while_and_after_whatever_goes_wrong() {
    let asked = scenario::ALL.iter().map(|scenario| (scenario.name, scenario.case()));
    for (name, case) in asked.filter(|(_, case)| !case.shape.gossip_only) {
        let each = case.load.requests / case.shape.clients as u64;
        let every = u32::try_from(each).expect("not so many") * case.load.every.0;
        let (begins, ends) = (case.warm_up.0, case.warm_up.0 + every);
        assert!(ends <= case.heal.0 + Duration::from_secs(1), "{name}: {ends:?}");
        for (from, to) in case.faults.iter().filter_map(|fault| span(&case, fault)) {
            // What is wrong from the beginning has no time before it.
            let before = from.is_zero() || begins + Duration::from_secs(3) < from;
            let after = to + Duration::from_secs(4) < ends;
            assert!(before && after, "{name}: {begins:?} to {ends:?}, fault {from:?} to {to:?}");
        }
    }
}
