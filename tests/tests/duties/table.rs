//! Reads the table of duties: each names tests that there are, and no section is left out.

use pico_sim::table;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The sections of RFC 9110 and RFC 9112 that ask something of an intermediary, or of what stands
/// in one.
const SECTIONS: [&str; 59] = [
    "9110 5.1",
    "9110 5.3",
    "9110 5.4",
    "9110 5.5",
    "9110 6.1",
    "9110 6.2",
    "9110 6.5.1",
    "9110 6.6.1",
    "9110 7.1",
    "9110 7.2",
    "9110 7.4",
    "9110 7.6",
    "9110 7.6.1",
    "9110 7.6.2",
    "9110 7.6.3",
    "9110 7.7",
    "9110 7.8",
    "9110 8.6",
    "9110 9.1",
    "9110 9.2.2",
    "9110 9.3.2",
    "9110 9.3.6",
    "9110 9.3.7",
    "9110 9.3.8",
    "9110 10.1.1",
    "9110 10.1.4",
    "9110 11.6.2",
    "9110 11.7",
    "9110 15.2",
    "9110 15.3.5",
    "9110 15.4.5",
    "9110 15.6.3",
    "9110 15.6.5",
    "9112 2.2",
    "9112 2.3",
    "9112 3",
    "9112 3.1",
    "9112 3.2",
    "9112 3.2.1",
    "9112 3.2.2",
    "9112 3.2.3",
    "9112 3.2.4",
    "9112 4",
    "9112 5.1",
    "9112 5.2",
    "9112 6.1",
    "9112 6.2",
    "9112 6.3",
    "9112 7.1",
    "9112 7.1.1",
    "9112 7.1.2",
    "9112 7.4",
    "9112 8",
    "9112 9.2",
    "9112 9.3",
    "9112 9.3.1",
    "9112 9.3.2",
    "9112 9.5",
    "9112 9.6",
];

/// The names of all tests of the workspace: functions marked as tests, or in a list of those that
/// run on each runtime.
fn tests() -> BTreeSet<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["core/src", "core/shell/src", "tests/src", "tests/tests"] {
        sources(&root.join(folder), &mut files);
    }
    files.iter().flat_map(|file| tests_of(&fs::read_to_string(file).unwrap())).collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn tests_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut marked, mut listed) = (false, false);
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("fn ")
            && std::mem::take(&mut marked)
        {
            found.push(rest.split('(').next().unwrap_or_default().to_owned());
        }
        marked |= line == "#[test]";
        let begun = line.split_once("on_each_").and_then(|(_, rest)| rest.split_once("!("));
        let names = begun.map_or(line, |(_, names)| names);
        listed |= begun.is_some();
        if listed {
            let names = names.trim_end_matches(");").split(',').map(str::trim);
            found.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
            listed = !line.ends_with(");");
        }
    }
    found
}

#[test]
fn every_duty_names_tests_that_there_are() {
    let tests = tests();
    assert!(tests.len() > 500, "the sources were read: {}", tests.len());
    let page = table::page("http.md");
    let rows = table::rows(&page, "section");
    assert!(rows.len() > 40, "the table was found: {}", rows.len());
    for row in rows {
        let [section, rule, does, shown] = &row[..] else { panic!("four cells: {row:?}") };
        assert!(!rule.is_empty() && !does.is_empty(), "{row:?}");
        let names: Vec<_> = shown.split([' ', '`', ',']).filter(|name| !name.is_empty()).collect();
        assert!(!names.is_empty(), "{section}: {rule}: nothing shows it");
        for name in names {
            assert!(tests.contains(name), "{section}: there is no test {name}");
        }
    }
}

#[test]
fn no_section_that_asks_something_is_left_out() {
    let page = table::page("http.md");
    let rows = table::rows(&page, "section");
    let there: BTreeSet<_> = rows.iter().flat_map(|row| row[0].split(", ")).collect();
    let missing: Vec<_> = SECTIONS.iter().filter(|section| !there.contains(**section)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_test_is_found_by_its_mark_or_by_its_list() {
    let text = "#[test]\nfn a() {\n    fn no() {}\n}\n#[test]\n// why\nfn b(x: u8) {}\n\
                on_each_pair!(\n    c,\n    d,\n);\nfn c() {}\non_each_runtime!(e,);\n";
    assert_eq!(tests_of(text), ["a", "b", "c", "d", "e"]);
}
