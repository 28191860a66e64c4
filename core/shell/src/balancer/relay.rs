//! How a balancer carries one connection's bytes to another, and asks its questions.

use super::{Balancer, CONNECT, CONNS_MAX, Key};
use pico_core::Outbox;
use pico_core::host::{Action, Host as _, Port, Told, Wire};
use pico_core::id::ConnId;

/// One connection of a balancer.
#[derive(Debug)]
pub(super) struct End {
    kind: Kind,
    pub(super) outbox: Outbox,
    told: Told,
    connected: bool,
    /// The peer's FIN came; ours goes out by the other end.
    ended: bool,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Kind {
    /// Somebody made it, by this port; what comes goes on to the back. The nodes that were
    /// dialled for it, in order.
    Front { back: Option<ConnId>, port: Port, tried: Vec<usize> },
    /// To a node, for this front.
    Back { front: ConnId },
    /// A question to this node, and the answer until it is understood.
    Probe { node: usize, answer: Option<Vec<u8>> },
}

impl End {
    pub(super) fn new(kind: Kind) -> Self {
        let connected = matches!(kind, Kind::Front { .. });
        Self { kind, outbox: Outbox::new(), told: Told::default(), connected, ended: false }
    }

    pub(super) fn is_dialled(&self) -> bool {
        !matches!(self.kind, Kind::Front { .. })
    }

    /// Where its bytes go.
    pub(super) fn other(&self) -> Option<ConnId> {
        match self.kind {
            Kind::Front { back, .. } => back,
            Kind::Back { front } => Some(front),
            Kind::Probe { .. } => None,
        }
    }
}

impl Balancer {
    pub(super) fn accepted(&mut self, conn: ConnId, port: Port) {
        let full = self.conns.len() >= CONNS_MAX;
        self.conns.insert(conn, End::new(Kind::Front { back: None, port, tried: Vec::new() }));
        if full {
            self.drop_conn(conn, true);
        } else {
            self.dial(conn, Outbox::new());
        }
    }

    /// Dials a node for a front; `waits` is what came for it already. Without a node the front is
    /// cut.
    fn dial(&mut self, front: ConnId, waits: Outbox) {
        let Some(Kind::Front { port, tried, .. }) = self.conns.get(front).map(|end| &end.kind)
        else {
            return;
        };
        let (port, mut tried) = (*port, tried.clone());
        let chosen = self.choose(&tried).and_then(|at| Some((at, self.nodes.get(at)?.backend)));
        let Some((node, backend)) = chosen else {
            self.drop_conn(front, true);
            return;
        };
        let to = match port {
            Port::Proxy => backend.proxy,
            Port::Upstream => backend.upstream,
            Port::Admin => backend.admin,
            // Nodes reach each other without a balancer.
            Port::Gossip => {
                self.drop_conn(front, true);
                return;
            }
        };
        let back = self.ids.issue();
        tried.push(node);
        self.conns.insert(back, End { outbox: waits, ..End::new(Kind::Back { front }) });
        if let Some(end) = self.conns.get_mut(front) {
            end.kind = Kind::Front { back: Some(back), port, tried };
        }
        self.timers.set(Key::Connect(back), self.clock.now() + CONNECT);
        self.actions.push_back(Action::Dial { conn: back, to, wire: Wire::Plain });
    }

    pub(super) fn connected(&mut self, conn: ConnId) {
        self.timers.clear(Key::Connect(conn));
        let Some(end) = self.conns.get_mut(conn) else { return };
        end.connected = true;
        match end.kind {
            Kind::Probe { .. } => {
                end.outbox.put(b"GET /ready HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
            }
            Kind::Back { front } => {
                if self.conns.get(front).is_some_and(|front| front.ended) {
                    self.tell(conn);
                    self.actions.push_back(Action::Finish(conn));
                }
            }
            Kind::Front { .. } => {}
        }
        self.tell(conn);
    }

    /// A dial failed, or has taken too long.
    pub(super) fn unreachable(&mut self, conn: ConnId, late: bool) {
        let Some(end) = self.drop_conn(conn, late) else { return };
        match end.kind {
            Kind::Probe { node, .. } => self.asked(node, &end),
            Kind::Back { front } => self.dial(front, end.outbox),
            Kind::Front { .. } => {}
        }
    }

    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(end) = self.conns.get_mut(conn) else { return };
        match &mut end.kind {
            Kind::Probe { node, answer: Some(answer) } => {
                // The first line says all, and is no longer than a read.
                answer.extend_from_slice(bytes);
                if answer.contains(&b'\n') {
                    let (node, ready) = (*node, answer.starts_with(b"HTTP/1.1 200 "));
                    end.kind = Kind::Probe { node, answer: None };
                    self.learn(node, ready);
                }
            }
            Kind::Front { back: Some(other), .. } | Kind::Back { front: other } => {
                let other = *other;
                if let Some(end) = self.conns.get_mut(other) {
                    end.outbox.put(bytes);
                }
                self.tell(other);
                self.tell(conn);
            }
            Kind::Probe { answer: None, .. } | Kind::Front { back: None, .. } => {}
        }
    }

    /// The socket took bytes: the other end may bring more.
    pub(super) fn sent(&mut self, conn: ConnId) {
        let other = self.conns.get(conn).and_then(End::other);
        self.tell(conn);
        if let Some(other) = other {
            self.tell(other);
        }
        self.close_if_over(conn);
    }

    pub(super) fn eof(&mut self, conn: ConnId) {
        let Some(end) = self.conns.get_mut(conn) else { return };
        end.ended = true;
        match end.kind {
            Kind::Probe { node, .. } => {
                self.actions.push_back(Action::Finish(conn));
                if let Some(end) = self.drop_conn(conn, true) {
                    self.asked(node, &end);
                }
            }
            Kind::Front { .. } | Kind::Back { .. } => {
                let other = end.other();
                if let Some(other) = other
                    && self.conns.get(other).is_some_and(|other| other.connected)
                {
                    self.tell(other);
                    self.actions.push_back(Action::Finish(other));
                }
                self.close_if_over(conn);
            }
        }
    }

    /// Closes both ends once each has heard the other's FIN.
    fn close_if_over(&mut self, conn: ConnId) {
        let over = |end: &End| end.ended && end.outbox.is_empty() && end.connected;
        let Some(end) = self.conns.get(conn).filter(|end| over(end)) else { return };
        let Some(other) = end.other() else { return };
        if self.conns.get(other).is_some_and(over) {
            self.drop_conn(conn, true);
            self.drop_conn(other, true);
        }
    }

    /// The connection broke: so does the other end.
    pub(super) fn lost(&mut self, conn: ConnId) {
        let Some(end) = self.drop_conn(conn, false) else { return };
        match end.kind {
            Kind::Probe { node, .. } => self.asked(node, &end),
            Kind::Front { back: Some(other), .. } | Kind::Back { front: other } => {
                self.drop_conn(other, true);
            }
            Kind::Front { back: None, .. } => {}
        }
    }

    /// A question's connection is over; if it was not answered, the node is not ready.
    pub(super) fn asked(&mut self, node: usize, end: &End) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.probe = None;
        }
        if matches!(end.kind, Kind::Probe { answer: Some(_), .. }) {
            self.learn(node, false);
        }
    }

    fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        let Some(end) = self.conns.get_mut(conn) else { return };
        if end.connected {
            end.told.tell(conn, Some(&end.outbox), room, &mut self.actions);
        }
    }
}
