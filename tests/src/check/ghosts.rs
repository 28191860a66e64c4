//! Whether the dead stay dead.

use super::gossipers::{self, Found, Gossiper, Turns};
use super::{Broken, Invariant, Judge as Look};
use crate::kernel::SeatId;
use crate::run::{Moment, Run};
use pico_core::gossip::Member;
use pico_core::id::Boot;
use std::collections::BTreeMap;

/// Remembers who was held dead by whom, and at which incarnation.
#[derive(Debug, Default)]
pub(super) struct Judge {
    graves: Graves,
    turns: Turns,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 2,
            name: "ghosts",
            sentence: "no node that is Dead or Left comes back without a newer generation or \
                       incarnation of its own",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let all = gossipers::all(run);
        let some = self.turns.of(&all, run.moment == Moment::Rest);
        match self.graves.look(&all, &some) {
            Ok(()) => Ok(()),
            Err(Found { seat, detail }) => Err(self.broken(run, detail).by(seat)),
        }
    }
}

/// What makes a saying about one boot newer than another.
type Age = (u64, u64);

/// Who was held dead, or gone, by whom.
#[derive(Debug, Default)]
pub struct Graves {
    gone: BTreeMap<(SeatId, Boot), Age>,
}

impl Graves {
    /// Looks at what `some` hold of those of `all`.
    ///
    /// # Errors
    /// Somebody who is back without having risen, or has risen without having said so.
    pub fn look(&mut self, all: &[Gossiper<'_>], some: &[Gossiper<'_>]) -> Result<(), Found> {
        let owners = gossipers::owners(all);
        for one in some {
            for member in one.gossip.members() {
                let own = owners.get(&member.boot).map(|owner| age(owner.gossip.me()));
                let seen = self.see(one.seat, member, own);
                seen.map_err(|detail| Found { seat: one.seat, detail })?;
            }
        }
        Ok(())
    }

    /// Somebody holds a member so, whose own word is `own`.
    fn see(&mut self, seat: SeatId, member: &Member, own: Option<Age>) -> Result<(), String> {
        let (key, held) = ((seat, member.boot), age(member));
        if own.is_some_and(|own| held > own) {
            return Err(format!("{member:?} has not said so itself, but {own:?}"));
        }
        if !member.state.is_live() {
            let last = self.gone.entry(key).or_insert(held);
            *last = held.max(*last);
            return Ok(());
        }
        match self.gone.get(&key) {
            Some(gone) if held <= *gone => Err(format!("{member:?} was gone already at {gone:?}")),
            Some(_) | None => Ok(()),
        }
    }
}

const fn age(member: &Member) -> Age {
    (member.generation, member.incarnation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pico_core::gossip::{NodeId, State};

    fn member(state: State, incarnation: u64) -> Member {
        Member {
            boot: Boot(7),
            generation: 1,
            incarnation,
            state,
            addr: ([10, 0, 0, 1], 8004).into(),
            versions: (1, 1),
            id: NodeId::parse(b"seven").expect("a name"),
            notes: Vec::new(),
        }
    }

    #[test]
    fn who_was_gone_and_is_back_without_having_risen_is_a_ghost() {
        for state in [State::Dead, State::Left] {
            let mut graves = Graves::default();
            let mut see = |member| graves.see(SeatId(1), &member, Some((1, 2)));
            assert_eq!(see(member(State::Alive, 1)), Ok(()));
            assert_eq!(see(member(state, 1)), Ok(()));
            assert!(see(member(State::Suspect, 1)).is_err());
            assert!(see(member(State::Alive, 0)).is_err());
            assert_eq!(see(member(State::Alive, 2)), Ok(()));
        }
    }

    #[test]
    fn whom_another_holds_dead_is_no_ghost_here() {
        let mut graves = Graves::default();
        assert_eq!(graves.see(SeatId(1), &member(State::Dead, 1), None), Ok(()));
        assert_eq!(graves.see(SeatId(2), &member(State::Alive, 1), None), Ok(()));
    }

    #[test]
    fn an_incarnation_that_its_owner_has_not_reached_is_found() {
        let mut graves = Graves::default();
        assert!(graves.see(SeatId(1), &member(State::Alive, 3), Some((1, 2))).is_err());
        assert!(graves.see(SeatId(1), &member(State::Dead, 0), Some((0, 9))).is_err());
    }
}
