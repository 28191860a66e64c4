//! The control plane of a node, from its first look-up to its last word.

use core::time::Duration;
use pico_core::gossip::{self, NodeId, Pace};
use pico_core::host::{Action, Input};
use pico_core::id::{Boot, ConnIds, Side, WorkerId};
use pico_core::note::{Gone, Note};
use pico_core::routing::{Change, Place, Upstream};
use pico_core::server::{Letter, Membership, Node, Settings};
use pico_core::{Instant, Machine as _, Seed};
use pico_sim::case::{Case, Fault, Load, Shape, Span, Traffic};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;
use std::sync::Arc;

fn drain(node: &mut Node) -> Vec<Action<Letter>> {
    std::iter::from_fn(|| node.poll()).collect()
}

fn tell(node: &mut Node, letter: Letter) -> Vec<Action<Letter>> {
    node.handle(Instant::ZERO, Input::Letter(letter));
    drain(node)
}

fn a_tunnel() -> Letter {
    let place = Place::Tunnel { worker: WorkerId(0), conn: ConnIds::new(Side::Accepted).issue() };
    Letter::Changed(Change::Put("web".parse().expect("a name"), Upstream { place, weight: 1 }))
}

#[test]
fn behind_its_last_word_a_node_says_nothing() {
    let mut node = Node::new(Instant::ZERO, 1, Arc::new(Settings::default()));
    drain(&mut node);
    tell(&mut node, Letter::Drain);
    tell(&mut node, Letter::Quiet(WorkerId(0)));
    // What was news before the end is none behind it.
    node.handle(Instant::ZERO, Input::Letter(a_tunnel()));
    let last = tell(&mut node, Letter::Parted(0));
    assert!(matches!(last.last(), Some(Action::Done)), "{last:?}");
    assert!(tell(&mut node, a_tunnel()).is_empty());
    assert_eq!(node.deadline(), None);
}

#[test]
fn what_is_due_is_done_by_a_tick() {
    let gossip = gossip::Settings {
        cluster: "pico".into(),
        keys: gossip::Ring::default(),
        boot: Boot(1),
        generation: 1,
        id: NodeId::parse(b"one").expect("a name"),
        addr: ([10, 0, 0, 1], 8004).into(),
        notes: Vec::new(),
        pace: Pace::default(),
    };
    let join = vec![("nodes.test".to_owned(), 8004)];
    let settings = Arc::new(Settings { boot: Boot(1), ..Settings::default() });
    let membership = Membership { gossip, join, abort: false };
    let mut now = Instant::ZERO;
    let mut node = Node::among(now, 1, settings, membership, &Seed::from_u64(1));
    for _ in 0..100 {
        node.tick(now);
        let due = node.deadline().expect("names are looked up again and again");
        assert!(due > now, "due at {due:?} still, after a tick at {now:?}");
        drain(&mut node);
        now = due.max(now + Duration::from_millis(1));
    }
}

#[test]
fn the_last_word_of_a_node_is_heard_where_no_datagram_passes() {
    let all = || "nodes".to_owned();
    let (only, at, lasts) = (Traffic::Datagrams, Span::secs(10), Span::secs(120));
    let cut = Fault::Cut { from: all(), to: all(), both: true, only, at, lasts, flaps: None };
    let stop = Fault::Stop { who: "node-1".into(), at: Span::secs(60), back: None, apart: None };
    let case = Case {
        shape: Shape { nodes: 5, agents: 0, clients: 0, keys: true, ..Shape::default() },
        load: Load { requests: 0, late: 0, ..Load::default() },
        faults: vec![cut, stop],
        heal: Span::secs(150),
        ..Case::default()
    };
    let run = Run::play(case, Trace::default());
    assert!(run.broken().is_none(), "{}", run.broken().expect("it broke"));
    // By each of the others.
    let gone = |note: &Note| matches!(note, Note::NodeGone { node, .. } if node == "node-1");
    let told: Vec<_> = run.world.notes().iter().filter(|(.., note)| gone(note)).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    let left = |note: &Note| matches!(note, Note::NodeGone { why: Gone::Left, .. });
    assert!(told.iter().all(|(.., note)| left(note)), "{told:?}");
}
