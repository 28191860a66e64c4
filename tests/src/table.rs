//! Reads the tables and vectors of `spec/`, so that tests can hold them to the code.

use std::fs;
use std::path::PathBuf;

/// The text of a page of `spec/`.
///
/// # Panics
/// If there is no such page: a test without its specification has nothing to say.
pub fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of every Markdown table in `text` whose first column is headed `first`, cell by cell,
/// without the headings, and without the back-quotes around a cell.
pub fn rows(text: &str, first: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let Some(cells) = cells(line) else {
            within = false;
            continue;
        };
        let is_rule = cells.iter().all(|cell| cell.chars().all(|c| c == '-' || c == ':'));
        if cells.first().is_some_and(|cell| cell == first) {
            within = true;
        } else if within && !is_rule {
            rows.push(cells);
        }
    }
    rows
}

fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(line.split('|').map(|cell| unquoted(cell.trim())).collect())
}

fn unquoted(cell: &str) -> String {
    let inner = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inner.filter(|inner| !inner.contains('`')).unwrap_or(cell).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_the_heading_of_its_first_column() {
        let text = "x\n| a | b |\n| --- | --- |\n| `one` | two `three` |\n\n| c |\n| - |\n| d |\n";
        assert_eq!(rows(text, "a"), [["one", "two `three`"]]);
        assert_eq!(rows(text, "c"), [["d"]]);
    }
}
