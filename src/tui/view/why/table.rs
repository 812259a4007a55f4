//! The features of what is explained, as a table, or one under the other where there is no room for one.

use crate::tui::text::{left, percent, right, width};

use super::super::detail::between;
use super::line::{Line, Look};
use super::subject::{Part, Place};

/// Widest column of names.
const NAME: u16 = 24;
/// The same where there is little room, and where there is less.
const SHORT: [u16; 3] = [16, 11, 8];
/// Features that are listed in a table; those after them carry little.
const MOST: usize = 12;
/// The same one under the other.
const STACKED: usize = 5;

/// A feature's figures as words.
struct Row {
    name: String,
    share: String,
    value: String,
    expected: String,
    /// Where the value is, in words.
    place: &'static str,
    /// By how much it is off.
    off: Option<String>,
    look: Look,
    /// The look of name and expectation, and of the contribution.
    plain: (Look, Look),
}

impl Row {
    fn of(part: &Part) -> Self {
        let place = part.place();
        let band = between(&part.unit, part.lower, part.upper);
        let value = match place {
            Place::Missing => String::from("–"),
            _ => part.unit.show(part.value),
        };
        Self {
            name: part.name.clone(),
            share: percent(part.share),
            value,
            expected: band.unwrap_or_else(|| part.unit.show(part.expected)),
            plain: if part.counts {
                (Look::Text, Look::Strong)
            } else {
                (Look::Dim, Look::Dim)
            },
            place: match place {
                Place::Unknown => "",
                place => place.words(),
            },
            off: part.off(),
            look: match place {
                _ if !part.counts => Look::Dim,
                Place::FarAbove | Place::FarBelow => Look::Bad,
                Place::Above | Place::Below | Place::Missing => Look::Warn,
                Place::Within | Place::Unknown => Look::Text,
            },
        }
    }

    /// Where the value is, and with `exact` how far off: `far above, +342 %`.
    fn distance(&self, exact: bool) -> String {
        match self.off.as_ref().filter(|_| exact) {
            Some(off) if self.place.is_empty() => off.clone(),
            Some(off) => format!("{}, {off}", self.place),
            None => self.place.to_owned(),
        }
    }

    /// Two lines, for a narrow box.
    fn stacked(&self) -> [Line; 2] {
        let figures = match self.value.as_str() {
            "–" => String::new(),
            value => format!("{value}, "),
        };
        let distance = self.distance(true);
        [
            Line::of(self.plain.1, self.name.as_str())
                .and(self.plain.0, format!("  {}", self.share)),
            Line::of(
                self.plain.0,
                format!("{figures}expected {}: ", self.expected),
            )
            .and(self.look, distance)
            .indented(2),
        ]
    }
}

/// The table.
///
/// ```text
/// feature  contribution   value    expected
/// latency          61 %  840 ms  190–230 ms  far above, +342 %
/// cpu              24 %    86 %     30–40 %  far above, +150 %
/// ```
pub fn table(parts: &[Part], room: u16) -> Vec<Line> {
    let rows: Vec<Row> = parts.iter().take(MOST).map(Row::of).collect();
    let fits = |exact, name, share| {
        let lines = columns(&rows, exact, name, share);
        let fits = lines.iter().all(|line| width(&line.words()) <= room);
        fits.then_some((rows.len(), lines))
    };
    let stacked = || {
        let rows = rows.iter().take(STACKED);
        (rows.len(), rows.flat_map(Row::stacked).collect())
    };
    let (listed, mut lines) = fits(true, NAME, "contribution")
        .or_else(|| fits(true, NAME, "contr."))
        .or_else(|| fits(false, NAME, "contr."))
        .or_else(|| {
            SHORT
                .into_iter()
                .find_map(|name| fits(false, name, "contr."))
        })
        .unwrap_or_else(stacked);
    let rest = parts.len().saturating_sub(listed);
    if rest > 0 {
        let words = format!("and {rest} more that contribute less");
        lines.push(Line::of(Look::Dim, words));
    }
    if parts.iter().any(|part| !part.counts) {
        let words = "grey: muted, under maintenance, in a harmless direction or too small to count";
        lines.push(Line::of(Look::Dim, words));
    }
    lines
}

/// The table with names of at most `most` columns and `contribution` as that column's head; where the values are comes
/// last, and with `exact` how far off.
fn columns(rows: &[Row], exact: bool, most: u16, contribution: &str) -> Vec<Line> {
    let widest = |head: &str, cell: fn(&Row) -> &str| {
        let cells = rows.iter().map(|row| width(cell(row)));
        cells.fold(width(head), u16::max)
    };
    let name = widest("feature", |row| &row.name).min(most);
    let share = widest(contribution, |row| &row.share);
    let value = widest("value", |row| &row.value);
    let expected = widest("expected", |row| &row.expected);
    let head = [
        left("feature", name),
        right(contribution, share),
        right("value", value),
        right("expected", expected),
    ];
    let mut lines = vec![Line::row(Look::Dim, head.join("  "))];
    lines.extend(rows.iter().map(|row| {
        Line::row(row.plain.0, left(&row.name, name))
            .and(row.plain.1, format!("  {}", right(&row.share, share)))
            .and(row.look, format!("  {}", right(&row.value, value)))
            .and(row.plain.0, format!("  {}", right(&row.expected, expected)))
            .and(row.look, format!("  {}", row.distance(exact)))
    }));
    lines
}
