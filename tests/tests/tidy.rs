//! Reads the tree itself: what the pages promise of it, and what they point to.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Markdown pages for readers.
fn pages() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder of the tree");
        entries.map(|entry| entry.expect("it can be read").path())
    };
    let all = in_folder(".").chain(in_folder("spec")).chain(in_folder("tests"));
    all.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

/// Where the links of a page lead, those to the web aside.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.starts_with("http")).collect()
}

#[test]
fn every_link_within_the_tree_leads_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            let target = page.parent().expect("a page lies in a folder").join(file);
            assert!(target.exists(), "{} points to {link}", page.display());
        }
    }
}

#[test]
fn no_page_has_two_versions_of_itself() {
    for page in pages() {
        let text = read(&page);
        let marks = ["<<<<<<<", "=======", ">>>>>>>"];
        let marked = text.lines().find(|line| marks.iter().any(|mark| line.starts_with(mark)));
        assert_eq!(marked, None, "{}", page.display());
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let architecture = read(&root().join("ARCHITECTURE.md"));
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("there are some");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim()));
    for name in names.filter(|name| !name.starts_with("pico-")) {
        let reasoned = architecture
            .lines()
            .any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(reasoned, "ARCHITECTURE.md has no line of reason for {name}");
    }
}

#[test]
fn every_page_of_the_specification_is_in_its_index() {
    let index = read(&root().join("spec/README.md"));
    for page in pages().iter().filter(|page| page.parent().is_some_and(|p| p.ends_with("spec"))) {
        let name = page.file_name().expect("a file").to_string_lossy();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name} is missing");
    }
}
