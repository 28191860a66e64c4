//! What each request is to be, as both ends know it without telling each other.

use super::pace::Pace;
use crate::case::{Kind, Load};
use crate::choices::keyed;
use crate::draw::Draw as _;
use core::time::Duration;
use pico_core::{Dice, Seed};
use std::collections::BTreeSet;

/// One request and its response: a function of the workload's seed and load, and of the
/// request's number.
///
/// Every concern is drawn from a seed of its own, and kinds that exclude each other are sorted
/// out before those that the load does not have are dropped: so a request without one of its
/// kinds is the same one otherwise, and all others stay as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Plan {
    /// The request's number.
    pub id: u64,
    /// Which of the endpoints, by number.
    pub endpoint: usize,
    /// Whether the endpoint is named by `x-pico-endpoint` and not by `Host`.
    pub by_header: bool,
    /// Whether the client gives the request an ID of its own.
    pub own_id: bool,
    /// What the request is beside plain.
    pub kinds: BTreeSet<Kind>,
    /// The method.
    pub method: &'static str,
    /// The request's body; behind an upgrade what the client says.
    pub request: Body,
    /// The status of the response.
    pub status: u16,
    /// The response's body, as a GET would give; behind an upgrade what the service says.
    pub response: Body,
    /// How long the service thinks.
    pub think: Duration,
    /// In which rhythm the client reads.
    pub reads: Pace,
    /// How many of the next requests the client sends behind this one.
    pub follow: usize,
    /// How many interim responses come first.
    pub interim: usize,
    /// Whether the service refuses what was expected or offered, by a final response.
    pub refuses: bool,
    /// Whether the client speaks before the service has agreed to the upgrade.
    pub eager: bool,
    /// When the client gives up.
    pub abort: Option<Abort>,
    /// Behind how many bytes of its body or talk the service breaks off.
    pub cut: Option<usize>,
    /// Whether whoever breaks off does it by a reset; otherwise by FIN.
    pub rude: bool,
    /// What becomes of the client's connection afterwards.
    pub parting: Parting,
    /// Whether the service closes its connection behind the answer, as it says.
    pub last: bool,
}

/// One direction's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Body {
    /// How many.
    pub len: usize,
    /// Whether they are sent in chunks.
    pub chunked: bool,
    /// Whether a trailer follows, if they are.
    pub trailer: bool,
    /// In which rhythm they are sent.
    pub pace: Pace,
}

/// How a client gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abort {
    /// So long after it has begun, at the latest.
    pub after: Duration,
    /// As soon as so many bytes of the response's body came.
    pub bytes: usize,
}

/// What becomes of a client's connection behind an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    /// It carries the next request.
    Keep,
    /// The client ends it.
    Leave,
    /// The client ends it, and has said so in the request.
    Announce,
}

/// Of two kinds that do not go together, the first prevails.
const EXCLUDES: [(Kind, &[Kind]); 9] = [
    (Kind::Upgrade, &[Kind::Pipelined, Kind::HalfClose, Kind::Expects, Kind::Events, Kind::Early]),
    (Kind::Events, &[Kind::Pipelined, Kind::HalfClose, Kind::Expects]),
    (Kind::Expects, &[Kind::Pipelined, Kind::Early]),
    (
        Kind::ServiceHangs,
        &[Kind::ServiceCuts, Kind::ServiceCloses, Kind::ServiceBabbles, Kind::HalfClose],
    ),
    (Kind::ServiceCuts, &[Kind::ServiceCloses, Kind::ServiceBabbles]),
    (Kind::ServiceCloses, &[Kind::ServiceBabbles]),
    // Silence of the response for a second cuts it, and so do pauses of its reader.
    (Kind::HalfClose, &[Kind::Pipelined, Kind::ClientAborts, Kind::SlowReader]),
    (Kind::ClientAborts, &[Kind::Pipelined]),
    (Kind::Early, &[Kind::Pipelined]),
];

/// One request in so many is of a kind.
const fn rarity(kind: Kind) -> u64 {
    match kind {
        Kind::ClientAborts | Kind::Events => 25,
        Kind::SlowWriter | Kind::SlowReader | Kind::Expects | Kind::Interim => 8,
        Kind::Pipelined => 5,
        Kind::HalfClose | Kind::Upgrade | Kind::Early => 10,
        Kind::ServiceCuts | Kind::ServiceCloses | Kind::ServiceBabbles => 40,
        Kind::ServiceHangs => 60,
    }
}

impl Plan {
    /// The plan of request `id` under `seed`, for one of so many endpoints.
    pub fn of(seed: &Seed, id: u64, load: &Load, endpoints: usize) -> Self {
        let seed = seed.fork_at("plan", id);
        let mut plan = Self::plain(&seed, id, load.body_bytes, endpoints);
        // Kinds that the load does not have matter only to those that it has.
        if load.kinds.is_empty() {
            return plan;
        }
        let drawn = |kind: &Kind| seed.fork(&format!("{kind:?}")).roll().below(rarity(*kind)) == 0;
        let mut kinds: BTreeSet<Kind> = Kind::ALL.into_iter().filter(drawn).collect();
        for (kind, others) in EXCLUDES {
            if kinds.contains(&kind) {
                kinds.retain(|other| !others.contains(other));
            }
        }
        if kinds.iter().any(|kind| kind.is_failure()) {
            kinds.remove(&Kind::Pipelined);
        }
        kinds.retain(|kind| load.kinds.contains(kind));
        // Upgrades and events say what there is to be sent; the rest is about how.
        let first = |kind: &Kind| matches!(kind, Kind::Upgrade | Kind::Events | Kind::Expects);
        let (first, then): (Vec<Kind>, Vec<Kind>) = kinds.iter().partition(|kind| first(kind));
        plan.kinds = kinds;
        for kind in first.into_iter().chain(then) {
            let mut dice = seed.fork("details").fork(&format!("{kind:?}")).roll();
            plan.become_one(kind, &mut dice, load.body_bytes);
        }
        plan
    }

    fn plain(seed: &Seed, id: u64, most: usize, endpoints: usize) -> Self {
        let mut dice = seed.fork("plain").roll();
        let method = *dice.pick(&["GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD"]);
        let mut request = Body::draw(&mut seed.fork("request").roll(), most);
        if !matches!(method, "POST" | "PUT") {
            request = Body { len: 0, chunked: false, ..request };
        }
        let longest = *dice.pick(&[0, 0, 20, 400]);
        let parting = match dice.below(16) {
            0 => Parting::Leave,
            1 => Parting::Announce,
            _ => Parting::Keep,
        };
        Self {
            id,
            endpoint: seed.fork("endpoint").roll().index(endpoints),
            by_header: dice.chance(1, 3),
            own_id: dice.chance(1, 4),
            kinds: BTreeSet::new(),
            method,
            request,
            status: *dice.pick(&[200, 200, 200, 201, 204, 404, 500]),
            response: Body::draw(&mut seed.fork("response").roll(), most),
            think: dice.span(Duration::ZERO, Duration::from_millis(longest)),
            reads: Pace::STEADY,
            follow: 0,
            interim: 0,
            refuses: false,
            eager: false,
            abort: None,
            cut: None,
            rude: dice.chance(1, 2),
            parting,
            last: dice.chance(1, 16),
        }
    }

    /// Makes the request one of `kind` too.
    fn become_one(&mut self, kind: Kind, dice: &mut Dice, most: usize) {
        match kind {
            Kind::ClientAborts => {
                let millis = *dice.pick(&[1, 30, 1000]);
                let after = dice.span(Duration::ZERO, Duration::from_millis(millis));
                self.abort = Some(Abort { after, bytes: dice.index(self.body_len() + 1) });
            }
            Kind::SlowWriter => self.request.pace = slow(dice, self.request.len),
            Kind::SlowReader => self.reads = slow(dice, self.body_len()),
            Kind::Pipelined => {
                self.follow = 1 + dice.index(4);
                (self.parting, self.last) = (Parting::Keep, false);
            }
            Kind::HalfClose => self.parting = Parting::Leave,
            Kind::Expects => {
                if self.request.len == 0 {
                    self.method = "POST";
                    self.request = Body { len: dice.piece(most.max(1)), ..self.request };
                }
                self.refuses = dice.chance(1, 5);
            }
            Kind::Upgrade => self.upgrade(dice, most),
            Kind::Events => {
                let (every, count) = (dice.piece(300), 2 + dice.index(7));
                let pause = dice.span(Duration::from_millis(500), Duration::from_secs(6));
                let chunked = dice.chance(3, 4);
                let pace = Pace::new(every, pause);
                self.response = Body { len: every * count, chunked, pace, ..self.response };
                self.must_answer();
            }
            Kind::Early | Kind::ServiceCloses | Kind::ServiceBabbles | Kind::ServiceHangs => {}
            Kind::Interim => self.interim = 1 + dice.index(3),
            Kind::ServiceCuts => {
                if !self.is_upgrade() {
                    self.must_answer();
                    self.response.len = self.response.len.max(1);
                }
                self.cut = Some(dice.index(self.response.len));
            }
        }
    }

    fn upgrade(&mut self, dice: &mut Dice, most: usize) {
        self.refuses = dice.chance(1, 6);
        self.method = "GET";
        if self.refuses {
            self.request = Body { len: 0, chunked: false, ..self.request };
            return;
        }
        (self.request, self.response) = (Body::talk(dice, most), Body::talk(dice, most));
        self.status = 101;
        self.eager = dice.chance(1, 4);
        // In a tunnel nothing but a reset tells a cut from an end.
        self.rude = true;
        // Some talk for long, with pauses of seconds: a drain finds them under way.
        if dice.chance(1, 4) {
            let (parts, pause) = (2 + dice.index(7), Duration::from_millis(500));
            let pause = dice.span(pause, Duration::from_secs(6));
            self.response.len = self.response.len.max(parts);
            self.response.pace = Pace::new(self.response.len.div_ceil(parts), pause);
        }
    }

    /// The response has a body.
    fn must_answer(&mut self) {
        if self.method == "HEAD" {
            self.method = "GET";
        }
        if self.status == 204 {
            self.status = 200;
        }
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether the service agrees to an upgrade.
    pub fn is_upgrade(&self) -> bool {
        self.status == 101
    }

    /// Whether the client sends FIN behind its request.
    pub fn is_half_closed(&self) -> bool {
        self.is(Kind::HalfClose)
    }

    /// Whether the request may run twice.
    pub fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    /// Whether the service is to fail it.
    pub fn is_failed(&self) -> bool {
        self.kinds.iter().any(|kind| kind.is_failure() && *kind != Kind::ClientAborts)
    }

    /// Whether it may be sent behind another, and others behind it: nothing keeps the connection
    /// from being used further.
    pub fn is_tame(&self) -> bool {
        let alone = |kind: &Kind| {
            kind.is_failure()
                || matches!(
                    kind,
                    Kind::HalfClose | Kind::Expects | Kind::Upgrade | Kind::Events | Kind::Early
                )
        };
        self.parting == Parting::Keep && !self.last && !self.kinds.iter().any(alone)
    }

    /// Bytes of the response's body that the client must see.
    pub fn body_len(&self) -> usize {
        if self.method == "HEAD" || self.status == 204 { 0 } else { self.response.len }
    }

    /// Bytes `from..from + len` of what the client sends.
    pub fn request_bytes(&self, from: usize, len: usize) -> Vec<u8> {
        keyed(self.id * 2 + 1, from as u64, len.min(self.request.len.saturating_sub(from)))
    }

    /// Bytes `from..from + len` of what the service sends.
    pub fn response_bytes(&self, from: usize, len: usize) -> Vec<u8> {
        keyed(self.id * 2 + 2, from as u64, len.min(self.response.len.saturating_sub(from)))
    }
}

impl Body {
    fn draw(dice: &mut Dice, most: usize) -> Self {
        let len = if most == 0 || dice.chance(1, 6) { 0 } else { dice.piece(most) };
        let (chunked, trailer) = (dice.chance(1, 2), dice.chance(1, 4));
        Self { len, chunked, trailer, pace: Pace::STEADY }
    }

    /// What one side says in a tunnel.
    fn talk(dice: &mut Dice, most: usize) -> Self {
        let Self { len, .. } = Self::draw(dice, most);
        let pace = if dice.chance(1, 2) { slow(dice, len) } else { Pace::STEADY };
        Self { len, chunked: false, trailer: false, pace }
    }
}

impl Kind {
    /// Whether it ends a request otherwise than by its response.
    fn is_failure(self) -> bool {
        match self {
            Self::ClientAborts
            | Self::ServiceCuts
            | Self::ServiceCloses
            | Self::ServiceBabbles
            | Self::ServiceHangs => true,
            Self::SlowWriter
            | Self::SlowReader
            | Self::Pipelined
            | Self::HalfClose
            | Self::Expects
            | Self::Upgrade
            | Self::Events
            | Self::Early
            | Self::Interim => false,
        }
    }
}

/// Up to twenty pauses within `len` bytes.
fn slow(dice: &mut Dice, len: usize) -> Pace {
    let most = *dice.pick(&[5, 50, 1000]);
    let pause = dice.span(Duration::ZERO, Duration::from_millis(most));
    Pace::new((len / (1 + dice.index(20))).max(1), pause)
}
