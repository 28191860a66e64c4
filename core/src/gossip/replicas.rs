//! Following the logs of others.

use super::directory::{FetchLimits, Op, Replica, RingLimits};
use super::hear::{Letter, Source};
use super::machine::{Action, Key, Machine};
use super::snapshots::Fetching;
use super::table::Table;
use super::view::Lag;
use super::wire::Message;
use crate::id::Boot;
use crate::routing::EndpointId;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

/// The logs of the members that live, as far as this node knows them.
#[derive(Debug)]
pub(super) struct Replicas {
    /// Endpoints of one member: of more it is not heard.
    entries_max: usize,
    pub(super) all: Table<Entry>,
    /// Those whose goal is ahead, and that are asked for.
    behind: BTreeSet<Boot>,
    /// Those whose goal is ahead, and that were asked for in vain: not again before somebody says
    /// anew that there is more.
    vain: BTreeSet<Boot>,
    /// Snapshots that are being fetched: whose, and how far.
    pub(super) fetches: BTreeMap<Boot, Fetching>,
    /// Those for which there is no room yet: who has them, and how far.
    pub(super) waiting: BTreeMap<Boot, (Boot, u64)>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) replica: Replica,
    /// While ops were asked for and may still come: until when.
    pub(super) wanted: Option<Instant>,
    /// How far others are said to know it.
    goal: u64,
    /// How often ops were asked for in vain.
    vain: u32,
    /// How often they were asked for since the goal was reached last.
    asked: u32,
}

impl Default for Replicas {
    fn default() -> Self {
        let entries_max = FetchLimits::ENTRIES;
        let (behind, vain) = (BTreeSet::new(), BTreeSet::new());
        let (fetches, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { entries_max, all: Table::default(), behind, vain, fetches, waiting }
    }
}

impl Replicas {
    pub(super) fn add(&mut self, boot: Boot) {
        if !self.all.contains(boot) {
            let replica = Replica::new(RingLimits::default());
            let entry = Entry { replica, wanted: None, goal: 0, vain: 0, asked: 0 };
            self.all.insert(boot, entry);
        }
    }

    /// Forgets a member's log. Says what has to be undone.
    pub(super) fn remove(&mut self, boot: Boot) -> Vec<Op> {
        self.fetches.remove(&boot);
        self.waiting.remove(&boot);
        self.reached(boot);
        let Some(entry) = self.all.remove(boot) else { return Vec::new() };
        let state = entry.replica.into_state();
        state.into_keys().map(|endpoint| Op { endpoint, weight: 0 }).collect()
    }

    pub(super) fn get(&self, boot: Boot) -> Option<&Replica> {
        self.all.get(boot).map(|entry| &entry.replica)
    }

    /// Nothing of a log is missing.
    fn reached(&mut self, boot: Boot) {
        self.behind.remove(&boot);
        self.vain.remove(&boot);
    }

    /// Its writer itself says that a log has not come further: whoever said otherwise, and could
    /// not show it, was wrong.
    pub(super) fn settle(&mut self, boot: Boot) {
        if self.vain.remove(&boot)
            && let Some(entry) = self.all.get_mut(boot)
        {
            entry.goal = entry.replica.head();
        }
    }

    /// How far this node knows to be behind.
    pub(super) fn lag(&self) -> Lag {
        let behind = self.behind.iter().chain(&self.vain);
        let behind = behind.filter_map(|boot| self.all.get(*boot));
        let missing = behind.map(|entry| entry.goal.saturating_sub(entry.replica.head()));
        missing.filter(|ops| *ops > 0).fold(Lag::default(), |lag, ops| Lag {
            logs: lag.logs + 1,
            ops: lag.ops.saturating_add(ops),
        })
    }

    /// Allows for questions that were asked just now to be asked anew.
    pub(super) fn ask_anew(&mut self) {
        for boot in &self.behind {
            if let Some(entry) = self.all.get_mut(*boot) {
                entry.wanted = None;
            }
        }
    }

    /// Questions for all that is missing, and neither asked for nor fetched as a snapshot.
    pub(super) fn missing(&mut self, now: Instant, within: Duration) -> Vec<Message> {
        let (fetches, waiting, all) = (&self.fetches, &self.waiting, &mut self.all);
        let ops = |boot: &&Boot| !fetches.contains_key(*boot) && !waiting.contains_key(*boot);
        let ask = |boot: &Boot| all.get_mut(*boot)?.ask(now, *boot, within);
        self.behind.iter().filter(ops).filter_map(ask).collect()
    }

    /// How far a log is known.
    pub(super) fn head(&self, boot: Boot) -> Option<u64> {
        self.get(boot).map(Replica::head)
    }
}

impl Entry {
    /// The question for what is missing, unless it was asked just now: an answer should be here
    /// `within` that time.
    fn ask(&mut self, now: Instant, boot: Boot, within: Duration) -> Option<Message> {
        if self.wanted.is_some_and(|until| now < until) {
            return None;
        }
        self.wanted = Some(now + within);
        Some(Message::Want { boot, after: self.replica.head() })
    }
}

impl Machine {
    pub(super) fn heard_ops(
        &mut self,
        from: Source,
        boot: Boot,
        first: u64,
        ops: Vec<Op>,
        reply: &mut Letter,
    ) {
        let Some(entry) = self.replicas.all.get_mut(boot) else { return };
        if entry.replica.len().saturating_add(ops.len()) > self.replicas.entries_max {
            return;
        }
        let before = entry.replica.head();
        let mut changes = Vec::new();
        if entry.replica.apply(first, ops, &mut changes).is_err() {
            return self.want(boot, first, reply);
        }
        if entry.replica.head() > before {
            // What was asked for has come; more may be asked for at once.
            (entry.wanted, entry.vain) = (None, 0);
            self.grown(boot, before, changes);
            // A snapshot that is on its way is no longer needed if this went on from before it.
            let fresh = self.replicas.fetches.get(&boot).is_some_and(|f| f.from == from.boot);
            if !fresh && self.replicas.fetches.remove(&boot).is_some() {
                self.fetch_next();
            }
        }
    }

    /// A replica has grown from `before` on.
    pub(super) fn grown(&mut self, boot: Boot, before: u64, changes: Vec<Op>) {
        if let Some(entry) = self.replicas.all.get_mut(boot)
            && entry.replica.head() >= entry.goal
        {
            entry.asked = 0;
            self.replicas.reached(boot);
        }
        self.root = None;
        self.spread_ops(boot, before);
        if !changes.is_empty() {
            self.act(Action::Serves { boot, changes });
        }
        self.look_whether_ready();
    }

    /// Asks for the ops up to `goal`, which others know, unless somebody was asked just now.
    pub(super) fn want(&mut self, boot: Boot, goal: u64, reply: &mut Letter) {
        let now = self.clock.now();
        let within = self.wait_for_ops(reply.to);
        let Some(entry) = self.replicas.all.get_mut(boot) else { return };
        entry.goal = entry.goal.max(goal);
        self.replicas.vain.remove(&boot);
        self.replicas.behind.insert(boot);
        if let Some(message) = entry.ask(now, boot, within) {
            self.say(reply, &message);
        }
        self.want_round();
    }

    /// How long ops may take that a member is asked for.
    pub(super) fn wait_for_ops(&self, from: Boot) -> Duration {
        let rtt = self.members.get(from).and_then(|known| known.rtt);
        rtt.map_or(WANT_MAX, |rtt| rtt * 4).clamp(WANT_MIN, WANT_MAX)
    }

    /// Asks others for ops that did not come. Says whether any are missing.
    pub(super) fn want_again(&mut self) -> bool {
        let now = self.now();
        let Some(to) = self.members.some(&mut self.dice, 1, |known| !known.is_deaf()).pop() else {
            // Where no datagram gets through, comparing asks.
            return !self.replicas.behind.is_empty();
        };
        let within = self.wait_for_ops(to);
        let behind: Vec<Boot> = self.replicas.behind.iter().take(WANTS).copied().collect();
        let mut wants = Vec::new();
        for boot in behind {
            let Some(entry) = self.replicas.all.get_mut(boot) else { continue };
            let want = entry.ask(now, boot, within);
            entry.vain += u32::from(want.is_some());
            entry.asked += u32::from(want.is_some());
            if entry.vain > VAIN_MAX || entry.asked > ASKED_MAX {
                // Whoever said so may have been wrong, and will say it again if not. That the log
                // grows meanwhile does not make it right.
                (entry.vain, entry.asked) = (0, 0);
                self.replicas.behind.remove(&boot);
                self.replicas.vain.insert(boot);
            }
            wants.extend(want);
        }
        let known = self.members.get(to).filter(|_| !wants.is_empty());
        if let Some(known) = known {
            let (to, addr) = (known.member.boot, known.member.addr);
            let mut letter = self.letter(to, Some(addr));
            for want in &wants {
                self.say(&mut letter, want);
            }
            self.send(letter);
        }
        !self.replicas.behind.is_empty()
    }

    pub(super) fn wanted(&mut self, boot: Boot, after: u64, reply: &mut Letter) {
        for message in self.ops_after(boot, after, reply.budget()) {
            self.say(reply, &message);
        }
    }

    /// A log behind number `after`, in messages that fit into a datagram each, of at most so
    /// many bytes together.
    pub(super) fn ops_after(&self, boot: Boot, after: u64, bytes: usize) -> Vec<Message> {
        let Some(replica) = self.directory(boot) else { return Vec::new() };
        let Ok(ops) = replica.after(after) else {
            return alloc::vec![Message::Behind { boot, head: replica.head() }];
        };
        let mut messages = Vec::new();
        let mut part: Vec<Op> = Vec::new();
        let (mut first, mut size, mut left) = (after + 1, 0, bytes);
        for (seq, op) in ops {
            let cost = op.wire_bytes();
            if size + cost > OPS_BYTES {
                let ops = core::mem::take(&mut part);
                messages.push(Message::Ops { boot, first, ops });
                (first, size) = (seq, 0);
            }
            let Some(rest) = left.checked_sub(cost) else { break };
            left = rest;
            size += cost;
            part.push(op.clone());
        }
        if !part.is_empty() {
            messages.push(Message::Ops { boot, first, ops: part });
        }
        messages
    }

    pub(super) fn serve(&mut self, endpoint: &EndpointId, upstreams: u32) {
        self.own.set(endpoint, upstreams);
        if self.own.pending() > 0 {
            let at = self.spread.committed() + self.settings.pace.debounce;
            self.at(Key::Commit, at);
        }
    }

    /// Makes ops of what has changed here.
    pub(super) fn commit(&mut self) {
        let now = self.now();
        self.spread.commit(now);
        let ops = self.own.commit();
        if !ops.is_empty() {
            self.root = None;
            self.spread_ops(self.me.boot, ops.start.saturating_sub(1));
        }
    }
}

/// How soon ops of one log are asked for again: after four round trips, within these bounds.
const WANT_MIN: Duration = Duration::from_millis(50);
const WANT_MAX: Duration = Duration::from_millis(200);
/// How often ops are asked for in vain.
const VAIN_MAX: u32 = 16;
/// How often they are asked for before the goal is given up: more than a ring of ops takes.
const ASKED_MAX: u32 = 64;
/// Logs of which ops are asked for again in one round.
const WANTS: usize = 64;
/// Bytes of the ops in one message.
const OPS_BYTES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine as _;
    use crate::gossip::machine::Input;
    use crate::gossip::{Member, NodeId, Pace, Settings, State};
    use crate::id::AskId;
    use crate::seed::Seed;

    fn settings(number: u8) -> Settings {
        Settings {
            cluster: "pico".into(),
            keys: crate::gossip::Ring::default(),
            boot: Boot(number.into()),
            generation: 1,
            id: NodeId::parse(alloc::format!("node-{number}").as_bytes()).unwrap(),
            addr: ([10, 0, 0, number], 8003).into(),
            notes: Vec::new(),
            pace: Pace::default(),
        }
    }

    fn member(number: u8) -> Member {
        let Settings { boot, generation, id, addr, notes, .. } = settings(number);
        let (incarnation, state, versions) = (0, State::Alive, (1, 1));
        Member { boot, generation, incarnation, state, addr, versions, id, notes }
    }

    fn machine(number: u8) -> Machine {
        Machine::new(Instant::ZERO, settings(number), &Seed::from_u64(1))
    }

    fn op(name: &str) -> Op {
        Op { endpoint: name.parse().unwrap(), weight: 1 }
    }

    #[test]
    fn of_a_member_that_serves_too_much_no_more_is_heard() {
        let mut machine = machine(1);
        machine.replicas.entries_max = 10;
        machine.learn(&member(2));
        let from = Source { boot: Boot(2), addr: None, ours: true };
        for first in 1..100 {
            let mut reply = machine.letter(Boot(2), None);
            let op = op(&alloc::format!("endpoint-{first}"));
            machine.heard_ops(from, Boot(2), first, alloc::vec![op], &mut reply);
        }
        assert_eq!(machine.directory(Boot(2)).unwrap().len(), 10);
    }

    /// The last question of a machine by a consultation.
    fn asked(machine: &mut Machine) -> AskId {
        let all = core::iter::from_fn(|| machine.poll());
        let asks = all.filter_map(|action| match action {
            Action::Consult { ask, .. } => Some(ask),
            Action::Datagram { .. }
            | Action::Answer { .. }
            | Action::Member { .. }
            | Action::Serves { .. }
            | Action::Ready { .. }
            | Action::Namesake(_)
            | Action::Unopened(_)
            | Action::Missed { .. }
            | Action::Left => None,
        });
        asks.last().expect("it has asked")
    }

    /// The third node answers with a page of the second one's log.
    fn answer(machine: &mut Machine, ask: AskId, names: &[&str], last: bool) {
        let mut third = super::tests::machine(3);
        let mut letter = third.letter(Boot(1), None);
        let entries = names.iter().map(|name| op(name)).collect();
        third.say(&mut letter, &Message::Page { boot: Boot(2), head: 100, last, entries });
        let answer = Some(letter.into_bytes().freeze());
        machine.handle(Instant::ZERO, Input::Answered { ask, answer });
    }

    #[test]
    fn an_answer_to_a_snapshot_that_was_dropped_is_no_part_of_the_next_one() {
        let mut machine = machine(1);
        for number in [2, 3] {
            machine.learn(&member(number));
        }
        let second = Source { boot: Boot(2), addr: None, ours: true };
        machine.fetch(Boot(3), Boot(2), 100);
        let first_page = asked(&mut machine);
        answer(&mut machine, first_page, &["a", "b"], false);
        let second_page = asked(&mut machine);
        // The writer itself says more, so the snapshot is not needed; and then it is, after all.
        let mut reply = machine.letter(Boot(2), None);
        machine.heard_ops(second, Boot(2), 1, alloc::vec![op("a")], &mut reply);
        machine.fetch(Boot(3), Boot(2), 100);
        let first_page = asked(&mut machine);
        answer(&mut machine, second_page, &["c"], true);
        let known = |machine: &Machine| machine.directory(Boot(2)).unwrap().len();
        assert_eq!(known(&machine), 1, "what is behind the first page is not all there is");
        answer(&mut machine, first_page, &["a", "b", "c"], true);
        assert_eq!(known(&machine), 3);
    }
}
