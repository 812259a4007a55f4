//! The explanation of the selected moment or incident, gate by gate.

pub mod glossary;
mod line;
mod subject;
mod table;
mod words;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::Snapshot;
use crate::tui::action::Intent;
use crate::tui::state::{Panel, UiState};
use crate::tui::text::short;
use crate::tui::theme::Theme;

use self::line::Line;
use super::pen::{Pen, Segment, boxed};

pub use self::subject::explained;

/// From this width on the box takes the right half.
const WIDE: u16 = 100;
/// Columns of words where nothing limits them.
const PLAIN: u16 = 100;

/// Where the box is.
fn place(body: Rect) -> Rect {
    if body.width < WIDE {
        return body;
    }
    let width = (body.width / 2).min(96);
    Rect {
        x: body.right() - width,
        width,
        ..body
    }
}

/// What the open box takes of a large chart, which gives way to it on a wide screen; empty when it lies over the chart.
pub fn beside(state: &UiState, body: Rect) -> Rect {
    if state.line(Panel::Why).is_some() && state.expanded && body.width >= WIDE {
        place(body)
    } else {
        Rect::default()
    }
}

/// Columns and rows for words in the box.
const fn inside(place: Rect) -> (u16, u16) {
    (
        place.width.saturating_sub(4),
        place.height.saturating_sub(2),
    )
}

fn broken(state: &UiState, snapshot: &Snapshot, room: u16) -> Vec<Line> {
    let lines = words::lines(state, snapshot, room);
    lines
        .into_iter()
        .flat_map(|line| line.broken(room))
        .collect()
}

/// The explanation as plain lines, for the clipboard.
pub fn words(state: &UiState, snapshot: &Snapshot) -> Vec<String> {
    let lines = words::lines(state, snapshot, PLAIN);
    lines.iter().map(Line::words).collect()
}

/// How far the panel scrolls: lines that can be the first one.
pub fn lines(state: &UiState, snapshot: &Snapshot) -> usize {
    let (room, rows) = inside(place(super::arrange(state, snapshot).body));
    let lines = broken(state, snapshot, room).len();
    lines.saturating_sub(usize::from(rows)) + 1
}

/// Draws the explanation over the right half of `body`, or all of it on a narrow screen, from line `first` on.
pub fn draw(
    state: &UiState,
    snapshot: &Snapshot,
    first: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    body: Rect,
) {
    let spot = place(body);
    let (room, rows) = inside(spot);
    let lines = broken(state, snapshot, room);
    let rows = usize::from(rows);
    let first = first.min(lines.len().saturating_sub(rows));
    super::clear(buffer, spot, theme);
    let mut words = format!("{} closes", state.keymap.key(Intent::Back));
    if lines.len() > rows {
        let (down, up) = (state.keymap.key(Intent::Down), state.keymap.key(Intent::Up));
        let last = (first + rows).min(lines.len());
        words = format!("{last} of {} lines, {down} {up} · {words}", lines.len());
    }
    let title = [Span::styled("why", theme.strong)];
    let note = vec![Segment::new(0, vec![Span::styled(words, theme.dim)])];
    let inner = boxed(buffer, spot, theme.accent, &title, note);
    let text = Rect {
        x: inner.x + u16::from(inner.width > 2),
        width: inner.width.saturating_sub(2),
        ..inner
    };
    for (row, line) in lines.iter().skip(first).take(rows).enumerate() {
        Pen::on(buffer, text, short(row)).spans(&line.spans(theme));
    }
}
