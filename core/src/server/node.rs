//! The control plane of a node: who serves what, and when to stop.

use super::letter::Letter;
use super::settings::Settings;
use crate::host::{Action, Address, Host, Input};
use crate::id::{ConnId, WorkerId};
use crate::machine::Machine;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::routing::Routes;
use crate::time::{Instant, Monotonic};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;

/// The control plane of a node.
///
/// It holds no connection of its own yet; it hears from its workers what they hold and tells
/// all of them what all of them hold.
#[derive(Debug)]
pub struct Node {
    workers: u16,
    routes: Routes,
    /// Whether the workers have yet to be told of the routes.
    changed: bool,
    /// What is said behind the routes: calls whose workers knew no upstream.
    replies: VecDeque<Action<Letter>>,
    life: Life,
    clock: Monotonic,
    actions: VecDeque<Action<Letter>>,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Life {
    Serving,
    Draining(Drain),
    /// So many workers have yet to say how many calls they cut off; so many were already; and
    /// when it is over in any case.
    Parting(u16, u64, Instant),
    Over,
}

/// A drain under way.
#[derive(Debug)]
struct Drain {
    /// Workers that still have clients.
    busy: BTreeSet<WorkerId>,
    /// When patience ends.
    until: Instant,
    /// Workers that have yet to say how many calls they had under way.
    untold: u16,
    calls: u64,
}

impl Node {
    /// A node with so many workers, ready at once.
    pub fn new(now: Instant, workers: u16, settings: Arc<Settings>) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        let mut node = Self {
            workers,
            routes: Routes::new(),
            changed: false,
            replies: VecDeque::new(),
            life: Life::Serving,
            clock,
            actions: VecDeque::new(),
            settings,
        };
        node.tell_all(&Letter::Ready(true));
        node
    }

    fn tell_all(&mut self, letter: &Letter) {
        for worker in 0..self.workers {
            let to = Address::Worker(WorkerId(worker));
            self.actions.push_back(Action::Letter { to, letter: letter.clone() });
        }
    }

    fn drain(&mut self) {
        if !matches!(self.life, Life::Serving) {
            return;
        }
        self.life = Life::Draining(Drain {
            busy: (0..self.workers).map(WorkerId).collect(),
            until: self.clock.now() + self.settings.grace_period,
            untold: self.workers,
            calls: 0,
        });
        self.tell_all(&Letter::Ready(false));
        self.tell_all(&Letter::Drain);
    }

    /// A worker has said how many calls it had under way when the drain began.
    fn count(&mut self, more: u64) {
        let Life::Draining(drain) = &mut self.life else { return };
        drain.calls = drain.calls.saturating_add(more);
        drain.untold = drain.untold.saturating_sub(1);
        if drain.untold == 0 {
            let calls = usize::try_from(drain.calls).unwrap_or(usize::MAX);
            self.actions.push_back(Action::Note(Note::Draining { calls }));
        }
    }

    /// A worker has no client left.
    fn quiet(&mut self, worker: WorkerId) {
        let Life::Draining(drain) = &mut self.life else { return };
        drain.busy.remove(&worker);
        if drain.busy.is_empty() {
            self.part();
        }
    }

    fn part(&mut self) {
        let until = self.clock.now() + self.settings.limits.linger_timeout * 2;
        self.life = Life::Parting(self.workers, 0, until);
        self.tell_all(&Letter::Part);
    }

    /// A worker has closed everything.
    fn parted(&mut self, more: u64) {
        let Life::Parting(left, cut, _) = &mut self.life else { return };
        *left = left.saturating_sub(1);
        *cut = cut.saturating_add(more);
        if *left == 0 {
            let cut = *cut;
            self.end(cut);
        }
    }

    fn end(&mut self, cut: u64) {
        let cut = usize::try_from(cut).unwrap_or(usize::MAX);
        self.actions.push_back(Action::Note(Note::Drained { cut }));
        self.actions.push_back(Action::Done);
        self.life = Life::Over;
    }
}

impl Machine for Node {
    type Input = Input<Letter>;
    type Action = Action<Letter>;

    fn handle(&mut self, now: Instant, input: Input<Letter>) {
        self.clock.advance(now);
        let Input::Letter(letter) = input else { return };
        match letter {
            Letter::Changed(change) => {
                self.routes.apply(&change);
                self.changed = true;
            }
            Letter::Drain => self.drain(),
            Letter::Draining(calls) => self.count(calls),
            Letter::Quiet(worker) => self.quiet(worker),
            Letter::Parted(cut) => self.parted(cut),
            Letter::Seek(sought) => {
                let to = Address::Worker(sought.call.worker);
                self.replies.push_back(Action::Letter { to, letter: Letter::Sought(sought) });
            }
            Letter::Ask { .. }
            | Letter::Answer { .. }
            | Letter::Sought(_)
            | Letter::Routes(_)
            | Letter::Peers(_)
            | Letter::LinkLost(_)
            | Letter::Ready(_)
            | Letter::Part => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &self.life {
            Life::Draining(drain) if drain.until <= now => self.part(),
            Life::Parting(_, cut, until) if *until <= now => {
                let cut = *cut;
                self.end(cut);
            }
            Life::Serving | Life::Draining(_) | Life::Parting(..) | Life::Over => {}
        }
    }

    fn poll(&mut self) -> Option<Action<Letter>> {
        if core::mem::take(&mut self.changed) {
            let routes = Arc::new(self.routes.clone());
            self.tell_all(&Letter::Routes(routes));
        }
        self.actions.append(&mut self.replies);
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.life {
            Life::Draining(drain) => Some(drain.until),
            Life::Parting(_, _, until) => Some(*until),
            Life::Serving | Life::Over => None,
        }
    }
}

impl Host for Node {
    type Letter = Letter;

    fn outbox(&self, _conn: ConnId) -> Option<&Outbox> {
        None
    }

    fn room(&self, _conn: ConnId) -> usize {
        0
    }
}
