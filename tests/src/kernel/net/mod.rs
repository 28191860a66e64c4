//! The net between the hosts: ways that lose, delay and cut, streams and datagrams on them, names.

mod alive;
mod datagram;
mod door;
mod life;
mod link;
mod path;
mod shake;
mod stream;

pub(super) use datagram::Datagram;
pub use datagram::Overheard;
pub(super) use door::{Caller, Door};
pub(super) use shake::{Dialling, Knocked};
pub(super) use stream::{Landed, Read, Socket};

use super::events::Events;
use super::faults::{Fate, Lookups, Plan, Sides};
use super::lots::Lots;
use super::slab::{Key, Slab};
use super::world::Event;
use super::{ProcessId, SeatId};
use crate::case::{Answer, Case, Member};
use crate::draw::Draw as _;
use crate::hash::Table;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use link::Link;
use path::{Paths, Terminal};
use pico_core::id::ConnId;
use pico_core::{Instant, Seed};
use shake::Dial;
use std::collections::{BTreeMap, BTreeSet};

/// Everything between the hosts.
#[derive(Debug)]
pub struct Net {
    hosts: Vec<Host>,
    ips: Table<IpAddr, ProcessId>,
    paths: Paths,
    links: Slab<Link>,
    dials: Slab<Dial>,
    doors: BTreeMap<SocketAddr, Door>,
    bound: Table<SocketAddr, SeatId>,
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Bytes between which each direction of a stream draws its window.
    windows: (usize, usize),
    heal: Instant,
    lots: Lots,
    hit: BTreeSet<(SeatId, ConnId)>,
    /// Which of the case's faults have befallen a dial or a stream.
    struck: BTreeSet<usize>,
    met: BTreeMap<(SeatId, ConnId), (SeatId, ConnId)>,
    counts: Counts,
    /// Datagrams that somebody listened to, if anybody does.
    overheard: Option<Vec<Overheard>>,
}

/// What the net has moved, and lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Streams that were dialled.
    pub dials: u64,
    /// Segments of streams that were sent.
    pub segments: u64,
    /// Bytes in them.
    pub stream_bytes: u64,
    /// Segments of which a part was lost, and sent again.
    pub late: u64,
    /// Streams and dials that a fault befell.
    pub hits: u64,
    /// Datagrams that were sent.
    pub datagrams: u64,
    /// Those of them that were lost on their way.
    pub datagrams_lost: u64,
    /// Those of them that no way would carry.
    pub datagrams_too_long: u64,
}

/// What the net knows of a host.
#[derive(Debug)]
struct Host {
    ip: IpAddr,
    key: u64,
    zone: usize,
    sides: Vec<Sides>,
    /// It has power.
    on: bool,
    /// Its system asks peers of connections that it accepted whether they are there.
    asks: bool,
    dials: u64,
    port: u16,
    fates: BTreeMap<u64, Fate>,
    lookups: Vec<Lookups>,
}

impl Net {
    pub(super) fn new(case: &Case, plan: &Plan, seed: &Seed) -> Self {
        let lots = Lots::new(seed.fork("net").roll().long());
        let paths = Paths::new(&case.link, plan.spells(), lots.fork(0));
        let drawn = *lots.fork(1).pick(&[4_000, 20_000, 200_000]);
        let windows = match case.link.window {
            0 => (drawn / 4, drawn),
            window => (window, window),
        };
        Self {
            hosts: Vec::new(),
            ips: Table::default(),
            paths,
            links: Slab::new(),
            dials: Slab::new(),
            doors: BTreeMap::new(),
            bound: Table::default(),
            names: BTreeMap::new(),
            windows,
            heal: plan.heal,
            lots: lots.fork(2),
            hit: BTreeSet::new(),
            struck: BTreeSet::new(),
            met: BTreeMap::new(),
            counts: Counts::default(),
            overheard: None,
        }
    }

    /// A host, which must be the next process.
    pub(super) fn host(&mut self, plan: &Plan, member: Member) {
        let ip = member.ip();
        self.ips.insert(ip, ProcessId(self.hosts.len()));
        self.hosts.push(Host {
            ip,
            key: (member.role as u64) << 32 | member.at as u64,
            zone: plan.zone(member),
            sides: plan.sides(member),
            on: true,
            asks: Self::asks(member.role),
            dials: 0,
            port: 0,
            fates: plan.fates(member),
            lookups: plan.lookups(member),
        });
    }

    pub(super) fn name(&mut self, name: &str, ips: Vec<IpAddr>) {
        self.names.insert(name.to_owned(), ips);
    }

    /// What the resolver of a host says: `None` is nothing at all.
    pub(super) fn resolve(
        &self,
        now: Instant,
        process: ProcessId,
        host: &str,
        lots: &mut Lots,
    ) -> Option<Vec<IpAddr>> {
        let mut lots = lots.apart();
        let mut ips = self.names.get(host).cloned().unwrap_or_default();
        // Name servers name all that they know, each time beginning with another.
        let first = lots.index(ips.len().max(1));
        ips.rotate_left(first);
        let lookups = self.hosts[process.0].lookups.iter();
        for lookup in lookups.filter(|lookup| (lookup.from..lookup.to).contains(&now)) {
            lookup.felt.set(true);
            match lookup.answer {
                Answer::Fails => ips.clear(),
                Answer::Never => return None,
                Answer::Partial if ips.is_empty() => {}
                Answer::Partial => ips = vec![*lots.pick(&ips)],
                Answer::Stale => ips.insert(0, NOBODY),
                Answer::Own => ips.retain(|ip| *ip == self.hosts[process.0].ip),
            }
        }
        Some(ips)
    }

    /// How many streams are open at either end.
    pub fn open(&self) -> usize {
        self.links.len()
    }

    /// Whether a fault befell this connection of this host: anything that a case has, and packets
    /// that were lost.
    pub fn was_hit(&self, seat: SeatId, conn: ConnId) -> bool {
        self.hit.contains(&(seat, conn))
    }

    /// Which of the case's faults of the net and of names have befallen anything.
    pub fn felt(&self) -> BTreeSet<usize> {
        let lookups = self.hosts.iter().flat_map(|host| &host.lookups);
        let lookups = lookups.filter(|lookup| lookup.felt.get()).map(|lookup| lookup.of);
        self.struck.iter().copied().chain(lookups).chain(self.paths.felt()).collect()
    }

    /// The other end of a connection, as its host calls it, if it was ever accepted.
    pub fn other_end(&self, seat: SeatId, conn: ConnId) -> Option<(SeatId, ConnId)> {
        self.met.get(&(seat, conn)).copied()
    }

    /// All connections of a machine that ever had another end.
    pub fn conns_of(&self, seat: SeatId) -> impl Iterator<Item = ConnId> {
        self.met.keys().filter(move |(of, _)| *of == seat).map(|(_, conn)| *conn)
    }

    /// What was moved so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn path(&mut self, from: ProcessId, to: ProcessId) -> path::PathId {
        let [from, to] = [from, to].map(|process| {
            let host = &self.hosts[process.0];
            Terminal { process, key: host.key, zone: host.zone, sides: &host.sides }
        });
        self.paths.between(from, to)
    }

    /// Notes that something befell a stream.
    fn hit(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(key)
            && link.hit()
        {
            self.counts.hits += 1;
            self.hit.extend(link.owners());
        }
    }
}

/// An address that nobody has.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 255, 255, 1));

type Happening<'a> = &'a mut Events<Event>;
