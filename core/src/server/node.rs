//! The control plane of a node: who serves what, and when to stop.

use super::letter::Letter;
use super::settings::Settings;
use crate::host::{Action, Address, Host, Input};
use crate::id::{ConnId, WorkerId};
use crate::machine::Machine;
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
    /// Draining; holds the workers that still have clients, and when patience ends.
    Draining(BTreeSet<WorkerId>, Instant),
    Over,
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
        let workers = (0..self.workers).map(WorkerId).collect();
        let until = self.clock.now() + self.settings.grace_period;
        self.life = Life::Draining(workers, until);
        self.tell_all(&Letter::Ready(false));
        self.tell_all(&Letter::Drain);
    }

    fn part(&mut self) {
        self.life = Life::Over;
        self.tell_all(&Letter::Part);
        self.actions.push_back(Action::Done);
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
            Letter::Quiet(worker) => {
                if let Life::Draining(busy, _) = &mut self.life {
                    busy.remove(&worker);
                    if busy.is_empty() {
                        self.part();
                    }
                }
            }
            Letter::Seek(sought) => {
                let to = Address::Worker(sought.call.worker);
                self.replies.push_back(Action::Letter { to, letter: Letter::Sought(sought) });
            }
            Letter::Ask { .. }
            | Letter::Answer { .. }
            | Letter::Sought(_)
            | Letter::Routes(_)
            | Letter::Ready(_)
            | Letter::Part => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if matches!(self.life, Life::Draining(_, until) if until <= now) {
            self.part();
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
        match self.life {
            Life::Draining(_, until) => Some(until),
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
