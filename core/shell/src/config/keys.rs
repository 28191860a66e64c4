//! The keys of a cluster, as they are written on the command line and in a file of their own.
//! Nothing that is said about them shows one.

use super::secret;
use pico_core::gossip::{KEYS_MAX, Key, Ring};
use std::path::Path;

/// Keys, separated by commas.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let key = |text: &str| Key::parse(text.trim()).map_err(|error| error.to_string());
    text.split(',').map(key).collect()
}

/// The keys of a file, one a line. What follows a `#` is for people.
pub(super) fn keys_of(file: &Path) -> Result<Vec<Key>, String> {
    let shown = file.display();
    let text = secret::read("cluster.keys-file", file)?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |error| format!("cluster.keys-file: {shown}:{number}: {error}");
        found.push(Key::parse(line).map_err(wrong)?);
    }
    if found.is_empty() {
        return Err(format!("cluster.keys-file: there is no key in {shown}"));
    }
    Ok(found)
}

/// The ring of all of them.
pub(super) fn ring(keys: Vec<Key>) -> Result<Ring, String> {
    if keys.len() > KEYS_MAX {
        return Err(format!("cluster.keys: expected at most {KEYS_MAX} keys"));
    }
    Ok(keys.into_iter().collect())
}
