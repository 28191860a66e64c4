//! Learning, after the start, what the others know already.
//!
//! Whoever has caught up itself says how far all logs go, and a node that has come so far is
//! ready. Who has yet to catch up says that too: its answer counts only if nobody knows better,
//! as when all nodes start at once.

use super::consult::Consult;
use super::hear::{Letter, Source};
use super::machine::{Action, Key, Machine};
use crate::id::Boot;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

/// How far a node has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Somebody is looked for who has caught up.
    Asking(Asking),
    /// How far the logs have to be known.
    CatchingUp(BTreeMap<Boot, u64>),
    Ready,
}

/// Who was asked, and what came of it.
#[derive(Default, Debug)]
pub(super) struct Asking {
    /// When the first was asked.
    since: Option<Instant>,
    /// Consultations under way.
    open: usize,
    /// Whom there is no use in asking again before the next contact.
    tried: BTreeSet<Boot>,
    /// Those of them who have yet to catch up themselves.
    joining: BTreeSet<Boot>,
    /// How far logs are known to those.
    goals: BTreeMap<Boot, u64>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Asking(Asking::default())
    }
}

/// What somebody knew who was asked.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How far logs go.
    pub(super) goals: BTreeMap<Boot, u64>,
    /// Whether it has yet to catch up itself.
    pub(super) joining: bool,
}

impl Machine {
    /// Somebody has answered who was asked who is there.
    pub(super) fn met(&mut self, from: Source) {
        let Stage::Asking(asking) = &self.join.stage else { return };
        if asking.open == 0 && !asking.tried.contains(&from.boot) {
            self.ask_to_join(from.boot);
        }
    }

    fn ask_to_join(&mut self, boot: Boot) {
        let now = self.now();
        if self.members.get(boot).is_none() {
            return;
        }
        let Stage::Asking(asking) = &mut self.join.stage else { return };
        asking.since.get_or_insert(now);
        asking.tried.insert(boot);
        asking.open += 1;
        if self.consult_heads(boot, Consult::Join).is_none()
            && let Stage::Asking(asking) = &mut self.join.stage
        {
            asking.open -= 1;
        }
    }

    /// Asks somebody else, of those who live. Says whether there is anybody.
    fn ask_another(&mut self) -> bool {
        let Stage::Asking(asking) = &self.join.stage else { return false };
        if asking.tried.len() >= TRIED_MAX {
            return false;
        }
        let fit = |known: &super::members::Known| !asking.tried.contains(&known.member.boot);
        let Some(boot) = self.members.some(&mut self.dice, 1, fit).pop() else { return false };
        self.ask_to_join(boot);
        true
    }

    /// It is time to try again, whatever became of those who were asked.
    pub(super) fn ask_again(&mut self) {
        let Stage::Asking(asking) = &self.join.stage else { return };
        // A slow one is not waited for alone.
        if asking.open >= ASKED_AT_ONCE {
            return;
        }
        if !self.look_whether_together()
            && let Stage::Asking(asking) = &mut self.join.stage
        {
            if asking.open == 0 {
                asking.tried.clear();
                asking.joining.clear();
            }
            self.ask_another();
        }
    }

    /// Whoever was consulted did not answer: somebody else will.
    pub(super) fn join_failed(&mut self) {
        let Stage::Asking(asking) = &mut self.join.stage else { return };
        asking.open = asking.open.saturating_sub(1);
        self.ask_another();
    }

    /// This is what somebody else knew.
    pub(super) fn told(&mut self, from: Boot, known: Known) {
        let Stage::Asking(asking) = &mut self.join.stage else { return };
        asking.open = asking.open.saturating_sub(1);
        if !known.joining {
            self.join.stage = Stage::CatchingUp(known.goals);
            return self.look_whether_ready();
        }
        asking.joining.insert(from);
        for (boot, goal) in known.goals {
            let held = asking.goals.entry(boot).or_default();
            *held = goal.max(*held);
        }
        if !self.ask_another() {
            self.look_whether_together();
        }
    }

    /// Whoever was consulted has answered: while this node catches up, what it was asked for, or
    /// others were, and is not in the answer may be asked for anew. Says how much is missing.
    pub(super) fn begin_to_catch_up(&mut self, why: Consult) -> Option<u64> {
        let joins = matches!(why, Consult::Join | Consult::More(_));
        if !joins || self.join.is_ready() {
            return None;
        }
        self.replicas.ask_anew();
        // Before the first answer nobody knows how much that is.
        Some(if why == Consult::Join { u64::MAX } else { self.replicas.lag().ops })
    }

    /// Asks whoever has answered for all that is still missing, which it had no room for, if
    /// less is missing than before. Says whether that is so.
    pub(super) fn want_the_rest(&mut self, before: Option<u64>, reply: &mut Letter) -> bool {
        let came = before.is_some_and(|before| self.replicas.lag().ops < before);
        if came && !self.join.is_ready() {
            for want in self.replicas.missing(self.now(), self.wait_for_ops(reply.to)) {
                self.say(reply, &want);
            }
        }
        came
    }

    /// Whether all who can be asked have just started too, for long enough that others would
    /// have been found: then there is nothing to wait for but what these know.
    fn look_whether_together(&mut self) -> bool {
        let now = self.now();
        let Stage::Asking(asking) = &mut self.join.stage else { return false };
        let live = self.members.live();
        let asked = live.iter().filter(|boot| asking.joining.contains(boot)).count();
        let enough = asked > 0 && asked >= live.len().min(TRIED_MAX);
        let long = asking.since.is_some_and(|since| since + TOGETHER <= now);
        if !enough || !long {
            return false;
        }
        self.join.stage = Stage::CatchingUp(core::mem::take(&mut asking.goals));
        self.look_whether_ready();
        true
    }

    /// Whether everything has come that was to be waited for.
    pub(super) fn look_whether_ready(&mut self) {
        let Stage::CatchingUp(goals) = &self.join.stage else { return };
        let behind = |(boot, goal): (&Boot, &u64)| {
            let live = self.members.get(*boot).is_some_and(|k| k.member.state.is_live());
            live && self.replicas.head(*boot).is_some_and(|head| head < *goal)
        };
        if !goals.iter().any(behind) {
            self.ready(true);
        }
    }

    /// Catching up has taken long enough.
    pub(super) fn stop_waiting(&mut self) {
        if !self.join.is_ready() {
            self.ready(false);
        }
    }

    pub(super) fn ready(&mut self, complete: bool) {
        self.join.stage = Stage::Ready;
        self.agenda.forget(Key::Ready);
        self.act(Action::Ready { complete });
    }
}

/// Members that are asked between two contacts, and answers that are enough.
const TRIED_MAX: usize = 8;
/// Consultations to catch up that are under way at once.
const ASKED_AT_ONCE: usize = 3;
/// How long a node looks for somebody who has caught up, where nobody seems to.
const TOGETHER: Duration = Duration::from_secs(2);
