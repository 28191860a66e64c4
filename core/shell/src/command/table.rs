//! Plain tables.

/// A table: a heading for each column, and rows of as many cells.
pub(in crate::command) struct Table {
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows. A heading that ends in `>` is that of a column of numbers, which is
    /// flushed right.
    pub(in crate::command) const fn new(heads: &'static [&'static str]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row.
    pub(in crate::command) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    /// How many rows there are.
    pub(in crate::command) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The table as text. With a `width`, the widest cells are cut until it fits.
    pub(in crate::command) fn text(&self, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| title(head).len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(most) = width {
            fit(&mut widths, most);
        }
        let heads: Vec<String> = self.heads.iter().map(|head| title(head).to_owned()).collect();
        let mut text = self.line(&heads, &widths);
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), head) in cells.iter().zip(widths).zip(self.heads) {
            let cell = cut(cell, *width);
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let (before, behind) =
                if head.ends_with('>') { (&pad[..], "") } else { ("", &pad[..]) };
            line.extend([before, &cell, behind]);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// What another process says is shown as it is, but for what a terminal would obey.
pub(in crate::command) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn title(head: &str) -> &str {
    head.trim_end_matches('>')
}

/// Narrows the widest column until all fit, as long as there is one to narrow.
fn fit(widths: &mut [usize], most: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    loop {
        let all: usize = widths.iter().sum::<usize>() + gaps;
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROW) else {
            return;
        };
        if all <= most {
            return;
        }
        *widest -= 1;
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

const GAP: &str = "  ";
/// No column is made narrower than this.
const NARROW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_are_flushed_right() {
        let mut table = Table::new(&["NAME", "COUNT>", "WHERE"]);
        for row in [["a", "7", "here"], ["longer", "1200", ""]] {
            table.row(row.map(str::to_owned));
        }
        assert_eq!(table.text(None), "NAME    COUNT  WHERE\na           7  here\nlonger   1200\n");
    }

    #[test]
    fn what_does_not_fit_is_cut_where_it_is_widest() {
        let mut table = Table::new(&["NAME", "COUNT>"]);
        table.row(["x".repeat(100), "7".into()]);
        let text = table.text(Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("x…      7"), "{text}");
        assert!(table.text(None).contains(&"x".repeat(100)));
    }

    #[test]
    fn no_name_moves_the_cursor() {
        assert_eq!(shown("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
