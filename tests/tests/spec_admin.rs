//! Holds `spec/metrics.md` and `spec/openapi.json` to what a node answers.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::host::Port;
use pico_core::id::Boot;
use pico_core::server::Settings;
use pico_sim::scrape::{self, Family};
use pico_sim::table;
use serde_json::{Map, Value, json};
use server::{Agent, Rig};
use std::collections::BTreeSet;

/// A node in a cluster of one, with an agent and some requests behind it.
fn rig() -> Rig {
    let write = Some(pico_shell::admin::write as pico_core::server::status::Write);
    let settings = Settings { write, node_id: "n1".into(), boot: Boot(1), ..Settings::default() };
    let mut rig = Rig::among(2, settings);
    let mut agent = Agent::online(&mut rig, 1, "a");
    for endpoint in ["a", "none"] {
        let fields = format!("Host: x\r\nX-Pico-Endpoint: {endpoint}\r\n\r\n");
        rig.ask(0, &format!("GET /p HTTP/1.1\r\n{fields}"));
    }
    agent.called(&mut rig);
    rig
}

/// What the admin port answers: the head, and the body behind it.
fn get(rig: &mut Rig, path: &str, accept: &str) -> (String, String) {
    let at = rig.accept(0, Port::Admin);
    let request = format!("GET {path} HTTP/1.1\r\nHost: n\r\nAccept: {accept}\r\n\r\n");
    rig.receive(at, request.as_bytes());
    let text = rig.text(at);
    text.split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()
}

fn written() -> Vec<Family> {
    let page = table::page("metrics.md");
    let row = |cells: &Vec<String>| {
        assert_eq!(cells.len(), 5, "a row has five cells: {cells:?}");
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        Family {
            name: cells[0].clone(),
            kind: cells[1].clone(),
            help: cells[4].clone(),
            labels: labels.filter(|label| label != "-").collect(),
        }
    };
    table::rows(&page, "metric").iter().map(row).collect()
}

#[test]
fn every_metric_has_its_row_and_every_row_its_metric() {
    let (head, body) = get(&mut rig(), "/metrics", "*/*");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let mut rows = written();
    // Prometheus text has no `info`.
    rows.iter_mut().filter(|row| row.kind == "info").for_each(|row| row.kind = "gauge".into());
    assert_eq!(scrape::families(&body), rows);
}

#[test]
fn openmetrics_says_the_same_and_ends() {
    let (head, body) = get(&mut rig(), "/metrics", "application/openmetrics-text");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    let rows = written();
    let told = scrape::families(&body);
    assert_eq!(told.len(), rows.len());
    for (told, row) in told.iter().zip(&rows) {
        let suffix = match row.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(format!("{}{suffix}", told.name), row.name);
        assert_eq!((&told.kind, &told.labels), (&row.kind, &row.labels), "{}", row.name);
        // The encoder ends the sentence, unless it has an end.
        assert_eq!(told.help.trim_end_matches('.'), row.help.trim_end_matches('.'));
    }
    let units = body.lines().filter_map(|line| line.strip_prefix("# UNIT "));
    let units: BTreeSet<_> = units.filter_map(|unit| unit.split_once(' ')).collect();
    let page = table::page("metrics.md");
    for row in table::rows(&page, "metric").iter().filter(|row| row[2] != "-") {
        let name = row[0].trim_end_matches("_total");
        assert!(units.contains(&(name, row[2].as_str())), "{row:?}");
        assert!(name.ends_with(&row[2]), "a unit is the end of a name: {row:?}");
    }
    assert_eq!(units.len(), table::rows(&page, "metric").iter().filter(|r| r[2] != "-").count());
}

#[test]
fn names_and_labels_are_those_that_prometheus_takes() {
    for row in written() {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(plain(&row.name) && row.labels.iter().all(|label| plain(label)), "{row:?}");
        assert_eq!(row.kind == "counter", row.name.ends_with("_total"), "{row:?}");
        assert!(row.name.starts_with("pico_") || row.name == "process_start_time_seconds");
        assert!(row.labels.iter().all(|label| label != "endpoint"), "endpoints are without bound");
    }
}

fn description() -> Value {
    serde_json::from_str(&table::page("openapi.json")).unwrap()
}

/// The schema of one kind of answer. What is not described is not allowed, other than for
/// readers, so that nothing is forgotten.
fn schema(name: &str) -> jsonschema::Validator {
    let mut components = description()["components"].take();
    close(&mut components["schemas"]);
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": components,
    });
    jsonschema::validator_for(&root).unwrap()
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "object") {
                fields.insert("additionalProperties".into(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is wrong with an answer.
fn faults(name: &str, answer: &Value) -> Vec<String> {
    schema(name)
        .iter_errors(answer)
        .map(|fault| format!("{fault} at {}", fault.instance_path()))
        .collect()
}

#[test]
fn answers_are_what_the_description_says() {
    let mut rig = rig();
    let cases = [
        ("/status/nodes", "Nodes"),
        ("/status/endpoints?limit=1", "Endpoints"),
        ("/status/endpoints/a", "Endpoint"),
        ("/status/tunnels", "Tunnels"),
        ("/status/gossip", "Gossip"),
    ];
    let none = Map::new();
    let paths = description()["paths"].as_object().unwrap_or(&none).len();
    assert_eq!(cases.len(), paths, "each path that is described is asked for");
    for (path, name) in cases {
        let (head, body) = get(&mut rig, path, "*/*");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(faults(name, &answer), [""; 0], "{path}: {body}");
        // The same with a field too many, or one too few, is not.
        let mut more = answer.clone();
        more["surprise"] = 1.into();
        assert_ne!(faults(name, &more), [""; 0]);
        let mut less = answer;
        less.as_object_mut().unwrap().remove("node");
        assert_ne!(faults(name, &less), [""; 0]);
    }
}

#[test]
fn refusals_are_what_the_description_says() {
    let mut rig = rig();
    let described = description();
    let cases = [
        ("/status/nodes", "?limit=x", 400),
        ("/status/endpoints/{endpoint}", "nobody", 404),
        ("/status/tunnels", "?node=nobody", 404),
    ];
    for (path, more, status) in cases {
        let target = format!("{}{more}", path.trim_end_matches("{endpoint}"));
        let (head, body) = get(&mut rig, &target, "*/*");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {head}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(faults("Error", &answer), [""; 0], "{target}: {body}");
        let responses = &described["paths"][path]["get"]["responses"];
        assert!(responses.get(status.to_string()).is_some(), "{path} describes {status}");
    }
}

#[test]
fn the_description_is_served_as_it_is_written() {
    let (head, body) = get(&mut rig(), "/openapi.json", "*/*");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, table::page("openapi.json"));
    assert_eq!(description()["openapi"], "3.1.0");
}

#[test]
fn the_page_for_people_loads_nothing_from_elsewhere() {
    let mut rig = rig();
    let (head, home) = get(&mut rig, "/", "text/html");
    assert!(head.contains("content-type: text/html"), "{head}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy: "));
    let policy = policy.expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let (_, script) = get(&mut rig, "/page.js", "*/*");
    let (_, style) = get(&mut rig, "/page.css", "*/*");
    for text in [&home, &script, &style] {
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("//cdn"));
    }
    // What the policy would not let run.
    assert!(!home.contains(" style=") && !home.contains("<style") && !home.contains(" onclick="));
    assert!(!script.contains("innerHTML") && !script.contains("eval("), "names are texts");
}
