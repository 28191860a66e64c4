//! An agent whose tunnels come up and go down again at once must not storm the server.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{Rig, SERVER, settings};
use pico_core::{Instant, rpc};
use std::time::Duration;

/// How many times its tunnel comes up in vain.
const TIMES: usize = 9;

/// The longest of the last waits of agents with many seeds, where `end` takes each tunnel away.
fn longest_wait(end: impl Fn(&mut Rig, &mut agent::Node)) -> Duration {
    let last = |seed| {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        let mut since = Instant::ZERO;
        for _ in 0..TIMES {
            let mut node = rig.online();
            end(&mut rig, &mut node);
            since = rig.now;
            rig.redial();
        }
        rig.now - since
    };
    (0..64).map(last).max().unwrap()
}

#[test]
fn waits_grow_while_no_tunnel_holds() {
    let longest = longest_wait(|rig, node| rig.lose(node.conn));
    assert!(longest > Duration::from_secs(12), "{longest:?}");
}

#[test]
fn waits_grow_to_a_second_while_each_node_is_leaving() {
    let longest = longest_wait(|rig, node| {
        node.rpc(rig, rpc::Input::Drain);
        assert!(node.drained, "nothing is under way");
    });
    let second = Duration::from_secs(1);
    assert!(longest > second * 9 / 10 && longest <= second, "{longest:?}");
}

#[test]
fn who_is_asked_to_leave_soon_after_an_outage_loses_no_time() {
    for seed in 0..64 {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        let begun = rig.now;
        while rig.now - begun < Duration::from_mins(1) {
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
            rig.redial();
        }
        let mut node = rig.online();
        node.rpc(&mut rig, rpc::Input::Drain);
        for _ in 0..5 {
            let since = rig.now;
            rig.redial();
            let waited = rig.now - since;
            assert!(waited <= Duration::from_secs(1), "{waited:?}");
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
        }
    }
}
