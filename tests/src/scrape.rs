//! Reads the text that a node's `/metrics` answers.

use std::collections::{BTreeMap, BTreeSet};

/// One family of a scrape, as its comments and samples describe it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// The labels that its samples have, `le` aside.
    pub labels: BTreeSet<String>,
}

/// The families of a scrape, in their order.
pub fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, kind: String::new(), help, labels: BTreeSet::new() });
        } else if let Some(last) = families.last_mut() {
            if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
                kind.clone_into(&mut last.kind);
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&last.name), "{line:?} among {}", last.name);
                last.labels.extend(labels(line).map(str::to_owned).filter(|label| label != "le"));
            }
        }
    }
    families
}

/// The samples of a scrape: what stands before each value, and the value if it is a whole number.
pub fn samples(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.filter_map(sample).collect()
}

/// What all samples of one name add up to, whatever their labels.
pub fn sum(samples: &BTreeMap<String, u64>, name: &str) -> u64 {
    let of = |key: &str| key.split('{').next() == Some(name);
    samples.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
}

/// The names of a sample's labels; no value of ours holds a comma.
fn labels(line: &str) -> impl Iterator<Item = &str> {
    let within = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let pairs = within.map_or("", |(pairs, _)| pairs).split(',');
    pairs.filter_map(|pair| pair.split_once('=')).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_by_family_and_by_sample() {
        let text = "# HELP a_total What it is.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n\
            a_total{x=\"2\",y=\"\"} 3\n# HELP b Other.\n# TYPE b gauge\nb 0.5\n";
        let families = families(text);
        assert_eq!(families.len(), 2);
        assert_eq!(
            (families[0].kind.as_str(), families[0].help.as_str()),
            ("counter", "What it is.")
        );
        assert_eq!(families[0].labels, BTreeSet::from(["x".to_owned(), "y".to_owned()]));
        let samples = samples(text);
        assert_eq!((sum(&samples, "a_total"), samples.contains_key("b")), (5, false));
    }
}
