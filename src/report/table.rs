//! Plain-text tables with aligned columns.

use std::fmt;

use ratatui::text::Span;

use crate::domain::printable;

/// Which edge a column's cells keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table: a header and rows, two spaces between columns, as wide as its cells. Cells are as wide as a
/// terminal shows them. Grows with the rows put in.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(title, align)| ((*title).to_owned(), *align))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row. Cells that are wanting are empty, cells beyond the columns are left out, line breaks become spaces, and
    /// what a terminal would obey or not show becomes an escape.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells
            .into_iter()
            .take(self.columns.len())
            .map(|cell| {
                let cell = cell.into().replace(['\n', '\r', '\t'], " ");
                printable(&cell, &[]).into_owned()
            })
            .collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// No rows yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The header, then the rows, a line each, no blanks at the ends of lines.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| title.clone())
            .collect();
        let lines = || std::iter::once(&header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = lines().filter_map(|row| row.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        for row in lines() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .zip(&self.columns)
                .map(|((cell, room), (_, align))| {
                    let blank = " ".repeat(room.saturating_sub(width(cell)));
                    match align {
                        Align::Left => format!("{cell}{blank}"),
                        Align::Right => format!("{blank}{cell}"),
                    }
                })
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Columns of a terminal that a cell takes.
fn width(cell: &str) -> usize {
    Span::raw(cell).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_and_escapes_shift_no_row() {
        let mut table = Table::new(&[("name", Align::Left), ("score", Align::Right)]);
        table.row(["温度", "1"]);
        table.row(["e\u{301}x", "2"]);
        table.row(["a\u{1b}b\u{202e}", "3"]);
        assert_eq!(
            table.to_string(),
            "name            score\n温度                1\ne\u{301}x                  2\na\\u001bb\\u202e      3\n"
        );
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&[("name", Align::Left), ("score", Align::Right)]);
        assert!(table.is_empty());
        table.row(["überlast", "1.5"]);
        table.row(["a\nb"]);
        table.row(["c", "12.25", "lost"]);
        assert_eq!(table.len(), 3);
        assert_eq!(
            table.to_string(),
            "name      score\nüberlast    1.5\na b\nc         12.25\n"
        );
    }
}
