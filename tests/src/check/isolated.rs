//! Whether strangers change nothing.

use super::gossipers::{self, Found, Gossiper, Turns};
use super::{Broken, Invariant, Judge as Look};
use crate::case::{Fault, Intrusion};
use crate::run::{Moment, Run};
use pico_core::gossip::Counts;
use pico_core::id::Boot;
use std::collections::{BTreeMap, BTreeSet};

/// Looks at whom nodes know, and whether they heard anything that nobody said.
#[derive(Debug, Default)]
pub(super) struct Judge {
    turns: Turns,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 4,
            name: "isolated",
            sentence: "packets of another cluster, forged or replayed, change nothing",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let ours = gossipers::all(run);
        let theirs = gossipers::foreign(run);
        let some = self.turns.of(&ours, run.moment == Moment::Rest);
        let owners = gossipers::owners(&ours);
        let boots: BTreeSet<Boot> = gossipers::owners(&theirs).into_keys().collect();
        let found = some.iter().find_map(|one| strangers(one, &owners).err());
        let found = found
            .or_else(|| theirs.iter().find_map(|one| outside(one, &boots).err()))
            .or_else(|| some.iter().find_map(|one| misread(run, one).err()))
            .or_else(|| some.iter().find_map(|one| moved(run, one).err()));
        match found {
            Some(Found { seat, detail }) => Err(self.broken(run, detail).by(seat)),
            None => Ok(()),
        }
    }
}

/// Whether a node knows only those of its own cluster, each as it says of itself.
fn strangers(one: &Gossiper<'_>, owners: &BTreeMap<Boot, Gossiper<'_>>) -> Result<(), Found> {
    for member in one.gossip.members() {
        let own = owners.get(&member.boot).map(|owner| owner.gossip.me());
        if own.is_none_or(|own| own.id != member.id || own.addr != member.addr) {
            let detail = format!("{member:?}, who says of itself {own:?}");
            return Err(Found { seat: one.seat, detail });
        }
    }
    Ok(())
}

/// Whether a node of another cluster knows only those of that.
fn outside(one: &Gossiper<'_>, theirs: &BTreeSet<Boot>) -> Result<(), Found> {
    match one.gossip.members().find(|member| !theirs.contains(&member.boot)) {
        Some(member) => {
            let detail = format!("another cluster knows {member:?}");
            Err(Found { seat: one.seat, detail })
        }
        None => Ok(()),
    }
}

/// Whether all that nodes say to each other is understood.
fn misread(run: &Run, one: &Gossiper<'_>) -> Result<(), Found> {
    let noisy = |fault: &Fault| match fault {
        Fault::Intruder { how, .. } => *how != Intrusion::Replay,
        Fault::Recycled { .. } => true,
        Fault::Weather { link, .. } => link.corrupt.millionths() > 0,
        Fault::Crash { .. }
        | Fault::PowerLoss { .. }
        | Fault::Stop { .. }
        | Fault::Pause { .. }
        | Fault::Slow { .. }
        | Fault::Drift { .. }
        | Fault::ClockBack { .. }
        | Fault::Namesake { .. }
        | Fault::Turnover { .. }
        | Fault::Churn { .. }
        | Fault::Cut { .. }
        | Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Refuse { .. }
        | Fault::Blackhole { .. }
        | Fault::Names { .. } => false,
    };
    let Counts { strange, malformed, .. } = one.gossip.counts();
    let noise = run.case.link.corrupt.millionths() > 0 || run.case.faults.iter().any(noisy);
    if strange + malformed > 0 && !noise {
        let detail = format!("{strange} strange and {malformed} malformed packets, by nobody");
        return Err(Found { seat: one.seat, detail });
    }
    Ok(())
}

/// Whether anybody was moved to say anything by strangers alone.
fn moved(run: &Run, one: &Gossiper<'_>) -> Result<(), Found> {
    let link = &run.case.link;
    let strangers = |fault: &Fault| matches!(fault, Fault::Intruder { .. });
    let alone = run.case.faults.iter().all(strangers) && link.loss.millionths() == 0;
    let me = one.gossip.me();
    let Counts { suspicions, deaths, .. } = one.gossip.counts();
    let fine = me.incarnation == 0 && suspicions == 0 && deaths == 0;
    if alone && link.rate == 0 && run.moment < Moment::Stopping && !fine {
        let detail = format!("strangers alone had it say {me:?}, {:?}", one.gossip.counts());
        return Err(Found { seat: one.seat, detail });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Case, Member, Role, Shape};
    use crate::kernel::Trace;
    use bytes::Bytes;
    use core::net::SocketAddr;
    use core::time::Duration;
    use pico_core::gossip::{self, NodeId};
    use pico_core::{Instant, Machine as _, Seed};

    fn door(at: usize) -> SocketAddr {
        SocketAddr::new(Member { role: Role::Node, at }.ip(), 8004)
    }

    /// What a node that belongs to nobody says when it looks for others.
    fn stranger() -> Bytes {
        let settings = gossip::Settings {
            cluster: "sim".into(),
            keys: gossip::Ring::default(),
            boot: Boot(99),
            generation: 1,
            id: NodeId::parse(b"nobody").expect("a fine name"),
            addr: door(98),
            notes: Vec::new(),
            pace: gossip::Pace::default(),
        };
        let mut machine = gossip::Machine::new(Instant::ZERO, settings, &Seed::from_u64(1));
        machine.handle(Instant::ZERO, gossip::Input::Seeds(vec![door(0)]));
        let said = core::iter::from_fn(|| machine.poll()).find_map(|action| match action {
            gossip::Action::Datagram { bytes, .. } => Some(bytes),
            gossip::Action::Consult { .. }
            | gossip::Action::Answer { .. }
            | gossip::Action::Member { .. }
            | gossip::Action::Serves { .. }
            | gossip::Action::Ready { .. }
            | gossip::Action::Namesake(_)
            | gossip::Action::Unopened(_)
            | gossip::Action::Missed { .. }
            | gossip::Action::Left => None,
        });
        said.expect("it asks who is there")
    }

    #[test]
    fn whoever_is_known_and_was_never_started_is_a_stranger() {
        let shape = Shape { nodes: 3, gossip_only: true, ..Shape::default() };
        let mut run = Run::new(Case { shape, ..Case::default() }, Trace::default());
        run.warm_up();
        let mut judge = Judge::default();
        assert_eq!(judge.look(&run), Ok(()));
        run.world.inject(door(98), door(0), &stranger());
        run.world.run(run.world.now() + Duration::from_millis(100), |_| false);
        let broken = judge.look(&run).expect_err("a node knows somebody whom nobody started");
        assert!(broken.detail.contains("nobody"), "{broken}");
    }
}
