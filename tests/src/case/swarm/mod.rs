//! Cases drawn from a seed.

mod cluster;

use super::{Answer, Case, Chance, Fault, Link, Load, Shape, Span, Way};
use crate::draw::Draw as _;
use pico_core::{Dice, Seed};

/// From what swarm mode draws: how large cases may be, and what may go wrong in them.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// The largest shape; each count is drawn between 1 and what it says. Nodes do nothing but
    /// gossip if it says so.
    pub most: Shape,
    /// So many nodes, whatever the largest shape says.
    pub nodes: Option<usize>,
    /// The largest load.
    pub load: Load,
    /// At most so many faults.
    pub faults: u64,
    /// When everything heals.
    pub heal: Span,
}

impl Swarm {
    /// Nothing goes wrong but what clients and services do.
    pub fn calm() -> Self {
        Self { faults: 0, ..Self::rough() }
    }

    /// Everything may go wrong.
    pub fn rough() -> Self {
        let most =
            Shape { nodes: 16, workers: 3, endpoints: 3, lanes: 4, zones: 2, ..Shape::default() };
        Self { most, nodes: None, load: Load::default(), faults: 12, heal: Span::secs(60) }
    }

    /// With so many nodes.
    #[must_use]
    pub fn of(self, nodes: usize) -> Self {
        Self { nodes: Some(nodes), ..self }
    }
}

impl Case {
    /// The case that `seed` stands for: each kind of fault and of request is on or off for a
    /// whole run.
    pub fn swarm(seed: u64, swarm: &Swarm) -> Self {
        let root = Seed::from_u64(seed).fork("case");
        let mut dice = root.fork("shape").roll();
        let mut shape = shape(&mut dice, &swarm.most);
        shape.nodes = swarm.nodes.unwrap_or_else(|| cluster::nodes(&root, swarm.most.nodes));
        shape.keys = shape.nodes > 1 && root.fork("keys").roll().chance(1, 2);
        if shape.nodes > 1 {
            cluster::shape(&root, &mut shape);
        }
        shape.operator = root.fork("operator").roll().chance(1, 3);
        let load = load(&mut root.fork("load").roll(), &swarm.load);
        let stormy = swarm.faults > 0;
        let link = link(&mut root.fork("link").roll(), stormy);
        let warm = match (shape.nodes, shape.balancer) {
            // Nodes find each other before a balancer finds them, and agents by it. Sometimes they
            // only just have.
            (2.., true) => Span::secs(16),
            (2.., false) if root.fork("warm").roll().chance(1, 2) => Span::secs(15),
            (2.., false) | (_, true) => Span::secs(5),
            (_, false) => Span::secs(1),
        };
        let warm_up = if dice.chance(1, 10) { Span::default() } else { warm };
        let case = Self { seed, shape, link, load, warm_up, heal: swarm.heal, ..Self::default() };
        let faults = all_faults(&case, swarm.faults, &root);
        Self { faults, ..case }
    }

    /// Has go wrong what is drawn from its seed, in place of what went wrong in it before.
    pub fn draw_faults(&mut self, swarm: &Swarm) {
        let root = Seed::from_u64(self.seed).fork("case");
        self.faults = all_faults(self, swarm.faults, &root);
    }
}

/// What goes wrong with hosts and links, and then what goes wrong between nodes.
fn all_faults(case: &Case, most: u64, root: &Seed) -> Vec<Fault> {
    let mut all = faults(case, most, root);
    all.extend(cluster::faults(case, most, root));
    all
}

fn shape(dice: &mut Dice, most: &Shape) -> Shape {
    let mut up_to = |most: usize| 1 + dice.index(most);
    // Nodes are drawn apart; one is, so that what follows stays where it was.
    let nodes = up_to(1);
    let (agents, clients) = (up_to(most.agents), up_to(most.clients));
    let (endpoints, lanes) = (up_to(agents.min(most.endpoints)), up_to(most.lanes));
    let (workers, zones) = (up_to(usize::from(most.workers)), up_to(most.zones));
    Shape {
        nodes,
        workers: u16::try_from(workers).expect("at most as many as the largest shape has"),
        agents,
        endpoints,
        clients,
        lanes,
        zones,
        balancer: dice.chance(1, 3),
        window_bytes: *dice.pick(&[4 * 1024, 64 * 1024]),
        outbox_bytes: *dice.pick(&[16 * 1024, 256 * 1024]),
        drain_delay: *dice.pick(&[Span::default(), Span::secs(5)]),
        ..most.clone()
    }
}

fn load(dice: &mut Dice, most: &Load) -> Load {
    let kinds = most.kinds.iter().copied().filter(|_| dice.chance(1, 2)).collect();
    let every = if dice.chance(1, 4) { Span::millis(20) } else { most.every };
    Load { every, kinds, ..most.clone() }
}

fn link(dice: &mut Dice, stormy: bool) -> Link {
    let latency = *dice.pick(&[Span::micros(20), Span::micros(500), Span::millis(20)]);
    let jitter = Span(latency.0 / *dice.pick(&[1, 4, 100]));
    let loss = match dice.below(4) {
        0 if stormy => Chance::percent(1),
        1 if stormy => Chance::percent(5),
        _ => Chance::NEVER,
    };
    let rate = *dice.pick(&[0, 0, 0, 1_000_000, 100_000_000]);
    Link { latency, jitter, loss, rate, ..Link::default() }
}

/// The kinds of faults, so that each can be on or off.
#[derive(Clone, Copy)]
enum Sort {
    Crash,
    PowerLoss,
    Stop,
    Pause,
    Slow,
    Drift,
    Cut,
    Weather,
    Reset,
    Stall,
    Silence,
    Refuse,
    Blackhole,
    Names,
}

const SORTS: [Sort; 14] = [
    Sort::Crash,
    Sort::PowerLoss,
    Sort::Stop,
    Sort::Pause,
    Sort::Slow,
    Sort::Drift,
    Sort::Cut,
    Sort::Weather,
    Sort::Reset,
    Sort::Stall,
    Sort::Silence,
    Sort::Refuse,
    Sort::Blackhole,
    Sort::Names,
];

/// Whether all that goes wrong is that hosts are told to stop.
fn is_orderly(root: &Seed) -> bool {
    root.fork("order").roll().chance(1, 8)
}

fn faults(case: &Case, most: u64, root: &Seed) -> Vec<Fault> {
    let mut dice = root.fork("kinds").roll();
    let mut on: Vec<Sort> = SORTS.into_iter().filter(|_| dice.chance(1, 3)).collect();
    // By itself, stopping in good order must lose nothing.
    if is_orderly(root) {
        on = vec![Sort::Stop];
    }
    let count = if on.is_empty() { 0 } else { dice.between(0, most) };
    let draw = |at| {
        let dice = &mut root.fork_at("fault", at).roll();
        let when = When::draw(case, dice, &mut root.fork_at("fault-begins", at).roll());
        fault(case, &on, &when, dice)
    };
    (0..count).map(draw).collect()
}

/// When something goes wrong, and for how long.
struct When {
    at: Span,
    lasts: Span,
}

impl When {
    /// Most of what there is to disturb happens in the first seconds: of the processes in half of
    /// all cases, and of the requests in the others. Something is left of the time until heal.
    fn draw(case: &Case, dice: &mut Dice, begins: &mut Dice) -> Self {
        let heal = case.heal.0;
        let latest = *dice.pick(&[heal / 20, heal / 4, heal]);
        let since = if begins.chance(1, 2) { case.warm_up.0 } else { Span::default().0 };
        let most = heal.saturating_sub(since + Span::millis(2).0);
        let at = since + dice.span(Span::default().0, latest.min(most));
        let rest = heal.saturating_sub(at);
        let longest = (*dice.pick(&[rest / 20, rest])).max(Span::millis(2).0);
        let lasts = dice.span(Span::millis(1).0, longest);
        Self { at: Span(at), lasts: Span(lasts) }
    }
}

fn fault(case: &Case, on: &[Sort], when: &When, dice: &mut Dice) -> Fault {
    let When { at, lasts } = *when;
    let back = dice.chance(3, 4).then_some(lasts);
    let server = |dice: &mut Dice| host(case, &["node", "agent"], dice);
    // Nodes that are alone dial nobody.
    let diallers: &[&str] = if case.shape.nodes > 1 {
        &["agent", "agent", "client", "node"]
    } else {
        &["agent", "agent", "client"]
    };
    let dialler = |dice: &mut Dice| host(case, diallers, dice);
    let anyone = |dice: &mut Dice| host(case, &["node", "agent", "service", "client"], dice);
    let dials = *dice.pick(&[1, 4, 16]);
    let dial = dice.below(dials);
    let way = if dice.chance(1, 2) { Way::Up } else { Way::Down };
    let bytes = *dice.pick(&[200, 5_000, 400_000]);
    let byte = dice.below(bytes);
    match *dice.pick(on) {
        Sort::Crash => Fault::Crash { who: server(dice), at, back, renamed: dice.chance(1, 2) },
        Sort::PowerLoss => Fault::PowerLoss { who: server(dice), at, back },
        Sort::Stop => Fault::Stop { who: server(dice), at, back, apart: None },
        Sort::Pause => Fault::Pause { who: server(dice), at, lasts },
        Sort::Slow => {
            Fault::Slow { who: server(dice), at, lasts, times: *dice.pick(&[3, 30, 300]) }
        }
        Sort::Drift => {
            Fault::Drift { who: server(dice), ppm: *dice.pick(&[-5_000, -100, 100, 5_000]) }
        }
        Sort::Cut => {
            let (from, to) = (anyone(dice), anyone(dice));
            let flaps = dice.chance(1, 3).then(|| Span::millis(dice.between(10, 3_000)));
            let both = dice.chance(1, 2);
            Fault::Cut { from, to, both, only: super::Traffic::All, at, lasts, flaps }
        }
        Sort::Weather => {
            let (from, to) = (anyone(dice), anyone(dice));
            let link = storm(&case.link, dice);
            Fault::Weather { from, to, both: dice.chance(1, 2), at, lasts, link }
        }
        Sort::Reset => Fault::Reset { who: dialler(dice), dial, way, byte },
        Sort::Stall => Fault::Stall { who: dialler(dice), dial, way, byte, lasts: Some(lasts) },
        Sort::Silence => Fault::Stall { who: dialler(dice), dial, way, byte, lasts: None },
        Sort::Refuse => Fault::Refuse { who: dialler(dice), dial },
        Sort::Blackhole => Fault::Blackhole { who: dialler(dice), dial },
        Sort::Names => {
            let answers = [Answer::Fails, Answer::Never, Answer::Partial, Answer::Stale];
            Fault::Names { who: dialler(dice), at, lasts, answer: *dice.pick(&answers) }
        }
    }
}

/// One of the hosts of these roles, or sometimes all of one.
fn host(case: &Case, roles: &[&'static str], dice: &mut Dice) -> String {
    let role = *dice.pick(roles);
    let hosts = case.shape.hosts();
    let of = |role: &str| -> Vec<_> {
        hosts.iter().filter(|host| host.role.name() == role).copied().collect()
    };
    let mut hosts = of(role);
    if hosts.is_empty() {
        // Where nodes do nothing but gossip there is nobody else.
        hosts = of("node");
    }
    let role = hosts[0].role.name();
    if hosts.len() > 1 && dice.chance(1, 8) {
        return format!("{role}s");
    }
    dice.pick(&hosts).name()
}

fn storm(usual: &Link, dice: &mut Dice) -> Link {
    let mut link = usual.clone();
    match dice.below(4) {
        0 => link.loss = Chance::percent(20),
        1 => (link.loss, link.burst) = (Chance::percent(5), 20),
        2 => link.latency = Span::millis(400),
        _ => link.rate = 20_000,
    }
    link
}
