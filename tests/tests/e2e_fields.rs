//! What a service and a client see of each other's fields, through real processes.

use pico_sim::e2e::{Agent, Pair, Runtime, Server, Service};
use std::path::PathBuf;
use std::process::Stdio;

pico_sim::on_each_pair!(
    a_trusted_proxy_tells_of_its_client_and_nobody_else_does,
    a_service_sees_what_the_client_said_and_nothing_of_pico,
);

pico_sim::on_each_runtime!(
    trusted_proxies_are_named_in_a_file_by_a_variable_or_by_flags,
    a_trusted_proxy_that_is_no_network_is_refused,
);

fn a_trusted_proxy_tells_of_its_client_and_nobody_else_does(on: Pair) {
    const TOLD: &str = "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: https\r\n\
                        X-Forwarded-Host: shop.example\r\nForwarded: for=198.51.100.9\r\n";
    let service = Service::start("told");
    for (networks, way, scheme, host) in [
        ("127.0.0.0/8,fd00::/8", "198.51.100.9, 127.0.0.1", "https", "shop.example"),
        ("10.0.0.0/8,::/0", "127.0.0.1", "http", "localhost"),
        ("", "127.0.0.1", "http", "localhost"),
    ] {
        let server = Server::start(on.server, &["--proxy.trusted-proxies", networks]);
        let _agent = Agent::start(on.agent, &server, "told", &service.target());
        let mut client = server.client();
        client.head("GET", "/head", "told", TOLD);
        let got = client.response("GET").text();
        let value = |name: &str| {
            let all: Vec<_> = got.lines().filter_map(|line| line.strip_prefix(name)).collect();
            assert_eq!(all.len(), 1, "{got}");
            all[0].to_owned()
        };
        assert_eq!(value("x-forwarded-for: "), way, "{networks}");
        assert_eq!(value("x-forwarded-proto: "), scheme, "{networks}");
        assert_eq!(value("x-forwarded-host: "), host, "{networks}");
        assert!(!got.contains("\nforwarded: "), "{got}");
    }
}

fn a_service_sees_what_the_client_said_and_nothing_of_pico(on: Pair) {
    let service = Service::start("seen");
    let server = Server::start(on.server, &["--cluster.node-id", "n"]);
    let _agent = Agent::start(on.agent, &server, "seen", &service.target());
    let mut client = server.client();
    let said = "X-B: 2\r\ntraceparent: 00-0af7-b7ad-01\r\nX-A: \"a\",  b\r\nX-B: 1\r\n\
                Accept-Encoding: br;q=0.1\r\nX-Pico-Secret: 1\r\nx_pico_other: 1\r\n\
                X-Request-Id: mine\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n";
    client.head("BREW", "/head?a=%2f&a", "seen", said);
    let got = client.response("BREW").text();
    let expected = "BREW /head?a=%2f&a HTTP/1.1\nhost: localhost\nx-b: 2\n\
                    traceparent: 00-0af7-b7ad-01\nx-a: \"a\",  b\nx-b: 1\n\
                    accept-encoding: br;q=0.1\nvia: 1.1 n\nx-forwarded-for: 127.0.0.1\n\
                    x-forwarded-proto: http\nx-forwarded-host: localhost\nx-request-id: mine\n";
    assert_eq!(got, expected);
}

/// A configuration with this list of trusted proxies.
fn file(on: &Runtime, name: &str, list: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", on.name));
    std::fs::write(&path, format!("proxy:\n  trusted-proxies: {list}\n")).expect("it is written");
    path.to_str().expect("a plain path").to_owned()
}

fn trusted_proxies_are_named_in_a_file_by_a_variable_or_by_flags(on: &'static Runtime) {
    let service = Service::start("named");
    let trusts = |args: &[&str]| {
        let server = Server::start(on, args);
        let _agent = Agent::start(on, &server, "named", &service.target());
        let mut client = server.client();
        client.head("GET", "/head", "named", "x-forwarded-for: 198.51.100.9\r\n");
        client.response("GET").text().contains("\nx-forwarded-for: 198.51.100.9, 127.0.0.1\n")
    };
    let here = file(on, "here.yaml", "[10.0.0.0/8, 127.0.0.1]");
    let elsewhere = file(on, "elsewhere.yaml", "[10.0.0.0/8]");
    let flag = "--proxy.trusted-proxies";
    assert!(trusts(&["--config", &here]));
    assert!(!trusts(&["--config", &elsewhere]));
    assert!(trusts(&["--config", &elsewhere, flag, "::1", flag, "127.0.0.0/8"]), "flags win");
    assert!(!trusts(&["--config", &here, flag, ""]), "an empty one empties the list");
}

fn a_trusted_proxy_that_is_no_network_is_refused(on: &'static Runtime) {
    let wrong = file(on, "wrong-proxy.yaml", "[10.0.0.0/8, 10.1.0.0/8]");
    let expected = "expected a network like 10.0.0.0/8, fd00::/8 or an address, not \"x\"";
    for (args, variable, told) in [
        (vec!["--proxy.trusted-proxies", "x"], "", format!("--proxy.trusted-proxies: {expected}")),
        (vec![], "x", format!("PICO_PROXY_TRUSTED_PROXIES: {expected}")),
        (
            vec!["--config", &wrong],
            "",
            format!(
                "{wrong}:2:33: proxy.trusted-proxies: 10.1.0.0/8 has bits beyond its prefix: \
                 is 10.0.0.0/8 meant?"
            ),
        ),
    ] {
        let mut command = on.command();
        command.arg("server").args(args).stdin(Stdio::null());
        if !variable.is_empty() {
            command.env("PICO_PROXY_TRUSTED_PROXIES", variable);
        }
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said), (Some(2), format!("pico: {told}\n")));
    }
}
