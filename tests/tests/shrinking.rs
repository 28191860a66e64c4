//! Shrinking, held against failures of which the smallest case is known.

use pico_sim::case::{Case, Fault, Kind, Span, Swarm};
use pico_sim::shrink::shrink;

#[test]
fn only_what_a_failure_needs_is_left() {
    let mut case = Case::swarm(3, &Swarm::rough());
    case.shape.agents = 3;
    case.shape.clients = 2;
    case.load.kinds = Kind::ALL.into_iter().collect();
    let cut = Fault::Cut {
        from: "agent-1".into(),
        to: "node-0".into(),
        both: true,
        only: pico_sim::case::Traffic::All,
        at: Span::secs(9),
        lasts: Span::secs(30),
        flaps: Some(Span::millis(50)),
    };
    case.faults.insert(0, cut);
    // It needs a cut of more than two seconds, request 5, and upgrades.
    let fails = |case: &Case| {
        let long = |fault: &Fault| {
            matches!(fault, Fault::Cut { from, lasts, .. }
                if from == "agent-1" && *lasts > Span::secs(2))
        };
        case.faults.iter().any(long)
            && case.load.ids(false).any(|id| id == 5)
            && case.load.kinds.contains(&Kind::Upgrade)
    };
    let shrunk = shrink(case, 2_000, fails);
    assert!(shrunk.minimal && shrunk.tried < 500, "{} tried", shrunk.tried);
    let case = shrunk.case;
    assert_eq!(case.faults.len(), 1, "{:?}", case.faults);
    let Fault::Cut { both, at, lasts, flaps, .. } = &case.faults[0] else { panic!("{case:?}") };
    assert_eq!((*both, *at, *flaps), (false, Span::default(), None));
    assert!(*lasts <= Span::secs(4), "{lasts}");
    assert_eq!(case.load.only.iter().copied().collect::<Vec<_>>(), [5]);
    assert_eq!(case.load.kinds.iter().copied().collect::<Vec<_>>(), [Kind::Upgrade]);
    // agent-1 is the second.
    assert_eq!((case.shape.agents, case.shape.clients, case.shape.lanes), (2, 1, 1));
    assert!(fails(&case));
}

#[test]
fn a_budget_is_kept() {
    let case = Case::swarm(3, &Swarm::rough());
    let mut calls = 0;
    let shrunk = shrink(case, 7, |_| {
        calls += 1;
        calls % 2 == 0
    });
    assert_eq!((shrunk.tried, shrunk.minimal), (7, false));
}
