//! The gossip of one node.

use super::directory::{Op, Own};
use super::hear::GENERATION_MAX;
use super::member::{Member, NOTE_BYTES_MAX, NOTES_MAX, State};
use super::members::Members;
use super::probe::Probes;
use super::replicas::Replicas;
use super::rumours::Rumours;
use super::seal::Seal;
use super::settings::Settings;
use super::spread::Spread;
use super::wire::{CLUSTER_MAX, VERSION};
use crate::id::{AskId, Boot};
use crate::routing::EndpointId;
use crate::seed::{Dice, Seed};
use crate::time::{Instant, Monotonic};
use crate::timers::Agenda;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;

/// What gossip is told.
#[derive(Debug)]
pub enum Input {
    /// A datagram arrived.
    Datagram {
        /// Who sent it, or says so.
        from: SocketAddr,
        /// All of it.
        bytes: BytesMut,
    },
    /// Another node asks, over a link. Answered at once, by [`Action::Answer`].
    Asked {
        /// The question.
        ask: AskId,
        /// At most [`CONSULT_MAX`] bytes.
        bytes: Bytes,
    },
    /// What came of an [`Action::Consult`]; `None` if nothing did.
    Answered {
        /// The question.
        ask: AskId,
        /// At most [`CONSULT_MAX`] bytes.
        answer: Option<Bytes>,
    },
    /// Where other nodes may be found, anew.
    Seeds(Vec<SocketAddr>),
    /// This node serves the endpoint by so many upstreams from now on.
    Serve {
        /// The endpoint.
        endpoint: EndpointId,
        /// How many; 0 if none are left.
        upstreams: u32,
    },
    /// A link to this node broke, or could not be dialled.
    LinkLost(Boot),
    /// Say that this node drains.
    Drain,
    /// Say that it is gone. Answered by [`Action::Left`] once others know, or it takes too long.
    Leave,
}

/// What gossip asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    /// Send a datagram.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// At most [`DATAGRAM_MAX`](crate::host::DATAGRAM_MAX) bytes.
        bytes: Bytes,
    },
    /// Ask another node over a link, dialled if need be.
    Consult {
        /// The question.
        ask: AskId,
        /// Whom: who else answers at this address is not meant.
        to: Boot,
        /// Its gossip port.
        addr: SocketAddr,
        /// At most [`CONSULT_MAX`] bytes.
        bytes: Bytes,
    },
    /// The answer to an [`Input::Asked`].
    Answer {
        /// The question.
        ask: AskId,
        /// At most [`CONSULT_MAX`] bytes.
        bytes: Bytes,
    },
    /// A member is another than it was, or in another state. Whoever is Dead or Left is told once
    /// more and then not again.
    Member {
        /// What it is now.
        member: Member,
        /// What it was, unless it is new.
        before: Option<State>,
    },
    /// What a member serves has changed.
    Serves {
        /// The member.
        boot: Boot,
        /// The changes.
        changes: Vec<Op>,
    },
    /// All that this node was told at first has arrived; or the time for that has passed.
    Ready {
        /// Whether it all arrived.
        complete: bool,
    },
    /// Whoever answers at this address is no other node of this cluster.
    Missed {
        /// The address.
        addr: SocketAddr,
        /// Who it is.
        why: Missed,
    },
    /// Another process with this node's name is alive, and this one has to end.
    Namesake(SocketAddr),
    /// What comes from this address is not sealed as it is here. Said of whatever comes first, and
    /// then not for [a while](super::QUIET).
    Unopened(SocketAddr),
    /// This node has left.
    Left,
}

/// Who answers where another node of the cluster was looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missed {
    /// This node.
    Oneself,
    /// A node of the cluster of this name.
    Stranger(String),
}

/// What gossip did so far, as counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Datagrams that were sent, and their bytes without any headers.
    pub sent: u64,
    /// Bytes of these.
    pub sent_bytes: u64,
    /// Datagrams that came, and were listened to.
    pub received: u64,
    /// Bytes of these.
    pub received_bytes: u64,
    /// What came from another cluster.
    pub strange: u64,
    /// What could not be read, or not to its end, and members with a generation that no clock says.
    pub malformed: u64,
    /// Datagrams that did not open: of another cluster or key, changed, or for an earlier boot.
    pub unopened: u64,
    /// Datagrams that had been opened before, or were too old to tell.
    pub replayed: u64,
    /// Members that this node itself found dead.
    pub deaths: u64,
    /// Suspicions that this node itself raised.
    pub suspicions: u64,
    /// Suspicions of this node that it refuted.
    pub refuted: u64,
}

/// What is due when.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key {
    /// The next probe begins.
    Period,
    /// The next step of a probe.
    Probe(Boot),
    /// A helper gives up.
    Relay(u64),
    /// A suspicion ends.
    Suspicion(Boot),
    /// A round of spreading.
    Round,
    /// Ops are pushed.
    Push,
    /// Own changes become ops.
    Commit,
    /// A comparison.
    Compare,
    /// A seed and one of the dead are tried.
    Contact,
    /// Catching up has taken long enough.
    Ready,
    /// A consultation has taken too long.
    Consult(AskId),
    /// A namesake has had the time to answer.
    Namesake,
    /// The last word is said again, or has been said for long enough.
    Leave,
}

/// The gossip of one node: who lives, and who serves what.
#[derive(Debug)]
pub struct Machine {
    pub(super) settings: Settings,
    /// Unless the cluster has no keys.
    pub(super) seal: Option<Seal>,
    /// Until when nothing is said of what does not open.
    pub(super) quiet: Instant,
    pub(super) me: Member,
    pub(super) dice: Dice,
    pub(super) clock: Monotonic,
    pub(super) agenda: Agenda<Key>,
    pub(super) actions: VecDeque<Action>,
    pub(super) counts: Counts,
    pub(super) members: Members,
    /// From 0 to [`HEALTH_MAX`]: how little this node should trust its own eyes.
    pub(super) health: u32,
    pub(super) probes: Probes,
    pub(super) rumours: Rumours,
    pub(super) own: Own,
    pub(super) replicas: Replicas,
    pub(super) spread: Spread,
    pub(super) consults: BTreeMap<AskId, super::consult::Open>,
    pub(super) asked: u64,
    pub(super) join: super::join::Join,
    /// What this node knows, as one number, unless it has changed.
    pub(super) root: Option<u64>,
    /// When it compared everything with another last.
    pub(super) compared: Instant,
    /// Answers to datagrams that went through all members, since it compared last.
    pub(super) answered_dearly: u32,
    /// Since when it runs.
    pub(super) booted: Instant,
}

impl Machine {
    /// A node that knows nobody yet.
    pub fn new(now: Instant, mut settings: Settings, seed: &Seed) -> Self {
        // A clock that is so far ahead is wrong, and nobody would believe it.
        settings.generation = settings.generation.min(GENERATION_MAX);
        assert!(settings.boot != Boot(0), "a boot is never 0");
        let fits = (1..=CLUSTER_MAX).contains(&settings.cluster.len());
        assert!(fits, "a cluster's name has 1 to 64 bytes");
        let short = |(_, note): &(u8, Arc<str>)| note.len() <= NOTE_BYTES_MAX;
        let few = settings.notes.len() <= NOTES_MAX && settings.notes.iter().all(short);
        assert!(few, "notes are at most 8 of at most 64 bytes");
        let addr = settings.addr;
        let real = addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast();
        assert!(real, "others reach a node at a real address, and {addr} is none");
        let mut clock = Monotonic::default();
        clock.advance(now);
        let me = Member {
            boot: settings.boot,
            generation: settings.generation,
            incarnation: 0,
            state: State::Alive,
            addr: settings.addr,
            versions: (VERSION, VERSION),
            id: settings.id.clone(),
            notes: settings.notes.clone(),
        };
        let Settings { keys, cluster, boot, .. } = &settings;
        let mut machine = Self {
            seal: Seal::new(keys, cluster, *boot, seed),
            quiet: now,
            me,
            dice: seed.fork("gossip").roll(),
            clock,
            agenda: Agenda::new(),
            actions: VecDeque::new(),
            counts: Counts::default(),
            members: Members::new(),
            health: 0,
            probes: Probes::default(),
            rumours: Rumours::default(),
            own: Own::new(super::directory::RingLimits::default()),
            replicas: Replicas::default(),
            spread: Spread::new(now),
            consults: BTreeMap::new(),
            asked: 0,
            join: super::join::Join::default(),
            root: None,
            compared: now,
            answered_dearly: 0,
            booted: now,
            settings,
        };
        machine.begin();
        machine
    }

    /// Starts the clocks that always run, out of step with those of other nodes.
    fn begin(&mut self) {
        let pace = &self.settings.pace;
        let spans = [
            (Key::Period, pace.period),
            (Key::Compare, pace.compare),
            (Key::Contact, pace.contact.min(super::join::SOON)),
        ];
        for (key, span) in spans {
            let part = self.part_of(span);
            self.after(key, part);
        }
        self.after(Key::Ready, self.settings.pace.catch_up);
    }

    /// A part of a span, by chance, more than nothing.
    pub(super) fn part_of(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.dice.below(nanos).saturating_add(1))
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Does `key` so much later.
    pub(super) fn after(&mut self, key: Key, span: Duration) {
        self.at(key, self.now() + span);
    }

    /// Does `key` at this time, or at once if it has passed: a timer in the past would look as if
    /// the node had slept since then.
    pub(super) fn at(&mut self, key: Key, at: Instant) {
        self.agenda.want(key, Some(at.max(self.now())));
    }

    /// Whether it has said its last word.
    pub(super) const fn is_over(&self) -> bool {
        self.join.is_over()
    }

    /// Asks for something, unless that it left was its last word.
    pub(super) fn act(&mut self, action: Action) {
        if !self.is_over() {
            self.actions.push_back(action);
        }
    }

    /// Members that live, oneself included.
    pub(super) fn size(&self) -> usize {
        self.members.live().len() + 1
    }

    /// Who this node is.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// Every other member that is known, dead ones too.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().map(|known| &known.member)
    }

    /// The highest that was said of a node's name, whether or not it is a member: whatever is not
    /// above it is ignored.
    pub fn last_of(&self, id: &super::NodeId) -> Option<&Member> {
        self.members.last_of(id)
    }

    /// What a member serves, as far as this node knows; what it serves itself, for its own boot.
    pub fn directory(&self, boot: Boot) -> Option<&super::directory::Replica> {
        if boot == self.me.boot { Some(self.own.log()) } else { self.replicas.get(boot) }
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether it has caught up, or stopped waiting for that.
    pub fn is_ready(&self) -> bool {
        self.join.is_ready()
    }

    /// From 0, well, to [`HEALTH_MAX`].
    pub fn health(&self) -> u32 {
        self.health
    }

    fn fire(&mut self, key: Key) {
        match key {
            Key::Period => self.next_probe(),
            Key::Probe(boot) => self.step_probe(boot),
            Key::Relay(seq) => self.give_up_relay(seq),
            Key::Suspicion(boot) => self.end_suspicion(boot),
            Key::Round => self.round(),
            Key::Push => self.push(),
            Key::Commit => self.commit(),
            Key::Compare => self.compare(),
            Key::Contact => self.contact(),
            Key::Ready => self.stop_waiting(),
            Key::Consult(ask) => self.answered(ask, None),
            Key::Namesake => self.end_of_doubt(),
            Key::Leave => self.say_left(),
        }
    }

    /// Fires what is due. If it wakes late, what others did not answer meanwhile is not held
    /// against them.
    fn wake(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if self.is_over() {
            return;
        }
        let late = self.agenda.deadline().map(|due| now.since(due));
        if let Some(late) = late.filter(|late| *late >= LATE) {
            self.woke_late(late);
        }
        while let Some(key) = self.agenda.pop(now).filter(|_| !self.is_over()) {
            self.fire(key);
        }
    }
}

impl crate::Machine for Machine {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.wake(now);
        if self.is_over() {
            return;
        }
        match input {
            Input::Datagram { from, bytes } => self.datagram(from, bytes.freeze()),
            Input::Asked { ask, bytes } => self.consulted(ask, &bytes),
            Input::Answered { ask, answer } => self.answered(ask, answer.as_ref()),
            Input::Seeds(seeds) => self.sow(seeds),
            Input::Serve { endpoint, upstreams } => self.serve(&endpoint, upstreams),
            Input::LinkLost(boot) => self.probe_at_once(boot),
            Input::Drain => self.drain(),
            Input::Leave => self.leave(),
        }
    }

    fn tick(&mut self, now: Instant) {
        self.wake(now);
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.agenda.deadline() }
    }
}

/// Bytes of one consultation, and of its answer.
pub const CONSULT_MAX: usize = 1 << 20;
/// The worst health.
pub const HEALTH_MAX: u32 = 8;
/// Whoever wakes so much later than it wanted to was not well.
const LATE: Duration = Duration::from_millis(200);
