//! The odometer shows every combination once, and means the same as bytes.

use pico_sim::choices::Choices;
use pico_sim::exhaust::{Odometer, States, search};
use std::collections::BTreeSet;

/// Decisions of which later ones depend on earlier ones.
fn draw(choices: &mut Choices) -> Vec<usize> {
    let mut drawn = Vec::new();
    for bound in [3, 1, 300] {
        drawn.push(choices.below(bound));
    }
    if drawn[0] == 1 {
        drawn.push(choices.between(5, 7));
        drawn.push(usize::from(choices.chance(1, 2)));
    }
    drawn
}

#[test]
fn every_combination_comes_once() {
    let mut seen = BTreeSet::new();
    let searched = search(10, 10_000, |choices| {
        assert!(seen.insert(draw(choices)), "again");
    });
    assert!(searched.whole && searched.deepest == 4);
    assert_eq!(searched.runs, 300 + 300 * 6 + 300);
    assert_eq!(seen.len(), 2400);
}

#[test]
fn a_search_ends_at_its_cap_and_decisions_beyond_the_depth_are_zeros() {
    let capped = search(10, 17, |choices| drop(draw(choices)));
    assert!(!capped.whole && capped.runs == 17);
    let shallow = search(1, 100, |choices| {
        let drawn = draw(choices);
        assert!(drawn[1..].iter().all(|digit| [0, 5].contains(digit)));
        assert!(choices.is_empty());
    });
    assert!(shallow.whole && shallow.runs == 3);
}

#[test]
fn digits_and_bytes_replay_what_was_shown() {
    let mut odometer = Odometer::new(10);
    loop {
        let shown = draw(&mut Choices::shown_by(&odometer));
        assert_eq!(draw(&mut Choices::new(&odometer.bytes())), shown);
        let again = Odometer::showing(&odometer.digits());
        assert_eq!(draw(&mut Choices::shown_by(&again)), shown);
        if !odometer.advance() {
            break;
        }
    }
}

#[test]
fn ways_to_the_same_state_become_one_and_every_state_is_met() {
    let walk = |choices: &mut Choices, states: &mut States, ends: &mut u32| {
        let mut at = [0, 0];
        while at != [3, 3] {
            if states.is_old(choices, &at) {
                return;
            }
            let open: Vec<usize> = [0, 1].into_iter().filter(|way| at[*way] < 3).collect();
            at[*choices.pick(&open)] += 1;
        }
        *ends += 1;
    };
    let (mut states, mut ends) = (States::default(), 0);
    let searched = search(10, 100, |choices| walk(choices, &mut states, &mut ends));
    assert!(searched.whole && states.len() == 15, "all but the last are compared");
    assert!(searched.runs < 20, "there are 20 ways, and {} runs", searched.runs);
    assert!(ends >= 1);
}
