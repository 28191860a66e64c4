//! How fast news travels, and what it costs.

use super::Told;
use super::cluster::Cluster;
use crate::case::{Case, Chance, Fault, Link, Shape, Span};
use core::time::Duration;
use pico_core::gossip::{Pace, State};
use pico_core::{Instant, Seed};
use std::collections::BTreeSet;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// How long until every node knows of a change at one of them.
    Convergence,
    /// How long until every node holds one dead that has crashed.
    Detection,
    /// How long until the first one suspects it.
    Suspicion,
    /// How long until all is as it was, after the cluster was cut in two for this long.
    Heal(Duration),
    /// How long a node takes to be ready in a cluster of so many endpoints a node, and what it
    /// has sent and received by the time at which everybody knows everything.
    Join(usize, Names),
    /// How long changes take while many are made, all over the cluster.
    Churn {
        /// So many every second.
        rate: u64,
        /// Endpoints that each node serves beside those that come and go.
        endpoints: usize,
    },
}

/// What endpoints are called, in 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// By numbers, so that most of a name is that of the one before.
    Numbered,
    /// By chance, so that they have hardly anything in common.
    Drawn,
}

impl Names {
    /// The name of an endpoint of a node.
    pub(super) fn of(self, node: usize, number: usize) -> String {
        match self {
            Self::Numbered => format!("endpoint-{node:04}-{number:06}"),
            Self::Drawn => {
                let seed = Seed::from_u64(node as u64).fork_at("name", number as u64);
                let mut dice = seed.roll();
                let mut letter =
                    || char::from(b"abcdefghijklmnopqrstuvwxyz234567"[narrow(dice.below(32))]);
                (0..20).map(|_| letter()).collect()
            }
        }
    }
}

/// The cluster that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Nodes.
    pub nodes: usize,
    /// Datagrams that are lost, and segments of streams that are late.
    pub loss: Chance,
    /// What a packet takes from node to node.
    pub latency: Span,
    /// From which everything random is drawn.
    pub seed: u64,
}

impl Setting {
    /// A world in which nothing goes wrong but what is measured.
    pub fn case(&self) -> Case {
        let link = Link {
            latency: self.latency,
            jitter: Span::millis(0),
            loss: self.loss,
            ..Link::default()
        };
        let shape = Shape { nodes: self.nodes, zones: 2, ..Shape::default() };
        Case { seed: self.seed, shape, link, heal: Span::secs(360_000), ..Case::default() }
    }
}

/// What came of one measurement: spans of time, of which the longest that matter are told.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sample {
    /// One, or one for each change.
    pub spans: Vec<Duration>,
    /// Bytes that each node sent in a second meanwhile, headers of IP and UDP included.
    pub bytes_s: u64,
    /// Bytes that a node which joined has sent and received until it was ready, and until
    /// everybody knew everything, all headers included.
    pub joined: [u64; 2],
    /// Members who were said to be dead and were not.
    pub false_deaths: usize,
    /// Endpoints of which a node knew in the end.
    pub endpoints: usize,
}

/// Measures once; `None` if it did not come to an end.
pub fn measure(subject: Subject, setting: &Setting) -> Option<Sample> {
    match subject {
        Subject::Convergence => converge(setting),
        Subject::Detection => detect(setting),
        Subject::Suspicion => suspect(setting),
        Subject::Heal(lasts) => heal(setting, lasts),
        Subject::Join(endpoints, names) => join(setting, endpoints, names),
        Subject::Churn { rate, endpoints } => churn(setting, rate, endpoints),
    }
}

/// How many times anybody was held dead in so long who was not.
pub fn false_deaths(setting: &Setting, lasts: Duration) -> usize {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(lasts);
    cluster.false_deaths()
}

/// Bytes a second that each node of a cluster sends in which nothing happens.
pub fn idle(setting: &Setting, lasts: Duration) -> u64 {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(SETTLE);
    let before = cluster.bytes_each();
    cluster.pass(lasts);
    (cluster.bytes_each() - before) / lasts.as_secs().max(1)
}

/// Healthy nodes that healthy nodes said to be dead, while so many get a processor only now and
/// then (Lifeguard, section V-B).
pub fn slow_nodes(setting: &Setting, slow: usize, lasts: Duration) -> usize {
    let mut case = setting.case();
    let mut at = Duration::from_secs(30);
    while at < lasts {
        for node in 0..slow {
            // Each sleeps for a while of its own, and wakes for another.
            let node_at = Span(at + Duration::from_millis(137 * node as u64));
            let sleeps = Duration::from_millis(1_024 + 977 * (node as u64 % 8));
            let (who, lasts) = (format!("node-{node}"), Span(sleeps));
            case.faults.push(Fault::Pause { who, at: node_at, lasts });
        }
        at += Duration::from_secs(12);
    }
    let mut cluster = Cluster::whole(&case, Pace::default());
    let healthy: BTreeSet<_> = (slow..setting.nodes).map(|at| cluster.boot(at)).collect();
    cluster.pass(lasts);
    let wrong =
        |told: &Told| matches!(told, Told::Member(boot, State::Dead) if healthy.contains(boot));
    let of = |at| cluster.peer(at).told.iter().filter(|(_, told)| wrong(told)).count();
    (slow..setting.nodes).map(of).sum()
}

fn converge(setting: &Setting) -> Option<Sample> {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(SETTLE);
    let from = pick(setting);
    cluster.serve(from, "web", 1);
    let boot = cluster.boot(from);
    let knows = |cluster: &Cluster| {
        let has = |at| cluster.peer(at).gossip.directory(boot).is_some_and(|d| d.head() == 1);
        cluster.up().into_iter().all(has)
    };
    let took = cluster.until(PATIENCE, knows)?;
    Some(sample(vec![took], &cluster))
}

fn detect(setting: &Setting) -> Option<Sample> {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(acquainted(setting.nodes));
    let who = pick(setting);
    let boot = cluster.boot(who);
    cluster.crash(who);
    let took = cluster.until(PATIENCE, |cluster| {
        let dead = |at| {
            let mut members = cluster.peer(at).gossip.members();
            members.all(|member| member.boot != boot || member.state == State::Dead)
        };
        cluster.up().into_iter().all(dead)
    })?;
    Some(sample(vec![took], &cluster))
}

fn suspect(setting: &Setting) -> Option<Sample> {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(acquainted(setting.nodes));
    let who = pick(setting);
    let boot = cluster.boot(who);
    cluster.crash(who);
    let took = cluster.until(PATIENCE, |cluster| {
        let suspects = |at| {
            let mut members = cluster.peer(at).gossip.members();
            members.any(|member| member.boot == boot && member.state == State::Suspect)
        };
        cluster.up().into_iter().any(suspects)
    })?;
    Some(sample(vec![took], &cluster))
}

fn heal(setting: &Setting, lasts: Duration) -> Option<Sample> {
    let mut case = setting.case();
    let (from, to) = ("zone-0".to_owned(), "zone-1".to_owned());
    let at = Span::secs(60);
    let only = crate::case::Traffic::All;
    let cut = Fault::Cut { from, to, both: true, only, at, lasts: Span(lasts), flaps: None };
    case.faults.push(cut);
    let mut cluster = Cluster::whole(&case, Pace::default());
    for at in 0..setting.nodes {
        cluster.serve(at, &format!("web-{at}"), 1);
    }
    let now = cluster.world.now();
    cluster.pass((Instant::ZERO + at.0 + lasts).since(now));
    let took = cluster.until(PATIENCE, |cluster| cluster.agrees() && cluster.trusts())?;
    Some(sample(vec![took], &cluster))
}

fn join(setting: &Setting, endpoints: usize, names: Names) -> Option<Sample> {
    let last = setting.nodes - 1;
    let smaller = Setting { nodes: last, ..*setting };
    let mut cluster = Cluster::whole(&smaller.case(), Pace::default());
    furnish(&mut cluster, last, endpoints, names)?;
    // Who has just started itself cannot tell another how far logs go.
    cluster.pass(SETTLE);
    cluster.start(last, &[0, 1, 2]);
    let took = cluster.until(PATIENCE, |cluster| cluster.peer(last).gossip.is_ready())?;
    let whole = Told::Ready(true);
    cluster.peer(last).told.iter().find(|(_, told)| *told == whole)?;
    let ready = cluster.peer(last).bytes();
    cluster.until(PATIENCE, Cluster::agrees)?;
    let joined = [ready, cluster.peer(last).bytes()];
    Some(Sample { joined, ..sample(vec![took], &cluster) })
}

/// Has so many nodes serve so many endpoints each, and waits until all know all of them.
fn furnish(
    cluster: &mut Cluster,
    nodes: usize,
    endpoints: usize,
    names: Names,
) -> Option<Duration> {
    for at in 0..nodes {
        for number in 0..endpoints {
            cluster.serve(at, &names.of(at, number), 1);
            if number % 10_000 == 9_999 {
                // Nobody has as many connections at one moment.
                cluster.pass(TICK);
            }
        }
    }
    cluster.until(PATIENCE, Cluster::agrees)
}

fn churn(setting: &Setting, rate: u64, endpoints: usize) -> Option<Sample> {
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    furnish(&mut cluster, setting.nodes, endpoints, Names::Numbered)?;
    cluster.pass(SETTLE);
    let before = cluster.bytes_each();
    let (mut made, mut spans) = (0, Vec::new());
    // One change in so many is followed until every node knows of it.
    let mut followed: Vec<Followed> = Vec::new();
    let begun = cluster.world.now();
    while cluster.world.now() < begun + CHURN {
        let now = cluster.world.now();
        let due = rate * millis(now.since(begun)) / 1_000;
        while made < due {
            let at = narrow(made * 7) % setting.nodes;
            // Each adds its names and takes them away again: every change is one.
            let turn = made / setting.nodes as u64;
            let upstreams = u32::from((turn / NAMES).is_multiple_of(2));
            if followed.len() < FOLLOWED {
                let head = cluster.peer(at).gossip.directory(cluster.boot(at))?.head();
                followed.push(Followed { since: now, at, head, committed: false });
            }
            cluster.serve(at, &format!("e-{}", turn % NAMES), upstreams);
            made += 1;
        }
        cluster.pass(TICK);
        followed.retain_mut(|change| {
            let known = change.is_known(&cluster);
            if known {
                spans.push(cluster.world.now().since(change.since));
            }
            !known
        });
    }
    // What nobody has learned yet has taken so long at least.
    spans.extend(followed.iter().map(|change| cluster.world.now().since(change.since)));
    let bytes_s = (cluster.bytes_each() - before) / CHURN.as_secs();
    Some(Sample { bytes_s, ..sample(spans, &cluster) })
}

/// A change that is followed.
struct Followed {
    since: Instant,
    /// Whose it is.
    at: usize,
    /// How far its log went before; once it has the change, how far it goes then.
    head: u64,
    committed: bool,
}

impl Followed {
    /// Whether every node knows of it.
    fn is_known(&mut self, cluster: &Cluster) -> bool {
        let boot = cluster.boot(self.at);
        let head = |at| {
            cluster
                .peer(at)
                .gossip
                .directory(boot)
                .map_or(0, pico_core::gossip::directory::Replica::head)
        };
        let own = head(self.at);
        if !self.committed && own > self.head {
            (self.head, self.committed) = (own, true);
        }
        self.committed && cluster.up().into_iter().all(|at| head(at) >= self.head)
    }
}

/// Until each has probed each, too: whom a node has not probed yet may be far away for all that it
/// knows, and so it waits 200 ms longer for its answers.
fn acquainted(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    SETTLE.max(Pace::default().period * nodes + Duration::from_secs(5))
}

fn pick(setting: &Setting) -> usize {
    narrow(setting.seed) % setting.nodes
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn sample(spans: Vec<Duration>, cluster: &Cluster) -> Sample {
    let false_deaths = cluster.false_deaths();
    Sample { spans, bytes_s: 0, joined: [0; 2], false_deaths, endpoints: cluster.endpoints() }
}

/// Until what came with the start has died down.
pub const SETTLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_mins(10);
/// How long changes are made, and how often it is looked what is known.
const CHURN: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(10);
/// Names of one node that come and go.
const NAMES: u64 = 100;
/// Changes that are followed at once.
const FOLLOWED: usize = 8;
