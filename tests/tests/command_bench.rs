//! `pico bench` as a user meets it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_sim::e2e::{Agent, Pair, Runtime, Server, Service, dead_address};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Output;
use std::thread;

pico_sim::on_each_pair!(
    every_request_that_is_due_is_answered_or_told_of,
    as_many_requests_as_are_answered_are_sent,
);

pico_sim::on_each_runtime!(
    what_is_refused_is_counted_by_its_code,
    what_is_cut_off_is_told_apart_from_nonsense,
    who_waits_for_late_answers_says_so,
    a_bench_of_nobody_says_so_and_ends_with_1,
    a_plan_that_cannot_be_is_one_line_and_exit_code_2,
);

fn every_request_that_is_due_is_answered_or_told_of(on: Pair) {
    let server = Server::start(on.server, &[]);
    let services = ["shop-1", "shop-2"].map(Service::start);
    let agents = ["shop-1", "shop-2"]
        .iter()
        .zip(&services)
        .map(|(endpoint, service)| Agent::start(on.agent, &server, endpoint, &service.target()));
    let agents: Vec<Agent> = agents.collect();
    let arguments = ["--endpoint", "shop-{1..2}", "--rate", "100", "--duration", "1s"];
    let result = bench(on.agent, &server.proxy.to_string(), &arguments);
    let count = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(count("answers") + count("unsent"), 100, "{result}");
    assert_eq!((count("failures"), &result["statuses"]["200"]), (0, &result["answers"]));
    let latency = |name: &str| result["latency_us"][name].as_u64().unwrap();
    assert!(latency("p50") <= latency("p99.9") && latency("p99.9") <= latency("max"), "{result}");
    let served = services.iter().map(Service::requests).collect::<Vec<_>>();
    assert_eq!(served.iter().sum::<usize>() as u64, count("answers"));
    assert!(served[0].abs_diff(served[1]) <= 1, "{served:?}");
    drop(agents);
}

fn as_many_requests_as_are_answered_are_sent(on: Pair) {
    let server = Server::start(on.server, &[]);
    let service = Service::start("one");
    let _agent = Agent::start(on.agent, &server, "shop", &service.target());
    let proxy = format!("http://{}/echo", server.proxy);
    let arguments = ["--endpoint", "shop", "--duration", "500ms", "--connections", "4"];
    let more = ["--body", "20KiB", "--workers", "2"];
    let result = bench(on.agent, &proxy, &[&arguments[..], &more].concat());
    let count = |name: &str| result[name].as_u64().unwrap();
    assert!(count("answers") >= 4, "{result}");
    assert_eq!((count("failures"), count("unsent")), (0, 0), "{result}");
    assert_eq!(count("bytes_sent"), count("answers") * 20 * 1024);
    assert_eq!(count("bytes_received"), count("bytes_sent"));
}

fn what_is_refused_is_counted_by_its_code(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let proxy = server.proxy.to_string();
    let arguments = ["--endpoint", "nobody", "--rate", "20", "--duration", "500ms", "--json"];
    let output = run(on, &proxy, &arguments);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["errors"]["no_upstream"], result["answers"], "{result}");
    assert_eq!(result["statuses"]["502"], result["answers"]);
    assert!(result["latency_us"]["p50"].is_u64(), "{result}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((&*told, output.status.code()), ("pico: not one request succeeded\n", Some(1)));
}

fn what_is_cut_off_is_told_apart_from_nonsense(on: &'static Runtime) {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "cut"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "bad_response"),
    ] {
        let address = always(answer);
        let arguments = ["--connections", "1", "--duration", "200ms", "--json"];
        let output = run(on, &address.to_string(), &arguments);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let errors = result["errors"].as_object().unwrap();
        assert!(errors.len() == 1 && errors.contains_key(code), "{result}");
        // Nothing was measured, so there is nothing to tell.
        for times in ["latency_us", "latency_as_sent_us"] {
            for name in ["p50", "p99.9", "max", "mean"] {
                assert_eq!(result[times][name], Value::Null, "{result}");
            }
        }
        assert_eq!(output.status.code(), Some(1));
        let output = run(on, &address.to_string(), &arguments[..4]);
        let plain = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            plain.contains("\nLatency    p50 -   p90 -   p99 -   p99.9 -   max -\n"),
            "{plain}"
        );
    }
}

fn who_waits_for_late_answers_says_so(on: &'static Runtime) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let arguments = ["--connections", "2", "--duration", "100ms", "--timeout", "2s"];
    let output = run(on, &address, &arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let [waiting, end] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(waiting.starts_with("pico: waiting for 2 late answers, "), "{told}");
    assert_eq!((end, output.status.code()), ("pico: not one request was answered", Some(1)));
}

fn a_bench_of_nobody_says_so_and_ends_with_1(on: &'static Runtime) {
    let address = dead_address().to_string();
    let output = run(on, &address, &["--duration", "300ms", "--connections", "2"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(told, "pico: not one request was answered\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("unreachable: "));
}

fn a_plan_that_cannot_be_is_one_line_and_exit_code_2(on: &'static Runtime) {
    let cases = [
        ("--rate", "0", "--rate: expected a number from 1 to 10000000, not \"0\""),
        ("--header", "Connection: x", "--header: expected NAME: VALUE, not \"Connection: x\""),
        ("--duration", "5", "--duration: expected a duration like 10s, 1m30s or 100ms, not \"5\""),
        ("--method", "G T", "--method: expected a method, not \"G T\""),
        (
            "--endpoint",
            "a{2..1}",
            "--endpoint: expected a name, or many such as shop-{1..100}, not \"a{2..1}\"",
        ),
    ];
    for (flag, value, told) in cases {
        let output = run(on, "localhost:1", &[flag, value]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("pico: {told}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

fn bench(on: &Runtime, url: &str, arguments: &[&str]) -> Value {
    let output = run(on, url, &[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run(on: &Runtime, url: &str, arguments: &[&str]) -> Output {
    on.command().args(["bench", "http", url]).args(arguments).output().unwrap()
}

/// A server that says the same to everybody who asks, and leaves.
fn always(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // Whoever does not want it any more has heard enough.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut [0; 4096]);
            });
        }
    });
    address
}
