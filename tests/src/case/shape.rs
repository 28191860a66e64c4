//! Who takes part, and what they are called.

use super::Span;
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};

/// Who takes part. Hosts are named by kind and number: `node-0`, `agent-2`, `service-2`,
/// `client-1`, `balancer`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Shape {
    /// Nodes.
    pub nodes: usize,
    /// Workers of each node.
    pub workers: u16,
    /// Agents, each with one service beside it.
    pub agents: usize,
    /// Endpoints; agent `n` serves endpoint `n % endpoints`.
    pub endpoints: usize,
    /// Clients.
    pub clients: usize,
    /// Connections that each client uses at once.
    pub lanes: usize,
    /// Zones; the hosts of each kind are dealt to them in turn, an agent's service with it.
    pub zones: usize,
    /// Whether nodes have a key, under which they speak to each other.
    pub keys: bool,
    /// Whether a load balancer stands before the nodes. Otherwise clients and agents find them by
    /// name.
    pub balancer: bool,
    /// Whether an operator asks the admin ports of the nodes, every quarter of a second.
    pub operator: bool,
    /// How long a balancer goes on sending to a node that has left.
    pub retires_late: Span,
    /// How long a node that was told to stop takes new requests.
    pub drain_delay: Span,
    /// How long a drain may take in all.
    pub grace_period: Span,
    /// Bytes that a peer may send on a new stream before it is granted more.
    pub window_bytes: usize,
    /// Bytes that wait before a socket.
    pub outbox_bytes: usize,
    /// Where nodes look for each other.
    pub join: Join,
    /// Nodes do nothing but gossip, so that there may be a thousand of them: there are no agents
    /// and no clients, and nodes serve what the load has them serve.
    pub gossip_only: bool,
    /// Bytes of each node's name, if it would otherwise have fewer; endpoints that only gossip
    /// knows have twice as many, as far as they may.
    pub name_bytes: usize,
    /// How long nodes remember those that are dead.
    pub remembered: Span,
    /// Every second node says things of itself that the others have never heard of.
    pub mixed: bool,
}

/// Where nodes look for each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// At the addresses of the first three.
    #[default]
    First,
    /// At a name, which stands for all of them.
    Name,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            nodes: 1,
            workers: 2,
            agents: 3,
            endpoints: 2,
            clients: 2,
            lanes: 3,
            zones: 1,
            keys: false,
            balancer: false,
            operator: false,
            retires_late: Span::secs(3),
            drain_delay: Span::secs(5),
            grace_period: Span::secs(60),
            window_bytes: 64 * 1024,
            outbox_bytes: 256 * 1024,
            join: Join::First,
            gossip_only: false,
            name_bytes: 0,
            remembered: Span::secs(24 * 3_600),
            mixed: false,
        }
    }
}

/// What a host is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// A node of Pico.
    Node,
    /// An agent.
    Agent,
    /// What an agent forwards to.
    Service,
    /// A client.
    Client,
    /// The load balancer before the nodes.
    Balancer,
    /// Who asks the admin ports of the nodes.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Node, Self::Agent, Self::Service, Self::Client, Self::Balancer, Self::Operator];

    /// What hosts of this role are called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Agent => "agent",
            Self::Service => "service",
            Self::Client => "client",
            Self::Balancer => "balancer",
            Self::Operator => "operator",
        }
    }

    /// The second byte of the addresses of its hosts.
    const fn net(self) -> u8 {
        match self {
            Self::Node => 1,
            Self::Agent => 2,
            Self::Service => 3,
            Self::Client => 4,
            Self::Balancer => 5,
            Self::Operator => 6,
        }
    }
}

impl Shape {
    /// All hosts, by name.
    pub fn hosts(&self) -> Vec<Member> {
        let of = |role: Role| (0..self.count(role)).map(move |at| Member { role, at });
        Role::ALL.into_iter().flat_map(of).collect()
    }

    /// How many hosts of a role there are.
    pub fn count(&self, role: Role) -> usize {
        match role {
            Role::Node => self.nodes,
            Role::Agent | Role::Service | Role::Client | Role::Balancer | Role::Operator
                if self.gossip_only =>
            {
                0
            }
            Role::Agent | Role::Service => self.agents,
            Role::Client => self.clients,
            Role::Balancer => usize::from(self.balancer),
            Role::Operator => usize::from(self.operator),
        }
    }

    /// The zone of a host.
    pub fn zone(&self, member: Member) -> usize {
        member.at % self.zones
    }

    /// Whether `who`, a host's name or a group's, or several with commas between them, means this
    /// host.
    pub fn means(&self, who: &str, member: Member) -> bool {
        let means = |who: &str| {
            let group = |role: Role| who.strip_suffix('s') == Some(role.name());
            who == "all"
                || group(member.role)
                || who == member.name()
                || who == format!("zone-{}", self.zone(member))
        };
        who.split(',').any(|who| means(who.trim()))
    }

    /// Whether `who` means any host, and each part of it does.
    pub fn knows(&self, who: &str) -> bool {
        let hosts = self.hosts();
        who.split(',').all(|who| hosts.iter().any(|member| self.means(who, *member)))
    }
}

/// One host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Member {
    /// What it is.
    pub role: Role,
    /// Which of those, from 0.
    pub at: usize,
}

impl Member {
    /// Its name: `node-0`, `balancer`.
    pub fn name(self) -> String {
        match self.role {
            Role::Balancer | Role::Operator => self.role.name().to_owned(),
            Role::Node | Role::Agent | Role::Service | Role::Client => {
                format!("{}-{}", self.role.name(), self.at)
            }
        }
    }

    /// Its address.
    pub fn ip(self) -> IpAddr {
        let at = u16::try_from(self.at + 1).expect("cases have at most 60,000 hosts of a role");
        let [high, low] = at.to_be_bytes();
        Ipv4Addr::new(10, self.role.net(), high, low).into()
    }
}
