//! What one stream carries over a long way, alone and through a tunnel.
//!
//! A client in one zone and a service in another: once they are connected as if there were nobody
//! between them, and once by a node beside the client and an agent beside the service, so that
//! the tunnel, or a link and not the tunnel, is what covers the distance.

use super::Run;
use super::boot::{NAME, PORTS, SERVICE};
use crate::case::{Case, Link, Load, Member, Role, Shape, Span};
use crate::kernel::{Place, SeatId, Trace};
use bytes::{Buf as _, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Address, Host, Input, Port, Told, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Outbox};
use std::collections::VecDeque;

/// A way, and how it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Distance {
    /// There and back.
    pub round_trip: Span,
    /// Bytes a second that a line takes.
    pub rate: u64,
    /// Bytes that TCP has on its way and unread at once.
    pub window: usize,
    /// Which of both talks.
    pub talks: Talks,
    /// What covers the distance.
    pub by: By,
}

/// Which end of a call sends the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talks {
    /// The client, a request.
    Client,
    /// The service, a response.
    Service,
}

/// What covers a distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The tunnel from the agent to the client's node.
    Tunnel,
    /// The link from the client's node to the agent's.
    Link,
}

/// Bytes that arrived within the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried {
    /// By a stream between client and service.
    pub alone: u64,
    /// By Pico.
    pub through: u64,
}

impl Distance {
    /// Measures it for so long, once the stream has had the time to come to its speed.
    pub fn carries(&self, lasts: Duration) -> Carried {
        Carried { alone: self.arrive(true, lasts), through: self.arrive(false, lasts) }
    }

    fn arrive(&self, alone: bool, lasts: Duration) -> u64 {
        let mut run = Run::new(self.case(), Trace::default());
        let last = Member { role: Role::Node, at: run.case.shape.nodes - 1 };
        run.world.name(NAME, vec![last.ip()]);
        run.warm_up();
        let member = Member { role: Role::Service, at: FAR };
        let door = SocketAddr::new(member.ip(), SERVICE);
        let service = run.take_seat(member, End::new(ANSWER, self.talks == Talks::Service));
        run.world.listen(door, Port::Proxy, vec![service]);
        let node = Member { role: Role::Node, at: 0 };
        let to = if alone { door } else { SocketAddr::new(node.ip(), PORTS[0].1) };
        let request = match self.talks {
            Talks::Client => UPLOAD,
            Talks::Service => DOWNLOAD,
        };
        let end = End::new(request, self.talks == Talks::Client).dialling(to);
        let client = run.take_seat(Member { role: Role::Client, at: 0 }, end);
        let hears = match self.talks {
            Talks::Client => service,
            Talks::Service => client,
        };
        let heard = |run: &Run| run.world.host::<End>(hears).heard;
        run.go_on_without_judges(if alone { SETTLE_ALONE } else { SETTLE });
        let before = heard(&run);
        run.go_on_without_judges(lasts);
        heard(&run) - before
    }

    /// Agent and service 1, which serve endpoint 1, are in the zone in which the client is not, and
    /// so is node 1.
    fn case(&self) -> Case {
        let nodes = match self.by {
            By::Tunnel => 1,
            By::Link => 2,
        };
        let (agents, endpoints, clients, zones) = (2, 2, 1, 2);
        let shape =
            Shape { nodes, agents, endpoints, clients, zones, workers: 1, ..Shape::default() };
        let link = Link {
            latency: Span::micros(100),
            jitter: Span::default(),
            zone_latency: Span(self.round_trip.0 / 2),
            rate: self.rate,
            window: self.window,
            ..Link::default()
        };
        let (warm_up, heal) = (Span::secs(20), Span::secs(3_600));
        let load = Load { requests: 0, late: 0, ..Load::default() };
        Case { shape, link, load, warm_up, heal, ..Case::default() }
    }
}

impl Run {
    fn take_seat(&mut self, member: Member, end: End) -> SeatId {
        let process = self.world.process(member);
        let place = Place { process, address: Address::Node };
        self.world.seat(place, &format!("{}'s end", member.name()), |_, _| end)
    }

    fn go_on_without_judges(&mut self, lasts: Duration) {
        let until = self.world.now() + lasts;
        self.world.run(until, |_| false);
    }
}

/// One end of a call: says its head, and then zeros for ever if it is the one that talks.
#[derive(Debug)]
struct End {
    head: &'static [u8],
    talks: bool,
    conns: ConnMap<(Outbox, Told)>,
    /// Bytes that came, on all connections.
    heard: u64,
    actions: VecDeque<Action<()>>,
}

impl End {
    fn new(head: &'static [u8], talks: bool) -> Self {
        let (conns, actions) = (ConnMap::default(), VecDeque::new());
        Self { head, talks, conns, heard: 0, actions }
    }

    fn dialling(mut self, to: SocketAddr) -> Self {
        let conn = ConnIds::new(Side::Dialed).issue();
        self.conns.insert(conn, Default::default());
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        self
    }

    fn begin(&mut self, conn: ConnId) {
        if let Some((outbox, _)) = self.conns.get_mut(conn) {
            outbox.put(self.head);
        }
        self.talk(conn);
    }

    fn talk(&mut self, conn: ConnId) {
        let Some((outbox, told)) = self.conns.get_mut(conn) else { return };
        while self.talks && outbox.len() < AHEAD {
            outbox.push(BytesMut::zeroed(PIECE));
        }
        told.tell(conn, Some(outbox), ROOM, &mut self.actions);
    }
}

impl Machine for End {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, _: Instant, input: Input<()>) {
        match input {
            Input::Accepted { conn, .. } => {
                self.conns.insert(conn, Default::default());
            }
            Input::Connected { conn, .. } => self.begin(conn),
            Input::Received { conn, bytes } => {
                let is_first = self.heard == 0;
                self.heard += bytes.len() as u64;
                // A service answers; one that only listens does so when the request has ended.
                if is_first && self.talks {
                    self.begin(conn);
                }
            }
            Input::Sent { conn, count } => {
                if let Some((outbox, _)) = self.conns.get_mut(conn) {
                    outbox.advance(count);
                }
                self.talk(conn);
            }
            Input::Lost { conn, .. } | Input::Unreachable { conn, .. } => {
                self.conns.remove(conn);
            }
            Input::Eof { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_)
            | Input::Letter(()) => {}
        }
    }

    fn tick(&mut self, _: Instant) {}

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Host for End {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|(outbox, _)| outbox)
    }

    fn room(&self, _: ConnId) -> usize {
        ROOM
    }
}

/// Which agent is in the other zone.
const FAR: usize = 1;
const DOWNLOAD: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nx-pico-endpoint: endpoint-1\r\n\r\n";
const UPLOAD: &[u8] = b"PUT / HTTP/1.1\r\nhost: x\r\nx-pico-endpoint: endpoint-1\r\n\
                        content-length: 1000000000000\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
/// For windows that double with each round trip to be as large as they get.
const SETTLE: Duration = Duration::from_millis(2_500);
/// For a stream whose windows are what they are, to arrive at all.
const SETTLE_ALONE: Duration = Duration::from_secs(1);
/// Whoever talks has so much ready.
const AHEAD: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;
const ROOM: usize = 64 * 1024;
