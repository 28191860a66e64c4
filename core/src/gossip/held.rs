//! How much a node holds, and how much it holds at most.

use super::machine::Machine;
use super::seal::{SENDERS_MAX, Seal};
use super::{consult, join, members, probe, rumours, snapshots};

/// Things that gossip holds, by kind. Whatever comes in, none is above [`MOST`](Self::MOST).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Held {
    /// Members, dead ones too.
    pub members: usize,
    /// Members that are dead or gone.
    pub gone: usize,
    /// Names of which it is remembered how far they had come.
    pub floors: usize,
    /// What is to be told about members.
    pub rumours: usize,
    /// Logs of others.
    pub replicas: usize,
    /// Snapshots of logs that are being fetched.
    pub fetches: usize,
    /// Snapshots for which there is no room yet.
    pub waiting: usize,
    /// Consultations under way.
    pub consults: usize,
    /// Probes under way.
    pub probes: usize,
    /// Places in the order of probes.
    pub order: usize,
    /// Pings and relays that may still be answered.
    pub questions: usize,
    /// Of these, pings for others that wait for the answer.
    pub relays: usize,
    /// Members of whom it is remembered that they were heard last.
    pub heard: usize,
    /// Members whose death is in doubt.
    pub doubtful: usize,
    /// Heads, and logs with ops, that are to be passed on.
    pub news: usize,
    /// Senders of whom it is remembered what was opened already.
    pub senders: usize,
    /// Timers.
    pub timers: usize,
}

impl Held {
    /// The bounds.
    pub const MOST: Self = Self {
        members: members::MEMBERS_MAX,
        gone: members::GONE_MAX,
        floors: members::FLOORS_MAX,
        rumours: rumours::RUMOURS_MAX,
        replicas: members::MEMBERS_MAX,
        fetches: snapshots::FETCHES,
        waiting: members::MEMBERS_MAX,
        consults: consult::CONSULTS,
        probes: probe::PROBES_MAX,
        order: probe::ORDER_MAX,
        questions: probe::ASKED_MAX,
        relays: probe::RELAYS_MAX,
        heard: probe::HEARD_MAX,
        doubtful: join::DOUBTFUL_MAX,
        news: 2 * (members::MEMBERS_MAX + 1),
        senders: SENDERS_MAX,
        // Those of the whole node, and one for each of these.
        timers: 9
            + probe::PROBES_MAX
            + probe::RELAYS_MAX
            + consult::CONSULTS
            + members::MEMBERS_MAX,
    };

    /// Each kind, by its name in `spec/gossip.md`, and how many there are.
    pub fn parts(&self) -> [(&'static str, usize); 17] {
        [
            ("members", self.members),
            ("gone", self.gone),
            ("floors", self.floors),
            ("rumours", self.rumours),
            ("replicas", self.replicas),
            ("fetches", self.fetches),
            ("waiting", self.waiting),
            ("consults", self.consults),
            ("probes", self.probes),
            ("order", self.order),
            ("questions", self.questions),
            ("relays", self.relays),
            ("heard", self.heard),
            ("doubtful", self.doubtful),
            ("news", self.news),
            ("senders", self.senders),
            ("timers", self.timers),
        ]
    }

    /// What there is more of than in `most`, by name, and how many there are.
    pub fn beyond(&self, most: &Self) -> Option<(&'static str, usize)> {
        let mut all = self.parts().into_iter().zip(most.parts());
        all.find(|((_, held), (_, most))| held > most).map(|(held, _)| held)
    }
}

impl Machine {
    /// How much it holds, so that tests can see that this is bounded.
    pub fn held(&self) -> Held {
        let (members, gone, floors) = self.members.sizes();
        let mut held = Held {
            members,
            gone,
            floors,
            rumours: self.rumours.len(),
            replicas: self.replicas.all.len(),
            fetches: self.replicas.fetches.len(),
            waiting: self.replicas.waiting.len(),
            consults: self.consults.len(),
            doubtful: self.join.doubtful(),
            news: self.spread.len(),
            senders: self.seal.as_ref().map_or(0, Seal::senders),
            timers: self.agenda.len(),
            ..Held::default()
        };
        self.probes.count(&mut held);
        held
    }
}
