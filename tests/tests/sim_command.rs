//! `pico-sim` as people and scripts call it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Calls the real binary.
fn sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pico-sim"));
    let output = command.args(arguments).stdin(Stdio::null()).output();
    output.expect("the binary was built for this test")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// Every line of the output, as JSON.
fn json(output: &Output) -> Vec<Value> {
    let all = text(&output.stdout);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    all.lines().map(parse).collect()
}

/// A place for a file, which nothing else uses.
fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sim-command-{name}"))
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("the build's folders have plain names")
}

/// A case that breaks an invariant however good Pico is: a network on which a head takes longer
/// than any head may take.
fn hopeless(name: &str) -> PathBuf {
    let path = place(name);
    let case = "seed: 5\nshape: { agents: 2, endpoints: 1, clients: 1 }\n\
                load: { requests: 9, late: 3, kinds: [] }\nheal: 5s\n\
                link: { rate: 20 }\n\
                faults:\n\
                - { fault: pause, who: agent-1, at: 1s, lasts: 500ms }\n\
                - { fault: drift, who: agent-0, ppm: 100 }\n";
    std::fs::write(&path, case).expect("the folder for such files is there");
    path
}

#[test]
fn a_run_in_which_everything_holds_ends_with_0_and_sums_up() {
    let output = sim(&["run", "--scenario", "calm", "--for", "3s"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("all invariants held") && said.contains("complete"), "{said}");
}

#[test]
fn programs_are_told_in_one_object() {
    let output = sim(&["run", "--seed", "3", "--faults", "off", "--json"]);
    let objects = json(&output);
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["held"], true);
    assert_eq!(objects[0]["seed"], 3);
    assert!(objects[0]["requests"]["complete"].as_u64() > Some(0), "{}", objects[0]);
}

#[test]
fn a_saved_case_replays_to_the_same_hash() {
    let file = place("saved.yaml");
    let drawn =
        sim(&["run", "--seed", "4", "--set", "link.loss=0.02", "-o", as_text(&file), "--json"]);
    let replayed = sim(&["replay", as_text(&file), "--json"]);
    let [drawn, replayed] = [drawn, replayed].map(|output| json(&output)[0]["trace"].clone());
    assert!(drawn.as_str().is_some_and(|sum| sum.len() == 16), "{drawn}");
    assert_eq!(drawn, replayed);
    let other = sim(&["run", "--seed", "5", "--json"]);
    assert_ne!(json(&other)[0]["trace"], drawn);
}

#[test]
fn a_broken_invariant_ends_with_1_and_says_what_replays_it() {
    let file = hopeless("broken.yaml");
    let output = sim(&["replay", as_text(&file)]);
    assert_eq!(code(&output), 1, "{output:?}");
    let said = text(&output.stdout);
    let replay = format!("replay:  pico-sim replay {}", as_text(&file));
    for part in ["seed 5", "revision ", "invariant 6 (answered) is broken at ", &replay] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}

#[test]
fn shrinking_leaves_a_file_that_breaks_the_same_invariant() {
    let (file, small) = (hopeless("large.yaml"), place("small.yaml"));
    let output =
        sim(&["shrink", as_text(&file), "-o", as_text(&small), "--budget", "90", "--json"]);
    assert_eq!(code(&output), 1, "{output:?}");
    let shrunk = &json(&output)[0];
    // Without any fault even an error is one too many, and the case breaks in another way.
    assert_eq!(shrunk["case"]["faults"].as_array().map(Vec::len), Some(1), "{shrunk}");
    let replayed = sim(&["replay", as_text(&small), "--json"]);
    assert_eq!(code(&replayed), 1);
    let replayed = &json(&replayed)[0];
    assert_eq!(replayed["broken"]["invariant"], shrunk["broken"]["invariant"]);
}

#[test]
fn a_swarm_finds_the_same_whatever_the_number_of_threads() {
    let swarm = |jobs| {
        let seeds = ["swarm", "--seeds", "0..12", "--json", "--all", "--jobs", jobs];
        json(&sim(&seeds))
    };
    let (one, three) = (swarm("1"), swarm("3"));
    assert_eq!(one, three);
    let last = one.last().expect("it sums up");
    assert_eq!(last["played"], 12);
    assert!(last["coverage"]["connection-reused"].as_u64() > Some(0), "{last}");
}

#[test]
fn a_swarm_stops_at_its_first_broken_seed_and_names_it() {
    let arguments = ["swarm", "--seeds", "7..9999", "--set", "link.rate=20", "--jobs", "2"];
    let output = sim(&[&arguments[..], &["--faults", "off"]].concat());
    assert_eq!(code(&output), 1, "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("pico-sim run --seed "), "{said}");
    assert!(said.contains("--faults off --set link.rate=20"), "{said}");
    assert!(said.trim_end().ends_with(", 1 broken"), "{said}");
}

#[test]
fn what_happened_to_a_request_is_told_in_a_screenful() {
    let story = ["explain", "--scenario", "calm", "--for", "3s", "--request", "2"];
    let output = sim(&story);
    assert_eq!(code(&output), 0, "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("what happened to request 2"), "{said}");
    // From the client by way of the node and the agent to the service, each line with a reason.
    for part in ["client-", "node-0", "agent-", "service-", "HTTP/1.1\"", "  ["] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    assert!(said.lines().count() < 90, "{said}");
    let object = &json(&sim(&[&story[..], &["--json"]].concat()))[0];
    assert!(object["lines"].as_array().is_some_and(|lines| lines.len() > 8), "{object}");
}

#[test]
fn how_a_failure_came_about_is_told_about_its_request() {
    let file = hopeless("told.yaml");
    let output = sim(&["explain", as_text(&file)]);
    assert_eq!(code(&output), 1, "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("invariant 6 (answered)") && said.contains("the request\n"), "{said}");
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let page = place("report.html");
    let output = sim(&["report", "--seed", "6", "-o", as_text(&page), "--json"]);
    assert_eq!(json(&output)[0]["seed"], 6);
    let html = std::fs::read_to_string(&page).expect("it was written");
    for outside in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!html.contains(outside), "the page asks for {outside}");
    }
    let data = html.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
    let data: Value = serde_json::from_str(data.expect("it holds data")).expect("as JSON");
    assert!(data["requests"].as_array().is_some_and(|all| !all.is_empty()));
    assert!(data["messages"].as_array().is_some_and(|all| !all.is_empty()));
    let lanes = data["lanes"].as_array().map(Vec::len);
    assert!(lanes > Some(3), "{lanes:?}");
}

#[test]
fn a_benchmark_says_how_fast_it_was() {
    let load = ["--scenario", "load", "--agents", "2", "--rate", "5"];
    let gossip = ["--scenario", "gossip", "--nodes", "3"];
    let swarm = ["--scenario", "swarm", "--seeds", "1"];
    for (what, answered) in [(&load[..], 10), (&gossip, 0), (&swarm, 0)] {
        let output = sim(&[&["bench", "--json", "--for", "2s", "--runs", "1"], what].concat());
        assert_eq!(code(&output), 0, "{output:?}");
        let objects = json(&output);
        assert_eq!(objects.len(), 1);
        assert!(objects[0]["events_per_s"].as_f64() > Some(0.0), "{objects:?}");
        assert!(objects[0]["answered"].as_u64() >= Some(answered), "{objects:?}");
    }
}

#[test]
fn a_benchmark_of_gossip_says_how_long_things_took_beside_what_is_promised() {
    let small = ["--nodes", "4", "--runs", "2", "--endpoints", "30", "--changes", "50"];
    for scenario in ["convergence", "suspicion", "detection", "heal", "join", "churn"] {
        let output = sim(&[&["bench", "--json", "--scenario", scenario], &small[..]].concat());
        assert_eq!(code(&output), 0, "{scenario}: {output:?}");
        let [object] = &json(&output)[..] else { panic!("{scenario}: {output:?}") };
        let number = |name: &str| object[name].as_u64();
        assert_eq!(number("nodes"), Some(4));
        assert_eq!(number("without_end"), Some(0), "{scenario}: {object}");
        assert!(number("spans") >= Some(2), "{scenario}: {object}");
        assert!(number("median_ms") <= number("p99_ms"), "{scenario}: {object}");
        assert!(number("p99_ms") > Some(0), "{scenario}: {object}");
        let theory = ["convergence", "suspicion"].contains(&scenario);
        assert_eq!(number("theory_ms").is_some(), theory, "{scenario}: {object}");
        let amounts: Vec<u64> = object["amounts"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|amount| amount["number"].as_u64().expect("a number"))
            .collect();
        match (scenario, &amounts[..]) {
            // 3 nodes had 30 endpoints each, which a name and its weight cost at the least.
            ("join", [ready, whole]) => assert!(3 * 30 * 2 < *ready && ready <= whole, "{object}"),
            ("churn", [bytes_s]) => assert!(*bytes_s > 0, "{object}"),
            (_, amounts) => assert_eq!(amounts, [0; 0], "{scenario}: {object}"),
        }
        let furnished = ["join", "churn"].contains(&scenario);
        assert_eq!(number("endpoints") >= Some(3 * 30), furnished, "{scenario}: {object}");
    }
    let output = sim(&["bench", "--json", "--scenario", "convergence", "--nodes", "10"]);
    let [object] = &json(&output)[..] else { panic!("{output:?}") };
    assert_eq!((&object["target_ms"], &object["met"]), (&Value::from(300), &Value::from(true)));
}

#[test]
fn a_benchmark_of_gossip_counts_what_should_not_be_and_what_it_costs() {
    let small = ["--nodes", "10", "--runs", "1", "--watch", "60s"];
    for (scenario, what) in [
        ("false-deaths", "held dead in 0 node-hours"),
        ("slow-nodes", "healthy held dead"),
        ("idle", "bytes/s of each"),
    ] {
        let output = sim(&[&["bench", "--json", "--scenario", scenario], &small[..]].concat());
        assert_eq!(code(&output), 0, "{scenario}: {output:?}");
        let [object] = &json(&output)[..] else { panic!("{scenario}: {output:?}") };
        assert_eq!(object["what"], what);
        let number = object["number"].as_u64().expect("a number");
        assert_eq!(number > 0, scenario == "idle", "{scenario}: {object}");
        assert_eq!(object["met"], true, "{scenario}: {object}");
    }
}

#[test]
fn a_benchmark_of_memory_says_what_an_endpoint_takes_beside_what_is_promised() {
    let small = ["--nodes", "2", "--endpoints", "20000", "--names", "drawn"];
    let output = sim(&[&["bench", "--json", "--scenario", "memory"], &small[..]].concat());
    assert_eq!(code(&output), 0, "{output:?}");
    let [object] = &json(&output)[..] else { panic!("{output:?}") };
    let amount = &object["amounts"][0];
    assert_eq!((&object["endpoints"], &amount["target"]), (&40_000.into(), &96.into()));
    // A name of 20 bytes alone takes as many.
    assert!(amount["number"].as_u64() > Some(20), "{object}");
}

#[test]
fn every_scenario_is_listed_with_its_sentence() {
    let output = sim(&["scenarios", "--json"]);
    let names: Vec<Value> = json(&output).iter().map(|it| it["name"].clone()).collect();
    assert!(names.contains(&"zone-loss".into()) && names.len() >= 7, "{names:?}");
}

#[test]
fn what_cannot_be_done_is_one_line_and_2() {
    let bad = place("bad.yaml");
    std::fs::write(&bad, "seed: 1\nfaults:\n  - fault: flood\n").expect("it can be written");
    let bad = as_text(&bad);
    for (arguments, why) in [
        (&["replay", "no/such/file.yaml"][..], "no/such/file.yaml"),
        (&["replay", bad], "flood"),
        (&["run", "--seed", "1", "--nodes", "0"], "shape.nodes must not be 0"),
        (&["run", "--seed", "1", "--set", "link.los=1"], "there is no such value"),
        (&["run", "--scenario", "clam"], "no scenario is called clam"),
        (&["run", "--seed", "one"], "'one'"),
        (&["run"], "expected --seed or --scenario"),
        (&["swarm", "--seeds", "9..3"], "0..1000"),
        (&["swarm", "--seeds", "0..60", "--set", "shape.agents=2"], "there is no host"),
        (&["swarm", "--seeds", "0..60", "--time-box", "0s"], "no seed was played"),
        (&["explain", "--seed", "1", "--request", "999"], "no request 999"),
        (&["bench", "--scenario", "rumours"], "there is no benchmark rumours"),
        (&["frobnicate"], "frobnicate"),
        (&["shrink", bad], "--output <FILE>"),
        (
            &["shrink", "--scenario", "calm", "-o", "/no/such/place/small.yaml"],
            "/no/such/place/small.yaml: ",
        ),
        (&["run", "--seed", "-1"], "'-1' for '--seed <SEED>'"),
        (&["run", "--seed", "1", "--for", "300years"], "heal must be at most 30days"),
        (&["run", "--seed", "1", "--set", "shape=3"], "expected names with values"),
        (&["run", "--scenario", "rolling-nodes", "--nodes", "9"], "the last of 9 at 7m 20s"),
        (&["run", "--scenario", "node-loss", "--nodes", "1"], "\"node-1\""),
    ] {
        let output = sim(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {output:?}");
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.starts_with("pico-sim: ") && said.contains(why), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
}

/// The command, as its output: of people, and of programs.
fn both(arguments: &[&str]) -> (String, Value) {
    let said = text(&sim(arguments).stdout);
    let object = json(&sim(&[arguments, &["--json"]].concat())).remove(0);
    (said, object)
}

#[test]
fn a_run_tells_plain_requests_before_while_and_after_a_zone_is_gone() {
    let (said, object) = both(&["run", "--scenario", "zone-loss"]);
    for part in ["before the faults", "while they last", "after them", "over 1 s"] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    assert!(said.contains("faults from 30.0 s to 90.0 s"), "{said}");
    assert!(said.contains("agents or nodes in: zone-1 "), "{said}");
    let phases = object["phases"].as_array().expect("a list");
    let [before, during, after] = &phases[..] else { panic!("{object}") };
    let longest = |phase: &Value| phase["took_s"]["longest"].as_f64().expect("a number");
    assert!(longest(before) < 1.0 && longest(after) < 1.0, "{object}");
    assert!(longest(during) > 15.0 && during["over_1s"].as_u64() > Some(10), "{object}");
    let failed = object["failed"].as_array().map(Vec::len);
    let told = phases.iter().map(|phase| phase["failed"].as_u64().expect("a number"));
    assert_eq!(failed, usize::try_from(told.sum::<u64>()).ok(), "{object}");
}

#[test]
fn a_run_tells_how_soon_agents_are_back_and_how_evenly_before_all_are_told_to_stop() {
    let (said, object) = both(&["run", "--scenario", "node-loss"]);
    assert!(said.contains("node-1 died at 40.0 s with "), "{said}");
    assert!(said.contains("the last was back ") && said.contains("5 nodes when the"), "{said}");
    let [gone] = &object["returns"].as_array().expect("a list")[..] else { panic!("{object}") };
    assert_eq!((&gone["node"], &gone["told"]), (&"node-1".into(), &false.into()));
    assert!(gone["agents"].as_u64() > Some(0) && gone["agents"] == gone["back"], "{gone}");
    assert!(gone["last_back_s"].as_f64() > Some(40.0), "{gone}");
    let nodes = object["ended"]["nodes"].as_array().expect("a list");
    let held = nodes.iter().map(|node| node["tunnels"].as_u64().expect("a number"));
    assert_eq!((nodes.len(), held.sum::<u64>()), (5, 100), "{object}");
    assert_eq!((&object["cluster"]["nodes"], &object["cluster"]["lives"]), (&5.into(), &6.into()));
}

#[test]
fn all_nodes_are_restarted_however_many_there_are() {
    let rolling = ["run", "--scenario", "rolling-nodes", "--nodes", "3", "--for", "4m"];
    let (_, object) = both(&rolling);
    let told: Vec<_> = object["returns"].as_array().expect("a list").iter().collect();
    assert!(told.iter().all(|of| of["told"] == true), "{object}");
    assert_eq!((&object["cluster"]["nodes"], &object["cluster"]["lives"]), (&3.into(), &6.into()));
    assert_eq!(object["failed"], Value::Array(Vec::new()));
}

#[test]
fn where_nobody_asks_for_anything_nothing_is_said_of_answers() {
    let (said, object) = both(&["run", "--scenario", "bad-link", "--gossip"]);
    assert!(said.starts_with("0 requests ") && !said.contains(" ms"), "{said}");
    assert_eq!(object["took_s"]["median"], Value::Null);
}

#[test]
fn a_story_tells_who_got_the_request_which_faults_strike_it_and_what_each_line_follows_from() {
    let (said, object) = both(&["explain", "--scenario", "zone-loss", "--request", "294"]);
    assert!(said.contains("zone-1 loses its power"), "{said}");
    assert!(said.contains(" gave it to agent-3\n") && said.contains("closed the tunnel"), "{said}");
    let lines = object["lines"].as_array().expect("a list");
    let last = lines.last().expect("there are some");
    assert!(last["who"] == "client-0", "{said}");
    // From the client's answer all the way back to its request.
    let mut way = vec![last];
    while let Some(because) = way[way.len() - 1]["because"].as_u64() {
        let because = usize::try_from(because).expect("a line's number");
        way.push(&lines[because - 1]);
    }
    let whos: Vec<&str> = way.iter().filter_map(|line| line["who"].as_str()).collect();
    for who in ["agent-2", "service-2", "node-0/0"] {
        assert!(whos.contains(&who), "{who} is not on the way back {whos:?}: {said}");
    }
}

#[test]
fn what_is_broken_is_said_in_words_and_shown_as_the_code_shows_it_with_the_trace_only() {
    let file = hopeless("words.yaml");
    let (said, object) = both(&["replay", as_text(&file)]);
    let detail = object["broken"]["detail"].as_str().expect("text");
    for text in [said.as_str(), detail] {
        assert!(text.contains("got ") && text.contains("it was to be: "), "{text}");
        assert!(!text.contains(" { ") && !text.contains("Plan"), "{text}");
    }
    let traced = text(&sim(&["replay", as_text(&file), "--trace"]).stdout);
    assert!(traced.contains("seen in: Record {"), "the dump is with the trace");
}

#[test]
fn lists_are_set_as_they_are_written_in_a_file() {
    let show = ["run", "--seed", "1", "--show", "--json"];
    let object = json(&sim(&[&show[..], &["--set", "load.kinds=[upgrade, events]"]].concat()));
    assert_eq!(object[0]["load"]["kinds"], serde_json::json!(["upgrade", "events"]));
}

#[test]
fn what_does_not_fit_in_a_file_is_named_by_its_key_and_in_no_words_of_code() {
    let bad = place("key.yaml");
    for (case, key) in [
        ("load: { requests: many }\n", "load.requests: "),
        ("shape: 3\n", "shape: "),
        (
            "faults:\n- { fault: drift, who: nodes, ppm: 1 }\n- { fault: drift, who: 1s }\n",
            "faults[1]: ",
        ),
        ("heal: 5s\nfaults:\n- { fault: crash, who: node-0, at: 9s }\n", "node-0 crashes, at 9"),
    ] {
        std::fs::write(&bad, case).expect("it can be written");
        let output = sim(&["replay", as_text(&bad)]);
        let said = text(&output.stderr);
        assert_eq!((code(&output), said.lines().count()), (2, 1), "{said}");
        assert!(said.contains(key), "{key}: {said}");
        for word in ["u64", "struct", " { ", "Crash"] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
}
