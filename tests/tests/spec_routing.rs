//! Reads `spec/vectors/routing.txt`.

use http::Method;
use pico_core::head::{Fields, RequestHead};
use pico_core::routing::endpoint_of;
use pico_sim::table;

struct Case {
    name: String,
    head: RequestHead,
    /// An endpoint ID, or `!` and a code.
    outcome: String,
}

fn cases() -> Vec<Case> {
    let text = table::page("vectors/routing.txt");
    let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(case).collect()
}

fn case(lines: &[&str]) -> Case {
    let [first, fields @ .., last] = lines else { panic!("too short a case: {lines:?}") };
    let name = first.strip_prefix("case: ").unwrap_or_else(|| panic!("no name: {first}"));
    let outcome = last.strip_prefix("=> ").unwrap_or_else(|| panic!("no outcome: {last}"));
    let (target, fields) = match fields {
        [first, rest @ ..] if first.starts_with("-> ") => (&first[3..], rest),
        _ => ("/", fields),
    };
    let mut head = Fields::new();
    for field in fields {
        let (name, value) = field.split_once(':').unwrap_or_else(|| panic!("no field: {field}"));
        head.push(name.as_bytes(), &bytes(value.trim()));
    }
    let outcome = String::from_utf8(bytes(outcome)).expect("an outcome is text");
    let head = RequestHead::new(Method::GET, target.as_bytes(), head);
    Case { name: name.to_owned(), head, outcome }
}

/// The bytes that an escaped value stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        rest = if let Some(after) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            after
        } else if let Some(after) = escape.strip_prefix('x') {
            let (digits, after) = after.split_at(2);
            bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
            after
        } else {
            let escape = escape.strip_prefix('{').expect("a known escape");
            let (inner, after) = escape.split_once('}').expect("a brace that closes");
            let (count, what) = inner.split_once('*').expect("a count and a character");
            bytes.extend(what.repeat(count.parse().expect("a count")).bytes());
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn every_vector_names_its_endpoint_or_its_reason() {
    let mut wrong = Vec::new();
    for case in cases() {
        let got = match endpoint_of(&case.head) {
            Ok(endpoint) => endpoint.as_str().to_owned(),
            Err(reason) => format!("!{}", reason.told().code),
        };
        if got != case.outcome {
            wrong.push(format!("{}: expected {}, got {got}", case.name, case.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_vectors_are_many_and_their_names_differ() {
    let names: std::collections::BTreeSet<_> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().len());
    assert!(names.len() > 40);
}
