//! The keys of a cluster, as they are written on the command line and in a file of their own.
//! Nothing that is said about them shows one.

use super::Refusal;
use pico_core::gossip::{KEYS_MAX, Key, Ring};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Keys, separated by commas.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let key = |text: &str| Key::parse(text.trim()).map_err(|error| error.to_string());
    text.split(',').map(key).collect()
}

/// The keys of a file, one a line. What follows a `#` is for people.
pub(super) fn keys_of(file: &Path) -> Result<Vec<Key>, Refusal> {
    let shown = file.display();
    let unread = |error| Refusal(format!("cluster.keys-file: cannot read {shown}: {error}"));
    let mut text = String::new();
    let opened = File::open(file).map_err(unread)?;
    opened.take(FILE_MAX).read_to_string(&mut text).map_err(unread)?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |error| Refusal(format!("cluster.keys-file: {shown}:{number}: {error}"));
        found.push(Key::parse(line).map_err(wrong)?);
    }
    if found.is_empty() {
        return Err(Refusal(format!("cluster.keys-file: there is no key in {shown}")));
    }
    Ok(found)
}

/// The ring of all of them.
pub(super) fn ring(keys: Vec<Key>) -> Result<Ring, Refusal> {
    if keys.len() > KEYS_MAX {
        return Err(Refusal(format!("cluster.keys: expected at most {KEYS_MAX} keys")));
    }
    Ok(keys.into_iter().collect())
}

/// Bytes of a file of keys that are read.
const FILE_MAX: u64 = 64 * 1024;
