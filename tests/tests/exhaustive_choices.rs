//! The odometer shows every combination once, and means the same as bytes.

use pico_sim::choices::Choices;
use pico_sim::exhaust::{Odometer, search};
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
