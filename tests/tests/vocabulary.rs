//! The words that all machines share, held against the obvious slow version of each.

use bytes::{Buf, BytesMut};
use pico_core::head::{Fields, elements, valid_name, valid_value};
use pico_core::host::{Action, Told};
use pico_core::id::WorkerId;
use pico_core::id::{Boot, ConnIds, ConnMap, Side};
use pico_core::routing::{
    Change, EndpointId, Failure, Loads, Place, Routes, Standing, Tried, Upstream, choose,
};
use pico_core::{Agenda, Instant, Outbox, Seed, Timers};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

fn pieces() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let small = prop::collection::vec(any::<u8>(), 0..40);
    let large = prop::collection::vec(any::<u8>(), 1000..20_000);
    prop::collection::vec((any::<bool>(), prop_oneof![4 => small, 1 => large]), 0..20)
}

proptest! {
    #[test]
    fn an_outbox_gives_back_what_was_put_in_whatever_is_taken(
        pieces in pieces(),
        takes in prop::collection::vec(prop::option::of(0_usize..5000), 0..40),
    ) {
        let mut outbox = Outbox::new();
        let mut model: Vec<u8> = Vec::new();
        let mut takes = takes.into_iter();
        for (push, bytes) in pieces {
            model.extend(&bytes);
            if push {
                outbox.push(BytesMut::from(&bytes[..]));
            } else {
                outbox.put(&bytes);
            }
            // So many bytes, or exactly the piece that is offered first.
            let take = takes.next().unwrap_or(Some(0)).unwrap_or(outbox.chunk().len());
            let take = take.min(model.len());
            outbox.advance(take);
            model.drain(..take);
            prop_assert_eq!(outbox.len(), model.len());
            // Whoever reads on from an empty chunk never gets any further.
            prop_assert_eq!(outbox.chunk().is_empty(), outbox.is_empty());
            let joined: Vec<u8> = outbox.pieces().flatten().copied().collect();
            prop_assert_eq!(&joined, &model);
        }
        let mut other = Outbox::new();
        other.put(b"first");
        other.append(&mut outbox);
        prop_assert!(outbox.is_empty());
        let mut all = Vec::new();
        while other.has_remaining() {
            let chunk = other.chunk().to_vec();
            prop_assert!(!chunk.is_empty());
            other.advance(chunk.len());
            all.extend(chunk);
        }
        prop_assert_eq!(&all[..5], b"first");
        prop_assert_eq!(&all[5..], &model[..]);
    }

    #[test]
    fn timers_fire_in_order_once_and_only_as_last_set(
        steps in prop::collection::vec((0_u8..5, 0_u64..100, any::<bool>()), 0..60),
    ) {
        let mut timers = Timers::new();
        let mut model = BTreeMap::new();
        for (key, at, clear) in steps {
            if clear {
                timers.clear(key);
                model.remove(&key);
            } else {
                timers.set(key, Instant::from_nanos(at));
                model.insert(key, at);
            }
            let earliest = model.values().min().map(|at| Instant::from_nanos(*at));
            prop_assert_eq!(timers.deadline(), earliest);
        }
        let mut fired = Vec::new();
        while let Some(key) = timers.pop(Instant::from_nanos(50)) {
            fired.push((model.remove(&key).unwrap(), key));
        }
        prop_assert!(fired.is_sorted());
        prop_assert!(fired.iter().all(|(at, _)| *at <= 50));
        prop_assert!(model.values().all(|at| *at > 50));
    }

    #[test]
    fn an_agenda_wakes_everybody_no_later_than_they_want(
        wants in prop::collection::vec((0_u8..10, 1_u64..1000), 1..100),
    ) {
        let mut agenda = Agenda::new();
        let mut latest = BTreeMap::new();
        for (key, at) in wants {
            agenda.want(key, Some(Instant::from_nanos(at)));
            latest.insert(key, Instant::from_nanos(at));
        }
        // Drive it as a parent does: ask each child that is woken for its real deadline.
        let mut fired = BTreeMap::new();
        for now in (0..=1000).map(Instant::from_nanos) {
            prop_assert!(agenda.deadline().is_none_or(|at| at >= now));
            while let Some(key) = agenda.pop(now) {
                match latest.get(&key) {
                    Some(at) if *at > now => agenda.want(key, Some(*at)),
                    Some(at) => {
                        fired.insert(key, (*at, now));
                        latest.remove(&key);
                    }
                    None => prop_assert!(false, "woken twice"),
                }
            }
        }
        prop_assert!(latest.is_empty());
        prop_assert!(fired.values().all(|(wanted, at)| wanted == at));
    }

    #[test]
    fn a_list_splits_at_commas_outside_of_quotes(
        parts in prop::collection::vec("[a-z]{1,5}|\"[a-z,\\\\ ]{0,5}\"", 1..6),
    ) {
        // A backslash may escape the closing quote: leave those to the totality of the next line.
        prop_assume!(parts.iter().all(|p| !p.contains('\\')));
        let list = parts.join(" ,, ");
        let split: Vec<&[u8]> = elements(list.as_bytes()).collect();
        prop_assert_eq!(split, parts.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn routes_hold_what_was_put_and_not_removed(
        changes in prop::collection::vec((0_u8..6, 0_u8..4, any::<bool>()), 0..60),
    ) {
        let mut ids = ConnIds::new(Side::Accepted);
        let place = |conn| Place::Tunnel { worker: WorkerId(0), conn };
        let places: Vec<_> = (0..4).map(|_| place(ids.issue())).collect();
        let mut routes = Routes::new();
        let mut model: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for (name, who, put) in changes {
            let endpoint: EndpointId = format!("e{name}").parse().unwrap();
            let place = places[usize::from(who)];
            let held = model.entry(name).or_default();
            held.retain(|w| *w != who);
            let before = routes.clone();
            if put {
                held.push(who);
                let upstream = Upstream { place, weight: 1 };
                routes.apply(&Change::Put(endpoint.clone(), upstream));
            } else {
                routes.apply(&Change::Remove(endpoint.clone(), place));
            }
            let got: Vec<_> = routes.get(&endpoint).iter().map(|u| u.place).collect();
            let want: Vec<_> = held.iter().map(|w| places[usize::from(*w)]).collect();
            prop_assert_eq!(got, want);
            // What another holds of the old routes is as it was.
            prop_assert!(before.len().abs_diff(routes.len()) <= 1);
        }
        prop_assert_eq!(routes.len(), model.values().filter(|held| !held.is_empty()).count());
    }
}

#[test]
fn routes_of_many_endpoints_are_told_in_the_order_of_their_names_from_any_on() {
    let upstream = Upstream { place: Place::Node(Boot(1)), weight: 1 };
    let names = (0..10_000_u64).map(|at| format!("e-{}", at * 617_933 % 10_000));
    let names: Vec<EndpointId> = names.map(|name| name.parse().unwrap()).collect();
    let mut routes = Routes::new();
    for name in &names {
        routes.apply(&Change::Put(name.clone(), upstream));
    }
    let half = routes.clone();
    for name in names.iter().take(5_000) {
        routes.apply(&Change::Remove(name.clone(), upstream.place));
    }
    let told = |routes: &Routes, after: Option<&EndpointId>| -> Vec<EndpointId> {
        routes.after(after).map(|(name, _)| name.clone()).collect()
    };
    for (routes, names) in [(&half, &names[..]), (&routes, &names[5_000..])] {
        let mut names = names.to_vec();
        names.sort();
        assert_eq!(routes.len(), names.len());
        assert_eq!(told(routes, None), names);
        assert_eq!(told(routes, Some(&names[700])), names[701..]);
        assert!(names.iter().all(|name| routes.get(name) == [upstream]));
    }
    assert!(names.iter().take(5_000).all(|name| routes.get(name).is_empty()));
}

#[test]
fn a_slot_is_reused_but_an_identity_never() {
    let mut ids = ConnIds::new(Side::Accepted);
    let mut map = ConnMap::new();
    let first = ids.issue();
    map.insert(first, 'a');
    assert_eq!(map.remove(first), Some('a'));
    ids.release(first);
    let second = ids.issue();
    map.insert(second, 'b');
    assert_ne!(first, second);
    assert_eq!((map.get(first), map.get(second)), (None, Some(&'b')));
    assert_eq!(map.remove(first), None);
    assert_eq!(map.len(), 1);
}

#[test]
fn a_fork_of_a_seed_differs_by_name_and_index_and_shifts_no_other() {
    let seed = Seed::from_u64(7);
    let draw = |seed: Seed| seed.roll().long();
    assert_eq!(draw(seed.fork("a")), draw(seed.fork("a")));
    assert_ne!(draw(seed.fork("a")), draw(seed.fork("b")));
    assert_ne!(draw(seed.fork_at("a", 1)), draw(seed.fork_at("a", 2)));
    assert_eq!(draw(seed.fork_at("a", 0)), draw(seed.fork("a")));
}

#[test]
fn fields_keep_case_and_order_and_find_names_in_any_case() {
    let mut fields = Fields::new();
    fields.push(b"X-B", b"1");
    fields.push(b"a", b"close, Foo");
    fields.push(b"x-b", b"2");
    assert_eq!(fields.all("x-b").collect::<Vec<_>>(), [b"1", b"2"]);
    assert!(fields.has_token("a", "foo") && !fields.has_token("a", "fo"));
    fields.retain(|_, value| value != b"1");
    let left: Vec<_> = fields.iter().collect();
    assert_eq!(left, [(&b"a"[..], &b"close, Foo"[..]), (&b"x-b"[..], &b"2"[..])]);
    assert!(valid_name(b"x-b") && !valid_name(b"") && !valid_name(b"a b"));
    assert!(valid_value(b"a\tb") && !valid_value(b" a") && !valid_value(b"a\r\nb"));
}

fn upstreams(count: u32) -> Vec<Upstream> {
    let mut ids = ConnIds::new(Side::Accepted);
    (0..count)
        .map(|_| {
            let place = Place::Tunnel { worker: WorkerId(0), conn: ids.issue() };
            Upstream { place, weight: 1 }
        })
        .collect()
}

/// A node without peers.
const fn nobody(_: Boot) -> Option<Standing> {
    None
}

/// A node whose one peer is well.
fn alive(boot: Boot) -> Option<Standing> {
    (boot == Boot(1)).then_some(Standing::Alive)
}

#[test]
fn the_less_loaded_of_two_is_chosen() {
    let two = upstreams(2);
    let mut loads = Loads::new();
    let mut dice = Seed::from_u64(1).roll();
    loads.begin(two[0].place);
    for _ in 0..50 {
        assert_eq!(choose(&two, &loads, nobody, None, &mut dice).unwrap().place, two[1].place);
    }
}

#[test]
fn a_remote_upstream_counts_double_and_weight_divides() {
    let mut two = upstreams(2);
    let mut dice = Seed::from_u64(1).roll();
    two[1].place = Place::Node(Boot(1));
    let loads = Loads::new();
    let first = |two: &[Upstream], dice: &mut _| {
        (0..50)
            .filter(|_| choose(two, &loads, alive, None, dice).unwrap().place == two[0].place)
            .count()
    };
    assert_eq!(first(&two, &mut dice), 50);
    two[1].weight = 3;
    assert_eq!(first(&two, &mut dice), 0);
}

#[test]
fn who_is_not_well_serves_only_if_nobody_else_does_and_the_avoided_and_unknown_never() {
    let mut two = upstreams(2);
    let mut dice = Seed::from_u64(1).roll();
    let loads = Loads::new();
    two[0].place = Place::Node(Boot(1));
    for standing in [Standing::Suspect, Standing::Leaving] {
        let known = |boot| (boot == Boot(1)).then_some(standing);
        for _ in 0..20 {
            let chosen = choose(&two, &loads, known, None, &mut dice).unwrap();
            assert_eq!(chosen.place, two[1].place);
        }
        let tried = Some(Tried { place: two[1].place, failure: Failure::Unreached });
        assert_eq!(choose(&two, &loads, known, tried, &mut dice).unwrap().place, two[0].place);
        assert!(choose(&two[1..], &loads, known, tried, &mut dice).is_none());
    }
    assert!(choose(&two[..1], &loads, nobody, None, &mut dice).is_none(), "not a peer");
    assert!(choose(&[], &loads, nobody, None, &mut dice).is_none());
}

#[test]
fn a_second_try_goes_to_the_same_node_only_if_that_holds_several_and_no_other_is_well() {
    use Failure::{Lost, Stale};
    use Standing::{Alive, Suspect};
    let mut two = upstreams(2);
    let mut dice = Seed::from_u64(1).roll();
    let loads = Loads::new();
    (two[0].place, two[1].place) = (Place::Node(Boot(1)), Place::Node(Boot(2)));
    let place = two[0].place;
    let mut chosen = |two: &[Upstream], failure, first, second| {
        let known = |boot| Some(if boot == Boot(1) { first } else { second });
        let tried = Some(Tried { place, failure });
        choose(two, &loads, known, tried, &mut dice).map(|upstream| upstream.place)
    };
    assert_eq!(chosen(&two[..1], Lost, Alive, Alive), None, "its only one failed");
    two[0].weight = 2;
    assert_eq!(chosen(&two[..1], Lost, Alive, Alive), Some(place));
    assert_eq!(chosen(&two, Lost, Alive, Suspect), Some(place));
    assert_eq!(chosen(&two, Lost, Alive, Alive), Some(two[1].place));
    assert_eq!(chosen(&two, Stale, Alive, Suspect), Some(two[1].place), "it holds none");
    assert_eq!(chosen(&two, Lost, Suspect, Suspect), Some(two[1].place), "it is not well");
}

#[test]
fn a_second_try_goes_to_a_node_that_was_not_reached_only_if_there_is_no_other() {
    use Failure::{Lost, Stale, Unreached};
    use Standing::{Leaving, Suspect};
    let mut two = upstreams(2);
    let mut dice = Seed::from_u64(1).roll();
    let loads = Loads::new();
    (two[0].place, two[1].place) = (Place::Node(Boot(1)), Place::Node(Boot(2)));
    let place = two[0].place;
    let mut chosen = |two: &[Upstream], failure, first, second| {
        let known = |boot| if boot == Boot(1) { first } else { second };
        let tried = Some(Tried { place, failure });
        choose(two, &loads, known, tried, &mut dice).map(|upstream| upstream.place)
    };
    // A link that failed has made it one that is avoided.
    assert_eq!(chosen(&two[..1], Unreached, Some(Suspect), None), Some(place));
    assert_eq!(chosen(&two, Unreached, Some(Suspect), None), Some(place), "the other is unknown");
    assert_eq!(chosen(&two, Unreached, Some(Suspect), Some(Leaving)), Some(two[1].place));
    assert_eq!(chosen(&two[..1], Unreached, None, None), None, "it is no peer any more");
    for failure in [Stale, Lost] {
        assert_eq!(chosen(&two[..1], failure, Some(Suspect), None), None, "{failure:?}");
    }
    let tunnel = upstreams(1);
    let tried = Some(Tried { place: tunnel[0].place, failure: Unreached });
    assert!(choose(&tunnel, &loads, nobody, tried, &mut dice).is_none(), "it is no node");
}

#[test]
fn a_node_that_is_well_is_as_good_as_a_tunnel_once_the_load_is_twice_as_high() {
    let mut two = upstreams(2);
    let mut dice = Seed::from_u64(1).roll();
    let mut loads = Loads::new();
    two[0].place = Place::Node(Boot(1));
    loads.begin(two[1].place);
    loads.begin(two[1].place);
    for _ in 0..20 {
        let chosen = choose(&two, &loads, alive, None, &mut dice).unwrap();
        assert_eq!(chosen.place, two[0].place);
    }
}

#[test]
fn equal_upstreams_share_equally() {
    let four = upstreams(4);
    let mut dice = Seed::from_u64(3).roll();
    let mut loads = Loads::new();
    for _ in 0..400 {
        loads.begin(choose(&four, &loads, nobody, None, &mut dice).unwrap().place);
    }
    for upstream in &four {
        assert!((90..=110).contains(&loads.get(upstream.place)), "{loads:?}");
    }
}

#[test]
fn an_outbox_that_was_empty_in_between_is_written_again() {
    let conn = ConnIds::new(Side::Accepted).issue();
    let (mut told, mut actions, mut outbox) = (Told::default(), VecDeque::new(), Outbox::new());
    outbox.put(b"first");
    told.tell::<()>(conn, Some(&outbox), 1, &mut actions);
    told.tell(conn, Some(&outbox), 1, &mut actions);
    assert_eq!(actions.len(), 1, "told once");
    // The socket takes everything, and before anybody looks there is more.
    outbox.advance(5);
    outbox.put(b"second");
    told.tell(conn, Some(&outbox), 1, &mut actions);
    assert!(matches!(actions.make_contiguous(), [Action::Write(_), Action::Write(_)]));
}
