//! Sealed datagrams: the vectors of `spec/vectors/gossip/sealed.txt`, what a packet that was
//! forged, altered or replayed does to a node, and clusters with keys.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::gossip::seal::{OVERHEAD, Opened, Seal, Unopened};
use pico_core::gossip::wire::{self, Envelope, Message, Standing};
use pico_core::gossip::{Action, Input, Key, Machine, Member, NodeId, Pace, Ring, Settings, State};
use pico_core::host::DATAGRAM_MAX;
use pico_core::id::Boot;
use pico_core::{Instant, Machine as _, Seed};
use pico_sim::case::{Case, Link, Shape, Span};
use pico_sim::gossip::Cluster;
use std::path::Path;

#[test]
fn every_vector_opens_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/gossip/sealed.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let count = text.split("\n\n").filter(|case| case.starts_with("case: ")).map(holds).count();
    assert!(count >= 30, "only {count} cases");
}

fn holds(case: &str) {
    let lines = |mark: &'static str| case.lines().filter_map(move |line| line.strip_prefix(mark));
    let name = lines("case: ").next().unwrap();
    let ring: Ring = lines("key ").map(|key| Key::parse(key).unwrap()).collect();
    let cluster = lines("cluster ").next().unwrap();
    let me = Boot(u64::from_str_radix(lines("me ").next().unwrap(), 16).unwrap());
    let datagram: Vec<u8> = lines("<-").flat_map(pairs).collect();
    let mut said = lines("=> ");
    let outcome = said.next().unwrap();
    let mut seal = Seal::new(&ring, cluster, me, &Seed::from_u64(1)).unwrap();
    let opened = seal.open(&datagram);
    match outcome {
        "strange" => assert!(matches!(opened, Err(Unopened::Strange { .. })), "{name}"),
        "ours" | "anyone" => {
            let bytes: Bytes = said.flat_map(pairs).collect::<Vec<u8>>().into();
            assert_eq!(opened, Ok(Opened { bytes, ours: outcome == "ours" }), "{name}");
            assert_eq!(seal.open(&datagram), Err(Unopened::Replayed), "{name}");
        }
        _ => panic!("{name}: {outcome}"),
    }
}

fn pairs(line: &str) -> Vec<u8> {
    let words = line.split_ascii_whitespace().flat_map(|word| {
        let (count, pair) = word.split_once('*').unwrap_or(("1", word));
        vec![u8::from_str_radix(pair, 16).unwrap(); count.parse().unwrap()]
    });
    words.collect()
}

fn ring(keys: &[u8]) -> Ring {
    keys.iter().map(|byte| Key::new([*byte; 32])).collect()
}

fn addr(boot: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], u16::try_from(boot % 60_000 + 1).unwrap()))
}

fn member(boot: u64) -> Member {
    Member {
        boot: Boot(boot),
        generation: 10,
        incarnation: 0,
        state: State::Alive,
        addr: addr(boot),
        versions: (1, 1),
        id: NodeId::parse(format!("node-{boot}").as_bytes()).unwrap(),
        notes: Vec::new(),
    }
}

fn machine(boot: u64, keys: &[u8]) -> Machine {
    let Member { boot, generation, addr, id, .. } = member(boot);
    let (cluster, keys, notes, pace) = ("pico".into(), ring(keys), Vec::new(), Pace::default());
    let settings = Settings { cluster, keys, boot, generation, id, addr, notes, pace };
    Machine::new(NOW, settings, &Seed::from_u64(boot.0))
}

fn sealer(boot: u64, cluster: &str, key: u8) -> Seal {
    Seal::new(&ring(&[key]), cluster, Boot(boot), &Seed::from_u64(boot)).unwrap()
}

fn inside(from: u64, messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    wire::put_inside(Boot(from), &mut bytes);
    for message in messages {
        message.put(&mut bytes);
    }
    bytes
}

fn hear(machine: &mut Machine, from: u64, datagram: &[u8]) -> Vec<Action> {
    let input = Input::Datagram { from: addr(from), bytes: BytesMut::from(datagram) };
    machine.handle(NOW, input);
    std::iter::from_fn(|| machine.poll()).collect()
}

/// What a machine holds, by which it is seen whether something has changed.
fn held(machine: &Machine) -> String {
    let members: Vec<&Member> = machine.members().collect();
    format!("{:?} {members:?} {:?}", machine.me(), machine.held())
}

const NOW: Instant = Instant::from_nanos(1_000_000_000);

#[test]
fn what_is_forged_altered_or_of_others_changes_nothing() {
    let said = [Message::Member(member(2)), Message::Ping { seq: 1, target: Boot(0) }];
    let bytes = inside(2, &said);
    let plain = {
        let mut plain = BytesMut::new();
        Envelope { cluster: "pico", from: Boot(2) }.put(&mut plain);
        plain.extend_from_slice(&bytes[8..]);
        plain.freeze()
    };
    let sound = sealer(2, "pico", 1).seal(Boot(1), &bytes);
    let mut swapped = sealer(2, "pico", 1).seal(Boot(0), &bytes).to_vec();
    swapped[1] = 1;
    let mut altered = sound.to_vec();
    *altered.last_mut().unwrap() ^= 0x80;
    let hostile = [
        ("in the clear", plain),
        ("under another key", sealer(2, "pico", 2).seal(Boot(1), &bytes)),
        ("of another cluster", sealer(2, "picos", 1).seal(Boot(1), &bytes)),
        ("for another boot", sealer(2, "pico", 1).seal(Boot(3), &bytes)),
        ("for whoever is there, said to be for this boot", swapped.into()),
        ("altered", altered.into()),
        ("cut off", sound.slice(..sound.len() - 1)),
        ("all zeros", vec![0; 1_200].into()),
        ("random", (0..1_200_u32).map(|at| (at * 7_919 % 251).to_le_bytes()[0]).collect()),
    ];
    let mut node = machine(1, &[1]);
    let before = held(&node);
    for (count, (what, datagram)) in (1..).zip(&hostile) {
        let actions = hear(&mut node, 2, datagram);
        let quiet = |action: &Action| matches!(action, Action::Unopened(_));
        assert!(actions.iter().all(quiet), "{what}: {actions:?}");
        assert_eq!(held(&node), before, "{what}");
        assert_eq!((node.counts().unopened, node.counts().received), (count, 0), "{what}");
    }
    assert!(!hear(&mut node, 2, &sound).is_empty());
    assert!(node.members().any(|member| member.boot == Boot(2)));
}

#[test]
fn what_does_not_open_is_told_once_a_minute() {
    let mut node = machine(1, &[1]);
    let mut told = 0;
    for second in 0..120 {
        let now = NOW + Duration::from_secs(second);
        let bytes = BytesMut::from(&[second.to_le_bytes()[0]; 100][..]);
        node.handle(now, Input::Datagram { from: addr(2), bytes });
        while let Some(action) = node.poll() {
            told += u32::from(matches!(action, Action::Unopened(_)));
        }
    }
    assert_eq!((told, node.counts().unopened), (2, 120));
}

#[test]
fn what_was_for_an_earlier_boot_is_no_wonder_and_is_not_told() {
    let mut node = machine(1, &[1]);
    let late = sealer(2, "pico", 1).seal(Boot(9), &inside(2, &[]));
    assert_eq!(hear(&mut node, 2, &late), []);
    assert_eq!(node.counts().unopened, 1);
}

#[test]
fn what_is_replayed_changes_nothing() {
    let (mut node, mut other) = (machine(1, &[1]), sealer(2, "pico", 1));
    let alive = other.seal(Boot(1), &inside(2, &[Message::Member(member(2))]));
    let risen = Member { incarnation: 3, ..member(2) };
    let risen = other.seal(Boot(1), &inside(2, &[Message::Member(risen)]));
    let ping = other.seal(Boot(1), &inside(2, &[Message::Ping { seq: 1, target: Boot(1) }]));
    for datagram in [&alive, &risen, &ping] {
        hear(&mut node, 2, datagram);
    }
    let (before, received) = (held(&node), node.counts().received);
    for datagram in [&ping, &alive, &risen, &alive] {
        assert_eq!(hear(&mut node, 2, datagram), []);
    }
    assert_eq!(held(&node), before);
    assert_eq!((node.counts().replayed, node.counts().received), (4, received));
}

#[test]
fn what_an_earlier_boot_was_told_tells_the_next_one_nothing() {
    let mut other = sealer(2, "pico", 1);
    let said = [
        Message::Member(member(2)),
        Message::Standing(Standing {
            boot: Boot(2),
            incarnation: 0,
            state: State::Dead,
            by: Boot(2),
        }),
        Message::Who(Boot(2)),
        Message::Ping { seq: 1, target: Boot(0) },
    ];
    let ours = other.seal(Boot(1), &inside(2, &said));
    let anyone = other.seal(Boot(0), &inside(2, &said));
    // The next boot at the same address, which remembers nothing.
    let mut next = machine(7, &[1]);
    let before = held(&next);
    assert_eq!(hear(&mut next, 2, &ours), []);
    assert_eq!(held(&next), before);
    // A ping is answered, for the boot that asked alone; nothing is believed.
    let actions = hear(&mut next, 2, &anyone);
    let [Action::Datagram { bytes, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert!(sealer(3, "pico", 1).open(bytes).is_err());
    let opened = sealer(2, "pico", 1).open(bytes).unwrap();
    assert!(opened.ours);
    let (from, messages) = wire::inside(&opened.bytes).unwrap();
    let messages: Vec<Message> = messages.map(Result::unwrap).collect();
    let me = Message::Member(next.me().clone());
    assert_eq!(from, Boot(7));
    assert_eq!(messages, [me, Message::Ack { seq: 1 }, Message::Who(Boot(2))]);
    assert_eq!(next.members().count(), 0);
    assert_eq!(hear(&mut next, 2, &anyone), []);
}

#[test]
fn a_sealed_datagram_is_never_longer_than_others() {
    let (mut node, mut other) = (machine(1, &[1]), sealer(2, "pico", 1));
    for at in 0..400 {
        let endpoint = format!("endpoint-{at:05}").parse().unwrap();
        node.handle(NOW, Input::Serve { endpoint, upstreams: 1 });
    }
    node.tick(NOW + Duration::from_secs(1));
    while node.poll().is_some() {}
    let known = other.seal(Boot(1), &inside(2, &[Message::Member(member(2))]));
    hear(&mut node, 2, &known);
    let want = Message::Want { boot: Boot(1), after: 0 };
    let actions = hear(&mut node, 2, &other.seal(Boot(1), &inside(2, &[want])));
    let lengths: Vec<usize> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Datagram { bytes, .. } => Some(bytes.len()),
            _ => None,
        })
        .collect();
    assert!(lengths.len() > 5, "{lengths:?}");
    let longest = lengths.iter().max().unwrap();
    assert!((1_000..=DATAGRAM_MAX).contains(longest), "{longest}");
    assert_eq!(OVERHEAD, 42);
}

fn case(nodes: usize) -> Case {
    let link = Link { latency: Span::millis(1), jitter: Span::millis(0), ..Link::default() };
    let shape = Shape { nodes, ..Shape::default() };
    Case { seed: 1, shape, link, heal: Span::secs(3_600), ..Case::default() }
}

fn cluster(nodes: usize, keys: &[u8]) -> Cluster {
    let mut cluster = Cluster::new(&case(nodes), Pace::default());
    cluster.keys = ring(keys);
    for at in 0..nodes {
        cluster.start(at, &[0]);
        cluster.serve(at, &format!("web-{at}"), 1);
    }
    cluster
}

fn agree(cluster: &mut Cluster) {
    let took = cluster.until(Duration::from_secs(30), Cluster::agrees);
    assert!(took.is_some(), "{:?}", cluster.differs());
}

#[test]
fn nodes_with_keys_find_each_other() {
    for nodes in [2, 3, 20] {
        let mut cluster = cluster(nodes, &[1]);
        agree(&mut cluster);
        for at in 0..nodes {
            let counts = cluster.peer(at).gossip.counts();
            assert_eq!((counts.strange, counts.malformed, counts.unopened), (0, 0, 0));
            assert!(counts.received > 0);
        }
    }
}

#[test]
fn a_node_with_another_key_or_none_finds_nobody() {
    for keys in [&[2][..], &[]] {
        let mut cluster = cluster(3, &[1]);
        agree(&mut cluster);
        cluster.keys = ring(keys);
        cluster.start(3, &[0, 1, 2]);
        cluster.pass(Duration::from_mins(1));
        for at in 0..3 {
            assert_eq!(cluster.peer(at).gossip.members().count(), 2, "{keys:?}");
        }
        assert_eq!(cluster.peer(3).gossip.members().count(), 0, "{keys:?}");
        let unopened: u64 = (0..3).map(|at| cluster.peer(at).gossip.counts().unopened).sum();
        assert!(unopened > 0);
    }
}

#[test]
fn keys_are_rotated_without_anybody_being_lost() {
    let mut cluster = cluster(4, &[1]);
    agree(&mut cluster);
    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        cluster.keys = ring(keys);
        for at in 0..4 {
            cluster.start(at, &[(at + 1) % 4]);
            cluster.serve(at, &format!("web-{at}"), 1);
            agree(&mut cluster);
        }
    }
    assert_eq!(cluster.false_deaths(), 0);
}

#[test]
fn a_node_that_restarts_without_seeds_is_found_again() {
    for keys in [&[1][..], &[]] {
        let mut cluster = cluster(3, keys);
        agree(&mut cluster);
        cluster.start(0, &[]);
        cluster.serve(0, "web-0", 1);
        agree(&mut cluster);
    }
}
