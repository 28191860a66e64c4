//! What processes do when they are asked to end.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, PATIENCE, Pair, Process, Runtime, Server, Service, skip_without};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pico_sim::on_each_pair!(a_second_signal_ends_a_process_that_waits_for_a_call);
pico_sim::on_each_runtime!(a_name_that_is_looked_up_does_not_keep_an_agent);

fn a_second_signal_ends_a_process_that_waits_for_a_call(on: Pair) {
    for which in ["server", "agent"] {
        let service = Service::start("slow");
        let server = Server::start(on.server, &["--drain-delay", "0s"]);
        let agent = Agent::start(on.agent, &server, "slow", &service.target());
        let mut client = server.client();
        client.head("GET", "/hang/on", "slow", "");
        assert_eq!(service.arrival(), "/hang/on");
        let (mut ends, stays) = match which {
            "server" => (server.process, agent.process),
            _ => (agent.process, server.process),
        };
        ends.terminate();
        ends.wait_for("word of the drain", |line| {
            (line.contains("draining") || line.contains("Stopping")).then_some(())
        });
        ends.terminate();
        let ended = ends.wait();
        assert_eq!(ended.status.code(), Some(1), "{which}: {ended:?}");
        let says = ended.stderr.iter().filter(|line| line.contains("a second signal")).count();
        assert_eq!(says, 1, "{which}: {ended:?}");
        drop(stays);
    }
}

/// In a network of its own, whose name server never answers.
fn a_name_that_is_looked_up_does_not_keep_an_agent(on: &'static Runtime) {
    let network = "ip link set lo up && ip route add 10.9.9.9 dev lo";
    let mut command = Command::new("unshare");
    let able = command.args(["-rmn", "sh", "-c", network]).status();
    if !able.is_ok_and(|status| status.success()) {
        return skip_without("namespaces");
    }
    let servers = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.conf", on.name));
    fs::write(&servers, "nameserver 10.9.9.9\n").expect("a file can be written");
    let script = format!(
        "{network} && mount --bind {} /etc/resolv.conf && exec {} agent http web 1 \
         --connect.url http://slow.example:8002",
        servers.display(),
        on.path().display()
    );
    let mut command = Command::new("unshare");
    command.args(["-rmn", "sh", "-c", &script]);
    // Longer than a test waits.
    command.env("RES_OPTIONS", "timeout:30 attempts:5").env("NO_COLOR", "1");
    let mut agent = Process::start("an agent without names", &mut command);
    agent.wait_for("its endpoint", |line| line.contains("Endpoint").then_some(()));
    // It asks, by a socket to port 53.
    let sockets = format!("/proc/{}/net/udp", agent.id());
    let clock = Clock::start();
    while !fs::read_to_string(&sockets).expect("it runs").contains(":0035 ") {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "it never asked");
        std::thread::yield_now();
    }
    agent.terminate();
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}
