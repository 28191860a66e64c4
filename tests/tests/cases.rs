//! Cases as data: drawn, written, read and edited.

use pico_sim::case::{Case, Fault, Member, Shape, Span, Swarm};

#[test]
fn a_case_is_read_as_it_was_written() {
    for seed in 0..300 {
        let case = Case::swarm(seed, &Swarm::rough());
        let text = case.text();
        let read =
            Case::parse(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        assert_eq!(read, case, "seed {seed}\n{text}");
    }
}

#[test]
fn the_same_seed_draws_the_same_case_and_another_one_another() {
    let draw = |seed| Case::swarm(seed, &Swarm::rough());
    assert_eq!(draw(7), draw(7));
    assert_ne!(Case { seed: 0, ..draw(7) }, Case { seed: 0, ..draw(8) });
}

#[test]
fn a_swarm_draws_every_kind_of_fault() {
    let mut drawn = std::collections::BTreeSet::new();
    for seed in 0..500 {
        for fault in Case::swarm(seed, &Swarm::rough()).faults {
            drawn.insert(format!("{fault:?}").split(' ').next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(drawn.len(), 18, "{drawn:?}");
}

#[test]
fn a_value_is_set_by_its_dotted_name() {
    let mut case = Case::default();
    for assignment in ["link.loss=0.25", "shape.agents=9", "heal=2m", "load.kinds=[\"upgrade\"]"] {
        case.set(assignment).expect(assignment);
    }
    assert_eq!(case.link.loss.millionths(), 250_000);
    assert_eq!((case.shape.agents, case.heal), (9, Span::secs(120)));
    assert_eq!(case.load.kinds.len(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_is_wrong() {
    for (assignment, why) in [
        ("link.los=1", "there is no such value"),
        ("link.loss=2", "between 0 and 1"),
        ("heal=soon", "a span"),
        ("shape.workers=0", "shape.workers must not be 0"),
        ("shape.agents=70000", "at most 60000"),
        ("shape", "NAME=VALUE"),
    ] {
        let error = Case::default().set(assignment).expect_err(assignment).to_string();
        assert!(error.contains(why), "{error}");
    }
    let pause = |who: &str, at| {
        let fault = Fault::Pause { who: who.into(), at, lasts: Span::secs(1) };
        Case { faults: vec![fault], ..Case::default() }.text()
    };
    for (text, why) in [
        (pause("node-7", Span::secs(1)), "no host or group \"node-7\""),
        (pause("node-0", Span::secs(100)), "before heal"),
        (pause("node-0", Span::secs(60)), "before heal"),
        ("faults:\n  - fault: flood\n".into(), "flood"),
        ("sead: 1\n".into(), "sead"),
    ] {
        let error = Case::parse(&text).expect_err(&text).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn hosts_are_named_one_by_one_and_in_groups() {
    let shape = Shape { zones: 2, balancer: true, ..Shape::default() };
    let of = |who: &str| {
        let hosts = shape.hosts().into_iter().filter(|host| shape.means(who, *host));
        hosts.map(Member::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("agent-1"), "agent-1");
    assert_eq!(of("agents"), "agent-0 agent-1 agent-2");
    assert_eq!(of("zone-1"), "agent-1 service-1 client-1");
    assert_eq!(of("balancer"), "balancer");
    assert_eq!(of("all").split(' ').count(), 10);
}

#[test]
fn half_of_what_a_swarm_draws_begins_when_clients_have_begun() {
    let (mut before, mut behind) = (0, 0);
    for seed in 0..500 {
        let case = Case::swarm(seed, &Swarm::rough());
        for at in case.faults.iter().filter_map(Fault::at) {
            assert!(at < case.heal, "seed {seed}");
            *(if at < case.warm_up { &mut before } else { &mut behind }) += 1;
        }
    }
    assert!(behind > before, "{behind} behind, {before} before");
}

/// Every kind of fault and its fields, as the code lists them: those that may be left out have
/// a question mark.
fn kinds() -> Vec<(String, Vec<String>)> {
    let source = include_str!("../src/case/fault.rs");
    let (_, rest) = source.split_once("pub enum Fault {\n").expect("it is there");
    let (body, _) = rest.split_once("\n}\n").expect("it has an end");
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    let mut optional = false;
    for line in body.lines() {
        let word = line.trim();
        if let Some(name) = word.strip_suffix(" {").filter(|_| !word.starts_with("//")) {
            let mut kebab = String::new();
            for letter in name.chars() {
                if letter.is_ascii_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(letter.to_ascii_lowercase());
            }
            kinds.push((kebab, Vec::new()));
        } else if word.starts_with("#[serde(default") {
            optional = true;
        } else if let Some((name, _)) = word.split_once(": ").filter(|_| !word.starts_with("//")) {
            let name = if optional { format!("[`{name}`]") } else { format!("`{name}`") };
            kinds.last_mut().expect("a kind").1.push(name);
            optional = false;
        }
    }
    kinds
}

#[test]
fn the_page_lists_every_kind_of_fault_with_all_its_fields() {
    let page = include_str!("../README.md");
    let kinds = kinds();
    assert_eq!(kinds.len(), 19, "{kinds:?}");
    for (kind, fields) in kinds {
        let row = format!("| `{kind}` | {} |", fields.join(", "));
        assert!(page.contains(&row), "the page does not have: {row}");
    }
}
