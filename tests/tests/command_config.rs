//! `pico config` and `pico completions` as a user meets them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_sim::e2e::{Runtime, skip_without};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pico_sim::on_each_runtime!(
    all_mistakes_of_a_file_are_told_at_once_each_with_its_place,
    a_file_is_checked_for_the_process_that_its_keys_are_for,
    what_is_shown_says_who_said_so_and_no_secret,
    a_secret_may_stand_in_a_file_of_its_own,
    the_reference_is_the_program_s,
    every_shell_gets_its_completions,
    bash_completes_keys_and_their_words,
    listeners_that_cannot_be_meant_are_mistakes,
    a_part_of_the_log_that_the_process_lacks_is_a_mistake,
    what_is_not_yaml_is_told_in_one_sentence_with_its_place,
    a_cluster_s_name_is_no_longer_than_what_nodes_say_of_it,
    a_password_in_a_url_is_repeated_to_nobody,
);

fn all_mistakes_of_a_file_are_told_at_once_each_with_its_place(on: &'static Runtime) {
    let text = "proxy:\n  bind-adr: \":80\"\n  timeout: {head: 5}\nworkers: [1, 2]\n\
                log: loud\ncluster.name: ${NOBODY_SET_THIS}\nproxy.limit.head: 1\n\
                proxy:limit: 3\ngrace-period: 1s\n";
    let file = file(on, "mistakes.yaml", text);
    let told = [
        ":2:3: unknown key proxy.bind-adr; did you mean proxy.bind-addr?",
        ":3:19: proxy.timeout.head: expected off, or a duration like 10s, 1m30s or 100ms, not \"5\"",
        ":4:11: workers: expected one value, not a list",
        ":4:14: workers: expected one value, not a list",
        ":5:1: log: expected keys below it, such as log.level",
        ":6:15: cluster.name: the environment variable NOBODY_SET_THIS is not set",
        ":7:19: proxy.limit.head: expected 1024 to 1048576 bytes, not \"1\"",
        ":8:1: unknown key proxy:limit; did you mean proxy.limit.head?",
    ];
    let mut lines: String = told.map(|told| format!("pico: {file}{told}\n")).concat();
    lines.push_str("pico: drain-delay must not be longer than grace-period\n");
    for arguments in [&["config", "check", &file][..], &["server", "--config", &file]] {
        let output = pico(on, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stderr), lines, "{arguments:?}");
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{arguments:?}");
    }
}

fn a_file_is_checked_for_the_process_that_its_keys_are_for(on: &'static Runtime) {
    let server = file(on, "server.yaml", "proxy.bind-addr: :80\n");
    let agent = file(on, "agent.yaml", "listeners:\n  - {endpoint: shop, addr: 3000}\n");
    for (file, kind) in [(&server, "server"), (&agent, "agent")] {
        let output = pico(on, &["config", "check", file]);
        let told = format!("{file}: nothing is wrong with it, for pico {kind}\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), told);
        assert_eq!(output.status.code(), Some(0));
    }
    let output = pico(on, &["config", "check", "--for", "server", &agent]);
    let told = format!("pico: {agent}:1:1: listeners are for pico agent only\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), told);
    let text = "listeners:\n  - {endpoint: \"a b\", addr: 3000}\n  - {addr: x, host-haeder: y}\n";
    let wrong = file(on, "listeners.yaml", text);
    let output = pico(on, &["config", "check", &wrong]);
    let told = [
        ":2:16: endpoint: expected 1 to 128 letters, digits, '-', '.', '_' or '~', not \"a b\"",
        ":3:15: unknown key host-haeder; did you mean host-header?",
        ":3:5: this listener has no endpoint",
    ];
    let lines = told.map(|told| format!("pico: {wrong}{told}\n")).concat();
    assert_eq!(String::from_utf8_lossy(&output.stderr), lines);
    let text = "connect: {url: \"http://h/a b\", token: \"${NO_TOKEN:}\"}\nlisteners: [{endpoint: a, \
                addr: \"u:hush@h:1\"}]\n";
    let wrong = file(on, "place.yaml", text);
    let output = pico(on, &["config", "check", &wrong]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(":2:33: addr: expected host:port, without user information"), "{told}");
    assert!(told.contains("/a b") && !told.contains("token") && !told.contains("hush"), "{told}");
    let output = pico(on, &["config", "check", "/nowhere/pico.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.starts_with("pico: cannot read /nowhere/pico.yaml: "), "{told}");
    assert_eq!((told.lines().count(), output.status.code()), (1, Some(2)));
}

fn what_is_shown_says_who_said_so_and_no_secret(on: &'static Runtime) {
    const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
    let text = format!(
        "proxy:\n  bind-addr: 127.0.0.1:9001\nworkers: 3\ncluster:\n  keys: [{KEY}]\n  join: \
         [a:1, b:2]\n"
    );
    let file = file(on, "shown.yaml", &text);
    let mut command = on.command();
    command.args(["config", "show", "server", "--config", &file, "--workers", "2"]);
    command.env("PICO_DRAIN_DELAY", "3s").stdin(Stdio::null());
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let row = |key: &str| {
        let line = shown.lines().find(|line| line.split(' ').next() == Some(key)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("proxy.bind-addr")[1..], ["127.0.0.1:9001", &format!("{file}:2:14")]);
    assert_eq!(row("workers")[1..], ["2", "--workers"]);
    assert_eq!(row("drain-delay")[1..], ["3s", "PICO_DRAIN_DELAY"]);
    assert_eq!(row("grace-period")[1..], ["1m", "default"]);
    assert_eq!(row("cluster.keys")[1..], ["(secret)", &format!("{file}:5:10")]);
    assert_eq!(row("cluster.join")[1..], ["a:1, b:2", &format!("{file}:6:10")]);
    assert!(!shown.contains(&KEY[..8]), "{shown}");

    let output = pico(on, &["config", "show", "agent", "--json", "--connect.token", "hush"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let all: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let token = all.iter().find(|setting| setting["key"] == "connect.token").unwrap();
    assert_eq!(token["from"], "--connect.token");
    assert!(!shown.contains("hush"), "{shown}");
}

fn a_secret_may_stand_in_a_file_of_its_own(on: &'static Runtime) {
    let (good, bad) = (file(on, "token", "hush\n"), file(on, "tokens", "hush\nhush\n"));
    let show = ["config", "show", "agent", "--connect.token-file"];
    let output = pico(on, &[&show[..], &[&good]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for (more, why) in [
        (&[&*bad][..], format!("connect.token-file: expected one line in {bad}")),
        (
            &[&*good, "--connect.token", "hush"],
            "connect.token-file: there is a connect.token too".to_owned(),
        ),
    ] {
        let output = pico(on, &[&show[..], more].concat());
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("pico: {why}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

fn the_reference_is_the_program_s(on: &'static Runtime) {
    let output = pico(on, &["config", "reference"]);
    let written = include_str!("../../spec/configuration.md");
    let told = "write it anew: pico config reference > spec/configuration.md";
    assert!(String::from_utf8(output.stdout).unwrap() == written, "{told}");
}

fn every_shell_gets_its_completions(on: &'static Runtime) {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = pico(on, &["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("proxy.bind-addr"), "{shell}");
        // What is a choice is offered as one, and what help does not show is not offered.
        let words = ["abort", "keep", "auto", "text", "debug", "true"];
        // What is made for these two knows commands and flags only.
        for word in words.iter().filter(|_| !["elvish", "powershell"].contains(&shell)) {
            assert!(script.contains(word), "{shell}: {word}");
        }
        for hidden in ["parent", ".tls", "advertise-addr"] {
            let script = script.replace("gossip.advertise-addr", "");
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
        assert_eq!(output.status.code(), Some(0));
    }
}

fn bash_completes_keys_and_their_words(on: &'static Runtime) {
    let script = String::from_utf8(pico(on, &["completions", "bash"]).stdout).unwrap();
    let path = file(on, "completions.bash", &script);
    let offered = |words: &[&str]| {
        let ask = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            cur="${COMP_WORDS[COMP_CWORD]}"; prev="${COMP_WORDS[COMP_CWORD-1]}"
            _pico pico "$cur" "$prev"; printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = Command::new("bash");
        let output = bash.args(["-c", ask, "bash", &path, "pico"]).args(words).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(keys) = offered(&["server", "--proxy.h"]) else { return skip_without("bash") };
    assert_eq!(keys, "--proxy.half-close\n");
    for (words, expected) in [
        (&["server", "--proxy.half-close", ""][..], "abort keep"),
        (&["agent", "http", "shop", "3000", "--log.format", ""], "auto text json"),
        (&["server", "--log.level", "d"], "debug"),
        (&["config", "check", "--for", "a"], "agent"),
        (&["completions", "b"], "bash"),
    ] {
        let offered = offered(words).unwrap();
        assert_eq!(offered.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{words:?}");
    }
}

fn listeners_that_cannot_be_meant_are_mistakes(on: &'static Runtime) {
    let same = "listeners:\n  - {endpoint: a, addr: 1}\n  - {endpoint: a, addr: 2}\n  \
                - {endpoint: A, addr: \"localhost:1\"}\n";
    for (name, text, told) in [
        ("none", "listeners: []\n", ":1:1: listeners: expected one at least"),
        ("null", "connect.url: a:1\nlisteners:\n", ":2:1: listeners: expected one at least"),
        ("lack", "connect.url: a:1\n", ": listeners: expected one at least"),
        (
            "word",
            "listeners: 3\n",
            ":1:12: listeners: expected a list of endpoints and their services",
        ),
        ("same", same, ":4:5: this endpoint has this service already, at 2:5"),
        (
            "inner",
            "listeners: [{endpoint: a, addr: 1, listeners: 3}]\n",
            ":1:36: unknown key listeners",
        ),
    ] {
        let file = file(on, name, text);
        for arguments in [&["config", "check", &*file][..], &["agent", "start", "--config", &file]]
        {
            let output = pico(on, arguments);
            let lines = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(lines, format!("pico: {file}{told}\n"), "{arguments:?}");
            assert_eq!(output.status.code(), Some(2));
        }
    }
    // Two services may share one endpoint, and a file need not name what a command line does.
    let two = "listeners: [{endpoint: a, addr: 1}, {endpoint: a, addr: 2}]\n";
    assert_eq!(pico(on, &["config", "check", &file(on, "two", two)]).status.code(), Some(0));
    let lack = file(on, "lack", "connect.url: a:1\n");
    assert_eq!(pico(on, &["config", "show", "agent", "--config", &lack]).status.code(), Some(0));
}

fn a_part_of_the_log_that_the_process_lacks_is_a_mistake(on: &'static Runtime) {
    for (kind, level, told) in [
        ("server", "info,clutser=off", "\"clutser\"; did you mean cluster?"),
        ("server", "info,tunnel=off", "request, upstream, cluster, process, not \"tunnel\""),
        ("agent", "info,cluster=off", "request, tunnel, service, process, not \"cluster\""),
        ("agent", "info,tunel=off", "did you mean tunnel?"),
    ] {
        let output = pico(on, &["config", "show", kind, "--log.level", level]);
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(line.starts_with("pico: --log.level: expected a part of request, "), "{line}");
        assert!(line.contains(told), "{line}");
        assert_eq!((line.lines().count(), output.status.code()), (1, Some(2)));
    }
}

fn what_is_not_yaml_is_told_in_one_sentence_with_its_place(on: &'static Runtime) {
    for (text, told) in [
        (&b"workers: 2\nworkers: 3\n"[..], ":2:1: workers is given twice"),
        (b"proxy: {bind-addr: a\n", ":1:8: this bracket is never closed"),
        (
            b"workers: 2\n---\nworkers: 3\n",
            ":3:1: a second document begins here: expected one in the file",
        ),
        (b"- workers\n", ":1:1: expected keys and values"),
    ] {
        let file = file(on, "broken.yaml", std::str::from_utf8(text).unwrap());
        let output = pico(on, &["config", "check", &file]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("pico: {file}{told}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
    let long = file(on, "long.yaml", &format!("workers: [{}1]\n", "1, ".repeat(260_000)));
    let output = pico(on, &["config", "check", &long]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.ends_with(": this nests too deep, or is too long\n"), "{told}");
    assert_eq!((told.lines().count(), output.status.code()), (1, Some(2)));
    let file = file(on, "latin.yaml", "");
    std::fs::write(&file, b"workers: \xff\n").unwrap();
    let output = pico(on, &["config", "check", &file]);
    let told = format!("pico: cannot read {file}: it is not UTF-8\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), told);
}

fn a_cluster_s_name_is_no_longer_than_what_nodes_say_of_it(on: &'static Runtime) {
    let (fits, long) = ("x".repeat(64), "x".repeat(65));
    let output = pico(on, &["config", "show", "server", "--cluster.name", &fits]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let file = file(on, "name.yaml", &format!("cluster.name: {long}\n"));
    let told = format!(
        "pico: {file}:1:15: cluster.name: expected 1 to 64 letters, digits, '-', '.', '_' or '~', \
         not {long:?}\n"
    );
    for arguments in [&["config", "check", &*file][..], &["server", "--config", &file]] {
        let output = pico(on, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stderr), told, "{arguments:?}");
        assert_eq!(output.status.code(), Some(2));
    }
}

fn a_password_in_a_url_is_repeated_to_nobody(on: &'static Runtime) {
    for url in
        ["https://u:hush@h", "wss://u:hush@h/x", "ftp://u:hush@h", "u:hush@h", "u:hush@h://x"]
    {
        for arguments in [
            &["agent", "http", "shop", "3000", "--connect.url", url][..],
            &["agent", "http", "shop", url],
            &["status", "nodes", "--url", url],
            &["bench", "http", url],
            &["server", "--cluster.join", url],
        ] {
            let output = pico(on, arguments);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(told.starts_with("pico: ") && !told.contains("hush"), "{arguments:?}: {told}");
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        }
    }
}

fn pico(on: &Runtime, arguments: &[&str]) -> Output {
    on.command().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn file(on: &Runtime, name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", on.name));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
