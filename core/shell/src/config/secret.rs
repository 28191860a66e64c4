//! Secrets that stand in files of their own, so that they stand in no configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The text of the file that the key `name` names.
pub(super) fn read(name: &str, file: &Path) -> Result<String, String> {
    let unread = |error| format!("{name}: cannot read {}: {error}", file.display());
    let mut text = String::new();
    let opened = File::open(file).map_err(unread)?;
    opened.take(FILE_MAX).read_to_string(&mut text).map_err(unread)?;
    Ok(text)
}

/// The only line of such a file.
pub(super) fn line(name: &str, file: &Path) -> Result<String, String> {
    let text = read(name, file)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line.to_owned()),
        (Some(_) | None, _) => Err(format!("{name}: expected one line in {}", file.display())),
    }
}

/// Bytes of a file of secrets that are read.
const FILE_MAX: u64 = 64 * 1024;
