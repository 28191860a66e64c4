//! Who is asked whether it lives, and how (SWIM, section 4.1; Lifeguard, section IV-A).

use super::hear::Source;
use super::held::Held;
use super::machine::{Key, Machine};
use super::members::Known;
use super::wire::Message;
use crate::id::{AskId, Boot};
use crate::seed::Dice;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// Probes under way, and whose turn is next.
#[derive(Default, Debug)]
pub(super) struct Probes {
    /// This round's order; those before `next` had their turn.
    order: Vec<Boot>,
    next: usize,
    open: BTreeMap<Boot, Probe>,
    /// Questions that are out, by their numbers.
    asked: BTreeMap<u64, Asked>,
    /// Those of them that others wait for.
    relays: BTreeSet<u64>,
    /// Of whom datagrams came last, the newest first.
    heard: VecDeque<Boot>,
    serial: u64,
}

/// One probe.
#[derive(Debug)]
struct Probe {
    since: Instant,
    /// When the next ping is due; none when enough are out.
    ping: Option<Instant>,
    pings: u32,
    /// When helpers are asked; none when they were.
    help: Option<Instant>,
    helpers: u32,
    nacks: u32,
    until: Instant,
    consult: Option<AskId>,
}

/// A question that is out.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Who is to answer; `Boot(0)` is whoever does.
    of: Boot,
    at: Instant,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// It is probed itself.
    Probe,
    /// It was asked to ping another for us.
    Via(Boot),
    /// The same, and there is no answer so far.
    Refused(Boot),
    /// Another asked us.
    For { asker: Boot, addr: SocketAddr, seq: u64 },
    /// To find out who is there.
    Contact,
    /// To learn that our last word was heard.
    Leave,
}

impl Probes {
    /// A member takes part from now on, at a place in the round drawn by chance.
    fn add(&mut self, boot: Boot, dice: &mut Dice) {
        let waits = self.order.get(self.next..).is_some_and(|rest| rest.contains(&boot));
        if waits {
            return;
        }
        let left = self.order.len().saturating_sub(self.next);
        let bound = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
        let at = self.next.saturating_add(usize::try_from(dice.below(bound)).unwrap_or(0));
        self.order.insert(at.min(self.order.len()), boot);
    }

    /// A datagram came from a member.
    pub(super) fn heard(&mut self, boot: Boot) {
        self.heard.retain(|other| *other != boot);
        self.heard.truncate(HEARD_MAX - 1);
        self.heard.push_front(boot);
    }

    pub(super) fn forget(&mut self, boot: Boot) {
        self.open.remove(&boot);
        self.heard.retain(|other| *other != boot);
    }

    /// Into `held`, how many there are of what is held here.
    pub(super) fn count(&self, held: &mut Held) {
        held.probes = self.open.len();
        held.order = self.order.len();
        held.questions = self.asked.len();
        held.relays = self.relays.len();
        held.heard = self.heard.len();
    }

    /// Notes a question, and gives it a number.
    fn ask(&mut self, asked: Asked) -> u64 {
        // Their numbers rise with time, so the oldest come first.
        while let Some((seq, old)) = self.asked.first_key_value() {
            if old.at + ASKED_KEPT > asked.at && self.asked.len() < ASKED_MAX {
                break;
            }
            let seq = *seq;
            self.asked.remove(&seq);
        }
        self.serial += 1;
        self.asked.insert(self.serial, asked);
        self.serial
    }
}

impl Machine {
    /// Probes the next member, and sees to it that another follows.
    pub(super) fn next_probe(&mut self) {
        let scaled = self.settings.pace.period * (self.health + 1);
        self.after(Key::Period, scaled);
        let now = self.now();
        self.members.reap(now, self.settings.pace.gone);
        // One round more finds everybody who lives.
        for _ in 0..2 {
            while let Some(boot) = self.probes.order.get(self.probes.next).copied() {
                self.probes.next += 1;
                let live = self.members.get(boot).is_some_and(|k| k.member.state.is_live());
                if live {
                    return self.probe_at_once(boot);
                }
            }
            self.shuffle();
        }
    }

    /// A member takes part from now on.
    pub(super) fn add_to_round(&mut self, boot: Boot) {
        // Those who are gone again make it long.
        if self.probes.order.len() >= ORDER_MAX {
            return self.shuffle();
        }
        self.probes.add(boot, &mut self.dice);
    }

    /// What was not answered so far is not held against anybody.
    pub(super) fn void_probes(&mut self) {
        for boot in core::mem::take(&mut self.probes.open).into_keys() {
            self.agenda.forget(Key::Probe(boot));
        }
    }

    fn shuffle(&mut self) {
        let mut order = self.members.live().to_vec();
        for at in (1..order.len()).rev() {
            let bound = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
            order.swap(at, usize::try_from(self.dice.below(bound)).unwrap_or(at));
        }
        (self.probes.order, self.probes.next) = (order, 0);
    }

    /// Begins a probe, unless one is under way.
    pub(super) fn probe_at_once(&mut self, boot: Boot) {
        let Some(known) = self.members.get(boot) else { return };
        let full = self.probes.open.len() >= PROBES_MAX;
        if !known.member.state.is_live() || self.probes.open.contains_key(&boot) || full {
            return;
        }
        let wait = known.rtt.map_or(WAIT_MAX, |rtt| rtt * 4).clamp(WAIT_MIN, WAIT_MAX);
        let scale = self.health + 1;
        let span = self.settings.pace.probe.max(wait * 2 + RELAY_WAIT);
        let now = self.now();
        let probe = Probe {
            since: now,
            ping: Some(now),
            pings: 0,
            help: Some(now + wait * scale),
            helpers: 0,
            nacks: 0,
            until: now + span * scale,
            consult: None,
        };
        self.probes.open.insert(boot, probe);
        self.step_probe(boot);
    }

    /// Does what is due of a probe.
    pub(super) fn step_probe(&mut self, boot: Boot) {
        let now = self.now();
        let Some(probe) = self.probes.open.get_mut(&boot) else { return };
        if probe.until <= now {
            return self.probe_failed(boot);
        }
        let pings = probe.ping.is_some_and(|at| at <= now);
        if pings {
            probe.pings += 1;
            let next = probe.since + PING_EVERY * probe.pings;
            probe.ping = (probe.pings < PINGS).then_some(next);
        }
        let helps = probe.help.is_some_and(|at| at <= now);
        if helps {
            probe.help = None;
        }
        let due = probe.ping.into_iter().chain(probe.help).fold(probe.until, Instant::min);
        self.at(Key::Probe(boot), due);
        if pings {
            self.ping(boot, Why::Probe);
        }
        if helps {
            self.ask_for_help(boot);
        }
    }

    fn ping(&mut self, boot: Boot, why: Why) {
        let Some(known) = self.members.get(boot) else { return };
        let addr = known.member.addr;
        let at = self.now();
        let seq = self.probes.ask(Asked { of: boot, at, why });
        let mut letter = self.letter(boot, Some(addr));
        self.say(&mut letter, &Message::Ping { seq, target: boot });
        self.send(letter);
    }

    /// Asks others to ping a member, and asks itself by a consultation.
    fn ask_for_help(&mut self, target: Boot) {
        let Some(known) = self.members.get(target) else { return };
        let addr = known.member.addr;
        let helpers = self.helpers(target);
        if let Some(probe) = self.probes.open.get_mut(&target) {
            probe.helpers = u32::try_from(helpers.len()).unwrap_or(u32::MAX);
        }
        for helper in helpers {
            let Some(known) = self.members.get(helper) else { continue };
            let to = known.member.addr;
            let at = self.now();
            let seq = self.probes.ask(Asked { of: helper, at, why: Why::Via(target) });
            let mut letter = self.letter(helper, Some(to));
            self.say(&mut letter, &Message::Relay { seq, target, addr });
            self.send(letter);
        }
        let ask = self.consult_ping(target, addr);
        if let Some(probe) = self.probes.open.get_mut(&target) {
            probe.consult = ask;
        }
    }

    /// Those who are asked to help: of whom one has heard last. Where most members have died and
    /// nobody knows it yet, others would be silent, as if this node were deaf.
    fn helpers(&mut self, target: Boot) -> Vec<Boot> {
        let fit = |known: &Known| {
            known.member.boot != target
                && known.member.state.is_live()
                && !known.is_deaf()
                && known.suspicion.is_none()
        };
        let heard = self.probes.heard.iter().copied();
        let fits = heard.filter(|boot| self.members.get(*boot).is_some_and(fit));
        let mut helpers: Vec<Boot> = fits.take(HELPERS).collect();
        let missing = HELPERS - helpers.len();
        if missing > 0 {
            let rest = |known: &Known| fit(known) && !helpers.contains(&known.member.boot);
            let more = self.members.some(&mut self.dice, missing, rest);
            helpers.extend(more);
        }
        helpers
    }

    /// Another asks us to ping a member.
    pub(super) fn relay(&mut self, from: Source, seq: u64, target: Boot, addr: SocketAddr) {
        let Some(back) = from.addr else { return };
        // Only members are helped, and a few at a time, so that nobody makes us ping whom it likes
        // as often as it likes.
        let full = self.probes.relays.len() >= RELAYS_MAX;
        if full || self.members.get(from.boot).is_none() {
            return;
        }
        let why = Why::For { asker: from.boot, addr: back, seq };
        let at = self.now();
        let own = self.probes.ask(Asked { of: target, at, why });
        let mut letter = self.letter(target, Some(addr));
        self.say(&mut letter, &Message::Ping { seq: own, target });
        self.send(letter);
        self.probes.relays.insert(own);
        self.after(Key::Relay(own), RELAY_WAIT);
    }

    pub(super) fn give_up_relay(&mut self, own: u64) {
        self.probes.relays.remove(&own);
        let Some(Asked { why: Why::For { asker, addr, seq }, .. }) = self.probes.asked.get(&own)
        else {
            return;
        };
        let (asker, addr, seq) = (*asker, *addr, *seq);
        let mut letter = self.letter(asker, Some(addr));
        self.say(&mut letter, &Message::Nack { seq });
        self.send(letter);
    }

    pub(super) fn nacked(&mut self, from: Source, seq: u64) {
        let Some(asked) = self.probes.asked.get_mut(&seq) else { return };
        let Asked { of, why: Why::Via(target), .. } = *asked else { return };
        if of == from.boot
            && let Some(probe) = self.probes.open.get_mut(&target)
        {
            // Each counts once.
            asked.why = Why::Refused(target);
            probe.nacks += 1;
        }
    }

    pub(super) fn acked(&mut self, from: Source, seq: u64) {
        let Some(asked) = self.probes.asked.get(&seq).copied() else { return };
        if asked.of != from.boot && asked.of != Boot(0) {
            return;
        }
        self.probes.asked.remove(&seq);
        let now = self.now();
        let direct = match asked.why {
            Why::Probe | Why::Contact | Why::Leave => from.addr.is_some(),
            // It took a round trip of another in between, or is of no member.
            Why::Via(_) | Why::Refused(_) | Why::For { .. } => false,
        };
        if direct && let Some(known) = self.members.get_mut(from.boot) {
            known.missed = 0;
            let took = now.since(asked.at);
            known.rtt = Some(known.rtt.map_or(took, |rtt| (rtt * 7 + took) / 8));
        }
        match asked.why {
            Why::Probe => self.reached(from.boot),
            Why::Via(target) | Why::Refused(target) => self.reached(target),
            Why::For { asker, addr, seq: own } => {
                self.probes.relays.remove(&seq);
                self.agenda.forget(Key::Relay(seq));
                let seq = own;
                let mut letter = self.letter(asker, Some(addr));
                self.say(&mut letter, &Message::Ack { seq });
                self.send(letter);
            }
            Why::Contact => self.found(from),
            Why::Leave => self.heard_farewell(from.boot),
        }
    }

    /// A member that is probed lives.
    fn reached(&mut self, boot: Boot) {
        if self.probes.open.remove(&boot).is_some() {
            self.agenda.forget(Key::Probe(boot));
            self.better();
        }
    }

    /// A consultation has reached a member. If datagrams do not, they are not used any more.
    pub(super) fn reached_by_consultation(&mut self, boot: Boot, ask: AskId) {
        let ours = self.probes.open.get(&boot).is_some_and(|probe| probe.consult == Some(ask));
        if ours {
            if let Some(known) = self.members.get_mut(boot) {
                known.missed = known.missed.saturating_add(1);
            }
            self.reached(boot);
        }
    }

    fn probe_failed(&mut self, boot: Boot) {
        let Some(probe) = self.probes.open.remove(&boot) else { return };
        // Who said no was heard in time: it is not we who are deaf. The others may be dead too.
        if probe.nacks > 0 {
            self.better();
        } else if probe.helpers > 0 {
            self.worse();
        }
        // Perhaps another boot is there, for which what was sealed for this one does not open.
        if let Some(addr) = self.members.get(boot).map(|known| known.member.addr)
            && self.seal.is_some()
        {
            self.knock(addr, boot);
        }
        self.suspect(boot);
    }

    /// Asks who is at an address; whoever is there learns who asks.
    pub(super) fn knock(&mut self, addr: SocketAddr, at: Boot) {
        let now = self.now();
        let seq = self.probes.ask(Asked { of: at, at: now, why: Why::Contact });
        let mut letter = self.letter(at, Some(addr));
        letter.for_anyone();
        if self.seal.is_none() {
            self.say(&mut letter, &Message::Member(self.me.clone()));
        }
        self.say(&mut letter, &Message::Ping { seq, target: at });
        self.send(letter);
    }

    /// Tells a member our last word.
    pub(super) fn bid_farewell(&mut self, boot: Boot) {
        let Some(known) = self.members.get(boot) else { return };
        let (addr, at) = (known.member.addr, self.now());
        let seq = self.probes.ask(Asked { of: boot, at, why: Why::Leave });
        let mut letter = self.letter(boot, Some(addr));
        self.say(&mut letter, &Message::Member(self.me.clone()));
        self.say(&mut letter, &Message::Ping { seq, target: boot });
        self.send(letter);
    }
}

/// Pings of one probe, and the time between two.
const PINGS: u32 = 4;
const PING_EVERY: Duration = Duration::from_millis(100);
/// How long a probe waits before it asks for help.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_millis(300);
/// Members that are asked to help, and how many are remembered for it.
const HELPERS: usize = 3;
pub(super) const HEARD_MAX: usize = 16;
/// How long a helper waits before it says that there is no answer.
const RELAY_WAIT: Duration = Duration::from_millis(100);
/// Probes at once.
pub(super) const PROBES_MAX: usize = 32;
/// Places in a round, of those who live and those who did.
pub(super) const ORDER_MAX: usize = 2 * super::members::MEMBERS_MAX;
/// Members that are pinged for others at once.
pub(super) const RELAYS_MAX: usize = 64;
/// Questions that are out at once, and for how long they may be.
pub(super) const ASKED_MAX: usize = 4_096;
const ASKED_KEPT: Duration = Duration::from_secs(10);
